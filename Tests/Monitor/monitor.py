"""The monitor of a machine, by the client that QEMU's own tests use (qemu.qmp). Prints one line for each failure and
'N passed, N failed' at the end.   monitor.py APUS FIRMWARE KERNEL INITRD FOLDER [REFERENCE]"""
import asyncio, contextlib, json, os, re, shutil, signal, subprocess, time
from qemu.qmp import QMPClient
from client import Console, Machine, apus, check, efi, firmware, folder, initrd, kernel, reference, sums


async def test_states():
    async with Machine("-S", "-name", "guest=one", "-uuid", "12345678-1234-1234-1234-123456789abc", guest=False) as machine:
        check("prelaunch", await machine.do("query-status") == {"status": "prelaunch", "running": False}, await machine.do("query-status"))
        check("name", await machine.do("query-name") == {"name": "one"})
        check("uuid", (await machine.do("query-uuid"))["UUID"].startswith("12345678-"))
        version = await machine.do("query-version")
        check("version", version["qemu"] == {"major": 10, "minor": 0, "micro": 0} and version["package"] == "Apus", version)
        await machine.do("cont")
        check("RESUME", (await machine.event("RESUME"))["event"] == "RESUME")
        await machine.do("stop")
        await machine.event("STOP")
        check("paused", (await machine.do("query-status"))["status"] == "paused")
        await machine.do("system_reset")
        event = await machine.event("RESET")
        check("RESET", event["data"] == {"guest": False, "reason": "host-qmp-system-reset"}, event)
        check("prelaunch after a reset", (await machine.do("query-status"))["status"] == "prelaunch")
        await machine.do("system_powerdown")
        await machine.event("POWERDOWN")
        cpus = await machine.do("query-cpus-fast")
        check("cpus", len(cpus) == 1 and cpus[0]["target"] == "riscv64" and os.path.exists(f"/proc/{machine.process.pid}/task/{cpus[0]['thread-id']}"), cpus)
        for name, text in [("query-kvm", "enabled"), ("query-target", "riscv64"), ("query-machines", "virt"), ("query-memory-size-summary", "base-memory"),
                           ("query-cpu-definitions", "rv64"), ("query-chardev", "compat_monitor0"), ("query-pci", "gpex-root"), ("query-block", "["),
                           ("query-commands", "device_add")]:
            check(name, text in json.dumps(await machine.do(name)), name)
        await machine.refuses("hotpluggable cpus", "", "query-hotpluggable-cpus")
        await machine.refuses("nmi", "NMI", "inject-nmi")
        await machine.refuses("no balloon", "balloon", "query-balloon")
        await machine.refuses("no such driver", "'nonsense' is not a valid device model name", "device_add", driver="nonsense")
        await machine.refuses("no hot-plug on the root", "hot-plug", "device_add", driver="virtio-rng-pci", id="r")
        await machine.refuses("no such device", "not found", "device_del", id="nothing")
        await machine.do("chardev-add", id="ring", backend={"type": "ringbuf", "data": {"size": 4096}})
        check("ringbuf", await machine.do("ringbuf-read", device="ring", size=10) == "")
        await machine.do("chardev-remove", id="ring")
        await machine.refuses("removed twice", "not found", "chardev-remove", id="ring")
        await machine.do("object-add", qom_type="secret", id="sec0", data="x")
        await machine.do("object-del", id="sec0")
        check("qom-get", await machine.do("qom-get", path="/machine", property="type") == "virt-machine")
        await machine.do("quit")
        event = await machine.event("SHUTDOWN")
        check("SHUTDOWN", event["data"] == {"guest": False, "reason": "host-qmp-quit"}, event)
        check("exit status", await asyncio.to_thread(machine.process.wait, 10) == 0)
        check("the serial port has a name", not os.path.exists(machine.name + ".tty"))
        check("the socket goes", not os.path.exists(machine.name + ".qmp"))
    async with Machine("-S", guest=False) as machine:
        machine.process.send_signal(signal.SIGTERM)
        check("SIGTERM", (await machine.event("SHUTDOWN"))["data"]["reason"] == "host-signal")
        check("exit status after SIGTERM", await asyncio.to_thread(machine.process.wait, 10) == 0)


