#!/usr/bin/env python3
"""Runs the workloads interleaved, and prints medians of user CPU time as a Markdown table. Called by run.sh."""
import argparse, hashlib, math, os, re, statistics, subprocess, sys, tempfile, time

env = os.environ
repo, data, kit = env["REPO"], env["BENCH_DATA"], env["BENCH_KIT"]
programs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Programs")

options = argparse.ArgumentParser(prog="run.sh")
options.add_argument("-r", type=int, default=5, metavar="RUNS")
options.add_argument("-o", metavar="FILE")
options.add_argument("-s", default="kit,own,start", metavar="SECTIONS")
options.add_argument("-w", default="", metavar="WORKLOADS")
options.add_argument("-x", action="append", default=[], metavar="NAME=COMMAND")
options = options.parse_args()

QUIET = dict(LC_ALL="C", OPENSSL_CONF="/dev/null", HOME="/tmp", PATH="/usr/bin:/bin", PYTHONHASHSEED="0",
             PYTHONDONTWRITEBYTECODE="1", PYTHONNOUSERSITE="1", PERL_HASH_SEED="0")


class Workload:
    """One program with fixed work. `program` is a path in the root tree, or, when static, a file's name."""

    def __init__(self, name, group, program, *arguments, stdin=None, keep=None, origin="own", static=False, native=True):
        self.name, self.group, self.program, self.arguments = name, group, program, arguments
        self.stdin, self.keep, self.origin, self.static, self.native = stdin, keep, origin, static, native


class Runner:
    def __init__(self, name, prefix=None):
        self.name, self.prefix = name, prefix

    def command(self, w):
        arch = "riscv64" if self.prefix else "amd64"
        if w.origin == "kit":
            root, binaries = f"{kit}/root/{arch}", f"{kit}/bench/{arch}"
        else:
            root, binaries = env["BENCH_ROOT_GUEST" if self.prefix else "BENCH_ROOT_NATIVE"], f"{data}/{arch}"
        program = f"{binaries}/{w.program}" if w.static else root + w.program
        if "*" in program:
            import glob
            program = glob.glob(program)[0]
        if self.prefix:
            front = [word.replace("{root}", root) for word in self.prefix]
        elif w.static:
            front = []
        else:
            front = [f"{root}/lib64/ld-linux-x86-64.so.2", "--library-path", f"{root}/usr/lib/x86_64-linux-gnu"]
        return front + [program] + [a.replace("{root}", root).replace("{data}", data) for a in w.arguments]


MICRO, FLOAT, REAL = "integer micro", "floating point", "real programs"
kit_data = f"{kit}/bench/data"
prime = str(2**1279 - 1)


def kit_workloads():
    for name in "intloop sieve fib qsort".split():
        yield Workload(name, MICRO, "suite", name, static=True, origin="kit")
    for name in "matmul nbody".split():
        yield Workload(name, FLOAT, "suite", name, static=True, origin="kit")
    def real(name, program, *arguments, **more):
        return Workload(name, REAL, program, *arguments, origin="kit", **more)
    yield real("xz7", "/usr/bin/xz", "-7", "-T1", "-c", f"{kit_data}/f1m")
    yield real("gzip9", "/usr/bin/gzip", "-9n", stdin=f"{kit_data}/f1m")
    yield real("openssl-sha256", "/usr/bin/openssl", "dgst", "-sha256", "-r", "-", stdin=f"{kit_data}/f32m")
    yield real("openssl-bn", "/usr/bin/openssl", "prime", "-checks", "24", prime, keep=rb"is prime|is not prime")
    yield real("python3", "/usr/bin/python3", "-I", "-S", f"{kit_data}/b.py")
    yield real("gawk", "/usr/bin/gawk", "-f", f"{kit_data}/b.awk", stdin=f"{data}/text700")
    yield real("sqlite3", "/usr/bin/sqlite3", "-batch", "-init", "/dev/null", ":memory:", stdin=f"{kit_data}/b.sql")
    yield real("cc1", "/usr/lib*/gcc/avr/*/cc1", "-quiet", "-O2", "-mmcu=avr5", f"{kit_data}/b.c", "-o", "-", keep=rb"(?m)^[^;].*$")


