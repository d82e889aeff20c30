# One use of each of many coreutils.
set -eu
seq 1 500 > numbers; shuf --random-source=/bin/true numbers | sort -n | cmp - numbers && echo shuffled and sorted
sort -rn numbers | head -2 | tail -1; wc -lwc numbers; cut -c1-2 numbers | uniq -c | tail -2; tr 0-9 a-j < numbers | head -3 | paste -sd:
printf 'apple 3\npear 1\nfig 2\n' | sort -k2n | tee fruit; join <(sort fruit) <(printf 'fig green\npear yellow\n'); comm -12 <(sort fruit) <(echo 'fig 2')
md5sum numbers; sha1sum numbers; sha256sum numbers; sha512sum numbers | cut -c1-32; b2sum numbers | cut -c1-32; cksum numbers; sum numbers
base64 -w 40 numbers | head -2; base64 numbers | base64 -d | cmp - numbers; base32 <<< text; od -An -tx1 -N16 numbers; od -An -tfD -N16 /bin/true | wc -l
mkdir -p a/b/c; cp numbers a/b/copy; ln -s b/copy a/link; ln a/b/copy a/hard; stat -c '%n %s %F %h' a/link a/hard; readlink a/link; realpath --relative-to=. a/link
cp -a a d; mv d/b d/moved; ls -R d; rm -r d/moved; ls -A d; rmdir a/b/c; [ ! -d a/b/c ]; chmod 640 a/hard; stat -c %A a/hard; touch -d '2001-02-03 04:05:06 UTC' a/hard; stat -c %Y a/hard; date -u -r a/hard +%F
date -u -d @1234567890; date -u -d '2024-02-29 +1 year' +%F; TZ=Europe/Zurich date -d @1720000000 +%H:%M%z
dd if=/dev/zero of=zeros bs=4k count=16 2> /dev/null; dd if=numbers of=zeros conv=notrunc bs=1 seek=100 count=50 2> /dev/null; sha256sum zeros | cut -c1-16; truncate -s 1M zeros; stat -c %s zeros; du -b zeros | cut -f1
split -l 100 -d numbers part.; ls part.*; cat part.* | cmp - numbers; csplit -s numbers 100 200; wc -l xx00 xx01 | head -2; tac numbers | head -1; rev <<< drawer; nl -ba fruit
printf 'a\tb\n' | expand | od -c | head -1; fold -w 10 <<< 'a line that is folded'; fmt -w 30 <<< 'words that are filled into lines of at most thirty columns'; pr -t -2 -l 3 numbers | head -2; tsort <<< 'a b b c a c'; ptx <<< 'one two' | wc -l
factor 123456789 18446744073709551557; numfmt --to=iec 123456789; expr 17 \* 3; expr substr hello 2 3; seq -s, 0 .5 2; printf '%.3f %e\n' 3.14159265 12345.678
env -i A=1 env; [ $(nice -n 5 nice) -ge 5 ] && echo 5; nohup echo nohup 2> /dev/null; basename /x/y.c .c; dirname /x/y.c; pathchk ok; test 3 -gt 2 && echo test; mktemp -u XXXX | wc -c
mkfifo fifo; ( cat numbers > fifo ) & wc -l < fifo; wait; install -m 700 numbers installed; stat -c %a installed; timeout 5 true; echo $?; timeout 0.2 sleep 5 || echo $?
whoami > /dev/null; id -u > /dev/null; groups > /dev/null 2>&1 || true; tty || true; sync numbers; df . > /dev/null; nproc > /dev/null; arch > /dev/null; uptime > /dev/null 2>&1 || true; hostname > /dev/null 2>&1 || true; who > /dev/null; dircolors -b > /dev/null; ls --color=always -l numbers | wc -l; vdir -d . | wc -l; link numbers linked; unlink linked; shred -u installed; stdbuf -oL echo line-buffered; echo end
