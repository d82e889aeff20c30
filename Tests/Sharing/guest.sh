# guest.sh   what the guest of the sharing tests does: functions that its /script calls. The shared folder is mounted at /mnt.
share() {   # share TAG [OPTIONS]
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144${2:+,$2} "$1" /mnt && echo "MOUNTED $1"
}
contents() {
    dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
    cp /tmp/data /mnt/data && sync; echo 3 > /proc/sys/vm/drop_caches
    [ "$(sha256sum < /mnt/data)" = "$(sha256sum < /tmp/data)" ] && echo "RESULT contents"
    sha256sum < /tmp/data | sed 's/ .*//; s/^/SUM data /'
    [ "$(sha256sum < /mnt/given)" = "$(echo "from the host" | sha256sum)" ] && echo "RESULT given"
    echo one > /mnt/log; echo two >> /mnt/log; [ "$(cat /mnt/log)" = "one
two" ] && echo "RESULT append"
    dd if=/dev/zero of=/mnt/sparse bs=1 seek=1048575 count=1 2>/dev/null; truncate -s 524288 /mnt/sparse
    [ "$(stat -c %s /mnt/sparse)" = 524288 ] && echo "RESULT truncate"
}
names() {
    mkdir -p /mnt/a/b/c && echo x > /mnt/a/b/c/file && mv /mnt/a/b /mnt/a/moved && mv /mnt/a/moved/c/file "/mnt/a/a name with blanks" && [ "$(cat "/mnt/a/a name with blanks")" = x ] && echo "RESULT rename"
    (cd /mnt/a/moved/c && mv /mnt/a/moved /mnt/a/again && echo y > file && [ "$(cat /mnt/a/again/c/file)" = y ]) && echo "RESULT rename-under-foot"
    ln -s "a name with blanks" /mnt/a/link && [ "$(cat /mnt/a/link)" = x ] && [ "$(readlink /mnt/a/link)" = "a name with blanks" ] && echo "RESULT symlink"
    ln /mnt/a/again/c/file /mnt/a/hard && [ "$(stat -c %h /mnt/a/hard)" = 2 ] && echo "RESULT link"
    exec 5> /mnt/gone && rm /mnt/gone && echo z >&5 && exec 5>&- && [ ! -e /mnt/gone ] && echo "RESULT unlinked"
    mkdir /mnt/full && : > /mnt/full/x && ! rmdir /mnt/full 2>/dev/null && rm /mnt/full/x && rmdir /mnt/full && echo "RESULT rmdir"
    n=$(printf 'n%.0s' $(seq 255)); echo long > "/mnt/$n" && [ "$(cat "/mnt/$n")" = long ] && rm "/mnt/$n" && ! (echo x > "/mnt/${n}n") 2>/dev/null; [ ! -e "/mnt/${n}n" ] && echo "RESULT long-name"
}
owners() {
    : > /mnt/owned; chmod 4751 /mnt/owned; [ "$(stat -c %a /mnt/owned)" = 4751 ] && echo "RESULT mode"
    chown 1234:567 /mnt/owned && [ "$(stat -c %u:%g /mnt/owned)" = 1234:567 ] && echo "RESULT owner"
    touch -d @1000000000 /mnt/owned && [ "$(stat -c %Y /mnt/owned)" = 1000000000 ] && echo "RESULT time"
    mkfifo /mnt/pipe && [ -p /mnt/pipe ] && mknod /mnt/null c 1 3 && [ "$(stat -c %t:%T /mnt/null)" = 1:3 ] && echo "RESULT nodes"
    echo "through" > /mnt/pipe & [ "$(cat /mnt/pipe)" = through ] && echo "RESULT pipe"; wait
    (umask 027; mkdir /mnt/folder; : > /mnt/folder/file); [ "$(stat -c %a /mnt/folder /mnt/folder/file | tr '\n' ' ')" = "750 640 " ] && echo "RESULT umask"
}
many() {    # many COUNT
    mkdir /mnt/many; i=0; while [ $i -lt $1 ]; do : > /mnt/many/file-$i; i=$((i+1)); done
    echo 3 > /proc/sys/vm/drop_caches; [ "$(ls /mnt/many | sort -u | wc -l)" = $1 ] && echo "RESULT many"
    rm -r /mnt/many && [ ! -e /mnt/many ] && echo "RESULT removed"
}
tree() {
    mkdir -p /tmp/tree/deep/er; cp /bin/busybox /tmp/tree/b; ln -s ../b /tmp/tree/deep/link; i=0; while [ $i -lt 100 ]; do seq $i 200 > /tmp/tree/deep/er/$i; i=$((i+1)); done; chmod 711 /tmp/tree/deep/er/5
    cp -a /tmp/tree /mnt/tree && tar -C /mnt -cf /mnt/tree.tar tree && mkdir /mnt/unpacked && tar -C /mnt/unpacked -xf /mnt/tree.tar
    echo 3 > /proc/sys/vm/drop_caches
    sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort; find . | sort | xargs stat -c '%n %a %F'; readlink deep/link) | sha256sum; }
    [ "$(sums /tmp/tree)" = "$(sums /mnt/tree)" ] && [ "$(sums /tmp/tree)" = "$(sums /mnt/unpacked/tree)" ] && echo "RESULT tree"
}
escapes() { # what leads out of the folder is the guest's own file system, or nothing
    ln -s /etc/hostile /mnt/absolute; ln -s ../../../../secret /mnt/relative
    for f in absolute relative out inner/out; do cat /mnt/$f 2>&1 | grep -q "the host's secret" && echo "ESCAPED $f"; done
    (echo hostile > /mnt/out) 2> /dev/null; ls /mnt/.. > /dev/null; [ -e /mnt/../bin/busybox ] && echo "RESULT escapes"
}
