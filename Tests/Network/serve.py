#!/usr/bin/env python3
"""serve.py FILE PORTFILE   serves FILE as /data, answers what is posted with its SHA-256."""
import hashlib, http.server, sys
data = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self): self.answer(data)
    def do_POST(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece: break
            digest.update(piece); left -= len(piece)
        self.answer(digest.hexdigest().encode() + b"\n")
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[2], "w").write(str(server.server_port))
server.serve_forever()
