#!/bin/bash
# in-root.sh [OPTION…] FOLDER [COMMAND…]   runs COMMAND (a login shell if there is none) in FOLDER, a root file system of
# another architecture, as root, in a chroot: its programs are started by the kernel, which hands them to Apus. See
# docs/chroot.md. Nothing of the machine changes: it is all in namespaces of their own (namespace.sh).
#   --bind FROM TO      shows the machine's folder or file FROM as TO inside, too
#   --interpreter PATH  hands the programs to another static emulator than Apus (for comparison)
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/namespace.sh"

if [ "${1-}" != --inside ]; then
    apus=$(static_apus)
    export APUS_STATIC=$apus
    in_namespace "$SCRIPTS/in-root.sh" --inside "$@"
    exit
fi
shift
from=() to=() interpreter=
while [ $# -gt 0 ]; do case $1 in
    --bind) from+=("$(readlink -f "${2?}")"); to+=("${3?}"); shift 3;;
    --interpreter) interpreter=$(readlink -f "${2?}"); shift 2;;
    -*) die "unknown option $1";;
    *) break;;
esac; done
root=$(readlink -f "${1?usage: in-root.sh [OPTION…] FOLDER [COMMAND…]}"); shift
[ -d "$root/usr" ] || die "$root is not a root file system: it has no usr"

if mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2> /dev/null; then
    "$APUS_STATIC" binfmt install ${interpreter:+--interpreter "$interpreter"}
elif ! "$APUS_STATIC" binfmt status > /dev/null 2>&1 || [ -n "$interpreter" ]; then
    die "this kernel gives a user namespace no binfmt_misc of its own (Linux 6.7 does), and Apus is not registered: 'sudo apus binfmt install'"
fi

show() {    # show FROM TO   binds a folder or file, on a place made for it if there is none
    if [ -d "$1" ]; then mkdir -p "$root$2"; elif [ ! -e "$root$2" ]; then mkdir -p "$(dirname "$root$2")"; : > "$root$2"; fi
    mount --rbind "$1" "$root$2"
}
# A device cannot be made in a user namespace, but shown there.
mkdir -p "$root/dev" "$root/proc"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do show /dev/$device /dev/$device; done
mkdir "$root/dev/pts"; mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"; mount -t tmpfs shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${link#*:}" "$root/dev/${link%:*}"; done
[ ! -e /etc/resolv.conf ] || show "$(readlink -f /etc/resolv.conf)" /etc/resolv.conf
for i in "${!from[@]}"; do show "${from[i]}" "${to[i]}"; done

[ $# -gt 0 ] || set -- /bin/bash -l
proxies=(); for name in http_proxy https_proxy no_proxy; do [ -z "${!name-}" ] || proxies+=("$name=${!name}"); done
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    TERM="${TERM:-dumb}" container=lxc ${proxies[@]+"${proxies[@]}"} "$@"
