#!/bin/bash
# run.sh [measure.py's options]   the table: user CPU time of many workloads, native, under QEMU 10 and under Apus.
#   -r N          runs of each (default 5), interleaved
#   -o FILE       also keep every single measurement there, tab separated
#   -s kit,own,start   which sections (default all)
#   -w a,b        only these workloads
#   -x 'NAME=COMMAND'  another emulator to measure, e.g. 'interpreter=.build/release/apus exec --engine interpreter -L {root}'
# The kit's workloads need ../shared/guest-kit beside the checkout and are left out, with a word, without it.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../Scripts/cache.sh"

export APUS_CACHE REPO
export BENCH_QEMU BENCH_ROOT_NATIVE BENCH_ROOT_GUEST BENCH_DATA BENCH_KIT
BENCH_QEMU=$("$SCRIPTS/fetch-qemu.sh")
BENCH_ROOT_NATIVE=$("$SCRIPTS/fetch-root.sh" amd64 full)
BENCH_ROOT_GUEST=$("$SCRIPTS/fetch-root.sh" riscv64 full)
BENCH_DATA=$APUS_CACHE/bench
mkdir -p "$BENCH_DATA"/{amd64,riscv64}

# One compiler version and one set of flags for both; no contraction, so that the answers agree to the bit.
for source in "$here"/Programs/*.c "$here"/Programs/*.cpp; do
    name=$(basename "$source"); name=${name%.*}
    compiler=gcc; [ "${source##*.}" = cpp ] && compiler=g++
    for pair in amd64: riscv64:riscv64-linux-gnu-; do
        program=$BENCH_DATA/${pair%%:*}/$name
        [ "$program" -nt "$source" ] || ${pair#*:}$compiler -O2 -static -ffp-contract=off "$source" -o "$program" -lm -pthread
    done
done
if [ ! -s "$BENCH_DATA/text10.xz" ]; then
    find "$BENCH_ROOT_NATIVE/usr/lib/python3.13" -maxdepth 1 -name '*.py' | LC_ALL=C sort | xargs cat > "$BENCH_DATA/text"
    truncate -s 4000000 "$BENCH_DATA/text"
    cat "$BENCH_DATA"/text{,} > "$BENCH_DATA/text2"
    cat "$BENCH_DATA"/text2{,,,,} > "$BENCH_DATA/text10"
    xz -k -T1 -6 -f "$BENCH_DATA/text10"
fi

kit=$REPO/../shared/guest-kit
[ -d "$kit" ] || kit=$(git -C "$REPO" worktree list --porcelain 2>/dev/null | sed -n '1s/^worktree //p')/../shared/guest-kit
BENCH_KIT=
if [ -f "$kit/lib.sh" ]; then
    BENCH_KIT=${GK_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/guest-kit}
    [ -d "$BENCH_KIT/root/amd64" ] || "$kit/get.sh" rootfs amd64
    [ -d "$BENCH_KIT/root/riscv64" ] || "$kit/get.sh" rootfs riscv64
    [ -x "$BENCH_KIT/bench/riscv64/suite" ] || bash "$kit/bench/build.sh" > /dev/null
    [ -f "$BENCH_KIT/bench/data/f32m" ] || bash "$kit/bench/mkdata.sh" > /dev/null
else say "no guest kit beside this checkout: its workloads are left out"; fi

exec python3 "$here/measure.py" "$@"
