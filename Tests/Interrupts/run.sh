#!/bin/bash
# run.sh   Interrupt controllers of machines with Debian's kernel: a PLIC, an APLIC, an APLIC and IMSICs. Disks and networks on PCI
# and in memory-mapped slots are used, then the guest's /proc/interrupts says who interrupted. ACPI tells of each as QEMU 10 does. Ends with
# 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
ten=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin
kernel=$kit/kernel/riscv64/vmlinuz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
"$here/../Disks/initrd.sh" base.gz virtio_net || exit 1
mkdir own; { cat "$here/../Disks/check"; cat "$here/script"; } > own/script
(cd own && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
found() { local text; for text in "$@"; do if grep -qE -- "$text" out; then ok; else bad "$machine, $harts harts: no '$text'"; tail -1 out; fi; done; }
absent() { local text; for text in "$@"; do if grep -qE -- "$text" out; then bad "$machine, $harts harts: '$text'"; else ok; fi; done; }
boot() {    # boot MACHINE HARTS: what the guest prints is in out
    machine=$1 harts=$2
    rm -f a.img b.img; truncate -s 32M a.img b.img
    timeout 400 "$executable" system -M "$machine" -m 256M -smp "$harts" -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" \
        -drive file=a.img,if=none,id=a,format=raw,discard=unmap -drive file=b.img,if=none,id=b,format=raw,discard=unmap \
        -device virtio-blk-pci,drive=a -device virtio-blk-device,drive=b -nic user,model=virtio-net-pci < /dev/null > raw 2>&1
    local status=$?
    tr -d '\r' < raw > out
    [ $status = 0 ] && ok || bad "$machine, $harts harts: status $status"
    found "RESULT /dev/vda data" "RESULT /dev/vda discard" "RESULT /dev/vdb data" "RESULT /dev/vdb discard" "PING yes" "HARTS $harts"
}
refuse() {  # refuse TEXT MACHINE
    timeout 60 "$executable" system -M "$2" -nographic -bios "$firmware" < /dev/null > out 2>&1
    local status=$?
    if [ $status = ${wanted:-1} ] && grep -q -- "$1" out && [ "$(wc -l < out)" = 1 ]; then ok; else bad "$2: status $status: $(head -2 out)"; fi
}

for harts in ${APUS_FULL:+1} 4; do
    say "PLIC, $harts harts"
    boot virt $harts
    found "SiFive PLIC .*ttyS0" "SiFive PLIC .*virtio"; absent APLIC IMSIC "PCI-MSI"
    say "APLIC, $harts harts"
    boot virt,aia=aplic $harts
    found "APLIC-DIRECT .*ttyS0" "APLIC-DIRECT .*virtio"; absent "SiFive PLIC" IMSIC "PCI-MSI"
    say "APLIC and IMSICs, $harts harts"
    boot virt,aia=aplic-imsic,aia-guests=3 $harts
    found "APLIC-MSI-d000000.interrupt-controller .*ttyS0" "APLIC-MSI-d000000.interrupt-controller .*virtio" "PCI-MSIX-0000:00:0[0-9].0 .*virtio[0-9]-req.0" "PCI-MSIX-0000:00:0[0-9].0 .*virtio[0-9]-input.0"
    absent "SiFive PLIC" "APLIC-DIRECT"
    if [ $harts = 4 ]; then found "IPI[0-9]: +[1-9].*Rescheduling"; fi
done
say "ACPI's tables beside QEMU's"
MODULES=qemu_fw_cfg "$here/../Disks/initrd.sh" base.gz
echo 'echo TABLES; head -c 32768 /sys/firmware/qemu_fw_cfg/by_name/etc/acpi/tables/raw | gzip | base64; echo END' > own/script
(cd own && echo script | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz
tables() {  # tables MACHINE HARTS: of both, compared. RHCT differs in the extensions there are, XSDT in where tables lie
    machine=$1 harts=$2
    local options=(-M "$machine" -m 256M -smp "$harts" -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet")
    timeout 400 "$executable" system "${options[@]}" < /dev/null 2>&1 | tr -d '\r' > ours
    timeout 400 "$ten" "${options[@]}" < /dev/null 2>&1 | tr -d '\r' > theirs
    python3 "$here/acpi.py" ours theirs > out
    found "^same APIC" "^same DSDT" "^same FACP" "^same MCFG" "^same SPCR"
}
[ -z "${APUS_FULL:-}" ] || tables virt 2
tables virt,aia=aplic 3; tables virt,aia=aplic-imsic,aia-guests=2 5
say "what cannot be"
wanted=2 refuse "'aia' is 'imsic', expected none, aplic or aplic-imsic" virt,aia=imsic
refuse "spike has no property 'aia'" spike,aia=aplic
wanted=2 refuse "'aia-guests' is '8', expected 0 to 7" virt,aia=aplic-imsic,aia-guests=8
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
