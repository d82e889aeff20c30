"""A guest that writes nonsense to every device, and resets, stops and questions of a monitor in between.
fuzz.py EMULATOR IMAGE SECONDS SEED CONFIGURATION; the image is registers.c's, what CONFIGURATION may be is in CONFIGURATIONS.
The emulator has to stay there, answer, and let the guest go on after each reset. Prints 'N passed, N failed'."""
import atexit, hashlib, json, os, random, selectors, socket, subprocess, sys, tempfile, time

emulator, image, seconds, seed, configuration = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
pick = random.Random(seed)
work = tempfile.mkdtemp()
share = f"{work}/shared"
os.mkdir(share)
canaries = [f"{work}/beside", f"{work}/shared.other"]
for path in canaries + [f"{share}/file"]:
    with open(path, "w") as file:
        file.write("untouched\n")
os.symlink("../beside", f"{share}/link")
disks = 0


def disk(kind="raw", **more):
    """Options for one more disk, and its name."""
    global disks
    disks += 1
    name, path = f"d{disks}", f"{work}/d{disks}"
    if kind == "qcow2":
        subprocess.run([emulator, "img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    else:
        open(path, "w").truncate(16 << 20)
    return ["-drive", f"if=none,id={name},file={path},format={kind}" + "".join(f",{key}={value}" for key, value in more.items())], name


def with_disk(device, kind="raw", **more):
    options, name = disk(kind, **more)
    return options + ["-device", f"{device},drive={name}"]


def storage():
    yield from with_disk("virtio-blk-pci")
    yield from with_disk("virtio-blk-pci,packed=on,num-queues=2", "qcow2", discard="unmap")
    yield from with_disk("virtio-blk-pci-transitional,iothread=io")
    yield from ["-device", "virtio-scsi-pci,id=scsi"]
    yield from with_disk("scsi-hd,bus=scsi.0", "qcow2")
    yield from with_disk("scsi-cd,bus=scsi.0")
    yield from ["-device", "virtio-scsi-pci-transitional,id=scsi2,iothread=io"]
    yield from with_disk("scsi-hd,bus=scsi2.0")
    yield from with_disk("nvme,serial=1")
    yield from with_disk("nvme,serial=2", "qcow2")
    yield from ["-device", "ich9-ahci,id=ahci"]
    yield from with_disk("ide-hd,bus=ahci.0", "qcow2")
    yield from with_disk("ide-cd,bus=ahci.1")
    yield from ["-device", "qemu-xhci,id=usb"]
    yield from with_disk("usb-storage,bus=usb.0")
    yield from ["-device", "pcie-root-port,id=rp1,chassis=1"]
    yield from with_disk("virtio-blk-pci,bus=rp1")


def others():
    yield from ["-netdev", "user,id=n1", "-device", "virtio-net-pci,netdev=n1", "-netdev", "user,id=n2", "-device", "e1000e,netdev=n2"]
    yield from ["-netdev", "user,id=n3", "-device", "virtio-net-pci-transitional,netdev=n3"]
    yield from ["-device", "qemu-xhci,id=usb", "-device", "usb-kbd,bus=usb.0", "-device", "usb-tablet,bus=usb.0", "-device", "nec-usb-xhci,id=nec", "-device", "usb-mouse,bus=nec.0"]
    yield from ["-device", "VGA", "-device", "bochs-display", "-device", "virtio-gpu-pci", "-device", "ramfb", "-vnc", f"unix:{work}/vnc"]
    yield from ["-device", "virtio-keyboard-pci", "-device", "virtio-mouse-pci", "-device", "virtio-tablet-pci"]
    yield from ["-chardev", f"file,id=c1,path={work}/c1", "-device", "pci-serial,chardev=c1", "-device", "virtio-serial-pci"]
    yield from ["-chardev", f"file,id=c2,path={work}/c2", "-device", "virtconsole,chardev=c2", "-chardev", f"file,id=c3,path={work}/c3", "-device", "virtserialport,chardev=c3,name=p"]
    yield from ["-device", "edu", "-device", "pvpanic-pci,events=3", "-device", "virtio-rng-pci", "-device", "virtio-rng-pci-transitional"]
    yield from ["-device", "virtio-balloon-pci,free-page-reporting=on", "-device", f"vhost-vsock-pci,guest-cid=3,uds-path={work}/vsock"]
    yield from ["-fsdev", f"local,id=f,path={share},security_model=mapped-xattr", "-device", "virtio-9p-pci,fsdev=f,mount_tag=t"]
    yield from ["-device", "pcie-root-port,id=rp1,chassis=1", "-device", "virtio-rng-pci,bus=rp1"]


def mapped():
    yield from with_disk("virtio-blk-device", "qcow2")
    yield from ["-device", "virtio-scsi-device,id=scsi"]
    yield from with_disk("scsi-hd,bus=scsi.0")
    yield from ["-netdev", "user,id=n4", "-device", "virtio-net-device,netdev=n4", "-device", "virtio-rng-device", "-device", "virtio-balloon-device"]
    yield from ["-device", "virtio-gpu-device", "-device", "virtio-serial-device", "-chardev", f"file,id=c4,path={work}/c4", "-device", "virtconsole,chardev=c4"]
    yield from ["-fsdev", f"local,id=f2,path={share},security_model=none", "-device", "virtio-9p-device,fsdev=f2,mount_tag=t"]
    yield from others()


CONFIGURATIONS = {"storage": storage, "others": others, "messages": lambda: list(storage()) + ["-machine", "aia=aplic-imsic,aia-guests=1"],
                  "messages-others": lambda: list(others()) + ["-machine", "aia=aplic-imsic"], "wires": lambda: list(storage()) + ["-machine", "aia=aplic"], "mapped": mapped}

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED  {configuration}, seed {seed}: {what}: {detail}", flush=True)


program = f"{work}/program"
with open(image, "rb") as file:
    data = file.read()
mark = data.index(b"APUSFUZZ")
with open(program, "wb") as file:
    file.write(data[:mark + 8] + seed.to_bytes(8, "little") + data[mark + 16:])
errors = open(f"{work}/errors", "w+b")
process = subprocess.Popen([emulator, "system", "-M", "virt", "-smp", "2", "-m", "64M", "-bios", program, "-display", "none", "-action", "panic=none,shutdown=pause,reboot=reset",
                            "-object", "iothread,id=io", "-qmp", f"unix:{work}/qmp,server=on,wait=off", "-serial", f"unix:{work}/tty,server=on,wait=off", *CONFIGURATIONS[configuration]()],
                           stdin=subprocess.DEVNULL, stderr=errors)
# Whatever happens here, no machine is left behind.
atexit.register(lambda: os.environ.get("KEEP") or process.kill())


def connect(name):
    for _ in range(600):
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(f"{work}/{name}")
            return stream
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    errors.seek(0)
    sys.exit(f"{configuration}: no machine (status {process.poll()}): {errors.read().decode(errors='replace')}")


qmp, tty = connect("qmp"), connect("tty")
tty.setblocking(False)
lines = qmp.makefile("rw")


class Gone(Exception):
    pass


def do(command, **arguments):
    qmp.settimeout(60)
    try:
        lines.write(json.dumps({"execute": command, "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}}) + "\n")
        lines.flush()
        while True:
            line = lines.readline()
            if not line:
                raise Gone(f"{command}: the monitor hung up")
            try:
                message = json.loads(line)
            except ValueError:
                raise Gone(f"{command}: answered {line!r}") from None
            if "event" not in message:
                return message.get("return", message.get("error"))
    except TimeoutError:
        raise Gone(f"{command}: no answer in a minute") from None
    except OSError as error:
        raise Gone(f"{command}: {error}") from None


def listen(limit):
    """What the guest says until it has said a line, or the time is over."""
    text, end = b"", time.monotonic() + limit
    while time.monotonic() < end and b"\n" not in text:
        try:
            data = tty.recv(65536)
        except BlockingIOError:
            time.sleep(0.02)
            continue
        if not data:
            break
        text += data
    return text


QUESTIONS = ["query-status", "query-pci", "query-block", "query-blockstats", "query-cpus-fast", "query-chardev", "query-named-block-nodes", "query-balloon", "query-mice", "query-vnc"]
SENTENCES = ["info usb", "info pci", "info network", "info mtree", "info qtree", "info registers -a", "info irq", "info blockstats"]
resets = most = 0
try:
    lines.readline()
    do("qmp_capabilities")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = listen(20)
        if not text and do("query-status").get("running"):
            # What devices write may have hit the program itself: after a reset it must be there again.
            do("stop")
            do("system_reset")
            do("cont")
            resets += 1
            text = listen(60)
            check("the guest goes on after a reset", text, "silence")
            if not text:
                break
        for word in text.split(b"\n"):
            if b" accesses" in word:
                # The console may have been hit as well.
                number = word.split(b" accesses")[0].split()[-1:]
                if number and number[0].isdigit():
                    most = max(most, int(number[0]))
        match pick.randrange(12):
            case 0: do("human-monitor-command", command_line=pick.choice(SENTENCES))
            case 1 | 2: do(pick.choice(QUESTIONS))
            case 3: do("stop")
            case 4 if pick.randrange(3) == 0:
                do("system_reset")
                resets += 1
            case 5: do("send-key", keys=[{"type": "qcode", "data": "a"}])
            case 6: do("balloon", value=32 << 20)
        if not do("query-status").get("running"):
            do("system_reset")
            do("cont")
            resets += 1
    do("stop")
    check("the guest has been at it", most > 10_000, f"{most} accesses")
    memory = int(next(line for line in open(f"/proc/{process.pid}/status") if line.startswith("VmRSS")).split()[1])
    check("memory stays bounded", memory < 900_000, f"{memory} KiB")
    do("quit")
    try:
        status = process.wait(60)
    except subprocess.TimeoutExpired:
        status = "still there"
    check("the machine ends when told to", status == 0, f"status {status}")
except Gone as gone:
    time.sleep(1)
    check("the monitor answers", False, f"{gone}; status {process.poll()}")
if os.environ.get("KEEP") and failed:
    print(f"process {process.pid}", flush=True)
else:
    process.kill()
errors.seek(0)
said = errors.read().decode(errors="replace")
check("nothing broke", not any(word in said for word in ("Fatal", "atal error", "Crash", "crash")), said[-2000:])
check("what is beside the shared folder", sorted(name for name in os.listdir(work) if "other" in name or "beside" in name) == ["beside", "shared.other"] and
      all(open(path).read() == "untouched\n" for path in canaries), os.listdir(work))
if not failed:
    subprocess.run(["rm", "-rf", work])
print(f"{configuration}, seed {seed}: {most} accesses between two resets at most, {resets} resets")
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
