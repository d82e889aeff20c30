# openssl: digests, ciphers, keys, signatures, certificates, primes; answers that are known are compared.
set -eu
openssl version | cut -d' ' -f1,2 | cut -d. -f1,2; printf abc > abc
for d in md5 sha1 sha224 sha256 sha384 sha512 sha3-256 blake2b512 sm3 ripemd160; do openssl dgst -$d -r abc; done
openssl dgst -sha256 -mac HMAC -macopt hexkey:0b0b0b -r abc; openssl mac -macopt hexkey:$(printf '%064d' 7) -in abc Poly1305
head -c 100000 /dev/zero > zeros
while read -r cipher key iv; do
    openssl enc -$cipher -K "$(printf "%0${key}d" 1)" -iv "$(printf "%0${iv}d" 3)" -in zeros -out sealed
    openssl enc -d -$cipher -K "$(printf "%0${key}d" 1)" -iv "$(printf "%0${iv}d" 3)" -in sealed | cmp - zeros
    echo "$cipher $(openssl dgst -sha256 -r sealed | cut -c1-32)"
done <<'EOF'
aes-128-cbc 32 32
aes-256-ctr 64 32
aes-256-cbc 64 32
chacha20 64 32
camellia-128-cbc 32 32
aria-128-cbc 32 32
sm4-cbc 32 32
des-ede3-cbc 48 16
EOF
openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -pass pass:secret -in zeros -out sealed; openssl enc -d -aes-256-cbc -pbkdf2 -iter 1000 -pass pass:secret -in sealed | cmp - zeros && echo decrypted
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa.pem 2> /dev/null; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem; openssl genpkey -algorithm ED25519 -out ed.pem; openssl genpkey -algorithm X25519 -out x1.pem; openssl genpkey -algorithm X25519 -out x2.pem
for k in rsa ec ed; do
    openssl pkey -in $k.pem -pubout -out $k.pub
    digest="-digest sha256"; [ $k = ed ] && digest=
    openssl pkeyutl -sign -rawin $digest -inkey $k.pem -in abc -out $k.sig
    openssl pkeyutl -verify -rawin $digest -pubin -inkey $k.pub -in abc -sigfile $k.sig
    openssl pkeyutl -verify -rawin $digest -pubin -inkey $k.pub -in zeros -sigfile $k.sig || true
done
openssl pkey -in x1.pem -pubout -out x1.pub; openssl pkey -in x2.pem -pubout -out x2.pub
openssl pkeyutl -derive -inkey x1.pem -peerkey x2.pub -out one; openssl pkeyutl -derive -inkey x2.pem -peerkey x1.pub | cmp - one && echo agreed
openssl req -x509 -new -config /dev/null -key ec.pem -subj /CN=guest -days 10 -out cert.pem 2> /dev/null; openssl x509 -in cert.pem -noout -subject; openssl verify -CAfile cert.pem cert.pem
openssl prime 170141183460469231731687303715884105727 | sed 's/.*(//'; openssl prime 170141183460469231731687303715884105729 | sed 's/.*(//'; openssl prime -generate -bits 96 | wc -l; openssl rand 1000 | wc -c; openssl passwd -6 -salt saltsalt password; openssl speed -seconds 1 -bytes 1024 sha256 2> /dev/null | grep -c '^sha256'
