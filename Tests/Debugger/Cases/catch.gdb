# program: threads
handle SIGUSR1 nostop noprint pass
catch signal SIGUSR1
continue
print $_siginfo.si_signo
delete
continue
