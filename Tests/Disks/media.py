"""Media of CD-ROM drives, small PCI devices: a guest and a monitor take turns.   media.py EMULATOR-AND-OPTIONS… (its -bios,
-kernel and -initrd; the guest evaluates lines of its console). Works with QEMU too. Prints 'N passed, N failed'."""
import re, time

from machine import Machine, check, sums


def looking(disk):
    """A command that shows the start of a medium. The first look may only find out that it has changed."""
    return f"for i in 1 2 3; do dd if=/dev/{disk} bs=2k count=1 iflag=direct 2>/dev/null | head -c 5 | grep -E 'first|other' && break; done"


def drive(name, path, disk):
    """The tray of one drive, `disk` in the guest, whose medium is one.iso at first."""
    look = looking(disk)
    block = lambda: next(entry for entry in machine.do("query-block") if entry.get("qdev") in (name, path))
    machine.moved()
    check(f"{name} first", "first" in machine.guest(look))
    entry = block()
    check(f"{name} is shown", entry["removable"] and not entry["tray_open"] and entry["inserted"]["image"]["filename"].endswith("one.iso"), entry)
    check(f"{name} needs an open tray", "is not open" in str(machine.do("blockdev-remove-medium", id=name)))
    check(f"{name} opens", machine.do("blockdev-open-tray", id=name) == {} and machine.moved() == [(name, True)])
    check(f"{name} opens once", machine.do("blockdev-open-tray", id=name) == {} and machine.moved() == [])
    check(f"{name} open: nothing to read", "first" not in machine.guest(look))
    check(f"{name} gives its medium", machine.do("blockdev-remove-medium", id=name) == {} and "inserted" not in block() and block()["tray_open"])
    machine.do("blockdev-add", driver="raw", node_name="m" + name, file={"driver": "file", "filename": "two.iso"}, read_only=True)
    check(f"{name}: no such node", "not found" in str(machine.do("blockdev-insert-medium", id=name, node_name="none")))
    check(f"{name} takes a medium", machine.do("blockdev-insert-medium", id=name, node_name="m" + name) == {})
    check(f"{name} takes one", "is already in use" in str(machine.do("blockdev-insert-medium", id=name, node_name="m" + name)))
    check(f"{name} closes", machine.do("blockdev-close-tray", id=name) == {} and machine.moved() == [(name, False)])
    check(f"{name} second", "other" in (text := machine.guest(look)), text)
    # The guest keeps it shut, and lets it go.
    machine.guest(f"exec 9</dev/{disk}")
    text = machine.do("eject", id=name)
    check(f"{name} is locked", "is locked and force was not specified" in str(text) and block()["locked"], text)
    machine.guest("exec 9<&-")
    check(f"{name} is not locked", not block()["locked"])
    check(f"{name} change", machine.do("blockdev-change-medium", id=name, filename="one.iso", format="raw") == {} and machine.moved() == [(name, True), (name, False)])
    check(f"{name} first again", "first" in (text := machine.guest(look)), text)
    check(f"{name}: a file that is not there", "No such file" in str(machine.do("blockdev-change-medium", id=name, filename="none.iso")))
    check(f"{name} force", machine.guest(f"exec 9</dev/{disk}") is not None and machine.do("eject", id=name, force=True) == {} and "inserted" not in block())
    machine.guest("exec 9<&-")
    return block


for name, text in [("one.iso", b"first"), ("two.iso", b"other")]:
    with open(name, "wb") as file:
        file.write(text.ljust(2048, b".") * 512)

machine = Machine("-drive", "if=none,id=c0,media=cdrom,file=one.iso,format=raw", "-drive", "if=none,id=c1,media=cdrom,file=one.iso,format=raw",
                  "-drive", "if=none,id=c2,media=cdrom", "-device", "virtio-scsi-pci", "-device", "scsi-cd,id=scsi,drive=c0", "-device", "ahci,id=a",
                  "-device", "ide-cd,id=sata,drive=c1,bus=a.0", "-device", "ide-cd,id=empty,drive=c2,bus=a.1", "-device", "ide-cd,id=bare,bus=a.3",
                  "-device", "pvpanic-pci", "-chardev", "PCI-STREAM", "-device", "pci-serial,chardev=s", "-device", "edu", "-action", "panic=none")
