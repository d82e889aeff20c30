# Python: the language at work, and the modules that reach the kernel.
cat > t.py <<'EOF'
import sys, json, hashlib, re, struct, math, zlib, socket, threading, subprocess, signal, os, select, mmap, tempfile, time, collections, itertools, functools, decimal, fractions, random, asyncio, sqlite3, ctypes, multiprocessing, queue, pickle, datetime, statistics
print(sum(i * i for i in range(20000)), [x for x in range(20) if all(x % d for d in range(2, x))], f"{math.pi:.20f} {1e22} {0.1 + 0.2!r} {2 ** 0.5}")
print(pow(3, 1000, 10 ** 50 + 7), 2 ** 521 % 10 ** 20, math.factorial(50), divmod(-7, 3), math.isqrt(10 ** 40), -7 // 2, hash(0.5), float("nan") == float("nan"))
print(decimal.Decimal(1) / 7, fractions.Fraction(1, 3) + fractions.Fraction(1, 6), round(2.675, 2), math.fsum([.1] * 10), complex(1, 2) ** 2, (1e308 * 10, -1e308 * 10), 5e-324, statistics.stdev([1, 2, 3, 4]))
print(json.loads(json.dumps({"a": [1, 2.5, None, True, "\u00e9"]})), re.sub(r"(\w+)@(\w+)", r"\2 at \1", "user@host me@there"), hashlib.sha256(b"abc").hexdigest(), zlib.crc32(b"hello"), len(zlib.compress(b"x" * 10000)))
print(struct.pack("<hIqfd", -1, 2, -3, 1.5, -2.25).hex(), pickle.loads(pickle.dumps({"k": (1, {2})})), random.Random(42).random(), random.Random(7).sample(range(100), 5), datetime.datetime(2024, 2, 29).isoformat())
lock, total = threading.Lock(), [0]
def add():
    for _ in range(2000):
        with lock: total[0] += 1
ts = [threading.Thread(target=add) for _ in range(6)]; [t.start() for t in ts]; [t.join() for t in ts]; print("threads", total)
q = queue.Queue(); t = threading.Thread(target=lambda: [q.put(i) for i in range(100)] and q.put(None)); t.start(); print("queue", sum(iter(q.get, None))); t.join()
print(subprocess.run(["sh", "-c", "read x; echo got $x; exit 3"], input="line\n", capture_output=True, text=True))
hits = []; signal.signal(signal.SIGUSR1, lambda s, f: hits.append(s)); os.kill(os.getpid(), signal.SIGUSR1); signal.signal(signal.SIGALRM, lambda s, f: hits.append(s)); signal.setitimer(signal.ITIMER_REAL, .05); signal.pause(); print("signals", [int(h) for h in hits])
a, b = socket.socketpair(); a.send(b"ping"); print(b.recv(10)); s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); d, _ = s.accept(); c.sendall(b"z" * 100000); c.close(); n = 0
while (x := d.recv(65536)): n += len(x)
print("tcp", n); r, w = os.pipe(); pid = os.fork()
if pid == 0: os.write(w, b"child"); os._exit(9)
print(os.read(r, 10), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); e = select.epoll(); e.register(r, select.EPOLLIN); os.write(w, b"!"); print("epoll", [m for _, m in e.poll(1)])
with tempfile.TemporaryFile() as f: f.truncate(8192); m = mmap.mmap(f.fileno(), 8192); m[4096:4101] = b"hello"; f.seek(4096); print(f.read(5))
async def work(n): await asyncio.sleep(.01 * n); return n * n
async def main(): return await asyncio.gather(*(work(i) for i in range(5))), (await (await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE)).communicate())[0]
print(asyncio.run(main())); db = sqlite3.connect(":memory:"); print(db.execute("select sum(value) from json_each('[1,2,3.5]')").fetchone())
libc = ctypes.CDLL(None); libc.strlen.restype = ctypes.c_size_t; print(libc.strlen(b"ctypes"), libc.abs(-5)); CMP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)); arr = (ctypes.c_int * 6)(5, 2, 9, 1, 7, 3); libc.qsort(arr, 6, 4, CMP(lambda x, y: x[0] - y[0])); print(list(arr)); libm = ctypes.CDLL("libm.so.6"); libm.pow.restype = ctypes.c_double; libm.pow.argtypes = [ctypes.c_double] * 2; print(libm.pow(2, .5))
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as p: print("pool", p.map(square, range(8)))
try: [].pop()
except IndexError as error: print(type(error).__name__, error)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
print(deep(900)); sys.setrecursionlimit(10 ** 6)
class Node:
    __slots__ = ("next", "value")
    def __init__(s, v, n): s.value, s.next = v, n
n = None
for i in range(10000): n = Node(i, n)
print(n.value, sorted(collections.Counter("mississippi").items()), list(itertools.accumulate(range(6))), functools.reduce(lambda x, y: x ^ y, range(1000)), time.gmtime(0).tm_year)
EOF
python3 -I t.py
