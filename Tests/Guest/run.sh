#!/bin/bash
# run.sh [--emulator COMMAND] [ROOM[/NAME]…]   builds each program of the rooms (folders here) for the host and for
# riscv64, runs both, and compares what they print and how they end. COMMAND runs the riscv64 one; by default it is
# `.build/release/apus exec`. One line a program, then 'N passed, N failed'.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
emulator="$here/../../.build/release/apus exec"
[ "${1-}" = --emulator ] && { emulator=${2:?}; shift 2; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
sources=()
[ $# = 0 ] && set -- Signals Threads Processes SystemCalls Code
for what in "$@"; do
    if [ -d "$here/$what" ]; then sources+=("$here/$what"/*.c); else sources+=("$here/$what.c"); fi
done
passed=0 failed=0
for source in "${sources[@]}"; do
    name=$(basename "$(dirname "$source")")-$(basename "$source" .c)
    "${NATIVE:-gcc}" -O1 -w -pthread -o "$scratch/$name" "$source" -lrt || exit 1
    "${GUEST:-riscv64-linux-gnu-gcc}" -O1 -w -static -pthread -o "$scratch/$name.guest" "$source" -lrt || exit 1
    # Both run under the same name, in folders of their own.
    mkdir -p "$scratch/native" "$scratch/guest"
    mv "$scratch/$name" "$scratch/native/program"; mv "$scratch/$name.guest" "$scratch/guest/program"
    (cd "$scratch/native" && timeout -k 2 60 ./program > ../expected 2>&1 < /dev/null; echo "status $?" >> ../expected)
    (cd "$scratch/guest" && timeout -k 2 60 $emulator ./program > ../got 2>&1 < /dev/null; echo "status $?" >> ../got)
    # What Apus itself says on the standard error channel of a program that a signal ended is no difference.
    sed -i "/^apus: the program was ended by signal/d" "$scratch/got"
    if diff "$scratch/expected" "$scratch/got" > "$scratch/difference"; then
        echo "$name ok ($(wc -l < "$scratch/got") lines)"; passed=$((passed + 1))
    else
        echo "$name FAILED (< host, > guest)"; head -40 "$scratch/difference" | sed 's/^/    /'; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
