#!/bin/bash
# run.sh [--build | SECONDS [TARGET…]]   coverage-guided fuzzing (libFuzzer) of what reads images, descriptors and descriptions.
# SECONDS for each target (default 2: all targets in two minutes or so). Ends with 'N passed, N failed'.
#   Seeds are made by apus img create and apus io; what is found on the way is kept in the cache and used the next time.
#   A finding is kept too, and named: run it again with  .build/release/apus-fuzz TARGET FILE
#   --build only builds the fuzzer.
#   APUS_FUZZ_SANITIZE=address also looks for accesses outside of memory.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
cd "$REPO" || exit 1
executable=${APUS:-$REPO/.build/release/apus}
only_builds=; [ "${1:-}" = --build ] && { only_builds=1; shift; }
seconds=${1:-2}; [ $# = 0 ] || shift
sanitize=fuzzer${APUS_FUZZ_SANITIZE:+,$APUS_FUZZ_SANITIZE}
build=.build-fuzz${APUS_FUZZ_SANITIZE:+-$APUS_FUZZ_SANITIZE}
log=$(mktemp); work=$(mktemp -d); trap 'rm -rf "$log" "$work"' EXIT

say "building the fuzzer"
# By lld: gold fails on these objects (internal error in format_file_lineno).
swift build -c release --product apus-fuzz --scratch-path "$build" -Xswiftc -sanitize="$sanitize" -Xswiftc -DFUZZING -Xswiftc -use-ld=lld > "$log" 2>&1 ||
    { grep -E 'error' "$log" || tail -20 "$log"; echo "0 passed, 1 failed"; exit 1; }
[ -z "$only_builds" ] || exit 0
fuzzer=$build/release/apus-fuzz
targets=("$@")
[ $# -gt 0 ] || read -ra targets <<< "$(APUS_FUZZ_TARGET='' "$fuzzer" 2>&1 | sed -n 's/.*one of: //p')"
[ ${#targets[@]} -gt 0 ] || { echo "the fuzzer names no targets"; echo "0 passed, 1 failed"; exit 1; }
# The packer is the same program without libFuzzer.
swift build -c release --product apus-fuzz > "$log" 2>&1 || { tail -20 "$log"; echo "0 passed, 1 failed"; exit 1; }
pack() { .build/release/apus-fuzz --pack "$1"; }

# seeds TARGET FOLDER: images with a little of everything.
seeds() {
    local target options number=0 image=$work/image
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
        nbd-*) nbd_seeds "$1" "$2" ;;
        vvfat) folder_seeds "$2" ;;
        ovf) envelope > "$2/one" ;;
        ova) envelope > "$work/box.ovf"; "$executable" img create -q -f vmdk -o subformat=streamOptimized "$work/d.vmdk" 1M
             (cd "$work" && echo "SHA256(d.vmdk)= $(sha256sum < d.vmdk | cut -d' ' -f1)" > box.mf && for kind in ustar gnu pax; do tar --format=$kind -cf "$2/$kind" box.ovf box.mf d.vmdk; done) ;;
        json) printf '{"driver":"qcow2","file":{"driver":"file","filename":"a\\u00e9\\n"},"x":[1,-2,3.5e2,null,true,18446744073709551615]}' > "$2/one";;
        options) printf 'driver=qcow2,file.filename=a,,b,size=1.5G' > "$2/one"; printf '0x1fk' > "$2/two"; printf 'json:{}' > "$2/three";;
        vmdk)   # A descriptor alone, as an image of one sector.
            { printf '\2\0\0\0\0\0\0\4'; printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n\nRW 2048 FLAT "disk-f001.vmdk" 0\nRW 2048 SPARSE "disk-s002.vmdk"\n\nddb.adapterType = "ide"\n'; head -c 780 /dev/zero; } > "$2/descriptor";;
    esac
}

envelope() {
    cat << 'END'
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:o="http://schemas.dmtf.org/ovf/envelope/1"><References><File o:id="f" o:href="d.vmdk"/></References>
<DiskSection><Disk o:capacity="1" o:capacityAllocationUnits="byte * 2^20" o:diskId="d" o:fileRef="f" o:format="vmdk"/></DiskSection>
<VirtualSystem o:id="a"><Name>n</Name><VirtualHardwareSection><Item><ResourceType>3</ResourceType><VirtualQuantity>2</VirtualQuantity></Item>
<Item><ResourceType>6</ResourceType><InstanceID>3</InstanceID></Item><Item><ResourceType>17</ResourceType><Parent>3</Parent><HostResource>ovf:/disk/d</HostResource></Item></VirtualHardwareSection></VirtualSystem></Envelope>
END
}

