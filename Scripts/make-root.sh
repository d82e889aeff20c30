#!/bin/bash
# make-root.sh ARCH FOLDER   makes a whole Debian trixie of ARCH in FOLDER (new, or empty): debootstrap's minbase, all its
# packages configured by their own scripts, which run through Apus. Unlike fetch-root.sh's trees, which are only unpacked,
# it is what an installed machine has: apt works in it (in-root.sh), and it boots (without a kernel; /dev is empty).
# The first time takes minutes; the result is kept in the cache as an archive, and later calls unpack that.
#   --variant NAME       debootstrap's (default minbase)      --include LIST   packages more, separated by commas
#   --interpreter PATH   makes it by another static emulator than Apus, without the cache (for comparison)
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"; . "$SCRIPTS/apt-state.sh"; . "$SCRIPTS/namespace.sh"

variant=minbase include= interpreter= suite=trixie
while [ $# -gt 0 ]; do case $1 in
    --variant) variant=${2?}; shift 2;; --include) include=${2?}; shift 2;; --interpreter) interpreter=${2?}; shift 2;;
    -*) die "unknown option $1";; *) break;;
esac; done
arch=${1:?usage: make-root.sh ARCH FOLDER} folder=${2:?usage: make-root.sh ARCH FOLDER}
mkdir -p "$folder"; folder=$(readlink -f "$folder")
[ -z "$(ls -A "$folder")" ] || die "$folder is not empty"

unpack() { in_namespace tar -x -p --numeric-owner --xattrs-include='*' -C "$folder" -f "$1"; }
archive=$APUS_CACHE/debootstrap/$suite-$arch-$variant${include:+-$(md5sum <<< "$include" | cut -c1-8)}.tar
if [ -z "$interpreter" ] && [ -e "$archive" ]; then unpack "$archive"; exit; fi

command -v debootstrap > /dev/null || "$SCRIPTS/install-packages.sh" root
apus=$(static_apus); mirror=$(debian_mirror); began=$SECONDS
mkdir -p "$APUS_CACHE/debootstrap/debs-$suite-$arch"
log=$APUS_CACHE/debootstrap/$suite-$arch.log
# debootstrap wants to make devices, except in the containers that it knows; in-root.sh shows it the machine's.
say "debootstrap: fetching and unpacking Debian $suite for $arch"
in_namespace env container=lxc debootstrap --foreign --arch="$arch" --variant="$variant" ${include:+--include="$include"} \
    --keyring="$DEBIAN_KEYRING" --cache-dir="$APUS_CACHE/debootstrap/debs-$suite-$arch" $suite "$folder" "$mirror" > "$log" 2>&1 ||
    { tail -5 "$log" >&2; die "debootstrap's first stage failed (see $log)"; }
say "debootstrap: second stage, by $arch programs ($((SECONDS - began)) s so far)"
"$SCRIPTS/in-root.sh" ${interpreter:+--interpreter "$interpreter"} "$folder" /debootstrap/debootstrap --second-stage >> "$log" 2>&1 < /dev/null ||
    { tail -5 "$log" >&2; tail -5 "$folder/debootstrap/debootstrap.log" >&2 2> /dev/null; die "debootstrap's second stage failed (see $log)"; }
in_namespace bash -c 'cd "$1"; rm -rf dev; mkdir -m 755 dev; find run tmp var/tmp -mindepth 1 -delete; rm -f etc/resolv.conf; echo guest > etc/hostname
    echo "127.0.0.1 localhost guest" > etc/hosts' - "$folder"
if [ -z "$interpreter" ]; then
    in_namespace tar -c --numeric-owner --xattrs -C "$folder" -f "$archive.new" . && mv "$archive.new" "$archive"
fi
say "$folder: $(du -sm "$folder" | cut -f1) MB, made in $((SECONDS - began)) s"
