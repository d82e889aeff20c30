#!/bin/bash
# run.sh   runs static riscv32 programs under `apus exec` and QEMU 10's qemu-riscv32 side by side: busybox, lua, bzip2 and
# sqlite3 built from Debian's sources, and those programs of Tests/Guest that musl has the functions for. What they print
# and how they end must be the same. Ends with 'N passed, N failed'.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$here/../..
apus=${APUS:-$repository/.build/release/apus}
reference=${APUS_QEMU:-$("$repository/Scripts/fetch-qemu.sh")} || exit 1
reference=${reference/riscv64/riscv32}
compiler=$("$repository/Scripts/fetch-riscv32.sh") || exit 1
programs=$("$repository/Scripts/fetch-riscv32-programs.sh") || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

# compare NAME COMMAND…   runs COMMAND under both, each in a folder of its own that holds a copy of what `input` has
compare() {
    local name=$1 side; shift
    for side in expected got; do
        rm -rf "$scratch/$side"; cp -rp "$scratch/input" "$scratch/$side"
        local emulator=("$reference"); [ $side = got ] && emulator=("$apus" exec)
        (cd "$scratch/$side" && timeout -k 2 60 "${emulator[@]}" "$@" > ../$side.out 2>&1 < /dev/null; echo "status $?" >> ../$side.out)
        sed -i '/^apus: the program was ended by signal/d' "$scratch/$side.out"
        (cd "$scratch/$side" && find . -type f ! -name '*.core' -printf '%p %s\n' | sort; find . -type f -size -64M ! -name '*.core' | sort | xargs -r sha256sum) >> "$scratch/$side.out"
    done
    if [ "$(wc -l < "$scratch/expected.out")" -gt 1 ] && diff "$scratch/expected.out" "$scratch/got.out" > "$scratch/difference"; then
        passed=$((passed + 1)); echo "$name ok"
    else
        failed=$((failed + 1)); echo "$name FAILED (< QEMU, > Apus)"; head -20 "$scratch/difference" | sed 's/^/    /'
    fi
}

mkdir "$scratch/input"
head -c 400000 "$compiler" "$programs/lua" > "$scratch/input/data"
cp "$here"/*.lua "$here"/*.sql "$scratch/input"
box=$programs/busybox
compare bzip2 "$programs/bzip2" -k data
compare lua "$programs/lua" program.lua
compare sqlite3 "$programs/sqlite3" new.db ".read program.sql"
compare gzip "$box" gzip -k -9 data
compare tar "$box" tar -cf - data program.lua
compare sums "$box" sha256sum data program.lua
compare text "$box" awk '{ n += length($0); s[$1]++ } END { print n, length(s), sqrt(2), 2^40 }' program.lua
compare sort "$box" sort -r program.lua
compare sed "$box" sed -n 's/local/LOCAL/gp' program.lua
compare shell "$box" sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i + 1)); x=$(echo $i); done; echo $x $((1 << 40)); (exit 3); echo $?; trap "echo caught" USR1; kill -USR1 $$; echo $(( 7 % -3 ))'
compare find "$box" find . -name '*.lua'
compare expression "$box" dc -e '2 100 ^ p'
compare truncate "$box" truncate -s 5000000000 large
compare seek "$box" dd if=data of=copy bs=1 skip=399990 seek=4294967300 count=5 status=none

sources=(Code/unfenced Processes/descriptors Threads/fences)
for source in "${sources[@]}"; do
    "$compiler" -O1 -w -pthread -o "$scratch/input/program" "$repository/Tests/Guest/$source.c" -lrt || exit 1
    compare "${source/\//-}" ./program
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
