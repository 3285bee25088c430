#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's ssh-keygen and curl: keys, signatures, files over HTTP on loopback."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SERVER = r"""
import hashlib, http.server, socketserver, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201); self.end_headers()
        self.wfile.write(hashlib.sha256(body).hexdigest().encode() + b"\n")
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
with open("port.new", "w") as f: f.write(str(server.server_port))
import os; os.rename("port.new", "port")
server.serve_forever()
"""
SCRIPT = r"""
for t in ed25519 ecdsa rsa; do
	ssh-keygen -q -t $t -N 'pass word' -C me@example.org -f k-$t </dev/null
	ssh-keygen -l -f k-$t.pub | cut -d' ' -f1,3-
	ssh-keygen -y -P 'pass word' -f k-$t | cut -d' ' -f1,2 >k-pub
	cut -d' ' -f1,2 k-$t.pub | cmp - k-pub && echo "same key"
done
ssh-keygen -q -p -P 'pass word' -N '' -f k-ed25519 >/dev/null
ssh-keygen -Y sign -n file -f k-ed25519 <work.sh >k-sig 2>/dev/null
ssh-keygen -Y check-novalidate -n file -s k-sig <work.sh | cut -c1-30
ssh-keygen -q -y -P wrong -f k-rsa 2>&1 | tail -1
python3 server.py &
server=$!
for i in $(seq 200); do [ -e port ] && break; sleep 0.02; done
url=http://127.0.0.1:$(cat port)
curl -sf $url/data | sha256sum
curl -Z --no-progress-meter -o a1 $url/data -o a2 $url/data -o a3 $url/work.sh && cmp a1 a2
curl -s -T data $url/up
curl -s -o /dev/null -w '%{http_code} %{size_download}\n' $url/none
curl -s http://127.0.0.1:1/ || echo "status $?"
rm -f port
kill $server
wait $server 2>/dev/null
echo "status $?"
"""


def setup(box):
    proglib.write(box, "work.sh", SCRIPT)
    proglib.write(box, "server.py", SERVER)
    proglib.write(box, "data", "".join(str(i) for i in range(200000)))


proglib.need("/usr/bin/curl", "/usr/bin/ssh-keygen")
proglib.plan(proglib.CHECKS)
keys = tuple("k-%s%s" % (t, p) for t in ("ed25519", "ecdsa", "rsa")
             for p in ("", ".pub")) + ("k-sig", "k-pub")
proglib.same("ssh-keygen and curl", ["/bin/bash", "work.sh"], setup=setup,
             ignore=keys, dumps=20, env={"PYTHONDONTWRITEBYTECODE": "1"})
