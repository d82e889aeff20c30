#!/bin/bash
# fetch-qemu.sh   unpacks QEMU 10's user-mode emulators (Debian trixie) into the cache, as the yardstick of tests and
# benchmarks; prints the path of qemu-riscv64. They are static executables: nothing of the host is involved.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

tree=$APUS_CACHE/qemu-10
if [ ! -x "$tree/usr/bin/qemu-riscv64" ]; then
    say "fetching QEMU 10 (Debian trixie) into $tree"
    configuration=$(apt_state trixie amd64)
    rm -rf "$tree" "$tree.new"
    debs=$APUS_CACHE/apt/trixie-amd64/debs
    ( cd "$debs" && APT_CONFIG=$configuration apt-get -qq download qemu-user )
    unpack_packages "$tree.new" "$(ls -t "$debs"/qemu-user_*.deb | head -1)"
    mv "$tree.new" "$tree"
fi
echo "$tree/usr/bin/qemu-riscv64"
