"""acpi.py OURS THEIRS   compares the ACPI tables in two guests' consoles (between TABLES and END, packed, base64): 'same NAME' or 'other NAME'
of each. The DSDT's list of PCI interrupts is a package here and a package of variable length in QEMU: that, and the lengths and the checksum
that follow from it, count for nothing."""
import base64, re, struct, sys, zlib


def tables(path):
    text = re.search(r"TABLES\s(.*?)END", open(path).read(), re.S).group(1)
    data, place, found = zlib.decompress(base64.b64decode(text), 31), 0, {}
    while len(data) - place >= 36 and (size := struct.unpack_from("<I", data, place + 4)[0]) >= 36:
        name, table = data[place:place + 4].decode(), data[place:place + size]
        if name == "DSDT":
            table = re.sub(rb"(?s)..(PCI0|\\_SB_)", rb"\1", table[10:])
            table = re.sub(rb"(?s)_PRT(\x12..|\x13..\x0a)\x80", b"_PRT", table)
        found[name] = table
        place += size
    return found


ours, theirs = map(tables, sys.argv[1:])
for name in sorted(ours.keys() | theirs.keys()):
    print("same" if ours.get(name) == theirs.get(name) else "other", name)