def own_workloads():
    for name in "mix bytecode hash strings virtual exceptions atomics".split():
        yield Workload(name, MICRO, name, static=True)
    for name in "float32 convert numeric".split():
        yield Workload(name, FLOAT, name, static=True, keep=rb"^[0-9a-f]{6,}|^[0-9.]{6}" if name == "numeric" else None)
    p, d = programs, data
    yield Workload("perl", REAL, "/usr/bin/perl", f"{p}/words.pl", f"{d}/text")
    yield Workload("lua", REAL, "/usr/bin/lua5.4", f"{p}/mixed.lua")
    yield Workload("bash", REAL, "/usr/bin/bash", "--norc", f"{p}/loops.sh")
    yield Workload("python-objects", REAL, "/usr/bin/python3", "-I", "-S", f"{p}/objects.py")
    yield Workload("zstd-9", REAL, "/usr/bin/zstd", "-q", "-9", "-T1", "-c", f"{d}/text")
    yield Workload("unxz", REAL, "/usr/bin/xz", "-dc", "-T1", f"{d}/text10.xz")
    yield Workload("bzip2", REAL, "/usr/bin/bzip2", "-9", "-c", f"{d}/text")
    yield Workload("sort", REAL, "/usr/bin/sort", "--parallel=1", "-k2", f"{d}/text2")
    yield Workload("grep", REAL, "/usr/bin/grep", "-cE", r"(self|cls)\.[a-z_]+\(.*(None|True).*\)$", f"{d}/text10")
    yield Workload("sqlite-index", REAL, "/usr/bin/sqlite3", "-batch", "-init", "/dev/null", ":memory:", stdin=f"{p}/queries.sql")
    yield Workload("cc1plus", REAL, "/usr/libexec/gcc/riscv64-linux-gnu/14/cc1plus", "-quiet", "-fsyntax-only", "-march=rv64gc", "-mabi=lp64d", "-isystem", "{root}/usr/include/c++/14",
                   "-isystem", "{root}/usr/include/riscv64-linux-gnu/c++/14", "-isystem", "{root}/usr/lib/gcc/riscv64-linux-gnu/14/include",
                   "-isystem", "{root}/usr/include/riscv64-linux-gnu", "-isystem", "{root}/usr/include", f"{p}/virtual.cpp", native=False)


def measure(runner, w):
    """User and system seconds, peak resident kilobytes, and what the workload answered."""
    with open(w.stdin or "/dev/null", "rb") as source, tempfile.TemporaryFile() as sink, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(runner.command(w), stdin=source, stdout=sink, stderr=errors, env=QUIET, cwd="/tmp")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        sink.seek(0)
        if w.keep:
            answer = hashlib.sha256(b"\n".join(m.group(0) for m in re.finditer(w.keep, sink.read())))
        else:
            # Never all at once: a child's peak begins with what this process holds.
            answer = hashlib.file_digest(sink, "sha256")
        errors.seek(0)
        return usage.ru_utime, usage.ru_stime, usage.ru_maxrss, (child.returncode, answer.hexdigest()), errors.read(300)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def section(title, workloads, runners, log):
    workloads = [w for w in workloads if not options.w or w.name in options.w.split(",")]
    if not workloads:
        return
    times, answers, failed = {}, {}, {}
    for run in range(options.r):
        for w in workloads:
            for runner in runners:
                if (w.name, runner.name) in failed or (not w.native and not runner.prefix):
                    continue
                print(f"\r{title}: run {run + 1} of {options.r}, {w.name}, {runner.name}{' ' * 20}", end="", file=sys.stderr)
                user, system, resident, answer, errors = measure(runner, w)
                expected = answers.setdefault(w.name, answer)
                if answer[0] != 0 or answer != expected:
                    failed[w.name, runner.name] = errors
                    continue
                times.setdefault((w.name, runner.name), []).append(user)
                log(title, w.name, runner.name, user, system, resident)
    print("\r" + " " * 90 + "\r", end="", file=sys.stderr)

    emulators = [r for r in runners if r.prefix]
    reference = emulators[0].name
    print(f"\n### {title}\n\n| workload | native s |", " | ".join(f"{r.name} × native" for r in emulators),
          "|", " | ".join(f"{r.name} : {reference} speed" for r in emulators[1:]), "|")
    print("|---|" + "--:|" * (2 * len(emulators)))
    ratios, speeds = {}, {}
    for w in workloads:
        native = times.get((w.name, "native"))
        native = statistics.median(native) if native else None
        cells, gains = [], []
        base = times.get((w.name, reference))
        for r in emulators:
            mine = times.get((w.name, r.name))
            if not mine:
                cells.append("**failed**")
            else:
                m = statistics.median(mine)
                if native:
                    ratios.setdefault((w.group, r.name), []).append(m / native)
                cells.append(f"{m / native:.2f}" if native else f"({m:.2f} s)")
            if r.name != reference:
                if mine and base:
                    gain = statistics.median(base) / max(statistics.median(mine), 1e-4)
                    speeds.setdefault((w.group, r.name), []).append(gain)
                    gains.append(f"{gain:.2f}" if gain >= 1 else f"**{gain:.2f}**")
                else:
                    gains.append("-")
        print(f"| {w.name} | {f'{native:.3f}' if native else '-'} |", " | ".join(cells), "|", " | ".join(gains), "|")
    for group in (MICRO, FLOAT, REAL):
        if not any(w.group == group for w in workloads):
            continue
        cells = [f"{geometric_mean(ratios[group, r.name]):.2f}" if (group, r.name) in ratios else "-" for r in emulators]
        gains = [f"**{geometric_mean(speeds[group, r.name]):.2f}**" if (group, r.name) in speeds else "-" for r in emulators[1:]]
        print(f"| *geometric mean, {group}* | |", " | ".join(cells), "|", " | ".join(gains), "|")
    for (name, runner), errors in failed.items():
        print(f"\n{name} under {runner}: wrong answer or status. {errors.decode(errors='replace').strip()[:200]}")
    sys.stdout.flush()


