#!/bin/bash
# run.sh   Disks of machines with Debian's kernel: virtio-blk, SCSI disks and CD-ROMs over virtio-scsi, NVMe, SATA. Trays, pvpanic, edu and pci-serial. The guest writes,
# reads back, discards, makes a file system; the host then looks at the image itself. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin
kernel=$kit/kernel/riscv64/vmlinuz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
"$here/initrd.sh" base.gz || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
boot() {    # boot SCRIPT OPTION…: what the guest prints is in out
    local script=$1; shift
    mkdir -p own; { cat "$here/check"; printf '%s\n' "$script"; } > own/script
    (cd own && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz
    timeout 300 "$executable" system -M virt -m 256M -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" "$@" < /dev/null > raw 2>&1
    local status=$?
    tr -d '\r' < raw > out
    [ $status = 0 ] && ok || bad "$*: status $status"
}
found() { local text; for text in "$@"; do if grep -q -- "$text" out; then ok; else bad "no '$text'"; tail -1 out; fi; done; }
image() { rm -f "$1"; truncate -s 32M "$1"; }
same() {    # same IMAGE: the second writer's 4 MiB are in it
    local sum; sum=$(dd if="$1" bs=1M skip=8 count=4 2> /dev/null | sha256sum | sed 's/ .*//')
    if grep -q "^SUM $sum" out; then ok; else bad "$1: not what the guest wrote"; fi
}
refuse() {  # refuse TEXT OPTION…
    local text=$1; shift
    timeout 60 "$executable" system -M virt -nographic -bios "$firmware" "$@" < /dev/null > out 2>&1
    local status=$?
    if [ $status = ${wanted:-1} ] && grep -q -- "$text" out && [ "$(wc -l < out)" = 1 ]; then ok; else bad "$*: status $status: $(head -2 out)"; fi
}
none() { printf 'file=%s,if=none,id=%s,format=%s,discard=unmap' "$1" "$2" "${3:-raw}"; }

say "virtio-blk"
image a.img; image b.img; image c.img
"$executable" img create -f qcow2 d.qcow2 32M > /dev/null
boot 'for d in vda vdb vdc; do check /dev/$d; done; check /dev/vdd; files /dev/vda
for d in vda vdb vdc; do echo "$d serial $(cat /sys/block/$d/serial) cache $(cat /sys/block/$d/queue/write_cache) queues $(ls /sys/block/$d/mq | wc -l)"; done
echo "write through" > /sys/block/vda/cache_type; echo "vda now $(cat /sys/block/vda/cache_type)"; dd if=/dev/zero of=/dev/vde bs=4k count=1 2>&1 | grep -c permitted; cat /sys/block/vde/ro' \
    -smp 2 -drive "$(none a.img a)" -drive "$(none b.img b)" -drive "$(none c.img c),cache=none" -drive "$(none d.qcow2 d qcow2)" -drive "$(none a.img e),readonly=on" \
    -device virtio-blk-pci,drive=a,serial=first -device virtio-blk-pci,drive=b,packed=on,num-queues=2 -device virtio-blk-pci,drive=c,num-queues=1,write-cache=off \
    -device virtio-blk-pci,drive=d -device virtio-blk-pci,drive=e
for disk in a b c d; do found "RESULT /dev/vd$disk data" "RESULT /dev/vd$disk discard" "RESULT /dev/vd$disk neighbours"; done
found "RESULT /dev/vda files" "vda serial first cache write back" "vdb serial  cache write back queues 2" "vdc serial  cache write through queues 1" "vda now write through"
same b.img; same c.img
"$executable" img check d.qcow2 > /dev/null && ok || bad "d.qcow2 is damaged"
"$executable" img convert -O raw d.qcow2 d.raw && same d.raw
image a.img
boot 'check /dev/vda; files /dev/vda' -smp 1 -drive "$(none a.img a)" -device virtio-blk-device,drive=a
found "RESULT /dev/vda data" "RESULT /dev/vda discard" "RESULT /dev/vda files"

say "SCSI"
image a.img; image b.img
{ head -c 32768 /dev/zero; seq 1 200000 | head -c 591872; } > cd.iso
sum=$(sha256sum < cd.iso | sed 's/ .*//')
boot 'check /dev/sda; files /dev/sda; check /dev/sdb; dd if=/dev/sr0 bs=2k 2>/dev/null | sha256sum | sed "s/^/CD /"
dmesg | grep -c "scsi 0:0:3:2: Direct-Access     Apus     Second" | sed "s/^/named /"; echo "cache $(cat /sys/class/scsi_disk/0:0:0:0/cache_type)"; cat /sys/block/sda/device/vpd_pg80 | tr -d "\0"; echo; cat /sys/block/sr0/capability >/dev/null; cat /sys/block/sr0/ro | sed "s/^/ro /"' \
    -smp 4 -drive "$(none a.img a)" -drive "$(none b.img b)" -drive "$(none cd.iso c),readonly=on" -device virtio-scsi-pci,id=scsi \
    -device scsi-hd,drive=a,bus=scsi.0,serial=ABC123 -device scsi-cd,drive=c -device scsi-hd,drive=b,scsi-id=3,lun=2,vendor=Apus,product=Second
found "RESULT /dev/sda data" "RESULT /dev/sda discard" "RESULT /dev/sda neighbours" "RESULT /dev/sda files" "RESULT /dev/sdb data" "CD $sum" "cache write back" ABC123 "named 1"
same b.img
image a.img
boot 'check /dev/sda' -smp 1 -drive "$(none a.img a)" -device virtio-scsi-device,id=s -device scsi-hd,drive=a,bus=s.0
found "RESULT /dev/sda data"; same a.img

say "NVMe"
image a.img
boot 'check /dev/nvme0n1; files /dev/nvme0n1; cat /sys/class/nvme/nvme0/serial; cat /sys/block/nvme0n1/queue/write_cache' \
    -smp 4 -drive "$(none a.img a)" -device nvme,drive=a,serial=NV-1
found "RESULT /dev/nvme0n1 data" "RESULT /dev/nvme0n1 discard" "RESULT /dev/nvme0n1 neighbours" "RESULT /dev/nvme0n1 files" "NV-1" "write back"
same a.img

say "SATA"
image a.img; image b.img
boot 'check /dev/sda; files /dev/sda; check /dev/sdb; dd if=/dev/sr0 bs=2k 2>/dev/null | sha256sum | sed "s/^/CD /"
for d in sda sdb; do echo "$d cache $(cat /sys/block/$d/queue/write_cache) depth $(cat /sys/block/$d/device/queue_depth) turns $(cat /sys/block/$d/queue/rotational)"; done
cat /sys/block/sda/device/model /sys/block/sr0/device/model; cat /sys/block/sda/device/vpd_pg80 | tr -d "\0"; echo; echo "write through" > /sys/class/scsi_disk/*0:0:0:0/cache_type 2>/dev/null
cat /sys/block/sda/queue/write_cache | sed "s/^/sda now /"; dmesg | grep -E "ata[0-9].*(exception|failed|error|timeout|limiting)"' \
    -smp 2 -drive "$(none a.img a)" -drive "$(none b.img b)" -drive "$(none cd.iso c),readonly=on" -device ich9-ahci,id=ahci0 \
    -device ide-hd,drive=a,bus=ahci0.0,serial=SATA-1,model=First -device ide-cd,drive=c,bus=ahci0.2 -device ide-hd,drive=b,rotation_rate=1,write-cache=off
found "RESULT /dev/sda data" "RESULT /dev/sda discard" "RESULT /dev/sda neighbours" "RESULT /dev/sda files" "RESULT /dev/sdb data" "CD $sum" "sda cache write back depth 32 turns 1" \
    "sdb cache write through depth 32 turns 0" "First" "QEMU DVD-ROM" "SATA-1"
if grep -E "^\[.*(exception|failed|error|timeout|limiting)" out; then bad "the kernel complains"; else ok; fi
same b.img

say "what -drive takes"
image a.img; image b.img; image z.img; printf lower > b.img; truncate -s 32M b.img
dd if=/dev/urandom of=z.img bs=1M count=4 conv=notrunc 2> /dev/null
before=$(sha256sum < a.img)
"$executable" img create -q -f qcow2 -b b.img -F raw copied.qcow2
# As in QEMU, without discard=unmap zeros are not made holes.
boot 'check /dev/vda; head -c 5 /dev/vdb | sed "s/^/READ /"; dd if=/dev/zero of=/dev/vdc bs=1M count=4 oflag=direct 2>/dev/null; head -c 5 /dev/vdd | sed "s/^/FILE /"' \
    -drive file=a.img,if=none,id=a,format=raw,snapshot=on,index=3 -drive file=copied.qcow2,if=none,id=b,copy-on-read=on,werror=report,rerror=report \
    -drive file=z.img,driver=raw,if=none,id=c,discard=unmap,detect-zeroes=unmap,cache.direct=on,file.locking=off -drive driver=raw,file.driver=file,file.filename=b.img,if=none,id=d,read-only=on \
    -device virtio-blk-pci,drive=a -device virtio-blk-pci,drive=b -device virtio-blk-pci,drive=c -device virtio-blk-pci,drive=d
found "RESULT /dev/vda data" "READ lower" "FILE lower"
[ "$(sha256sum < a.img)" = "$before" ] && ok || bad "snapshot=on: the image has changed"
[[ $("$executable" img map --output=json copied.qcow2) =~ ^[^,]*,[^,]*,\ \"depth\":\ 0, ]] && ok || bad "copy-on-read: nothing was copied: $("$executable" img map --output=json copied.qcow2 | head -3)"
[ "$(du -k z.img | cut -f1)" -lt 1024 ] && ok || bad "detect-zeroes=unmap: $(du -k z.img)"

say "media, small PCI devices, requests that fail"
mkdir -p own; printf '%s\n' 'stty -echo; echo GUEST-READY' 'while read -r line; do eval "$line"; echo GUEST-DONE; done' > own/script
(cd own && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz
timeout 600 python3 "$here/media.py" "$executable" system -M virt -m 256M -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" > out
taken() { grep FAILED out; read -r good _ wrong _ < <(tail -1 out | grep passed || echo "0 passed, 1 failed"); passed=$((passed + good)) failed=$((failed + wrong)); }
taken
MODULES="virtio_mmio virtio_blk virtio_scsi sd_mod nvme ahci xhci_pci usb_storage" "$here/initrd.sh" more.gz
(cd own && echo script | cpio -o -H newc --quiet | gzip -1) | cat more.gz - > initrd.gz
timeout 600 python3 "$here/failures.py" "$executable" system -M virt -m 256M -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" > out 2>&1
taken
boot 'for i in 1 2; do cat /dev/vda; done 2>/dev/null | sha256sum | sed "s/^/CD /" ; cat /sys/block/vda/ro | sed "s/^/ro /"' -cdrom cd.iso
found "CD $(cat cd.iso cd.iso | sha256sum | sed 's/ .*//')" "ro 1"

say "what cannot be"
refuse "property 'serial' is required" -drive "$(none a.img a)" -device nvme,drive=a
refuse "there is no bus of kind 'SCSI'" -drive "$(none a.img a)" -device scsi-hd,drive=a
refuse "there is no bus 'other.0'" -drive "$(none a.img a)" -device virtio-scsi-pci,id=s -device scsi-hd,drive=a,bus=other.0
refuse "the bus has a drive already" -drive "$(none a.img a)" -device ahci,id=s -device ide-hd,drive=a,bus=s.0 -device ide-cd,bus=s.0
refuse "Device needs media, but drive is empty" -drive media=cdrom
refuse "Device needs media, but drive is empty" -drive if=none,id=e,media=cdrom -device virtio-scsi-pci -device scsi-hd,drive=e
wanted=2 refuse "werror is 'pause', expected report, ignore, stop, enospc or auto" -drive file=cd.iso,werror=pause
refuse "Invalid parameter 'bogus'" -drive file=cd.iso,format=raw,file.bogus=1
wanted=2 refuse "media is 'tape', expected disk or cdrom" -drive file=cd.iso,media=tape
refuse "has a unit 0 already" -drive "$(none a.img a)" -device virtio-scsi-pci -device scsi-hd,drive=a,scsi-id=1,lun=0 -device scsi-cd,scsi-id=1,lun=0
refuse "chassis 0 slot 0 is 'p' already" -device pcie-root-port,id=p -device pcie-root-port,id=q
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
