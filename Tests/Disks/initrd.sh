#!/bin/bash
# initrd.sh OUT [MODULE…]   an initrd (cpio, gzip) with busybox, the kernel's drivers of disks (or $MODULES), MODULEs, and an init that
# runs /script and powers off.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/../../Scripts/cache.sh"
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
modules=$kit/kernel/riscv64/modules
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/{bin,dev,proc,sys,mnt,tmp,mods}
cp "$kit/busybox/riscv64/busybox" "$folder/bin/busybox"
ln -s busybox "$folder/bin/sh"
number=0
declare -A seen
add() {     # add MODULE, after what it needs
    local name=$1 file need
    file=$(find "$modules" -name "$name.ko.xz" -print -quit)
    [ -n "$file" ] || file=$(find "$modules" -name "${name//_/-}.ko.xz" -print -quit)
    [ -n "$file" ] && [ -z "${seen[$file]:-}" ] || return 0
    seen[$file]=1
    xz -dc "$file" > "$folder/tmp/module"
    for need in $(strings "$folder/tmp/module" | sed -n 's/^depends=//p' | tr , ' '); do add "$need"; done
    xz -dc "$file" > "$folder/mods/$(printf %03d $number)-$name.ko"
    number=$((number + 1))
}
for module in ${MODULES:-virtio_mmio virtio_blk sd_mod sr_mod virtio_scsi nvme ahci crc32c_generic ext4 isofs} "${@:2}"; do add "$module"; done
rm -f "$folder/tmp/module"
cat > "$folder/init" <<'END'
#!/bin/sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev 2>/dev/null
exec >/dev/console 2>&1 </dev/console
for module in /mods/*.ko; do $B insmod $module 2>/dev/null; done
$B --install -s /bin; export PATH=/bin
sleep 1
. /script
sync; poweroff -f
END
chmod +x "$folder/init"
(cd "$folder" && find . | cpio -o -H newc --quiet | gzip -1) > "$1"
