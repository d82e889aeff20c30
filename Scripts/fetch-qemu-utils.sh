#!/bin/bash
# fetch-qemu-utils.sh   unpacks QEMU 10's disk image tools (Debian trixie: qemu-img, qemu-io, qemu-nbd and the storage
# daemon) with the libraries they need into the cache; prints the folder of the commands. The host's own libraries are
# not involved: each command is started by the tree's loader.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

tree=$APUS_CACHE/qemu-utils-10
if [ ! -x "$tree/commands/qemu-img" ]; then
    say "fetching QEMU 10's disk image tools (Debian trixie) into $tree"
    rm -rf "$tree" "$tree.new"
    list=$(apt_closure trixie amd64 qemu-utils)
    unpack_packages "$tree.new" $list
    mkdir "$tree.new/commands"
    for name in qemu-img qemu-io qemu-nbd qemu-storage-daemon; do
        printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$tree/lib64/ld-linux-x86-64.so.2" \
            "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/bin/$name" > "$tree.new/commands/$name"
        chmod +x "$tree.new/commands/$name"
    done
    mv "$tree.new" "$tree"
    "$tree/commands/qemu-img" --version > /dev/null || die "QEMU's disk image tools do not start"
fi
echo "$tree/commands"
