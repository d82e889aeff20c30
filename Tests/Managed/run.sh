#!/bin/bash
# run.sh [RUNS] [--emulator COMMAND] [NAME…]   programs for run-time systems that make code, move objects and
# juggle threads and signals: Node.js, OpenJDK, PyPy, LuaJIT, Ruby, PHP, SBCL, Guile, Go, Rust, GHC, OCaml. Each is
# compiled once, where it is compiled, by the guest's own compiler; then run RUNS times (default 3), two at a time. Every
# run must print 'ok', and nothing else, and end with 0 within three minutes. One line a program, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
runs=3 emulator="$REPO/.build/release/apus exec" wanted=()
while [ $# -gt 0 ]; do case $1 in
    --emulator) emulator=${2?}; shift;;
    [0-9]*) runs=$1;; -*) sed -n 2,5p "$0"; exit 2;; *) wanted+=("$1");; esac; shift; done

folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
export folder emulator
cp "$here"/Programs/* "$folder/"; cd "$folder" || exit 1
passed=0 failed=0

# guest COMMAND…   a program of $tree, by its path there or in the present folder, in a small, fixed environment
guest() {
    local program=$1; shift
    [ ! -e "$tree$program" ] || program=$tree$program
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$folder" LC_ALL=C.UTF-8 TZ=UTC TMPDIR="$folder" USER=root \
        GOCACHE="$APUS_CACHE/go-$(basename "$tree")" GOTOOLCHAIN=local GOTELEMETRY=off GOFLAGS=-p=2 \
        $emulator -L "$tree" "$program" "$@"
}
export -f guest

# program NAME TREE BUILD-COMMAND COMMAND…
program() {
    local name=$1 began=$SECONDS bad build; export tree
    if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
    tree=$("$SCRIPTS/fetch-root.sh" riscv64 "$2") || exit 1
    build=$3; shift 3
    if [ -n "$build" ] && ! ( eval "$build" ) > "$name.build" 2>&1; then
        failed=$((failed + 1)); printf '%-20s FAILED  %ss  cannot be built\n' "$name" $((SECONDS - began)); tail -8 "$name.build" | sed 's/^/    /'; return
    fi
    local built=$((SECONDS - began)); began=$SECONDS; export name command="$*"
    bad=$(seq "$runs" | xargs -P 2 -I{} bash -c '
        eval "timeout -k 5 180 bash -c \"guest \$command\"" > "$name.{}" 2>&1 < /dev/null; status=$?
        [ $status = 0 ] && [ "$(cat "$name.{}")" = ok ] && rm "$name.{}" ||
            echo "run {}: status $status: $(tail -c 300 "$name.{}" | tr "\n" " ")"')
    if [ -z "$bad" ]; then passed=$((passed + 1)); printf '%-20s ok  %ss  %s runs%s\n' "$name" $((SECONDS - began)) "$runs" "${build:+, built in $built s}"
    else failed=$((failed + 1)); printf '%-20s FAILED  %ss  %s of %s runs\n' "$name" $((SECONDS - began)) "$(wc -l <<< "$bad")" "$runs"; head -5 <<< "$bad" | sed 's/^/    /'; fi
}

# GHC's package database has no index before its package's own script ran, which fetching does not do.
haskell='cp -rL "$tree/var/lib/ghc/package.conf.d" packages && guest /usr/bin/ghc-pkg recache --package-db packages &&
    guest /usr/bin/ghc -v0 -clear-package-db -package-db packages -threaded -rtsopts -O -o threads-hs threads.hs'

program node managed '' /usr/bin/node node.js
program java managed 'guest /usr/bin/javac -d . Threads.java' /usr/bin/java -cp . Threads
program java-serial managed '[ -e Threads.class ] || guest /usr/bin/javac -d . Threads.java' /usr/bin/java -XX:+UseSerialGC -Xmx128m -cp . Threads
program java-z managed '[ -e Threads.class ] || guest /usr/bin/javac -d . Threads.java' /usr/bin/java -XX:+UseZGC -XX:+ZGenerational -Xmx512m -cp . Threads
program pypy managed '' /usr/bin/pypy3 pypy.py
program luajit managed '' /usr/bin/luajit luajit.lua
program ruby managed '' /usr/bin/ruby ruby.rb
program php managed '' /usr/bin/php php.php
program sbcl managed '' /usr/bin/sbcl --script sbcl.lisp
program guile managed '' /usr/bin/guile-3.0 --no-auto-compile -s guile.scm
program go compilers 'guest /usr/lib/go-1.24/bin/go build -o goroutines goroutines.go' ./goroutines
program rust compilers 'guest /usr/bin/rustc -O -o threads-rs threads.rs' ./threads-rs
program ghc compilers "$haskell" ./threads-hs +RTS -N3
program ocaml compilers 'guest /usr/bin/ocamlopt -I +unix -I +threads unix.cmxa threads.cmxa domains.ml -o domains' ./domains
echo "$passed passed, $failed failed"
[ $failed = 0 ]
