#!/bin/bash
# run.sh [NAME…]   programs about the guest's processor that no host can run: each checks itself, prints `ok` and ends with 0.
#
# A line `// cpu: MODEL` in a program's head chooses the processor. Needs the cross compiler. The last line is 'N passed, N failed'.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
apus=$here/../../.build/release/apus
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
[ $# = 0 ] && set -- $(cd "$here/Programs" && ls *.c | sed 's/\.c$//')
for name in "$@"; do
    source=$here/Programs/$name.c
    model=$(sed -n 's|^// cpu: ||p' "$source")
    "${GUEST:-riscv64-linux-gnu-gcc}" -O1 -w -static -pthread -o "$scratch/$name" "$source" || exit 1
    output=$(timeout -k 2 60 "$apus" exec -cpu "${model:-max}" "$scratch/$name" 2>&1 < /dev/null)
    status=$?
    output=$(grep -v "^apus: the program was ended by signal" <<< "$output")   # children that are to end so
    if [ "$status" = 0 ] && [ "$output" = ok ]; then
        echo "$name ok"; passed=$((passed + 1))
    else
        echo "$name FAILED (status $status)"; echo "$output" | head -20 | sed 's/^/    /'; failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
