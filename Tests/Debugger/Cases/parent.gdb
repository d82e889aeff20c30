# program: processes
break in_parent
continue
continue
break after_exec
continue
backtrace
continue
