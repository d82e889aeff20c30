#!/bin/bash
# run.sh   The machine's monitor end to end: run states, hot-plug, resets and disks with a real guest, by QEMU's own Python
# client; arguments compared with QEMU 10's. ONLY=NAME runs one part. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
data=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
venv=$APUS_CACHE/qmp-venv
if [ ! -e "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import qemu.qmp' 2> /dev/null; then
    say "fetching the Python client"
    python3 -m venv "$venv" >&2 && "$venv/bin/pip" install -q qemu.qmp >&2 || exit 1
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$here/make-initrd.sh" "$work/initrd" || exit 1
# The same with the drivers of SCSI disks.
mkdir "$work/scsi"
(cd "$work/scsi" && "$here/../Disks/initrd.sh" ../disks && zcat ../disks | cpio -id --quiet && cp "$here/guest.sh" init && sed -i '/^for m in/s/.*/for m in \/mods\/*.ko; do $B insmod $m 2>\/dev\/null; done/' init && find . | cpio -o -H newc --quiet | gzip -1 > ../scsi-initrd) || exit 1
truncate -s 4M "$work/disk.img" "$work/disk2.img"
reference=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
TMPDIR=$work timeout 600 "$venv/bin/python" "$here/monitor.py" "$executable" \
    "$data/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" "$data/kernel/riscv64/vmlinuz" "$work/initrd" "$work" $reference 2> >(grep -v -e '^$' >&2)