async def test_human():
    async with Machine("-S", "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d,id=v", "-smp", "2", guest=False) as machine:
        for line, text in [("info status", "VM status: paused (prelaunch)"), ("info version", "10.0.0"), ("info registers", "x1/ra"), ("info mtree", "riscv_virt_board.ram"),
                           ("info qtree", "virtio-blk-pci"), ("info qom-tree", "/v (virtio-blk-pci)"), ("info block", "disk.img"), ("info blockstats", "rd_bytes=0"),
                           ("info pci", "id \"v\""), ("info chardev", "compat_monitor0"), ("info cpus", "CPU #1"), ("help", "system_reset"), ("nonsense", "unknown command"),
                           ("info registers -a", "CPU#1"), ("xp /2i 0x1000", "auipc"), ("xp/4xw 0x1000", "0x00000297"), ("print 2*(3+4)", "0xe"), ("p/d 7-9", "-2"),
                           ("p $pc", "0x"), ("print 1/0", "division by zero"), ("nmi", "NMI"), ("cpu 7", "invalid CPU index")]:
            answer = await machine.human(line)
            check(f"hmp {line}", text in answer, answer[:200])
        await machine.do("pmemsave", val=0x1000, size=16, filename=f"{folder}/rom.bin")
        check("pmemsave", open(f"{folder}/rom.bin", "rb").read()[:4] == b"\x97\x02\x00\x00")
        await machine.human(f'memsave 0x1000 16 "{folder}/rom2.bin"')
        check("memsave", open(f"{folder}/rom2.bin", "rb").read() == open(f"{folder}/rom.bin", "rb").read())
        await machine.refuses("memsave of nothing", "", "memsave", val=0x10, size=16, filename=f"{folder}/none.bin")
        blocks = await machine.do("query-block")
        check("query-block", blocks[0]["device"] == "d" and blocks[0]["inserted"]["drv"] == "raw", blocks)


