#!/bin/bash
# run.sh [GIGABYTES [RUNS]]   seconds that QEMU 10's qemu-img and apus img take for the same work on a sparse disk of five
# times GIGABYTES (4) with GIGABYTES of data from this machine's own files, in turns, the best of RUNS (3) each; then their
# CPU seconds in the last run, which say more on a busy machine. Files stay in the page cache; what was written is flushed
# between runs, outside of what is measured. Needs three times GIGABYTES on disk.
#   TMPDIR   where the images are made
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
ten=$("$SCRIPTS/fetch-qemu-utils.sh")
gigabytes=${1:-4} runs=${2:-3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"

free=$(df --output=avail -B1G . | tail -1)
[ "$free" -ge $((gigabytes * 3 + 1)) ] || { echo "run.sh: $free GiB are free, $((gigabytes * 3 + 1)) are needed"; exit 1; }
truncate -s "$((gigabytes * 5))G" disk.raw
# Pieces of 64 MiB of programs and texts, a gap of four times that behind each.
{ while tar -C / -cf - --exclude='*/cache/*' usr opt 2> /dev/null; do :; done || true; } | {
    for ((piece = 0; piece < gigabytes * 16; piece++)); do
        dd of=disk.raw bs=1M count=64 seek=$((piece * 320)) iflag=fullblock conv=notrunc status=none
    done
}

clock() {   # sets wall and cpu, in milliseconds
    local TIMEFORMAT='%R %U %S'
    { time "$@" > out 2>&1; } 2> times || { cat out >&2; return 1; }
    read -r wall cpu < <(awk '{ printf "%d %d\n", $1 * 1000, ($2 + $3) * 1000 }' times)
}
row() {     # row WHAT VERB ARGUMENT…: one line of the table; the target's name is new.img
    local what=$1 ours= theirs= our_cpu their_cpu; shift
    for ((run = 0; run < runs; run++)); do
        rm -f new.img; clock "$ten/qemu-img" "$@"; their_cpu=$cpu; sync; [ -n "$theirs" ] && [ "$theirs" -le "$wall" ] || theirs=$wall
        rm -f new.img; clock "$executable" img "$@"; our_cpu=$cpu; sync; [ -n "$ours" ] && [ "$ours" -le "$wall" ] || ours=$wall
    done
    awk -v w="$what" -v a="$theirs" -v b="$ours" -v c="$their_cpu" -v d="$our_cpu" 'BEGIN { printf "| %-28s | %8.2f | %8.2f | %5.2f | %8.2f | %8.2f |\n", w, a / 1000, b / 1000, a / b, c / 1000, d / 1000 }'
}
printf '%s GiB of data in a disk of %s GiB, %s processors\n\n' "$gigabytes" $((gigabytes * 5)) "$(nproc)"
printf '| %-28s | %8s | %8s | %5s | %8s | %8s |\n|---|--:|--:|--:|--:|--:|\n' seconds qemu-img "apus img" speed "its CPU" "our CPU"
row "convert raw to qcow2" convert -f raw -O qcow2 disk.raw new.img; mv new.img disk.qcow2
row "convert qcow2 to raw" convert -f qcow2 -O raw disk.qcow2 new.img
row "convert raw to raw" convert -f raw -O raw disk.raw new.img
row "convert raw to vmdk" convert -f raw -O vmdk disk.raw new.img
row "convert raw to vhdx" convert -f raw -O vhdx disk.raw new.img; rm -f new.img
row "compare raw and qcow2" compare -f raw -F qcow2 disk.raw disk.qcow2
row "check qcow2" check -f qcow2 disk.qcow2; rm -f disk.qcow2
row "convert -c (zlib)" convert -c -f raw -O qcow2 disk.raw new.img; mv new.img small.qcow2
row "convert from zlib to raw" convert -f qcow2 -O raw small.qcow2 new.img; rm -f new.img
row "compare raw and zlib" compare -f raw -F qcow2 disk.raw small.qcow2; rm -f small.qcow2
row "convert -c (zstd)" convert -c -f raw -O qcow2 -o compression_type=zstd disk.raw new.img; mv new.img small.qcow2
row "convert from zstd to raw" convert -f qcow2 -O raw small.qcow2 new.img
