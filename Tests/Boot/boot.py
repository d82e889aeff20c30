"""Scenes of run.sh: machines that boot, as seen on their serial ports. Prints a line for each failure, then the sums.
boot.py APUS KIT FOLDER [--full] [NAME…]"""
import collections, os, re, select, shutil, signal, struct, subprocess, sys, time, zlib

apus, kit, folder = sys.argv[1:4]
full = "--full" in sys.argv
wanted = [name for name in sys.argv[4:] if name != "--full"]
firmware = kit + "/firmware/usr"
opensbi = firmware + "/lib/riscv64-linux-gnu/opensbi/generic"
uboot, efi = firmware + "/lib/u-boot", firmware + "/share/qemu-efi-riscv64"
netboot = kit + "/netboot/riscv64/riscv64/text"
kernel, initrd = kit + "/kernel/riscv64/vmlinuz", folder + "/initrd.gz"
passed = failed = 0
ENTER, ESCAPE = "\r", "\x1b"
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good: print(f"FAILED  {what}: {detail}", flush=True)


class Missing(Exception): pass


class Machine:
    """A machine and its serial port."""
    def __init__(self, *options, machine="virt", memory="512M", command=(apus, "system")):
        words = [*command, "-M", machine, "-m", memory, "-display", "none", "-serial", "stdio", "-monitor", "none", *options]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text = self.seen = ""

    def __enter__(self): return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def until(self, pattern, seconds=60):
        """What comes before the pattern. Escape sequences are dropped."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data: raise Missing(f"no {pattern!r}{'' if ready else f' in {seconds} s'} after {self.seen!r}")
            self.text = ESCAPES.sub("", self.text + data.decode(errors="replace"))
            self.seen = self.text[-400:]
        before, self.text = self.text[:found.start()], self.text[found.end():]
        return before + found.group()

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def ends(self, seconds=20):
        """The exit status, after what it still prints."""
        try:
            self.until(r"(?!)", seconds)
        except Missing: pass
        return self.process.wait(seconds)


def flash(name):
    """The options of EDK2, whose variables are a fresh copy. It wants an OpenSBI of its own time."""
    variables = f"{folder}/{name}.vars"
    shutil.copy(efi + "/RISCV_VIRT_VARS.fd", variables)
    return ["-bios", opensbi + "/fw_dynamic.bin", "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={efi}/RISCV_VIRT_CODE.fd", "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]


def linux(machine, line, seconds=60):
    """A kernel with this test's initial RAM disk is up, and goes down."""
    text = machine.until(r"LINE [^\r\n]*\r", seconds)
    check(f"{line}: the command line", line in text.split("LINE ")[-1], text[-200:])
    return text


def copy(image, *files):
    """FROM=TO into an image that is a FAT file system."""
    folders = set()
    for file in files:
        source, target = file
        parts = target.split("/")[1:-1]
        for count in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:count])
            if path not in folders: subprocess.run(["mmd", "-D", "s", "-i", image, "::" + path], check=False, capture_output=True)
            folders.add(path)
        subprocess.run(["mcopy", "-Q", "-o", "-i", image, source, "::" + target], check=True)


def fat(name, megabytes, *files):
    image = f"{folder}/{name}"
    with open(image, "wb") as file: file.truncate(megabytes << 20)
    subprocess.run(["mformat", "-i", image, "-F", "-T", str(megabytes << 11), "-h", "64", "-s", "32", "::"], check=True)
    copy(image, *files)
    return image


def write(name, text):
    path = f"{folder}/{name}"
    with open(path, "wb") as file: file.write(text if isinstance(text, bytes) else text.encode())
    return path


GRUB = (firmware + "/lib/grub/riscv64-efi/monolithic/grubriscv64.efi", "/EFI/BOOT/BOOTRISCV64.EFI")


