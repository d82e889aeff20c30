class Vector:
    __slots__ = ("x", "y")
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, other): return Vector(self.x + other.x, self.y + other.y)
    def scaled(self, k): return Vector(self.x * k % 1.0, self.y * k % 1.0)

def simulate(n):
    points = [Vector(i * .1, i * .2) for i in range(200)]
    for step in range(n):
        points = [p.scaled(1.01) + q for p, q in zip(points, points[1:] + points[:1])]
    return sum(p.x + p.y for p in points)

def sieve(n):
    flags = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** .5) + 1):
        if flags[i]: flags[i * i::i] = bytes(len(range(i * i, n + 1, i)))
    return sum(flags) - 2

def words(n):
    table = {}
    for i in range(n):
        key = f"{i * 2654435761 % 9973:04d}"
        table.setdefault(key, []).append(i)
    return sum(len(v) * int(k) for k, v in table.items())

def tree(depth): return None if depth == 0 else (tree(depth - 1), tree(depth - 1))
def count(t): return 0 if t is None else 1 + count(t[0]) + count(t[1])

def generate(n):
    a, b = 0, 1
    for _ in range(n):
        yield a
        a, b = b, (a + b) % 1000003

print(f"{simulate(100):.6f}", sieve(1000000), words(60000), count(tree(14)), sum(generate(150000)), sorted(str(i) for i in range(40000))[777])
