#!/bin/bash
# run.sh   The network of machines with Debian's kernel: user-mode networking (DHCP, transfers both ways with checksums,
# forwarding), virtio-net over PCI and memory-mapped registers, e1000e, sockets between two guests and between Apus and QEMU 10, packet
# dumps, console ports, what is refused. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
kit=$("$SCRIPTS/fetch-machine-kit.sh") || exit 1
firmware=$kit/firmware/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin kernel=$kit/kernel/riscv64/vmlinuz
ten=$("$SCRIPTS/fetch-qemu-system.sh") || exit 1
work=$(mktemp -d)
processes=()
trap 'for process in "${processes[@]}"; do kill "$process" 2> /dev/null; done; rm -rf "$work"' EXIT
cd "$work" || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
has() { if grep -qaE -- "$3" "$2"; then ok; else bad "$1: no '$3' in: $(grep -aE '^[A-Z0-9]+ |apus' "$2" | tail -5 | tr '\n' ' ')"; fi; }
refuse() {  # refuse TEXT OPTION…: one line that has the text
    local text=$1; shift
    timeout 60 "$executable" system -M virt -display none -bios none "$@" > out 2>&1 < /dev/null
    if [ $? = 1 ] && [ "$(wc -l < out)" = 1 ] && grep -qF -- "$text" out; then ok; else bad "$*: $(head -2 out)"; fi
}
guest() {   # guest OUT apus|qemu DO OPTION…: boots, does DO
    local out=$1 emulator what=$3
    case $2 in apus) emulator=("$executable" system);; qemu) emulator=("$ten");; esac
    shift 3
    timeout 300 "${emulator[@]}" -M virt -m 512M -smp 1 -nographic -bios "$firmware" -kernel "$kernel" -initrd initrd.gz \
        -append "console=ttyS0 quiet net.do=$what net.port=$port net.sink=$sink net.size=8" "$@" < /dev/null > "$out" 2>&1
}

mkdir -p overlay && install -m755 "$here/guest-init" overlay/init
(cd overlay && find . | cpio -o -H newc -R 0:0 --quiet | gzip) > overlay.gz
cat "$kit/initrd/riscv64.cpio.gz" overlay.gz > initrd.gz
head -c 16000000 /dev/urandom > data; sum=$(sha256sum < data | cut -d' ' -f1)
python3 "$here/serve.py" data ports & processes+=($!)
for _ in $(seq 50); do [ -e ports ] && break; sleep 0.1; done
read -r port sink < ports || read -r port sink <<< "$(cat ports)"
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# 1. A card of -nic with DHCP, IPv6, transfers, services of the host in the guest's network, and the guest's on the host.
web=$(free) ready=$(free)
guest one apus mac,driver,dhcp,ip6,down,up,guestfwd,serve \
    -nic "user,model=virtio-net-pci,id=net0,hostname=guesty,domainname=example.org,hostfwd=tcp:127.0.0.1:$web-:80,hostfwd=tcp::$ready-:8080,hostfwd=unix:$work/web.sock-:80,guestfwd=tcp:10.0.2.100:1234-cmd:cat" \
    -object filter-dump,id=dump,netdev=net0,file=dump.pcap & one=$!; processes+=($one)
