#!/bin/bash
# make-machine.sh ARCH   makes the disk image of a Debian trixie of ARCH that boots, with its own kernel and initial RAM disk,
# in the cache, and prints its folder: disk.raw, vmlinuz, initrd.img. All packages are configured by their own scripts, which
# run through Apus (make-root.sh). Root has no password on the console; the network is asked for by DHCP. Takes some
# minutes the first time.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/namespace.sh"
arch=${1:?usage: make-machine.sh ARCH}
machine=$APUS_CACHE/machine/$arch
if [ ! -e "$machine/complete" ]; then
    "$SCRIPTS/install-packages.sh" machine
    rm -rf "$machine"; mkdir -p "$machine"
    root=$machine/root
    packages=linux-image-$arch,systemd-sysv,systemd-resolved,udev,dbus,iproute2,iputils-ping,procps,kmod,e2fsprogs,login,ca-certificates,less,python3-minimal
    "$SCRIPTS/make-root.sh" --include "$packages" "$arch" "$root"
    say "making the disk image"
    in_namespace bash -euo pipefail -c '
        cd "$1"
        echo apus > etc/hostname
        printf "127.0.0.1 localhost\n127.0.1.1 apus\n" > etc/hosts
        echo "/dev/vda / ext4 defaults,errors=remount-ro 0 1" > etc/fstab
        sed -i "s/^root:[^:]*:/root::/" etc/shadow
        printf "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n" > etc/systemd/network/20-wired.network
        mkdir -p etc/systemd/system/serial-getty@ttyS0.service.d etc/systemd/system/multi-user.target.wants
        printf "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 - \$TERM\n" \
            > etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf
        for unit in systemd-networkd systemd-resolved; do
            ln -sf /usr/lib/systemd/system/$unit.service etc/systemd/system/multi-user.target.wants/$unit.service
        done
        ln -sf ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
        cp "$(ls boot/vmlinu[xz]-* | tail -1)" ../vmlinuz
        cp boot/initrd.img-* ../initrd.img
        rm -f ../disk.raw; truncate -s 4G ../disk.raw
        mke2fs -q -t ext4 -L apus -d . ../disk.raw
        cd ..; find root -delete
    ' - "$root"
    [ -s "$machine/vmlinuz" ] || die "the root has no kernel"
    touch "$machine/complete"
fi
echo "$machine"
