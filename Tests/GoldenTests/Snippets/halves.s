# Half precision (Zfh): arithmetic by way of singles, conversions, comparisons.
half_arithmetic:
    fadd.h fa0, fa1, fa2
    fmul.h fa3, fa0, fa4
half_square_root:
    fdiv.h fa0, fa1, fa2
    fsqrt.h fa3, fa0
half_rounded:
    fadd.h fa0, fa1, fa2, rtz
half_fused:
    fmadd.h fa0, fa1, fa2, fa3
half_compare:
    flt.h a0, fa0, fa1
    feq.h a1, fa1, fa2
half_to_integer:
    fcvt.w.h a0, fa0, rtz
    fcvt.lu.h a1, fa1
half_from_integer:
    fcvt.h.w fa0, a0
    fcvt.h.lu fa1, a1
half_widen:
    fcvt.s.h fa0, fa1
    fcvt.d.h fa2, fa3
half_narrow:
    fcvt.h.s fa0, fa1
half_sign:
    fsgnjn.h fa0, fa1, fa2
half_memory:
    flh fa0, 2(a0)
    fsh fa0, 4(a0)
