#!/bin/bash
# guestfish.sh   libguestfs (Debian's guestfish) on a qcow2 image that apus nbd serves: partitions, a file system, a thousand files,
# which the host then finds. As root; makes a chroot in the cache with debootstrap (1.5 GB), and runs a machine of QEMU's in it:
# by hand and in the long form of the tests only. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
root=$APUS_CACHE/guestfish
passed=0 failed=0
check() { local what=$1; shift; if "$@" > out 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  $what: $(tail -3 out | tr '\n' '|')"; fi; }
if [ ! -e "$root/.done" ]; then
    say "making a chroot with guestfish"
    rm -rf "$root"
    # Not every package is configured by debootstrap itself; apt does the rest.
    debootstrap --variant=minbase --include=libguestfs-tools,qemu-system-x86,linux-image-amd64 bookworm "$root" > "$APUS_CACHE/guestfish.log" 2>&1
    chroot "$root" apt-get -f install -y >> "$APUS_CACHE/guestfish.log" 2>&1 || { tail -3 "$APUS_CACHE/guestfish.log"; echo "0 passed, 1 failed"; exit 1; }
    touch "$root/.done"
fi
work=$(mktemp -d)
trap 'kill "$(cat "$work/pid" 2> /dev/null)" 2> /dev/null; umount "$root/proc" "$root/sys" "$root/dev" 2> /dev/null; rm -rf "$work" "$root/tmp/apus"' EXIT
cd "$work" || exit 1
mount -t proc proc "$root/proc"; mount -t sysfs sys "$root/sys"; mount --bind /dev "$root/dev"
mkdir -p "$root/tmp/apus"; tar -C "$root" -cf "$root/tmp/apus/files.tar" usr/share/perl5
port=$((20000 + RANDOM % 20000))
"$executable" img create -q -f qcow2 disk.qcow2 256M
check "serve" "$executable" nbd --fork --pid-file "$work/pid" -t -e 4 -b 127.0.0.1 -p $port -x disk -f qcow2 disk.qcow2
cat > "$root/tmp/apus/script" << 'END'
run
part-disk /dev/sda gpt
mkfs ext4 /dev/sda1
mount /dev/sda1 /
tar-in /tmp/apus/files.tar /
umount-all
e2fsck-f /dev/sda1
mount-ro /dev/sda1 /
checksums-out sha256 / /tmp/apus/sums
END
check "guestfish" chroot "$root" env LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg timeout 900 guestfish --format=raw -a "nbd://127.0.0.1:$port/disk" -f /tmp/apus/script
sums() { sed 's/ .*//' | sort | sha256sum; }
check "what guestfish wrote is what it reads" [ "$(sums < "$root/tmp/apus/sums")" = "$(cd "$root" && find usr/share/perl5 -type f -print0 | xargs -0 sha256sum | sums)" ]
kill "$(cat pid)"; sleep 1
check "the image" "$executable" img check disk.qcow2
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
