#!/bin/bash
# run.sh   bare-metal programs on apus-bare, on both engines, beside QEMU's virt machine: what they print must be the same but
# for the lines of NAME.differences (a diff of QEMU's output and ours; all of ours, where the program says that it runs alone, as
# QEMU's answers hang on its timing). Ends with 'N passed, N failed'.
#   run.sh [--bless] [NAME…]
#   APUS_BARE   the program to test (default: the release build, made if need be)
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
bare=${APUS_BARE:-$REPO/.build/release/apus-bare}
[ -n "${APUS_BARE:-}" ] || (cd "$REPO" && swift build -c release --product apus-bare 2>&1 | grep error:)
qemu=${APUS_QEMU_SYSTEM:-$("$SCRIPTS/fetch-qemu-system.sh")} || exit 1
bless=; [ "${1:-}" = --bless ] && { bless=1; shift; }
names=("$@"); [ $# -gt 0 ] || names=(traps paging spaces pmp smepmp smstateen counters interrupts aia aplic imsic pointers nmi triggers)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0
for name in "${names[@]}"; do
    riscv64-linux-gnu-gcc -O1 -Wall -ffreestanding -nostdlib -static -fno-pic -no-pie -mcmodel=medany \
        -march=rv64imac_zicsr_zifencei -mabi=lp64 -T "$here/link.ld" -Wl,--build-id=none,--no-warn-rwx-segments \
        "$here/start.S" "$here/harness.c" "$here/$name.c" -o "$work/$name.elf" &&
        riscv64-linux-gnu-objcopy -O binary "$work/$name.elf" "$work/$name.bin" || { failed=$((failed + 1)); continue; }
    cpu=$(sed -nE 's|^/\* cpu: (.*) \*/$|\1|p' "$here/$name.c")
    aia=$(sed -nE 's|^/\* aia: (.*) \*/$|\1|p' "$here/$name.c")
    own=$aia; case $aia in '') own=none ;; aplic-imsic*) own=${aia#*aia-guests=} ;; esac
    : > "$work/qemu"
    grep -q '^/\* alone' "$here/$name.c" ||
        timeout 200 "$qemu" -M virt${aia:+,aia=$aia} -cpu "${cpu:-rv64}" -nographic -bios "$work/$name.bin" < /dev/null > "$work/qemu" 2>&1
    for engine in interpreter x64; do
        timeout 400 "$bare" --cpu "${cpu:-rv64}" --aia "$own" --engine $engine "$work/$name.bin" < /dev/null > "$work/apus" 2>&1
        status=$?
        diff "$work/qemu" "$work/apus" > "$work/differences"
        [ -z "$bless" ] || cp "$work/differences" "$here/$name.differences"
        if [ $status = 0 ] && diff "$here/$name.differences" "$work/differences" > "$work/new"; then passed=$((passed + 1))
        else failed=$((failed + 1)); printf 'FAILED  %s on %s (status %s)\n' "$name" $engine $status; head -20 "$work/new"; fi
    done
done
# The interrupt that no program can raise by itself: the monitor does.
executable=${APUS:-$REPO/.build/release/apus}
if [[ " ${names[*]} " = *" nmi "* ]]; then
    riscv64-linux-gnu-gcc -nostdlib -static -fno-pic -no-pie -march=rv64imac_zicsr -mabi=lp64 -Wl,-Ttext=0x80000000,--build-id=none,--no-warn-rwx-segments \
        "$here/inject.S" -o "$work/inject.elf" && riscv64-linux-gnu-objcopy -O binary "$work/inject.elf" "$work/inject.bin"
    (for _ in $(seq 100); do grep -q R "$work/serial" 2> /dev/null && break; sleep 0.1; done; echo nmi; sleep 5) |
        timeout 60 "$executable" system -M virt -cpu rv64,smrnmi=on,rnmi-interrupt-vector=0x80001000 -display none -serial "file:$work/serial" -monitor stdio -bios "$work/inject.bin" > "$work/monitor" 2>&1
    status=$?
    if [ $status = 0 ] && [ "$(cat "$work/serial")" = RNB ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  inject-nmi: status $status, '$(cat "$work/serial")'"; fi
    (sleep 1; printf 'nmi\nquit\n') | timeout 60 "$executable" system -M virt -display none -serial none -monitor stdio -bios none > "$work/monitor" 2>&1
    if grep -q "does not provide NMIs" "$work/monitor"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  inject-nmi without Smrnmi: $(cat "$work/monitor")"; fi
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
