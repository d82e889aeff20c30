#!/usr/bin/env python3
"""trials.py model|kill COUNT [SEED [FORMAT…]]   random trials of every writable image format, with apus io and apus img.

model: COUNT operations on an image of each variant of a format (writes, compressed writes, zeroing, discards, flushes, sizes,
snapshots, commits, rebases), each done to a plain copy too; each run of apus io is followed by check and by a comparison of
all that the disk holds, snapshots at the end.
kill: at COUNT random points, apus io is killed (kill -9) while it writes; what a flush has acknowledged is there, and check
finds nothing beyond leaks.
The executable is APUS. Ends with 'N passed, N failed', a case a variant. With --verbose: what was done."""

import collections, os, random, shutil, signal, subprocess, sys, tempfile, time

EXECUTABLE = os.environ["APUS"]
SECRET = ["--object", "secret,id=s,data=geheim"]
SECTOR = 512


class Subject:
    """A format with creation options."""

    def __init__(self, format, options="", size=4 << 20, stands_on=None, secret=None, compresses=0, files=1):
        self.format, self.options, self.size, self.stands_on = format, options, size, stands_on
        # The open option that names the password; the unit of compressed writes, 0: none; in how many files an image is.
        self.secret, self.compresses, self.files = secret, compresses, files
        self.name = f"{format} {options}".strip()
        self.resizes = format in ("raw", "qcow2", "qed")
        self.grows_only = format == "qed"
        # Until it is closed, a mark says that the metadata may be old: who opens it for writing next mends it.
        self.marks_use = "lazy_refcounts" in options or format == "parallels"


SUBJECTS = [
    Subject("raw"),
    Subject("vdi"),
    Subject("qcow2", stands_on="raw", compresses=65536),
    Subject("qcow2", "compat=0.10,cluster_size=4k", stands_on="qcow2", compresses=4096),
    Subject("qcow2", "cluster_size=512", stands_on="raw", compresses=512),
    Subject("qcow2", "cluster_size=1k,refcount_bits=64", stands_on="qcow2", compresses=1024),
    Subject("qcow2", "extended_l2=on,cluster_size=16k", stands_on="raw", compresses=16384),
    Subject("qcow2", "lazy_refcounts=on,cluster_size=4k", stands_on="raw", compresses=4096),
    Subject("qcow2", "cluster_size=512,encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", secret="encrypt.key-secret"),
    Subject("vpc", "force_size=on", 6 << 20),
    Subject("vmdk"),
    Subject("vmdk", "zeroed_grain=on"),
    Subject("vmdk", "subformat=twoGbMaxExtentSparse", files=2),
    Subject("vhdx", "block_size=1M"),
    Subject("parallels", "cluster_size=64k"),
    Subject("qed", "cluster_size=4k,table_size=2", stands_on="raw"),
    Subject("qcow", compresses=4096),
    Subject("luks", "key-secret=s,iter-time=10", secret="key-secret"),
]


class Failure(Exception):
    pass


def img(verb, *words, accepted=(0,)):
    done = subprocess.run([EXECUTABLE, "img", verb, *SECRET, *words], capture_output=True, text=True)
    if done.returncode not in accepted:
        raise Failure(f"img {verb} {' '.join(words)}: status {done.returncode}: {(done.stdout + done.stderr)[:400]}")


