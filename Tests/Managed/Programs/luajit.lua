-- LuaJIT: traces where the machine has its compiler, else its assembler interpreter; the foreign function interface.
local ffi, bit = require "ffi", require "bit"
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
assert(fib(25) == 75025)
local s = 0 for i = 1, 3000000 do s = bit.bxor(s, i * 3) end
assert(s == bit.bxor(s, 0))
ffi.cdef [[ typedef struct { int x; double y; } pair; int abs(int); double sqrt(double); int snprintf(char *, size_t, const char *, ...); int getpid(void);
  void qsort(void *, size_t, size_t, int (*)(const int *, const int *)); ]]
local p = ffi.new("pair[?]", 1000)
for r = 1, 100 do for i = 0, 999 do p[i].x = p[i].x + i; p[i].y = p[i].y + i / 2 end end
assert(p[999].x == 99900 and p[999].y == 49950)
for i = 1, 10000 do assert(ffi.C.abs(-i) == i) end
local b = ffi.new("char[64]") ffi.C.snprintf(b, 64, "%d %.3f %s", ffi.cast("int", 7), 1.5, "x") assert(ffi.string(b) == "7 1.500 x")
local a = ffi.new("int[500]") for i = 0, 499 do a[i] = (i * 7919) % 500 end
ffi.C.qsort(a, 500, 4, function(x, y) return x[0] - y[0] end)
for i = 0, 499 do assert(a[i] == i) end
local t = {} for i = 1, 200000 do t[#t + 1] = tostring(i) if #t > 1000 then t = {} end end collectgarbage()
local caught = 0 for i = 1, 20000 do if not pcall(error, i) then caught = caught + 1 end end assert(caught == 20000)
local co = coroutine.wrap(function() for i = 1, 50000 do coroutine.yield(i) end end) local c = 0 for i = 1, 50000 do c = c + co() end assert(c == 1250025000)
print("ok")
