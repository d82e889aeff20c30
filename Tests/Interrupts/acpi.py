"""acpi.py OURS THEIRS   compares the ACPI tables in two guests' consoles (between TABLES and END, packed, base64): 'same NAME' or 'other NAME' of each."""
import base64, re, struct, sys, zlib


def tables(path):
    text = re.search(r"TABLES\s(.*?)END", open(path).read(), re.S).group(1)
    data, place, found = zlib.decompress(base64.b64decode(text), 31), 0, {}
    while len(data) - place >= 36 and (size := struct.unpack_from("<I", data, place + 4)[0]) >= 36:
        found[data[place:place + 4].decode()] = data[place:place + size]
        place += size
    return found


ours, theirs = map(tables, sys.argv[1:])
for name in sorted(ours.keys() | theirs.keys()):
    print("same" if ours.get(name) == theirs.get(name) else "other", name, "" if ours.get(name) == theirs.get(name) else f"\n  ours {ours.get(name, b'').hex()}\n  QEMU {theirs.get(name, b'').hex()}")
