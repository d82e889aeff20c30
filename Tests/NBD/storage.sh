# The storage daemon and QMP: read by run.sh. One monitor on a pair of pipes: each command waits for its answer.
ask() {     # ask COMMAND [ARGUMENTS]: sets $answer to the reply; events go to the file events
    printf '{"execute":"%s","arguments":%s}\n' "$1" "${2:-"{}"}" >&"${daemon[1]}"
    while IFS= read -r -t 20 answer <&"${daemon[0]}"; do
        answer=${answer%$'\r'}
        case $answer in *'"event": '*) echo "$answer" >> events;; *) return 0;; esac
    done
    answer='(none)'; return 1
}
good() { ask "$@"; case $answer in *'"return": '*) ok;; *) bad "QMP $*: $answer";; esac; }
wrong() { local text=$1; shift; ask "$@"; case $answer in *'"error": '*"$text"*) ok;; *) bad "QMP $*: expected an error '$text': $answer";; esac; }
says() { case $answer in *"$1"*) ok;; *) bad "expected '$1' in: $answer";; esac; }
until_event() { # until_event TEXT: asks until an event has come
    for _ in $(seq 200); do grep -q -- "$1" events && { ok; return; }; ask query-version; sleep 0.02; done; bad "no event '$1': $(tail -3 events)"
}
begin() {   # begin OPTION…: starts a daemon with a monitor on its standard streams
    : > events
    coproc daemon { exec "$executable" storage --chardev stdio,id=m --monitor chardev=m "$@" 2> daemon.log; }
    IFS= read -r -t 20 greeting <&"${daemon[0]}"
    good qmp_capabilities
}
finish() { local process=$daemon_PID; ask quit; wait "$process" 2> /dev/null; gone "$process" && ok || { bad "the daemon does not end"; kill -9 "$process"; }; }

"$ten/qemu-img" convert -f raw -O qcow2 source.raw store.img
begin --blockdev driver=file,node-name=f0,filename=store.img --blockdev driver=qcow2,node-name=q0,file=f0 \
    --nbd-server addr.type=unix,addr.path="$work/store" --export type=nbd,id=e0,node-name=q0,name=disk,writable=on
