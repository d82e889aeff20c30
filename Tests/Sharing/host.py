# host.py VERB …   the host's side of the vsock tests, over Unix sockets.
import os, socket, sys, threading, time

def dial(path, port, seconds=60):
    end = time.time() + seconds
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            if port is None: return s
            s.sendall(b"CONNECT %d\n" % port)
            line = b""
            while not line.endswith(b"\n"):
                byte = s.recv(1)
                if not byte: break
                line += byte
            if line.startswith(b"OK "): return s
        except OSError: pass
        s.close()
        if time.time() > end: sys.exit("no connection to port %s" % port)
        time.sleep(0.1)

def take(path):
    if os.path.exists(path): os.unlink(path)
    l = socket.socket(socket.AF_UNIX); l.bind(path); l.listen(8)
    s, _ = l.accept()
    return s

def exchange(s, data, label):
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=send); t.start()
    parts = []
    while True:
        b = s.recv(1 << 16)
        if not b: break
        parts.append(b)
    t.join()
    received = b"".join(parts)
    print(label, "SAME" if received == data else "DIFFERENT", len(received), flush=True)

verb = sys.argv[1]
if verb == "exchange":                      # exchange DATA LABEL PATH PORT | listen:PATH: sends DATA, expects the same
    data = open(sys.argv[2], "rb").read()
    place = sys.argv[4]
    s = take(place[7:]) if place.startswith("listen:") else dial(place, int(sys.argv[5]))
    exchange(s, data, sys.argv[3])
elif verb == "echo":                        # echo PATH PORT CONNECTIONS: half-close each time
    good = 0
    for n in range(int(sys.argv[4])):
        s = dial(sys.argv[2], int(sys.argv[3]))
        m = os.urandom(1000 + n * 37)
        s.sendall(m); s.shutdown(socket.SHUT_WR)
        back = b""
        while True:
            b = s.recv(65536)
            if not b: break
            back += b
        good += back == m
        s.close()
    print("ECHO", good, flush=True)
elif verb == "close":                       # close PATH: takes a connection, reads a little, goes away
    s = take(sys.argv[2]); s.recv(1000); s.close()
elif verb == "garbage":                     # garbage PATH: what is no CONNECT line is closed
    closed = 0
    for line in [b"HELLO\n", b"CONNECT\n", b"CONNECT x\n", b"CONNECT 99999999999\n", b"A" * 4096, b"CONNECT 4242\n"]:
        s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[2])
        try:
            s.sendall(line)
            closed += s.recv(10) == b""
        except (BrokenPipeError, ConnectionResetError): closed += 1
        s.close()
    print("GARBAGE", closed, flush=True)
