#!/bin/bash
# make-initrd.sh OUT   an initrd for the tests of USB: busybox, the modules of xHCI, disks and input, and guest.sh as /init
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,mods,tmp,mnt}
cp "$kit/busybox/riscv64/busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
python3 "$REPO/../shared/guest-kit/modorder.py" "$kit/kernel/riscv64/modules" "$tree/mods" xhci_pci usb_storage usbhid hid_generic evdev sd_mod ext4 > /dev/null
{ cat "$here/guest.sh" "$here/../Disks/check"; echo 'while read -r line; do eval "$line"; echo GUEST-DONE; done'; } > "$tree/init"
chmod +x "$tree/init"
(cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) > "$1"
