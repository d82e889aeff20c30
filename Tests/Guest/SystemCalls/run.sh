#!/bin/bash
# run.sh [--emulator C] [NAME…]   builds each program here for the host and for riscv64, runs both, and compares what
# they print. C is the command that runs the riscv64 one, by default `.build/release/apus exec`. NATIVE=… and GUEST=…
# name the C compilers.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
emulator="$here/../../../.build/release/apus exec"
[ "${1-}" = --emulator ] && { emulator=${2:?}; shift 2; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
names=("$@")
[ ${#names[@]} = 0 ] && for f in "$here"/*.c; do names+=("$(basename "$f" .c)"); done
passed=0 failed=0
for name in "${names[@]}"; do
    "${NATIVE:-gcc}" -O1 -w -pthread -o "$scratch/$name" "$here/$name.c" -lrt || exit 1
    "${GUEST:-riscv64-linux-gnu-gcc}" -O1 -w -static -pthread -o "$scratch/$name.guest" "$here/$name.c" -lrt || exit 1
    (cd "$scratch" && timeout -k 2 60 "./$name" > "$name.native" 2>&1 < /dev/null; echo "status $?" >> "$name.native")
    (cd "$scratch" && timeout -k 2 60 $emulator "./$name.guest" > "$name.out" 2>&1 < /dev/null; echo "status $?" >> "$name.out")
    if diff "$scratch/$name.native" "$scratch/$name.out" > "$scratch/$name.diff"; then
        echo "$name ok ($(wc -l < "$scratch/$name.out") lines)"; passed=$((passed + 1))
    else
        echo "$name FAILED (< host, > guest)"; sed 's/^/    /' "$scratch/$name.diff" | head -40; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
