#!/usr/bin/env python3
"""serve.py FILE PORTFILE [ADDRESS]   serves FILE as /data over HTTP; at a second port answers what is sent, once the sender is silent or
done, with its SHA-256. Both port numbers go to PORTFILE."""
import hashlib, http.server, os, socketserver, sys, threading
data = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def log_message(self, *arguments): pass
class Sink(socketserver.BaseRequestHandler):
    def handle(self):
        digest, left = hashlib.sha256(), len(data)
        while left > 0 and (piece := self.request.recv(1 << 16)): digest.update(piece); left -= len(piece)
        self.request.sendall(digest.hexdigest().encode() + b"\n")
class Server(socketserver.ThreadingTCPServer): daemon_threads = True
address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
web, sink = http.server.ThreadingHTTPServer((address, 0), Handler), Server((address, 0), Sink)
with open(sys.argv[2] + ".new", "w") as file: file.write(f"{web.server_port} {sink.server_address[1]}")
os.rename(sys.argv[2] + ".new", sys.argv[2])
threading.Thread(target=sink.serve_forever, daemon=True).start()
web.serve_forever()
