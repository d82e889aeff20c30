#!/bin/bash
# run.sh   apus img beside Debian's qemu-img, of this machine's release and of trixie (QEMU 10): what one writes, the
# other opens, compares, checks, maps and tells the same about. Ends with 'N passed, N failed'.
#   formats.txt beside this file lists the formats and options.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
apus() { "$executable" "$@"; }
ten=$("$SCRIPTS/fetch-qemu-utils.sh") || exit 1
work=$(mktemp -d); background=
trap '[ -z "$background" ] || kill $background 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
try() { local what=$1; shift; if "$@" > out 2>&1; then ok; else bad "$what: $* (status $?): $(head -3 out | tr '\n' ' ')"; fi; }
refuse() { local what=$1; shift; if "$@" > out 2>&1; then bad "$what: was not refused: $*"; else ok; fi; }
same() {   # same WHAT: files one and two are equal
    if cmp -s one two; then ok; else bad "$1"; diff one two | head -6; fi
}

# A disk with data, holes, a run of equal bytes, and an end that is no multiple of a cluster.
{ seq 1 400000 | head -c 2500000; } > source.raw
truncate -s 9M source.raw
seq 5 300000 | head -c 1000000 | dd of=source.raw bs=65536 seek=80 conv=notrunc 2> dd.log
yes | head -c 300000 | dd of=source.raw bs=4096 seek=1200 conv=notrunc 2> dd.log
truncate -s 12345856 source.raw

for qemu in qemu-img "$ten/qemu-img"; do
    command -v "$qemu" > /dev/null || { bad "no $qemu"; continue; }
    version=$("$qemu" --version | sed -nE '1s/.*version ([0-9]+)\..*/\1/p')
    while read -r format options abilities; do
        case $format in ''|'#'*) continue;; esac
        o=(); [ "$options" = - ] || o=(-o "$options")
        name="$format $options (QEMU $version)"
        rm -f ours.* theirs.*

        # Ours, read by theirs.
        try "$name: convert" apus img convert -f raw -O "$format" "${o[@]}" source.raw ours.img
        try "$name: theirs reads ours" "$qemu" compare -f raw -F "$format" source.raw ours.img
        # Theirs, read by ours.
        try "$name: their convert" "$qemu" convert -f raw -O "$format" "${o[@]}" source.raw theirs.img
        try "$name: ours reads theirs" apus img compare -f raw -F "$format" source.raw theirs.img
        try "$name: back to raw" apus img convert -f "$format" -O raw theirs.img back.raw
        cmp -s back.raw source.raw && ok || bad "$name: convert back to raw differs"
        case $abilities in *check*)
            try "$name: their check of ours" "$qemu" check -f "$format" ours.img
            try "$name: our check of theirs" apus img check -f "$format" theirs.img;;
        esac
        # Both tell the same about the same files.
        for image in ours.img theirs.img; do
            for verb in "map --output=json" "map" "measure -O raw"; do
                case $abilities$verb in *nomap*map*) continue;; esac
                apus img $verb -f "$format" $image > one 2> /dev/null; first=$?
                "$qemu" $verb -f "$format" $image > two 2> /dev/null; second=$?
                # Older ones do not say what is compressed.
                [ "$version" -ge 8 ] || sed -i 's/, "compressed": [a-z]*//' one
                same "$name: $verb of $image"
                [ $first = $second ] && ok || bad "$name: $verb of $image: status $first, theirs $second"
            done
            if [ "$version" -ge 10 ]; then
                for verb in "info" "info --output=json"; do
                    apus img $verb -f "$format" $image > one; "$qemu" $verb -f "$format" $image > two; same "$name: $verb of $image"
                done
            fi
        done
        # Both create the same, and say so in the same words.
        apus img create -f "$format" "${o[@]}" new.img 7M > one; "$qemu" create -f "$format" "${o[@]}" new2.img 7M | sed 's/new2/new/' > two
        [ "$version" -lt 10 ] || same "$name: what create prints"
        try "$name: both empty" apus img compare -f "$format" -F "$format" new.img new2.img
        case $abilities in *resize*)
            for size in +3M 11M; do
                try "$name: resize $size" apus img resize -q -f "$format" new.img $size
                try "$name: their resize $size" "$qemu" resize -q -f "$format" new2.img $size
                try "$name: resized alike" "$qemu" compare -s -f "$format" -F "$format" new.img new2.img
            done
            refuse "$name: shrink without --shrink" apus img resize -f "$format" new.img 1M;;
        esac
        rm -f new.img new2.img
    done < "$here/formats.txt"
