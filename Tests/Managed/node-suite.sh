#!/bin/bash
# node-suite.sh [--every N] [--emulator COMMAND] [NAME…]   Node.js's own tests (test/parallel of Debian's source package), each
# natively first, by Debian's amd64 build of the same version, then under Apus, two at a time: what passes natively passes under
# Apus. With --every N each Nth test only; NAME: those whose names begin so. node-differences.txt names the tests that differ, and
# why. One line for each other one, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"; . "$SCRIPTS/apt-state.sh"
every=1 emulator="$REPO/.build/release/apus exec" wanted=()
while [ $# -gt 0 ]; do case $1 in
    --every) every=${2?}; shift;; --emulator) emulator=${2?}; shift;;
    -*) sed -n 2,5p "$0"; exit 2;; *) wanted+=("$1");; esac; shift; done

guest=$("$SCRIPTS/fetch-root.sh" riscv64 managed) && native=$("$SCRIPTS/fetch-root.sh" amd64 managed) || exit 1
source=$APUS_CACHE/node-suite
if [ ! -e "$source/complete" ]; then
    say "fetching Node.js's tests"
    rm -rf "$source"; mkdir -p "$source"
    ( cd "$source" && apt_source trixie --tar-only nodejs && for archive in nodejs_*.orig.tar.*; do tar xf "$archive" --strip-components=1 --wildcards '*/test/*' && rm nodejs_*; done ) &&
        [ -d "$source/test/parallel" ] && touch "$source/complete" || exit 1
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
ls "$source/test/parallel" | grep -E '^test-.*\.(js|mjs)$' > "$work/all"
if [ ${#wanted[@]} -gt 0 ]; then for name in "${wanted[@]}"; do grep "^test-$name" "$work/all"; done; else awk -v n="$every" 'NR % n == 0' "$work/all"; fi > "$work/names"

export native guest emulator source work
in_tree() {     # in_tree native|guest SLOT ARGUMENT…   node with ARGUMENTS, in the tests' folder
    local which=$1 slot=$2; shift 2
    cd "$source/test/parallel" || exit 1
    local variables=(PATH=/usr/local/bin:/usr/bin:/bin HOME="$work" LC_ALL=C.UTF-8 TZ=UTC TMPDIR="$work" NODE_TEST_DIR="$work" TEST_THREAD_ID="$slot" TEST_PARALLEL=1 NODE_SKIP_FLAG_CHECK=)
    if [ "$which" = guest ]; then exec timeout -k 5 240 env -i "${variables[@]}" $emulator -L "$guest" "$guest/usr/bin/node" "$@"; fi
    local as_root=; [ "$(id -u)" = 0 ] || as_root=--map-root-user
    exec timeout -k 5 120 unshare --mount $as_root bash -c '
        mkdir -p "$native$source" "$native$work"
        for d in /proc /dev /sys /tmp "$source"; do mount --rbind $d "$native$d" || exit 1; done
        exec chroot "$native" /usr/bin/env -C "$PWD" -i "$@"' - "${variables[@]}" /usr/bin/node "$@"
}
one() {         # one NAME   a line: NAME, how it ended natively, how under Apus
    local name=$1 flags first second; flags=$(sed -nE 's#^// Flags: (.*)#\1#p' "$source/test/parallel/$name" | head -1)
    ( in_tree native $$ $flags "$name" ) > "$work/$name.native" 2>&1 < /dev/null; first=$?
    if [ $first = 0 ]; then
        ( in_tree guest $$ $flags "$name" ) > "$work/$name.guest" 2>&1 < /dev/null; second=$?
    else second=-; fi
    echo "$name $first $second"
}
export -f in_tree one
xargs -P 2 -I{} bash -c 'one "$1"' - {} < "$work/names" > "$work/results"
passed=$(awk '$2 == 0 && $3 == 0' "$work/results" | wc -l) failed=0 without=$(awk '$2 != 0' "$work/results" | wc -l)
while read -r name _ status; do
    if grep -q "^$name " "$here/node-differences.txt"; then continue; fi
    failed=$((failed + 1)); echo "$name ends with $status under Apus"; grep -vE '^ *at |^$' "$work/$name.guest" | tail -4 | cut -c1-160 | sed 's/^/    /'
done < <(awk '$2 == 0 && $3 != 0' "$work/results")
[ "$without" = 0 ] || say "$without tests do not pass natively here: not compared"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
