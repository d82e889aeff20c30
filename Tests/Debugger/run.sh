#!/bin/bash
# run.sh [--bless] [CASE…]   sessions of gdb-multiarch with 'apus exec -g'. Cases/NAME.gdb are the commands, its head says
# which program (`# program: NAME`, a source file here) and how many seconds after its first word gdb is interrupted
# (`# interrupt: N`), and which options Apus gets (`# options: …`).
# What gdb and the program print must be NAME.expected, addresses and process ids left out. Then: the core files of dead
# programs, a debugger that comes back, and one that sends rubbish. One line a case, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
apus=$REPO/.build/release/apus; bless=; wanted=()
while [ $# -gt 0 ]; do case $1 in --bless) bless=1;; *) wanted+=("$1");; esac; shift; done
command -v gdb-multiarch > /dev/null || die "no gdb-multiarch: Scripts/install-packages.sh test installs it"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work" || exit 1
for source in "$here"/*.c "$here"/*.cpp; do
    compiler=riscv64-linux-gnu-gcc; case $source in *.cpp) compiler=riscv64-linux-gnu-g++;; esac
    name=$(basename "${source%.*}")
    (cd "$here" && $compiler -g -O0 -static -pthread -o "$work/$name" "$(basename "$source")") || exit 1
done
(cd "$here" && riscv64-linux-gnu-gcc -march=rv64gcv -nostdlib -static -g -o "$work/vectors" vectors.s) || exit 1
narrow=$("$SCRIPTS/fetch-riscv32.sh") && (cd "$here" && "$narrow" -g -O0 -o "$work/joined32" joined.c) || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); printf '%-44s ok\n' "$1"; }
bad() { failed=$((failed + 1)); printf '%-44s FAILED  %s\n' "$1" "${2-}"; }
selected() { [ ${#wanted[@]} = 0 ] && return 0; local name; for name in "${wanted[@]}"; do [[ $1 == "$name"* ]] && return 0; done; return 1; }
# begin PROGRAM…   starts it with a debugger's socket, and waits until that is there
begin() {
    rm -f socket
    timeout -k 2 60 "$apus" exec -g "$work/socket" "$@" > out 2>&1 & program=$!
    for _ in $(seq 200); do [ -S socket ] && return; sleep 0.02; done
}
plain() {   # what differs from run to run is left out
    sed -E -e 's/0x[0-9a-f]+/ADDRESS/g' -e 's/Thread [0-9]+\.[0-9]+/Thread P.T/g' -e 's/process [0-9]+/process P/g' \
        -e "s#$work#.#g" -e "s#$here/##g" -e 's/^Reading .*//' -e '/^warning: File transfers/d' -e '/^$/d' -e 's/^( +Id +Target Id) +Frame.*/\1/' -e 's/^( +[0-9]+ +Thread P.T "[a-z]+").*/\1/' -e 's/[0-9]+\t+in //'
}
gdb_run() { timeout -k 2 50 gdb-multiarch -nx -nh -batch -iex 'set debuginfod enabled off' -ex 'set pagination off' -ex 'set confirm off' -ex 'set width 0' -ex 'set print thread-events off' "$@" < /dev/null 2>&1; }