def grub_disk(name):
    """A disk from which UEFI starts GRUB, which starts the kernel."""
    config = write("grub.cfg", f"set timeout=1\nmenuentry 'Apus boots' {{\n linux /vmlinuz console=ttyS0 quiet from={name}\n initrd /initrd.gz\n}}\n")
    return fat(name + ".img", 96, GRUB, (config, "/EFI/debian/grub.cfg"), (kernel, "/vmlinuz"), (initrd, "/initrd.gz"))


def disk(image, kind):
    drive = ["-drive", f"file={image},if=none,id=d,format=raw"]
    return drive + {"virtio-blk": ["-device", "virtio-blk-pci,drive=d"], "virtio-mmio": ["-device", "virtio-blk-device,drive=d"],
                    "virtio-scsi": ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=d"], "nvme": ["-device", "nvme,drive=d,serial=1"],
                    "ahci": ["-device", "ich9-ahci,id=a", "-device", "ide-hd,drive=d,bus=a.0"], "usb": ["-device", "qemu-xhci", "-device", "usb-storage,drive=d"]}[kind]


def uefi():
    """EDK2 to its shell, and GRUB from disks of all kinds."""
    with Machine(*flash("shell")) as machine:
        machine.until(r"Press ESC in \d seconds", 60)
        machine.type(ESCAPE)
        machine.until("Shell> ", 20)
        machine.type("ver\r")
        check("the UEFI shell", "UEFI" in machine.until("Shell> ", 20))
        machine.type("reset -s\r")
        check("the UEFI shell switches off", machine.ends() == 0)
    kinds = ["virtio-blk", "virtio-mmio", "virtio-scsi", "nvme", "ahci", "usb"]
    for kind in kinds if full else ["nvme", "usb"]:
        image = grub_disk(kind)
        with Machine(*flash(kind), *disk(image, kind), "-smp", "2") as machine:
            machine.until("Apus boots", 90)
            text = linux(machine, f"from={kind}", 90)
            check(f"GRUB from {kind}: EFI", "FIRMWARE EFI" in text, text[-300:])
            check(f"GRUB from {kind}: end", machine.ends() == 0)
        os.remove(image)


def installer():
    """Debian's installer, started by GRUB: its first menus, driven by keys."""
    folder = "/debian-installer/riscv64/"
    image = fat("installer.img", 160, GRUB, (netboot + folder + "grub/grub.cfg", "/EFI/debian/grub.cfg"), *((netboot + folder + name, folder + name) for name in ("linux", "initrd.gz")))
    with Machine(*flash("installer"), *disk(image, "virtio-blk"), memory="1G") as machine:
        machine.until("Advanced options", 90)
        menus(machine)
    os.remove(image)


def menus(machine):
    machine.type(ENTER)
    machine.until("Choose the language", 180)
    machine.until("<Tab> moves", 20)
    machine.type(ENTER)
    machine.until("United States", 30)
    check("the installer's second menu", True)


def network():
    """The same from the network: PXE of EDK2, GRUB and the kernel by TFTP."""
    with Machine(*flash("network"), "-netdev", f"user,id=n,tftp={netboot},bootfile=debian-installer/riscv64/bootnetriscv64.efi", "-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci", memory="1G") as machine:
        machine.until("Advanced options", 120)
        menus(machine)


