# Every compressor there and back, on text, code and noise; each must reproduce its input and its fixed output.
set -eu
seq 1 30000 > text; head -c 300000 <(openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2> /dev/null) > noise || true; cat text noise > mix
for tool in "gzip -9n" "bzip2 -9" "xz -6 -T1" "xz -3 -T2" "zstd -q -9" "zstd -q -T2" "lz4 -q -9"; do
    for input in text noise mix; do $tool -c < $input > packed; ${tool%% *} -dcq < packed | cmp - $input; echo "$tool: $input $(stat -c %s $input) bytes survive"; done
done
gzip -9n < text | md5sum; bzip2 < text | md5sum; xz -6 -T1 < text | md5sum; xz -t <(xz -e < text); zstd -q -3 --no-check -c text | md5sum
7z a -bso0 -bsp0 -mmt=2 archive.7z text noise mix; 7z t -bso0 -bsp0 archive.7z && echo 7z tests; mkdir out; 7z x -bso0 -bsp0 -oout archive.7z; for f in text noise mix; do cmp $f out/$f; done; 7z l archive.7z | tail -1 | awk '{ print $3, $5, $6 }'
7z a -bso0 -bsp0 -tzip archive.zip text; 7z t -bso0 -bsp0 archive.zip && echo zip tests; gzip -t <(head -c 1000 <(gzip < mix)) 2> /dev/null || echo truncated input is noticed
