# A user namespace in which guest programs are the kernel's business, for scripts to source after cache.sh. Root in it may
# mount, chroot, and register binary formats in a binfmt_misc of its own (Linux 6.7); the machine's own table, its mounts
# and its processes stay as they are.
#
#   in_namespace COMMAND…    runs COMMAND as root of new user, mount and process namespaces, with all user numbers
#                            below 65536: as root they are the machine's own, for another user those of /etc/subuid
#   static_apus              prints the path of a static executable of Apus ($APUS_STATIC, or what `make static` makes)

static_apus() {
    local apus=${APUS_STATIC:-$REPO/.build-static/release/apus}
    [ -x "$apus" ] || die "no $apus: 'make static' makes it (or set APUS_STATIC)"
    readlink -f "$apus"
}

in_namespace() {
    if [ "$(id -u)" != 0 ]; then
        command -v newuidmap > /dev/null || die "needs newuidmap (Debian: uidmap) to give a user's namespace more than one user"
        unshare --user --map-root-user --map-auto --mount --pid --fork --kill-child "$@"
        return
    fi
    # Who makes a user namespace cannot map more than one user into it; who is root outside can.
    local pipe pid status
    pipe=$(mktemp -u "${TMPDIR:-/tmp}/apus-namespace.XXXXXX"); mkfifo -m 600 "$pipe"
    unshare --user bash -c 'read -r _ < "$0"; rm "$0"; exec unshare --mount --pid --fork --kill-child "$@"' "$pipe" "$@" <&0 & pid=$!
    until [ "$(readlink /proc/$pid/ns/user)" != "$(readlink /proc/self/ns/user)" ] || ! kill -0 $pid 2> /dev/null; do sleep 0.01; done
    echo "0 0 65536" > /proc/$pid/uid_map && echo "0 0 65536" > /proc/$pid/gid_map
    echo > "$pipe"
    status=0; wait $pid || status=$?
    return $status
}
