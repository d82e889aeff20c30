#!/bin/bash
# run.sh [--emulator COMMAND] [--samples N]   what Apus answers when something is wrong: damaged programs, no memory,
# full disks, closed pipes, missing files. It must say one clear line and end with a status, never trap.
# (A hundred thousand damaged files go through the loader in-process, in Tests/UserModeTests; here N (500) go through
# the command.) One line a case, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
apus=$REPO/.build/release/apus emulator= samples=500
while [ $# -gt 0 ]; do case $1 in --emulator) emulator=${2?}; shift;; --samples) samples=${2?}; shift;; esac; shift; done
emulator=${emulator:-$apus exec}
root=$("$SCRIPTS/fetch-root.sh" riscv64 full) || exit 1
work=$(mktemp -d); trap 'umount "$work/small" 2> /dev/null; rm -rf "$work"' EXIT; cd "$work"
export SWIFT_BACKTRACE=enable=no
ulimit -c 0

gcc -O1 -w "$here/mutate.c" -o mutate || exit 1
riscv64-linux-gnu-gcc -O1 -static "$here/hello.c" -o hello && riscv64-linux-gnu-gcc -O1 -static "$here/memory.c" -o memory || exit 1
riscv64-linux-gnu-gcc -O1 -static -w "$here/calls.c" -o calls || exit 1
strip=riscv64-linux-gnu-strip; $strip hello memory
passed=0 failed=0
ok() { passed=$((passed + 1)); printf '%-44s ok\n' "$1"; }
bad() { failed=$((failed + 1)); printf '%-44s FAILED  %s\n' "$1" "$2"; head -4 err | cut -c1-200 | sed 's/^/    /'; }
trapped() { [ "$1" -gt 128 ] && [ "$1" -lt 200 ] && [ "$1" != 141 ] || grep -qE 'Fatal error|Swift/|Stack dump|Crash|overflow' err; }

refuses() {     # refuses NAME COMMAND…: ends with 1…127, by one line on standard error that is not empty
    local name=$1 status; shift
    timeout 20 "$@" > out 2> err < /dev/null; status=$?
    if trapped $status; then bad "$name" "trapped, status $status"
    elif [ $status = 0 ] || [ $status = 124 ]; then bad "$name" "status $status"
    elif [ "$(wc -l < err)" != 1 ]; then bad "$name" "$(wc -l < err) lines"
    else ok "$name"; fi
}
survives() {    # survives NAME STATUS COMMAND…: ends with STATUS (a pattern), however much it says, and does not trap
    local name=$1 wanted=$2 status; shift 2
    timeout 60 "$@" > out 2> err < /dev/null; status=$?
    if trapped $status; then bad "$name" "trapped, status $status"
    elif [[ ! $status =~ ^($wanted)$ ]]; then bad "$name" "status $status"
    else ok "$name"; fi
}
limited() {     # limited -v KILOBYTES COMMAND…: under a limit of the shell's, into out and err
    { ( ulimit "$1" "$2"; shift 2; exec timeout -k 2 60 "$@" ) > out 2> err < /dev/null; } 2> /dev/null
}

survives "an undamaged program" 0 $emulator ./hello
mkdir directory; : > empty; echo 'just text' > text; chmod +x empty text; head -c 40 hello > short; head -c 63 hello > header; chmod +x short header; cp hello nox; chmod -x nox
refuses "a missing program" $emulator ./nowhere
refuses "a directory" $emulator ./directory
refuses "an empty file" $emulator ./empty
refuses "a text file" $emulator ./text
refuses "a truncated header" $emulator ./short
refuses "a header one byte short" $emulator ./header
refuses "a program of another machine" $emulator /bin/true
refuses "a program whose interpreter is missing" $emulator -L /nonexistent "$root/usr/bin/true"
refuses "a name too long" $emulator "./$(printf '%0300d' 0)"
ln -s loop loop; refuses "a loop of links" $emulator ./loop
refuses "a device" $emulator /dev/null
refuses "an unknown CPU" $emulator -cpu nonsense ./hello
refuses "an unknown option" $emulator -no-such-option ./hello
refuses "a log that cannot be opened" $emulator -d strace -D /nonexistent/log ./hello
survives "no program at all" '[1-9][0-9]?' $emulator

for kilobytes in 2000 8000 16000 32000 64000 128000 256000; do
    limited -v $kilobytes $emulator ./hello; status=$?
    # Where not even the host's own loader has room, it, not Apus, says so.
    if [ $status = 0 ] || { ! trapped $status && [ "$(wc -l < err)" -le 1 ]; } || grep -q 'error while loading shared libraries' err || { [ $kilobytes -lt 30000 ] && [ ! -s err ]; }
    then ok "$kilobytes kB of address space"; else bad "$kilobytes kB of address space" "status $status"; fi
done
for kilobytes in 600000 1500000 4000000; do
    limited -v $kilobytes $emulator ./memory; status=$?
    if [ $status = 0 ] && [ "$(cat out)" = "went on" ]; then ok "a guest that takes all of $kilobytes kB"
    elif ! trapped $status && [ "$(wc -l < err)" = 1 ] && [ $kilobytes -lt 1000000 ]; then ok "a guest that takes all of $kilobytes kB"
    else bad "a guest that takes all of $kilobytes kB" "status $status, $(cat out)"; fi
done
for files in 3 4 5 6 8; do
    limited -n $files $emulator ./hello; status=$?
    if [ $status = 0 ] || { ! trapped $status && [ "$(wc -l < err)" -le 1 ]; }; then ok "$files open files"; else bad "$files open files" "status $status"; fi
done

run="$emulator -L $root"
timeout 20 $run "$root/usr/bin/yes" 2> err | head -1 > out; status=${PIPESTATUS[0]}
if [ $status = 141 ] || [ $status = 1 ]; then ok "a closed pipe"; else bad "a closed pipe" "status $status"; fi
timeout 20 $emulator -strace ./hello 2>&1 > /dev/null | head -c 1 > out; status=${PIPESTATUS[0]}; : > err
if trapped $status && [ $status != 141 ]; then bad "a trace into a closed pipe" "status $status"; else ok "a trace into a closed pipe"; fi
survives "standard output on a full disk" 1 bash -c "exec $run $root/usr/bin/seq 100000 > /dev/full"
survives "a log on a full disk" '0|1' bash -c "exec $emulator -strace -D /dev/full ./hello"
for closed in '<&-' '>&-' '2>&-' '<&- >&- 2>&-'; do survives "closed: $closed" '0|1' bash -c "exec $emulator ./hello $closed"; done
mkdir calling; survives "system calls with bad arguments" 0 bash -c "cd calling && exec $emulator ../calls 1 $((samples < 10000 ? samples / 25 : 400))"
mkdir small
if mount -t tmpfs -o size=200k none small 2> /dev/null; then
    survives "a guest on a full disk" 1 $run "$root/usr/bin/dd" if=/dev/zero of=small/file bs=4k count=1000
    grep -q 'No space left' err && ok "… hears of it" || bad "… hears of it" "did not"
    survives "a mapping beyond a full disk (SIGBUS)" '0' $run "$root/usr/bin/python3" -c '
import mmap, os, signal, subprocess, sys
r = subprocess.run([sys.executable, "-c", "import mmap, os\nf = os.open(\"small/map\", os.O_RDWR | os.O_CREAT)\nos.ftruncate(f, 1 << 20)\nm = mmap.mmap(f, 1 << 20)\nfor i in range(256): m[i * 4096] = 1"])
sys.exit(r.returncode != -signal.SIGBUS)'
    umount small
fi

# own_death STATUS: was it the guest that died? It must have begun to run, and a signal that a trap of Apus itself would
# also raise must be the one that ends the program under QEMU.
qemu=$("$SCRIPTS/fetch-qemu.sh")
own_death() {
    rm -f log; limited -v 8000000 $emulator -d cpu -D log ./damaged; [ -s log ] || return 1
    case $1 in 135|139) return 0;; esac
    limited -v 8000000 "$qemu" -cpu rv64 -L "$root" ./damaged; [ $? = "$1" ]
}