def flat(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def expect(found, wanted, what):
    if found != wanted:
        at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
        raise Failure(f"{what}: byte {at} of {len(found)} is another, expected {len(wanted)} bytes")


class Image:
    """An image in a folder of its own."""

    def __init__(self, subject, folder):
        self.subject, self.folder, self.path = subject, folder, folder + "/top"
        options = ["-o", subject.options] if subject.options else []
        img("create", "-q", "-f", subject.format, *options, self.path, str(subject.size))

    @property
    def named(self):
        """How verbs name it."""
        if self.subject.secret:
            return ["--image-opts", f"driver={self.subject.format},{self.subject.secret}=s,file.filename={self.path}"]
        return ["-f", self.subject.format, self.path]

    def contents(self):
        img("convert", *self.named, "-O", "raw", self.folder + "/flat")
        return flat(self.folder + "/flat")

    def check(self, leaks=False):
        if self.subject.marks_use and leaks:
            subprocess.run([EXECUTABLE, "io", *self.named, "-c", "flush"], check=True, capture_output=True)
        img("check", *self.named, accepted=(0, 3, 63) if leaks else (0, 63))

    def shell(self, *options):
        """The command line of apus io."""
        return [EXECUTABLE, "io", *SECRET, "-d", "unmap", *options, *self.named]


class Numbers(random.Random):
    def span(self, size, most):
        """A range of a disk; half of them begin and end with a sector or more."""
        start = self.randrange(size)
        count = min(size - start, self.randrange(most) + 1)
        if self.random() < .5:
            unit = self.choice([512, 4096, 65536])
            start -= start % unit
            count = min(-(-count // unit) * unit, size - start)
        return start, count


class Model:
    """One trial of `model`."""

    def __init__(self, subject, folder, seed):
        self.subject, self.folder, self.random = subject, folder, Numbers(f"{seed} {subject.name}")
        self.image = Image(subject, folder)
        # What was never written of an encrypted disk decrypts to anything.
        self.wanted = self.image.contents() if subject.format == "luks" else bytearray(subject.size)
        # 1: discarded, so that it may be zero instead.
        self.loose = bytearray(subject.size)
        self.saved, self.bases, self.below, self.done = [], {}, "", 0
        self.counts = collections.Counter()
        self.source = folder + "/source"
        self.pattern = bytes(self.random.randrange(1, 256) for _ in range(65536)) * 8
        with open(self.source, "wb") as file:
            file.write(self.pattern[:65536])

    def note(self, kind):
        self.counts[kind] += 1
        self.done += 1

    def put(self, start, data, kind):
        self.note(kind)
        self.wanted[start:start + len(data)] = data
        self.loose[start:start + len(data)] = bytes(len(data))

    def request(self):
        """A command of apus io, done to the model too."""
        chance, size = self.random.random(), len(self.wanted)
        if chance < .55:
            start, count = self.random.span(size, 400000 if self.random.random() < .1 else 20000)
            if self.random.random() < .5:
                self.put(start, self.pattern[:count], "write")
                return f"write -s {self.source} {start} {count}"
            byte = self.random.randrange(1, 256)
            self.put(start, bytes([byte]) * count, "write")
            return f"write -P {byte} {start} {count}"
        if chance < .82:
            start, count = self.random.span(size, size if self.random.random() < .3 else 100000)
            if chance < .7:
                self.put(start, bytes(count), "write zeroes")
                return f"write -z {self.random.choice(['', '-u '])}{start} {count}"
            self.note("discard")
            self.loose[start:start + count] = b"\1" * count
            return f"discard {start} {count}"
        if chance < .9 and self.subject.compresses:
            unit = self.subject.compresses
            start = self.random.randrange(size) // unit * unit
            count, byte = min(unit, size - start), self.random.randrange(1, 256)
            self.put(start, bytes([byte]) * count, "compressed write")
            return f"write -c -P {byte} {start} {count}"
        self.note("flush")
        return "flush"

    def verify(self, what):
        self.image.check()
        found = self.image.contents()
        if len(found) != len(self.wanted):
            raise Failure(f"{what}: {len(found)} bytes, expected {len(self.wanted)}")
        for page in range(0, len(found), 4096):
            if found[page:page + 4096] == self.wanted[page:page + 4096]:
                continue
            for at in range(page, min(page + 4096, len(found))):
                if found[at] != self.wanted[at] and (found[at] or not self.loose[at]):
                    raise Failure(f"{what}: byte {at} is {found[at]}, expected {self.wanted[at]}")
        self.wanted, self.loose = found, bytearray(len(found))

    def run(self, count):
        while self.done < count:
            commands = [self.request() for _ in range(self.random.randrange(8, 30))]
            done = subprocess.run(self.image.shell("-t", "unsafe"), input="\n".join(commands) + "\n", capture_output=True, text=True)
            said = done.stdout + done.stderr
            if done.returncode or "failed" in said or "rror" in said:
                raise Failure(f"apus io ended with {done.returncode} before operation {self.done}: {said[-300:]}")
            self.verify(f"after operation {self.done}")
            for action in self.random.sample([self.resize, self.snapshot, self.snapshot, self.rebase, self.commit], 3):
                before = self.done
                action()
                if self.done > before:
                    self.verify(f"after {action.__name__}, operation {self.done}")
        for name, contents in self.saved:
            self.inside("-a", name)
            expect(self.image.contents(), contents, f"snapshot {name}")
        self.image.check()

    def resize(self):
        if not self.subject.resizes or "0.10" in self.subject.options and self.saved:
            return
        size = (self.random.randrange(self.subject.size * 3 // 2 // SECTOR) + 2048) * SECTOR
        if self.subject.grows_only and size < len(self.wanted):
            return
        self.note("resize")
        img("resize", "-q", "--shrink", *self.image.named, str(size))
        self.wanted = self.wanted[:size] + bytearray(max(0, size - len(self.wanted)))
        self.loose = bytearray(size)

    def inside(self, action, name):
        naming = ["--image-opts"] if self.subject.secret else ["-f", self.subject.format]
        img("snapshot", *naming, action, name, self.image.named[-1])

    def snapshot(self):
        if self.subject.format != "qcow2":
            return
        action = self.random.choice("cad")
        if action == "c" and len(self.saved) < 4:
            self.note("snapshot create")
            self.saved.append((f"s{self.done}", bytearray(self.wanted)))
            self.inside("-c", self.saved[-1][0])
        elif action == "a" and self.saved:
            self.note("snapshot apply")
            name, contents = self.random.choice(self.saved)
            self.inside("-a", name)
            self.wanted, self.loose = bytearray(contents), bytearray(len(contents))
        elif action == "d" and self.saved:
            self.note("snapshot delete")
            self.inside("-d", self.saved.pop(self.random.randrange(len(self.saved)))[0])

    def base(self):
        """An image to stand on, shorter or longer."""
        path = f"{self.folder}/base{self.random.randrange(3)}"
        if path not in self.bases:
            size = (self.random.randrange(self.subject.size * 3 // 2 // SECTOR) + 512) * SECTOR
            contents = bytearray(size)
            for _ in range(10):
                start, count = self.random.span(size, 100000)
                contents[start:start + count] = self.pattern[1:count + 1]
            with open(path + ".raw", "wb") as file:
                file.write(contents)
            img("convert", "-f", "raw", "-O", self.subject.stands_on, path + ".raw", path)
            self.bases[path] = contents
        return path

    def rebase(self):
        if not self.subject.stands_on or self.saved:
            return
        self.note("rebase")
        self.below = "" if self.random.random() < .2 else self.base()
        img("rebase", "-f", self.subject.format, "-b", self.below, *(["-F", self.subject.stands_on] if self.below else []), self.image.path)

    def commit(self):
        if not self.below or self.saved:
            return
        self.note("commit")
        img("commit", "-q", "-f", self.subject.format, self.image.path)
        contents = self.bases[self.below]
        contents += bytearray(max(0, len(self.wanted) - len(contents)))
        contents[:len(self.wanted)] = self.wanted
        img("convert", "-f", self.subject.stands_on, "-O", "raw", self.below, self.folder + "/flat")
        expect(flat(self.folder + "/flat"), contents, "the backing file after a commit")


def kill_one(image, start, numbers):
    """Kills one writer."""
    size, plan = image.subject.size, []
    for _ in range(60):
        chance = numbers.random()
        if chance < .18:
            plan.append(("flush", 0, b""))
            continue
        at = numbers.randrange(size)
        if chance < .3:
            count = min(size - at, numbers.randrange(200000) + 1)
            plan.append((f"write -z {numbers.choice(['', '-u '])}{at} {count}", at, bytes(count)))
        else:
            count, byte = min(size - at, numbers.randrange(40000) + 1), numbers.randrange(1, 256)
            plan.append((f"write -P {byte} {at} {count}", at, bytes([byte]) * count))
    writer = subprocess.Popen(image.shell(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdin.write(("\n".join(step[0] for step in plan) + "\nsleep 5000\n").encode())
    writer.stdin.flush()
    # A prompt is said before each command: so many, but the last, are over.
    said, prompt, wanted = b"", b"io> ", numbers.randrange(1, 61)
    while said.count(prompt) < wanted and (more := os.read(writer.stdout.fileno(), 256)):
        said += more
    time.sleep(numbers.random() * .0005)
    writer.send_signal(signal.SIGKILL)
    while more := os.read(writer.stdout.fileno(), 65536):
        said += more
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()
    ended = said.count(prompt) - 1
    now, safe, touched = bytearray(start), bytearray(start), set()
    for number, (command, at, data) in enumerate(plan[:ended + 1]):
        touched.update(range(at // SECTOR, (at + len(data) + SECTOR - 1) // SECTOR))
        if number == ended:
            break
        now[at:at + len(data)] = data
        if command == "flush":
            safe, touched = bytearray(now), set()
    image.check(leaks=True)
    found = image.contents()
    if len(found) != size:
        raise Failure(f"{len(found)} bytes, expected {size}")
    for sector in range(size // SECTOR):
        place = slice(sector * SECTOR, (sector + 1) * SECTOR)
        if sector not in touched and found[place] != safe[place]:
            raise Failure(f"sector {sector}, which a flush had acknowledged, is another")


def kill(subject, folder, seed, count):
    numbers, image = Numbers(f"{seed} {subject.name}"), Image(subject, folder)
    start = image.contents()
    os.rename(image.path, folder + "/empty")
    for point in range(count):
        subprocess.run(["cp", "--sparse=always", folder + "/empty", image.path], check=True)
        try:
            kill_one(image, start, numbers)
        except Failure as failure:
            raise Failure(f"point {point}: {failure}") from None
    return f"{count} points"


def model(subject, folder, seed, count):
    trial = Model(subject, folder, seed)
    trial.run(count)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(trial.counts.items()))


def main():
    words = [word for word in sys.argv[1:] if word != "--verbose"]
    trial, count, seed = {"model": model, "kill": kill}[words[0]], int(words[1]), int(words[2]) if len(words) > 2 else 1
    passed = failed = 0
    for subject in SUBJECTS:
        if words[3:] and subject.format not in words[3:] or trial is kill and subject.files > 1:
            continue
        folder, began = tempfile.mkdtemp(prefix="apus-trial."), time.time()
        try:
            done = trial(subject, folder, seed, count)
            passed += 1
            if "--verbose" in sys.argv:
                print(f"{subject.name}: {done}; {time.time() - began:.0f} s", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAILED  {words[0]} {subject.name}, seed {seed}: {failure}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
