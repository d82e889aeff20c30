#!/bin/bash
# fetch-riscv32-programs.sh   builds programs of Debian trixie's source packages as static riscv32 ones in the cache and
# prints their folder: busybox, lua, bzip2, sqlite3.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

tree=$APUS_CACHE/riscv32-programs
if [ ! -e "$tree/complete" ]; then
    compiler=$("$SCRIPTS/fetch-riscv32.sh")
    say "building busybox, lua, bzip2 and sqlite3 for riscv32 in $tree"
    rm -rf "$tree"
    mkdir -p "$tree/source"
    cd "$tree/source"
    for package in busybox lua5.4 bzip2 sqlite3; do apt_source trixie $package; done
    exec 3>&2 4>&1 > "$tree/build.log" 2>&1
    trap 'tail -20 "$tree/build.log" >&3' ERR
    (cd lua5.4-*/src && echo '#define DEB_HOST_MULTIARCH "riscv32-linux-musl"' > lua5.4-deb-multiarch.h &&
        $compiler -O2 -DLUA_USE_POSIX -o "$tree/lua" $(ls *.c | grep -v '^luac\.c$') -lm)
    (cd bzip2-*/ && $compiler -O2 -D_FILE_OFFSET_BITS=64 -o "$tree/bzip2" bzip2.c blocksort.c huffman.c crctable.c randtable.c \
        compress.c decompress.c bzlib.c)
    (cd sqlite3-*/ && ./configure --disable-tcl > /dev/null && make sqlite3.c shell.c > /dev/null &&
        $compiler -O1 -DSQLITE_OMIT_LOAD_EXTENSION -o "$tree/sqlite3" shell.c sqlite3.c -lm)
    cd busybox-*/
    make defconfig > /dev/null
    sed -i -e 's/.*CONFIG_STATIC[ =].*/CONFIG_STATIC=y/' -e 's/^CONFIG_\(TC\|HWCLOCK\)=y/# CONFIG_\1 is not set/' \
        -e 's/^CONFIG_EXTRA_LDLIBS=.*/CONFIG_EXTRA_LDLIBS=""/' -e 's/.*CONFIG_SHA1_HWACCEL.*/# CONFIG_SHA1_HWACCEL is not set/' \
        -e 's/.*CONFIG_SHA256_HWACCEL.*/# CONFIG_SHA256_HWACCEL is not set/' .config
    make oldconfig > /dev/null < <(yes '')
    make -j"$(nproc)" CC="$compiler" AR=riscv64-linux-gnu-ar STRIP=riscv64-linux-gnu-strip SKIP_STRIP=y busybox
    cp busybox "$tree/busybox"
    rm -rf "$tree/source"
    touch "$tree/complete"
    exec 2>&3 >&4
fi
echo "$tree"
