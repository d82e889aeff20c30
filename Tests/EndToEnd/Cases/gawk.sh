# gawk: fields, associative arrays, functions, printf, getline, regular expressions, coprocess.
seq 1 20000 | gawk '{ s += $1; h[$1 % 13]++ ; x = (x * 17 + $1) % 65521 } END { printf "%d %d %d %.6f\n", s, h[5], x, sin(1) + exp(1) + log(10) + atan2(1, 2) }'
gawk 'BEGIN { n = split("the quick brown fox", w); asort(w); for (i = 1; i <= n; i++) printf "%s ", toupper(substr(w[i], 1, 1)) substr(w[i], 2); print "" }'
gawk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(18), 2 ** 53 + 1, int(-3.7), 17 % 5, 1e300 * 1e10 }'
gawk 'BEGIN { "date -u -d @0 +%Y" | getline y; print y; c = "sort -r"; print "a\nb" |& c; close(c, "to"); while ((c |& getline l) > 0) print l; print strftime("%F", 86400 * 365, 1) }'
printf 'a=1;b=22\n' | gawk -F'[=;]' -v OFS=: '{ $1 = $1; print; print gensub(/([0-9])/, "<\\1>", "g"); if (match($0, /b:(2+)/, m)) print m[1], RSTART, RLENGTH }'
gawk -M 'BEGIN { print 2 ^ 200 }'
