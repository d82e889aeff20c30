# machine.sh   Sourced by run.sh. Linux's own client (nbd-client and the kernel's nbd) in a machine, and QEMU 10, which boots its root
# file system from a disk that Apus serves.

kit=$("$SCRIPTS/fetch-machine-kit.sh") && emulator=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin kernel=$kit/kernel/riscv64/vmlinuz
client=$APUS_CACHE/nbd-client-riscv64
if [ ! -e "$client/usr/sbin/nbd-client" ]; then
    (. "$SCRIPTS/apt-state.sh"; rm -rf "$client"; unpack_packages "$client" $(apt_closure trixie riscv64 nbd-client)) > client.log 2>&1 || { cat client.log; exit 1; }
fi
with() {    # with FOLDER SCRIPT: base.gz, FOLDER and a script as initrd.gz
    printf '%s\n' "$2" > "$1/script"
    (cd "$1" && find . | cpio -o -H newc --quiet | gzip -1) | cat base.gz - > initrd.gz
}

# The client with the libraries it needs.
mkdir -p extra/lib extra/sbin
cp "$client/usr/sbin/nbd-client" extra/sbin/

copy_libraries() {
    local library file
    for library in $(riscv64-linux-gnu-objdump -p "$1" | sed -n 's/^ *NEEDED *//p') ld-linux-riscv64-lp64d.so.1; do
        [ -e "extra/lib/$library" ] && continue
        file=$(find "$client" -name "$library" | head -1)
        [ -n "$file" ] && cp -L "$file" "extra/lib/$library" && copy_libraries "$file"
    done
}
copy_libraries "$client/usr/sbin/nbd-client"
MODULES="virtio_mmio virtio_net nbd virtio_blk crc32c_generic ext4" "$here/../Disks/initrd.sh" base.gz || bad "no initrd"
mkdir served; { seq 1 700000 | head -c 3000000; } > served/disk.raw; truncate -s 32M served/disk.raw; "$executable" img convert -f raw -O qcow2 served/disk.raw served/disk.qcow2
for connections in 1 4; do
    port=$((20000 + RANDOM % 20000)); number=$((number + 1)); pidfile=$work/$number.pid
    try "serve" "$executable" nbd --fork --pid-file "$pidfile" -t -e 8 -b 127.0.0.1 -p $port -x drive -f qcow2 --discard=unmap served/disk.qcow2
    with extra "ifconfig eth0 10.0.2.15 netmask 255.255.255.0
export LD_LIBRARY_PATH=/lib
/sbin/nbd-client -l 10.0.2.2 $port 2>&1 | sed 's/^/LIST /'
/sbin/nbd-client 10.0.2.2 $port /dev/nbd0 -N drive -b 4096 -C $connections 2>&1 | tail -1
echo SIZE \$(cat /sys/block/nbd0/size)
sha256sum < /dev/nbd0 | sed 's/^/READ /'
dd if=/dev/urandom of=/dev/nbd0 bs=1M count=4 seek=8 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/nbd0 bs=1M count=4 skip=8 2>/dev/null | sha256sum | sed 's/^/WROTE /'
blkdiscard -o 16777216 -l 8388608 /dev/nbd0 && echo DISCARDED
mke2fs -q -b 4096 /dev/nbd0 && mount -t ext4 /dev/nbd0 /mnt && seq 1 50000 > /mnt/numbers && cp /bin/busybox /mnt/ && umount /mnt && mount -t ext4 /dev/nbd0 /mnt && cmp /mnt/busybox /bin/busybox && [ \"\$(wc -l < /mnt/numbers)\" = 50000 ] && echo FILES
umount /mnt; /sbin/nbd-client -d /dev/nbd0 2>&1 | tail -1; echo GONE \$(cat /sys/block/nbd0/size)"
    timeout 300 "$executable" system -M virt -m 256M -smp 2 -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" -nic user,model=virtio-net-device < /dev/null > raw 2>&1; status=$?
    tr -d '\r' < raw > out; [ $status = 0 ] && ok || bad "the machine: status $status"
    for text in "LIST drive" "SIZE 65536" "READ $(sha256sum < served/disk.raw | cut -d' ' -f1)" DISCARDED FILES "GONE 0"; do grep -q "^$text" out && ok || bad "nbd-client with $connections connections: no '$text': $(tail -3 out | tr '\n' '|')"; done
    stop; "$executable" img check served/disk.qcow2 > out 2>&1 && ok || bad "the image: $(cat out)"
    "$executable" img convert -f raw -O qcow2 served/disk.raw served/disk.qcow2
done

# A root file system, served: the initrd only mounts it.
mkdir -p root/bin root/sbin root/proc root/dev; cp "$kit/busybox/riscv64/busybox" root/bin/; ln -s busybox root/bin/sh
printf '#!/bin/sh\n/bin/busybox mount -t devtmpfs dev /dev; echo "booted over NBD" > /dev/console; echo "from the guest" > /left; /bin/busybox sync; /bin/busybox mount -o remount,ro /; /bin/busybox poweroff -f\n' > root/sbin/init; chmod +x root/sbin/init
truncate -s 32M root.raw; mke2fs -q -t ext4 -d root root.raw; "$executable" img convert -f raw -O qcow2 root.raw root.qcow2
serve apus -t -f qcow2 root.qcow2
rm -rf extra; mkdir extra; with extra 'mount -t ext4 /dev/vda /mnt && exec switch_root /mnt /sbin/init'
timeout 300 "$emulator" -M virt -m 256M -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz -append "console=ttyS0 quiet" -drive "file=$uri,format=raw,if=none,id=d" -device virtio-blk-device,drive=d < /dev/null > raw 2>&1; status=$?
[ $status = 0 ] && grep -q "booted over NBD" raw && ok || bad "QEMU boots its root over NBD: status $status: $(tail -3 raw | tr '\n' '|')"
stop; "$executable" img convert -f qcow2 -O raw root.qcow2 root.raw; [ "$(debugfs -R 'cat left' root.raw 2> /dev/null)" = "from the guest" ] && ok || bad "what the guest wrote is not there"
