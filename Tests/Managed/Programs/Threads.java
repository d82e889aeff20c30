// HotSpot: both compilers, deoptimisation, collectors at work beside threads, monitors, parking, exceptions by fault.
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public class Threads {
    interface Shape { double area(); }
    record Square(double a) implements Shape { public double area() { return a * a; } }
    record Circle(double r) implements Shape { public double area() { return 3 * r * r; } }
    static class Node { Node next; byte[] load = new byte[64]; int value; Node(int v, Node n) { value = v; next = n; } }
    static int counter; static final Object monitor = new Object();

    static long hash(int n) { long h = 1125899906842597L; for (int i = 0; i < n; i++) h = 31 * h + (i ^ (h >>> 7)); return h; }
    static double total(Shape[] shapes) { double t = 0; for (Shape s : shapes) t += s.area(); return t; }
    static int faults(Node n) { int c = 0; for (int i = 0; i < 2000; i++) try { c += (i % 50 == 0 ? null : n).value; } catch (NullPointerException e) { c++; } return c; }
    static void check(boolean b, String what) { if (!b) { System.out.println("wrong: " + what); System.exit(1); } }

    public static void main(String[] a) throws Exception {
        int threads = 4;
        long want = hash(200000);
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        AtomicLong made = new AtomicLong();
        List<Future<Long>> results = new ArrayList<>();
        for (int t = 0; t < threads; t++) results.add(pool.submit(() -> {
            Node list = null;
            for (int i = 0; i < 60000; i++) { list = new Node(i, i % 500 == 0 ? null : list); made.incrementAndGet(); }
            for (int i = 0; i < 5000; i++) synchronized (monitor) { counter++; }
            return hash(200000);
        }));
        for (Future<Long> r : results) check(r.get() == want, "hash");
        check(made.get() == 60000L * threads && counter == 5000 * threads, "counts");
        pool.shutdown(); check(pool.awaitTermination(30, TimeUnit.SECONDS), "pool");
        Shape[] shapes = new Shape[1000];
        for (int i = 0; i < 1000; i++) shapes[i] = new Square(2);
        for (int i = 0; i < 500; i++) check(total(shapes) == 4000, "squares");
        shapes[500] = new Circle(2);
        for (int i = 0; i < 500; i++) check(total(shapes) == 4008, "shapes");
        check(faults(new Node(3, null)) == 1960 * 3 + 40, "faults");
        try { deep(0); check(false, "depth"); } catch (StackOverflowError e) { }
        System.gc();
        Map<String, Integer> words = new ConcurrentHashMap<>();
        java.util.stream.IntStream.range(0, 20000).parallel().forEach(i -> words.merge("w" + i % 100, 1, Integer::sum));
        check(words.size() == 100 && words.values().stream().allMatch(v -> v == 200), "streams");
        try (var scope = Executors.newVirtualThreadPerTaskExecutor()) {
            var sum = new LongAdder();
            for (int i = 0; i < 200; i++) { int n = i; scope.submit(() -> { Thread.sleep(1); sum.add(n); return null; }); }
            scope.close(); check(sum.sum() == 19900, "virtual threads");
        }
        System.out.println("ok");
    }
    static int deep(int n) { return deep(n + 1) + 1; }
}
