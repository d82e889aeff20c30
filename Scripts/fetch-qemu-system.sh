#!/bin/bash
# fetch-qemu-system.sh   unpacks QEMU 10's RISC-V machine emulators (Debian trixie) with the libraries they need into the
# cache, as the oracle of tests; prints the path of qemu-system-riscv64 (qemu-system-riscv32 is beside it). The host's own
# libraries are not involved: each command is started by the tree's loader.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

tree=$APUS_CACHE/qemu-system-10
if [ ! -x "$tree/commands/qemu-system-riscv64" ]; then
    say "fetching QEMU 10's machine emulators (Debian trixie) into $tree"
    rm -rf "$tree" "$tree.new"
    list=$(apt_closure trixie amd64 qemu-system-riscv)
    unpack_packages "$tree.new" $list
    mkdir "$tree.new/commands"
    for name in qemu-system-riscv32 qemu-system-riscv64; do
        printf '#!/bin/sh\nexec %s --library-path %s %s -L %s "$@"\n' "$tree/lib64/ld-linux-x86-64.so.2" \
            "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/bin/$name" "$tree/usr/share/qemu" > "$tree.new/commands/$name"
        chmod +x "$tree.new/commands/$name"
    done
    mv "$tree.new" "$tree"
    "$tree/commands/qemu-system-riscv64" --version > /dev/null || die "QEMU's machine emulators do not start"
fi
echo "$tree/commands/qemu-system-riscv64"
