# program: vectors
# options: -cpu max
break loaded
continue
print $v3.b
print $v3.l[0]
print $vl
print $vlenb
set var $v3.b[0] = 65
delete
watch *(char *)((long)&target + 20)
continue
delete
tbreak copied
continue
print (char[32])target
continue
