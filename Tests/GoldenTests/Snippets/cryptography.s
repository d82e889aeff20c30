# Bit manipulation for cryptography and SHA-2 (Zbkb, Zbkx, Zknh, Zksh).
packed:
    pack a0, a1, a2
    packh a3, a4, a5
    packw a4, a0, a3
reversed_bits:
    brev8 a0, a1
sha256:
    sha256sum0 a0, a1
    sha256sig1 a2, a3
sha512:
    sha512sum1 a0, a1
    sha512sig0 a2, a3
sm3:
    sm3p0 a0, a1
looked_up:
    xperm8 a0, a1, a2
