#!/bin/bash
# qcow2.sh   what only qcow2 has, beside QEMU 10: compressed clusters, subclusters, data files, snapshots, dirty bitmaps,
# amend, measure, commit, and damage that both find and repair alike. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
img() { "$executable" img "$@"; }
ten=$("$SCRIPTS/fetch-qemu-utils.sh") || exit 1
their() { "$ten/qemu-img" "$@"; }
io() { "$ten/qemu-io" -f qcow2 "$@" > io.log 2>&1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
try() { local what=$1; shift; if "$@" > out 2>&1; then ok; else bad "$what: $* (status $?): $(head -3 out | tr '\n' ' ')"; fi; }
same() { if cmp -s one two; then ok; else bad "$1"; diff one two | head -6; fi; }

{ seq 1 300000 | head -c 1800000; } > source.raw
truncate -s 9M source.raw
seq 5 300000 | head -c 1000000 | dd of=source.raw bs=65536 seek=80 conv=notrunc 2> dd.log
truncate -s 12345856 source.raw

# Compressed, with subclusters, with data files.
while read -r options; do
    try "convert $options" img convert -O qcow2 -o "$options" source.raw ours.qcow2
    try "$options: their check" their check -f qcow2 ours.qcow2
    try "$options: their compare" their compare source.raw ours.qcow2
    case $options in *data_file*) continue;; esac
    try "convert -c $options" img convert -c -O qcow2 -o "$options" source.raw ours.qcow2
    try "-c $options: their check" their check -f qcow2 ours.qcow2
    try "-c $options: their compare" their compare source.raw ours.qcow2
    their convert -c -O qcow2 -o "$options" source.raw theirs.qcow2
    try "-c $options: our compare" img compare source.raw theirs.qcow2
    img check theirs.qcow2 > one 2>&1; their check theirs.qcow2 > two 2>&1; same "-c $options: check"
done <<'OPTIONS'
cluster_size=64k
cluster_size=512
cluster_size=2M,compression_type=zstd
extended_l2=on
extended_l2=on,cluster_size=16k,refcount_bits=8
refcount_bits=1
compat=0.10
data_file=data.raw
data_file=data.raw,data_file_raw=on
OPTIONS

# Snapshots of both kinds of maker in one image, sizes, bitmaps.
for options in cluster_size=64k compat=0.10 cluster_size=4k,refcount_bits=64 extended_l2=on; do
    their convert -O qcow2 -o $options source.raw s.qcow2
    try "$options: snapshot" img snapshot -c one s.qcow2
    io -c 'write -P 7 1M 3M' s.qcow2
    their snapshot -c two s.qcow2
    io -c 'write -P 9 2M 1M' s.qcow2
    their convert -O raw s.qcow2 last.raw
    try "$options: snapshot" img snapshot -c three s.qcow2
    img check s.qcow2 > one 2>&1; their check s.qcow2 > two 2>&1; same "$options: check with snapshots"
    img map --output=json s.qcow2 > one; their map --output=json s.qcow2 > two; [ $options = extended_l2=on ] || same "$options: map with snapshots"
    try "$options: apply" img snapshot -a one s.qcow2
    try "$options: check after apply" their check s.qcow2
    try "$options: contents after apply" their compare source.raw s.qcow2
    try "$options: delete" img snapshot -d one s.qcow2
    try "$options: check after delete" their check s.qcow2
    try "$options: their apply" their snapshot -a three s.qcow2
    try "$options: contents after their apply" img compare last.raw s.qcow2
    for name in two three; do try "$options: delete $name" img snapshot -d $name s.qcow2; done
    try "$options: grow" img resize -q s.qcow2 50M
    try "$options: shrink" img resize -q --shrink s.qcow2 7000064
    try "$options: grow again" img resize -q s.qcow2 20M
    try "$options: check after resize" their check s.qcow2
    [ "$(img info --output=json s.qcow2 | grep -c 20971520)" -gt 0 ] && ok || bad "$options: size"
    cp last.raw sized.raw; truncate -s 7000064 sized.raw; truncate -s 20971520 sized.raw
    try "$options: contents after resize" their compare sized.raw s.qcow2
