-- Integers of 64 bits, floats, strings, closures, coroutines and sorting on a machine with 32-bit registers.
local function collatz(n) local steps = 0; while n ~= 1 do n = n % 2 == 0 and n // 2 or 3 * n + 1; steps = steps + 1 end return steps end
local best, where = 0, 0
for n = 1, 20000 do local s = collatz(n); if s > best then best, where = s, n end end
print(best, where)
local t = {}
for i = 1, 20000 do t[i] = (i * 7919) % 100003 end
table.sort(t)
print(t[1], t[#t], math.maxinteger, math.mininteger // -1, 7 // -2, 7 % -3, 2^53, 1e308 * 10)
print(string.format("%.17g %a %q %5.2f", math.pi, 1 / 3, "a\nb", 2 / 3), ("x"):rep(3, ","), #string.pack("i8d", 1, 2))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(co(), co(), co(), math.tointeger(3.0), 0x7fffffff + 1, 1 << 40, -1 >> 60)
for word, count in ("the cat the dog"):gmatch("(%a+)()") do io.write(word, " ", count, " ") end
print(pcall(error, { 1 }), select("#", pcall(string.rep)))
print(math.sin(1), math.exp(1), math.log(10), math.fmod(-7, 3), 5.5 // 1, -0.0)
