# find and xargs over a small tree.
set -eu
mkdir -p tree/{a,b,c}/{x,y}; for i in $(seq 1 40); do printf '%*s' $((i * 50)) '' > tree/$(printf 'abc' | cut -c$((i % 3 + 1)))/x/f$i.dat; done
find tree -type f | wc -l; find tree -name 'f1?.dat' | sort | head -3; find tree -size +2b -type f | wc -l; find tree -type d -empty | sort
find tree -type f -print0 | xargs -0 -n 7 -P 4 wc -c | awk '/total/ { s += $1 } END { print s > 0 }'
find tree -type f -exec stat -c %s {} + | sort -n | tail -1; find tree -name f40.dat -exec sh -c 'echo "found $(basename "$1")"' - {} \;
find tree -regex '.*/f[0-9]\.dat' -printf '%f %s\n' | sort; touch -d '1 hour ago' tree/old; find tree -newer tree/old -type f | wc -l
find tree -type f -size -300c -delete; find tree -type f | wc -l; find tree -maxdepth 1 -mindepth 1 | sort; seq 10 | xargs -n 3; seq 5 | xargs -I{} echo '<{}>'
echo a b | xargs -t true 2>&1; (echo x | xargs false) || echo "xargs says $?"
