#!/bin/bash
# show-programs.sh   runs real riscv64 programs in front of the user, saying what it does.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"
apus=$REPO/.build/release/apus
root=$("$SCRIPTS/fetch-root.sh" riscv64 small)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"

quoted() { local word; for word in "$@"; do [[ $word =~ ^[A-Za-z0-9/:._-]+$ ]] || word=${word@Q}; printf ' %s' "$word"; done; }
show() {   # show PROGRAM ARGUMENTS…: the command, as one would type it, then what it prints
    printf '\n\033[1m$ apus exec -L ROOT ROOT%s' "$1"; quoted "${@:2}"; printf '\033[0m\n'
    env -u LD_LIBRARY_PATH -u LD_PRELOAD LC_ALL=C.UTF-8 PATH=/usr/bin:/bin HOME="$work" TMPDIR=/tmp \
        "$apus" exec -L "$root" "$root$1" "${@:2}"
}

say "This machine is $(uname -m). ROOT is $root:"
say "programs of Debian trixie for riscv64, none of which this processor can run by itself."
kind() { show /usr/bin/file -bL "$root/usr/bin/$1"; }
kind python3.13
show /usr/bin/uname -srm
show /usr/bin/bash -c 'echo "bash $BASH_VERSION on $HOSTTYPE"; for i in 1 2 3; do echo $((i ** 10)); done | sort -rn | head -1; seq 1000 | wc -l'
show /usr/bin/python3 -c 'import platform, sys; print(sys.version); print(platform.machine(), sum(i * i for i in range(100000)))'
show /usr/bin/python3 -c 'import threading; n = []; t = [threading.Thread(target=lambda i=i: n.append(i * i)) for i in range(8)]; [x.start() for x in t]; [x.join() for x in t]; print("eight threads:", sorted(n))'
show /usr/bin/python3 -c 'import subprocess; print(subprocess.run(["sh", "-c", "uname -m | tr a-z A-Z"], capture_output=True, text=True))'
show /usr/bin/perl -e 'my %h; $h{length $_}++ for split / /, "programs built for another machine run here as if at home"; print join(", ", map { "$h{$_} of $_" } sort keys %h), "\n"'
show /usr/bin/lua5.4 -e 'local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end print("fib(27) = " .. fib(27))'
show /usr/bin/gawk 'BEGIN { for (i = 1; i <= 1000000; i++) s += sqrt(i); printf "%.6f\n", s }'
show /usr/bin/openssl prime 170141183460469231731687303715884105727
show /usr/bin/sqlite3 -batch -init /dev/null :memory: "with recursive c(i) as (select 1 union all select i + 1 from c where i < 100000) select count(*), sum(i * i) from c;"
show /usr/bin/bash -c 'seq 200000 > numbers; xz -k numbers; ls -l numbers numbers.xz | awk "{ print \$5, \$9 }"; xz -dc numbers.xz | sha256sum'
printf '\n'
say "Yours now:  $apus exec -L $root $root/usr/bin/bash"
