#!/bin/bash
# run.sh   sessions of gdb-multiarch with 'apus system -gdb': Debian's kernel from its first instruction to a program in user mode.
# One line a check, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
apus=$REPO/.build/release/apus; kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
for tool in gdb-multiarch cpio riscv64-linux-gnu-gcc; do command -v $tool > /dev/null || die "no $tool: Scripts/install-packages.sh test installs it"; done
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin kernel=$kit/kernel/riscv64/vmlinuz
work=$(mktemp -d); machine=; trap '[ -n "$machine" ] && kill -9 $machine 2> /dev/null; rm -rf "$work"' EXIT; cd "$work" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); printf '%-60s ok\n' "$1"; }
bad() { failed=$((failed + 1)); printf '%-60s FAILED  %s\n' "$1" "${2-}"; sed 's/^/    /' session 2> /dev/null | tail -15; }
# has WHAT PATTERN   the session has a line like the pattern
has() { if grep -qE "$2" session; then ok "$1"; else bad "$1" "no '$2'"; fi; }
# begin OPTION…   starts a machine that waits for a debugger, and waits for its socket
begin() {
    rm -f socket
    timeout -k 2 80 "$apus" system -M virt -m 256M -nographic -gdb "unix:$work/socket" "$@" < /dev/null > out 2>&1 & machine=$!
    for _ in $(seq 200); do [ -S socket ] && return; sleep 0.02; done
    die "the machine did not start: $(head -3 out)"
}
boot() { begin -bios "$firmware" -kernel "$kernel" -initrd i.gz -append "console=ttyS0 quiet nokaslr" "$@"; }
gdb_run() {
    timeout -k 2 60 gdb-multiarch -nx -nh -batch -iex 'set debuginfod enabled off' -ex 'set pagination off' -ex 'set confirm off' -ex 'set width 0' \
        -ex 'set architecture riscv:rv64' -ex "target remote $work/socket" "$@" < /dev/null > session 2>&1
}
end() { kill $machine 2> /dev/null; wait $machine 2> /dev/null; machine=; }

# A program whose addresses are known, and what /init of the guest is.
cat > user.S <<'S'
    .globl _start, counter, landmark, back
_start:
    la t0, counter
again:
    ld t1, (t0)
    addi t1, t1, 1
landmark:
    sd t1, (t0)
back:
    li a7, 124
    ecall
    j again
    .data
    .balign 8
counter: .dword 41
S
riscv64-linux-gnu-gcc -nostdlib -static -o user user.S || exit 1
symbol() { riscv64-linux-gnu-nm user | awk -v n="$1" '$3 == n { print "0x" $1 }'; }
mkdir -p root/bin root/proc root/dev; cp "$kit/busybox/riscv64/busybox" root/bin; cp user root/bin
cat > root/init <<'S'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox echo "READY"
/bin/busybox grep -wE "start_kernel|kernel_init|system_state|linux_banner|ksys_read|schedule" /proc/kallsyms
/bin/busybox echo "CPUS $(/bin/busybox grep -c ^processor /proc/cpuinfo)"
exec /bin/user
S
sed -i 's/^\\#/#/' root/init; chmod +x root/init
(cd root && find . | cpio -o -H newc 2> /dev/null | gzip > ../i.gz)

# 1. A run without a stop tells the kernel's addresses (its System.map is not in the package), and then is caught in flight.
boot -smp 2
for _ in $(seq 300); do grep -q '^CPUS' out && break; sleep 0.1; done
address() { awk -v n="$1" '$3 == n || $3 == n "\r" { print "0x" $1 }' out | head -1; }
start_kernel=$(address start_kernel) system_state=$(address system_state) banner=$(address linux_banner) schedule=$(address schedule)
if grep -q '^CPUS 2' out && [ -n "$start_kernel" ]; then ok "the kernel boots with a debugger's socket and two processors"; else bad "the kernel boots" "$(tail -3 out)"; fi
gdb_run -ex 'info threads' -ex "x/s $banner" -ex "hbreak *$(symbol landmark)" -ex 'continue' -ex 'printf "priv=%d\n", $priv' -ex 'x/i $pc' \
    -ex 'stepi' -ex 'x/i $pc' -ex 'delete' -ex "watch *(long *)$(symbol counter)" -ex 'continue' -ex 'x/i $pc' -ex 'delete' \
    -ex "rwatch *(long *)$(symbol counter)" -ex 'continue' -ex 'x/i $pc' -ex 'delete' -ex 'maintenance packet qqemu.sstepbits' \
    -ex 'maintenance packet qqemu.PhyMemMode' -ex 'maintenance packet Qqemu.PhyMemMode:1' -ex 'x/4xb 0x80000000' -ex 'maintenance packet Qqemu.PhyMemMode:0' \
    -ex 'monitor info cpus' -ex 'printf "satp=%lx\n", $satp' -ex 'detach'
