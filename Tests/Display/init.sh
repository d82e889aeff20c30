#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
echo 1 > /proc/sys/kernel/printk
for module in /mods/*.ko; do insmod "$module" 2> /dev/null; done
for node in /sys/class/input/event*; do
    name=$(cat "$node/device/name")
    case $name in *Tablet*|*Mouse*) od -An -v -w24 -t x1 < "/dev/input/${node##*/}" > /dev/ttyS0 & echo "POINTER $name" > /dev/ttyS0;; esac
done
for status in /sys/class/drm/card*-*/status; do echo "HEAD $status $(cat "$status") $(wc -c < "${status%status}edid") $(head -1 "${status%status}modes")" > /dev/ttyS0; done
echo 0 > /sys/class/graphics/fbcon/cursor_blink
while true; do setsid sh -c 'exec < /dev/tty1 > /dev/tty1 2>&1; echo READY > /dev/ttyS0; exec sh' || sleep 1; done