done
their create -q -f qcow2 b.qcow2 64M
try "bitmap --add" img bitmap --add b.qcow2 b0
try "their check of a bitmap" their check b.qcow2
io -c 'write 1M 100k' -c 'write 33M 1M' b.qcow2
try "our check of their bitmap" img check b.qcow2
their bitmap --add -g 4k b.qcow2 b1
try "bitmap --merge" img bitmap --merge b0 b.qcow2 b1
img info b.qcow2 > one; their info b.qcow2 > two; same "info with bitmaps"
try "resize with bitmaps" img resize -q b.qcow2 96M
try "their check after resize" their check b.qcow2
try "bitmap --remove" img bitmap --remove b.qcow2 b0
try "their merge" their bitmap --merge b1 b.qcow2 b1

# Runs that are longer than one refcount block counts: L1 tables, copied for snapshots too.
for options in cluster_size=512 cluster_size=512,refcount_bits=64 cluster_size=1k,refcount_bits=32 cluster_size=2k,refcount_bits=64; do
    try "$options: create" img create -q -f qcow2 -o $options r.qcow2 40G
    try "$options: their check of long runs" their check r.qcow2
    io -c 'write -P 5 39G 3M' r.qcow2
    try "$options: grow by long runs" img resize -q r.qcow2 70G
    try "$options: their check after growing" their check r.qcow2
    try "$options: snapshot" img snapshot -c one r.qcow2
    try "$options: our check with a snapshot" img check r.qcow2
    io -c 'write -P 6 65G 2M' r.qcow2
    try "$options: their check with a snapshot" their check r.qcow2
    try "$options: contents" "$ten/qemu-io" -f qcow2 -r -c 'read -P 5 39G 3M' -c 'read -P 6 65G 2M' -c 'read -P 0 42G 1M' r.qcow2
    [ "$(stat -c %s r.qcow2)" -lt 200000000 ] && ok || bad "$options: the file has $(stat -c %s r.qcow2) bytes"
    rm -f r.qcow2
done

# L2 tables that a snapshot shares are copied when they are not in memory yet: compressed writes begin with that.
for options in cluster_size=512 cluster_size=4k,extended_l2=off; do
    img convert -O qcow2 -o $options source.raw c.qcow2; img snapshot -c one c.qcow2; cp source.raw changed.raw
    try "$options: compressed writes beside a snapshot" "$executable" io -f qcow2 -c 'write -c -P 9 528384 512' -c 'write -c -P 8 10485760 512' -c 'write -P 7 1M 300' c.qcow2
    # A compressed write is a whole cluster, filled up with zeros.
    case $options in cluster_size=512) ;; *) "$executable" io -f raw -c 'write -z 516k 4k' -c 'write -z 10M 4k' changed.raw > out;; esac
    "$executable" io -f raw -c 'write -P 9 528384 512' -c 'write -P 8 10485760 512' -c 'write -P 7 1M 300' changed.raw > out
    try "$options: their check" their check c.qcow2
    try "$options: their compare" their compare -f raw -F qcow2 changed.raw c.qcow2
    their snapshot -a one c.qcow2; try "$options: the snapshot" their compare -f raw -F qcow2 source.raw c.qcow2
done

# Rebase: what reads as zeros with no backing file does so on one too; and back.
for format in qcow2 qed; do
    head -c 12345856 /dev/zero > expected.raw
    img create -q -f $format r.$format 12345856
    "$executable" io -f $format -c 'write -P 3 100k 200k' -c 'write -z 1M 1M' r.$format > out
    "$executable" io -f raw -c 'write -P 3 100k 200k' expected.raw > out
    try "$format: rebase to a backing file" img rebase -f $format -b source.raw -F raw r.$format
    try "$format: their info names it" their info r.$format
    grep -q 'backing file: source.raw' out && ok || bad "$format: info after a rebase"
    try "$format: contents on a backing file" their compare -f raw -F $format expected.raw r.$format
    cp r.$format own.$format
    try "$format: rebase to another" img rebase -f $format -b changed.raw -F raw r.$format
    try "$format: contents on another" their compare -f raw -F $format expected.raw r.$format
    try "$format: rebase to none" img rebase -f $format -b "" r.$format
    try "$format: contents on none" their compare -f raw -F $format expected.raw r.$format
    try "$format: their rebase to none" their rebase -f $format -b "" own.$format
    try "$format: contents after theirs" img compare -f raw -F $format expected.raw own.$format
    try "$format: their check" their check -f $format r.$format
