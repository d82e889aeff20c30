#!/usr/bin/env python3
"""browser.py CHROMIUM PAGES PORT LOG   noVNC's page, from the folder PAGES, in headless Chromium: it connects to the WebSocket at
PORT of a machine, shows the guest's console, and what is typed and pointed at there reaches the guest, which tells it to LOG.
Chromium is driven over its DevTools protocol. Prints 'ok' and 'FAILED' lines."""

import asyncio, functools, http.server, json, sys, tempfile, threading, urllib.request

import websockets

chromium, pages, port, log = sys.argv[1:]


def say(what, good, *more):
    print("ok" if good else "FAILED", what, *([] if good else more), flush=True)


class Browser:
    """One page, by its DevTools socket."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0

    async def ask(self, method, **parameters):
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await self.socket.recv())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    async def evaluate(self, expression):
        return (await self.ask("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, what, expression, seconds=90):
        for _ in range(seconds * 4):
            value = await self.evaluate(expression)
            if value:
                return say(what, True)
            await asyncio.sleep(.25)
        say(what, False, await self.evaluate("document.getElementById('status')?.textContent"))

    async def press(self, key, code, number, text=None, shift=False, kinds=("keyDown", "keyUp")):
        for kind in kinds:
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number, modifiers=8 if shift else 0, **more)

    async def type(self, text):
        for character in text:
            shifts = character.isupper() or character == ">"
            if shifts:
                await self.press("Shift", "ShiftLeft", 16, shift=True, kinds=["keyDown"])
            code, number = KEYS.get(character) or ("Key" + character.upper() if character.isalpha() else "Digit" + character, ord(character.upper()))
            await self.press("Enter" if character == "\n" else character, code, number, text=character.replace("\n", "\r"), shift=shifts)
            if shifts:
                await self.press("Shift", "ShiftLeft", 16, kinds=["keyUp"])
            await asyncio.sleep(.05)


# The keys of a keyboard of the United States: code and Windows' number.
KEYS = {"\n": ("Enter", 13), " ": ("Space", 32), "/": ("Slash", 191), ">": ("Period", 190)}
LIT = """(() => { const canvas = document.querySelector('#screen canvas'); if (!canvas) return 0;
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; let lit = 0;
for (let at = 0; at < pixels.length; at += 4) if (pixels[at] + pixels[at + 1] + pixels[at + 2] > 60) lit++; return lit })()"""


async def until_file(what, text, seconds=60):
    for _ in range(seconds * 4):
        with open(log, errors="replace") as file:
            if text in file.read():
                return say(what, True)
        await asyncio.sleep(.25)
    say(what, False)


async def scenes(address):
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
            "--remote-allow-origins=*", f"--user-data-dir={profile}", "--window-size=1000,800", "about:blank", stderr=asyncio.subprocess.PIPE)
        try:
            line = b""
            while b"DevTools listening" not in line:
                line = await asyncio.wait_for(process.stderr.readline(), 120)
                if not line:
                    raise RuntimeError("Chromium ended")
            drain = asyncio.create_task(process.stderr.read())
            debugger = line.decode().split("ws://")[1].split("/")[0]
            targets = json.load(urllib.request.urlopen(f"http://{debugger}/json/list"))
            page = next(target for target in targets if target["type"] == "page")
            async with websockets.connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                await drive(Browser(socket), address)
            drain.cancel()
        finally:
            process.kill()
            await process.wait()


async def drive(browser, address):
    await browser.ask("Page.enable")
    await browser.ask("Page.navigate", url=f"{address}/vnc_lite.html?host=127.0.0.1&port={port}&path=")
    await browser.until("the page connects", "document.getElementById('status')?.textContent.startsWith('Connected')")
    await browser.until("the console is there", "document.querySelector('#screen canvas')?.width >= 640")
    before = await browser.evaluate(LIT)
    await browser.ask("Runtime.evaluate", expression="document.querySelector('#screen canvas').focus()")
    # What is typed is echoed on the screen; its answer goes to the serial port.
    await browser.type("echo browser > /dev/ttyS0\n")
    await until_file("what is typed reaches the shell", "browser\n")
    await browser.until("the screen shows it", f"{LIT} > {before} + 100")
    for at in range(20):
        await browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=100 + 10 * at, y=100 + 5 * at)
    for kind in ("mousePressed", "mouseReleased"):
        await browser.ask("Input.dispatchMouseEvent", type=kind, x=300, y=200, button="left", clickCount=1)
    # An input_event of 24 bytes: EV_KEY (1), BTN_LEFT (0x110), pressed.
    await until_file("a click reaches the tablet", "01 00 10 01 01 00 00 00")
    shot = await browser.ask("Page.captureScreenshot", format="png")
    say("a picture of the page", len(shot["data"]) > 2000)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=pages))
threading.Thread(target=server.serve_forever, daemon=True).start()
try:
    asyncio.run(scenes(f"http://127.0.0.1:{server.server_port}"))
except Exception as error:
    say("the browser", False, repr(error))