def starts(runners, log):
    """A thousand starts of /usr/bin/true, and the memory of python3 -c pass."""
    true = Workload("true", REAL, "/usr/bin/true")
    small = Workload("python3 -c pass", REAL, "/usr/bin/python3", "-I", "-S", "-c", "pass")
    everyone, emulators = runners, [r for r in runners if r.prefix]
    rounds, cpu, wall, memory, rss = 5, {}, {}, {}, {}
    for run in range(rounds):
        for runner in everyone:
            print(f"\rstart-up: round {run + 1} of {rounds}, {runner.name}{' ' * 20}", end="", file=sys.stderr)
            command = runner.command(true)
            before, began = os.times(), time.monotonic()
            for _ in range(1000 // rounds):
                subprocess.call(command, env=QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")
            after = os.times()
            cpu.setdefault(runner.name, []).append((after.children_user - before.children_user + after.children_system - before.children_system) / (1000 // rounds))
            wall.setdefault(runner.name, []).append((time.monotonic() - began) / (1000 // rounds))
            user, system, resident, _, _ = measure(runner, small)
            memory.setdefault(runner.name, []).append(resident)
            rss.setdefault(runner.name, []).append(user + system)
    print("\r" + " " * 90 + "\r", end="", file=sys.stderr)
    print("\n### Start-up and memory\n\n| |", " | ".join(r.name for r in everyone), "|")
    print("|---|" + "--:|" * len(everyone))
    line = lambda title, table, scale, digits: print(f"| {title} |", " | ".join(f"{statistics.median(table[r.name]) * scale:.{digits}f}" for r in everyone), "|")
    line("`true`, 1,000 times: CPU ms each (user + system)", cpu, 1000, 2)
    line("`true`, 1,000 times: elapsed ms each", wall, 1000, 2)
    line("`python3 -c pass`: CPU ms (user + system)", rss, 1000, 1)
    line("`python3 -c pass`: resident MB at most", memory, 1 / 1024, 1)
    sys.stdout.flush()


def main():
    runners = [Runner("native"), Runner("QEMU 10", [env["BENCH_QEMU"], "-cpu", "rv64", "-L", "{root}"])]
    apus = f"{repo}/.build/release/apus"
    if os.access(apus, os.X_OK):
        runners.append(Runner("Apus", [apus, "exec", "-L", "{root}"]))
    for extra in options.x:
        name, _, command = extra.partition("=")
        runners.append(Runner(name, command.split()))
    if not os.path.exists(f"{data}/text700") and kit:
        with open(f"{kit_data}/text", "rb") as source, open(f"{data}/text700", "wb") as sink:
            sink.write(source.read(700000))
    sink = open(options.o, "a") if options.o else None

    def log(*fields):
        if sink:
            print(*fields, sep="\t", file=sink, flush=True)

    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    print(f"User CPU time, medians of {options.r} interleaved runs, on {os.cpu_count()} cores of {model}.")
    wanted = options.s.split(",")
    if "kit" in wanted and kit:
        section("The kit's workloads", list(kit_workloads()), runners, log)
    if "own" in wanted:
        section("Workloads beyond the kit", list(own_workloads()), runners, log)
    if "start" in wanted:
        starts(runners, log)


main()
