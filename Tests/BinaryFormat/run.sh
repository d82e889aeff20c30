#!/bin/bash
# run.sh [--apus EXECUTABLE]   'apus binfmt' against the real kernel: guest programs started by it, with every flag.
# Everything happens in a user namespace, which has a binfmt_misc of its own (Linux 6.7): the machine's own table is not
# touched. The chroot cases need a static executable (make static); without one they are skipped, with a word.
# One line a case, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"

if [ "${1-}" != --inside ]; then
    apus=$REPO/.build/release/apus
    [ "${1-}" = --apus ] && apus=$(readlink -f "${2:?}")
    work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; chmod 755 "$work"
    root=$("$SCRIPTS/fetch-root.sh" riscv64 full) || exit 1
    riscv64-linux-gnu-gcc -O1 -static -o "$work/arguments" "$here/arguments.c" || exit 1
    cp "$apus" "$work/apus"; [ -x "$REPO/.build-static/release/apus" ] && cp "$REPO/.build-static/release/apus" "$work/apus-static"
    cp "$work/arguments" "$work/setuid"; chmod 4755 "$work/setuid"
    export APUS_INTERPRETER="$work/apus" WORK="$work" ROOT="$root"
    # Root maps more than itself, to have another user to test with.
    range=65536; [ "$(id -u)" = 0 ] || range=1
    inside() {
        local pid status; mkfifo "$work/mapped"
        unshare --user --mount bash -c 'read -r _ < "$WORK/mapped"; exec "$@"' - "$@" & pid=$!
        until [ "$(readlink /proc/$pid/ns/user)" != "$(readlink /proc/self/ns/user)" ] || ! kill -0 $pid; do :; done
        [ $range = 1 ] && echo deny > /proc/$pid/setgroups
        echo "0 $(id -u) $range" > /proc/$pid/uid_map; echo "0 $(id -g) $range" > /proc/$pid/gid_map
        echo > "$work/mapped"; wait $pid; status=$?; rm "$work/mapped"; return $status
    }
    if ! inside mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2> "$work/why"; then
        say "this kernel gives a user namespace no binfmt_misc of its own ($(tr '\n' ' ' < "$work/why")): not tested"
        echo "0 passed, 0 failed"; exit 0
    fi
    inside bash "$here/run.sh" --inside
    exit
fi

apus=$APUS_INTERPRETER; cd "$WORK" || exit 1
passed=0 failed=0
is() {      # is NAME EXPECTED COMMAND…   compares output, both channels, with EXPECTED
    local name=$1 expected=$2 got; shift 2
    got=$(timeout 30 "$@" 2>&1 < /dev/null)
    if [ "$got" = "$expected" ]; then passed=$((passed + 1)); printf '%-52s ok\n' "$name"
    else failed=$((failed + 1)); printf '%-52s FAILED\n    expected: %s\n    got:      %s\n' "$name" "$expected" "$got"; fi
}
as_user="setpriv --reuid 1000 --regid 1000 --clear-groups"
facts='secure 0 uid 0 euid 0 fd 3'
entry=/proc/sys/fs/binfmt_misc/apus-riscv64

