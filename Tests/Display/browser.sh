#!/bin/bash
# browser.sh   a console in a web page: Debian's noVNC in headless Chromium (both Debian's, installed by
# install-packages.sh browser), connected to the WebSocket of `-vnc …,websocket=`. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
export REPO
executable=${APUS:-$REPO/.build/release/apus}
"$SCRIPTS/install-packages.sh" browser || exit 1
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
environment=$APUS_CACHE/browser-venv
"$environment/bin/python3" -c 'import websockets' 2> /dev/null || { python3 -m venv "$environment" && "$environment/bin/pip" -q install websockets || exit 1; }
guest= work=$(mktemp -d); trap 'kill $guest 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
bash "$here/make-initrd.sh" "$kit" initrd || exit 1
base=$((2000 + RANDOM % 20000))
timeout 900 "$executable" system -M virt -m 256M -smp 2 -bios "$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" -kernel "$kit/kernel/riscv64/vmlinuz" -initrd initrd \
    -append "console=tty0 console=ttyS0 loglevel=4" -serial "file:log" -device virtio-gpu-pci,xres=720,yres=400 -device virtio-keyboard-pci -device virtio-tablet-pci \
    -vnc "127.0.0.1:$base,websocket=$((base + 5701))" < /dev/null > err 2>&1 &
guest=$!
for _ in $(seq 600); do grep -q '^READY' log 2> /dev/null && break; sleep 0.2; done
grep -q '^READY' log || { echo "FAILED  the guest does not start: $(cat err)"; echo "0 passed, 1 failed"; exit 1; }
timeout 600 "$environment/bin/python3" "$here/browser.py" "$(command -v chromium)" /usr/share/novnc "$((base + 5701))" log > result 2>&1
cat result
passed=$(grep -c '^ok' result) failed=$(grep -c '^FAILED' result)
[ $((passed + failed)) -gt 3 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
