#!/bin/bash
# openssl.sh [SECONDS [RUNS]]   Debian's OpenSSL on its own vector code: AES, GCM, SHA-2, SM3, SM4 and ChaCha20 by `openssl speed`
#
# Blocks of 8 KiB for SECONDS (default 1) of the program's own CPU time, medians of RUNS (default 3) interleaved runs under QEMU 10
# and under Apus, both with -cpu max. OpenSSL asks riscv_hwprobe what there is, so both run the same code.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/../../Scripts/cache.sh"
seconds=${1:-1} runs=${2:-3}
apus=$REPO/.build/release/apus
[ -x "$apus" ] || "$SCRIPTS/build.sh"
qemu=${APUS_QEMU:-$("$SCRIPTS/fetch-qemu.sh")}
root=$("$SCRIPTS/fetch-root.sh" riscv64 full)
export OPENSSL_CONF=/dev/null
exec python3 - "$root" "$qemu" "$apus" "$seconds" "$runs" <<'PYTHON'
import statistics, subprocess, sys
root, qemu, apus, seconds, runs = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
program = root + "/usr/bin/openssl"
commands = {"QEMU 10": [qemu, "-cpu", "max", "-L", root, program], "Apus": [apus, "exec", "-cpu", "max", "-L", root, program]}
def rate(command, name):
    output = subprocess.run(command + ["speed", "-mr", "-seconds", seconds, "-bytes", "8192", "-evp", name], capture_output=True, text=True).stdout
    rates = [line.split(":")[3] for line in output.splitlines() if line.startswith("+F")]
    if len(rates) != 1: sys.exit(f"{command[0]}: no rate of {name}")
    return float(rates[0]) / 1e6
print("| algorithm | QEMU 10 MB/s | Apus MB/s | Apus : QEMU 10 speed |\n|---|--:|--:|--:|")
for name in ["aes-128-cbc", "aes-128-ctr", "aes-256-gcm", "sha256", "sha512", "sm3", "sm4-ctr", "chacha20-poly1305"]:
    rates = {key: [] for key in commands}
    for _ in range(runs):
        for key, command in commands.items(): rates[key].append(rate(command, name))
    q, a = statistics.median(rates["QEMU 10"]), statistics.median(rates["Apus"])
    print(f"| {name} | {q:.0f} | {a:.0f} | {a / q:.1f} |", flush=True)
PYTHON
