"""A small RFB client for tests, written from RFC 6143: it knows nothing of the server's code."""
import base64, hashlib, os, socket, ssl, struct, sys, time, zlib

RAW, HEXTILE, ZLIB, TIGHT, ZRLE = 0, 5, 6, 7, 16
CURSOR, ALPHA, DESKTOP, EXTDESKTOP, POINTER, EXTKEY, LED = -239, -314, -223, -308, -257, -258, -261


class Closed(Exception):
    pass


class WebSocket:
    def __init__(self, sock, host):
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += take(sock, 1)
        want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101") and want in head, head
        self.sock, self.data = sock, b""

    def recv(self, count):
        while not self.data:
            code, length = take(self.sock, 2)
            length &= 127
            if length == 126: length, = struct.unpack(">H", take(self.sock, 2))
            elif length == 127: length, = struct.unpack(">Q", take(self.sock, 8))
            self.data = take(self.sock, length) if code & 15 == 2 else b""
        part, self.data = self.data[:count], self.data[count:]
        return part

    def sendall(self, data):
        # In pieces, so that frames begin inside of messages.
        for start in range(0, len(data), 5):
            part, mask = data[start:start + 5], os.urandom(4)
            self.sock.sendall(bytes([0x82, 0x80 | len(part)]) + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(part)))


