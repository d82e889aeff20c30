#!/bin/bash
# trials.sh [MODEL [KILL [SEED]]]   random trials of every writable format (trials.py): MODEL operations beside a plain copy
# (150) and KILL killed writers (3) of each variant. Ends with 'N passed, N failed'. The long form: trials.sh 10000 1000.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../Scripts/cache.sh"
export APUS=${APUS:-$REPO/.build/release/apus}
passed=0 failed=0 log=$(mktemp); trap 'rm -f "$log"' EXIT
for trial in "model ${1:-150}" "kill ${2:-3}"; do
    # shellcheck disable=SC2086
    python3 "$here/trials.py" $trial "${3:-1}" --verbose | tee "$log" | grep -v '^[0-9]* passed'
    sums=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    [ -n "$sums" ] || { echo "FAILED  ${trial% *}: it ended early"; sums="0 passed, 1 failed"; }
    passed=$((passed + ${sums%% *})); sums=${sums#*, }; failed=$((failed + ${sums%% *}))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
