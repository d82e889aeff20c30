#!/bin/bash
# make-initrd.sh FILE   the kit's initrd with guest.sh for /init
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
data=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
firmware=$data/kernel/riscv64/modules/kernel/drivers/firmware/qemu_fw_cfg.ko.xz
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
(cd "$folder" && zcat "$data/initrd/riscv64.cpio.gz" | cpio -id --quiet && cp "$here/guest.sh" init && xz -dc "$firmware" > mods/99-qemu_fw_cfg.ko && chmod +x init && find . | cpio -o -H newc --quiet | gzip -1) > "$1"
