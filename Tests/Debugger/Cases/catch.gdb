# program: threads
handle SIGUSR1 nostop noprint pass
catch signal SIGUSR1
info breakpoints
continue
print $_siginfo.si_signo
print $_siginfo.si_code
bt 1
continue
