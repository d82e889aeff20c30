# Double-precision floating point (D chapter).
arithmetic:
    fadd.d fa0, fa1, fa2
    fsub.d fa3, fa3, fa0
    fmul.d fa4, fa4, fa4
    fdiv.d fa5, fa5, fa0
    fsqrt.d fa0, fa0
fused:
    fmadd.d fa0, fa1, fa2, fa0
    fmadd.d fa3, fa3, fa4, fa5
    fnmsub.d fa5, fa1, fa2, fa3
    fmsub.d fa1, fa2, fa1, fa3
dot_product:
    fld fa4, 0(a0)
    fld fa5, 0(a1)
    fmadd.d fa0, fa4, fa5, fa0
    addi a0, a0, 8
    addi a1, a1, 8
    bne a0, a2, dot_product
signs:
    fneg.d fa0, fa0
    fabs.d fa1, fa2
    fmv.d fa3, fa4
    fsgnj.d fa5, fa5, fa0
compares:
    feq.d a0, fa0, fa1
    flt.d a1, fa2, fa3
    fle.d a2, fa4, fa5
compare_and_branch:
    flt.d a5, fa0, fa1
    bnez a5, . + 64
extrema:
    fmin.d fa0, fa0, fa1
    fmax.d fa2, fa3, fa4
unpinned:
    fld ft10, 0(a0)
    fadd.d ft11, ft10, fs8
    fsd ft11, 8(a0)
static_rounding:
    fadd.d fa0, fa0, fa1, rtz
    fmul.d fa2, fa2, fa3, rmm
