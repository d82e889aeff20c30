# A private apt state: Debian packages of another release or architecture are found, downloaded and verified
# without reading or writing the host's own apt and dpkg state. Source it (after cache.sh).
#
#   apt_state SUITE ARCH            makes the state, prints the path of its configuration
#   apt_closure SUITE ARCH PKG…     downloads packages with all they depend on, prints their .deb paths
#   apt_source SUITE [OPTION] PKG   unpacks a source package in the current folder (with --tar-only: fetches its upstream archives)
#   unpack_packages DIR DEB…        unpacks them into one tree; runs no package script
#
# The mirror is the one this machine's apt already uses for its own release ($APUS_MIRROR overrides it).
# Release files are checked against Debian's keyring, and each package against the signed index, by apt itself.
DEBIAN_KEYRING=${DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

debian_mirror() {
    local mirror=${APUS_MIRROR:-} codename
    if [ -z "$mirror" ]; then
        codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
        mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
            awk -v c="$codename" '($1 == c || $1 == "stable" || $1 == "testing" || $1 == "unstable") && $2 == "main" { print $3; exit }')
    fi
    [ -n "$mirror" ] || die "no Debian mirror in this machine's apt sources; set APUS_MIRROR to one"
    echo "$mirror"
}

apt_state() {
    local suite=$1 arch=$2 state=$APUS_CACHE/apt/$1-$2 mirror
    [ -r "$DEBIAN_KEYRING" ] || die "no $DEBIAN_KEYRING: install debian-archive-keyring"
    mirror=$(debian_mirror) || return 1
    if [ "$(cat "$state/mirror" 2>/dev/null)" != "$mirror" ]; then
        rm -rf "$state"
        mkdir -p "$state"/{empty,lists/partial,log,debs/partial}
        : > "$state/status"
        echo "deb [signed-by=$DEBIAN_KEYRING] $mirror $suite main" > "$state/sources.list"
        cat > "$state/apt.conf" <<CONF
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Architectures { "$arch"; };
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "0";
APT::Get::Assume-Yes "1";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$state/empty";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "$state/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$state/empty";
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Cache::archives "$state/debs";
Dir::Log "$state/log";
Debug::NoLocking "1";
CONF
        APT_CONFIG=$state/apt.conf apt-get -qq update >&2 || { rm -rf "$state"; die "apt-get update failed for $suite $arch"; }
        echo "$mirror" > "$state/mirror"
    fi
    echo "$state/apt.conf"
}

apt_closure() {
    local suite=$1 arch=$2 configuration log; shift 2
    configuration=$(apt_state "$suite" "$arch") || return 1
    log=$APUS_CACHE/apt/$suite-$arch/log/download
    if ! APT_CONFIG=$configuration apt-get install --download-only -qq "$@" > "$log" 2>&1; then
        # An index older than the mirror names packages that are gone: look again, once.
        APT_CONFIG=$configuration apt-get -qq update >&2
        APT_CONFIG=$configuration apt-get install --download-only -qq "$@" > "$log" 2>&1 || { cat "$log" >&2; return 1; }
    fi
    APT_CONFIG=$configuration apt-get install -s "$@" |
        sed -nE 's/^Inst ([^ ]+) \(([^ ]+) .*\[([a-z0-9]+)\]\).*/\1 \2 \3/p' |
        while read -r package version architecture; do
            echo "$APUS_CACHE/apt/$suite-$arch/debs/${package%%:*}_${version//:/%3a}_${architecture}.deb"
        done
}

apt_source() {
    local suite=$1 state=$APUS_CACHE/apt/$1-source mirror; shift
    mirror=$(debian_mirror) || return 1
    if [ "$(cat "$state/mirror" 2>/dev/null)" != "$mirror" ]; then
        apt_state "$suite" amd64 > /dev/null || return 1
        rm -rf "$state"
        mkdir -p "$state"/{empty,lists/partial,log,debs/partial}
        : > "$state/status"
        echo "deb-src [signed-by=$DEBIAN_KEYRING] $mirror $suite main" > "$state/sources.list"
        sed "s|$APUS_CACHE/apt/$suite-amd64|$state|g" "$APUS_CACHE/apt/$suite-amd64/apt.conf" > "$state/apt.conf"
        APT_CONFIG=$state/apt.conf apt-get -qq update >&2 || { rm -rf "$state"; die "apt-get update failed for the sources of $suite"; }
        echo "$mirror" > "$state/mirror"
    fi
    APT_CONFIG=$state/apt.conf apt-get -qq source "$@" > "$state/log/source" 2>&1 && return
    # As above: an index older than the mirror.
    APT_CONFIG=$state/apt.conf apt-get -qq update >&2
    APT_CONFIG=$state/apt.conf apt-get -qq source "$@" > "$state/log/source" 2>&1 || { cat "$state/log/source" >&2; return 1; }
}

unpack_packages() {
    local tree=$1 link; shift
    mkdir -p "$tree"/usr/{bin,sbin,lib,lib64}
    for link in bin sbin lib lib64; do [ -e "$tree/$link" ] || ln -s "usr/$link" "$tree/$link"; done
    local package; for package in "$@"; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --keep-directory-symlink --no-same-owner || die "cannot unpack $package"
    done
    # An absolute link would leave the tree when an emulator looks a path up under it: make it relative.
    find "$tree" -type l -lname '/*' -printf '%P\t%l\n' | while IFS=$'\t' read -r path target; do
        case $target in /proc/*|/dev/*|/run/*) continue;; esac
        ln -sfn "$(realpath -ms --relative-to="/$(dirname "$path")" "$target")" "$tree/$path"
    done
}
