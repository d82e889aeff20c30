#!/bin/bash
# run.sh [--emulator COMMAND] [--table FILE] [NAME…]   stress-ng of Debian trixie riscv64, one stressor after the other,
# a second each: all of the classes cpu, vm, memory, signal, pipe, clone, filesystem, interrupt and os (which hold
# pthread and futex). Each runs natively first (the amd64 build of the same release), then under Apus, both as an
# unprivileged user in a mount namespace of their own. It must end the same way: passed, failed, or skipped as impossible
# here. differences.txt names those that do not, and why. One line for each that differs, then 'N passed, N failed'.
#   --table FILE   writes a line for every stressor: name, native result, result under Apus
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
emulator="$REPO/.build/release/apus exec" table=/dev/null wanted=()
while [ $# -gt 0 ]; do case $1 in
    --emulator) emulator=${2?}; shift;; --table) table=${2?}; shift;;
    -*) sed -n 2,8p "$0"; exit 2;; *) wanted+=("$1");; esac; shift; done
[ "$(id -u)" = 0 ] || unshare --map-root-user --mount true 2> /dev/null || { echo "no namespaces for this user: nothing run"; echo "0 passed, 1 failed"; exit 1; }

guest=$("$SCRIPTS/fetch-root.sh" riscv64 full) || exit 1
native=$("$SCRIPTS/fetch-root.sh" amd64 full) || exit 1
work=$(mktemp -d /tmp/apus-stress-ng.XXXXXX); chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{guest,native,bin}
cp -L "${emulator%% *}" "$work/bin/emulator" || exit 1
options=; [[ $emulator != *" "* ]] || options=${emulator#* }
: > "$table"

if [ "$(id -u)" = 0 ]; then as_root= drop="setpriv --reuid 65534 --regid 65534 --clear-groups" nobody=--userspec=65534:65534
else as_root=--map-root-user drop= nobody=; fi
# shut_in SCRIPT   runs SCRIPT with the trees and the emulator at places that nobody can reach, in a folder of its own, and
# in a session of its own: a stressor sets the priority of its session, which would stay with whoever runs this
shut_in() {
    rm -rf "$work/room"; mkdir -p -m 777 "$work/room"
    GUEST=$guest NATIVE=$native WORK=$work setsid --wait unshare --mount $as_root bash -c '
        mount --bind "$GUEST" "$WORK/guest" && mount --bind "$NATIVE" "$WORK/native" || exit 1
        for d in proc dev sys tmp; do mount --rbind /$d "$WORK/native/$d" || exit 1; done
        cd "$WORK/room" && exec bash -c "$1"' - "$1"
}

arguments() { echo "--$1 1 --timeout 1 --verify --temp-path . --vm-bytes 32m --no-rand-seed"; }
natively() { shut_in "exec timeout -k 5 40 /usr/sbin/chroot $nobody $work/native /usr/bin/env -C $work/room stress-ng $(arguments "$1")"; }
emulated() { shut_in "exec $drop timeout -k 5 60 env LC_ALL=C.UTF-8 $work/bin/emulator $options -L $work/guest $work/guest/usr/bin/stress-ng $(arguments "$1")"; }

# outcome STATUS LOG   in a word
outcome() {
    if [ "$1" = 124 ] || [ "$1" = 137 ]; then echo hangs
    elif grep -E '^apus|Fatal error|CRASH' "$2" | grep -qvE 'the program was ended by signal'; then echo crashes
    elif grep -qE 'skipped: [1-9]' "$2"; then echo skipped
    elif [ "$1" = 0 ]; then echo passed
    else echo failed; fi
}

if [ ${#wanted[@]} -gt 0 ]; then names=("${wanted[@]}"); else
    for class in cpu vm memory signal pipe clone filesystem interrupt os; do
        env LC_ALL=C.UTF-8 $emulator -L "$guest" "$guest/usr/bin/stress-ng" --class "$class?" 2>&1 | sed -n "s/^class '[a-z]*' stressors: //p"
    done | tr ' ' '\n' | sort -u > "$work/names"
    mapfile -t names < "$work/names"
fi

passed=0 failed=0
for name in "${names[@]}"; do
    [ -n "$name" ] || continue
    natively "$name" > "$work/log" 2>&1 < /dev/null; first=$(outcome $? "$work/log")
    emulated "$name" > "$work/log" 2>&1 < /dev/null; second=$(outcome $? "$work/log")
    echo "$name $first $second" >> "$table"
    if [ "$first" = "$second" ] || grep -q "^$name $first $second " "$here/differences.txt"; then passed=$((passed + 1))
    else
        failed=$((failed + 1)); printf '%-24s natively %s, under Apus %s\n' "stress-ng-$name" "$first" "$second"
        grep -vE 'setting to|dispatching|note:|defaulting|disabled|passed: |metrics' "$work/log" | head -6 | sed 's/^/    /'
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
