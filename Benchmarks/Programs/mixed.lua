-- Calls, tables, strings and floating point.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local t = {}
for i = 1, 200000 do t[i] = (i * 7919) % 100003 end
table.sort(t)
local words, parts = {}, {}
for i = 1, 60000 do local k = "k" .. i % 977; words[k] = (words[k] or 0) + #k; parts[#parts + 1] = k:upper():sub(2) end
local s, x = 0, 0.5
for i = 1, 3000000 do x = 3.9 * x * (1 - x); s = s + i % 7 end
local set = {}
for i = 2, 300000 do set[i] = true end
for i = 2, 547 do if set[i] then for j = i * i, 300000, i do set[j] = nil end end end
local n = 0 for _ in pairs(set) do n = n + 1 end
print(fib(27), t[1000], words.k5, #table.concat(parts), s, n, x > 0)
