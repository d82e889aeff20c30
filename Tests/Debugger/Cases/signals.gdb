# program: threads
handle SIGUSR1 nostop noprint pass
tbreak scale
continue
print total._M_i >= 1000
monitor help
handle SIGUSR1 stop print nopass
signal SIGUSR1
