#!/bin/bash
# run.sh [HARTS]   The hypervisor extension: Debian's kernel in a machine runs itself as a guest under its KVM, by a monitor of a hundred
# lines (vmm.c), until the guest powers off. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin kernel=$kit/kernel/riscv64/vmlinuz
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
found() { local text; for text in "$@"; do grep -qa -- "$text" out && ok || bad "no '$text': $(tail -3 out | tr '\n' '|')"; done; }
riscv64-linux-gnu-gcc -O2 -Wall -static -o vmm "$here/vmm.c" || exit 1

# The guest's guest: busybox, and a script. Debian's kernel has no console over SBI but the early one, which the log goes to.
MODULES=" " "$here/../Disks/initrd.sh" inner.gz
mkdir -p inner outer
cat > inner/init << 'END'
#!/bin/sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t devtmpfs dev /dev
$B --install -s /bin; export PATH=/bin
exec > /dev/kmsg 2>&1 < /dev/null
echo "INNER $(uname -m) $(grep -c ^processor /proc/cpuinfo) harts"
echo "INNER sum $(seq 1 100000 | sha256sum | cut -c1-16)"
# Faults, forks and system calls, all through two stages of translation.
i=0; while [ $i -lt 30 ]; do (head -c 300000 /dev/zero | md5sum > /tmp/$i) & i=$((i + 1)); done; wait
echo "INNER same $(cat /tmp/[0-9]* | sort -u | wc -l)"
echo "INNER complaints: $(dmesg | grep -cE 'WARNING:|BUG:|Oops|Call Trace')"
echo "INNER ends"
poweroff -f
END
chmod +x inner/init
(cd inner && echo init | cpio -o -H newc --quiet | gzip -1) | cat inner.gz - > outer/inner.gz
size=$(stat -c %s outer/inner.gz)
python3 "$here/devicetree.py" outer/tree 256 $((0x80000000 + (130 << 20))) $((0x80000000 + (130 << 20) + size)) "earlycon=sbi keep_bootcon printk.devkmsg=on loglevel=5 panic=-1" || exit 1
cp vmm "$kernel" outer/
cat > outer/script << 'END'
ls -l /dev/kvm > /dev/null && echo "OUTER kvm"
/vmm /vmlinuz /tree /inner.gz 256; echo "OUTER status $?"
echo "OUTER complaints: $(dmesg | grep -cE 'WARNING:|BUG:|Oops|Call Trace')"
END
MODULES="kvm" "$here/../Disks/initrd.sh" base.gz
(cd outer && ls | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz
sum=$(seq 1 100000 | sha256sum | cut -c1-16)
for harts in ${1:-2}; do
    timeout 600 "$executable" system -M virt -m 1G -smp $harts -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" < /dev/null > raw 2>&1; status=$?
    tr -d '\r' < raw > out
    [ $status = 0 ] && ok || bad "the machine: status $status"
    found "OUTER kvm" "VMM runs" "INNER riscv64 1 harts" "INNER sum $sum" "INNER same 1" "INNER complaints: 0" "INNER ends" "VMM ended by the guest" "OUTER status 0" "OUTER complaints: 0"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
