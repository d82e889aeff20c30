# program: joined32
break add
continue
print a
up
print number
watch watched
continue
continue
print ratio
print large
print $fcsr
print sizeof(void *)
delete
call add(2, 3)
print ratio * 2
stepi
next
continue
