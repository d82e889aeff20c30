#!/bin/bash
# run.sh   what boots a machine: U-Boot in S-mode and M-mode, EDK2 with its shell, GRUB from every kind of disk and from the network,
# Debian's installer up to its menus, kernels with every width of addresses and up to eight harts; a disk after its machine was
# killed. Ends with 'N passed, N failed'.   run.sh [--full] [NAME…]
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh" boot) || exit 1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
cat > script <<'END'
echo "MODE $(sed -n 's/^mmu.*: //p' /proc/cpuinfo | sort -u)"
echo "HARTS $(grep -c ^processor /proc/cpuinfo)"
echo "FIRMWARE $([ -d /sys/firmware/efi ] && echo EFI) $([ -d /sys/firmware/acpi ] && echo ACPI) $([ -d /proc/device-tree/cpus ] && echo tree)"
echo "LINE $(cat /proc/cmdline)"
case $(cat /proc/cmdline) in *work=files*)
    mount -t ext4 /dev/vda /mnt || poweroff -f
    for n in 1 2 3 4 5 6 7 8; do cp /bin/busybox /mnt/$n; done; sync; echo "SYNCED $(sha256sum < /bin/busybox)"
    while true; do for n in a b c d e; do cp /bin/busybox /mnt/$n; mkdir -p /mnt/d$n/x/y; mv /mnt/$n /mnt/d$n/x/y/z; rm -rf /mnt/d$n; done; done;;
esac
END
MODULES= "$here/../Disks/initrd.sh" initrd.gz virtio_mmio virtio_blk crc32c_generic ext4 || exit 1
echo script | cpio -o -H newc --quiet | gzip -1 >> initrd.gz
exec python3 "$here/boot.py" "$executable" "$kit" "$work" "$@"
