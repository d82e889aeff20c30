#!/bin/bash
# run.sh [options] [NAME…]   real programs of Debian trixie riscv64, run by Apus; one line a case, then
#                            'N passed, N failed'.
#   --full        also the cases marked slow (all Python modules, …)
#   --native      run the cases in the amd64 tree of the same release instead: shows that what they expect is right
#   --emulator C  run them with the command C in place of `.build/release/apus exec`
#   --list        names of the cases
#   --bless       with --native: write what the cases print as what is expected
#   NAME          only the cases whose names start so
#
# A case is Cases/NAME.sh, run by the guest's own bash in an empty folder: it passes when it ends with 0 and prints
# Cases/NAME.expected. Its head may say: `# slow`, `# seconds: N` (time limit, default 120), `# guest only` (its
# answer is about riscv64 itself), `# cpu: MODEL` (run with -cpu MODEL), `# needs: PATH` (skipped, with a word, where
# the host lacks it), or `# tree: SET` (one of the sets of Scripts/fetch-root.sh in place of full).
# python-modules.txt lists the modules of CPython's own test suite, each a case named python-test-MODULE.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"

full= native= list= bless= emulator="$REPO/.build/release/apus exec" wanted=()
while [ $# -gt 0 ]; do case $1 in
    --full) full=1;; --native) native=1;; --list) list=1;; --bless) bless=1;;
    --emulator) emulator=${2:?}; shift;;
    -*) sed -n 2,15p "$0"; exit 2;;
    *) wanted+=("$1");; esac; shift; done

architecture=riscv64; [ -z "$native" ] || architecture=amd64
tree=; [ -n "$list" ] || tree=$("$SCRIPTS/fetch-root.sh" $architecture full) || exit 1

passed=0 failed=0 skipped=0
scratch=$(mktemp -d /tmp/apus-end-to-end.XXXXXX); trap 'rm -rf "$scratch"' EXIT

# in_guest SECONDS COMMAND…   runs a program of the tree with a small, fixed environment.
in_guest() {
    local seconds=$1 variables; shift
    variables=(PATH=/usr/local/bin:/usr/bin:/bin HOME="$PWD" LC_ALL=C.UTF-8 TZ=UTC TMPDIR=/tmp USER=root
               OPENSSL_CONF=/dev/null PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 PERL_HASH_SEED=0)
    if [ -n "$native" ]; then
        local as_root=; [ "$(id -u)" = 0 ] || as_root=--map-root-user
        TREE=$tree WHERE=$PWD CASES=$here/Cases timeout -k 5 "$seconds" unshare --mount $as_root bash -c '
            mkdir -p "$TREE/run/cases"
            for d in proc dev sys tmp; do mount --rbind /$d "$TREE/$d" || exit 1; done
            mount --bind "$CASES" "$TREE/run/cases" || exit 1
            exec chroot "$TREE" /usr/bin/env -C "$WHERE" -i "$@"' - "${variables[@]}" "$@"
    else
        timeout -k 5 "$seconds" env -i "${variables[@]}" $emulator ${cpu:+-cpu "$cpu"} -L "$tree" "$tree$1" "${@:2}"
    fi
}

report() {   # report NAME STATUS SECONDS [WHY]
    printf '%-34s %s  %ss%s\n' "$1" "$2" "$3" "${4:+  $4}"
    case $2 in ok) passed=$((passed + 1));; skipped) skipped=$((skipped + 1));; *) failed=$((failed + 1));; esac
}

