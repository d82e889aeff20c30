#!/bin/bash
# run.sh [SECONDS [TARGET…]]   coverage-guided fuzzing (libFuzzer) of what reads images, descriptors and descriptions.
# SECONDS for each target (default 2: all targets in about a minute). Ends with 'N passed, N failed'.
#   Seeds are made by apus img create and apus io; what is found on the way is kept in the cache and used the next time.
#   A finding is kept too, and named: run it again with  .build/release/apus-fuzz TARGET FILE
#   APUS_FUZZ_SANITIZE=address also looks for accesses outside of memory.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
cd "$REPO" || exit 1
executable=${APUS:-$REPO/.build/release/apus}
seconds=${1:-2}; [ $# = 0 ] || shift
sanitize=fuzzer${APUS_FUZZ_SANITIZE:+,$APUS_FUZZ_SANITIZE}
build=.build-fuzz${APUS_FUZZ_SANITIZE:+-$APUS_FUZZ_SANITIZE}
log=$(mktemp); work=$(mktemp -d); trap 'rm -rf "$log" "$work"' EXIT

say "building the fuzzer"
swift build -c release --product apus-fuzz --scratch-path "$build" -Xswiftc -sanitize="$sanitize" -Xswiftc -DFUZZING > "$log" 2>&1 ||
    { grep -E 'error' "$log" || tail -20 "$log"; echo "0 passed, 1 failed"; exit 1; }
fuzzer=$build/release/apus-fuzz
targets=("$@")
[ $# -gt 0 ] || read -ra targets <<< "$(APUS_FUZZ_TARGET='' "$fuzzer" 2>&1 | sed -n 's/.*one of: //p')"
[ ${#targets[@]} -gt 0 ] || { echo "the fuzzer names no targets"; echo "0 passed, 1 failed"; exit 1; }
# The packer is the same program without libFuzzer.
swift build -c release --product apus-fuzz > "$log" 2>&1 || { tail -20 "$log"; echo "0 passed, 1 failed"; exit 1; }
pack() { .build/release/apus-fuzz --pack "$1"; }

# seeds TARGET FOLDER: images with a little of everything.
seeds() {
    local options number=0 image=$work/image
    while IFS='|' read -r target options; do
        [ "$target" = "$1" ] || continue
        number=$((number + 1)); rm -f "$image"*
        "$executable" img create -q --object secret,id=s,data=x -f "$1" -o "$options" "$image" 1M > /dev/null 2>&1 || { echo "no seed: $1 $options" >&2; continue; }
        pack "$image" > "$2/empty$number"
        "$executable" io -f "$1" -c 'write -P 7 4k 60k' -c 'write -P 9 700k 8k' -c 'write -z 300k 128k' "$image" > /dev/null 2>&1
        if [ "$1" = qcow2 ]; then
            "$executable" img snapshot -c one "$image" 2> /dev/null
            "$executable" img bitmap --add "$image" dirty 2> /dev/null
        fi
        pack "$image" > "$2/full$number"
    done < "$here/seeds.txt"
    case $1 in
        json) printf '{"driver":"qcow2","file":{"driver":"file","filename":"a\\u00e9\\n"},"x":[1,-2,3.5e2,null,true,18446744073709551615]}' > "$2/one";;
        options) printf 'driver=qcow2,file.filename=a,,b,size=1.5G' > "$2/one"; printf '0x1fk' > "$2/two"; printf 'json:{}' > "$2/three";;
        vmdk)   # A descriptor alone, as an image of one sector.
            { printf '\2\0\0\0\0\0\0\4'; printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n\nRW 2048 FLAT "disk-f001.vmdk" 0\nRW 2048 SPARSE "disk-s002.vmdk"\n\nddb.adapterType = "ide"\n'; head -c 780 /dev/zero; } > "$2/descriptor";;
    esac
}

passed=0 failed=0
for target in "${targets[@]}"; do
    corpus=$APUS_CACHE/fuzz/$target; findings=$APUS_CACHE/fuzz-findings/$target
    mkdir -p "$corpus" "$findings" "$work/seeds/$target"
    seeds "$target" "$work/seeds/$target"
    APUS_FUZZ_TARGET=$target "$fuzzer" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1500 -max_len=20000 -len_control=0 -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "$work/seeds/$target" > "$log" 2>&1
    status=$?
    runs=$(sed -n 's/.*number_of_executed_units: //p' "$log") memory=$(sed -n 's/.*peak_rss_mb: //p' "$log")
    # Without inputs run, nothing was tested.
    if [ $status = 0 ] && [ "${runs:-0}" -gt 100 ]; then
        passed=$((passed + 1)); printf '%-12s %9s inputs, %5s MiB at most\n' "$target" "$runs" "$memory"
    else
        failed=$((failed + 1)); echo "FAILED  $target (status $status, ${runs:-0} inputs)"
        grep -E 'Fatal error|SUMMARY|ERROR|Test unit written' "$log" | head -6
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