# folder_seeds FOLDER: what mtools changes on the disk that the target shows, as sectors.
folder_seeds() {
    local shown=$work/shown number=0 change
    .build/release/apus-fuzz --folder "$work/folder"
    "$executable" img convert -f raw -O raw "fat:floppy:$work/folder/shared" "$shown"
    echo something > "$work/new"
    for change in "mdel ::ONE" "mren ::ONE ::two" "mmd ::made" "mcopy $work/new ::new" "mcopy -o $work/new ::ONE" "mmove ::ONE ::dir" "mdeltree ::dir" "mmove ::dir/none ::"; do
        cp "$shown" "$work/changed"; number=$((number + 1))
        read -ra words <<< "$change"
        MTOOLS_SKIP_CHECK=1 "${words[0]}" -i "$work/changed" "${words[@]:1}" < /dev/null > /dev/null 2>&1 || echo "no seed: $change" >&2
        python3 -c 'import struct, sys
one, two = (open(name, "rb").read() for name in sys.argv[1:])
for n in range(len(one) // 512):
    if one[n * 512:n * 512 + 512] != two[n * 512:n * 512 + 512]: sys.stdout.buffer.write(struct.pack("<H", n) + two[n * 512:n * 512 + 512])
sys.stdout.buffer.write(b"\xff\xff")' "$shown" "$work/changed" > "$1/$number"
    done
}

# nbd_seeds TARGET FOLDER: conversations, one side of each: with old replies and with structured ones.
nbd_seeds() {
    python3 - "$@" << 'END'
import struct, sys
target, folder = sys.argv[1:]
pack = lambda form, *values: struct.pack(">" + form, *values)
option = lambda code, data=b"": b"IHAVEOPT" + pack("II", code, len(data)) + data
answer = lambda code, kind, data=b"": pack("QIII", 0x3e889045565a9, code, kind, len(data)) + data
request = lambda command, offset, length, data=b"", flags=0, cookie=[0]: (cookie.__setitem__(0, cookie[0] + 1), pack("IHHQQI", 0x25609513, flags, command, cookie[0], offset, length) + data)[1]
chunk = lambda cookie, kind, data=b"", flags=1: pack("IHHQI", 0x668e33ef, flags, kind, cookie, len(data)) + data
wide = lambda command, offset, length, data=b"", flags=0: pack("IHHQQQ", 0x21e41c71, flags, command, 7, offset, length) + data
name = pack("I", 0)
context = name + pack("I", 1) + pack("I", 15) + b"base:allocation"
greeting = b"NBDMAGICIHAVEOPT" + pack("H", 3)
go = answer(7, 3, pack("HQH", 0, 1 << 20, 0x1ed)) + answer(7, 3, pack("HIII", 3, 1, 4096, 32 << 20)) + answer(7, 1)
chosen = answer(10, 4, pack("I", 1) + b"base:allocation") + answer(10, 1)
seeds = {
    "nbd-server": [
        pack("I", 3) + option(8) + option(10, context) + option(7, name + pack("HH", 1, 3)) + request(0, 0, 4096) + request(1, 512, 16, b"x" * 16, 1)
        + request(7, 0, 1 << 20) + request(6, 4096, 65536, flags=2) + request(4, 0, 4096) + request(3, 0, 0) + request(5, 0, 512) + request(2, 0, 0),
        pack("I", 3) + option(11) + option(9, context) + option(10, name + pack("I", 2) + pack("I", 22) + b"qemu:allocation-depth?"[:22] + pack("I", 5) + b"qemu:") + option(3) + option(6, name + pack("H", 0))
        + option(7, name + pack("H", 0)) + wide(0, 0, 4096) + wide(7, 0, 1 << 20) + wide(1, 0, 4, b"abcd", 32) + wide(6, 0, 1 << 20) + wide(2, 0, 0),
        pack("I", 1) + option(5) + option(1, b"") + request(0, 0, 512) + request(2, 0, 0),
    ],
    "nbd-client": [
        greeting + answer(11, 1 << 31 | 1) + answer(8, 1) + chosen + go + chunk(1, 1, pack("Q", 512) + b"d" * 4096) + chunk(2, 5, pack("III", 1, 4096, 3) + pack("II", 1 << 20, 0))
        + chunk(3, 0) + chunk(4, 0) + chunk(5, 2, pack("QI", 512, 2048), 0) + chunk(5, 0x8002, pack("IHQ", 5, 0, 2560)),
        greeting + answer(8, 1 << 31 | 1) + go + pack("IIQ", 0x67446698, 0, 1) + b"d" * 4096 + pack("IIQ", 0x67446698, 5, 2) + pack("IIQ", 0x67446698, 0, 3),
        greeting + answer(11, 1) + chosen + go + pack("IHHQQQ", 0x6e8a278c, 1, 1, 1, 512, 4104) + pack("Q", 512) + b"d" * 4096 + pack("IHHQQQ", 0x6e8a278c, 1, 6, 2, 512, 24) + pack("IIQQ", 1, 1, 1 << 20, 3),
        b"NBDMAGIC" + pack("QQI", 0x420281861253, 1 << 20, 3) + bytes(124) + pack("IIQ", 0x67446698, 0, 1) + b"d" * 4096,
        b"NBDMAGICIHAVEOPT" + pack("H", 0) + pack("QH", 1 << 20, 3) + bytes(124),
    ],
    "nbd-list": [
        greeting + answer(11, 1 << 31 | 1) + answer(8, 1) + answer(3, 2, pack("I", 1) + b"adescription") + answer(3, 1) + answer(6, 3, pack("HQH", 0, 1 << 20, 1)) + answer(6, 3, pack("H", 1) + b"a")
        + answer(6, 3, pack("H", 2) + b"words") + answer(6, 1) + answer(9, 4, pack("I", 0) + b"base:allocation") + answer(9, 1),
    ],
}
for number, seed in enumerate(seeds[target]):
    open(f"{folder}/{number}", "wb").write(seed)
END
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
    # Without inputs run, nothing was tested. Some take 30 ms each.
    if [ $status = 0 ] && [ "${runs:-0}" -gt 20 ]; then
        passed=$((passed + 1)); printf '%-12s %9s inputs, %5s MiB at most\n' "$target" "$runs" "$memory"
    else
        failed=$((failed + 1)); echo "FAILED  $target (status $status, ${runs:-0} inputs)"
        grep -E 'Fatal error|SUMMARY|ERROR|Test unit written' "$log" | head -6
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
