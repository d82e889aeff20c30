# Control and status registers.
flags:
    frflags a0
    fsflags a1
save_and_restore:
    frflags a5
    fadd.d fa0, fa0, fa1
    fsflags a5
rounding_mode:
    fsrmi a0, 1
clock:
    rdtime a0
