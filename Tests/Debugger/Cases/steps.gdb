# program: threads
handle SIGUSR1 nostop noprint pass
break scale
continue
stepi
info registers zero
print/x $fflags
set var $fa0 = 10.0
print $fa0.double
print other
set var other = 5
print other
delete
continue
