#!/bin/bash
# vvfat.sh [ROUNDS [SEED]]   folders as FAT disks: fsck.fat and mtools on what Apus shows (vvfat.py), sizes as QEMU's, a Linux guest
# that reads, writes, renames and deletes, and what is refused. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
export APUS=${APUS:-$REPO/.build/release/apus}
ten=$("$SCRIPTS/fetch-qemu-utils.sh") || exit 1
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
check() { local what=$1; shift; if "$@" > out 2>&1; then ok; else bad "$what: $(head -2 out)"; fi; }
refuse() {  # refuse TEXT COMMAND…: one line that says TEXT, status 1
    local text=$1; shift
    "$@" > out 2>&1; local status=$?
    if [ $status = 1 ] && grep -q -- "$text" out && [ "$(wc -l < out)" = 1 ]; then ok; else bad "$*: status $status: $(head -2 out)"; fi
}

say "random folders"
PYTHONUNBUFFERED=1 python3 "$here/vvfat.py" "${1:-2}" "${2:-7}" > random
grep -v ' passed, ' random
read -r good _ wrong _ < <(tail -1 random)
passed=$((passed + ${good:-0})) failed=$((failed + ${wrong:-1}))

say "beside qemu-img, and what is refused"
mkdir -p shared/deep/er; seq 1 5000 > shared/numbers.txt; echo one > "shared/deep/A long name, and Ünicode.text"; ln -s /etc/passwd shared/link; mkfifo shared/pipe; : > shared/empty; printf x > 'shared/a:b'
for name in fat: fat:12: fat:floppy: fat:floppy:12: fat:16:floppy:; do
    size=$("$ten/qemu-img" info --output=json "json:{\"driver\":\"raw\",\"file\":\"$name$PWD/shared\"}" 2> /dev/null | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | tail -1)
    [ -n "$size" ] || size=$("$ten/qemu-img" info --output=json "$name$PWD/shared" 2> /dev/null | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | tail -1)
    [ "$("$APUS" img info --output=json "$name$PWD/shared" | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -1)" = "${size:-none}" ] && ok || bad "$name: not of QEMU's size ($size)"
done
check "by options" "$APUS" img convert -O raw --image-opts driver=vvfat,dir=shared,fat-type=32,label=SHARED by.img
dd if=by.img of=volume.img bs=512 skip=63 2> /dev/null
[ "$(mlabel -s -i volume.img :: | grep -c SHARED)" = 1 ] && ok || bad "label"
[ "$(mdir -b -i volume.img :: | grep -cE 'link|pipe')" = 0 ] && ok || bad "links or pipes are shown"
[ "$(mtype -i volume.img ::a_b)" = x ] && ok || bad "a:b"
[ "$(mtype -i volume.img "::deep/A long name, and Ünicode.text")" = one ] && ok || bad "a long name"
refuse "Could not open" "$APUS" img info fat:/nowhere
refuse "at most 11 ASCII" "$APUS" img info --image-opts driver=vvfat,dir=shared,label=muchtoolonglabel
refuse "requires a folder" "$APUS" img info fat:
refuse "fat-type=12 or fat-type=16" "$APUS" img info fat:32:floppy:shared
refuse "rw=on" "$APUS" io -f raw -c 'write 0 512' fat:shared
mkdir big; truncate -s 600M big/a; truncate -s 100M big/b
refuse "does not fit in a FAT16 disk" "$APUS" img info fat:big
check "32 bits fit" "$APUS" img info fat:32:big
truncate -s 5G big/a; refuse "at most 4 GiB" "$APUS" img info fat:32:big

say "a file system that does not fit together is not believed"
rm shared/pipe; cp -r shared before
head -c 512 /dev/urandom > noise
"$APUS" io -f raw -c "write -s noise $(((63 + 1) * 512)) 512" -c flush "fat:rw:shared" > out 2>&1; status=$?
[ $status = 1 ] && grep -q "does not fit together" out && ok || bad "status $status: $(cat out)"
diff -r --no-dereference before shared > out 2>&1 && ok || bad "the folder has changed: $(head -3 out)"

say "a Linux guest"
MODULES="virtio_mmio virtio_blk nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 fat vfat" "$here/../Disks/initrd.sh" base.gz || bad "no initrd"
mkdir -p guest/sub; seq 1 20000 > guest/kept; seq 1 100 > guest/changed; echo old > guest/replaced; echo gone > guest/deleted; echo moved > guest/sub/moved; echo bird > "guest/ein 🐦"; head -c 3000000 /dev/urandom > guest/large
echo script > list; cat > script <<'END'
mount -t vfat -o codepage=437,utf8=1 /dev/vda1 /mnt && echo MOUNTED || mount -t vfat /dev/vda1 /mnt && echo MOUNTED
cd /mnt; cat "ein 🐦"; mv "ein 🐦" "zwei 🐦"; sha256sum large | sed 's/^/SUM /'
echo more >> changed; echo new > fresh; rm deleted; mkdir -p made/in; mv sub/moved made/in/renamed; rmdir sub
echo safe > temporary; sync; mv temporary replaced; sync
dd if=/dev/zero of=large bs=4096 seek=10 count=2 conv=notrunc 2>/dev/null; cp kept "made/a copy with a long name"; mv kept made/kept
cd /; umount /mnt
END
cpio -o -H newc --quiet < list | gzip -1 | cat base.gz - > initrd.gz
large=$(sha256sum < guest/large); cp guest/large large; dd if=/dev/zero of=large bs=4096 seek=10 count=2 conv=notrunc 2> /dev/null
timeout 300 "$APUS" system -M virt -m 256M -nographic -bios "$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" -kernel "$kit/kernel/riscv64/vmlinuz" \
    -initrd initrd.gz -append "console=ttyS0 quiet" -drive file=fat:rw:guest,format=raw,if=virtio < /dev/null > raw 2>&1 && ok || bad "the machine: status $?"
tr -d '\r' < raw > out
grep -q MOUNTED out && ok || bad "not mounted: $(tail -3 out)"
grep -q "SUM ${large%% *}" out && ok || bad "a file reads differently in the guest"
mkdir -p wanted/made/in; { seq 1 100; echo more; } > wanted/changed; echo new > wanted/fresh; echo moved > wanted/made/in/renamed; echo safe > wanted/replaced; echo bird > "wanted/zwei 🐦"; mv large wanted/large
seq 1 20000 | tee wanted/made/kept > "wanted/made/a copy with a long name"
diff -r wanted guest > out 2>&1 && ok || bad "the folder is not what the guest left: $(head -5 out | tr '\n' '|')"
[ -z "$(find guest -name '.apus-*')" ] && ok || bad "temporary files stay"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
