#!/bin/bash
# run.sh [CASES]   every riscv64 instruction, the encoding space and random programs, compared with QEMU 10 on every engine
#
# CASES random cases per instruction (default 1000), a tenth as many programs. Needs the cross compiler and QEMU 10
# (APUS_QEMU). One part alone, or one instruction: .build/release/apus-differential --only fmadd.d
set -e
cd "$(dirname "$(readlink -f "$0")")/../.."
[ -x .build/release/apus ] || swift build -c release --product apus
swift build -c release --product apus-differential 1>&2
.build/release/apus-differential --cases "${1:-1000}"
# Vector instructions at other register lengths, in the full run.
if [ "${1:-1000}" -ge 1000 ]; then
    for bits in 256 1024; do .build/release/apus-differential --only vectors --vlen $bits --cases $(($1 / 5)); done
fi