try:
    machine.until("GUEST-READY", 90)
    # Who opens a drive does not close its tray.
    machine.guest("echo 0 > /proc/sys/dev/cdrom/autoclose")
    names = dict(re.findall(r"(\w+) (sr\d)", machine.guest(
        "for d in /sys/block/sr*; do case $(cat $d/device/model) in *CD-ROM*) echo scsi ${d##*/};; *) readlink -f $d | sed 's,.*/ata\\([0-9]*\\)/.*/\\(sr.\\),ata\\1 \\2,';; esac; done")))
    check("four drives", len(names) == 4, names)
    disks = [names[key] for key in sorted(key for key in names if key != "scsi")]
    drive("scsi", "/machine/peripheral/scsi", names["scsi"])
    drive("sata", "/machine/peripheral/sata", disks[0])
    # Empty ones, by the drive's name and by people.
    check("empty", all("inserted" not in entry for entry in machine.do("query-block") if entry.get("qdev", "").endswith(("empty", "bare"))))
    check("empty: nothing to read", "first" not in machine.guest(looking(disks[1])))
    human = lambda line: machine.do("human-monitor-command", command_line=line)
    check("change", human("change c2 two.iso raw") == "" and "other" in (text := machine.guest(looking(disks[1]))), text)
    check("info block", re.search(r"c2 .*two.iso.*read-only", human("info block")) and "not locked, tray closed" in human("info block"), human("info block"))
    check("eject", human("eject c2") == "" and re.search(r"c2: \[not inserted\]", human("info block")), human("info block"))
    check("who is meant", "exactly one of" in machine.do("eject") and "not found" in machine.do("eject", id="none"))

    # The small devices: what they are, then what they do.
    found = machine.guest("for d in /sys/bus/pci/devices/*; do echo $(cat $d/vendor $d/device $d/class $d/revision) ${d##*/}; done")
    place = lambda ids: re.search(ids + r" (\S+)", found).group(1) if re.search(ids + r" (\S+)", found) else ""
    panic, serial, edu = place("0x1b36 0x0011 0x088000 0x01"), place("0x1b36 0x0002 0x070002 0x01"), place("0x1234 0x11e8 0x00ff00 0x10")
    check("they are there", panic and serial and edu, found)
    at = lambda name: int(machine.guest(f"echo 1 > /sys/bus/pci/devices/{name}/enable; head -1 /sys/bus/pci/devices/{name}/resource").split("\n")[-2].split()[0], 16)
    word = lambda address, width=32: int(re.findall(r"0x[0-9A-F]+", machine.guest(f"devmem {address:#x} {width}"))[-1], 16)
    store = lambda address, value, width=32: machine.guest(f"devmem {address:#x} {width} {value:#x}")
    base = at(edu)
    check("edu: what it is", word(base) == 0x010000ed)
    store(base + 4, 0x12345678)
    check("edu: it lives", word(base + 4) == 0xedcba987)
    store(base + 8, 10)
    time.sleep(0.2)
    check("edu: a factorial", word(base + 8) == 3628800 and word(base + 0x20) == 0)
    store(base + 0x60, 0x55)
    check("edu: an interrupt", word(base + 0x24) == 0x55)
    store(base + 0x64, 0x50)
    check("edu: part of it acknowledged", word(base + 0x24) == 5)
    store(base + 0x64, 5)
    check("edu: no other register", word(base + 0x30) == 0xffffffff)
    stream = machine.connect("pci").makefile("rw")
    port = re.search(r"ttyS[1-9]", machine.guest(f"ls /sys/bus/pci/devices/{serial}/tty /sys/bus/pci/devices/{serial}/*/tty /sys/bus/pci/devices/{serial}/*/*/tty 2>/dev/null"))
    check("pci-serial has a driver", port)
    if port:
        machine.guest(f"stty -F /dev/{port.group()} raw -echo; exec 8<>/dev/{port.group()}; echo out of the guest > /dev/{port.group()}")
        check("pci-serial out", stream.readline() == "out of the guest\n")
        stream.write("into the guest\n")
        stream.flush()
        check("pci-serial in", "into the guest" in (text := machine.guest("read text <&8; echo $text")), text)
    base = at(panic)
    check("pvpanic: what it takes", word(base, 8) == 7)
    store(base, 2, 8)
    check("a crash kernel", machine.event("GUEST_CRASHLOADED") == {"action": "run"})
    store(base, 1, 8)
    check("a panic", machine.event("GUEST_PANICKED") == {"action": "run"})
    machine.do("set-action", panic="pause")
    machine.events = []
    machine.tty.sendall(f"devmem {base:#x} 8 1\n".encode())
    check("a panic that stops", machine.event("GUEST_PANICKED") == {"action": "pause"} and machine.do("query-status")["status"] == "guest-panicked")
    machine.do("system_reset")
except Exception as error:
    check("media", False, f"{type(error).__name__} {error}")
machine.end()
print(f"{sums[0]} passed, {sums[1]} failed")
