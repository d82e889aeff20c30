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
if [ ! -e "$GK_DATA/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" ]; then
    say "fetching OpenSBI"
    (set +u; . "$kit/lib.sh"; gk_unpack "$GK_DATA/firmware" $(gk_fetch trixie amd64 opensbi)) >&2
fi
if [ ! -e "$GK_DATA/firmware/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd" ]; then
    say "fetching EDK2"
    (set +u; . "$kit/lib.sh"; gk_unpack "$GK_DATA/firmware" $(gk_fetch trixie amd64 qemu-efi-riscv64)) >&2
fi
if [ "${1:-}" = boot ]; then
    if [ ! -e "$GK_DATA/firmware/usr/lib/u-boot/qemu-riscv64/u-boot.bin" ]; then
        say "fetching U-Boot"
        (set +u; . "$kit/lib.sh"; gk_unpack "$GK_DATA/firmware" $(gk_fetch trixie amd64 u-boot-qemu)) >&2
    fi
    if [ ! -e "$GK_DATA/firmware/usr/lib/grub/riscv64-efi/monolithic/grubriscv64.efi" ]; then
        say "fetching GRUB"
        (set +u; . "$kit/lib.sh"; gk_unpack "$GK_DATA/firmware" $(gk_fetch trixie riscv64 grub-efi-riscv64-unsigned)) >&2
    fi
    if [ ! -e "$GK_DATA/netboot/riscv64/riscv64/text/debian-installer/riscv64/linux" ]; then
        say "fetching Debian's installer"
        "$kit/get.sh" netboot riscv64 >&2
    fi
fi
echo "$GK_DATA"
