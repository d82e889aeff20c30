#!/bin/bash
# run.sh   displays and input of `apus system` with Debian's kernel: consoles of virtio-gpu, VGA and bochs-display over VNC, by a
# client of its own (rfb.py: all encodings, TLS, passwords, WebSocket) and by vncdotool; what is typed reaches the guest's shell.
# Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
export REPO
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin
work=$(mktemp -d) passed=0 failed=0 guests=()
trap 'for process in "${guests[@]}"; do kill "$process" 2> /dev/null; done; rm -rf "$work"' EXIT
cd "$work" || exit 1
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
refuse() { local text=$1; shift; timeout 60 "$executable" system -M virt "$@" < /dev/null > out 2>&1; local status=$?
    if [ $status != 0 ] && [ $status -lt 124 ] && grep -q -- "$text" out && [ "$(wc -l < out)" = 1 ]; then ok; else bad "$* (status $status): $(head -3 out)"; fi; }
# start NAME OPTION…: a guest whose serial port is NAME.log
start() { local name=$1; shift
    timeout 400 "$executable" system -M virt -m 256M -bios "$firmware" -kernel "$kit/kernel/riscv64/vmlinuz" -initrd initrd -display none \
        -append "console=tty0 console=ttyS0 loglevel=4" -serial "file:$name.log" "$@" < /dev/null > "$name.err" 2>&1 &
    guests+=($!); }
ready() { for _ in $(seq 400); do grep -q '^READY' "$1.log" 2> /dev/null && return 0; sleep 0.2; done; bad "$1: not ready: $(cat "$1.err"; tail -3 "$1.log")"; return 1; }
# check NAME ARGUMENT…: a scene of check.py; it prints 'ok' or 'FAILED' lines
check() { timeout 300 python3 "$here/check.py" "$@" > result 2>&1; local status=$?
    passed=$((passed + $(grep -c '^ok' result))); failed=$((failed + $(grep -c '^FAILED' result))); grep '^FAILED' result
    [ $status = 0 ] || bad "check.py $* (status $status): $(tail -3 result)"; }

bash "$here/make-initrd.sh" "$kit" initrd || exit 1
environment=$APUS_CACHE/vncdotool
[ -x "$environment/bin/vncdo" ] || { say "installing vncdotool"; python3 -m venv "$environment" && "$environment/bin/pip" -q install vncdotool || bad "vncdotool cannot be installed"; }
certtool --generate-privkey --outfile ca-key.pem 2> /dev/null
printf 'cn=Test\nca\ncert_signing_key\n' > ca.template
certtool --generate-self-signed --load-privkey ca-key.pem --template ca.template --outfile ca-cert.pem 2> /dev/null
certtool --generate-privkey --outfile server-key.pem 2> /dev/null
printf 'cn=localhost\ndns_name=localhost\ntls_www_server\nencryption_key\nsigning_key\n' > server.template
certtool --generate-certificate --load-privkey server-key.pem --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem --template server.template --outfile server-cert.pem 2> /dev/null

base=$((2000 + RANDOM % 20000))
start gpu -smp 2 -device virtio-gpu-pci,id=card,max_outputs=2,xres=720,yres=400 -device virtio-keyboard-pci -device virtio-tablet-pci \
    -vnc "127.0.0.1:$base,websocket=$((base + 5701)),to=$((base + 5))" -vnc "unix:$work/second,display=card,head=1"
start vga -vga std -device virtio-keyboard-device -device virtio-mouse-device -object secret,id=word,data=secret \
    -object "tls-creds-x509,id=tls,dir=$work,endpoint=server,verify-peer=off" -vnc "unix:$work/vga,password-secret=word,tls-creds=tls" -vnc "unix:$work/locked,password=on,id=locked" -qmp "unix:$work/qmp,server=on,wait=off"
ready gpu && check gpu "$((base + 5900))" "$((base + 5701))" "$work/second" gpu.log "$environment/bin/vncdo"
ready vga && check vga "$work/vga" "$work/locked" ca-cert.pem vga.log "$work/qmp"
for process in "${guests[@]}"; do kill "$process"; done
guests=()
start bochs -device bochs-display,xres=1024,yres=768 -device virtio-keyboard-pci -vnc "unix:$work/bochs"
start mmio -device virtio-gpu-device,xres=640,yres=480 -device virtio-keyboard-device -vnc "unix:$work/mmio,share=ignore"
ready bochs && check plain "$work/bochs" bochs.log 1024 768
ready mmio && check plain "$work/mmio" mmio.log 640 480

refuse "lossy" -vnc :1,lossy=on
refuse "nobody" -vnc :1,password-secret=nobody
refuse "nobody" -vnc :1,tls-creds=nobody
refuse "sasl" -vnc :1,sasl=on
refuse "not an address" -vnc nowhere
refuse "there is no display" -vnc :1,display=card
refuse "share is" -vnc :1,share=mine
refuse "qxl" -vga qxl
refuse "gtk" -display gtk
refuse "max_outputs" -device virtio-gpu-pci,max_outputs=17
refuse "video memory" -device VGA,vgamem_mb=3
printf '%d passed, %d failed\n' "$passed" "$failed"
[ $failed = 0 ]