case $greeting in '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": "Apus"}'*) ok;; *) bad "greeting: $greeting";; esac
store="nbd+unix:///disk?socket=$work/store"
try "storage: compare" "$ten/qemu-img" compare -f raw -F raw source.raw "$store"
good query-version; good query-commands; says blockdev-mirror; good query-qmp-schema; says '"meta-type": "command"'
good query-named-block-nodes; says '"node-name": "q0"'; good query-block-exports; says '"id": "e0"'
wrong CommandNotFound no-such-command
wrong "is missing" blockdev-del
wrong "is unexpected" query-version '{"x":1}'
wrong "expected: string" blockdev-del '{"node-name":5}'
wrong "in use" blockdev-del '{"node-name":"q0"}'
wrong "not supported" block-export-add '{"type":"fuse","id":"x","node-name":"q0"}'
wrong "Duplicate" blockdev-add '{"driver":"file","node-name":"f0","filename":"source.raw"}'
# A bitmap, a snapshot, a backup of what has changed.
good block-dirty-bitmap-add '{"node":"q0","name":"b","persistent":true}'
wrong "already exists" block-dirty-bitmap-add '{"node":"q0","name":"b"}'
"$ten/qemu-img" create -q -f qcow2 full.img 12345856; "$ten/qemu-img" create -q -f qcow2 -b full.img -F qcow2 more.img
good blockdev-add '{"driver":"qcow2","node-name":"t0","file":{"driver":"file","filename":"full.img"}}'
good transaction '{"actions":[{"type":"block-dirty-bitmap-clear","data":{"node":"q0","name":"b"}},{"type":"blockdev-backup","data":{"device":"q0","target":"t0","sync":"full","job-id":"j0"}}]}'
until_event '"BLOCK_JOB_COMPLETED".*"device": "j0"'
good blockdev-del '{"node-name":"t0"}'
try "storage: the backup is whole" "$ten/qemu-img" compare -f raw -F qcow2 source.raw full.img
try "storage: write" "$ten/qemu-io" -f raw -c 'write -P 1 3M 100k' "$store"
good blockdev-add '{"driver":"qcow2","node-name":"t1","file":{"driver":"file","filename":"more.img"}}'
good blockdev-backup '{"device":"q0","target":"t1","sync":"incremental","bitmap":"b","job-id":"j1"}'
until_event '"BLOCK_JOB_COMPLETED".*"device": "j1"'
good blockdev-del '{"node-name":"t1"}'
try "storage: the backup of changes" "$ten/qemu-img" compare -f raw -F qcow2 "$store" more.img
"$ten/qemu-img" map --output=json -f qcow2 more.img | grep -q '"depth": 1' && ok || bad "the incremental backup copied all"
# All or nothing.
wrong "abort" transaction '{"actions":[{"type":"block-dirty-bitmap-add","data":{"node":"q0","name":"c"}},{"type":"abort","data":{}}]}'
good block-dirty-bitmap-add '{"node":"q0","name":"c"}'; good block-dirty-bitmap-remove '{"node":"q0","name":"c"}'
# A snapshot in front, while the export goes on; commit into the old image, which takes over again.
good blockdev-snapshot-sync '{"node-name":"q0","snapshot-file":"over.img","snapshot-node-name":"q1"}'
try "storage: write to the snapshot" "$ten/qemu-io" -f raw -c 'write -P 2 5M 1M' -c 'read -P 1 3M 100k' "$store"
good query-block-exports; says '"node-name": "q1"'
good block-commit '{"device":"q1","job-id":"j2"}'
until_event '"BLOCK_JOB_READY".*"device": "j2"'
try "storage: write while committing" "$ten/qemu-io" -f raw -c 'write -P 3 6M 64k' "$store"
good query-block-jobs; says '"ready": true'
good block-job-complete '{"device":"j2"}'
until_event '"BLOCK_JOB_COMPLETED".*"device": "j2"'
good query-block-exports; says '"node-name": "q0"'
good blockdev-del '{"node-name":"q1"}'
try "storage: all is there after the commit" "$ten/qemu-io" -f raw -c 'read -P 1 3M 100k' -c 'read -P 2 5M 1M' -c 'read -P 3 6M 64k' "$store"
# Two snapshots; the lower one goes into the base, the upper one takes in the rest.
good blockdev-snapshot-sync '{"node-name":"q0","snapshot-file":"over1.img","snapshot-node-name":"q2"}'
try "storage: write" "$ten/qemu-io" -f raw -c 'write -P 4 7M 64k' "$store"
good blockdev-snapshot-sync '{"node-name":"q2","snapshot-file":"over2.img","snapshot-node-name":"q3"}'
try "storage: write" "$ten/qemu-io" -f raw -c 'write -P 5 8M 64k' "$store"
good block-commit '{"device":"q3","top-node":"q2","base-node":"q0","job-id":"j3"}'
until_event '"BLOCK_JOB_COMPLETED".*"device": "j3"'
good block-stream '{"device":"q3","job-id":"j4"}'
until_event '"BLOCK_JOB_COMPLETED".*"device": "j4"'
try "storage: all is there" "$ten/qemu-io" -f raw -c 'read -P 1 3M 100k' -c 'read -P 2 5M 1M' -c 'read -P 4 7M 64k' -c 'read -P 5 8M 64k' "$store"
try "storage: the streamed image stands alone" sh -c "! '$ten/qemu-img' info -U over2.img | grep -q backing"
# A mirror that takes over, with a limit, paused and resumed.
"$ten/qemu-img" create -q -f raw mirror.img 12345856
good blockdev-add '{"driver":"raw","node-name":"r0","file":{"driver":"file","filename":"mirror.img"}}'
good blockdev-mirror '{"device":"q3","target":"r0","sync":"full","job-id":"j5","speed":2000000,"auto-dismiss":false}'
good job-pause '{"id":"j5"}'; good query-jobs; says '"paused"'; good job-resume '{"id":"j5"}'
good block-job-set-speed '{"device":"j5","speed":0}'
until_event '"BLOCK_JOB_READY".*"device": "j5"'
good job-complete '{"id":"j5"}'
until_event '"concluded", "id": "j5"'
good job-dismiss '{"id":"j5"}'
wrong "not found" job-dismiss '{"id":"j5"}'
try "storage: write to the mirror" "$ten/qemu-io" -f raw -c 'write -P 8 9M 64k' -c 'read -P 5 8M 64k' "$store"
good query-block-exports; says '"node-name": "r0"'
# A job that is cancelled.
good blockdev-backup '{"device":"q3","target":"r0","sync":"full","job-id":"j6","speed":1000}'
good job-cancel '{"id":"j6"}'; until_event 'BLOCK_JOB_CANCELLED'
good block_resize '{"node-name":"q3","size":16777216}'
good nbd-server-add '{"device":"q3","name":"other"}'; try "storage: the second export" nbdinfo --size "nbd+unix:///other?socket=$work/store"
good nbd-server-remove '{"name":"other"}'; refuse "storage: it is gone" "." nbdinfo --size "nbd+unix:///other?socket=$work/store"
good object-add '{"qom-type":"secret","id":"s","data":"x"}'; good object-del '{"id":"s"}'
good nbd-server-stop; wrong "not running" nbd-server-stop; until_event 'BLOCK_EXPORT_DELETED'
good blockdev-reopen '{"options":[{"driver":"qcow2","node-name":"q3","read-only":true,"file":{"driver":"file","filename":"over2.img"},"backing":null}]}'
good query-named-block-nodes; says '"ro": true'
good blockdev-del '{"node-name":"r0"}'
finish
try "storage: the mirror has it" "$ten/qemu-io" -f raw -c 'read -P 8 9M 64k' -c 'read -P 1 3M 100k' mirror.img
for image in store.img over2.img; do try "storage: check $image" "$ten/qemu-img" check -f qcow2 $image; done

# In the background, with a monitor on a socket; refused options.
number=$((number + 1)); pidfile=$work/$number.pid
try "storage: --daemonize" "$executable" storage --daemonize --pidfile "$pidfile" --chardev socket,id=m,path="$work/qmp",server=on,wait=off --monitor m --blockdev driver=null-co,node-name=n
[ -S "$work/qmp" ] && [ -s "$pidfile" ] && ok || bad "storage: no socket, or no pid file"
stop
refuse "storage: exports that are not supported" "vhost-user-blk" "$executable" storage --blockdev driver=null-co,node-name=n --export vhost-user-blk,id=x,node-name=n,addr.type=unix,addr.path=x
refuse "storage: a node that is none" "nothing" "$executable" storage --blockdev driver=nothing,node-name=n
refuse "storage: an option that is none" "unrecognized" "$executable" storage --nothing
