#!/bin/bash
# install-packages.sh PURPOSE   installs the Debian packages that PURPOSE (build, run, root, machine, test, bench, browser, load) needs and this
# machine lacks, with apt-get, as root or through sudo; says what it does, and names them when it cannot.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"

build="git ca-certificates gcc libc6-dev libstdc++-dev binutils zlib1g-dev libzstd-dev libbz2-dev liblzma-dev nettle-dev libexpat1-dev libgnutls28-dev libslirp-dev"
root="debootstrap debian-archive-keyring util-linux"
run="$build apt tar debian-archive-keyring"
machine="$run $root e2fsprogs opensbi"
test="$run $root gcc-riscv64-linux-gnu g++-riscv64-linux-gnu binutils-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-utils gdb-multiarch util-linux perl libnbd-bin nbdkit gnutls-bin openssl curl python3 python3-venv cpio xz-utils opensbi mtools dosfstools e2fsprogs"
bench="$test python3 g++"
load="iperf3 iproute2 cpio e2fsprogs util-linux python3"
browser="chromium novnc python3 python3-venv cpio"
case ${1:-build} in build) wanted=$build;; run) wanted=$run;; root) wanted=$root;; machine) wanted=$machine;; test) wanted=$test;; bench) wanted=$bench;; browser) wanted=$browser;; load) wanted=$load;; *) die "unknown purpose $1";; esac

command -v swift > /dev/null || die "no swift on PATH: install the Swift 6.3 toolchain first"
command -v dpkg-query > /dev/null || { say "not a Debian system: install the like of: $wanted"; exit 0; }

installed() {   # libstdc++-dev is named for gcc's version
    case $1 in libstdc++-dev) ls /usr/include/c++/*/vector > /dev/null 2>&1;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ];; esac
}
missing=
for package in $wanted; do installed "$package" || missing="$missing $package"; done
[ -n "$missing" ] || exit 0
missing=${missing//libstdc++-dev/g++}

if [ "$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo > /dev/null; }; then as_root=sudo
else die "needs these Debian packages, and is neither root nor has sudo:$missing"; fi
say "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install_them() { $as_root apt-get install -y -qq --no-install-recommends $missing > "$log" 2>&1; }
log=$(mktemp); trap 'rm -f "$log"' EXIT
install_them || { $as_root apt-get update -qq && install_them; } || { cat "$log" >&2; die "apt-get could not install:$missing"; }
