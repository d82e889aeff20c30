#!/bin/bash
# run.sh   Machines with every device there is, and a guest that writes nonsense to their registers, rings and configuration
# space from two harts, while a monitor resets, stops and asks. Nothing may crash, hang, grow without bound or write outside
# what it was given. Ends with 'N passed, N failed'.
#   run.sh [SECONDS [SEED]]   seconds for each of six machines (default 15)
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
riscv64-linux-gnu-gcc -O1 -Wall -Werror -ffreestanding -nostdlib -static -fno-pic -no-pie -mcmodel=medany -march=rv64imac_zicsr_zifencei -mabi=lp64 \
    -T "$here/link.ld" -Wl,--build-id=none,--no-warn-rwx-segments "$here/start.S" "$here/registers.c" -o "$work/registers.elf" &&
    riscv64-linux-gnu-objcopy -O binary "$work/registers.elf" "$work/registers.bin" || exit 1
passed=0 failed=0
for name in storage others messages messages-others wires mapped; do
    TMPDIR=$work timeout $((${1:-15} * 2 + 300)) python3 "$here/fuzz.py" "$executable" "$work/registers.bin" "${1:-15}" "${2:-$(date +%s)}" $name > "$work/log" 2>&1
    grep -v '^[0-9]* passed' "$work/log"
    sums=$(grep '^[0-9]* passed' "$work/log" || echo "0 passed, 1 failed")
    passed=$((passed + ${sums%% *})); sums=${sums#*, }; failed=$((failed + ${sums%% *}))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