async def test_guest():
    pages = ["-device", "pcie-root-port,id=p1,chassis=1,slot=1", "-device", "pcie-root-port,id=p2,chassis=2,slot=2", "-device", "virtio-balloon-pci,id=b"]
    async with Machine(*pages, "-smp", "2") as machine:
        console = await machine.console()
        await console.until("GUEST-READY")
        # A disk comes and goes.
        subprocess.run(["truncate", "-s", "8M", f"{folder}/hot.img"], check=True)
        with open(f"{folder}/hot.img", "r+b") as disk:
            disk.write(b"HOTPLUGGED-DISK!")
        await machine.do("blockdev-add", **{"driver": "raw", "node_name": "hot", "file": {"driver": "file", "filename": f"{folder}/hot.img"}})
        await machine.do("device_add", driver="virtio-blk-pci", id="hd", drive="hot", bus="p1")
        await machine.refuses("one id twice", "Duplicate device ID", "device_add", driver="virtio-blk-pci", id="hd", drive="hot", bus="p2")
        await machine.refuses("one disk twice", "already in use", "device_add", driver="virtio-blk-pci", id="hd2", drive="hot", bus="p2")
        await machine.refuses("a node in use", "in use", "blockdev-del", node_name="hot")
        text = await console.run("power_on; $B head -c 16 /dev/vda")
        check("a hot-plugged disk", "HOTPLUGGED-DISK!" in text, text)
        await console.run("$B echo WRITTEN-BY-GUEST | $B dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null")
        check("it is written", open(f"{folder}/hot.img", "rb").read(16) == b"WRITTEN-BY-GUEST")
        check("blockstats", (await machine.do("query-blockstats"))[0]["stats"]["wr_bytes"] > 0)
        await machine.do("block_resize", device="hot", size=12 << 20)
        check("block_resize", str((12 << 20) // 512) in await console.run("$B sleep 0.3; $B cat /sys/class/block/vda/size"))
        # A snapshot beneath the running device.
        subprocess.run([apus, "img", "create", "-q", "-f", "qcow2", f"{folder}/over.qcow2", "12M"], check=True)
        await machine.do("blockdev-add", **{"driver": "qcow2", "node_name": "over", "backing": None, "file": {"driver": "file", "filename": f"{folder}/over.qcow2"}})
        await machine.do("blockdev-snapshot", node="hot", overlay="over")
        await console.run("$B echo ABOVE-THE-SNAPSHOT | $B dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null")
        check("what is below stays", open(f"{folder}/hot.img", "rb").read(16) == b"WRITTEN-BY-GUEST")
        text = await console.run("$B dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | $B head -c 18")
        check("what is above is read", "ABOVE-THE-SNAPSHOT" in text, text)
        await machine.do("block-commit", device="over", job_id="j")
        await machine.event("BLOCK_JOB_READY")
        await machine.do("block-job-complete", device="j")
        await machine.event("BLOCK_JOB_COMPLETED")
        check("committed", open(f"{folder}/hot.img", "rb").read(18) == b"ABOVE-THE-SNAPSHOT")
        await machine.do("device_del", id="hd")
        check("the guest sees the button", "PRESSED" in await console.run("pressed"))
        check("asked twice", "DEVICE_DELETED" not in [event["event"] for event in machine.seen])
        await console.run("power_off")
        event = await machine.event("DEVICE_DELETED", seconds=30)
        check("DEVICE_DELETED", event["data"] == {"device": "hd", "path": "/machine/peripheral/hd"}, event)
        text = await console.run("[ -b /dev/vda ] && $B echo STILL || $B echo GONE")
        check("the disk is gone", "GONE" in text, text)
        await machine.do("blockdev-del", node_name="over")
        await machine.do("blockdev-del", node_name="hot")
        await machine.do("device_add", driver="virtio-rng-pci", id="hd", bus="p1")
        text = await console.run("power_on; ls -l /sys/bus/pci/devices/0000:01:00.0/driver")
        check("the slot is used again", "virtio-pci" in text, text)
        # The balloon.
        await machine.do("balloon", value=200 << 20)
        event = await machine.event("BALLOON_CHANGE", seconds=20)
        for _ in range(100):
            if (await machine.do("query-balloon"))["actual"] == 200 << 20:
                break
            await asyncio.sleep(0.05)
        check("balloon", (await machine.do("query-balloon"))["actual"] == 200 << 20, event)
        # Stopped time stands still.
        await machine.do("stop")
        before = int((await machine.human("p/d $pc")).strip())
        await asyncio.sleep(0.2)
        check("nothing runs", int((await machine.human("p/d $pc")).strip()) == before)
        await machine.do("cont")
        text = await console.run("$B echo ALIVE")
        check("alive after cont", "ALIVE" in text, text)
        # Resets, by the guest and from outside; memory does not grow.
        def resident():
            return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{machine.process.pid}/status").read()).group(1))
        sizes = []
        for number in range(7):
            console.text = ""
            if number % 2:
                await machine.do("system_reset")
            else:
                console.writer.write(b"$B reboot -f\n")
            event = await machine.event("RESET", seconds=30)
            check(f"reset {number}", event["data"]["guest"] == (number % 2 == 0), event)
            await console.until("GUEST-READY")
            sizes.append(resident())
        # By then all of the guest's memory and of the code buffer has been used once.
        check("memory after resets", sizes[-1] < sizes[3] * 1.1, sizes)
        console.writer.write(b"$B poweroff -f\n")
        event = await machine.event("SHUTDOWN")
        check("the guest switches off", event["data"] == {"guest": True, "reason": "guest-shutdown"}, event)
        check("its exit status", await asyncio.to_thread(machine.process.wait, 10) == 0)


async def test_policy():
    own = shutil.copy(kernel, f"{folder}/vmlinuz")
    async with Machine("-kernel", own, "-no-shutdown", "-snapshot", "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d", "-action", "reboot=shutdown") as machine:
        console = await machine.console()
        await console.until("GUEST-READY")
        await console.run("$B echo NOT-TO-BE-KEPT | $B dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null")
        check("-snapshot", open(f"{folder}/disk.img", "rb").read(14) == bytes(14))
        console.writer.write(b"$B reboot -f\n")
        event = await machine.event("SHUTDOWN", seconds=30)
        check("-action reboot=shutdown", event["data"] == {"guest": True, "reason": "guest-reset"}, event)
        await machine.event("STOP")
        check("-no-shutdown", (await machine.do("query-status"))["status"] == "shutdown")
        await machine.refuses("no cont when off", "Resetting", "cont")
        await machine.do("system_reset")
        await machine.do("cont")
        console.text = ""
        await console.until("GUEST-READY")
        check("it boots again", True)
        # Files are read again: they may have got other names, and what is written to them is told.
        os.rename(own, own + ".old")
        check("nothing to say", machine.said() == "", machine.said())
        os.utime(own + ".old")
        await machine.do("system_reset")
        console.text = ""
        await console.until("GUEST-READY")
        check("a kernel that changed", f"'{own}' has changed since the machine began" in machine.said(), machine.said())


async def test_options():
    path = f"{folder}/readline.sock"
    with open(f"{folder}/machine.cfg", "w") as file:
        file.write(f'[chardev "mon2"]\n  backend = "socket"\n  path = "{path}"\n  server = "on"\n  wait = "off"\n\n[mon "m"]\n  chardev = "mon2"\n  mode = "readline"\n'
                   f'[device "rng"]\n  driver = "virtio-rng-pci"\n')
    async with Machine("-S", "-readconfig", f"{folder}/machine.cfg", "-global", "virtio-rng-pci.max-bytes=77", "-blockdev", f"driver=raw,node-name=n,file.driver=file,file.filename={folder}/disk.img",
                       "-device", '{"driver":"virtio-blk-pci","drive":"n","id":"j"}', "-object", "secret,id=s0,data=abc", guest=False) as machine:
        check("-global", await machine.do("qom-get", path="/machine/peripheral/rng", property="max-bytes") == 77)
        check("-blockdev and -device in JSON", (await machine.do("query-block"))[0]["inserted"]["node-name"] == "n")
        reader, writer = await asyncio.open_unix_connection(path)
        async def until(text):
            seen = b""
            while text not in seen:
                seen += await asyncio.wait_for(reader.read(4096), 5)
            return seen
        await until(b"(qemu) ")
        writer.write(b"info statusx\x7f\r")
        check("a line is edited", b"VM status: paused" in await until(b"(qemu) "))
        writer.write(b"\x1b[A\n")
        check("history", b"VM status: paused" in await until(b"(qemu) "))
        writer.write(b"info na\x15info name\n")
        await until(b"(qemu) ")
        writer.close()
        reader, writer = await asyncio.open_unix_connection(path)
        await until(b"(qemu) ")
        writer.write(b"quit\n")
        await machine.event("SHUTDOWN")
        check("quit of the other monitor", await asyncio.to_thread(machine.process.wait, 10) == 0)
    result = subprocess.run([apus, "system", "-S", "-daemonize", "-display", "none", "-pidfile", f"{folder}/d.pid", "-qmp", f"unix:{folder}/d.qmp,server=on,wait=off"], timeout=20)
    check("-daemonize", result.returncode == 0 and os.path.exists(f"{folder}/d.pid") and os.path.exists(f"{folder}/d.qmp"))
    client = QMPClient("daemon")
    await client.connect(f"{folder}/d.qmp")
    await client.execute("quit")
    try:
        await client.disconnect()
    except EOFError:    # The other side was quicker.
        pass
    for _ in range(100):
        if not os.path.exists(f"{folder}/d.pid"):
            break
        await asyncio.sleep(0.05)
    check("the pid file goes", not os.path.exists(f"{folder}/d.pid"))
    for words, text in [(["-daemonize", "-nographic"], "cannot be used"), (["-action", "panic=nonsense"], "panic is 'nonsense'"), (["-mon", "chardev=none-such"], "no chardev"),
                        (["-uuid", "x"], "not a UUID"), (["-blockdev", "driver=raw,node-name=n,file.driver=file,file.filename=/nonexistent"], "nonexistent"),
                        (["-rtc", "base=yesterday"], "base is"), (["-readconfig", "/nonexistent"], "nonexistent"), (["-object", "nonsense,id=x"], "nonsense"),
                        (["-global", "virtio-rng-pci.nothing=1"], "nothing")]:
        result = subprocess.run([apus, "system", "-display", "none"] + words, capture_output=True, text=True, timeout=10)
        check(f"refuse {words}", result.returncode != 0 and text in result.stderr and result.stderr.count("\n") == 1, result.stderr)


async def test_objects():
    drives = ["-drive", f"file={folder}/disk.img,format=raw,if=none,id=d,throttling.group=tg,throttling.iops-total=50", "-device", "virtio-blk-pci,drive=d,id=v,iothread=t0"]
    objects = ["-object", "iothread,id=t0", "-object", "rng-random,id=r0", "-object", "memory-backend-memfd,id=mem,size=256M", "-object", "throttle-group,id=g0,x-bps-total=1000000",
               "-M", "virt,memory-backend=mem", "-device", "virtio-rng-pci,rng=r0"]
    async with Machine("-S", *objects, *drives, guest=False) as machine:
        threads = await machine.do("query-iothreads")
        check("iothread", threads[0]["id"] == "t0" and threads[0]["poll-max-ns"] == 32768 and os.path.exists(f"/proc/{machine.process.pid}/task/{threads[0]['thread-id']}"), threads)
        memory = await machine.do("query-memdev")
        check("memdev", memory[0]["id"] == "mem" and memory[0]["size"] == 256 << 20 and memory[0]["share"], memory)
        check("the machine's memory", "mem" in await machine.human("info mtree"))
        names = [entry["name"] for entry in await machine.do("qom-list", path="/objects")]
        check("qom-list", {"t0", "r0", "mem", "g0"} <= set(names), names)
        check("qom-get", await machine.do("qom-get", path="/objects/g0", property="x-bps-total") == 1000000)
        await machine.do("qom-set", path="/objects/g0", property="limits", value={"bps-total": 5, "bps-total-max": 10})
        limits = await machine.do("qom-get", path="/objects/g0", property="limits")
        check("qom-set", limits["bps-total"] == 5 and limits["bps-total-max"] == 10 and limits["iops-size"] == 0, limits)
        await machine.refuses("limits that contradict", "cannot be lower", "qom-set", path="/objects/g0", property="limits", value={"bps-total-max": 1})
        await machine.do("qom-set", path="t0", property="poll-max-ns", value=0)
        check("poll-max-ns", (await machine.do("query-iothreads"))[0]["poll-max-ns"] == 0)
        for name in ["t0", "r0", "mem"]:
            await machine.refuses(f"{name} is needed", "is in use", "object-del", id=name)
        await machine.do("object-add", qom_type="throttle-group", id="g1", limits={"iops-total": 7})
        check("an object's limits", (await machine.do("qom-get", path="/objects/g1", property="limits"))["iops-total"] == 7)
        for name in ["g0", "g1"]:
            await machine.do("object-del", id=name)
        await machine.do("object-add", qom_type="iothread", id="t1")
        check("info iothreads", "t1:" in await machine.human("info iothreads"))
        await machine.do("object-del", id="t1")
        await machine.refuses("no property of that name", "not found", "qom-set", path="/objects/t0", property="nothing", value=1)
        await machine.refuses("a device's property", "after it was realized", "qom-set", path="/machine/peripheral/v", property="serial", value="x")
    for words, text in [(["-object", "memory-backend-ram,id=m,size=64M", "-M", "virt,memory-backend=m", "-m", "128M"], "has 67108864 bytes"), (["-M", "virt,memory-backend=none"], "no memory 'none'"),
                        (["-object", "throttle-group,id=g,x-iops-total=1,x-iops-read=1"], "at the same time"), (["-device", "virtio-rng-pci,rng=x"], "no object 'x'"),
                        (["-device", "virtio-scsi-pci,iothread=x"], "no object 'x'"), (["-object", "memory-backend-file,id=m,size=1M"], "mem-path"), (["-object", "rng-egd,id=r"], "chardev"),
                        (["-drive", f"file={folder}/disk.img,format=raw,if=none,id=d,throttling.iops-total-max=5"], "require")]:
        result = subprocess.run([apus, "system", "-display", "none"] + words, capture_output=True, text=True, timeout=10)
        check(f"refuse {words}", result.returncode != 0 and text in result.stderr and result.stderr.count("\n") == 1, result.stderr)


async def test_sources():
    """A guest reads from an entropy daemon, and from a throttled disk behind an IOThread; a FIFO is memory's file."""
    asked = 0
    async def daemon(reader, writer):
        nonlocal asked
        while request := await reader.read(2):
            asked += 1
            writer.write(b"ENTROPY-" * 32 if len(request) < 2 else (b"ENTROPY-" * 32)[:request[1]])
    server = await asyncio.start_unix_server(daemon, f"{folder}/egd")
    options = ["-chardev", f"socket,id=e,path={folder}/egd", "-object", "rng-egd,id=r,chardev=e", "-device", "virtio-rng-pci,rng=r", "-object", "iothread,id=t",
               "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d,bps=1M", "-device", "virtio-blk-pci,drive=d,iothread=t", "-mem-path", folder, "-mem-prealloc",
               "-fw_cfg", "name=opt/apus.test,string=FIRMWARE-FILE", "-boot", "order=c,strict=on,menu=on", "-d", "int", "-D", f"{folder}/int.log"]
    async with Machine(*options) as machine:
        console = await machine.console()
        await console.until("GUEST-READY")
        text = await console.run("$B dd if=/dev/hwrng bs=16 count=1 2>/dev/null")
        check("an entropy daemon", "ENTROPY-" in text and asked > 0, text)
        start = time.monotonic()
        await console.run("$B dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null")
        check("a throttled disk", time.monotonic() - start > 1, time.monotonic() - start)
        text = await console.run("$B insmod /mods/99-qemu_fw_cfg.ko; $B cat /sys/firmware/qemu_fw_cfg/by_name/opt/apus.test/raw; $B cat /sys/firmware/qemu_fw_cfg/by_name/bootorder/raw; $B ls /sys/firmware/qemu_fw_cfg/by_name/etc/acpi")
        check("-fw_cfg", "FIRMWARE-FILE" in text, text)
        check("the boot order", "/pci@ffffffffffffffff/scsi@2/disk@0,0" in text and "HALT" in text, text)
        check("ACPI's tables are offered", "rsdp" in text and "tables" in text, text)
        check("-d int", "desc=s_timer" in open(f"{folder}/int.log").read(1 << 20))
        await machine.human("log none")
        check("info mem", "rwxu" in await machine.human("info mem") or " rw" in await machine.human("info mem"))
        check("memory of a file", any("apus-memory" in line for line in open(f"/proc/{machine.process.pid}/maps")))
    server.close()


async def test_commands():
    async with Machine("-S", "-device", "virtio-keyboard-pci", "-device", "virtio-tablet-pci", "-nic", "user,model=virtio-net-pci,mac=52:54:00:11:22:33", "-chardev", "null,id=n", guest=False) as machine:
        options = await machine.do("query-command-line-options")
        check("command-line options", any(entry["option"] == "boot-opts" for entry in options), options)
        one = await machine.do("query-command-line-options", option="fw_cfg")
        check("one option", [parameter["name"] for parameter in one[0]["parameters"]] == ["name", "file", "string"], one)
        filters = await machine.do("query-rx-filter")
        check("query-rx-filter", filters[0]["main-mac"] == "52:54:00:11:22:33" and filters[0]["promiscuous"] is True, filters)
        await machine.refuses("no such card", "invalid net client", "query-rx-filter", name="nothing")
        await machine.do("input-send-event", events=[{"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "a"}}}, {"type": "abs", "data": {"axis": "x", "value": 100}},
                                                     {"type": "btn", "data": {"down": True, "button": "left"}}])
        await machine.refuses("no such key", "does not accept", "input-send-event", events=[{"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "nonsense"}}}])
        await machine.refuses("no mouse", "not found", "input-send-event", events=[{"type": "rel", "data": {"axis": "x", "value": 1}}])
        await machine.do("chardev-send-break", id="n")
        await machine.refuses("no such chardev", "not found", "chardev-send-break", id="x")
        for line, text in [("info mem", "No translation or protection"), ("info irq", ""), ("info tlb", "unknown command"), ("log help", "guest_errors"), ("log nonsense", "not supported"),
                           ("log exec", "-d exec"), ("qom-list /objects", "type"), ("info memdev", "")]:
            answer = await machine.human(line)
            check(f"hmp {line}", text in answer, answer[:200])
    for words, text in [(["-d", "nonsense"], "nonsense"), (["-boot", "order=z"], "Invalid boot device"), (["-boot", "order=a"], "no device of letter"), (["-fw_cfg", "name=opt/x"], "either file or string"),
                        (["-k", "de"], "expected en-us"), (["-set", "device.x.y=1"], 'no device "x" defined'), (["-msg", "color=on"], "color"), (["-M", "nonsense"], "none, spike, virt"),
                        (["-M", "spike", "-device", "virtio-rng-pci"], "no bus of kind 'pci'"), (["-M", "virt,acpi=maybe"], "acpi is 'maybe'"),
                        (["-device", "virtio-rng-pci,id=x", "-set", "device.x.max-bytes=y"], "'y'")]:
        result = subprocess.run([apus, "system", "-display", "none"] + words, capture_output=True, text=True, timeout=10)
        check(f"refuse {words}", result.returncode != 0 and text in result.stderr and result.stderr.count("\n") == 1, result.stderr)
    result = subprocess.run([apus, "system", "-name", "one", "-msg", "timestamp=on,guest-name=on", "-uuid", "x"], capture_output=True, text=True, timeout=10)
    check("-msg", re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z one ", result.stderr), result.stderr)
    async with Machine("-S", "-global", "virtio-pci.vectors=0", "-global", "virtio-blk-device.serial=GLOBAL", "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d,id=v",
                       guest=False) as machine:
        check("-global of a base type", await machine.do("qom-get", path="/machine/peripheral/v", property="serial") == "GLOBAL")


async def test_debugger():
    """A debugger's stops and steps are the machine's; its monitor is ours."""
    async with Machine("-bios", "none", "-gdb", f"unix:{folder}/gdb", guest=False) as machine:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/gdb")
        async def packet(text):
            writer.write(f"${text}#{sum(text.encode()) & 255:02x}".encode())
            return await answer()
        async def answer():
            await asyncio.wait_for(reader.readuntil(b"$"), 10)
            body = (await asyncio.wait_for(reader.readuntil(b"#"), 10))[:-1]
            await reader.readexactly(2)
            writer.write(b"+")
            return body.decode()
        await packet("qSupported")
        await machine.event("STOP")
        check("a debugger's arrival", (await machine.do("query-status"))["status"] == "paused")
        check("a step", (await packet("vCont;s:1")).startswith("T05"))
        await machine.event("RESUME")
        await machine.event("STOP")
        check("its state", (await machine.do("query-status"))["status"] == "debug")
        text = "qRcmd," + b"info status".hex()
        reply = await packet(text)
        check("the debugger's monitor", "debug" in bytes.fromhex(reply.removeprefix("O")).decode(), reply)
        writer.close()
        await machine.event("RESUME")
        check("and on it runs", (await machine.do("query-status"))["running"])


async def test_machines():
    """spike and none."""
    result = subprocess.run([apus, "system", "-M", "help"], capture_output=True, text=True, timeout=10)
    check("-M help", all(name in result.stdout for name in ["none ", "spike ", "virt "]), result.stdout)
    async with Machine("-M", "none", guest=False, memory="128M") as machine:
        check("no processors", await machine.do("query-cpus-fast") == [])
        check("none's memory", (await machine.do("query-memory-size-summary"))["base-memory"] == 128 << 20)
        check("no registers", "No CPU" in await machine.human("info registers"))
        await machine.do("stop")
        await machine.do("system_reset")
        await machine.do("cont")
    source = f"{folder}/htif.S"
    with open(source, "w") as file:
        file.write("""
    .globl _start, tohost, fromhost
_start:
    la t0, call
    la t1, tohost
    sd t0, (t1)
    la t2, fromhost
1:  ld t3, (t2)
    beqz t3, 1b
    sd x0, (t2)
    li t0, 0x0101000000000021
    sd t0, (t1)
2:  ld t3, (t2)
    beqz t3, 2b
    sd x0, (t2)
    li t0, 15
    sd t0, (t1)
3:  j 3b
    .balign 64
call: .dword 64, 1, text, COUNT, 0, 0, 0, 0
text: .ascii "hello\\n"
    .balign 64
    .type tohost, @object; .size tohost, 8
tohost: .dword 0
    .balign 64
    .type fromhost, @object; .size fromhost, 8
fromhost: .dword 0
""")
    # QEMU writes one byte at a time only.
    for name, words, count in [("apus", [apus, "system"], 1), ("QEMU", [reference], 1), ("apus, more bytes", [apus, "system"], 6)]:
        subprocess.run(["riscv64-linux-gnu-gcc", f"-DCOUNT={count}", "-nostdlib", "-static", "-no-pie", "-Wl,-N,--build-id=none,-Ttext=0x80000000", "-o", f"{folder}/htif", source], check=True)
        result = subprocess.run(words + ["-M", "spike", "-m", "64M", "-nographic", "-monitor", "none", "-bios", f"{folder}/htif"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        check(f"a program under HTIF: {name}", result.returncode == 7 and result.stdout == b"hello\n"[:count] + b"!", result)
    process = subprocess.Popen([apus, "system", "-M", "spike", "-m", "256M", "-smp", "2", "-nographic", "-monitor", "none", "-bios", firmware, "-kernel", kernel, "-append", "earlycon=sbi console=hvc0"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = b""
    end = time.monotonic() + 60
    while time.monotonic() < end and b"Run /init" not in text and b"No working init" not in text and b"Unable to mount root" not in text:
        piece = await asyncio.to_thread(process.stdout.read1, 4096)
        if not piece:
            break
        text += piece
    process.kill()
    check("OpenSBI on spike", b"Platform Console Device     : htif" in text and b"Platform HART Count         : 2" in text, text[:300])
    check("Linux on spike", b"ucbbar,spike-bare,qemu" in text and b"Linux version" in text, text[-300:])


async def test_acpi():
    await acpi("virt", "SiFive PLIC")


async def test_acpi_aia():
    await acpi("virt,aia=aplic-imsic", "APLIC-MSI-RSCV0002")


async def acpi(kind, controller):
    """EDK2 hands ACPI's tables to the kernel, which finds its devices by them."""
    shutil.copy(f"{efi}/RISCV_VIRT_VARS.fd", f"{folder}/vars.fd")
    words = [apus, "system", "-M", kind, "-m", "512M", "-smp", "2", "-nographic", "-monitor", "none", "-bios", firmware, "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0",
             "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={efi}/RISCV_VIRT_CODE.fd", "-drive", f"if=pflash,unit=1,format=raw,file={folder}/vars.fd",
             "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d", "-drive", f"file={folder}/disk2.img,format=raw,if=none,id=e", "-device", "virtio-blk-device,drive=e",
             "-serial", f"unix:{folder}/{controller.split()[0]}.tty,server=on,wait=off"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(100):
            if os.path.exists(f"{folder}/{controller.split()[0]}.tty"):
                break
            await asyncio.sleep(0.05)
        console = await Console().open(f"{folder}/{controller.split()[0]}.tty")
        boot = await console.until("GUEST-READY", 100)
        for text in ["efi: EFI v2", "ACPI: RSDP", "ACPI: XSDT", "ACPI: RHCT", "ACPI: MCFG", "ACPI: SPCR", "ACPI: PCI Root Bridge [PCI0]"]:
            check(f"ACPI: {text}", text in boot, boot[-600:])
        check("no complaints about the tables", not re.search("ACPI (BIOS )?(Error|Warning|Exception)|incorrect checksum", boot, re.I), boot[-600:])
        text = await console.run("$B ls /sys/firmware/acpi/tables /proc/device-tree; $B cat /proc/interrupts; $B ls /sys/block; $B grep -c ^processor /proc/cpuinfo")
        check("tables in the guest", all(name in text for name in ["DSDT", "FACP", "APIC", "RHCT", "MCFG", "SPCR"]), text)
        check(f"ACPI: {controller}", re.search(f"{controller}.*ttyS0", text), text)
        check("two processors", re.search("^2\r?$", text, re.M), text)
        check("disks on both buses", "vda" in text and "vdb" in text, text)
    finally:
        process.kill()
        process.wait()


async def test_scsi():
    """Units come and go behind a virtio-scsi controller."""
    options = ["-device", "virtio-scsi-pci,id=s", "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", "-drive", f"file={folder}/disk2.img,format=raw,if=none,id=e"]
    with open(f"{folder}/disk2.img", "r+b") as disk:
        disk.write(b"HOT-SCSI-UNIT-01")
    async with Machine(*options, "-device", "scsi-hd,drive=d,bus=s.0,scsi-id=0", "-initrd", f"{folder}/scsi-initrd") as machine:
        console = await machine.console()
        await console.until("GUEST-READY")
        text = await console.run("$B ls /sys/block")
        check("the first disk", "sda" in text and "sdb" not in text, text)
        await machine.do("device_add", driver="scsi-hd", id="hot", drive="e", bus="s.0", **{"scsi_id": 3, "lun": 2})
        text = await console.run("for i in 1 2 3 4 5 6 7 8; do [ -e /sys/block/sdb ] && break; $B sleep 0.5; done; $B head -c 16 /dev/sdb; $B ls -d /sys/block/sdb/device/scsi_disk/*")
        check("a unit comes", "HOT-SCSI-UNIT-01" in text and "0:0:3:2" in text, text)
        await console.run("$B echo WRITTEN-BY-GUEST | $B dd of=/dev/sdb bs=512 count=1 conv=sync,fsync 2>/dev/null")
        check("it is written", open(f"{folder}/disk2.img", "rb").read(16) == b"WRITTEN-BY-GUEST")
        await machine.refuses("a disk that is in use", "already in use", "device_add", driver="scsi-hd", id="hot2", drive="e", bus="s.0")
        await machine.do("device_del", id="hot")
        event = await machine.event("DEVICE_DELETED")
        check("DEVICE_DELETED of a unit", event["data"]["device"] == "hot", event)
        text = await console.run("for i in 1 2 3 4 5 6 7 8; do [ -e /sys/block/sdb ] || break; $B sleep 0.5; done; $B ls /sys/block; $B head -c 4 /dev/sda | $B wc -c")
        check("a unit goes", "sdb" not in text and "4" in text, text)
        await machine.refuses("a drive goes with its device", "no disk 'e'", "device_add", driver="scsi-hd", id="hot", drive="e", bus="s.0")
        check("drive_add", "OK" in await machine.human(f"drive_add 0 file={folder}/disk2.img,format=raw,if=none,id=e"))
        check("drive_add twice", "Duplicate" in await machine.human(f"drive_add 0 file={folder}/disk2.img,format=raw,if=none,id=e"))
        await machine.do("device_add", driver="scsi-hd", id="hot", drive="e", bus="s.0")
        check("drive_del of a drive in use", "device_del" in await machine.human("drive_del e"))
        text = await console.run("for i in 1 2 3 4 5 6 7 8; do [ -e /sys/block/sdb ] && break; $B sleep 0.5; done; $B head -c 16 /dev/sdb")
        check("and comes again", "WRITTEN-BY-GUEST" in text, text)
        # A node of blockdev-add that has come above a drive outlives it.
        subprocess.run([apus, "img", "create", "-q", "-f", "qcow2", f"{folder}/above.qcow2", "4M"], check=True)
        await machine.do("blockdev-add", **{"driver": "qcow2", "node_name": "above", "backing": None, "file": {"driver": "file", "filename": f"{folder}/above.qcow2"}})
        await machine.do("blockdev-snapshot", node="e", overlay="above")
        await machine.do("device_del", id="hot")
        while (await machine.event("DEVICE_DELETED"))["data"].get("device") != "hot":
            pass
        check("the node above stays", "above" in [node["node-name"] for node in await machine.do("query-named-block-nodes")])
        await machine.do("blockdev-del", node_name="above")
        check("the drive is gone", "OK" in await machine.human(f"drive_add 0 file={folder}/disk2.img,format=raw,if=none,id=e"))
        check("drive_del", await machine.human("drive_del e") == "" and "not found" in await machine.human("drive_del e"))
    async with Machine("-S", "-device", "virtio-scsi-pci,id=s,hotplug=off", "-drive", f"file={folder}/disk.img,format=raw,if=none,id=d", guest=False) as machine:
        await machine.refuses("a controller that cannot", "does not support hotplugging", "device_add", driver="scsi-hd", id="x", drive="d", bus="s.0")


async def test_schema():
    """Arguments of our commands are QEMU's."""
    if not reference:
        return
    def arguments(schema):
        types = {entry["name"]: entry for entry in schema}
        return {entry["name"]: ({member["name"]: "default" in member for member in types[entry["arg-type"]].get("members", [])}, "variants" in types[entry["arg-type"]], types[entry["arg-type"]].get("tag"))
                for entry in schema if entry["meta-type"] == "command"}
    async with Machine("-S", guest=False) as machine:
        ours = arguments(await machine.do("query-qmp-schema"))
    path = f"{folder}/reference.qmp"
    process = subprocess.Popen([reference, "-M", "none", "-display", "none", "-qmp", f"unix:{path},server=on,wait=off"], stdin=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if os.path.exists(path):
                break
            await asyncio.sleep(0.05)
        client = QMPClient("reference")
        await client.connect(path)
        theirs = arguments(await client.execute("query-qmp-schema"))
        await client.execute("quit")
        with contextlib.suppress(EOFError):     # it may be gone already
            await client.disconnect()
    finally:
        process.wait(10)
    for name, (members, _, _) in sorted(ours.items()):
        if name not in theirs:
            check(f"schema {name}", False, "QEMU has no such command")
            continue
        other = theirs[name][0]
        odd = [member for member in members if member not in other and not theirs[name][1]]
        needed = [member for member, optional in other.items() if not optional and member not in members]
        check(f"schema {name}", not odd and not needed, f"not in QEMU: {odd}, missing: {needed}")


async def main():
    chosen = os.environ.get("ONLY")
    for test in [test_states, test_human, test_options, test_objects, test_commands, test_debugger, test_machines, test_schema, test_policy, test_scsi, test_acpi, test_acpi_aia, test_sources, test_guest]:
        if chosen and chosen not in test.__name__:
            continue
        try:
            await asyncio.wait_for(test(), 120)
        except Exception as error:
            check(test.__name__, False, f"{type(error).__name__} {error}")
    print(f"{sums[0]} passed, {sums[1]} failed")

asyncio.run(main())
