#!/bin/bash
# encryption.sh   encrypted images beside qemu-img of QEMU 10, and with APUS_FULL=1 of this machine's release: qcow2 with LUKS,
# key slots changed by either, the old AES of qcow and qcow2. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
ten=$("$SCRIPTS/fetch-qemu-utils.sh") || exit 1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
try() { local what=$1; shift; if "$@" > out 2>&1; then ok; else bad "$what: $* (status $?): $(head -3 out | tr '\n' ' ')"; fi; }
refuse() { local what=$1; shift; if "$@" > out 2>&1; then bad "$what: was not refused: $*"; else ok; fi; }
same() { if cmp -s one two; then ok; else bad "$1"; diff one two | head -6; fi; }

secrets="--object secret,id=s,data=geheim --object secret,id=new,data=neues --object secret,id=wrong,data=falsch"
# The verbs, with passwords to choose from.
img() { local verb=$1; shift; "$executable" img "$verb" $secrets "$@"; }
# QEMU 7.2 measures how fast passwords are derived by a coarse clock, and often gives up: then once more.
seven() {
    local verb=$1 status turn; shift
    for turn in {1..30}; do
        qemu-img "$verb" $secrets "$@" > seven.out 2>&1; status=$?
        grep -q "accurate CPU usage" seven.out || break
    done
    cat seven.out
    return $status
}
newer() { local verb=$1; shift; "$ten/qemu-img" "$verb" $secrets "$@"; }
named() { echo "driver=${3:-qcow2},encrypt.key-secret=$2,file.filename=$1"; }
raw=driver=raw,file.filename=source.raw

{ seq 1 200000 | head -c 1200000; } > source.raw
truncate -s 3M source.raw
seq 5 300000 | head -c 700000 | dd of=source.raw bs=65536 seek=50 conv=notrunc 2> dd.log
truncate -s 5345280 source.raw

