#!/bin/bash
# initrd.sh OUT PROGRAM   the disks' initrd with the drivers of 9P, vsock and the balloon, and PROGRAM as /bin/sharing.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
MODULES="virtio_mmio virtio_pci netfs 9pnet 9pnet_virtio 9p vsock vmw_vsock_virtio_transport virtio_balloon" "$here/../Disks/initrd.sh" "$1.base"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"; cp "$2" "$folder/bin/sharing"; cp "$here/guest.sh" "$folder/guest.sh"
(cd "$folder" && printf '%s\n' bin bin/sharing guest.sh | cpio -o -H newc --quiet | gzip -1) | cat "$1.base" - > "$1"
rm -f "$1.base"