selected() {
    [ ${#wanted[@]} = 0 ] && return 0
    local name; for name in "${wanted[@]}"; do [[ $1 == "$name"* ]] && return 0; done
    return 1
}

run_case() {
    local name=$1 file=$here/Cases/$1.sh head seconds status began=$SECONDS script cpu
    head=$(sed -n '/^#/!q;p' "$file")
    grep -q '^# slow' <<< "$head" && [ -z "$full" ] && [ ${#wanted[@]} = 0 ] && return
    [ -n "$native" ] && grep -q '^# guest only' <<< "$head" && return
    if [ -n "$list" ]; then echo "$name"; return; fi
    local set tree=$tree; set=$(sed -nE 's/^# tree: ([a-z]+).*/\1/p' <<< "$head")
    [ -z "$set" ] || tree=$("$SCRIPTS/fetch-root.sh" $architecture "$set") || { report "$name" FAILED 0 "no tree $set"; return; }
    seconds=$(sed -nE 's/^# seconds: ([0-9]+).*/\1/p' <<< "$head"); seconds=${seconds:-120}
    cpu=$(sed -nE 's/^# cpu: ([^ ]+).*/\1/p' <<< "$head")
    mkdir -p "$scratch/$name"; script=$file; [ -n "$native" ] && script=/run/cases/$name.sh
    ( cd "$scratch/$name" && in_guest "$seconds" /usr/bin/bash "$script" > ../$name.out 2> ../$name.err < /dev/null ); status=$?
    [ -n "$native$bless" ] && [ -n "$bless" ] && [ $status = 0 ] && cp "$scratch/$name.out" "$here/Cases/$name.expected"
    if [ $status = 124 ] || [ $status = 137 ]; then report "$name" FAILED $((SECONDS - began)) "no end after $seconds s"
    elif [ $status != 0 ]; then report "$name" FAILED $((SECONDS - began)) "exit status $status"
    elif ! cmp -s "$scratch/$name.out" "$here/Cases/$name.expected"; then report "$name" FAILED $((SECONDS - began)) "prints something else"
    else report "$name" ok $((SECONDS - began)); rm -rf "$scratch/$name"; return; fi
    { diff "$here/Cases/$name.expected" "$scratch/$name.out" | head -12; tail -5 "$scratch/$name.err"; } | sed 's/^/    /'
}

run_python() {   # MODULE SPEED SECONDS
    local name=python-test-$1 module=test_$1 seconds=$3 status began=$SECONDS ignore=() pattern
    [ "$2" = slow ] && [ -z "$full" ] && [ ${#wanted[@]} = 0 ] && return
    if [ -n "$list" ]; then echo "$name"; return; fi
    while read -r pattern; do ignore+=(-i "$pattern"); done < <(sed -nE "s/^$module +([^ ]+) .*/\1/p" "$here/python-differences.txt")
    mkdir -p "$scratch/$name"
    ( cd "$scratch/$name" && in_guest "$seconds" /usr/bin/python3.13 -m test -v -w "${ignore[@]}" $module > ../$name.out 2>&1 < /dev/null ); status=$?
    if [ $status = 124 ] || [ $status = 137 ]; then report "$name" FAILED $((SECONDS - began)) "no end after $seconds s"
    elif [ $status = 0 ] && grep -q '^Result: SUCCESS' "$scratch/$name.out"; then
        report "$name" ok $((SECONDS - began)) "$(sed -nE 's/^Total tests: //p' "$scratch/$name.out" | tail -1)"; rm -rf "$scratch/$name"; return
    else report "$name" FAILED $((SECONDS - began)) "exit status $status"; fi
    [ -z "${KEEP:-}" ] || cp "$scratch/$name.out" "$KEEP/"
    { grep -E '^(ERROR|FAIL): ' "$scratch/$name.out" | sort -u | head -20; tail -4 "$scratch/$name.out"; } | sed 's/^/    /'
}

for file in "$here"/Cases/*.sh; do
    name=$(basename "$file" .sh)
    selected "$name" && run_case "$name"
done
while read -r module speed seconds _; do
    case $module in ''|\#*) continue;; esac
    selected "python-test-$module" && run_python "$module" "$speed" "$seconds"
done < "$here/python-modules.txt"

[ -n "$list" ] && exit 0
if [ $skipped = 0 ]; then echo "$passed passed, $failed failed"; else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ $failed = 0 ]
