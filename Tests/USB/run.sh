#!/bin/bash
# run.sh   USB of machines end to end with Debian's kernel: controllers, disks, keyboards, tablets, hot-plug, beside QEMU 10.
# ONLY=NAME runs one part. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
reference=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$here/make-initrd.sh" "$work/initrd" || exit 1
timeout 900 python3 "$here/usb.py" "$executable" "$reference" "$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" "$kit/kernel/riscv64/vmlinuz" "$work/initrd" "$work"
