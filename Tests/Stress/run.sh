#!/bin/bash
# run.sh [RUNS] [--native | --emulator COMMAND]   runs programs full of threads, signals and processes again and
# again, two at a time; every run must end with 0 within 60 s. One line a program, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"
runs=20 compiler=riscv64-linux-gnu-gcc emulator="$REPO/.build/release/apus exec"
while [ $# -gt 0 ]; do case $1 in --native) compiler=gcc emulator=;; --emulator) emulator=${2?}; shift;; *) runs=$1;; esac; shift; done

folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
passed=0 failed=0
for source in "$here"/*.c; do
    name=$(basename "$source" .c) began=$SECONDS
    $compiler -O2 -w -static "$source" -o "$folder/$name" -pthread || exit 1
    export folder name emulator
    bad=$(seq "$runs" | xargs -P 2 -I{} bash -c '
        timeout -k 2 60 $emulator "$folder/$name" > "$folder/$name.{}" 2>&1; status=$?
        if [ $status = 0 ] && [ ! -s "$folder/$name.{}" ]; then rm "$folder/$name.{}"; else echo "run {}: status $status: $(head -c 200 "$folder/$name.{}" | tr "\n" " ")"; fi')
    if [ -z "$bad" ]; then passed=$((passed + 1)); printf '%-34s ok  %ss  %s runs\n' "stress-$name" $((SECONDS - began)) "$runs"
    else failed=$((failed + 1)); printf '%-34s FAILED  %ss  %s of %s runs\n' "stress-$name" $((SECONDS - began)) "$(wc -l <<< "$bad")" "$runs"; head -5 <<< "$bad" | sed 's/^/    /'; fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
