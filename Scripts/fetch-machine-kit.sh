#!/bin/bash
# fetch-machine-kit.sh [boot]   what tests of machines boot, out of Debian trixie's packages, in the guest kit's folder ($GK_DATA), which
# it prints: firmware/…/fw_dynamic.bin, firmware/usr/share/qemu-efi-riscv64, kernel/riscv64/{vmlinuz,modules}, busybox/riscv64/busybox, initrd/riscv64.cpio.gz;
# for tests of booting also firmware/usr/lib/u-boot, firmware/usr/lib/grub/riscv64-efi/monolithic and netboot/riscv64.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"
export GK_DATA=${GK_DATA:-${GUEST_KIT:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/guest-kit}}
kit=$REPO/../shared/guest-kit
if [ ! -e "$GK_DATA/initrd/riscv64.cpio.gz" ] || [ ! -e "$GK_DATA/kernel/riscv64/vmlinuz" ]; then
    [ -x "$kit/get.sh" ] || die "no guest kit beside this checkout, and nothing in $GK_DATA"
    say "fetching Debian's riscv64 kernel and busybox into $GK_DATA"
    "$kit/get.sh" initrd riscv64 >&2    # and what it is made of
fi
firmware() {    # firmware NAME FILE ARCH PACKAGE: unpacks PACKAGE where its FILE is missing
    [ -e "$GK_DATA/firmware/usr/$2" ] && return
    say "fetching $1"
    (set +u; . "$kit/lib.sh"; gk_unpack "$GK_DATA/firmware" $(gk_fetch trixie "$3" "$4")) >&2
}
firmware OpenSBI lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin amd64 opensbi
firmware EDK2 share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd amd64 qemu-efi-riscv64
if [ "${1:-}" = boot ]; then
    firmware U-Boot lib/u-boot/qemu-riscv64/u-boot.bin amd64 u-boot-qemu
    firmware GRUB lib/grub/riscv64-efi/monolithic/grubriscv64.efi riscv64 grub-efi-riscv64-unsigned
    if [ ! -e "$GK_DATA/netboot/riscv64/riscv64/text/debian-installer/riscv64/linux" ]; then
        say "fetching Debian's installer"
        "$kit/get.sh" netboot riscv64 >&2
    fi
fi
echo "$GK_DATA"
