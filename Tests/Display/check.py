"""Scenes of run.sh: each looks at a guest through VNC and prints 'ok' or 'FAILED' lines."""
import json, os, socket, struct, subprocess, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from rfb import *

STANDARD = (32, 24, 0, (255, 255, 255), (16, 8, 0))


def say(what, good, *more):
    print("ok" if good else "FAILED", what, *(more if not good else ()), flush=True)


def text(path):
    with open(path, errors="replace") as file: return file.read()


def until(what, condition, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        if condition(): return say(what, True)
        time.sleep(0.1)
    say(what, False, "did not happen")


def quiet(client):
    """Updates until nothing comes for a while: the picture."""
    client.request()
    client.update()
    client.sock.settimeout(1.2) if hasattr(client.sock, "settimeout") else None
    try:
        for _ in range(40):
            client.request(incremental=True)
            client.update()
    except TimeoutError:
        pass
    if hasattr(client.sock, "settimeout"): client.sock.settimeout(30)


def lit(pixels): return sum(1 for row in pixels for p in row if p)


def fetch(address, encoding, form=STANDARD, **more):
    client = Client(address, **more)
    client.set_format(*form)
    client.set_encodings(encoding)
    client.request()
    client.update()
    return client


def encodings(address):
    plain = fetch(address, RAW)
    for name, encoding in [("hextile", HEXTILE), ("zlib", ZLIB), ("tight", TIGHT), ("zrle", ZRLE)]:
        other = fetch(address, encoding)
        say(f"{name} gives what raw gives", other.pixels == plain.pixels)
        again = other.pixels
        other.reset()
        other.request()
        other.update()
        say(f"{name} goes on", other.pixels == again)
    for name, form in [("16 bits", (16, 16, 0, (31, 63, 31), (11, 5, 0))), ("big-endian", (32, 24, 1, (255, 255, 255), (24, 16, 8))),
                       ("8 bits", (8, 8, 0, (7, 7, 3), (5, 2, 0))), ("blue first", (32, 24, 0, (255, 255, 255), (0, 8, 16)))]:
        plain = fetch(address, RAW, form)
        for encoding in [HEXTILE, ZLIB, TIGHT, ZRLE]: say(f"{name}, encoding {encoding}", fetch(address, encoding, form).pixels == plain.pixels)


def gpu(port, web, second, log, vncdo):
    address = ("127.0.0.1", int(port))
    client = Client(address)
    client.set_encodings(ZRLE, CURSOR, EXTDESKTOP, POINTER, EXTKEY, LED)
    quiet(client)
    say("the size", (client.width, client.height) == (720, 400), client.width, client.height)
    say("the console shows something", lit(client.pixels) > 50)
    say("the pointer is absolute", ("absolute", 1) in client.notes, client.notes)
    say("extended keys and lights", ("extended keys",) in client.notes and any(n[0] == "led" for n in client.notes))
    say("the size can be changed", client.sizes[:1] == [(0, 0, 720, 400)], client.sizes)
    say("EDID reaches the guest", text(log).count(" connected 128 720x400") == 2, [l for l in text(log).splitlines() if l.startswith("HEAD")])
    encodings(address)
    # Typing: lower and upper case, digits and signs.
    client.type("echo Typed_$((6*7)) 'a/B-{c}~' > /dev/ttyS0\n")
    until("typed text reaches the shell", lambda: "Typed_42 a/B-{c}~" in text(log))
    before = lit(client.pixels)
    for code in (0x26, 0x1f, 0x1c):  # l, s, Enter
        client.extended_key(code, 1)
        client.extended_key(code, 0)
    time.sleep(1)
    quiet(client)
    say("keys by scancode: ls shows files", lit(client.pixels) > before + 100, before, lit(client.pixels))
    small = Client(address)
    small.set_encodings(RAW)
    quiet(small)
    small.request(incremental=True)
    small.key(ord("x"))
    small.update()
    small.key(0xff08)
    same = Client(address)
    say("lights", any(n[0] == "led" for n in client.notes))
    client.key(0xffe5)
    client.request(incremental=True)
    client.update()
    until_led = [n for n in client.notes if n[0] == "led"]
    for _ in range(10):
        if until_led[-1][1] & 4: break
        client.request(incremental=True)
        client.update()
        until_led = [n for n in client.notes if n[0] == "led"]
    say("Caps Lock's light", until_led[-1][1] & 4, until_led)
    client.key(0xffe5)
    same.sock.close()
    # The tablet: od prints events of 24 bytes; type 3 is absolute, code 0 or 1.
    client.pointer(0, 0, 0)
    time.sleep(0.2)
    client.pointer(0, 719, 199)
    client.pointer(1, 719, 199)
    client.pointer(0, 719, 199)
    want = ["03 00 00 00 ff 7f 00 00", "03 00 01 00 d6 3f 00 00", "01 00 10 01 01 00 00 00", "01 00 10 01 00 00 00 00"]
    until("the tablet moves and clicks", lambda: all(w in text(log) for w in want))
    # The second head shows the same console.
    head = fetch(second, TIGHT)
    say("the second head", (head.width, head.height) == (720, 400) and lit(head.pixels) > 50)
    for version in (3, 7):
        say(f"RFB 3.{version}", fetch(address, HEXTILE, version=version).width > 0)
    socketed = Client(("127.0.0.1", int(web)), websocket=True)
    socketed.set_encodings(TIGHT)
    socketed.request()
    socketed.update()
    say("WebSocket", lit(socketed.pixels) > 50)
    hostile(address)
    tool(vncdo, port, log)
    client = Client(address)
    client.set_encodings(ZRLE, EXTDESKTOP)
    # Another size is told to the guest, which takes it: a smaller one, as its console's memory has the size it began with.
    client.sizes = []
    client.ask_size(640, 400)
    end = time.time() + 20
    while (client.width, client.height) != (640, 400) and time.time() < end:
        client.request(incremental=True)
        client.update()
    say("the guest hears of another size", (1, 0) in [s[:2] for s in client.sizes], client.sizes)
    say("the guest takes another size", (client.width, client.height) == (640, 400), client.width, client.height)
    client.sock.close()


def hostile(address):
    # One that never reads does not hold up others.
    lazy = [Client(address) for _ in range(3)]
    for one in lazy:
        one.set_encodings(RAW)
        for _ in range(200): one.request()
    say("clients that do not read harm nobody", lit(fetch(address, ZRLE).pixels) > 50)
    import random
    random.seed(1)
    for size in (1, 5, 100, 5000):
        sock = socket.create_connection(address)
        sock.sendall(bytes(random.randrange(256) for _ in range(size)))
        sock.close()
    for message in (b"\x06\0\0\0\xff\xff\xff\xff", b"\x06\0\0\0\x7f\xff\xff\xff", b"\x63", b"\xff\x05", b"\0\0\0\0" + bytes([7] * 16), b"\2\0\xff\xff" + b"\0" * 65535 * 4,
                    struct.pack(">BBHHHH", 3, 0, 65535, 65535, 65535, 65535), b"\xfb\0\xff\xff\xff\xff\xff\0" + b"\1" * 4080):
        try:
            one = Client(address)
            one.sock.sendall(message)
            time.sleep(0.05)
            one.sock.close()
        except (OSError, Closed): pass
    for _ in range(40):
        one = Client(address)
        one.sock.sendall(bytes(random.choice([0, 2, 3, 4, 5, 6, 251, 255]) if i % 10 == 0 else random.randrange(256) for i in range(300)))
        one.sock.close()
    crowd = []
    try:
        for _ in range(60): crowd.append(socket.create_connection(address))
    except OSError: pass
    time.sleep(0.3)
    for one in crowd + [l.sock for l in lazy]: one.close()
    time.sleep(0.5)
    say("it lives on", lit(fetch(address, ZRLE).pixels) > 50)
    first = Client(address)
    first.set_encodings(RAW)
    alone = Client(address, shared=False)
    alone.set_encodings(ZRLE)
    alone.request()
    alone.update()
    try:
        while first.sock.recv(65536): pass
        say("who wants the screen alone gets it", True)
    except ConnectionError: say("who wants the screen alone gets it", True)
    except TimeoutError: say("who wants the screen alone gets it", False)
    alone.sock.close()
    time.sleep(0.3)


def tool(vncdo, port, log):
    server = ["-s", f"127.0.0.1::{port}"]
    line = ["type", "echo by_tool > /dev/ttyS0", "key", "enter"]
    run = subprocess.run([vncdo, "--delay=30", *server, *line], capture_output=True, text=True, timeout=60)
    say("vncdotool runs", run.returncode == 0, run.stderr[-300:])
    until("what vncdotool types reaches the shell", lambda: "by_tool" in text(log))
    run = subprocess.run([vncdo, *server, "capture", "tool.png"], capture_output=True, text=True, timeout=60)
    good = run.returncode == 0 and os.path.exists("tool.png") and struct.unpack(">II", open("tool.png", "rb").read(24)[16:]) >= (640, 480)
    say("vncdotool captures", good, run.stderr[-300:])


class Monitor:
    """QMP: answers, and the events before them."""
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines, self.events = self.socket.makefile("r"), []
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer: return answer.get("return", answer.get("error"))
            self.events.append(answer)

    def human(self, line): return self.ask("human-monitor-command", **{"command-line": line})


def refused(address, password):
    try: Client(address, password=password)
    except PermissionError: return True
    return False


def passwords(locked, path):
    """A server whose password a monitor sets."""
    monitor = Monitor(path)
    say("query-vnc-servers", [(s["id"], s["auth"], s.get("vencrypt")) for s in monitor.ask("query-vnc-servers")] == [("default", "vencrypt", "x509-vnc"), ("locked", "vnc", None)])
    say("another protocol", "SPICE" in monitor.ask("set_password", protocol="spice", password="x")["desc"])
    say("another server", "nobody" in monitor.ask("set_password", protocol="vnc", password="x", display="nobody")["desc"])
    say("set_password", monitor.ask("set_password", protocol="vnc", password="geheim", display="locked") == {})
    client = Client(locked, password="geheim")
    servers = monitor.ask("query-vnc-servers")
    say("the client is told of", len(servers[1]["clients"]) == 1 and servers[1]["clients"][0]["family"] == "unix", servers[1])
    say("events", [e["event"] for e in monitor.events] == ["VNC_CONNECTED", "VNC_INITIALIZED"] and monitor.events[1]["data"]["server"]["auth"] == "vnc", monitor.events)
    say("info vnc", "locked:" in monitor.human("info vnc") and "Client:" in monitor.human("info vnc"))
    say("expire_password now", monitor.human("expire_password vnc now locked") == "" and refused(locked, "geheim"))
    say("expire_password +30", monitor.ask("expire_password", protocol="vnc", time="+30", display="locked") == {} and not refused(locked, "geheim"))
    say("who is in stays in", client.set_encodings(ZRLE) is None)
    mice = monitor.ask("query-mice")
    say("query-mice", len(mice) == 1 and mice[0]["current"] and not mice[0]["absolute"] and "Mouse #1" in monitor.human("info mice"), mice)
    say("query-vnc", monitor.ask("query-vnc")["auth"] == "x509-vnc")


def vga(address, locked, authority, log, monitor):
    try:
        Client(address, password="wrong", tls=authority)
        say("a wrong password is refused", False)
    except PermissionError: say("a wrong password is refused", True)
    try:
        Client(locked, password="")
        say("without a password set, nobody gets in", False)
    except PermissionError: say("without a password set, nobody gets in", True)
    passwords(locked, monitor)
    client = Client(address, password="secret", tls=authority)
    say("TLS with X.509 and a password", client.kinds == b"\x13" and client.subtype == 261)
    client.set_encodings(ZRLE, POINTER, DESKTOP)
    quiet(client)
    say("the console shows something", lit(client.pixels) > 50)
    say("the pointer is relative", ("absolute", 0) in client.notes, client.notes)
    client.pointer(0, 0x7fff + 7, 0x7fff - 3)
    until("the mouse moves", lambda: "02 00 00 00 07 00 00 00" in text(log) and "02 00 01 00 fd ff ff ff" in text(log))
    # Known pixels: 64 lines of red, then of green, at the top of the frame buffer.
    lines = 64 * client.width * 4
    # The shell must have read the first line before the second is typed, and print no prompt over the picture: else text lies on it.
    client.type("clear; stty -echo; printf '\\33[?25l'; echo cleared > /dev/ttyS0\n")
    until("cleared", lambda: "cleared" in text(log))
    time.sleep(0.5)
    # One write: of a write that ends with a line and began in it the kernel shows nothing, unless other damage comes with it.
    client.type(f"yes 'AB@Z' | tr -d '\\n' | head -c {lines} > /tmp/lines; dd bs={lines} if=/tmp/lines of=/dev/fb0 2> /dev/null; echo painted > /dev/ttyS0; read line\n")
    until("painted", lambda: "painted" in text(log))
    time.sleep(0.5)
    quiet(client)
    good = sum(p == 0x404241 for row in client.pixels[34:60] for p in row)
    say("the pixels are those that were written", good == 26 * client.width, good, hex(client.pixels[1][1]))
    client.type("\n")


def plain(address, log, width, height):
    client = fetch(address, ZRLE)
    say(f"{address}: the size", (client.width, client.height) == (int(width), int(height)), client.width, client.height)
    client.type("echo Hello_$((40+2)) > /dev/ttyS0; seq 200\n")
    until("typing", lambda: "Hello_42" in text(log))
    time.sleep(1)
    quiet(client)
    say("the console shows something", lit(client.pixels) > 1000, lit(client.pixels))
    say("a new client sees the same", fetch(address, TIGHT).pixels == client.pixels)


{"gpu": gpu, "vga": vga, "plain": plain}[sys.argv[1]](*sys.argv[2:])
