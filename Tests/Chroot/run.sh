#!/bin/bash
# run.sh [--full] [--root FOLDER] [--interpreter PATH] [PACKAGE…]   life in a chroot of riscv64 programs that the kernel
# hands to the static Apus, without anything registered on the machine (Scripts/in-root.sh).
# Quick: a tree of fetch-root.sh, with what finds itself wrong in a chroot: devices, /proc, scripts, compilers.
#   --full   a Debian that debootstrap makes through Apus (Scripts/make-root.sh); in it apt-get installs build-essential,
#            with which the sources of PACKAGE (default: bash) are configured, compiled and tested, and the same
#            in an amd64 Debian, natively: the test suites must end alike. Half an hour, and needs the mirror.
#   --root FOLDER  keeps the Debian there, and uses the one that is   --interpreter PATH  another emulator; no comparison
# One line a case, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../Scripts/cache.sh"; . "$SCRIPTS/namespace.sh"
full= root= interpreter= packages=()
while [ $# -gt 0 ]; do case $1 in
    --full) full=1;; --root) root=${2?}; shift;; --interpreter) interpreter=${2?}; shift;;
    -*) sed -n 2,9p "$0"; exit 2;; *) packages+=("$1");; esac; shift; done
[ ${#packages[@]} -gt 0 ] || packages=(bash)

if ! [ -x "${APUS_STATIC:-$REPO/.build-static/release/apus}" ]; then
    say "no static executable (make static): the chroot is not tested"; echo "0 passed, 0 failed"; exit 0
fi
if ! why=$(in_namespace mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>&1); then
    say "this kernel gives a user namespace no binfmt_misc of its own ($why): not tested"; echo "0 passed, 0 failed"; exit 0
fi
work=$(mktemp -d); trap 'in_namespace rm -rf "$work"' EXIT; chmod 755 "$work"
passed=0 failed=0
is() {      # is NAME EXPECTED COMMAND…
    local name=$1 expected=$2 got; shift 2
    got=$("$@" 2>&1 < /dev/null)
    if [ "$got" = "$expected" ]; then passed=$((passed + 1)); printf '%-52s ok\n' "$name"
    else failed=$((failed + 1)); printf '%-52s FAILED\n    expected: %s\n    got:      %s\n' "$name" "$expected" "$got"; fi
}

if [ -z "$full" ]; then
    tree=$("$SCRIPTS/fetch-root.sh" riscv64 full) || exit 1
    # The tree is the cache's: what is written goes to a layer above it.
    mkdir "$work/root" "$work/above" "$work/room"
    cat > "$work/inside" <<-'SCRIPT'
	mount -t overlay -o lowerdir="$1",upperdir="$2/above",workdir="$2/room" none "$2/root" || exit 1
	exec "$3" --inside --bind "$0" /root/script "$2/root" /usr/bin/bash -c "$4"
	SCRIPT
    inside() { APUS_STATIC=$(static_apus) in_namespace bash "$work/inside" "$tree" "$work" "$SCRIPTS/in-root.sh" "$1"; }
    is "a shell, and a pipe" "riscv64 HELLO" inside 'echo $(uname -m) $(echo hello | tr a-z A-Z)'
    is "who it is" "0 /root /" inside 'echo $(id -u) $HOME $(readlink /proc/self/root)'
    is "devices" "0 4 character special file" inside 'echo x > /dev/null; echo $(wc -c < /dev/null) $(head -c 4 /dev/urandom | wc -c) $(stat -c %F /dev/tty)'
    is "a terminal of its own" "/dev/pts/0" inside 'python3 -c "import pty; pty.spawn(\"tty\")" | tr -d "\r"'
    is "/proc/self/exe is the program" "/usr/bin/readlink" inside 'readlink /proc/self/exe'
    is "other processes' command lines" "sleep 60 |bash -c read -r _ " inside 'sleep 60 & a=$!; bash -c "read -r _" < <(sleep 9) & b=$!; sleep 1; for p in $a $b; do tr "\0" " " < /proc/$p/cmdline; [ $p = $b ] || printf "|"; done; kill $a $b'
    is "ps and pgrep find them" "sleep 61" inside 'sleep 61 & p=$!; sleep 1; ps -o args= -p $(pgrep -f "^sleep 61"); kill $p'
    is "limits are inherited" "700000 20480 65536 700000" inside 'ulimit -v 700000; ulimit -s 20480; ulimit -d 65536; /usr/bin/env bash -c "echo \$(ulimit -v) \$(ulimit -s) \$(ulimit -d) \$(setpriv --nnp bash -c \"ulimit -v\")"'
    is "a stack as large as its limit" "ok" inside 'ulimit -s 262144; perl -e "sub f { my \$n = shift; \$n ? f(\$n - 1) : print qq(ok\n) } no warnings; f(50000)"'
    is "a script's interpreter" "a b" inside 'printf "#!/usr/bin/env -S bash -e\necho \$*\n" > /tmp/x; chmod +x /tmp/x; /tmp/x a b'
    is "compiled and run inside" "hello 42" inside 'cd /tmp; printf "#include <stdio.h>\nint main(void) { printf(\"hello %%d\\\\n\", 42); }\n" > h.c; gcc -O2 h.c -o h && ./h'
    is "make, and its children" "built" inside 'cd /tmp; printf "all: a b c\n\t@echo built\na b c:\n\t@sleep 0.1\n" > Makefile; make -s -j3'
    is "Python's subprocesses" "[0, 1, 4]" inside 'python3 -c "
import subprocess
print([int(subprocess.run([\"expr\", str(i), \"*\", str(i)], capture_output=True).stdout) for i in range(3)])"'
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]; exit
fi

# kind ARCH FOLDER OPTIONS…   makes the Debian if need be, and builds the packages in it
build() {
    local arch=$1 folder=$2; shift 2
    [ -e "$folder/usr" ] || "$SCRIPTS/make-root.sh" "$@" "$arch" "$folder" || return 1
    "$SCRIPTS/in-root.sh" "$@" --bind "$here/build-packages.sh" /root/build-packages.sh "$folder" /bin/bash /root/build-packages.sh "${packages[@]}" < /dev/null
}
build riscv64 "${root:-$work/riscv64}" ${interpreter:+--interpreter "$interpreter"} | tee "$work/emulated"
[ -z "$interpreter" ] || exit
build amd64 "$work/amd64" > "$work/native"
sed 's/^/natively /' "$work/native"
for package in "${packages[@]}"; do
    # What failed alike before there was a test suite is no success.
    if ! grep -qE "^result: $package ([1-9][0-9]* tests|TOTAL [1-9])" "$work/native"; then
        failed=$((failed + 1)); echo "$package: its test suite did not run natively: $(grep "^result: $package" "$work/native")"; continue
    fi
    is "$package: its test suite" "$(grep "^result: $package" "$work/native")" grep "^result: $package" "$work/emulated"
done
[ "$(grep -c '^result:' "$work/emulated")" -ge ${#packages[@]} ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ $failed = 0 ]
