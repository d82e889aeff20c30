# The shell itself: everything that makes processes, pipes and signals, and the language around it.
set -u
words=(one two three); words+=(four); echo "${#words[@]} ${words[*]} ${words[@]:1:2}"
declare -A age=([ann]=31 [bob]=27); for name in $(printf '%s\n' "${!age[@]}" | sort); do echo "$name ${age[$name]}"; done
fibonacci() { local n=$1; (( n < 2 )) && { echo "$n"; return; }; echo $(( $(fibonacci $((n - 1))) + $(fibonacci $((n - 2))) )); }
echo "fibonacci $(fibonacci 9)"
total=0; for ((i = 0; i < 20000; i++)); do (( total = (total * 31 + i) % 1000003 )); done; echo "loop $total"
echo "arithmetic $(( (1 << 62) - 1 )) $(( -7 / 2 )) $(( -7 % 3 )) $(( 0xff ^ 0x0f )) $(( 2 ** 40 ))"
seq 1 1000 | tee >(wc -l > count) | awk '{ s += $1 } END { print "sum", s }'; for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s count ] && break; sleep 0.1; done; echo "counted $(< count)"
diff <(printf 'a\nb\nc\n') <(printf 'a\nB\nc\n'); echo "diff says $?"
cat <<-EOF | tr a-z A-Z
	here is a document of $(echo nested) lines
EOF
[[ "release 13.1 trixie" =~ ([0-9]+)\.([0-9]+)\ ([a-z]+) ]] && echo "${BASH_REMATCH[3]} ${BASH_REMATCH[1]}"
path=/usr/share/doc/file.tar.gz; echo "${path##*/} ${path%%.*} ${path/share/SHARE} ${path^^}"
printf '%05d|%-6s|%x|%q\n' 42 left 48879 "it's quoted"
trap 'echo "caught USR1"' USR1; kill -USR1 $$; trap 'echo leaving' EXIT
( trap 'echo "child caught TERM"; exit 3' TERM; while :; do sleep 0.05; done ) & child=$!; sleep 0.3; kill -TERM $child; wait $child; echo "child ended with $?"
sleep 60 & kill -KILL $!; wait $! 2> /dev/null; echo "killed: $?"
coproc upper { while read -r line; do echo "${line^^}"; done; }; echo hello >&"${upper[1]}"; read -r answer <&"${upper[0]}"; echo "$answer"; eval "exec ${upper[1]}>&-"; wait "$upper_PID"
mkdir -p dir/sub; touch dir/{a,b}.txt dir/sub/c.txt; shopt -s globstar nullglob; echo dir/**/*.txt
( exit 7 ); echo "status $?"; false | true; echo "pipe ${PIPESTATUS[*]}"; set -o pipefail; false | true; echo "pipefail $?"
read -r first rest < <(echo alpha beta gamma); echo "$rest/$first"
mapfile -t lines < <(printf 'x\ny\nz\n'); echo "${#lines[@]} ${lines[2]}"
exec 5> out.txt; echo through-five >&5; exec 5>&-; cat out.txt
ulimit -n > /dev/null && echo "limits answer"; umask 027; touch masked; stat -c %a masked
for i in 1 2 3 4 5 6 7 8; do ( echo $((i * i)) > job.$i ) & done; wait; cat job.? | sort -n | paste -sd,
yes | head -3 | paste -sd' '; echo "SIGPIPE ${PIPESTATUS[0]}"
timeout 0.3 sleep 20; echo "timeout $?"
case $BASH_VERSION in 5.*) echo bash 5;; esac; /bin/sh -c 'echo "dash $((6 * 7))"'
no-such-program 2> /dev/null; echo "missing $?"; ./masked 2> /dev/null; echo "not executable $?"
printf '#!/bin/sh\necho script $0 $1\n' > script; chmod +x script; ./script argument