has "two threads of one process" '1\.2.*CPU#1'
has "the kernel's memory through its page tables" 'Linux version'
has "a breakpoint in a program" "hit Breakpoint|Breakpoint 1, "
has "which runs in user mode" '^priv=0'
has "a step" "=> $(symbol back):|=> 0x0*$(symbol back | sed 's/0x0*//'):"
has "a watchpoint on its variable" 'Hardware watchpoint 2'
has "with both values" '^New value = 4[0-9]|^New value = [0-9]+'
has "a watchpoint of reads" 'Hardware read watchpoint 3'
has "QEMU's steps" 'ENABLE=1,NOIRQ=2,NOTIMER=4'
has "physical memory" '0x80000000:'
has "the monitor" 'CPU #1: thread_id='
has "control registers" '^satp=[9a8]'
if kill -0 $machine 2> /dev/null; then ok "the machine goes on without the debugger"; else bad "the machine goes on without the debugger"; fi
gdb_run -ex 'info registers pc' -ex 'kill'
has "another debugger" '^pc '
sleep 1; if kill -0 $machine 2> /dev/null; then bad "killed by the debugger"; else ok "killed by the debugger"; fi
end

# 2. From the reset vector on: a breakpoint at a kernel address before there are page tables.
boot -smp 2 -S
gdb_run -ex 'info registers pc' -ex 'x/2i $pc' -ex 'stepi' -ex 'info registers pc' -ex "hbreak *$start_kernel" -ex 'continue' -ex 'printf "at=%lx priv=%d\n", $pc, $priv' \
    -ex 'x/i $pc' -ex 'stepi 20' -ex 'delete' -ex "watch *(int *)$system_state" -ex 'continue' -ex 'info threads' -ex 'delete' -ex "break *$schedule" -ex 'continue' -ex 'printf "at=%lx\n", $pc' -ex 'backtrace 2' -ex 'detach'
has "stands at the reset vector" '^pc +0x1000'
has "steps there" '^pc +0x1004'
has "a breakpoint before the page tables" "^at=${start_kernel#0x} priv=1"
has "a watchpoint on the kernel's variable" '^New value = 1'
has "a software breakpoint in the kernel" "^at=${schedule#0x}"
for _ in $(seq 300); do grep -q '^CPUS' out && break; sleep 0.1; done
if grep -q '^CPUS 2' out; then ok "and the kernel boots on"; else bad "and the kernel boots on" "$(tail -3 out)"; fi
# 3. Ctrl-C.
timeout -k 2 30 gdb-multiarch -nx -nh -batch -ex 'set confirm off' -ex 'set architecture riscv:rv64' -ex "target remote $work/socket" \
    -ex 'echo ready\n' -ex 'continue' -ex 'info threads' -ex 'kill' < /dev/null > session 2>&1 & debugger=$!
for _ in $(seq 100); do grep -q ready session && break; sleep 0.1; done
sleep 1; kill -INT "$(pgrep -P $debugger gdb-multiarch)"; wait $debugger
has "an interrupt stops all" 'SIGINT'
end

# 4. Rubbish.
begin -bios none -S
timeout 20 perl -MIO::Socket::UNIX -e '
    srand 7;
    for my $turn (1 .. 30) {
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no socket";
        for (1 .. 50) {
            my $body = (qw(g G p P m M X Z0, z0, z1,ffffffffffffffff, Z1,ffffffffffffffff, Z2, z2, H vCont; qXfer:features:read: qRcmd, qSearch:memory: qCRC: T ? qqemu. Qqemu.sstep= Qqemu.PhyMemMode:))[rand 22]
                . join("", map { my @c = (0 .. 9, "a" .. "f", ",", ";", ":", "-", "p", "."); $c[rand @c] } 1 .. rand 30);
            my $sum = 0; $sum += ord for split //, $body;
            print $s (rand() < 0.2 ? join("", map { chr rand 256 } 1 .. 40) =~ s/[\$k]//gr : sprintf("\$%s#%02x", $body, $sum & 255));
        }
        close $s;
    }' "$work/socket" > session 2>&1; status=$?
if [ $status = 0 ] && kill -0 $machine; then ok "a debugger that sends rubbish"; else bad "a debugger that sends rubbish" "status $status"; fi
end
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
