# What glibc and procps tell of the machine: getconf, locale, the loader's diagnostics, ps, top.
getconf -a | grep -vE '^(CHAR_M|LEVEL|_?NPROCESSORS|_?(AV)?PHYS_PAGES)|_(C|LD)FLAGS|CHILD_MAX|SIGQUEUE|MEMLOCK' | sort
locale -a; LC_ALL=C.UTF-8 locale charmap; LC_ALL=C locale -k LC_TIME | head -3
loader=$(ls /usr/lib/*-linux-gnu/ld-linux-*.so.* | head -1)
# Its words are named; what an architecture alone has is left out.
"$loader" --list-diagnostics > diagnostics; sed -nE 's/^(auxv\[0x[0-9a-f]+\]\.a_val|env(_filtered)?\[0x[0-9a-f]+\]|path\.[a-z_]+\[0x[0-9a-f]+\]|[a-z_.]+)=.*/\1/p' diagnostics | sed -E 's/\[.*//' | sort -u | grep -vE 'x86|cpu|platform|hwcap'
grep -E '^(dl_pagesize|version\.(release|version))=' diagnostics; grep -cE '^auxv\[.*\]\.a_type=0x(6|9|11)$' diagnostics; [ "$(sed -n 's/^uname.machine=//p' diagnostics)" = "\"$(uname -m)\"" ] && echo the machine agrees
"$loader" --verify /usr/bin/true; echo $?; "$loader" --list /usr/bin/true | sed -E 's/\(0x[0-9a-f]+\)/(ADDRESS)/' | grep -c 'libc.so.6 => .*ADDRESS'; LD_DEBUG=statistics /usr/bin/true 2>&1 | grep -m 1 -o 'number of relocations'; "$loader" --preload /nowhere.so /usr/bin/echo hi 2>&1 | cut -d: -f1
export TERM=dumb; top -b -n 2 -d 0.2 -p $$ | sed -nE 's/^ *PID USER.*/header/p; s/^ *[0-9]+ [a-z]+ .* (bash) *$/\1/p'; top -b -n 1 | sed -nE 's/^(Tasks|%Cpu|MiB Mem|MiB Swap).*/\1/p'
ps -o comm=,args= -p $$ | awk '{ print $1 }'; ps -eo pid= | awk -v me=$$ '$1 == me { n++ } END { print n }'; ps -o stat= -p $$ | cut -c1; sleep 60 & ps -o ppid=,comm= -p $! | awk -v me=$$ '{ print $1 == me, $2 }'; kill $!; ps -L -o nlwp= -p $$ | tr -d ' '; [ "$(ps -o vsz= -p $$)" -gt 1000 ] && [ "$(ps -o rss= -p $$)" -gt 500 ] && echo sizes
free -b | awk '/Mem/ { print ($2 > 0) }'; uptime -p | cut -d' ' -f1; vmstat 1 1 | wc -l; nproc | grep -c '^[1-9]'; id -un; pgrep -x -P $$ nothing; echo $?
