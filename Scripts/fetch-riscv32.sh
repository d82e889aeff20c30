#!/bin/bash
# fetch-riscv32.sh   makes a C toolchain for riscv32 Linux programs in the cache and prints the path of its compiler.
#
# Debian has no riscv32 port: the C library is musl, built from Debian trixie's source package by the riscv64 cross
# compiler, with libgcc from its bare-metal sister. Programs are static.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"

tree=$APUS_CACHE/riscv32
compiler=$tree/bin/riscv32-linux-musl-gcc
if [ ! -x "$compiler" ]; then
    command -v riscv64-linux-gnu-gcc > /dev/null || die "no riscv64-linux-gnu-gcc: install gcc-riscv64-linux-gnu"
    say "building musl for riscv32 in $tree"
    configuration=$(apt_state trixie amd64)
    rm -rf "$tree" "$tree.new"
    mkdir -p "$tree.new"/{bin,source}
    cd "$tree.new/source"
    apt_source trixie musl
    APT_CONFIG=$configuration apt-get -qq download gcc-riscv64-unknown-elf
    dpkg-deb --fsys-tarfile gcc-riscv64-unknown-elf_*.deb | tar -x --wildcards '*/rv32imafdc/ilp32d/libgcc.a'
    mv "$(find usr -name libgcc.a)" "$tree.new/libgcc.a"
    cd musl-*/
    # Its own makefile compiles with the flags of CFLAGS and links nothing but the dynamic loader.
    CC="riscv64-linux-gnu-gcc -march=rv32gc -mabi=ilp32d" CFLAGS="-O2 -march=rv32gc -mabi=ilp32d" LIBCC="$tree.new/libgcc.a" \
        ./configure --target=riscv32 --prefix="$tree" --disable-shared --disable-wrapper > ../configure.log 2>&1 || { tail ../configure.log >&2; exit 1; }
    make -j"$(nproc)" AR=riscv64-linux-gnu-ar RANLIB=riscv64-linux-gnu-ranlib > ../make.log 2>&1 || { tail ../make.log >&2; exit 1; }
    make DESTDIR="$tree.new/root" install > ../install.log 2>&1
    cd "$tree.new"
    mv "root$tree"/{lib,include} .
    cp -r /usr/riscv64-linux-gnu/include/{linux,asm,asm-generic,mtd} include/
    rm -rf root source
    cat > bin/riscv32-linux-musl-gcc <<'WRAPPER'
#!/bin/bash
# The riscv64 cross compiler as one for static riscv32 programs on musl. Its own linker (binutils 2.40) dies of them; the
# one of the Swift toolchain does not.
tree=$(dirname "$(dirname "$(readlink -f "$0")")")
link=1
for argument in "$@"; do case $argument in -c|-S|-E|-M|-MM|-r|-nostdlib) link=0;; esac; done
flags=(-march=rv32gc -mabi=ilp32d -fuse-ld=lld -B"$tree/bin" -nostdinc -isystem "$tree/include" -isystem "$(riscv64-linux-gnu-gcc -print-file-name=include)")
[ $link = 1 ] || exec riscv64-linux-gnu-gcc "${flags[@]}" "$@"
exec riscv64-linux-gnu-gcc "${flags[@]}" -static -no-pie -nostdlib -L"$tree/lib" "$tree/lib/crt1.o" "$tree/lib/crti.o" \
    "$@" -Wl,--start-group -lc "$tree/libgcc.a" -Wl,--end-group "$tree/lib/crtn.o"
WRAPPER
    chmod +x bin/riscv32-linux-musl-gcc
    ln -s "$(command -v ld.lld || die 'no ld.lld, which comes with the Swift toolchain')" bin/ld.lld
    mv "$tree.new" "$tree"
fi
echo "$compiler"
