#!/bin/bash
# fetch-root.sh ARCH small|full|managed|compilers|load   unpacks a Debian trixie root of ARCH into the cache; prints its path.
#   small: a shell and the languages that `make run` shows.   full: all that the end-to-end tests and benchmarks use.
#   managed: run-time systems that make code or collect garbage (Node.js, OpenJDK, PyPy, LuaJIT, Ruby, PHP, SBCL, Guile).
#   compilers: Go, Rust, Haskell and OCaml, with a linker.
#   load: stress-ng, fio, iperf3 and what they are measured with.
# Does nothing when the tree is there already and was made from the same list.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

arch=${1:?usage: fetch-root.sh ARCH small|full|managed|compilers|load} size=${2:-small} suite=trixie
small="base-files base-passwd libc-bin bash dash coreutils findutils grep sed gawk tar gzip xz-utils python3 perl lua5.4 openssl sqlite3 file"
full="$small diffutils bzip2 zstd lz4 7zip mawk bc make git gcc-14 g++-14 binutils libc6-dev libpython3.13-testsuite python3-dev
 util-linux procps ncurses-base stress-ng busybox-static tzdata netbase media-types"
managed="$small nodejs npm openjdk-21-jdk-headless pypy3 luajit ruby php-cli sbcl guile-3.0"
compilers="$small gcc-14 binutils libc6-dev golang-go rustc ghc ocaml-nox"
load="$small stress-ng fio iperf3 e2fsprogs iproute2 procps util-linux"
case $size in small) packages=$small;; full) packages=$full;; managed) packages=$managed;; compilers) packages=$compilers;; load) packages=$load;;
*) die "small, full, managed, compilers or load?";; esac
packages=$(echo $packages)

tree=$APUS_CACHE/root/$arch-$size
if [ "$(cat "$tree/.packages" 2>/dev/null)" != "$packages" ]; then
    say "fetching a Debian $suite root for $arch ($size) into $tree"
    rm -rf "$tree" "$tree.new"
    list=$(apt_closure $suite "$arch" $packages)
    unpack_packages "$tree.new" $list
    # What the packages' own scripts, which do not run, would have left behind, as far as programs need it.
    ( cd "$tree.new"
      mkdir -p proc sys dev tmp run root etc
      chmod 1777 tmp
      ln -sf gawk usr/bin/awk
      [ -e usr/bin/sh ] || ln -sf dash usr/bin/sh
      for tool in gcc g++ cpp; do [ ! -e usr/bin/$tool-14 ] || ln -sf $tool-14 usr/bin/$tool; done
      [ ! -e usr/bin/gcc ] || ln -sf gcc usr/bin/cc
      [ ! -e usr/bin/g++ ] || ln -sf g++ usr/bin/c++
      [ ! -e usr/bin/php8.4 ] || ln -sf php8.4 usr/bin/php
      for tool in usr/lib/guile/3.0/bin/guile usr/lib/jvm/java-21-openjdk-*/bin/*; do
          [ ! -e "$tool" ] || ln -sf "../../$tool" "usr/bin/${tool##*/}"
      done
      cp -n usr/share/base-passwd/passwd.master etc/passwd
      cp -n usr/share/base-passwd/group.master etc/group
      [ -e etc/localtime ] || ln -sf ../usr/share/zoneinfo/Etc/UTC etc/localtime
      echo guest > etc/hostname
      echo "127.0.0.1 localhost" > etc/hosts
      echo "$packages" > .packages )
    mv "$tree.new" "$tree"
    say "$(echo "$list" | wc -l) packages, $(du -sm "$tree" | cut -f1) MB unpacked"
fi
echo "$tree"
