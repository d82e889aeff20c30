# Lua: tables, closures, coroutines, strings, integers and floats, garbage collection.
cat > t.lua <<'EOF'
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(21))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end return "done" end)
print(co(), co(), co(), co())
local t = {} for i = 1, 5000 do t[i] = (i * 7919) % 5003 end table.sort(t) print(t[1], t[2500], #t)
local words = {} for w in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[w] = (words[w] or 0) + 1 end print(words.the, words.fox)
print(("hello"):rep(3, "-"), ("%5.2f|%d|%s|%q"):format(3.14159, 42, true, "x\ny"), #string.pack("<i4d", 7, 1.5))
print(7 // 2, -7 // 2, 7 % -3, 7.5 // 2, 1 / 3, 2 ^ 0.5, 10 // 0.0, math.maxinteger + 1 == math.mininteger, 1e15, 2 ^ 53)
local mt = setmetatable({}, { __index = function(_, k) return k .. "!" end, __call = function(_, a) return a * 2 end, __add = function() return "added" end }) print(mt.key, mt(21), mt + 1)
print(pcall(error, { code = 1 }), select(2, pcall(function() error("oops", 0) end)), select("#", table.unpack({ 1, 2, 3 })))
for i = 1, 20 do local g = {} for j = 1, 1000 do g[j] = { j } end end collectgarbage() print(collectgarbage("count") < 1000)
print(math.floor(-3.5), math.tointeger(3.0), math.type(1), math.type(1.0), string.format("%.14g", math.sin(1) + math.exp(1)), 0x7fffffffffffffff, 1 << 63, 5 // 0.3)
local p = io.popen("echo from a pipe") print(p:read("a")) p:close() print(os.time({ year = 2020, month = 1, day = 1, hour = 0 }), os.date("!%F", 86400))
goto out print("never") ::out:: print(utf8.char(8364, 128512), utf8.len("héllo"))
EOF
lua5.4 t.lua
