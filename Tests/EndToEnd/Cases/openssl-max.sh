# cpu: max
# openssl once more, with all that Apus's processor can do: OpenSSL asks riscv_hwprobe and takes code of its own for AES, SHA-2,
# SM3 and SM4 and for products without carries. Its answers must be those of openssl.sh.
. "${0%/*}/openssl.sh"
