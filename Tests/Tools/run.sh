#!/bin/bash
# run.sh   --count, --trace-calls and --coverage, on both engines, checked against what the program is known to do and
# what objdump says of it. One line a case, then 'N passed, N failed'.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
apus=$here/../../.build/release/apus
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work" || exit 1
riscv64-linux-gnu-gcc -O1 -fno-inline -static -o work "$here/work.c" || exit 1
passed=0 failed=0
check() { if [ "$2" = "$3" ]; then passed=$((passed + 1)); printf '%-52s ok\n' "$1"; else failed=$((failed + 1)); printf '%-52s FAILED  expected %s, got %s\n' "$1" "$2" "$3"; fi; }
# instructions NAME: how many stand in the function, from objdump.
instructions() { riscv64-linux-gnu-objdump -d --no-show-raw-insn --disassemble="$1" work | grep -cE '^ +[0-9a-f]+:'; }
address() { riscv64-linux-gnu-nm work | awk -v n="$1" '$3 == n { print $1 }'; }
for engine in x64 interpreter; do
    timeout 60 "$apus" exec --engine $engine --count ./work > out 2> count
    check "$engine: the program still works" 5040000 "$(cat out)"
    counted=$(awk '$3 == "leaf" { print $1 }' count)
    check "$engine: instructions of a function" $((10000 * $(instructions leaf))) "${counted:-none}"
    total=$(sed -nE 's/.*instructions ([0-9]+), blocks.*/\1/p' count); sum=$(awk 'NR > 1 && $1 ~ /^[0-9]+$/ { s += $1 } END { print s }' count)
    check "$engine: functions add up to all" 1 $(( sum <= total && sum * 100 > total * 95 ))
    awk '$3 == "leaf" || $3 == "middle" || $3 == "main" { print $1, $3 }' count | sort > counts.$engine
    timeout 60 "$apus" exec --engine $engine --trace-calls -D calls ./work > out
    check "$engine: calls of a function" 10000 "$(grep -cE ' leaf  from middle\+0x' calls)"
    check "$engine: indirect calls" 1000 "$(grep -cE ' middle  from main\+0x' calls)"
    check "$engine: depth" 1 "$(grep -E ' (middle|leaf)  from' calls | sed -E 's/^[0-9]+ ( *).*/\1/' | sort -u | wc -l | awk '{ print ($1 == 2) }')"
    rm -f calls
    timeout 60 "$apus" exec --engine $engine --coverage "$engine.%d" ./work fork > out
    check "$engine: a file for each process" 2 "$(ls $engine.* | wc -l)"
    timeout 60 "$apus" exec --engine $engine --coverage $engine.cov ./work > out
    perl -e '
        local $/; open F, "<:raw", shift; my $all = <F>; my ($head, $table) = $all =~ /^(DRCOV VERSION: 2\n.*BB Table: \d+ bbs\n)(.*)$/s or die "no drcov";
        my ($count) = $head =~ /BB Table: (\d+) bbs/; length $table == 8 * $count or die "length";
        my %base; $base{$1} = hex $2 while $head =~ /^ (\d+), 0x([0-9a-f]+), 0x[0-9a-f]+, 0x0+, 0x0+, 0x0+, \//mg;
        for my $wanted (map hex, @ARGV) {
            my $hit = 0;
            for my $i (0 .. $count - 1) { my ($o, $s, $m) = unpack "VSS", substr $table, 8 * $i, 8; $hit = 1 if $base{$m} + $o <= $wanted && $wanted < $base{$m} + $o + $s }
            print $hit;
        }' $engine.cov "$(address leaf)" "$(address main)" "$(address never)" > covered 2>&1
    check "$engine: coverage" 110 "$(cat covered)"
done
check "both engines count the same" "$(cat counts.x64)" "$(cat counts.interpreter)"
timeout 60 "$apus" exec --count ./work fork > out 2> count
check "a forked child counts its own" "$((10 * $(instructions leaf)))" "$(awk '$2 == "instructions" { n++ } n == 1 && $3 == "leaf" { print $1 }' count)"
timeout 10 "$apus" exec --coverage /nonexistent/file ./work > out 2> err
check "a file that cannot be written" 1 "$(grep -c "apus: --coverage: cannot write '/nonexistent/file'" err)"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
