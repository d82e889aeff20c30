#!/bin/bash
# run.sh [REQUESTS]   requests a second of 4 KiB in scattered order on a full qcow2 image of 1 GiB through NBD: QEMU 10's
# qemu-nbd and apus nbd in turns, three times each, the same client (qemu-img bench). Prints medians and their ratio.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
ten=$("$SCRIPTS/fetch-qemu-utils.sh")
requests=${1:-50000}
work=$(mktemp -d); trap '[ ! -e "$work/pid" ] || kill "$(cat "$work/pid")" 2> /dev/null; rm -rf "$work"' EXIT
"$ten/qemu-img" create -q -f qcow2 "$work/disk" 1G
"$ten/qemu-img" bench -w -c 1024 -s 1M -S 1M -f qcow2 "$work/disk" > /dev/null
median() { sort -n | sed -n 2p; }
measure() {     # measure SERVER DEPTH [-w]: requests a second
    local run=("$executable" nbd) seconds process; [ "$1" = apus ] || run=("$ten/qemu-nbd")
    "${run[@]}" --fork --pid-file "$work/pid" -t -f qcow2 -k "$work/socket" "$work/disk"
    seconds=$("$ten/qemu-img" bench ${3:-} -f raw -c "$requests" -d "$2" -s 4k -S 32436224 "nbd+unix:///?socket=$work/socket" | sed -nE 's/^Run completed in ([0-9.]+) seconds.*/\1/p')
    process=$(cat "$work/pid"); kill "$process"; while kill -0 "$process" 2> /dev/null; do sleep 0.05; done; rm -f "$work/pid" "$work/socket"
    awk -v r="$requests" -v s="$seconds" 'BEGIN { printf "%.0f\n", r / s }'
}
printf '%-22s %10s %10s %7s\n' "requests a second" qemu-nbd "apus nbd" ratio
for kind in "" -w; do for depth in 1 4 16 64; do
    : > "$work/qemu"; : > "$work/apus"
    for _ in 1 2 3; do for who in qemu apus; do measure $who $depth $kind >> "$work/$who"; done; done
    one=$(median < "$work/qemu") two=$(median < "$work/apus")
    printf '%-22s %10s %10s %7s\n' "$([ -n "$kind" ] && echo write || echo read), $depth in flight" "$one" "$two" "$(awk -v a="$one" -v b="$two" 'BEGIN { printf "%.2f", b / a }')"
done; done
