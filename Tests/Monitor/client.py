"""A machine under test, with its monitor and the console of its guest. The words are those of monitor.py."""
import asyncio, os, re, subprocess, sys, time
from qemu.qmp import QMPClient, ExecuteError

apus, firmware, kernel, initrd, folder = sys.argv[1:6]
efi = firmware.split("/usr/")[0] + "/usr/share/qemu-efi-riscv64"
reference = sys.argv[6] if len(sys.argv) > 6 else None
sums = [0, 0]


def check(what, good, detail=""):
    sums[0 if good else 1] += 1
    if not good:
        print(f"FAILED  {what}: {detail}", flush=True)


class Console:
    """The guest's serial port on a socket."""
    async def open(self, path):
        self.reader, self.writer = await asyncio.open_unix_connection(path)
        self.text = ""
        return self

    async def until(self, pattern, seconds=40):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            try:
                data = await asyncio.wait_for(self.reader.read(65536), max(0.05, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise TimeoutError(f"no {pattern!r} in {self.text[-300:]!r}")
            if not data:
                raise TimeoutError(f"the console has ended after {self.text[-300:]!r}")
            self.text += data.decode(errors="replace")
        found = re.search(pattern, self.text)
        before, self.text = self.text[:found.start()], self.text[found.end():]
        return before

    async def run(self, command, seconds=20):
        self.text = ""
        self.writer.write(command.encode() + b"\n")
        await self.writer.drain()
        return await self.until("GUEST-DONE", seconds)


class Machine:
    number = 0

    def __init__(self, *options, guest=True, memory="256M"):
        Machine.number += 1
        self.name = f"{folder}/m{Machine.number}"
        words = [apus, "system", "-M", "virt", "-m", memory, "-display", "none", "-qmp", f"unix:{self.name}.qmp,server=on,wait=off"]
        if guest:
            words += ["-bios", firmware, "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet",
                      "-serial", f"unix:{self.name}.tty,server=on,wait=off"]
        self.log = open(self.name + ".log", "w+")
        self.process = subprocess.Popen(words + list(options), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def said(self):
        """What it has written on its standard output and error."""
        self.log.seek(0)
        return self.log.read()

    async def __aenter__(self):
        self.client = QMPClient("test")
        self.seen = []
        for _ in range(200):
            if os.path.exists(self.name + ".qmp"):
                break
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        try:
            await self.client.connect(self.name + ".qmp")
        except Exception as error:
            self.log.seek(0)
            raise RuntimeError(f"{error}: {self.log.read()}")
        return self

    async def __aexit__(self, *_):
        if self.process.poll() is None:
            try:
                await asyncio.wait_for(self.client.execute("quit"), 5)
                await asyncio.to_thread(self.process.wait, 10)
            except Exception:
                self.process.kill()
                self.process.wait()
        try:
            await self.client.disconnect()
        except Exception:
            pass

    async def console(self):
        return await Console().open(self.name + ".tty")

    async def do(self, name, /, **arguments):
        return await self.client.execute(name, {key.replace("_", "-"): value for key, value in arguments.items()} or None)

    async def human(self, line):
        return await self.client.execute("human-monitor-command", {"command-line": line})

    async def refuses(self, what, text, name, /, **arguments):
        try:
            answer = await self.do(name, **arguments)
            check(what, False, f"{name} gave {answer}")
        except ExecuteError as error:
            check(what, text in str(error), str(error))

    async def event(self, *names, seconds=20):
        """The next event of these names; others are remembered."""
        while True:
            event = await asyncio.wait_for(self.client.events.get(), seconds)
            self.seen.append(event)
            if event["event"] in names:
                return event
