# program: sleeper
# interrupt: 1
continue
print turns > 0
set var stop = 1
continue
