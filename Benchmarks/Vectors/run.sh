#!/bin/bash
# run.sh [RUNS]   vector code: user CPU time of memcpy, strlen, dot product, saxpy, image filter, base64 and chacha20
#
# vectors.c is compiled by the guest's own gcc-14 (run by Apus; -O3 -march=rv64gcv) and linked by the cross compiler. Medians
# of RUNS interleaved runs (default 3) under QEMU 10 (-cpu rv64,v=on) and under Apus; the native program is the same source
# by the host's gcc -O3. The answers of the three must agree.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../../Scripts/cache.sh"
runs=${1:-3}
apus=$REPO/.build/release/apus
[ -x "$apus" ] || "$SCRIPTS/build.sh"
qemu=${APUS_QEMU:-$("$SCRIPTS/fetch-qemu.sh")}
root=$("$SCRIPTS/fetch-root.sh" riscv64 full)
work=$APUS_CACHE/bench/vectors
mkdir -p "$work"
if [ ! "$work/guest" -nt "$here/vectors.c" ]; then
    cp "$here/vectors.c" "$work/"
    (cd "$work" && "$apus" exec -L "$root" "$root/usr/bin/gcc-14" -O3 -march=rv64gcv -fno-tree-loop-distribute-patterns -S -o guest.s vectors.c)
    riscv64-linux-gnu-gcc -march=rv64gcv -static "$work/guest.s" -o "$work/guest"
    gcc -O3 -fno-tree-loop-distribute-patterns "$here/vectors.c" -o "$work/native"
fi
exec python3 - "$work" "$qemu" "$apus" "$runs" <<'PYTHON'
import resource, statistics, subprocess, sys
work, qemu, apus, runs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
rounds = {"memcpy": 20000, "strlen": 5000, "dot": 10000, "saxpy": 10000, "image": 1500, "base64": 3000, "chacha20": 10000}
commands = {"native": [work + "/native"], "QEMU 10": [qemu, "-cpu", "rv64,v=on", work + "/guest"],
            "Apus": [apus, "exec", "-cpu", "rv64,v=on", work + "/guest"]}
def measure(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, output
print("| workload | native s | QEMU 10 s | Apus s | Apus : QEMU 10 speed |\n|---|--:|--:|--:|--:|")
failed = False
for name, count in rounds.items():
    times = {key: [] for key in commands}
    answers = set()
    for _ in range(runs):
        for key, command in commands.items():
            seconds, output = measure(command + [name, str(count)])
            times[key].append(seconds)
            answers.add(output)
    n, q, a = (statistics.median(times[key]) for key in commands)
    if len(answers) != 1:
        failed = True
        print(name, "answers differ:", answers)
    print(f"| {name} | {n:.3f} | {q:.3f} | {a:.3f} | {q / max(a, 0.001):.2f} |", flush=True)
sys.exit(failed)
PYTHON
