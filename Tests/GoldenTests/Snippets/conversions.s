# Conversions between floats and integers, and between formats.
from_integers:
    fcvt.d.w fa0, a0
    fcvt.d.l fa1, a1
    fcvt.s.w fa2, a2
    fcvt.d.wu fa3, a3
from_unsigned:
    fcvt.d.lu fa0, a0
    fcvt.s.lu fa1, a1
to_integers:
    fcvt.w.d a0, fa0, rtz
    fcvt.l.d a1, fa1, rtz
    fcvt.w.s a2, fa2, rtz
    fcvt.l.d a3, fa3
to_unsigned:
    fcvt.wu.d a0, fa0, rtz
    fcvt.lu.d a1, fa1, rtz
formats:
    fcvt.d.s fa0, fa0
    fcvt.s.d fa1, fa1
    fmv.x.d a0, fa2
    fmv.d.x fa3, a1
half:
    flh fa0, 0(a0)
    fcvt.s.h fa0, fa0
    fcvt.h.s fa1, fa1
    fsh fa1, 2(a0)
rounding:
    .insn r 0x53, 7, 0x21, fa0, fa0, f4    # fround.d fa0, fa0
    .insn r 0x53, 2, 0x21, fa1, fa1, f5    # froundnx.d fa1, fa1, rdn
