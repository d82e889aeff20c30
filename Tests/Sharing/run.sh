#!/bin/bash
# run.sh   What guest and host share, with Debian's kernel: folders over 9P in each security model, also of QEMU 10 with the same
# script; vsock both ways over Unix sockets; the balloon, memory given back, what an idle machine takes. Ends with 'N passed,
# N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
ten=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin kernel=$kit/kernel/riscv64/vmlinuz
work=$(mktemp -d)
processes=()
trap 'for process in "${processes[@]}"; do kill "$process" 2> /dev/null; done; rm -rf "$work"' EXIT
cd "$work" || exit 1
riscv64-linux-gnu-gcc -O2 -Wall -static -o sharing "$here/sharing.c" && gcc -O2 -o generate "$here/generate.c" && "$here/initrd.sh" base.gz sharing || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
has() { if grep -qaE -- "$3" "$2"; then ok; else bad "$1: no '$3' in: $(tail -3 "$2" | tr '\n' ' ' | cut -c1-300)"; fi; }
boot() {    # boot OUT apus|qemu SCRIPT OPTION…
    local out=$1 emulator script=$3 folder; folder=$(mktemp -d -p "$work")
    case $2 in apus) emulator=("$executable" system);; qemu) emulator=("$ten");; esac
    shift 3
    printf '. /guest.sh\n%s\n' "$script" > "$folder/script"
    (cd "$folder" && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > "$folder/initrd.gz"
    timeout 600 "${emulator[@]}" -M virt -m 256M -nographic -bios "$firmware" -kernel "$kernel" -initrd "$folder/initrd.gz" \
        -append "console=ttyS0 quiet" "$@" < /dev/null 2>&1 | tr -d '\r' > "$out"
    [ "${PIPESTATUS[0]}" = 0 ] && ok || bad "$*: $(tail -1 "$out")"
}
refuse() {  # refuse TEXT OPTION…: one line that has the text
    local text=$1; shift
    timeout 60 "$executable" system -M virt -display none -bios none "$@" > out 2>&1 < /dev/null
    local status=$?
    if [ $status -gt 0 ] && [ $status -lt 3 ] && [ "$(wc -l < out)" = 1 ] && grep -qF -- "$text" out; then ok; else bad "$*: $(head -2 out)"; fi
}
folder() {  # folder NAME: one to share, with links that lead out of it
    mkdir -p "$1/inner"; echo "the host's secret" > secret; echo "from the host" > "$1/given"; ln -s ../secret "$1/out"; ln -s ../../secret "$1/inner/out"
}
shared() {  # shared OUT FOLDER RESULT…: the guest got so far, and what it wrote is there
    local out=$1 folder=$2 result; shift 2
    for result in "$@"; do has "$folder" "$out" "^RESULT $result\$"; done
    if [ "$(sha256sum < "$folder/data" | sed 's/ .*//')" = "$(sed -n 's/^SUM data //p' "$out")" ]; then ok; else bad "$folder: not what the guest wrote"; fi
    if grep -q ESCAPED "$out"; then bad "$folder: $(grep ESCAPED "$out")"; else ok; fi
}
files="contents given append truncate rename rename-under-foot symlink link unlinked rmdir long-name"
own="mode owner time nodes pipe umask"

