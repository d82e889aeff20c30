# Arithmetic, strings, arrays and functions of the shell.
f() { local n=$1; (( n < 2 )) && { r=$n; return; }; f $((n - 1)); local a=$r; f $((n - 2)); r=$((a + r)); }
f 15; echo $r
t=0; for ((i = 0; i < 120000; i++)); do (( t = (t * 31 + i) % 1000003 )); done; echo $t
s=; for i in {1..6000}; do s+=$((i % 10)); [[ ${s: -3} == 123 ]] && ((t++)); done; echo ${#s} $t
declare -A h; for i in {1..15000}; do k=k$((i % 311)); h[$k]=$(( ${h[$k]:-0} + i )); done; echo ${#h[@]} ${h[k7]}
for i in {1..4000}; do w="word $i of many"; w=${w// /-}; case $w in *99*) ((t++));; esac; printf -v p '%05d:%s' $i "${w^^}"; done; echo "$p $t"
