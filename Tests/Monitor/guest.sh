#!/bin/sh
# /init of the monitor's test guest: loads the disk and balloon drivers, then does what comes over the console.
B=/bin/busybox
$B mkdir -p /proc /sys /dev /tmp
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev 2>/dev/null
exec >/dev/console 2>&1 </dev/console
for m in /mods/*virtio_mmio.ko /mods/*virtio_blk.ko /mods/*virtio_rng.ko /mods/*virtio_balloon.ko; do $B insmod $m 2>/dev/null; done
# Debian's riscv64 kernel has no driver for hot-plug slots: these do by hand what it does.
byte() { $B dd if=$1/config bs=1 skip=$2 count=1 2>/dev/null | $B hexdump -e '1/1 "%u"'; }
slot() {    # the offset of a port's PCI Express capability
    at=$(byte $1 52)
    while [ "$at" != 0 ] && [ "$(byte $1 $at)" != 16 ]; do at=$(byte $1 $((at + 1))); done
    $B echo $at
}
port=/sys/bus/pci/devices/0000:00:01.0
power_on() { $B printf '\300\001' | $B dd of=$port/config bs=2 seek=$(($(slot $port) / 2 + 12)) count=1 conv=notrunc 2>/dev/null; $B echo 1 > /sys/bus/pci/rescan; $B sleep 1; }
pressed() { [ $(($(byte $port $(($(slot $port) + 26))) & 1)) = 1 ] && $B echo PRESSED; }
power_off() { for d in $port/0000:*; do $B echo 1 > $d/remove; done; $B printf '\300\007' | $B dd of=$port/config bs=2 seek=$(($(slot $port) / 2 + 12)) count=1 conv=notrunc 2>/dev/null; }
$B stty -echo 2>/dev/null
$B echo GUEST-READY
while read line; do eval "$line"; $B echo GUEST-DONE; done
$B poweroff -f