done

# LUKS: each opens what the other has encrypted, with a password of its own.
password="--object secret,id=s,data=geheim"
described() { echo "driver=luks,key-secret=s,file.filename=$1"; }
for options in "" ,cipher-alg=serpent-256 ,cipher-alg=twofish-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256 ,cipher-alg=aes-128,hash-alg=sha512; do
    rm -f ours.img theirs.img
    try "luks$options: convert" apus img convert $password -f raw -O luks -o key-secret=s,iter-time=20$options source.raw ours.img
    try "luks$options: theirs reads ours" "$ten/qemu-img" compare $password --image-opts "$(described ours.img)" driver=raw,file.filename=source.raw
    try "luks$options: their convert" "$ten/qemu-img" convert $password -f raw -O luks -o key-secret=s,iter-time=20$options source.raw theirs.img
    try "luks$options: ours reads theirs" apus img compare $password --image-opts "$(described theirs.img)" driver=raw,file.filename=source.raw
    for image in ours.img theirs.img; do
        for verb in info "info --output=json"; do
            apus img $verb $image > one; "$ten/qemu-img" $verb $image > two; same "luks$options: $verb of $image"
        done
    done
    refuse "luks$options: wrong password" apus img compare --object secret,id=s,data=falsch --image-opts "$(described theirs.img)" driver=raw,file.filename=source.raw
    refuse "luks$options: no password" apus img map theirs.img
done

# Options are described in QEMU's words.
for format in $(awk '!/^#/ && NF { print $1 }' "$here/formats.txt" | sort -u); do
    [ "$format" != raw ] || continue    # there, preallocation is the protocol's in QEMU, the format's here
    apus img create -f "$format" -o help | grep '=<' | sort > one
    [ "$format" != vpc ] && [ "$format" != vhdx ] || sed -i /backing_/d one    # Apus alone makes differencing images
    "$ten/qemu-img" create -f "$format" -o help | sort > all
    comm -12 one all > two; same "$format: options that QEMU describes differently"
done

# Each keeps out of what the other has open.
apus img create -q -f vdi locked.img 4M
"$ten/qemu-io" -f vdi locked.img -c 'sleep 4000' > /dev/null 2>&1 & background=$!
for _ in $(seq 50); do sleep 0.1; "$ten/qemu-img" info locked.img > /dev/null 2>&1 || break; done
refuse "locks: info of an image open in QEMU" apus img info locked.img
refuse "locks: create over an image open in QEMU" apus img create -f vdi locked.img 4M
try "locks: info -U" apus img info -U locked.img
kill $background 2> /dev/null; wait $background 2> /dev/null; background=
"$executable" img bench -q -d 1 -f vdi -c 2000000000 locked.img > /dev/null 2>&1 & background=$!
for _ in $(seq 50); do sleep 0.1; "$ten/qemu-io" -f vdi locked.img -c quit > /dev/null 2>&1 || break; done
refuse "locks: their writing to an image that Apus reads" "$ten/qemu-io" -f vdi locked.img -c "write 0 512"
refuse "locks: their create over it" "$ten/qemu-img" create -f vdi locked.img 4M
try "locks: their info -U" "$ten/qemu-img" info -U locked.img
kill $background 2> /dev/null; wait $background 2> /dev/null; background=

# Single requests: the same commands, the same answers, the same bytes.
cat > commands <<'COMMANDS'
read 0 4k
read -v 0 40
write -P 0xab 0 4k
read -P 0xab 0 4k
read -P 0xac 0 4k
write -z 0 1k
length
map
alloc 0 1M
flush
discard 0 512
nonsense
readv 0 512 512
writev -P 3 0 1k 2k
read 0 8G
write 10
read -P 3 -s 512 -l 512 1024 2k
COMMANDS
untimed() { sed -e 's/[0-9.]* sec ([^)]*)/TIME/' -e 's/^[a-z-]* io> /qemu-io> /'; }
for format in raw vdi; do
    apus img create -q -f $format our.img 2M; cp our.img their.img
    apus io -f $format our.img < commands 2>&1 | sed 's/apus io> /qemu-io> /g' | untimed > one
    "$ten/qemu-io" -f $format their.img < commands 2>&1 | untimed > two
    same "io: answers on $format"
    cmp -s our.img their.img && ok || bad "io: bytes of $format"
done