for _ in $(seq 60); do curl -sf -m 2 "http://127.0.0.1:$web/ready" > /dev/null && break; kill -0 $one 2> /dev/null || break; sleep 1; done
served=$(curl -sf -m 20 "http://127.0.0.1:$web/file" | sha256sum | cut -d' ' -f1)
unix=$(curl -sf -m 20 --unix-socket "$work/web.sock" http://guest/file | sha256sum | cut -d' ' -f1)
(exec 3<> "/dev/tcp/127.0.0.1/$ready" && echo done >&3) 2> /dev/null
wait $one
has "address" one '^MAC 52:54:00:12:34:56 2'
has "driver" one '^DRIVER virtio_net'
has "DHCP" one '^DHCP 10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3 example.org guesty'
has "IPv6" one '^IP6 [1-9]'
has "to the guest" one "^DOWN $sum"
has "from the guest" one "^UP $sum"
has "guestfwd" one '^GUESTFWD hello from the guest'
has "hostfwd" one "^SERVED $served"
has "hostfwd of a Unix socket" one "^SERVED $unix"
has "hostfwd ends" one '^SERVE done'
has "the machine's end" one '^END '
[ -e "$work/web.sock" ] && bad "the forwarded socket is left behind" || ok
if [ "$(od -An -tx4 -N4 dump.pcap)" = " a1b2c3d4" ] && [ "$(stat -c %s dump.pcap)" -gt 32000000 ]; then ok; else bad "filter-dump: $(ls -l dump.pcap 2>&1)"; fi

# 2. Memory-mapped registers, packed rings, another network, and ports of virtio-serial.
mkfifo c.in c.out
guest two apus mac,driver,dhcp,down,up,console -device virtio-net-device,netdev=n,mac=52:54:00:aa:bb:cc,packed=on -netdev user,id=n,net=10.0.2.0/24,dhcpstart=10.0.2.77 \
    -chardev pipe,id=c,path=c -device virtio-serial-pci,id=vs -device virtconsole,chardev=c,bus=vs.0 -chardev "pty,id=p,path=$work/pty" -device virtserialport,chardev=p,name=test.port & two=$!; processes+=($two)
exec 3<> c.out 4<> c.in
read -r -t 60 line <&3; echo "$line" > console; echo "an answer" >&4
exec 5<> pty; read -r -t 20 line <&5; echo "$line" >> console; echo "another answer" >&5
wait $two; exec 3>&- 4>&- 5>&-
has "given address" two '^MAC 52:54:00:aa:bb:cc'
has "dhcpstart" two '^DHCP 10.0.2.77 '
has "packed rings: to the guest" two "^DOWN $sum"
has "packed rings: from the guest" two "^UP $sum"
has "console port to the host" console 'hvc0 says hello'
has "console port to the guest" two '^HVC an answer'
has "serial port to the host" console 'port says hello'
has "serial port to the guest" two '^PORT another answer'

# 3. The form of old, and a network that leads nowhere else.
guest three apus static,mac,restricted -net nic,model=virtio,macaddr=52:54:00:01:02:03 -net user,restrict=on
has "-net nic -net user" three '^MAC 52:54:00:01:02:03'
has "restrict" three '^RESTRICTED yes'

# 4. A real card: DHCP, 112 MB to the guest and 16 from it, IPv6, and its cable pulled and plugged in by a monitor.
guest card apus mac,driver,dhcp,ip6,down,down,down,down,down,down,down,up,link -netdev user,id=n -device e1000e,netdev=n,id=card,mac=52:54:00:0e:10:00 \
    -monitor "unix:$work/monitor,server=on,wait=off" & card=$!; processes+=($card)
for _ in $(seq 700); do grep -qa "^CARRIER 1" card && break; kill -0 $card 2> /dev/null || break; sleep 0.1; done
python3 - "$work/monitor" << 'END'
import socket, sys, time
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
for line in [b"set_link card off\n", b"set_link card on\n"]:
    stream.sendall(line)
    time.sleep(2.5)
END
wait $card
has "e1000e: address" card '^MAC 52:54:00:0e:10:00'
has "e1000e: driver" card '^DRIVER e1000e'
has "e1000e: DHCP" card '^DHCP 10.0.2.15 255.255.255.0 10.0.2.2'
has "e1000e: IPv6" card '^IP6 [1-9]'
if [ "$(grep -ca "^DOWN $sum" card)" = 7 ]; then ok; else bad "e1000e: to the guest: $(grep -a ^DOWN card | head -3)"; fi
has "e1000e: from the guest" card "^UP $sum"
if [ "$(grep -a ^CARRIER card | tr -d '\r' | uniq | tr '\n' ' ')" = "CARRIER 1 CARRIER 0 CARRIER 1 " ]; then ok; else bad "e1000e: link: $(grep -a ^CARRIER card | tr '\r\n' '  ')"; fi
has "e1000e: the machine's end" card '^END '

# 5. Two guests, over each kind of socket; QEMU is the other side of the first two.
pair() {    # pair WHAT FIRST-EMULATOR BACKEND SECOND-EMULATOR BACKEND
    local first one=virtio-net-pci two=virtio-net-pci
    # QEMU's boot ROM is not needed, nor fetched.
    [ "$2" = qemu ] && one=$one,romfile=
    [ "$4" = qemu ] && two=$two,romfile=
    guest first "$2" first -netdev "$3,id=n" -device "$one,netdev=n" & first=$!; processes+=($first)
    sleep 0.3
    guest second "$4" second -netdev "$5,id=n" -device "$two,netdev=n,mac=52:54:00:12:34:99"
    wait $first
    local made; made=$(sed -nE 's/^SENT ([0-9a-f]+).*/\1/p' second | tr -d '\r')
    if [ -n "$made" ]; then has "$1" first "^GOT $made"; else bad "$1: nothing was sent: $(tail -2 second | cut -c1-200)"; fi
}
one=$(free) two=$(free)
pair "stream to QEMU" apus "stream,server=on,addr.type=unix,addr.path=$work/s" qemu "stream,addr.type=unix,addr.path=$work/s"
pair "socket listen and connect" apus "socket,listen=127.0.0.1:$one" apus "socket,connect=127.0.0.1:$one"
pair "dgram with QEMU" qemu "dgram,local.type=inet,local.host=127.0.0.1,local.port=$one,remote.type=inet,remote.host=127.0.0.1,remote.port=$two" \
    apus "dgram,local.type=inet,local.host=127.0.0.1,local.port=$two,remote.type=inet,remote.host=127.0.0.1,remote.port=$one"

# 6. A device of the host, in a network of its own.
if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] && command -v ip > /dev/null && unshare -n true 2> /dev/null; then
    printf '#!/bin/sh\nip addr add 10.0.2.2/24 dev $1 && ip link set $1 up\n' > up; printf '#!/bin/sh\necho "$1" > %s/down\n' "$work" > downscript; chmod +x up downscript
    export -f guest; export executable ten firmware kernel work here
    unshare -n bash -c 'ip link set lo up; rm -f ports
        python3 "$here/serve.py" data ports 0.0.0.0 & server=$!
        for _ in $(seq 50); do [ -e ports ] && break; sleep 0.1; done
        read -r port sink < ports || read -r port sink <<< "$(cat ports)"
        guest tap apus static,mac,down,down,up -netdev "tap,id=n,ifname=apus0,script=$work/up,downscript=$work/downscript" -device virtio-net-pci,netdev=n,mac=52:54:00:77:00:01
        kill $server'
    has "tap: address" tap '^MAC 52:54:00:77:00:01'
    if [ "$(grep -ca "^DOWN $sum" tap)" = 2 ]; then ok; else bad "tap: to the guest: $(grep -aE '^DOWN|apus' tap | head -3)"; fi
    has "tap: from the guest" tap "^UP $sum"
    [ "$(cat down 2> /dev/null)" = apus0 ] && ok || bad "tap: the downscript did not run"
else say "no tap devices here: not tested"
fi

# 7. What is refused, by name.
refuse "there is no network back end 'x', or it is in use" -device virtio-net-pci,netdev=x
refuse "or it is in use" -netdev user,id=n -device virtio-net-pci,netdev=n -device virtio-net-pci,netdev=n
refuse "'vhost' is not supported" -netdev tap,id=t,vhost=on
refuse "expected user, tap, socket" -netdev vde,id=v
refuse "hostfwd 'tcp::1'" -netdev user,id=n,hostfwd=tcp::1
refuse "cannot be forwarded" -netdev user,id=n,hostfwd=tcp:127.0.0.1:$port-:22
refuse "model 'rtl8139' is not supported" -nic user,model=rtl8139
refuse "there is no virtio-serial device in front of it" -device virtconsole
refuse "'smb' is not supported" -netdev user,id=n,smb=/tmp

echo "$passed passed, $failed failed"
[ $failed = 0 ]
