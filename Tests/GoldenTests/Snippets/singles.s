# Single-precision floating point with NaN boxing (F chapter).
arithmetic:
    fadd.s fa0, fa1, fa2
    fmul.s fa0, fa0, fa3
    fsub.s fa4, fa0, fa4
memory:
    flw fa0, 0(a0)
    flw fa1, 4(a0)
    fadd.s fa0, fa0, fa1
    fsw fa0, 8(a0)
fused:
    fmadd.s fa0, fa1, fa2, fa0
    fnmadd.s fa3, fa3, fa4, fa5
compares:
    feq.s a0, fa0, fa1
    fle.s a1, fa0, fa1
extrema:
    fmin.s fa0, fa0, fa1
bits:
    fmv.w.x fa0, a0
    fmv.x.w a1, fa1
    fneg.s fa2, fa2
    fclass.s a2, fa3