# Long work shows how far it is, on a terminal: unasked after a second, with -p at once; nothing when piped, and with -q.
head -c 9M /dev/urandom > slow.raw
slow="driver=throttle,bps-total=4M,file.driver=file,file.filename=slow.raw"
script -qec "'$executable' img convert --image-opts -O raw $slow fast.raw" typescript > out < /dev/null; grep -q '/100%)' out && ok || bad "progress, unasked: $(cat -A out)"
script -qec "'$executable' img convert -p -O raw slow.raw fast.raw" typescript > out < /dev/null; grep -q '(100.00/100%)' out && ok || bad "progress, asked: $(cat -A out)"
script -qec "'$executable' img convert -q --image-opts -O raw $slow fast.raw" typescript > out < /dev/null; [ -s out ] && bad "progress with -q: $(cat -A out)" || ok
apus img convert --image-opts -O raw $slow fast.raw > out 2>&1; apus img convert -p -O raw slow.raw fast.raw >> out 2>&1; [ -s out ] && bad "progress when piped: $(cat -A out)" || ok

# How the host does requests: all ways write the same; native ones demand that the page cache is passed by.
apus img create -q -f qcow2 aio.qcow2 8M
for way in threads io_uring native; do
    try "io -i $way" apus io -f qcow2 -n -i $way -c 'write -P 7 0 1M' -c 'write -P 8 4097 333' -c flush -c 'read -P 8 4097 333' -c 'read -P 7 64k 64k' aio.qcow2
    try "bench -i $way" apus img bench -q -c 2000 -d 4 -t none -i $way -w -f qcow2 aio.qcow2
    try "file.aio=$way" apus io -n --image-opts -c 'read -P 0 0 1M' "driver=qcow2,file.driver=file,file.aio=$way,file.filename=aio.qcow2"
done
try "io -k" apus io -f qcow2 -n -k -c 'read -P 0 0 1M' aio.qcow2
try "bench -n" apus img bench -q -c 200 -t none -n -f qcow2 aio.qcow2
refuse "bench -n through the page cache" apus img bench -q -c 200 -n -f qcow2 aio.qcow2
refuse "io -i native through the page cache" apus io -f qcow2 -i native -c quit aio.qcow2
refuse "io -i nonsense" apus io -f qcow2 -i nonsense -c quit aio.qcow2
try "their check after all ways" "$ten/qemu-img" check -f qcow2 aio.qcow2
if command -v strace > /dev/null; then
    strace -f -o calls "$executable" img bench -q -c 100 -d 2 -i io_uring -f qcow2 aio.qcow2
    grep -q io_uring_enter calls && ok || bad "bench -i io_uring: no request went there"
    strace -f -o calls "$executable" img bench -q -c 100 -d 2 -t none -n -f qcow2 aio.qcow2
    grep -q io_submit calls && ok || bad "bench -n: no request went to Linux AIO"
    strace -f -o calls "$executable" img convert -C -f raw -O raw source.raw copied.raw
    grep -q copy_file_range calls && ok || bad "convert -C: the host was not asked to copy"
fi

# Copies by the host.
for format in raw qcow2 vdi vhdx vmdk; do
    try "convert -C to $format" apus img convert -C -f raw -O $format source.raw copied.img
    try "convert -C to $format: the same" "$ten/qemu-img" compare -f raw -F $format source.raw copied.img
    try "convert -C from $format" apus img convert -C -f $format -O raw copied.img copied.raw
    cmp -s source.raw copied.raw && ok || bad "convert -C from $format: other bytes"
done
refuse "-C and -S" apus img convert -C -S 4k -f raw -O raw source.raw copied.raw
refuse "-C and -c" apus img convert -C -c -f raw -O qcow2 source.raw copied.raw

# What is locked, or not.
apus io -f raw -c 'sleep 3000' source.raw & background=$!
for _ in $(seq 50); do sleep 0.1; "$ten/qemu-io" -f raw source.raw -c quit > /dev/null 2>&1 || break; done
try "locking=off" apus io --image-opts -c 'read 0 512' driver=raw,file.driver=file,file.locking=off,file.filename=source.raw
kill $background 2> /dev/null; wait $background 2> /dev/null; background=

# Exit codes.
status() { local want=$1; shift; "$@" > out 2>&1; local got=$?; [ $got = "$want" ] && ok || bad "status $got, expected $want: $*"; }
head -c 12345856 /dev/zero > zeros.raw
status 1 apus img compare source.raw zeros.raw
status 2 apus img compare source.raw missing.raw
status 63 apus img check -f raw source.raw
status 1 apus img info missing.raw
status 1 apus img create -f raw new.raw
status 1 apus img create -f nothing new.raw 1M

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