for file in "$here"/Cases/*.gdb; do
    name=$(basename "$file" .gdb); selected "$name" || continue
    program_name=$(sed -nE 's/^# program: //p' "$file"); seconds=$(sed -nE 's/^# interrupt: //p' "$file")
    begin $(sed -nE 's/^# options: //p' "$file") "./$program_name"
    if [ -n "$seconds" ]; then
        gdb_run -ex "file $program_name" -ex "target remote $work/socket" -x "$file" > session & debugger=$!
        for _ in $(seq 300); do grep -q ready out && break; sleep 0.1; done
        sleep "$seconds"; pkill -INT -P "$(pgrep -P $debugger timeout || echo $debugger)" gdb-multiarch; wait $debugger
    else
        gdb_run -ex "file $program_name" -ex "target remote $work/socket" -x "$file" > session
    fi
    wait $program; status=$?
    { plain < session; echo "-- the program"; plain < out; echo "status $status"; } > "$name.got"
    [ -n "$bless" ] && cp "$name.got" "$here/Cases/$name.expected"
    if diff "$here/Cases/$name.expected" "$name.got" > difference; then ok "gdb: $name"; else bad "gdb: $name"; head -20 difference | sed 's/^/    /'; fi
done

if selected hostile; then
    begin ./sleeper
    timeout 20 perl -MIO::Socket::UNIX -e '
        srand 7;
        for my $turn (1 .. 40) {
            my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no socket";
            for (1 .. 50) {
                my $body = (qw(g G p P m M X Z0, z0, z1,ffffffffffffffff, Z1,ffffffffffffffff, z2, H vCont; vFile:open: vFile:pread: qXfer:features:read: qRcmd, qSearch:memory: qCRC: T QPassSignals: QCatchSyscalls:1; ?))[rand 23]
                    . join("", map { my @c = (0 .. 9, "a" .. "f", ",", ";", ":", "-", "p", "."); $c[rand @c] } 1 .. rand 30);
                next if $body =~ /^vCont|^vKill/;
                my $sum = 0; $sum += ord for split //, $body;
                print $s (rand() < 0.2 ? join("", map { chr rand 256 } 1 .. 40) =~ s/[\$k]//gr : sprintf("\$%s#%02x", $body, $sum & 255));
            }
            close $s;
        }' "$work/socket" > hostile.out 2>&1; status=$?
    if [ $status = 0 ] && kill -0 $program; then ok "a debugger that sends rubbish"; else bad "a debugger that sends rubbish" "status $status: $(head -2 hostile.out out | tr '\n' ' ')"; fi
    gdb_run -ex 'file sleeper' -ex "target remote $work/socket" -ex 'set var stop = 1' -ex 'continue' > session
    wait $program; status=$?
    if [ $status = 0 ] && grep -q stopped out; then ok "… is followed by one that behaves"; else bad "… is followed by one that behaves" "status $status"; cat session out | head; fi
fi
if selected calls; then
    # gdb 13 has no list of riscv64 system calls: the packets by hand.
    begin ./sleeper
    timeout 20 perl -MIO::Socket::UNIX -e '
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no socket"; my $ack = 1;
        sub ask { my $p = shift; my $sum = 0; $sum += ord for split //, $p; print $s sprintf("\$%s#%02x", $p, $sum & 255); $s->flush; return answer() }
        sub answer { local $/ = "#"; my $a = <$s>; read $s, my $sum, 2; $a =~ s/^[+]?\$//; chop $a; print $s "+" if $ack; return $a }
        ask("QStartNoAckMode"); $ack = 0; ask("qSupported:multiprocess+;swbreak+");
        print ask("QCatchSyscalls:1;40;73"), "\n";
        for (1 .. 4) { print ask("vCont;c") =~ s/thread.*//r, "\n" }
        print ask("QCatchSyscalls:0"), "\n";
        my $pc = ask("p20"); my $low = unpack("Q<", pack("H*", $pc)); my $high = $low + 8;
        print ask(sprintf "vCont;r%x,%x:%s", $low, $high, ask("qC") =~ s/^QC//r) =~ s/thread.*//r, "\n";
        my $now = unpack("Q<", pack("H*", ask("p20"))); print $now >= $low && $now < $high ? "inside" : "outside", "\n";
        print $s "\$k#6b"; $s->flush;' "$work/socket" > calls.out 2>&1
    wait $program
    printf '%s\n' OK 'T05syscall_entry:40;' 'T05syscall_return:40;' 'T05syscall_entry:73;' 'T05syscall_return:73;' OK T05 outside > wanted
    if [ "$(head -8 calls.out)" = "$(cat wanted)" ]; then ok "system calls caught, stepping over a range"; else bad "system calls caught, stepping over a range"; cat calls.out; fi
fi
if selected interpreter; then
    begin --engine interpreter ./threads
    gdb_run -ex 'file threads' -ex "target remote $work/socket" -ex 'break inner' -ex 'watch watched' -ex continue -ex continue -ex continue -ex 'print point' -ex 'call add(2, 3)' -ex 'handle SIGUSR1 nostop' -ex 'delete' -ex continue > session
    wait $program; status=$?
    if [ $status = 3 ] && grep -q 'New value = 4' session && grep -q 'x = 1, y = 2' session && grep -q '= 5$' session; then ok "the interpreter engine"; else bad "the interpreter engine" "status $status"; cat session; fi
fi
if selected again; then
    begin ./sleeper
    gdb_run -ex 'file sleeper' -ex "target remote $work/socket" -ex 'detach' > session; sleep 0.2
    gdb_run -ex 'file sleeper' -ex "target remote $work/socket" -ex 'print turns > 3' -ex 'set var stop = 1' -ex 'continue' > session
    wait $program; status=$?
    if [ $status = 0 ] && grep -q '= 1' session; then ok "a debugger comes back"; else bad "a debugger comes back" "status $status"; fi
fi
if selected tree; then
    root=$("$SCRIPTS/fetch-root.sh" riscv64 full) || exit 1
    begin -L "$root" "$root/usr/bin/bash" -c 'echo $((6 * 7)); exit 4'
    gdb_run -ex "target remote $work/socket" -ex 'break write' -ex 'continue' -ex 'info sharedlibrary' -ex 'delete' -ex 'continue' > session
    wait $program; status=$?
    if [ $status = 4 ] && grep -q 'Breakpoint 1, .*write' session && grep -q 'libc.so.6' session; then ok "a program of a tree, with its libraries"; else bad "a program of a tree, with its libraries" "status $status"; tail -5 session; fi
fi
core() {    # core HOW SIGNAL   a program that dies of HOW leaves a core file of its own, and only that
    local how=$1 signal=$2 status pattern found
    mkdir -p "core-$how"
    ( cd "core-$how"; ulimit -c unlimited; timeout -k 2 30 "$apus" exec -strace ../crash "$how" > ../out 2>&1 ); status=$?
    pattern=$(cat /proc/sys/kernel/core_pattern)
    case $pattern in /*) say "core files go to $pattern: not looked at"; return;; esac
    found=(core-$how/*)
    [ $status = $((128 + signal)) ] || { bad "core file: $how" "status $status"; tail -3 out; return; }
    grep -q "+++ killed by SIG[A-Z]* (core dumped) +++" out && grep -q -- "--- SIG[A-Z]* {si_signo=SIG[A-Z]*, si_code=" out || { bad "core file: $how" "not in the trace"; return; }
    [ ${#found[@]} = 1 ] || { bad "core file: $how" "${#found[@]} files"; return; }
    gdb_run -ex 'file crash' -ex "core-file ${found[0]}" -ex backtrace -ex 'print numbers[1]' -ex 'print heap' -ex 'print $_siginfo.si_signo' -ex 'info threads' > session
    if grep -q "die (how=.* depth=3)" session && grep -q "die (how=.* depth=1)" session && grep -q 'victim (how' session && grep -q '= 42$' session &&
        grep -q '"on the heap"' session && grep -q "= $signal\$" session && grep -q 'spinner (how' session
    then ok "core file: $how"; else bad "core file: $how"; cat session; fi
}
if selected core; then
    core segv 11; core abort 6; core ill 4
    mkdir none; (cd none; ulimit -c 0; timeout 20 "$apus" exec ../crash abort > /dev/null 2>&1; ulimit -c unlimited 2> /dev/null; timeout 20 "$apus" exec ../crash term > /dev/null 2>&1)
    if [ -z "$(ls none)" ]; then ok "no core file where none is wanted"; else bad "no core file where none is wanted" "$(ls none)"; fi
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