is "status before it is mounted" "apus binfmt: binfmt_misc is not mounted at /proc/sys/fs/binfmt_misc ('apus binfmt install' mounts it)" "$apus" binfmt status
[ "$(id -u)" = 0 ] && is "only root may install" "apus binfmt: only root may change the kernel's binary formats" $as_user "$apus" binfmt install
is "an unknown guest" "apus binfmt: there is no guest 'pdp11' (known: riscv64, riscv32)" "$apus" binfmt install pdp11
is "install mounts and registers" "" "$apus" binfmt install --dynamic
is "status" "$(printf '%s: installed, %s, flags POCF\n' riscv64 "$(readlink -f "$apus")" riscv32 "$(readlink -f "$apus")")" "$apus" binfmt status
is "install replaces an entry" "" "$apus" binfmt install --dynamic riscv64
is "a guest program" "[./arguments] [a] [b c] $facts" ./arguments a 'b c'
is "its own argv[0]" "[zero] [x] $facts" bash -c 'exec -a zero ./arguments x'
is "an empty argv[0]" "[] [x] $facts" bash -c "exec -a '' ./arguments x"
is "an argv[0] like an option" "[-strace] [-d] $facts" bash -c 'exec -a -strace ./arguments -d'
cp arguments ./-g; is "a name like an option" "[-g] [1] $facts" python3 -c 'import os; os.execv("-g", ["-g", "1"])'
cp arguments secret; chmod 711 secret
is "a program that may not be read" "[./secret] secure 0 uid 1000 euid 1000 fd 3" $as_user ./secret
printf '#!%s/arguments  one argument \n' "$WORK" > script; chmod +x script
is "a script" "[$WORK/arguments] [one argument] [./script] [two] $facts" ./script two
is "a guest program starts another" "[./arguments] [@$WORK/arguments] [named] [x] $facts
[named] [x] $facts" ./arguments "@$WORK/arguments" named x
is "a guest program starts one of the host" "[./arguments] [@/bin/echo] [echo] [x] $facts
x" ./arguments @/bin/echo echo x
is "programs of a tree" "/ $(uname -r) riscv64" env QEMU_LD_PREFIX="$ROOT" "$ROOT/usr/bin/bash" -c 'cd /; echo $(pwd) $(uname -r) $(uname -m)'
if [ "$(id -u)" = 0 ] && $as_user true 2> /dev/null; then
    is "set-user-ID with flag C" "[./setuid] secure 1 uid 1000 euid 0 fd 3" $as_user ./setuid
    is "… by a guest program" "[./arguments] [@./setuid] [s] secure 0 uid 1000 euid 1000 fd 3
[s] secure 1 uid 1000 euid 0 fd 3" $as_user ./arguments @./setuid s
    is "… is not steered by variables" "[./setuid] secure 1 uid 1000 euid 0 fd 3" $as_user env QEMU_STRACE=1 QEMU_ARGV0=other ./setuid
    is "install without flag C" "" "$apus" binfmt install --dynamic --no-credentials
    is "set-user-ID without it" "[./setuid] secure 0 uid 1000 euid 1000 fd 3" $as_user ./setuid
fi
mkdir etc; mount -t tmpfs none /etc/binfmt.d 2> /dev/null || { mkdir -p etc/binfmt.d; mount -t overlay -o lowerdir=/etc,upperdir="$WORK/etc",workdir="$WORK/etc.work" none /etc 2> /dev/null || mount -t tmpfs none /etc; }
is "install --persistent" "" "$apus" binfmt install --dynamic --persistent
is "… writes a line for the next start" ":apus-riscv64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xf3\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:$(readlink -f "$apus"):POCF" grep -v '^#' /etc/binfmt.d/apus-riscv64.conf
echo -1 > $entry
sed -n '/^:/p' /etc/binfmt.d/apus-riscv64.conf > /proc/sys/fs/binfmt_misc/register
is "… which the kernel takes" "[./arguments] $facts" ./arguments
is "remove --persistent" "" "$apus" binfmt remove --persistent
is "… removes both" "$(printf '%s: not installed\n' riscv64 riscv32)" "$apus" binfmt status
is "without an entry the kernel refuses" "126" bash -c './arguments 2> /dev/null; echo $?'
is "… and Apus goes on by itself" "[./arguments] [@./arguments] [again] $facts
[again] $facts" "$apus" exec ./arguments @./arguments again

if [ -x apus-static ]; then
    is "install the static executable" "" ./apus-static binfmt install
    is "a chroot without /proc" "3 riscv64
A=b" chroot "$ROOT" /usr/bin/bash -c 'echo $((1 + 2)) $(uname -m); exec /usr/bin/env -i A=b /usr/bin/env'
    is "remove" "" ./apus-static binfmt remove
else
    say "no static executable (make static): the chroot is not tested"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
