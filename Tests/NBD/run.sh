#!/bin/bash
# run.sh   NBD with real clients and servers: libnbd's nbdinfo and nbdcopy, nbdkit, QEMU 10's qemu-nbd, qemu-img and storage
# daemon, TLS with certificates and keys, and QMP. Ends with 'N passed, N failed'.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
apus() { "$executable" "$@"; }
ten=$("$SCRIPTS/fetch-qemu-utils.sh") || exit 1
work=$(mktemp -d)
stop_all() { for file in "$work"/*.pid; do [ -e "$file" ] && kill "$(cat "$file")" 2> /dev/null; done; }
trap 'stop_all; rm -rf "$work"' EXIT
cd "$work" || exit 1
export TMPDIR=$work

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
try() { local what=$1; shift; if timeout 200 "$@" > out 2>&1; then ok; else bad "$what: $* (status $?): $(head -3 out | tr '\n' ' ')"; fi; }
refuse() {  # refuse WHAT TEXT COMMAND…: fails, with one line that has the text
    local what=$1 text=$2 status; shift 2; timeout 200 "$@" > out 2>&1; status=$?
    if [ $status != 0 ] && [ $status -lt 124 ] && grep -q -- "$text" out; then ok; else bad "$what: $* (status $status): $(head -3 out | tr '\n' ' ')"; fi
}
equal() { if cmp -s "$2" "$3"; then ok; else bad "$1"; diff "$2" "$3" | head -6; fi; }
number=0
serve() {   # serve apus|qemu OPTION…: sets $uri and $socket
    local who=$1; shift; number=$((number + 1)); socket=$work/s$number pidfile=$work/$number.pid uri="nbd+unix:///?socket=$socket"
    case $who in
        apus) timeout 200 "$executable" nbd --fork --pid-file "$pidfile" -k "$socket" "$@" > out 2>&1;;
        qemu) timeout 200 "$ten/qemu-nbd" --fork --pid-file "$pidfile" -k "$socket" "$@" > out 2>&1;;
    esac || { bad "$who nbd $*: $(cat out)"; return 1; }
}
stop() {    # ends the last server, in order
    local process; process=$(cat "$pidfile" 2> /dev/null) || return 0
    kill "$process" 2> /dev/null
    for _ in $(seq 100); do kill -0 "$process" 2> /dev/null || break; sleep 0.05; done
    kill -0 "$process" 2> /dev/null && { bad "the server $process does not end"; kill -9 "$process"; }
    rm -f "$pidfile"
}
gone() { for _ in $(seq 60); do kill -0 "$1" 2> /dev/null || return 0; sleep 0.05; done; return 1; }

# A disk with data, holes, and an end that is no multiple of a cluster.
{ seq 1 400000 | head -c 2500000; } > source.raw
truncate -s 9M source.raw
seq 5 300000 | head -c 1000000 | dd of=source.raw bs=65536 seek=80 conv=notrunc 2> dd.log
truncate -s 12345856 source.raw

# Clients of Apus's server: each reads and writes all.
for format in raw qcow2; do
    "$ten/qemu-img" convert -f raw -O $format source.raw served.img
    serve apus -t -r -f $format served.img || continue
    try "$format: nbdinfo" nbdinfo "$uri"
    nbdinfo --map "$uri" > one; stop; serve qemu -r -t -f $format served.img; nbdinfo --map "$uri" > two; stop; equal "$format: nbdinfo --map" one two
    serve apus -t -e 8 -f $format served.img || continue
    rm -f copy; try "$format: nbdcopy from" nbdcopy "$uri" copy; equal "$format: what nbdcopy has read" copy source.raw
    try "$format: qemu-img compares" "$ten/qemu-img" compare -f raw -F raw source.raw "$uri"
    try "$format: qemu-img of this release compares" qemu-img compare -f raw -F raw source.raw "$uri"
    try "$format: apus img compares" "$executable" img compare -f raw -F raw source.raw "$uri"
    head -c 12345856 /dev/urandom > random.raw
    try "$format: nbdcopy to" nbdcopy --flush random.raw "$uri"
    try "$format: qemu-img compares again" "$ten/qemu-img" compare -f raw -F raw random.raw "$uri"
    try "$format: qemu-img convert to" "$ten/qemu-img" convert -n -f raw -O raw source.raw "$uri"
    try "$format: apus img convert to" "$executable" img convert -n -f raw -O raw source.raw "$uri"
    try "$format: qemu-io" "$ten/qemu-io" -f raw -c 'write -P 3 1M 100k' -c 'write -z -u 2M 1M' -c 'write -f -P 4 3M 512' -c 'discard 4M 64k' -c flush \
        -c 'read -P 3 1M 100k' -c 'read -P 0 2M 1M' -c 'read -P 4 3M 512' "$uri"
    stop
    [ $format = raw ] || try "$format: check" "$ten/qemu-img" check -f $format served.img
    try "$format: what was written is there" "$ten/qemu-io" -f $format -r -c 'read -P 3 1M 100k' -c 'read -P 0 2M 1M' -c 'read -P 4 3M 512' served.img
done

# How the host does the requests.
for way in threads io_uring "native --cache=none"; do
    cp source.raw served.img
    # shellcheck disable=SC2086
    serve apus -t -f raw --aio=$way served.img || continue
    try "--aio=$way: read" "$ten/qemu-img" compare -f raw -F raw source.raw "$uri"
    try "--aio=$way: written" nbdcopy --flush random.raw "$uri"
    stop; equal "--aio=$way: what was written" random.raw served.img
done

# Servers for Apus's client.
for format in raw qcow2; do
    "$ten/qemu-img" convert -f raw -O $format source.raw served.img
    serve qemu -t -e 8 -f $format served.img || continue
    rm -f copy; try "qemu-nbd, $format: convert from" "$executable" img convert -f raw -O raw "$uri" copy; equal "qemu-nbd, $format: what was read" copy source.raw
    for verb in "map" "map --output=json" "info" "info --output=json"; do
        apus img $verb -f raw "$uri" > one; "$ten/qemu-img" $verb -f raw "$uri" > two; equal "qemu-nbd, $format: $verb" one two
    done
    try "qemu-nbd, $format: convert to" "$executable" img convert -n -f raw -O raw random.raw "$uri"
    try "qemu-nbd, $format: io" "$executable" io -f raw -c 'write -P 3 1M 100k' -c 'write -z -u 2M 1M' -c 'discard 4M 64k' -c flush -c 'read -P 3 1M 100k' -c 'read -P 0 2M 1M' "$uri"
    stop
done
kit() { number=$((number + 1)); socket=$work/s$number pidfile=$work/$number.pid uri="nbd+unix:///?socket=$socket"; nbdkit -P "$pidfile" -U "$socket" "$@" > out 2>&1 || bad "nbdkit $*: $(cat out)"; }
for filters in "" "--no-sr" "-n" "-o" "--mask-handshake=0" "--filter=blocksize-policy" "--filter=nozero" "--filter=noextents"; do
    case $filters in *blocksize*) more="blocksize-minimum=4096 blocksize-preferred=4096 blocksize-maximum=64k blocksize-error-policy=error";; *) more=;; esac
    cp source.raw kit.raw; size=12345856; case $filters in *blocksize*) size=12M;; esac; cp source.raw source.part; truncate -s $size kit.raw source.part
    kit $filters file kit.raw $more
    rm -f copy; try "nbdkit $filters: convert from" "$executable" img convert -f raw -O raw "$uri" copy; equal "nbdkit $filters: what was read" copy source.part
    case $filters in -o) ;; *) try "nbdkit $filters: io" "$executable" io -f raw -c 'write -P 3 11M 4k' -c 'write -z 5M 1M' -c flush -c 'read -P 3 11M 4k' -c 'read -P 0 5M 1M' "$uri";; esac
    stop
done
kit memory 64M
try "nbdkit memory: a qcow2 image over it" "$executable" img convert -n -f raw -O raw source.raw "$uri"
stop
# An oldstyle nbdkit refuses flushes, which it has announced: there, only reading was tried.
# The option forms.
serve apus -t -x "name one" -D "words" -f raw -r source.raw
for name in "nbd:unix:$socket:exportname=name one" "nbd+unix:///name%20one?socket=$socket" "json:{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"$socket\"},\"export\":\"name one\"}"; do
    try "name $name" "$executable" img compare -f raw -F raw source.raw "$name"
done
try "--image-opts" "$executable" img info --image-opts "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=$socket,file.export=name one"
refuse "an export that there is not" "export" "$executable" img info "nbd+unix:///other?socket=$socket"
refuse "writing to a read-only export" "read-only" "$executable" io -f raw -c 'write 0 512' "nbd+unix:///name%20one?socket=$socket"
apus nbd -L -k "$socket" > one
stop
serve qemu -t -x "name one" -D "words" -f raw -r source.raw
# QEMU's server takes the ranges of BLOCK_STATUS as payload, too; ours does not say so.
"$ten/qemu-nbd" -L -k "$socket" | sed 's/block-status-payload //; s/0x148f/0x48f/' > two; equal "-L: the exports as qemu-nbd describes its own" one two
apus nbd -L -k "$socket" > one; "$ten/qemu-nbd" -L -k "$socket" > two; equal "-L: of qemu-nbd's server" one two
stop

# Bitmaps and depths, seen by QEMU and by nbdinfo.
"$ten/qemu-img" create -q -f qcow2 base.img 4M; "$ten/qemu-io" -f qcow2 -c 'write 0 1M' base.img > out
"$ten/qemu-img" create -q -f qcow2 -b base.img -F qcow2 top.img; "$ten/qemu-img" bitmap --add top.img b0; "$ten/qemu-io" -f qcow2 -c 'write 1M 1M' top.img > out; "$ten/qemu-img" bitmap --disable top.img b0
for who in qemu apus; do
    serve $who -t -r -A -B b0 -f qcow2 top.img
    for context in base:allocation qemu:allocation-depth qemu:dirty-bitmap:b0; do nbdinfo --map=$context "$uri"; done > $who.map 2>&1
    for client in "$ten/qemu-img" "$executable img"; do $client map --output=json --image-opts "driver=nbd,server.type=unix,server.path=$socket,x-dirty-bitmap=qemu:dirty-bitmap:b0"; done >> $who.map 2>&1
    stop
done
equal "contexts as qemu-nbd tells them" apus.map qemu.map
refuse "a bitmap that there is not" "none" "$executable" nbd -r -B none -f qcow2 -k "$work/none" top.img

# Life: one client ends the server, -t not; -e; the socket goes; the process number.
serve apus -f raw source.raw; process=$(cat "$pidfile")
try "one client" nbdinfo --size "$uri"
gone "$process" && ok || bad "the server stays after its last client"
[ ! -e "$socket" ] && [ ! -e "$pidfile" ] && ok || bad "a socket or a pid file is left over"
serve apus -t -f raw source.raw; try "first of two clients" nbdinfo --size "$uri"; try "second of two" nbdinfo --size "$uri"; stop
try "socket activation by libnbd" nbdinfo --size -- [ "$executable" nbd -f raw source.raw ]
port=$((20000 + RANDOM % 20000))
number=$((number + 1)); pidfile=$work/$number.pid
try "TCP" "$executable" nbd --fork --pid-file "$pidfile" -t -b 127.0.0.1 -p $port -f raw -r source.raw
try "TCP: compare" "$executable" img compare -f raw -F raw source.raw "nbd://127.0.0.1:$port"
try "TCP: nbdinfo" nbdinfo "nbd://127.0.0.1:$port"
refuse "a port in use" "in use" "$executable" nbd -b 127.0.0.1 -p $port -f raw -r source.raw
stop
# Parts and layers of images.
serve apus -t -r -o 1M -f raw source.raw; try "-o" cmp <(nbdcopy "$uri" - 2> /dev/null) <(tail -c +1048577 source.raw); stop
cp source.raw snap.raw; serve apus -t -s -f raw snap.raw
try "-s: write" "$ten/qemu-io" -f raw -c 'write -P 9 0 1M' -c 'read -P 9 0 1M' "$uri"; stop; equal "-s leaves the image as it is" snap.raw source.raw
"$ten/qemu-img" convert -f raw -O qcow2 source.raw inner.img; "$ten/qemu-img" snapshot -c first inner.img; "$ten/qemu-io" -f qcow2 -c 'write 0 2M' inner.img > out
for word in first 1 snapshot.name=first; do
    serve apus -t -l $word -f qcow2 inner.img; try "-l $word" "$executable" img compare -f raw -F raw source.raw "$uri"; stop
done
refuse "a snapshot that there is not" "napshot" "$executable" nbd -l other -f qcow2 -k "$work/none" inner.img
truncate -s 4M zeros.raw; "$ten/qemu-io" -f raw -c 'write -P 1 0 4M' zeros.raw > out
serve apus -t -f raw --discard=unmap --detect-zeroes=unmap zeros.raw; try "zeros are found" "$ten/qemu-io" -f raw -c 'write -P 0 0 4M' -c 'read -P 0 0 4M' "$uri"; stop
[ "$(du -k zeros.raw | cut -f1)" -lt 4096 ] && ok || bad "--detect-zeroes=unmap gave nothing back"
for mode in none writethrough directsync unsafe writeback; do
    serve apus -t -f raw --cache=$mode kit.raw; try "--cache=$mode" "$ten/qemu-io" -f raw -c 'write -P 7 1000 5000' -c flush -c 'read -P 7 1000 5000' "$uri"; stop
done
# What is refused, and how.
refuse "no file" "arguments" "$executable" nbd
refuse "no such file" "missing.raw" "$executable" nbd -f raw missing.raw
refuse "no such format" "nothing" "$executable" nbd -f nothing source.raw
refuse "--tls-authz" "tls-authz" "$executable" nbd --tls-authz a -f raw source.raw
refuse "a port that is none" "port" "$executable" nbd -p 123456 source.raw
refuse "two kinds of addresses" "-k" "$executable" nbd -p 1 -k x source.raw
refuse "a cache mode" "cache" "$executable" nbd --cache=some -f raw source.raw
refuse "detect-zeroes without discard" "discard" "$executable" nbd --detect-zeroes=unmap -f raw source.raw
refuse "no server" "$work/none" "$executable" nbd -L -k "$work/none"
[ -e /dev/nbd0 ] || refuse "no kernel device" "/dev/nbd0" "$executable" nbd -c /dev/nbd0 -f raw source.raw

# TLS. Certificates by certtool: one authority, a server and a client; keys by psktool.
mkdir -p ca server client other
certificate() {  # certificate FOLDER NAME WORDS…
    local folder=$1 name=$2; shift 2
    certtool --generate-privkey --outfile "$folder/$name-key.pem" > certtool.log 2>&1
    printf '%s\n' "cn = $name" "$@" > template
    certtool --generate-certificate --load-ca-certificate ca/ca-cert.pem --load-ca-privkey ca/ca-key.pem --load-privkey "$folder/$name-key.pem" \
        --template template --outfile "$folder/$name-cert.pem" > certtool.log 2>&1
}
authority() { certtool --generate-privkey --outfile "$1/ca-key.pem" > certtool.log 2>&1; printf 'cn = Test\nca\ncert_signing_key\n' > template
    certtool --generate-self-signed --load-privkey "$1/ca-key.pem" --template template --outfile "$1/ca-cert.pem" > certtool.log 2>&1; }
authority ca; authority other
for side in server client; do cp ca/ca-cert.pem $side/; done
certificate server server "dns_name = localhost" "ip_address = 127.0.0.1" tls_www_server encryption_key signing_key
certificate client client tls_www_client encryption_key signing_key
mkdir keys; psktool --username qemu --pskfile keys/keys.psk > out 2>&1
port=$((port + 1))
tls() {     # tls SERVER CLIENT KIND OPTIONS: the command lines of an encrypted compare
    local side=$1 who=$2 kind=$3 folder=$4 more=${5:-}
    number=$((number + 1)); pidfile=$work/$number.pid; port=$((port + 1))
    local run=("$executable" nbd); [ "$side" = apus ] || run=("$ten/qemu-nbd")
    try "tls $*: serve" "${run[@]}" --fork --pid-file "$pidfile" -t -b 127.0.0.1 -p $port -f raw -r --object "$kind,id=t,dir=$work/$folder,endpoint=server$more" --tls-creds t source.raw
    local ask=("$executable" img); [ "$who" = apus ] || ask=("$ten/qemu-img")
    local dir=$work/$folder; [ "$folder" = keys ] || dir=$work/client
    try "tls $*: compare" "${ask[@]}" compare --object "$kind,id=c,dir=$dir,endpoint=client" --image-opts driver=raw,file.filename=source.raw \
        "driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=$port,tls-creds=c"
}
for pair in "apus qemu" "qemu apus" "apus apus"; do
    tls $pair tls-creds-x509 server; stop
    tls $pair tls-creds-psk keys; stop
    tls $pair tls-creds-anon keys; stop
done
tls apus apus tls-creds-x509 server
refuse "a client without TLS" "TLS" "$executable" img info "nbd://127.0.0.1:$port"
refuse "QEMU's client without TLS" "TLS" "$ten/qemu-img" info "nbd://127.0.0.1:$port"
try "libnbd's client with certificates" nbdinfo --size "nbds://127.0.0.1:$port/?tls-certificates=$work/client"
try "-L with TLS" "$executable" nbd -L -b 127.0.0.1 -p $port --object tls-creds-x509,id=c,dir=$work/client,endpoint=client --tls-creds c
mkdir alone strange; cp ca/ca-cert.pem alone/; cp other/ca-cert.pem strange/; cp client/client-*.pem strange/
refuse "a server whose authority is another" "certificate" "$executable" nbd -L -b 127.0.0.1 -p $port --object tls-creds-x509,id=c,dir=$work/strange,endpoint=client --tls-creds c
refuse "another name than the certificate's" "certificate" "$executable" nbd -L -b 127.0.0.1 -p $port --tls-hostname example.org --object tls-creds-x509,id=c,dir=$work/client,endpoint=client --tls-creds c
refuse "a client without a certificate" "." "$executable" nbd -L -b 127.0.0.1 -p $port --object tls-creds-x509,id=c,dir=$work/alone,endpoint=client --tls-creds c
stop
tls apus apus tls-creds-x509 server ,verify-peer=off
try "a client that need not show a certificate" "$executable" nbd -L -b 127.0.0.1 -p $port --object tls-creds-x509,id=c,dir=$work/alone,endpoint=client --tls-creds c
stop
refuse "credentials that there are not" "ca-cert.pem" "$executable" nbd --object tls-creds-x509,id=t,dir=$work/keys,endpoint=server --tls-creds t -f raw -k "$work/none" source.raw
refuse "credentials of the other end" "server" "$executable" nbd --object tls-creds-x509,id=t,dir=$work/client,endpoint=client --tls-creds t -f raw -k "$work/none" source.raw

# Clients that come back: requests wait while the server is away.
serve apus -t -f raw kit.raw; keep=$socket
"$executable" io -c 'write -P 5 0 4k' -c 'sleep 1500' -c 'write -P 6 4k 4k' -c 'read -P 5 0 4k' --image-opts "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=$socket,file.reconnect-delay=20" > reconnect.log 2>&1 & client=$!
sleep 0.7; stop; sleep 1.2
number=$((number + 1)); pidfile=$work/$number.pid; try "serve again" "$executable" nbd --fork --pid-file "$pidfile" -t -k "$keep" -f raw kit.raw
wait $client && ! grep -q 'failed\|error' reconnect.log && ok || bad "reconnect-delay: $(cat reconnect.log)"; stop

. "$here/storage.sh"

. "$here/machine.sh"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
