# program: processes
break in_parent
continue
set follow-fork-mode child
catch vfork
continue
delete 2
break after_exec
continue
backtrace
continue
