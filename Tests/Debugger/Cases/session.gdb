# program: threads
break all_started
continue
info threads
finish
tbreak worker if n == 1
delete 1
watch watched
continue
continue
delete
tbreak inner
continue
up
print point
down
step
finish
next
print point
call add(40, 2)
print scale(4)
print $fcsr
info registers zero
continue
print $_siginfo.si_signo
stepi
detach