def u_boot():
    """U-Boot behind OpenSBI starts GRUB of a disk, and a kernel by extlinux.conf; in M-mode it starts OpenSBI."""
    image = grub_disk("u-boot")
    with Machine("-bios", opensbi + "/fw_dynamic.bin", "-kernel", uboot + "/qemu-riscv64_smode/u-boot.bin", *disk(image, "virtio-blk"), "-smp", "2") as machine:
        machine.until("Hit any key", 30)
        linux(machine, "from=u-boot", 90)
        check("U-Boot and GRUB: end", machine.ends() == 0)
    config = write("extlinux.conf", "default l\nlabel l\n kernel /vmlinuz\n initrd /initrd.gz\n append console=ttyS0 quiet from=extlinux\n")
    image = fat("extlinux.img", 96, (config, "/extlinux/extlinux.conf"), (kernel, "/vmlinuz"), (initrd, "/initrd.gz"))
    with Machine("-bios", opensbi + "/fw_dynamic.bin", "-kernel", uboot + "/qemu-riscv64_smode/u-boot.bin", *disk(image, "nvme")) as machine:
        machine.until("Hit any key", 30)
        linux(machine, "from=extlinux", 90)
        check("U-Boot and extlinux: end", machine.ends() == 0)
    # A legacy image of OpenSBI, which goes on at 0x80200000: U-Boot in M-mode has moved itself to the end of memory, and has its device tree where it cannot grow.
    with open(opensbi + "/fw_jump.bin", "rb") as file: data = file.read()
    def head(sum): return struct.pack(">7I4B32s", 0x27051956, sum, 0, len(data), 0x80000000, 0x80000000, zlib.crc32(data), 5, 26, 2, 0, b"OpenSBI")
    copy(image, (write("opensbi.img", head(zlib.crc32(head(0))) + data), "/opensbi.img"), (kernel, "/Image"))
    with open(kernel, "rb") as file: sum, size = zlib.crc32(file.read()), os.path.getsize(kernel)
    with Machine("-bios", uboot + "/qemu-riscv64/u-boot.bin", *disk(image, "virtio-blk")) as machine:
        machine.until("Hit any key", 30)
        machine.type(" ")
        for line, answer in [("virtio scan", "=> "), ("load virtio 0 0x80200000 /Image", f"{size} bytes read"), (f"crc32 0x80200000 {size:x}", f"{sum:08x}"),
                             ("load virtio 0 0x88000000 /opensbi.img", "bytes read"), ("load virtio 0 0x8a000000 /initrd.gz", "bytes read"),
                             ("fdt move ${fdtcontroladdr} 0x8f000000 0x10000", "=> "), ("setenv bootargs console=ttyS0 quiet from=m-mode", "=> ")]:
            machine.until("=> ", 20)
            machine.type(line + "\n")
            machine.until(re.escape(line[-20:]))
            machine.until(answer, 30)
            if answer == "=> ": machine.type("\n")
        machine.until("=> ", 20)
        machine.type("bootm 0x88000000 0x8a000000:${filesize} 0x8f000000\n")
        machine.until("OpenSBI v", 20)
        linux(machine, "from=m-mode", 60)
        check("U-Boot in M-mode: end", machine.ends() == 0)
    os.remove(image)


def kernels():
    """One to eight harts, and every width of addresses."""
    log = f"{folder}/blocks"
    for harts, cpu, mode in [(1, "rv64,sv48=off", "sv39"), (8, "rv64,sv57=off", "sv48"), (2, "rv64", "sv57"), (4, "rva23s64", "sv39")]:
        with Machine("-bios", opensbi + "/fw_dynamic.bin", "-kernel", kernel, "-initrd", initrd, "-smp", str(harts), "-cpu", cpu, "-append", f"console=ttyS0 quiet mode={mode}",
                     *(["-d", "in_asm", "-D", log] if harts == 1 else []), memory="256M") as machine:
            text = linux(machine, f"mode={mode}")
            check(f"{harts} harts of {cpu}", f"HARTS {harts}\r" in text and f"MODE {mode}\r" in text, text[-200:])
            check(f"{harts} harts: end", machine.ends() == 0)
    # What cannot be translated is tried again each time that it is executed: no code of a kernel is such.
    with open(log) as file: blocks = collections.Counter(line for line in file if line.startswith("IN:"))
    often = [f"{number} times {block.strip()}" for block, number in blocks.most_common(3)]
    check("blocks are translated once", len(blocks) > 10000 and blocks.most_common(1)[0][1] < 50, often)