for their in ${APUS_FULL:+seven} newer; do
    while read -r options; do
        name="$their $options"; o=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10$options
        rm -f ./*.qcow2 data.raw
        try "$name: convert" img convert -f raw -O qcow2 -o "$o" source.raw ours.qcow2
        try "$name: theirs reads ours" $their compare --image-opts "$(named ours.qcow2 s)" "$raw"
        try "$name: their check of ours" $their check --image-opts "$(named ours.qcow2 s)"
        refuse "$name: another password" img compare --image-opts "$(named ours.qcow2 wrong)" "$raw"
        refuse "$name: no password" img check ours.qcow2
        rm -f data.raw
        try "$name: their convert" $their convert -f raw -O qcow2 -o "$o" source.raw theirs.qcow2
        try "$name: ours reads theirs" img compare --image-opts "$(named theirs.qcow2 s)" "$raw"
        try "$name: our check of theirs" img check --image-opts "$(named theirs.qcow2 s)"
        if [ $their = newer ]; then
            for verb in info "info --output=json"; do
                # In whatever order: QEMU's follows its hash table.
                img ${verb% *} theirs.qcow2 | sed 's/,$//' | sort > one; newer ${verb% *} theirs.qcow2 | sed 's/,$//' | sort > two; same "$name: $verb"
            done
            img check --image-opts "$(named theirs.qcow2 s)" > one; newer check --image-opts "$(named theirs.qcow2 s)" > two; same "$name: what check says"
            img create -f qcow2 -o "$o" new.qcow2 7M > one; newer create -f qcow2 -o "$o" new.qcow2 7M > two; same "$name: what create says"
        fi
        # Written by one after the other: at odd places, beyond the end, in clusters that a snapshot shares.
        case $options in *data_file*) continue;; esac
        cp theirs.qcow2 both.qcow2; cp source.raw model.raw
        try "$name: write" "$executable" io $secrets --image-opts "$(named both.qcow2 s)" -c 'write -P 7 1001 70000' -c 'write -z 2M 300000' -c 'write -P 9 3000001 511'
        "$executable" io -f raw model.raw -c 'write -P 7 1001 70000' -c 'write -z 2M 300000' -c 'write -P 9 3000001 511' > out
        try "$name: snapshot" img snapshot --image-opts -c one "$(named both.qcow2 s)"
        try "$name: their write" "$ten/qemu-io" $secrets --image-opts "$(named both.qcow2 s)" -c 'write -P 8 65000 4000'
        "$executable" io -f raw model.raw -c 'write -P 8 65000 4000' > out
        try "$name: after writes of both" $their compare --image-opts "$(named both.qcow2 s)" driver=raw,file.filename=model.raw
        try "$name: and for us" img compare --image-opts "$(named both.qcow2 s)" driver=raw,file.filename=model.raw
        case $options in *compat=0.10*) continue;; esac    # version 2 does not resize what has snapshots
        try "$name: resize" img resize -q --image-opts "$(named both.qcow2 s)" 7M
        try "$name: check after resize" $their check --image-opts "$(named both.qcow2 s)"
        truncate -s 7M model.raw
        try "$name: contents after resize" $their compare --image-opts "$(named both.qcow2 s)" driver=raw,file.filename=model.raw
    done <<'OPTIONS'

,cluster_size=4k
,cluster_size=512
,cluster_size=1k,refcount_bits=64
,cluster_size=2M,encrypt.cipher-alg=serpent-256
,extended_l2=on,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256
,compat=0.10,encrypt.hash-alg=sha512
,data_file=data.raw
OPTIONS

    # Key slots: added by one, used by the other, taken away.
    for format in qcow2 luks; do
        prefix=encrypt.; formatOption=encrypt.format=luks,; [ $format = qcow2 ] || { prefix=; formatOption=; }
        opts() { echo "driver=$format,${prefix}key-secret=$1,file.filename=keys.img"; }
        rm -f keys.img
        try "$their $format slots: create" img create -q -f $format -o "$formatOption${prefix}key-secret=s,${prefix}iter-time=10" keys.img 2M
        try "$their $format slots: add" img amend --image-opts -o "${prefix}state=active,${prefix}new-secret=new,${prefix}iter-time=10" "$(opts s)"
        try "$their $format slots: theirs opens by the new one" $their convert --image-opts "$(opts new)" -O raw opened.raw
        try "$their $format slots: their add" $their amend --image-opts -o "${prefix}state=active,${prefix}new-secret=wrong,${prefix}keyslot=5,${prefix}iter-time=10" "$(opts new)"
        try "$their $format slots: ours opens by that" img convert --image-opts "$(opts wrong)" -O raw opened.raw
        refuse "$their $format slots: a slot in use" img amend --image-opts -o "${prefix}state=active,${prefix}new-secret=new,${prefix}keyslot=5" "$(opts s)"
        try "$their $format slots: remove by password" img amend --image-opts -o "${prefix}state=inactive,${prefix}old-secret=s" "$(opts new)"
        refuse "$their $format slots: which is gone" $their convert --image-opts "$(opts s)" -O raw opened.raw
        refuse "$their $format slots: for us too" img convert --image-opts "$(opts s)" -O raw opened.raw
        try "$their $format slots: remove by number" img amend --image-opts -o "${prefix}state=inactive,${prefix}keyslot=5" "$(opts new)"
        refuse "$their $format slots: the last one" img amend --image-opts -o "${prefix}state=inactive,${prefix}keyslot=1" "$(opts new)"
        try "$their $format slots: still opens" $their convert --image-opts "$(opts new)" -O raw opened.raw
        try "$their $format slots: the last one, by force" img amend --force --image-opts -o "${prefix}state=inactive,${prefix}keyslot=1" "$(opts new)"
        refuse "$their $format slots: opens no more" img convert --image-opts "$(opts new)" -O raw opened.raw
    done

    # The old encryption.
    for format in qcow2 qcow; do
        o=encrypt.format=aes,encrypt.key-secret=s
        rm -f theirs.* ours.*
        try "$their $format aes: their convert" $their convert -f raw -O $format -o $o source.raw theirs.img
        try "$their $format aes: ours reads theirs" img compare --image-opts "$(named theirs.img s $format)" "$raw"
        try "$their $format aes: convert to raw" img convert --image-opts "$(named theirs.img s $format)" -O raw back.raw
        cmp -s back.raw source.raw && ok || bad "$their $format aes: converted"
        try "$their $format aes: convert" img convert -f raw -O $format -o $o source.raw ours.img
        try "$their $format aes: theirs reads ours" $their compare --image-opts "$(named ours.img s $format)" "$raw"
        refuse "$their $format aes: no password" img map -f $format theirs.img
        if [ $their = newer ]; then img info theirs.img > one; newer info theirs.img > two; same "$format aes: info"; fi
    done
done

refuse "compressed and encrypted" img convert -c -f raw -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s source.raw c.qcow2
refuse "no such secret" img create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=nobody c.qcow2 1M
refuse "an option without its format" img create -f qcow2 -o encrypt.key-secret=s c.qcow2 1M
for words in "--size 10M" "source.raw" "--size 1T -o cluster_size=4k"; do
    img measure -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s $words > one 2>&1
    newer measure -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s $words > two 2>&1; same "measure $words"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
