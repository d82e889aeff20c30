# grep, sed, diff, tar, file on generated text.
set -eu
for i in $(seq 1 300); do echo "line $i key$((i % 7)) $((i * i))"; done > text
grep -c key3 text; grep -E '^line (1|2)[05] ' text; grep -oP '(?<=key)\d (?=\d{5}$)' text | sort | uniq -c; grep -v key text | wc -l; grep -n 'line 299' text; grep -rl 'line 42 ' .
sed -n '10,12p' text; sed -E 's/line ([0-9]+) key([0-9])/\2-\1/; 5q' text; sed '/key[0-5]/d' text | tail -1; sed -i 's/key/KEY/' text; sed -n '$=' text; sed 'y/abc/ABC/;1!G;h;$!d' <<< $'cab\nabc'
cp text other; sed -i '50d; 100s/$/ changed/' other; diff text other || true; diff -u text other | sed '1,2d' | md5sum; cmp text other || true
tar cf archive.tar text other; tar tf archive.tar; mkdir out; tar xf archive.tar -C out; cmp out/text text; tar czf archive.tgz text; tar xzOf archive.tgz | md5sum
file text archive.tar archive.tgz | sed 's/, last modified.*//'; mawk '{ a[$3] += $4 } END { for (k in a) print k, a[k] }' text | sort; bc <<< 'scale=30; 4*a(1)' 2>&1 | head -1; bc -l <<< 'scale=20; 4*a(1)'; bc <<< '2^200 % 10^20'