say "folders"
folder pass
boot one apus 'share tag; contents; names; owners; many 400; tree; sharing xattr /mnt/data; escapes' -virtfs local,path=pass,mount_tag=tag,security_model=passthrough
shared one pass $files $own many removed tree escapes
has "extended attributes" one '^XATTR ok'
folder theirs
boot two qemu 'share tag; contents; names; owners; many 200; tree; sharing xattr /mnt/data; escapes' -virtfs local,path=theirs,mount_tag=tag,security_model=passthrough
shared two theirs $files $own many removed tree escapes
# Both have left the same behind.
list() { (cd "$1" && find . ! -name data ! -name 'tree.tar' -printf '%p %y %m %s %l\n' | sed -E 's/^(\S+ d [0-7]+) [0-9]+/\1/' | sort); }
if diff <(list pass) <(list theirs) > difference; then ok; else bad "the folders differ: $(head -4 difference)"; fi
for model in mapped-xattr mapped-file; do
    folder "$model"
    boot three apus 'share tag cache=loose; contents; names; owners; tree; sharing xattr /mnt/data; ls -a /mnt | grep -c virtfs; escapes' \
        -fsdev "local,id=f,path=$model,security_model=$model" -device virtio-9p-device,fsdev=f,mount_tag=tag
    shared three "$model" $files $own tree escapes
    has "$model: attributes" three '^XATTR ok'
    has "$model: what is kept is hidden" three '^0$'
    [ "$(stat -c %u:%a "$model/owned")" = "$(id -u):600" ] && ok || bad "$model: owned is $(stat -c %u:%a "$model/owned")"
    # QEMU sees the same owners in it.
    [ "$model" = mapped-file ] || [ -n "${APUS_FULL:-}" ] || continue
    boot four qemu 'share tag; stat -c "SEEN %u:%g %a" /mnt/owned; stat -c "SEEN %F %t:%T" /mnt/null; cat /mnt/a/link' -virtfs "local,path=$model,mount_tag=tag,security_model=$model"
    has "$model: QEMU's view" four '^SEEN 1234:567 751'
    has "$model: QEMU's view of a device" four '^SEEN character special file 1:3'
done
folder readonly
boot five apus 'share tag; cat /mnt/given; for c in "touch /mnt/x" "rm /mnt/given" "mkdir /mnt/x" "mv /mnt/given /mnt/x" "chmod 777 /mnt/given"; do $c 2>&1 | grep -c "Read-only"; done' \
    -virtfs local,path=readonly,mount_tag=tag,security_model=none,readonly=on
has "read" five '^from the host'
[ "$(grep -c '^1$' five)" = 5 ] && [ ! -e readonly/x ] && ok || bad "readonly: $(tail -5 five | tr '\n' ' ')"

say "vsock"
./generate 64 > stream
python3 "$here/host.py" exchange stream HOST v.sock 77 > host1 2>&1 & a=$!; processes+=($a)
python3 "$here/host.py" exchange stream THERE listen:v.sock_88 > host2 2>&1 & b=$!; processes+=($b)
(python3 "$here/host.py" echo v.sock 99 40; python3 "$here/host.py" garbage v.sock) > host3 2>&1 & c=$!; processes+=($c)
python3 "$here/host.py" close v.sock_66 > host4 2>&1 & processes+=($!)
boot six apus 'sharing cid; sharing refused 4; sharing serve 77 64; sharing connect 88 64; sharing killed 66; sharing echo 99 40; sleep 3' -smp 2 -device vhost-vsock-pci,guest-cid=42,uds-path=v.sock
wait $a $b $c
has "the guest's number" six '^CID 42'
has "nobody is there" six '^REFUSED ok'
[ "$(grep -c '^GOT 67108864 ' six)" = 2 ] && [ "$(grep -E '^(GOT|SENT)' six | awk '{ print $3 }' | sort -u | wc -l)" = 1 ] && ok || bad "64 MiB to the guest: $(grep -E '^(GOT|SENT)' six | tr '\n' ' ')"
has "64 MiB from the guest, which the host called" host1 '^HOST SAME 67108864'
has "64 MiB from the guest, which called the host" host2 '^THERE SAME 67108864'
has "the host goes away" six '^KILLED (Connection reset by peer|Broken pipe)'
has "forty connections" host3 '^ECHO 40'
has "forty connections, in the guest" six '^ECHOED 40 '
has "what is no CONNECT" host3 '^GARBAGE 6'
[ ! -e v.sock ] && ok || bad "the socket is left behind"
python3 "$here/host.py" exchange stream MMIO w.sock 77 > host5 2>&1 & a=$!; processes+=($a)
boot seven apus 'sharing cid; sharing serve 77 64' -device vhost-vsock-device,guest-cid=7,uds-path=w.sock
wait $a
has "memory-mapped registers" host5 '^MMIO SAME 67108864'

