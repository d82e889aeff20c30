#!/bin/bash
# run.sh [SECONDS]   a machine of four processors under load for SECONDS (600): stress-ng (processors, memory, forks, signals, futexes,
# files) while balloons and hot-plugged disks and cards come and go; before it fio with verification on every kind of disk, and iperf3
# over user-mode and tap networking. The kernel complains of nothing, nothing is lost; after `sync` and kill -9, fsck finds nothing.
# As root (a tap in a network namespace). Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
if [ -z "${APUS_IN_NAMESPACE:-}" ]; then  # what comes over the network, before there is none
    "$SCRIPTS/install-packages.sh" load && kit=$("$SCRIPTS/fetch-machine-kit.sh") && root=$("$SCRIPTS/fetch-root.sh" riscv64 load) || exit 1
    export APUS_IN_NAMESPACE=1 kit root; exec unshare -n "$0" "$@"
fi
seconds=${1:-600}
executable=${APUS:-$REPO/.build/release/apus}
work=$(mktemp -d) processes=(); trap 'kill -9 "${processes[@]}" 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok      $*"; }
bad() { failed=$((failed + 1)); echo "FAILED  $*"; }
has() { if grep -qaE "$2" console; then ok "$1"; else bad "$1: no '$2' on the console"; fi; }

MODULES="virtio_mmio virtio_pci virtio_blk virtio_net virtio_balloon 9pnet_virtio 9p overlay ext4 crc32c_generic virtio_scsi sd_mod nvme ahci xhci_pci uas usb_storage e1000e" \
    bash "$here/../Disks/initrd.sh" base || exit 1
mkdir overlay && cp "$here/guest.sh" overlay/script && (cd overlay && find . | cpio -o -H newc -R 0:0 --quiet | gzip) > overlay.gz && cat base overlay.gz > initrd
truncate -s 2G disk.raw && mkfs.ext4 -q disk.raw
for name in virtio scsi nvme ahci usb; do truncate -s 64M "$name.raw"; done
"$executable" img create -q -f qcow2 plugged.qcow2 64M
ip link set lo up
ip tuntap add dev apus0 mode tap && ip addr add 192.168.77.1/24 dev apus0 && ip link set apus0 up || exit 1
iperf3 -s > server.log 2>&1 & processes+=($!)

"$executable" system -M virt -smp 4 -m 1536M -nographic -no-reboot -bios "$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" -kernel "$kit/kernel/riscv64/vmlinuz" -initrd initrd \
    -append "console=ttyS0 quiet load.seconds=$seconds load.speed=$((seconds / 60 + 3))" -serial file:console -monitor "unix:monitor,server=on,wait=off" \
    -virtfs "local,path=$root,mount_tag=root,security_model=none,readonly=on" -drive file=disk.raw,format=raw,if=virtio -drive file=virtio.raw,format=raw,if=virtio \
    -device virtio-scsi-pci -drive file=scsi.raw,format=raw,if=none,id=s -device scsi-hd,drive=s -drive file=nvme.raw,format=raw,if=none,id=n -device nvme,drive=n,serial=1 \
    -device ahci,id=a -drive file=ahci.raw,format=raw,if=none,id=i -device ide-hd,drive=i,bus=a.0 -device qemu-xhci -drive file=usb.raw,format=raw,if=none,id=u -device usb-storage,drive=u \
    -netdev user,id=user -device virtio-net-pci,netdev=user -netdev tap,id=tap,ifname=apus0,script=no,downscript=no -device virtio-net-pci,netdev=tap \
    -device virtio-balloon-pci,id=balloon -device pcie-root-port,id=port0,chassis=1,slot=1 -device pcie-root-port,id=port1,chassis=2,slot=2 < /dev/null > out 2>&1 & machine=$!; processes+=($machine)

tell() { printf '%s\n' "$@" | python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect("monitor"); s.settimeout(20)
def prompt():
    seen = b""
    while not seen.endswith(b"(qemu) "): seen += s.recv(4096)
    return seen.decode(errors="replace")
prompt()
for line in sys.stdin:
    s.sendall(line.encode()); print(prompt())' 2>&1; }
deadline=$((SECONDS + 1200)); until grep -qa '^STRESS' console 2> /dev/null; do kill -0 $machine 2> /dev/null && [ $SECONDS -lt $deadline ] || break; sleep 1; done
rounds=0 refused=0
deadline=$((SECONDS + seconds * 3 + 300))
while ! grep -qa '^SYNCED' console && kill -0 $machine 2> /dev/null && [ $SECONDS -lt $deadline ]; do
    if ! grep -qa '^STRESSED' console; then
        tell "balloon 1024" "drive_add 0 file=plugged.qcow2,format=qcow2,if=none,id=p" "device_add virtio-blk-pci,drive=p,id=plugged,bus=port0" "netdev_add user,id=more" "device_add e1000e,netdev=more,id=card,bus=port1" > log; sleep 8
        tell "info balloon" "balloon 1536" "device_del plugged" "device_del card" >> log
        # The guest has its time to let them go.
        for _ in $(seq 180); do sleep 1; tell "info qtree" > tree; grep -qE 'id "(plugged|card)"' tree || break; done
        tell "netdev_del more" >> log
        grep -qE 'id "(plugged|card)"' tree && echo "Error: not unplugged" >> log
        grep -qE 'Error|not found|Duplicate' log && { refused=$((refused + 1)); grep -E 'Error|not found|Duplicate' log | head -2; }
        rounds=$((rounds + 1))
    fi
    sleep 1
done
sleep 3; kill -9 $machine 2> /dev/null; wait $machine 2> /dev/null
grep -aE '^(PROCESSORS|IPERF3|FIO|BROKEN|LOST|STRESSED|COMPLAINTS|SAID)|metrc' console
[ "$rounds" -gt 0 ] && [ $refused = 0 ] && ok "$rounds times a balloon, a disk and a card" || bad "hot-plug: $refused of $rounds rounds: $(cat out)"
[ "$(grep -ca '^UNPLUGGED' console)" -ge $((2 * rounds)) ] && ok "the guest has had them" || bad "plugged: $(grep -ca '^PLUGGED' console), unplugged: $(grep -ca '^UNPLUGGED' console)"
has "four processors" '^PROCESSORS 4'
for network in user tap; do for way in up -R; do has "iperf3 over $network ($way)" "^IPERF3 $network $way [1-9]"; done; done
for disk in vdb sda sdb sdc nvme0n1; do has "fio on $disk" "^FIO $disk "; done
has "stress-ng" '^STRESSED 0'
has "the kernel complains of nothing" '^COMPLAINTS 0'
has "the end" '^SYNCED'
grep -qaE '^(BROKEN|LOST)' console && bad "something was lost or broken"
sum=$(grep -a '  last' console | cut -d' ' -f1 | tr -dc 0-9a-f)
e2fsck -p disk.raw > fsck 2>&1; e2fsck -fn disk.raw >> fsck 2>&1 && ok "fsck after kill -9" || bad "fsck: $(cat fsck)"
debugfs -R "dump /last last" disk.raw 2> /dev/null
[ -n "$sum" ] && [ "$(sha256sum < last | cut -d' ' -f1)" = "$sum" ] && ok "what was synced is there" || bad "the synced file is another"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
