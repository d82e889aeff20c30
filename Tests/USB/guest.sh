#!/bin/sh
# /init of the guest: loads the drivers, then does what comes over the console.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
exec > /dev/console 2>&1 < /dev/console
stty -echo 2> /dev/null
for module in /mods/*.ko; do insmod "$module" 2> /dev/null; done
# All that a device says of itself, beside its descriptors.
devices() {
    for device in /sys/bus/usb/devices/*-*; do
        case $device in *:*) continue;; esac
        line="${device##*/}"
        for name in speed version bMaxPacketSize0 idVendor idProduct bcdDevice manufacturer product serial bmAttributes bMaxPower; do line="$line|$(cat $device/$name 2> /dev/null)"; done
        for face in $device/*:1.0; do
            line="$line|$(cat $face/bInterfaceClass $face/bInterfaceSubClass $face/bInterfaceProtocol | tr '\n' ' ')$(basename "$(readlink $face/driver)")"
            for end in $face/ep_*; do line="$line|$(cat $end/bEndpointAddress $end/bmAttributes $end/wMaxPacketSize $end/bInterval | tr '\n' ' ')"; done
        done
        echo "USB $line"
    done
}
# The events of an input device, by a part of its name, in the background: a line of 24 bytes each.
listen() {
    for node in /sys/class/input/event*; do
        case $(cat $node/device/name) in *$1*) od -An -v -w24 -t x1 < /dev/input/${node##*/} > /dev/ttyS0 & ;; esac
    done
}
# Waits until a file is there (or, with "gone", is not) for ten seconds.
await() { for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do if [ -e $1 ]; then [ "$2" = gone ] || break; else [ "$2" != gone ] || break; fi; usleep 500000; done; [ -e $1 ] && echo "THERE $1" || echo "NOT-THERE $1"; }
echo GUEST-READY