done

# Measure.
while read -r words; do
    # shellcheck disable=SC2086
    img measure -O qcow2 $words > one 2>&1; their measure -O qcow2 $words > two 2>&1; same "measure $words"
done <<'WORDS'
b.qcow2
source.raw
s.qcow2
-o extended_l2=on,cluster_size=32k source.raw
--size 1T
--size 100G -o cluster_size=2M,refcount_bits=64
-o cluster_size=512 --size 1G
WORDS

# Amend.
their create -q -f qcow2 -o compat=0.10 a.qcow2 10M
io -c 'write -P 3 1M 1M' a.qcow2
their snapshot -c s1 a.qcow2
try "amend compat" img amend -f qcow2 -o compat=1.1 a.qcow2
for bits in 8 64 32 2 16; do
    try "amend refcount_bits=$bits" img amend -f qcow2 -o refcount_bits=$bits a.qcow2
    try "check of refcount_bits=$bits" their check a.qcow2
done
try "amend lazy_refcounts" img amend -f qcow2 -o lazy_refcounts=on a.qcow2
io -c 'write -z 1M 64k' -c 'write -P 4 3M 1M' a.qcow2
try "amend back" img amend -f qcow2 -o compat=0.10,lazy_refcounts=off a.qcow2
try "check of what was amended back" their check a.qcow2
try "zeros of what was amended back" "$ten/qemu-io" -f qcow2 -c 'read -P 0 1M 64k' -c 'read -P 3 1088k 192k' a.qcow2
cp source.raw base.raw
their create -q -f qcow2 -b base.raw -F raw over.qcow2
io -c 'write -z 1M 1M' -c 'write -P 4 3M 1M' over.qcow2
their convert -O raw over.qcow2 flat.raw
try "amend with a backing file" img amend -f qcow2 -o compat=0.10 over.qcow2
try "contents after amend" their compare flat.raw over.qcow2
try "check after amend" their check over.qcow2
try "commit" img commit -q over.qcow2
try "contents after commit" their compare flat.raw base.raw

# Damage.
their create -q -f qcow2 d.qcow2 4M
io -c 'write -P 1 0 1M' d.qcow2
their snapshot -c one d.qcow2
io -c 'write -P 2 0 64k' d.qcow2
poke() { cp d.qcow2 damaged.qcow2; printf "$2" | dd of=damaged.qcow2 bs=1 seek=$(($1)) conv=notrunc 2> dd.log; }
agree() {   # agree WHAT OFFSET BYTES: both say the same of it; ours, repaired, is clean to both
    poke "$2" "$3"
    img check damaged.qcow2 > one 2>&1; local first=$?
    their check damaged.qcow2 > two 2>&1; local second=$?
    same "damage: $1"
    [ $first = $second ] && ok || bad "damage: $1: status $first, theirs $second"
    try "damage: $1: repair" img check -r all damaged.qcow2
    try "damage: $1: their check of the repaired" their check damaged.qcow2
}
agree "a count too low" 0x2000a '\0\0'
agree "a count too high" 0x2000a '\0\5'
agree "no refcount block" 0x10000 '\0\0\0\0\0\0\0\0'
agree "a flag missing in L1" 0x30000 '\0'
agree "the dirty bit" 72 '\0\0\0\0\0\0\0\1'
agree "the corrupt bit" 72 '\0\0\0\0\0\0\0\2'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
