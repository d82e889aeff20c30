"""Requests that fail: what werror and rerror make of them, on virtio-blk, SCSI and NVMe; with APUS_FULL=1 on AHCI and USB too.
failures.py EMULATOR-AND-OPTIONS… (its -bios, -kernel and -initrd; the guest evaluates lines of its console). Prints 'N passed, N failed'."""
import os, time

from machine import Machine, check, sums

DEVICES = {"virtio-blk": ["-device", "virtio-blk-pci,drive=d"], "scsi": ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=d"],
           "ahci": ["-device", "ich9-ahci,id=a", "-device", "ide-hd,drive=d,bus=a.0"], "usb": ["-device", "qemu-xhci", "-device", "usb-storage,drive=d"],
           "nvme": ["-device", "nvme,drive=d,serial=1"]}
NAMES = {"virtio-blk": "vda", "nvme": "nvme0n1"}
# 1,900,000 bytes, which no block of zeros makes.
WRITE = "seq 1000000 1237499 > /tmp/f; dd if=/tmp/f of=/dev/{disk} bs={size} oflag=direct conv=fsync 2>/dev/null; echo WROTE-$?"
WANTED = b"".join(b"%d\n" % n for n in range(1000000, 1237500))


def machine(kind, error, *drive, device=""):
    """A machine whose disk's first writes (or reads) fail with `error`, an event and an error number: so many of them, as a vCPU may hand
    what has failed on to a worker, which tries once more."""
    with open("failing.img", "wb") as file:
        file.truncate(8 << 20)
    event, number = error
    options = f"driver=raw,if=none,id=d,file.driver=blkdebug,file.image.driver=file,file.image.filename=failing.img," + ",".join(
        f"file.inject-error.{rule}.event={event},file.inject-error.{rule}.errno={number},file.inject-error.{rule}.once=on" for rule in range(8))
    words = list(DEVICES[kind])
    words[-1] += device
    return Machine("-drive", ",".join([options, *drive]), *words)


def written():
    with open("failing.img", "rb") as file:
        return file.read(len(WANTED)) == WANTED


def patiently(vm, pattern, seconds=60):
    """Lets the machine go on as often as it stops, until the guest has printed the pattern."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if vm.do("query-status").get("status") == "io-error":
            check("it goes on", vm.do("cont") == {})
        try:
            return vm.until(pattern, .2)
        except TimeoutError:
            pass
    raise TimeoutError(f"{pattern} after {vm.text[-200:]!r}")


def waits(kind, size):
    """No space is left for a write: the machine stops, goes on, and nothing is lost."""
    vm = machine(kind, ("write", 28))
    vm.until("GUEST-READY")
    vm.tty.sendall(WRITE.format(disk=NAMES.get(kind, "sda"), size=size).encode() + b"\n")
    told = vm.event("BLOCK_IO_ERROR") or {}
    vm.event("STOP")
    check(f"{kind} {size}: the event", (told.get("action"), told.get("operation"), told.get("nospace"), told.get("device")) == ("stop", "write", True, "d"), told)
    check(f"{kind} {size}: the state", vm.do("query-status").get("status") == "io-error", vm.do("query-status"))
    check(f"{kind} {size}: the guest sees nothing", "WROTE-0" in patiently(vm, "GUEST-DONE"))
    vm.end()
    check(f"{kind} {size}: nothing is lost", written())


def told(policy, expected, action):
    vm = machine("virtio-blk", ("write", 28), f"werror={policy}")
    vm.until("GUEST-READY")
    text = vm.guest(WRITE.format(disk="vda", size="4k"))
    check(f"werror={policy}: the guest", expected in text, text)
    check(f"werror={policy}: the event", (vm.event("BLOCK_IO_ERROR") or {}).get("action") == action)
    check(f"werror={policy}: it runs on", vm.do("query-status").get("status") == "running")
    vm.end()


def reading():
    """The device's property goes before the drive's."""
    vm = machine("virtio-blk", ("read", 5), "rerror=report", device=",rerror=stop")
    vm.event("STOP")
    check("rerror=stop", vm.do("query-status").get("status") == "io-error")
    patiently(vm, "GUEST-READY")
    vm.tty.sendall(b"dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null; echo READ-$?\n")
    check("rerror=stop: the guest reads", "READ-0" in patiently(vm, "GUEST-DONE"))
    vm.end()


def stopped():
    """A machine that has stopped can be reset, and ended."""
    vm = machine("virtio-blk", ("write", 28))
    vm.until("GUEST-READY")
    vm.tty.sendall(WRITE.format(disk="vda", size="64k").encode() + b"\n")
    vm.event("STOP")
    check("a reset", vm.do("system_reset") == {} and vm.do("cont") == {})
    patiently(vm, "GUEST-READY")
    vm.tty.sendall(WRITE.format(disk="vda", size="64k").encode() + b"\n")
    check("after the reset", "WROTE-0" in patiently(vm, "GUEST-DONE") and written())
    vm.end()
    vm = machine("scsi", ("write", 28))
    vm.until("GUEST-READY")
    vm.tty.sendall(WRITE.format(disk="sda", size="64k").encode() + b"\n")
    vm.event("STOP")
    vm.do("quit")
    check("quit", vm.process.wait(20) == 0)


kinds = DEVICES if "APUS_FULL" in os.environ else ["virtio-blk", "scsi", "nvme"]
scenes = [(waits, kind, size) for kind in kinds for size in (["4k", "1M"] if kind == "virtio-blk" else ["64k"])]
scenes += [(told, "report", "WROTE-1", "report"), (told, "ignore", "WROTE-0", "ignore"), (reading,), (stopped,)]
for scene, *words in scenes:
    try:
        scene(*words)
    except Exception as error:
        check(f"{scene.__name__} {words}", False, f"{type(error).__name__} {error}")
os.remove("failing.img")
print(f"{sums[0]} passed, {sums[1]} failed")
