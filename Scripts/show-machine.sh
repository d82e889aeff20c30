#!/bin/bash
# show-machine.sh   boots a whole Debian riscv64 computer in this terminal: OpenSBI, Debian's kernel, a root shell. Its disk is
# kept between runs, in the cache. Without a terminal, some commands are typed into it, and it is switched off.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"
apus=$REPO/.build/release/apus
[ -e "$APUS_CACHE/machine/riscv64/complete" ] || [ -x "$REPO/.build-static/release/apus" ] || "$SCRIPTS/build.sh" static
machine=$("$SCRIPTS/make-machine.sh" riscv64)
disk=$machine/disk.qcow2
[ -e "$disk" ] || "$apus" img create -q -f qcow2 -b disk.raw -F raw "$disk"
command=("$apus" system -M virt -smp 2 -m 1G -nographic -kernel "$machine/vmlinuz" -initrd "$machine/initrd.img"
    -append "root=/dev/vda rw console=ttyS0" -drive "file=$disk,if=none,id=disk" -device virtio-blk-pci,drive=disk
    -nic user,model=virtio-net-pci)
say "booting Debian for riscv64: ${command[*]}"
if [ -t 0 ]; then
    say "'poweroff' ends it, Ctrl-A X switches it off, Ctrl-A H tells of more keys"
    exec "${command[@]}"
fi

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkfifo "$work/keys"; : > "$work/screen"
"${command[@]}" < "$work/keys" > >(tee "$work/screen") 2>&1 & process=$!
exec 3> "$work/keys"
prompts() { grep -ac 'root@apus:~#' "$work/screen" || true; }
wanted=1
prompt() {  # waits until the shell asks for the next command
    local _; for _ in {1..3000}; do
        [ "$(prompts)" -lt $wanted ] || { wanted=$((wanted + 1)); return; }
        kill -0 $process 2> /dev/null || die "the machine ended before its time"
        sleep 0.1
    done
    kill $process; die "the machine did not come to a prompt in five minutes"
}
for line in "bind 'set enable-bracketed-paste off'" "uname -srm; nproc" "ip -br -4 addr show up" "systemctl is-system-running --wait" "df -h /" \
    "python3 -c 'print(sum(i * i for i in range(10 ** 6)))'"; do
    prompt; printf '%s\n' "$line" >&3
done
prompt; printf 'poweroff\n' >&3
wait $process || die "the machine ended with status $?"
