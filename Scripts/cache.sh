# Where everything that is fetched or made for running, testing and measuring is kept. Source it.
#   APUS_CACHE   the folder (default: apus in the user's cache folder)
APUS_CACHE=${APUS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apus}
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(dirname "$SCRIPTS")
say() { printf '%s\n' "-- $*" >&2; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }
