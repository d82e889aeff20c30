#!/bin/bash
# build-packages.sh PACKAGE…   inside a Debian: installs build-essential, then configures, compiles and tests the source
# of each package with it. Prints one line a step, 'time: STEP SECONDS USER-SECONDS', and one a test suite,
# 'result: PACKAGE SUMMARY'; logs to /root/build. Knows hello and those with Automake's test driver, and bash.
set -uo pipefail
export DEBIAN_FRONTEND=noninteractive
mkdir -p /root/build && cd /root/build || exit 1
step() {    # step NAME COMMAND…
    local name=$1 status=0 times; shift
    TIMEFORMAT='%R %U'
    { time "$@" > "$name.log" 2>&1; } 2> times || status=$?
    times=$(tail -1 times); echo "time: $name $times"
    [ $status = 0 ] || echo "result: $name ended with $status: $(tail -2 "$name.log" | tr '\n' ' ')"
    return $status
}
[ -e /etc/apt/sources.list.d/sources.list ] || sed 's/^deb /deb-src /' /etc/apt/sources.list > /etc/apt/sources.list.d/sources.list
step update apt-get update || exit 1
step install apt-get install -y --no-install-recommends build-essential autotools-dev libncurses-dev || exit 1
# The source as its author published it: not every mirror has Debian's changes.
unpack() { apt-get source --only-source --tar-only "$1" && mkdir -p "$1" && tar xf "$1"_*.orig.tar.[gx]z -C "$1" --strip-components=1; }
for package; do
    step $package-source unpack $package || continue
    cd $package || exit 1
    # As Debian does it: what was published before there was riscv64 does not know it.
    find . -name "config.[gs]u[eb]*" -exec sh -c 'cp "/usr/share/misc/${1##*/}" "$1"' - {} \;
    export FORCE_UNSAFE_CONFIGURE=1
    step ../$package-configure ./configure --disable-nls --without-bash-malloc
    step ../$package-make make -j2
    case $package in
    # One test prints what differs from what is expected, or nothing but its name. Left out: read races timeouts of 10 microseconds;
    # intl passes an unsigned long to a function without a prototype that takes an unsigned int, which riscv64's calling
    # convention sees otherwise than amd64's.
    bash) rm -f tests/run-read tests/run-intl
          step ../$package-check make tests
          echo "result: $package $(grep -c '^run-' ../$package-check.log) tests, $(grep -cE '^[<>] ' ../$package-check.log) lines differ";;
    *)    step ../$package-check make check
          echo "result: $package $(sed -nE 's/^# (TOTAL|PASS|SKIP|XFAIL|FAIL|XPASS|ERROR): +/\1 /p' ../$package-check.log | tr '\n' ' ')";;
    esac
    cd /root/build
done