def take(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part: raise Closed()
        data += part
    return data


def des_answer(password, challenge):
    """DES by openssl, with the bits of the key turned round."""
    import subprocess
    key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
    return subprocess.run(["openssl", "enc", "-des-ecb", "-provider", "legacy", "-provider", "default", "-nopad", "-K", key.hex()],
                          input=challenge, capture_output=True, check=True).stdout


class Client:
    def __init__(self, address, version=8, password=None, tls=None, websocket=False, shared=True):
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address)
        else:
            sock = socket.create_connection(address)
        sock.settimeout(30)
        if websocket: sock = WebSocket(sock, "test")
        self.sock, self.cursor, self.notes, self.sizes = sock, None, [], []
        assert self.take(12) == b"RFB 003.008\n"
        sock.sendall(b"RFB 003.%03d\n" % version)
        if version == 3:
            kind, = struct.unpack(">I", self.take(4))
        else:
            count = self.take(1)[0]
            kinds = self.take(count)
            kind = kinds[0]
            self.kinds = kinds
            sock.sendall(bytes([kind]))
        result = version == 8
        if kind == 19:
            assert self.take(2) == b"\0\2"
            sock.sendall(b"\0\2")
            assert self.take(1) == b"\0"
            count = self.take(1)[0]
            kind, = struct.unpack(">I", self.take(4 * count)[:4])
            self.subtype = kind
            sock.sendall(struct.pack(">I", kind))
            assert self.take(1) == b"\1"
            context = ssl.create_default_context(cafile=tls)
            context.check_hostname = False
            self.sock = sock = context.wrap_socket(sock, server_hostname="localhost")
            kind = 2 if kind in (258, 261) else 1
            result = True
        if kind == 2:
            sock.sendall(des_answer(password or "", self.take(16)))
            result = True
        if result and self.take(4) != b"\0\0\0\0":
            raise PermissionError("refused")
        sock.sendall(bytes([shared]))
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.format = struct.unpack(">BBBBHHHBBB3x", self.take(16))
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        self.reset()
        self.streams = {}

    def take(self, count): return take(self.sock, count)
    def reset(self): self.pixels = [[0] * self.width for _ in range(self.height)]

    def set_format(self, bpp, depth, big, maxima, shifts):
        self.sock.sendall(struct.pack(">B3xBBBBHHHBBB3x", 0, bpp, depth, big, 1, *maxima, *shifts))
        self.format = (bpp, depth, big, 1, *maxima, *shifts)

    def set_encodings(self, *encodings):
        self.sock.sendall(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))

    def request(self, incremental=False):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def key(self, symbol, down=None):
        for state in ([down] if down is not None else [1, 0]): self.sock.sendall(struct.pack(">BBxxI", 4, state, symbol))

    def extended_key(self, scancode, down): self.sock.sendall(struct.pack(">BBHII", 255, 0, down, 0, scancode))

    def type(self, text):
        for character in text:
            self.key(0xff0d if character == "\n" else ord(character))
            time.sleep(0.03)

    def pointer(self, mask, x, y): self.sock.sendall(struct.pack(">BBHH", 5, mask, x, y))
    def ask_size(self, width, height): self.sock.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width, height, 0))

    def value(self, data):
        return int.from_bytes(data, "big" if self.format[2] else "little")

    def colour(self, word):
        out = 0
        for maximum, shift in zip(self.format[4:7], self.format[7:10]): out = out << 8 | ((word >> shift) & maximum) * 255 // maximum
        return out

    def read_pixels(self, get, count):
        size = self.format[0] // 8
        data = get(size * count)
        return [self.colour(self.value(data[i:i + size])) for i in range(0, len(data), size)]

    def compact(self, data):
        """ZRLE's pixels of three bytes."""
        if self.format[0] != 32: return self.colour(self.value(data))
        full = sum(m << s for m, s in zip(self.format[4:7], self.format[7:10]))
        word = int.from_bytes(data, "big" if self.format[2] else "little")
        return self.colour(word if full < 1 << 24 else word << 8)

    def put(self, x, y, w, h, pixels):
        for row in range(h): self.pixels[y + row][x:x + w] = pixels[row * w:(row + 1) * w]

    def inflate(self, name, data):
        stream = self.streams.setdefault(name, zlib.decompressobj())
        return stream.decompress(data)

    def update(self):
        """Reads messages until an update; returns the encodings in it."""
        while True:
            kind = self.take(1)[0]
            if kind == 0: break
            if kind == 1: _, count = struct.unpack(">xHH", self.take(5)); self.map = self.take(6 * count)
            elif kind == 3: self.take(struct.unpack(">3xI", self.take(7))[0])
        count, = struct.unpack(">xH", self.take(3))
        seen = []
        for _ in range(count):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.take(12))
            seen.append(encoding)
            if encoding in (DESKTOP, EXTDESKTOP):
                if encoding == EXTDESKTOP:
                    self.take(16 * struct.unpack(">B3x", self.take(4))[0])
                    self.sizes.append((x, y, w, h))
                if (w, h) != (self.width, self.height) and not (encoding == EXTDESKTOP and x == 1):
                    self.width, self.height = w, h
                    self.reset()
            elif encoding == CURSOR:
                self.cursor = (x, y, w, h, self.read_pixels(self.take, w * h), self.take((w + 7) // 8 * h))
            elif encoding == ALPHA:
                assert self.take(4) == b"\0\0\0\0"
                self.cursor = (x, y, w, h, self.take(4 * w * h))
            elif encoding == LED: self.notes.append(("led", self.take(1)[0]))
            elif encoding == POINTER: self.notes.append(("absolute", x))
            elif encoding == EXTKEY: self.notes.append(("extended keys",))
            else:
                {RAW: self.raw, HEXTILE: self.hextile, ZLIB: self.zlib, TIGHT: self.tight, ZRLE: self.zrle}[encoding](x, y, w, h)
        return seen

    def raw(self, x, y, w, h): self.put(x, y, w, h, self.read_pixels(self.take, w * h))

    def zlib(self, x, y, w, h):
        data = self.inflate("zlib", self.take(struct.unpack(">I", self.take(4))[0]))
        self.put(x, y, w, h, self.read_pixels(lambda n: data[:n], w * h))

    def hextile(self, x0, y0, w0, h0):
        background = foreground = 0
        for y in range(y0, y0 + h0, 16):
            for x in range(x0, x0 + w0, 16):
                w, h = min(16, x0 + w0 - x), min(16, y0 + h0 - y)
                flags = self.take(1)[0]
                if flags & 1:
                    self.raw(x, y, w, h)
                    continue
                if flags & 2: background, = self.read_pixels(self.take, 1)
                if flags & 4: foreground, = self.read_pixels(self.take, 1)
                tile = [background] * (w * h)
                for _ in range(self.take(1)[0] if flags & 8 else 0):
                    colour = self.read_pixels(self.take, 1)[0] if flags & 16 else foreground
                    place, size = self.take(2)
                    for row in range(place & 15, (place & 15) + (size & 15) + 1):
                        for column in range(place >> 4, (place >> 4) + (size >> 4) + 1): tile[row * w + column] = colour
                self.put(x, y, w, h, tile)

    def zrle(self, x0, y0, w0, h0):
        data = self.inflate("zrle", self.take(struct.unpack(">I", self.take(4))[0]))
        at = 0
        size = 3 if self.format[0] == 32 and self.format[1] <= 24 else self.format[0] // 8

        def get(n):
            nonlocal at
            at += n
            return data[at - n:at]
        for y in range(y0, y0 + h0, 64):
            for x in range(x0, x0 + w0, 64):
                w, h = min(64, x0 + w0 - x), min(64, y0 + h0 - y)
                kind = get(1)[0]
                if kind == 0: tile = [self.compact(get(size)) for _ in range(w * h)]
                elif kind == 1: tile = [self.compact(get(size))] * (w * h)
                elif kind <= 16:
                    palette = [self.compact(get(size)) for _ in range(kind)]
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    tile = []
                    for _ in range(h):
                        row = int.from_bytes(get((w * bits + 7) // 8), "big")
                        total = (w * bits + 7) // 8 * 8
                        tile += [palette[row >> (total - bits * (i + 1)) & ((1 << bits) - 1)] for i in range(w)]
                elif kind == 128:
                    tile = []
                    while len(tile) < w * h:
                        colour, run = self.compact(get(size)), 1
                        while True:
                            byte = get(1)[0]
                            run += byte
                            if byte != 255: break
                        tile += [colour] * run
                else: raise ValueError(f"ZRLE tile {kind}")
                assert len(tile) == w * h
                self.put(x, y, w, h, tile)
        assert at == len(data), (at, len(data))

    def tight(self, x, y, w, h):
        packed = self.format[0] == 32 and self.format[1] == 24

        def pixel(get): return int.from_bytes(get(3), "big") if packed else self.read_pixels(get, 1)[0]
        control = self.take(1)[0]
        assert control & 15 == 0
        if control >> 4 == 8:
            self.put(x, y, w, h, [pixel(self.take)] * (w * h))
            return
        assert control >> 4 < 8
        stream, palette = control >> 4 & 3, None
        if control & 0x40:
            assert self.take(1) == b"\1"
            palette = [pixel(self.take) for _ in range(self.take(1)[0] + 1)]
        size = 3 if packed else self.format[0] // 8
        length = w * h * size if palette is None else (w + 7) // 8 * h if len(palette) == 2 else w * h
        if length < 12: data = self.take(length)
        else:
            count = shift = 0
            while True:
                byte = self.take(1)[0]
                count |= (byte & 127 if shift < 14 else byte) << shift
                shift += 7
                if shift == 21 or not byte & 128: break
            data = self.inflate(("tight", stream), self.take(count))
        assert len(data) == length, (len(data), length)
        if palette is None: pixels = [pixel(lambda n, i=i: data[i:i + n]) for i in range(0, len(data), size)]
        elif len(palette) == 2: pixels = [palette[data[row * ((w + 7) // 8) + i // 8] >> (7 - i % 8) & 1] for row in range(h) for i in range(w)]
        else: pixels = [palette[b] for b in data]
        self.put(x, y, w, h, pixels)

    def save(self, path):
        with open(path, "wb") as file:
            file.write(b"P6\n%d %d\n255\n" % (self.width, self.height))
            for row in self.pixels: file.write(b"".join(p.to_bytes(3, "big") for p in row))
