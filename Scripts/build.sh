#!/bin/bash
# build.sh [static]   builds the release executable, and says where it is.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/cache.sh"
cd "$REPO"
case ${1:-} in
'')     say "building Apus (release)"
        swift build -c release --product apus
        built=.build/release/apus;;
static) say "building Apus (release, one static executable)"
        swift build -c release --product apus --scratch-path .build-static -Xswiftc -static-executable -Xswiftc -use-ld=lld \
            -Xswiftc -Xclang-linker -Xswiftc -static-pie   # its own memory stays out of the guest's
        built=.build-static/release/apus
        if ldd "$built" 2>&1 | grep -q '=>'; then die "$built is not static"; fi;;
*)      die "usage: build.sh [static]";;
esac
"$built" --version > /dev/null || die "$built does not start"
say "$built, $(($(stat -Lc %s "$built") / 1000000)) MB"
