# What the guest of run.sh does: stress-ng on all processors for $seconds, fio with verification on every kind of disk, iperf3 over
# both networks; then it writes a file, syncs, and waits for its end.
for word in $(cat /proc/cmdline); do case $word in load.seconds=*) seconds=${word#*=};; load.speed=*) speed=${word#*=};; esac; done
mkdir -p /lower /upper /new
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144 root /lower
mount -t tmpfs tmpfs /upper; mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /new
for folder in proc sys dev; do mkdir -p /new/$folder; mount --bind /$folder /new/$folder; done
mkdir -p /new/disk; mkdir -p /new/dev/shm; mount -t tmpfs tmpfs /new/dev/shm; mount -t tmpfs tmpfs /new/tmp
in_root() { chroot /new /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
mount -t ext4 /dev/vda /new/disk || echo "LOST the disk"
ip link set lo up
for card in eth0 eth1; do ip link set $card up; done
ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; ip addr add 192.168.77.2/24 dev eth1
echo "PROCESSORS $(nproc)"
# Debian's riscv64 kernel has no driver for hot-plug slots: this does by hand what it does. Every port is on or off, by its presence
# and its button.
byte() { dd if=$1/config bs=1 skip=$2 count=1 2>/dev/null | hexdump -e '1/1 "%u"'; }
slot() { at=$(byte $1 52); while [ "$at" != 0 ] && [ "$(byte $1 $at)" != 16 ]; do at=$(byte $1 $((at + 1))); done; echo $at; }
control() { printf "\\300\\$3" | dd of=$1/config bs=2 seek=$(($2 / 2 + 12)) count=1 conv=notrunc 2>/dev/null; }
ports=; for port in /sys/bus/pci/devices/*; do [ "$(cat $port/class)" = 0x060400 ] && ports="$ports $port:$(slot $port)"; done
porter() { while sleep 1; do for port in $ports; do
    at=${port##*:} port=${port%:*}; status=$(byte $port $((at + 26))) off=$(($(byte $port $((at + 25))) & 4))
    if [ $((status & 1)) = 1 ] && [ $off = 0 ]; then
        printf '\001' | dd of=$port/config bs=1 seek=$((at + 26)) count=1 conv=notrunc 2>/dev/null
        for gone in $port/0000:??:??.?; do echo 1 > $gone/remove; done
        control $port $at 007; echo UNPLUGGED
    elif [ $((status & 64)) = 64 ] && [ $off = 4 ]; then control $port $at 001; echo 1 > /sys/bus/pci/rescan; echo PLUGGED; fi
done; done; }
porter &
network() { for where in "user 10.0.2.2" "tap 192.168.77.1"; do set -- $where
    for way in "" -R; do in_root iperf3 -c $2 -p 5201 -t $speed $way -J > /new/tmp/iperf 2>&1 && echo "IPERF3 $1 ${way:-up} $(grep -A12 '"sum_received"' /new/tmp/iperf | sed -n 's/.*"bits_per_second":[^0-9]*\([0-9]*\).*/\1/p' | head -1)" || { echo "BROKEN iperf3 $1 $way"; tail -5 /new/tmp/iperf; }; done; done; }
network
for disk in vdb sda sdb sdc nvme0n1; do
    [ -b /dev/$disk ] || { echo "LOST $disk"; continue; }
    driver=$(readlink -f /sys/block/$disk/device); name=$(echo "$driver" | grep -oE 'virtio|nvme|usb|ata' | tail -1)
    in_root fio --name=verify --filename=/dev/$disk --rw=randrw  --bsrange=4k-128k --size=48M --verify=crc32c --direct=1 --ioengine=libaio --iodepth=16 \
        --do_verify=1 --verify_fatal=1 --randrepeat=0 --minimal > /new/tmp/fio 2>&1 && echo "FIO $disk $name" || { echo "BROKEN fio $disk"; tail -5 /new/tmp/fio; }
done
echo "STRESS"
in_root sh -c "cd /disk && stress-ng --cpu 2 --vm 1 --vm-bytes 96M --fork 2 --signal 1 --futex 2 --hdd 1 --hdd-bytes 32M --temp-path /disk --verify --metrics-brief -t $seconds 2>&1" > /new/tmp/stress; status=$?
grep -E 'fail|error|metrc|passed|run completed' /new/tmp/stress | tail -20
echo "STRESSED $status"
dmesg | grep -E 'WARNING|BUG|Oops|detected stall|soft lockup|hung_task|blocked for more|I/O error|EXT4-fs error' | head -5 | sed 's/^/SAID /'
echo "COMPLAINTS $(dmesg | grep -cE 'WARNING|BUG|Oops|detected stall|soft lockup|hung_task|blocked for more|I/O error|EXT4-fs error')"
in_root sh -c 'cd /disk && head -c 8000000 /dev/urandom > last && sha256sum last'
sync
echo SYNCED
while true; do in_root sh -c 'cp /disk/last /disk/copy; rm -f /disk/copy'; done
