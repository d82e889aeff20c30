# program: threads
rwatch other
continue
delete
watch buffer[3]
continue
print buffer
delete
awatch watched
tbreak inner
continue
set var watched = 9
print watched
kill
