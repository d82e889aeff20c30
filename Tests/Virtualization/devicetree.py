#!/usr/bin/env python3
"""devicetree.py OUT MIB INITRD-START INITRD-END COMMAND-LINE   the device tree (Devicetree Specification 0.4, chapter 5) of a machine
that has a hart, memory from 2 GiB, and SBI: what vmm.c gives its guest."""
import struct, sys

out, mebibytes, start, end, arguments = sys.argv[1], int(sys.argv[2]), int(sys.argv[3], 0), int(sys.argv[4], 0), sys.argv[5]
strings, structure = b"", b""


def padded(data):
    return data + bytes(-len(data) % 4)


def cells(*values):
    return b"".join(struct.pack(">I", value) for value in values)


def wide(value):
    return cells(value >> 32, value & 0xffffffff)


def node(name, properties, *children):
    global strings
    body = cells(1) + padded(name.encode() + b"\0")
    for key, value in properties.items():
        value = value.encode() + b"\0" if isinstance(value, str) else value
        body += cells(3, len(value), len(strings)) + padded(value)
        strings += key.encode() + b"\0"
    return body + b"".join(children) + cells(2)


controller = node("interrupt-controller", {"#interrupt-cells": cells(1), "interrupt-controller": b"", "compatible": "riscv,cpu-intc", "phandle": cells(1)})
# With Sstc the guest sets its timer by itself. Without, KVM of Linux 6.12 does it on the guest's behalf, and loses it when another
# thread takes the hart at that moment.
hart = node("cpu@0", {"device_type": "cpu", "reg": cells(0), "status": "okay", "compatible": "riscv", "riscv,isa": "rv64imafdc_sstc", "mmu-type": "riscv,sv39"}, controller)
structure = node("", {"#address-cells": cells(2), "#size-cells": cells(2), "compatible": "linux,dummy-virt"},
                 node("chosen", {"bootargs": arguments, "linux,initrd-start": wide(start), "linux,initrd-end": wide(end)}),
                 node("memory@80000000", {"device_type": "memory", "reg": wide(0x80000000) + wide(mebibytes << 20)}),
                 node("cpus", {"#address-cells": cells(1), "#size-cells": cells(0), "timebase-frequency": cells(10000000)}, hart)) + cells(9)
reserved = bytes(16)
at = 40
total = at + len(reserved) + len(structure) + len(strings)
with open(out, "wb") as file:
    file.write(cells(0xd00dfeed, total, at + len(reserved), at + len(reserved) + len(structure), at, 17, 16, 0, len(strings), len(structure)) + reserved + structure + strings)
