#!/usr/bin/env python3
"""usb.py APUS QEMU FIRMWARE KERNEL INITRD WORK   USB of machines with Debian's kernel: what devices say of themselves beside
QEMU 10's, disks, keys and pointers, devices that come and go. Prints FAILED lines and 'N passed, N failed'."""
import hashlib, json, os, re, socket, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Display"))
import rfb

apus, qemu, firmware, kernel, initrd, work = sys.argv[1:7]
passed = failed = 0


def check(good, what, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED  {what} {detail}"[:1500], flush=True)
    return good


class Machine:
    """A guest with its console and a QMP connection."""
    def __init__(self, program, *options, memory="256M"):
        self.path = os.path.join(work, f"qmp{time.monotonic_ns()}")
        command = [program, "-M", "virt", "-m", memory, "-display", "none", "-bios", firmware, "-kernel", kernel, "-initrd", initrd,
                   "-append", "console=ttyS0 loglevel=4", "-serial", "stdio", "-qmp", f"unix:{self.path},server=on,wait=off", *options]
        if program == apus:
            command.insert(1, "system")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text, self.news = "", threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.events, self.buffer = [], b""
        self.wait("GUEST-READY", 150)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.path)
        self.socket.settimeout(30)
        self.message()
        self.ask("qmp_capabilities")

    def read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.news:
                self.text += data.decode(errors="replace").replace("\r", "")
                self.news.notify_all()
        with self.news:
            self.text += "\nENDED\n"
            self.news.notify_all()

    def wait(self, pattern, seconds=60, start=0):
        """Waits for text on the console from `start` on."""
        end = time.monotonic() + seconds
        with self.news:
            while not (found := re.compile(pattern, re.M).search(self.text, start)):
                left = end - time.monotonic()
                if left <= 0 or "\nENDED" in self.text:
                    raise TimeoutError(f"no '{pattern}' in {self.text[-1200:]!r}")
                self.news.wait(left)
            return found

    def run(self, line, seconds=120):
        """Has the guest do a line. Returns what it prints."""
        start = len(self.text)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        end = self.wait("^GUEST-DONE", seconds, start).start()
        return self.text[start:end]

    def message(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.message()
            if "event" in answer:
                self.events.append(answer)
            else:
                return answer.get("return", answer.get("error"))

    def human(self, line):
        return self.ask("human-monitor-command", **{"command-line": line}).replace("\r", "")

    def event(self, name, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            self.ask("query-status")
            time.sleep(0.05)

    def complaints(self):
        return re.findall(r"^.*(?:WARNING:|BUG:|Call Trace|Oops|xhci.*(?:ERROR|WARN)|I/O error|rcu.*stall).*$", self.run("dmesg"), re.M)

    def end(self):
        self.ask("quit")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.process.returncode


def image(name, size=32 << 20):
    path = os.path.join(work, name)
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def drive(path, name, more=""):
    return ["-drive", f"file={path},if=none,id={name},format=raw{more}"]


def told(machine):
    lines = sorted(set(re.findall(r"^USB (.*)$", machine.run("sleep 1; devices"), re.M)))
    # Bus numbers depend on nothing that a machine promises; configuration strings are left out.
    return [re.sub(r"^\d+-", "", line) for line in lines]


def settle(machine, disk="/dev/sda"):
    machine.run(f"await {disk}")


def beside():
    options = ["-device", "qemu-xhci,id=xhci", "-device", "usb-kbd,id=keys", "-device", "usb-tablet,bus=xhci.0,port=3", "-device", "usb-mouse",
               "-device", "usb-storage,drive=d,id=stick,bus=xhci.0,port=4", *drive(image("beside.img"), "d")]
    answers = {}
    for program in (apus, qemu):
        machine = Machine(program, *options)
        settle(machine)
        answers[program] = {
            "devices": told(machine), "info usb": sorted(re.sub(r"Device \d+\.\d+", "Device", line) for line in machine.human("info usb").splitlines()),
            "addresses": sorted(re.findall(r"Device \d+\.(\d+)", machine.human("info usb"))),
            # Without what the kernel says of the disk meanwhile.
            "disk": re.findall(r"^[^\[\n].*", machine.run("cat /sys/block/sda/device/vendor /sys/block/sda/device/model /sys/block/sda/size /sys/block/sda/ro"), re.M),
            "inputs": sorted(re.findall(r"^Name.*|^[BH].*", machine.run("cat /proc/bus/input/devices | grep -E '^N|^B: (EV|KEY|REL|ABS|LED)'"), re.M)),
            "pci": machine.run("cat /sys/bus/pci/devices/0000:00:01.0/class /sys/bus/pci/devices/0000:00:01.0/vendor /sys/bus/pci/devices/0000:00:01.0/device /sys/bus/pci/devices/0000:00:01.0/revision").split(),
        }
        check(machine.complaints() == [], f"{program}: the kernel complains", str(machine.complaints()))
        check(machine.end() == 0, f"{program}: ends well")
    for name in answers[apus]:
        check(answers[apus][name] == answers[qemu][name], f"{name} as QEMU has it:", f"\n  {answers[apus][name]}\n  {answers[qemu][name]}")
    check(len(answers[apus]["devices"]) == 4, "four devices", str(answers[apus]["devices"]))


def disks():
    controllers = [("480", "qemu-xhci,p3=0"), ("5000", "qemu-xhci,msi=off,msix=off")]
    if os.environ.get("APUS_FULL"):
        controllers += [("5000", "qemu-xhci"), ("5000", "nec-usb-xhci,msix=off")]
    for speed, controller in controllers:
        path = image("disk.img")
        machine = Machine(apus, "-smp", "2", "-device", controller, "-device", "usb-storage,drive=d,serial=STICK1", *drive(path, "d"))
        settle(machine)
        result = machine.run("cat /sys/bus/usb/devices/*-1/speed; check /dev/sda; files /dev/sda; cat /proc/interrupts | grep xhci | head -1", 240)
        check(f"{speed}\n" in result, f"{controller}: speed", result)
        for what in ("data", "neighbours", "files"):
            if what != "neighbours":
                check(f"RESULT /dev/sda {what}" in result, f"{controller}: {what}", result)
        check("STICK1" in machine.run("cat /sys/bus/usb/devices/*-1/serial"), f"{controller}: serial")
        # A program runs from a file system on the disk.
        rooted = machine.run("mount -t ext4 /dev/sda /mnt && mkdir -p /mnt/bin && cp /bin/busybox /mnt/bin/busybox && sync && echo 3 > /proc/sys/vm/drop_caches; chroot /mnt /bin/busybox echo ROOT-ON-USB; umount /mnt")
        check("ROOT-ON-USB" in rooted, f"{controller}: a program from the disk", rooted)
        check(machine.complaints() == [], f"{controller}: the kernel complains", str(machine.complaints()))
        check(machine.end() == 0, f"{controller}: ends well")
        # The host finds what the guest wrote.
        sum_ = re.search(r"^SUM (\w+)", result, re.M)
        with open(path, "rb") as file:
            file.seek(8 << 20)
            found = hashlib.sha256(file.read(4 << 20)).hexdigest()
        check(sum_ and (sum_[1] == found or "files" in result), f"{controller}: on the host")
    machine = Machine(apus, "-device", "qemu-xhci", "-device", "usb-storage,drive=d", *drive(image("ro.img"), "d", ",readonly=on"))
    settle(machine)
    check("\n1\n" in "\n" + machine.run("cat /sys/block/sda/ro"), "a read-only disk")
    machine.end()


def input_():
    machine = Machine(apus, "-device", "qemu-xhci", "-device", "usb-kbd", "-device", "usb-tablet", "-device", "bochs-display", "-vnc", f"unix:{work}/vnc")
    machine.run("sleep 1; listen Keyboard; listen Tablet")
    time.sleep(1)

    def events(*kinds):
        """Type, code and value of what the guest's devices have said."""
        lines = [bytes.fromhex(line) for line in re.findall(r"^((?: [0-9a-f]{2}){24})$", machine.text, re.M)]
        return [event for event in (struct.unpack("<16xHHi", line) for line in lines) if event[0] in kinds]
    machine.ask("send-key", keys=[{"type": "qcode", "data": "shift"}, {"type": "qcode", "data": "a"}])
    machine.ask("send-key", keys=[{"type": "qcode", "data": "f12"}])
    time.sleep(2)
    wanted = [(42, 1), (30, 1), (30, 0), (42, 0), (88, 1), (88, 0)]
    keys = [event[1:] for event in events(1)]
    check(sorted(keys) == sorted(wanted), "keys of send-key", str(keys))
    screen = rfb.Client(f"{work}/vnc")
    width, height = screen.width, screen.height
    for mask in (0, 1, 0):
        screen.pointer(mask, width // 2, height // 4)
        time.sleep(0.2)
    screen.key(ord("b"))
    time.sleep(2)
    moves = events(1, 3)
    near = lambda axis, wanted: any(move[:2] == (3, axis) and abs(move[2] - wanted) < 100 for move in moves)
    check(near(0, 0x7fff // 2) and near(1, 0x7fff // 4), "the tablet's place", str(moves))
    check(moves.count((1, 48, 1)) == 1 and moves.count((1, 48, 0)) == 1, "a key over VNC", str(moves))
    check(moves.count((1, 0x110, 1)) == 1 and moves.count((1, 0x110, 0)) == 1, "the tablet's button", str(moves))
    # Caps Lock lights a light, which the guest sets by a report.
    machine.ask("send-key", keys=[{"type": "qcode", "data": "caps_lock"}])
    time.sleep(1)
    check(machine.complaints() == [], "the kernel complains", str(machine.complaints()))
    machine.end()


def plugging():
    paths = [image(f"plug{number}.img") for number in range(2)]
    machine = Machine(apus, "-smp", "2", "-device", "qemu-xhci,id=xhci", "-device", "usb-kbd,id=keys,bus=xhci.0,port=1",
                      *drive(paths[0], "first"))
    for round_ in range(6 if os.environ.get("APUS_FULL") else 4):
        # Super speed, then a port by its number.
        name, device = ("/dev/sda", {"driver": "usb-storage", "id": "stick", "drive": "first", "bus": "xhci.0"})
        if round_ % 2:
            device["port"] = "3"
        if not round_:
            answer = machine.ask("device_add", **device)
        else:
            node = machine.ask("blockdev-add", **{"driver": "raw", "node-name": f"node{round_}", "file": {"driver": "file", "filename": paths[1]}})
            check(node == {}, "blockdev-add", str(node))
            device["drive"] = f"node{round_}"
            answer = machine.ask("device_add", **device)
        check(answer == {}, "device_add", str(answer))
        check("\nTHERE" in "\n" + machine.run(f"await {name}"), "the disk is there")
        if round_ == 0:
            check("already in use" in str(machine.ask("device_add", driver="usb-storage", drive="first")), "a disk once only")
            check("not found (in use?)" in str(machine.ask("device_add", driver="usb-mouse", bus="xhci.0", port="1")), "a port once only")
            check("ID: stick" in machine.human("info usb") and "ID: stick" in machine.ask("x-query-usb")["human-readable-text"], "info usb")
            check(any("/stick" in entry.get("qdev", "") for entry in machine.ask("query-block")), "query-block has it")
        check("RESULT /dev/sda data" in machine.run(f"check {name}", 240), "data on a plugged disk")
        if round_ == 3:
            machine.run(f"dd if={name} of=/dev/null bs=64k iflag=direct 2> /dev/null & (while true; do dd if={name} of=/dev/null bs=4k iflag=direct 2> /dev/null || break; done) &")
            time.sleep(0.3)
        answer = machine.ask("device_del", id="stick")
        check(answer == {}, "device_del", str(answer))
        check(machine.event("DEVICE_DELETED") is not None, "DEVICE_DELETED")
        check("NOT-THERE" in machine.run(f"await {name} gone"), "the disk is gone")
        if round_ != 3:
            check(machine.complaints() == [], "the kernel complains", str(machine.complaints()))
        machine.run("dmesg -c > /dev/null")
    check(machine.ask("device_add", driver="usb-tablet", id="pen") == {}, "a tablet comes")
    time.sleep(2)
    check("QEMU USB Tablet" in machine.run("cat /proc/bus/input/devices"), "the guest has it")
    check(machine.ask("device_del", id="pen") == {} and machine.ask("device_del", id="keys") == {}, "input devices go")
    time.sleep(1)
    check("QEMU" not in machine.run("cat /proc/bus/input/devices"), "the guest has neither")
    check(machine.human("info usb") == "", "an empty bus", machine.human("info usb"))
    # A reset, with a device there.
    machine.ask("device_add", driver="usb-storage", id="stick", drive=f"node{round_}", bus="xhci.0")
    machine.run("await /dev/sda")
    start = len(machine.text)
    machine.ask("system_reset")
    machine.wait("GUEST-READY", 150, start)
    check("\nTHERE" in "\n" + machine.run("await /dev/sda"), "the disk after a reset")
    check(machine.complaints() == [], "the kernel complains", str(machine.complaints()))
    # The driver is taken off and put back.
    result = machine.run("cd /sys/bus/pci/drivers/xhci_hcd; echo 0000:00:01.0 > unbind; echo 0000:00:01.0 > bind; cd /; await /dev/sda; dd if=/dev/sda of=/dev/null bs=1M count=4 2>&1 | tail -1", 60)
    check("\nTHERE" in "\n" + result or "THERE /dev/sda" in result, "the driver again", result)
    check(machine.complaints() == [], "the kernel complains", str(machine.complaints()))
    check(machine.end() == 0, "ends well")


def refusals():
    for text, *options in (("there is no bus of kind 'usb-bus'", "-device", "usb-kbd"), ("usb port 9", "-device", "qemu-xhci", "-device", "usb-kbd,port=9"),
                           ("usb port 1 ", "-device", "qemu-xhci", "-device", "usb-kbd,port=1", "-device", "usb-kbd,port=1"), ("'drive' is required", "-device", "qemu-xhci", "-device", "usb-storage"),
                           ("p2", "-device", "qemu-xhci,p2=16"), ("no free port", "-device", "qemu-xhci,p2=1,p3=0", "-device", "usb-kbd", "-device", "usb-kbd"),
                           ("-usbdevice", "-usbdevice", "kbd"), ("too slow or too fast", "-device", "qemu-xhci,p2=1,p3=2", "-device", "usb-kbd,port=2")):
        result = subprocess.run([apus, "system", "-M", "virt", "-display", "none", "-serial", "none", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        said = result.stdout + result.stderr
        check(result.returncode in (1, 2) and text in said and said.count("\n") == 1, " ".join(options), said)


only = os.environ.get("ONLY", "").split()
for scene in (refusals, beside, disks, input_, plugging):
    if only and scene.__name__ not in only:
        continue
    began = time.monotonic()
    try:
        scene()
    except (TimeoutError, OSError, EOFError, AttributeError, TypeError) as error:
        check(False, f"{scene.__name__}: {type(error).__name__}: {error}")
    print(f"{scene.__name__}: {time.monotonic() - began:.0f} s", flush=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