# Damaged programs. A guest that was started may die by its own signal.
for kind in hello dynamic; do
    base=hello; [ $kind = dynamic ] && { base=true; cp "$root/usr/bin/true" true; }
    traps=0 silent=0 hangs=0 long=0
    for ((seed = 1; seed <= samples / 2; seed++)); do
        ./mutate $base $seed > damaged; chmod +x damaged
        limited -v 8000000 timeout -k 2 10 $run ./damaged; status=$?
        # The guest's C library has an error of that name, too.
        if grep -v 'glibc detected' err | grep -qE 'Fatal error|Swift/|Stack dump|Crash'; then why=traps
        elif [ $status = 137 ]; then why=hangs
        elif [ $status -gt 128 ] && [ $status -lt 200 ] && [ ! -s err ]; then
            own_death $status && continue
            why=silent
        elif [ "$(wc -l < err)" -gt 1 ]; then why=long
        elif [ $status = 0 ] || [ -s err ] || [ $status = 124 ]; then continue
        elif [ $status -lt 128 ]; then continue   # the guest's own answer
        else why=silent; fi
        eval "$why=\$(($why + 1))"
        [ $((traps + silent + hangs + long)) -gt 3 ] || echo "    seed $seed: $why, status $status: $(head -c 150 err | tr '\n' ' ')"
    done
    [ $((traps + silent + hangs + long)) = 0 ] && ok "$((samples / 2)) damaged programs ($kind)" || { : > err; bad "$((samples / 2)) damaged programs ($kind)" "$traps trapped, $silent died without a word, $hangs hung, $long said more than a line"; }
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
