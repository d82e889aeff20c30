#!/bin/bash
# make-initrd.sh KIT OUT   an initrd for the display tests: busybox, the modules of displays and input, and a shell on tty1.
# It says "READY" on the serial port, and lists there what pointers send.
set -euo pipefail
kit=$1 out=$2 guest=$(dirname "$(readlink -f "$0")")/init.sh tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,mods,tmp}
cp "$kit/busybox/riscv64/busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
python3 "$REPO/../shared/guest-kit/modorder.py" "$kit/kernel/riscv64/modules" "$tree/mods" virtio_mmio virtio-gpu bochs virtio_input evdev > /dev/null
cp "$guest" "$tree/init"
chmod +x "$tree/init"
(cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) > "$out"