def killed():
    """A machine that is killed while it writes: what was synced is there, and the file system has nothing to mend but its journal."""
    for form in ["raw", "qcow2"]:
        image = f"{folder}/killed.{form}"
        subprocess.run([apus, "img", "create", "-q", "-f", form, image, "256M"], check=True)
        plain = write("killed.ext4", b"")
        with open(plain, "wb") as file: file.truncate(256 << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", plain], check=True)
        subprocess.run([apus, "img", "convert", "-n", "-O", form, plain, image], check=True)
        for turn in range(5 if full else 2):
            with Machine("-bios", opensbi + "/fw_dynamic.bin", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet work=files", "-drive", f"file={image},if=none,id=d,format={form}",
                         "-device", "virtio-blk-pci,drive=d", memory="256M") as machine:
                sum = machine.until(r"SYNCED [0-9a-f]{64}", 60)[-64:]
                time.sleep(1 + turn * 0.7)
                machine.process.send_signal(signal.SIGKILL)
            clean = subprocess.run([apus, "img", "check", "-q", "-f", form, image], capture_output=True, text=True) if form == "qcow2" else None
            check(f"{form}: the image", not clean or clean.returncode in (0, 3), clean and clean.stdout)
            subprocess.run([apus, "img", "convert", "-f", form, "-O", "raw", image, plain], check=True)
            journal = subprocess.run(["e2fsck", "-p", plain], capture_output=True, text=True)
            check(f"{form}: the journal is enough", journal.returncode in (0, 1) and "UNEXPECTED" not in journal.stdout, journal.stdout)
            forced = subprocess.run(["e2fsck", "-fn", plain], capture_output=True, text=True)
            check(f"{form}: fsck is clean", forced.returncode == 0, forced.stdout)
            for number in "18":
                subprocess.run(["debugfs", "-R", f"dump /{number} {folder}/dumped", plain], capture_output=True)
                told = subprocess.run(["sha256sum", f"{folder}/dumped"], capture_output=True, text=True).stdout[:64]
                check(f"{form}: what was synced", told == sum, f"{number}: {told}")


def narrow():
    """OpenSBI and a supervisor on riscv32."""
    program, source = f"{folder}/payload32", os.path.dirname(os.path.abspath(__file__)) + "/payload32.S"
    subprocess.run(["riscv64-linux-gnu-gcc", "-march=rv32ima_zicsr", "-mabi=ilp32", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-Wl,-melf32lriscv,-Ttext=0x80400000,--build-id=none,--no-warn-rwx-segments",
                    source, "-o", program], check=True)
    subprocess.run(["riscv64-linux-gnu-objcopy", "-O", "binary", program, program + ".bin"], check=True)
    command = f"{folder}/apus-system-riscv32"
    os.path.lexists(command) or os.symlink(apus, command)
    for harts in ["1", "2"]:
        with Machine("-bios", firmware + "/lib/riscv32-linux-gnu/opensbi/generic/fw_dynamic.bin", "-kernel", program + ".bin", "-smp", harts, command=[command]) as machine:
            check("OpenSBI of 32 bits", "rv32ima" in machine.until("PAYLOAD of 32 bits", 30))
            machine.until("SV32 is on", 10)
            machine.until("TIMER interrupts", 10)
            check("riscv32: end", machine.ends() == 0)


scenes = [kernels, narrow, killed, u_boot, uefi, installer, network]
if unknown := set(wanted) - {scene.__name__ for scene in scenes}: sys.exit(f"boot.py: no scene {', '.join(unknown)}")
for scene in scenes:
    if scene.__name__ not in wanted if wanted else scene in (installer, network) and not full: continue
    began = time.monotonic()
    try:
        scene()
    except (Missing, subprocess.SubprocessError) as error: check(scene.__name__, False, error)
    print(f"{scene.__name__}: {time.monotonic() - began:.0f} s", flush=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
