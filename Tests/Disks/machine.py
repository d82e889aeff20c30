"""A machine under test, with its QMP monitor and its console. The command line's words are the emulator and its first options."""
import atexit, json, re, socket, subprocess, sys, tempfile, threading, time

sums = [0, 0]


def check(what, good, detail=""):
    if good:
        sums[0] += 1
    else:
        sums[1] += 1
        print(f"FAILED  {what}: {detail}", flush=True)


class Machine:
    def __init__(self, *options):
        folder = tempfile.mkdtemp(dir=".")
        names = {name: f"{folder}/{name}" for name in ["qmp", "tty", "pci"]}
        places = {name: f"unix:{path},server=on,wait=off" for name, path in names.items()}
        options = [option.replace("PCI-STREAM", f"socket,id=s,path={names['pci']},server=on,wait=off") for option in options]
        self.process = subprocess.Popen(sys.argv[1:] + ["-display", "none", "-qmp", places["qmp"], "-serial", places["tty"], *options], stdin=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.folder, self.names, self.events, self.text = folder, names, [], ""
        stream = self.connect("qmp")
        stream.settimeout(60)
        self.qmp = stream.makefile("rw")
        self.qmp.readline()
        self.do("qmp_capabilities")
        self.tty = self.connect("tty")
        self.printed = threading.Condition()
        self.ended = False
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Takes what the console says as it comes: a guest whose console is full waits."""
        try:
            while data := self.tty.recv(65536):
                with self.printed:
                    self.text += data.decode(errors="replace")
                    self.printed.notify()
        except OSError:
            pass        # The machine has gone.
        with self.printed:
            self.ended = True
            self.printed.notify()

    def connect(self, name):
        for _ in range(200):
            stream = socket.socket(socket.AF_UNIX)
            try:
                stream.connect(self.names[name])
                return stream
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(name)

    def read(self):
        message = json.loads(self.qmp.readline() or '{"event": "END"}')
        if "event" in message:
            self.events.append(message)
        return message

    def do(self, command, **arguments):
        """What the command returns, or the text of its error."""
        self.qmp.write(json.dumps({"execute": command, "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}}) + "\n")
        self.qmp.flush()
        while True:
            message = self.read()
            if "return" in message:
                return message["return"]
            if "error" in message:
                return message["error"]["desc"]

    def moved(self):
        """Whether trays have moved since this was asked last: device, open."""
        self.do("query-status")
        found = [(event["data"]["id"], event["data"]["tray-open"]) for event in self.events if event["event"] == "DEVICE_TRAY_MOVED"]
        self.events = []
        return found

    def event(self, name):
        while not any(event["event"] in (name, "END") for event in self.events):
            self.read()
        return next((event for event in self.events if event["event"] == name), {}).get("data")

    def until(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        with self.printed:
            while not (found := re.search(pattern, self.text)):
                if self.ended:
                    raise EOFError(self.text[-300:])
                if not self.printed.wait(end - time.monotonic()):
                    raise TimeoutError(f"{pattern} after {self.text[-300:]!r}")
            before, self.text = self.text[:found.start()], self.text[found.end():]
        return before.replace("\r", "")

    def guest(self, line):
        self.tty.sendall(line.encode() + b"\n")
        return self.until("GUEST-DONE")

    def end(self):
        try:
            self.do("quit")
            self.process.wait(10)
        except Exception:
            self.process.kill()
        self.process.wait()
