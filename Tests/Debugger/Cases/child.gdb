# program: processes
set follow-fork-mode child
break in_child
break after_exec
continue
backtrace
continue
backtrace
continue
