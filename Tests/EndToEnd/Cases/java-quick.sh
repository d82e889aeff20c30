# OpenJDK: a program from source, with threads and collections.
# tree: managed
cat > T.java <<'X'
import java.util.*; import java.util.stream.*;
class T {
    static int work(int n) { int h = 7; for (int i = 0; i < n; i++) h = h * 31 + (i ^ (h >>> 3)); return h; }
    public static void main(String[] a) throws Exception {
        var threads = new ArrayList<Thread>(); var results = Collections.synchronizedSet(new TreeSet<Integer>());
        for (int i = 0; i < 3; i++) { var t = new Thread(() -> { for (int j = 0; j < 50000; j++) new byte[100].hashCode(); results.add(work(2000000)); }); t.start(); threads.add(t); }
        for (var t : threads) t.join();
        System.gc();
        System.out.println(results + " " + IntStream.range(0, 1000).filter(i -> i % 7 == 0).mapToObj(Integer::toString).collect(Collectors.joining(",")).length());
        try { Object o = "x"; System.out.println((Integer) o); } catch (ClassCastException e) { System.out.println("cast"); }
        System.out.println(String.format("%.3f %s %x", Math.sin(1), Arrays.asList(1, 2), 255L));
    }
}
X
java -XX:TieredStopAtLevel=1 T.java
