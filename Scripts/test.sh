#!/bin/bash
# test.sh   all tests, on a machine that has nothing but the Swift toolchain; ends with 'N passed, N failed'.
#   APUS_FULL=1   also the slow end-to-end cases and the thousand stress runs (some hours)
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"
cd "$REPO"
"$SCRIPTS/install-packages.sh" test || exit 1

passed=0 failed=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"; kill $(jobs -p) 2> /dev/null' EXIT
trap 'trap - TERM; kill 0' INT TERM     # what runs beside the script does not hear of an interrupt

count() {   # count NAME FILE: adds the sums that a part printed on its last line 'N passed, N failed'
    local sums; sums=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$2" | tail -1)
    if [ -z "$sums" ]; then say "$1 printed no sum: counted as a failure"; failed=$((failed + 1)); return; fi
    passed=$((passed + ${sums%% *})); sums=${sums#*, }; failed=$((failed + ${sums%% *}))
}
names=()
part() {    # part NAME COMMAND…: runs it beside others, as many as there are processors; prints it when it has ended
    local name=$1 log=$logs/${#names[@]}; shift
    names+=("$name")
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    {
        began=$SECONDS
        "$@" > "$log" 2>&1 < /dev/null
        took=$((SECONDS - began))
        # Whole, whoever else ends now.
        { flock 9; printf '%s\n' "-- $name: $took s"; cat "$log"; } 9< "$logs"
    } &
}

unit_tests() {  # all of Swift's, with the sum as the last line
    local log=$logs/swift status total broken
    swift test -c release --skip-build > "$log" 2>&1
    status=$?
    grep -E '^(✘|error:)|recorded an issue|Fatal|crashed' "$log" | head -40
    tail -2 "$log"
    total=$(sed -nE 's/.*Test run with ([0-9]+) tests?.*/\1/p' "$log" | tail -1)
    broken=$(grep -E '^✘ Test .* failed after' "$log" | grep -cv '^✘ Test run with')
    [ $status = 0 ] || [ "$broken" -gt 0 ] || broken=1
    echo "$((${total:-0} - broken)) passed, $broken failed"
}

# What the parts need is fetched and made while the build runs.
fetch() {
    "$SCRIPTS/fetch-qemu.sh" && "$SCRIPTS/fetch-qemu-utils.sh" && "$SCRIPTS/fetch-qemu-system.sh" && "$SCRIPTS/fetch-root.sh" riscv64 full \
        && "$SCRIPTS/fetch-root.sh" riscv64 managed && "$SCRIPTS/fetch-machine-kit.sh" boot && "$SCRIPTS/fetch-riscv32.sh" && "$SCRIPTS/fetch-riscv32-programs.sh"
}
fetch > /dev/null & fetching=$!
# A build has moments in which one processor has nothing to do: the fuzzer's own build takes those.
nice -n 19 Tests/Fuzz/run.sh --build > /dev/null 2>&1 &

say "building the tests (release)"
began=$SECONDS log=$logs/swift
swift build -c release --build-tests > "$log" 2>&1 || { grep -E 'error' "$log" || tail -30 "$log"; echo "0 passed, 1 failed"; exit 1; }
if grep -E '(Sources|Tests)/.*warning:' "$log" | sort -u | grep .; then failed=$((failed + 1)); say "the build has warnings"; fi
say "built in $((SECONDS - began)) s"

wait $fetching || die "what the tests need could not be fetched"
export APUS_QEMU; APUS_QEMU=$("$SCRIPTS/fetch-qemu.sh") || exit 1
"$SCRIPTS/build.sh" 2>&1 | grep -vE '^\[|^Build' || exit 1
# The longest first: none is left over at the end.
part "unit tests" unit_tests
part "fuzzing, coverage-guided" Tests/Fuzz/run.sh "$([ -n "${APUS_FULL:-}" ] && echo 60 || echo 2)"
part "folders, sockets and memory that guest and host share" Tests/Sharing/run.sh
part "real programs of Debian trixie riscv64" Tests/EndToEnd/run.sh ${APUS_FULL:+--full}
part "USB of machines with a real kernel" Tests/USB/run.sh
if [ -n "${APUS_FULL:-}" ]; then narrow=(--cases 1000); else narrow=(--cases 10 --engines interpreter,x64 --every 3); fi
part "riscv32 instructions and random programs against QEMU" .build/release/apus-differential --xlen 32 "${narrow[@]}"
part "what boots a machine: U-Boot, EDK2, GRUB" Tests/Boot/run.sh ${APUS_FULL:+--full}
part "NBD, TLS and the storage daemon with real clients" Tests/NBD/run.sh
part "encrypted images beside qemu-img" Tests/Images/encryption.sh
part "riscv64 instructions and random programs against QEMU" Tests/Differential/run.sh "$([ -n "${APUS_FULL:-}" ] && echo 1000 || echo 30)"
part "disks of machines with a real kernel" Tests/Disks/run.sh
part "networks of machines" Tests/Network/run.sh
part "interrupt controllers of machines with a real kernel" Tests/Interrupts/run.sh
part "the monitor of machines, hot-plug and resets with a real guest" Tests/Monitor/run.sh
part "nonsense written to every device" Tests/Registers/run.sh 12
part "displays and input of a machine" Tests/Display/run.sh
part "riscv32 programs beside QEMU" Tests/RISCV32/run.sh
part "disk images beside qemu-img" Tests/Images/run.sh
part "a guest under the KVM of a machine" Tests/Virtualization/run.sh
part "privileged programs beside QEMU" Tests/Privileged/run.sh
part "random trials of the writable image formats" Tests/Images/trials.sh ${APUS_FULL:+10000 1000}
part "malformed programs, full disks, closed pipes" Tests/Robustness/run.sh
part "folders as FAT disks" Tests/Images/vvfat.sh
part "packages of machines" Tests/Images/import.sh
part "qcow2 beside qemu-img" Tests/Images/qcow2.sh
part "signals, threads and processes as on the host" Tests/Guest/run.sh
part "gdb sessions with a machine" Tests/MachineDebugger/run.sh
part "gdb sessions and core files" Tests/Debugger/run.sh
part "threads, signals and processes under stress" Tests/Stress/run.sh "$([ -n "${APUS_FULL:-}" ] && echo 1000 || echo 20)"
part "programs started by the kernel" Tests/BinaryFormat/run.sh
part "counts, calls and coverage" Tests/Tools/run.sh
part "chroots of guest programs" Tests/Chroot/run.sh ${APUS_FULL:+--full bash}
part "programs about the processor" Tests/Processor/run.sh

if [ -n "${APUS_FULL:-}" ]; then
    part "guestfish on a disk that Apus serves" Tests/NBD/guestfish.sh
    part "run-time systems and compilers, fifty runs of each" Tests/Managed/run.sh 50
    part "Node.js's own tests" Tests/Managed/node-suite.sh --every 6
    part "stressors of stress-ng as natively" Tests/StressNG/run.sh
fi

wait
for index in "${!names[@]}"; do count "${names[index]}" "$logs/$index"; done
say "all tests took $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