say "the balloon"
# Memory in use, given back, in use again; statistics; what the guest frees is not the host's any more.
python3 "$here/balloon.py" m.sock > host6 2>&1 & a=$!; processes+=($a)
boot eight apus 'use() { mount -t tmpfs -o size=$1m none /tmp; dd if=/dev/urandom of=/tmp/big bs=1M count=$1 2>/dev/null; sha256sum < /tmp/big > /sum; }
use 100; [ "$(sha256sum < /tmp/big)" = "$(cat /sum)" ] && echo USED; rm /tmp/big; umount /tmp
echo FREED; sleep 8; while [ "$(sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)" -gt 180000 ]; do sleep 1; done; echo SMALL
n=0; while [ $n -lt 5 ]; do use 20; [ "$(sha256sum < /tmp/big)" = "$(cat /sum)" ] || echo DAMAGED; umount /tmp; n=$((n + 1)); done; echo LOADED
while [ "$(sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)" -lt 180000 ]; do sleep 1; done; use 100; [ "$(sha256sum < /tmp/big)" = "$(cat /sum)" ] && echo LARGE; sleep 1' \
    -device virtio-balloon-pci,id=b,free-page-reporting=on -qmp unix:m.sock,server=on,wait=off
wait $a
for word in USED SMALL LOADED LARGE; do has "balloon" eight "^$word"; done
grep -q DAMAGED eight && bad "balloon: damaged" || ok
for word in STATISTICS SMALLER "BALLOON_CHANGE" LARGER REPORTED; do has "balloon, outside" host6 "^$word"; done

say "an idle machine"
# What the process has resident, but for the guest's memory, which is a mapping with a name here: 60 MiB are wanted.
(echo '. /guest.sh; echo IDLE; sleep 1000' > script && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > idle.gz
"$executable" system -object memory-backend-memfd,id=m,size=256M -M virt,memory-backend=m -m 256M -nographic -bios "$firmware" \
    -kernel "$kernel" -initrd idle.gz -append "console=ttyS0 quiet" < /dev/null > nine 2>&1 & machine=$!; processes+=($machine)
for _ in {1..120}; do grep -qa '^IDLE' nine && break; sleep 1; done; sleep 4
read -r guest other < <(awk '/^[0-9a-f]+-/ { named = /memfd:m / } /^Rss:/ { if (named) guest += $2; else other += $2 } END { print guest, other }' "/proc/$machine/smaps")
kill $machine 2> /dev/null; wait $machine 2> /dev/null
has "an idle machine" nine '^IDLE'
[ "$guest" -gt 60000 ] && [ "$other" -lt $((60 * 1024)) ] && ok || bad "an idle machine has $other kB beside $guest kB of the guest's memory"

say "what is refused"
refuse "no security_model is given" -fsdev local,id=a,path=.
refuse "driver 'synth' is not supported" -fsdev synth,id=a
refuse "'nowhere': No such file" -virtfs local,path=nowhere,mount_tag=t,security_model=none
refuse "no mount_tag is given" -virtfs local,path=.,security_model=none
refuse "there is no fsdev 'x'" -device virtio-9p-pci,fsdev=x,mount_tag=t
refuse "property 'mount_tag' is required" -fsdev local,id=a,path=.,security_model=none -device virtio-9p-pci,fsdev=a
refuse "property 'throttling.bps-total' is not supported" -fsdev local,id=a,path=.,security_model=none,throttling.bps-total=1
refuse "fmode needs a mapped security_model" -fsdev local,id=a,path=.,security_model=none,fmode=0644
refuse "property 'guest-cid' is 2" -device vhost-vsock-pci,guest-cid=2
refuse "property 'guest-cid' is required" -device vhost-vsock-pci

echo "$passed passed, $failed failed"
[ $failed = 0 ]
