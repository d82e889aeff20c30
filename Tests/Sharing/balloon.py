# balloon.py SOCKET   the host's side of the balloon test, over QMP: statistics, 128 MiB, back to 256, and what the process takes.
import json, os, socket, sys, time

path, end = sys.argv[1], time.time() + 150
while True:
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(path); break
    except OSError:
        s.close(); time.sleep(0.2)
        if time.time() > end: sys.exit("no monitor")
f = s.makefile("rw")
events = []

def command(name, **arguments):
    f.write(json.dumps({"execute": name, "arguments": arguments}) + "\n"); f.flush()
    while True:
        answer = json.loads(f.readline())
        if "return" in answer: return answer["return"]
        if "error" in answer: sys.exit("%s: %s" % (name, answer["error"]["desc"]))
        if "event" in answer: events.append(answer["event"])

def resident():    # of the process on the other side, KiB
    pid = int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
    return int(next(l for l in open("/proc/%d/status" % pid) if l.startswith("VmRSS")).split()[1])

f.readline()
command("qmp_capabilities")
balloon = "/machine/peripheral/b"
command("qom-set", path=balloon, property="guest-stats-polling-interval", value=1)
assert command("qom-get", path=balloon, property="guest-stats-polling-interval") == 1
peak = 0
while time.time() < end:
    stats = command("qom-get", path=balloon, property="guest-stats")
    peak = max(peak, resident())
    # The guest has used 100 MiB and freed them: it reports them, and the process becomes smaller.
    if stats["last-update"] and stats["stats"]["stat-total-memory"] < 260 << 20 and peak - resident() > 60 << 10: break
    time.sleep(0.3)
if stats["last-update"]: print("STATISTICS", stats["stats"]["stat-total-memory"] >> 20, stats["stats"]["stat-free-memory"] >> 20, flush=True)
if peak - resident() > 60 << 10: print("REPORTED", peak >> 10, resident() >> 10, flush=True)

def reach(size):
    command("balloon", value=size)
    while time.time() < end and command("query-balloon")["actual"] != size: time.sleep(0.3)
    return command("query-balloon")["actual"] == size

if reach(128 << 20): print("SMALLER", resident() >> 10, flush=True)
if "BALLOON_CHANGE" in events: print("BALLOON_CHANGE", flush=True)
time.sleep(6)
if reach(256 << 20): print("LARGER", flush=True)
