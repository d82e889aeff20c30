#!/usr/bin/env python3
"""vvfat.py [ROUNDS [SEED]]   folders as FAT disks: mtools and fsck.fat read them, mtools changes them, and the folder must follow.

Each round makes a folder of random files, compares what mtools finds on the disk with it, then changes a copy of the disk with
mtools, writes only the sectors that differ to the disk by apus io, and compares the folder with what mtools now finds.
The executable is APUS. Ends with 'N passed, N failed'."""

import os, random, re, shutil, subprocess, sys, tempfile

EXECUTABLE = os.environ["APUS"]
KINDS = {"16": "fat:", "12": "fat:12:", "32": "fat:32:", "floppy": "fat:floppy:", "floppy 12": "fat:floppy:12:", "floppy 16": "fat:16:floppy:"}
LETTERS = "abcdefgXYZ0123 _-+=.,;[]ÄéñЖ漢"
passed = failed = 0


def ok(condition, what):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print("FAILED ", what, flush=True)
    return condition


def run(*words, check=True, **more):
    result = subprocess.run(words, capture_output=True, text=True, **more)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: status {result.returncode}: {(result.stdout + result.stderr)[:400]}")
    return result


def tree(folder):
    """Path to contents; None for a folder."""
    found = {}
    for at, folders, files in os.walk(folder):
        for name in folders:
            if not os.path.islink(os.path.join(at, name)):
                found[os.path.relpath(os.path.join(at, name), folder)] = None
        for name in files:
            path = os.path.join(at, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = file.read()
    return found


class Disk:
    """A folder, and a copy of the disk it is shown as."""

    def __init__(self, kind, folder, work):
        self.prefix, self.folder = KINDS[kind], folder
        self.offset = 0 if "floppy" in kind else 63 * 512
        self.image, self.work = os.path.join(work, "disk.img"), work
        run(EXECUTABLE, "img", "convert", "-f", "raw", "-O", "raw", self.prefix + folder, self.image)
        self.shown = self.read()
        self.environment = dict(os.environ, MTOOLS_SKIP_CHECK="1", MTOOLS_LOWER_CASE="0", LC_ALL="C.UTF-8")

    def read(self):
        with open(self.image, "rb") as file:
            return file.read()

    def mtools(self, tool, *words, check=True):
        return run(tool, "-i", f"{self.image}@@{self.offset}", *words, env=self.environment, check=check, stdin=subprocess.DEVNULL)

    def fsck(self):
        volume = os.path.join(self.work, "volume.img")
        with open(volume, "wb") as file:
            file.write(self.read()[self.offset:])
        result = run("fsck.fat", "-n", "-v", volume, check=False)
        return result.returncode == 0 or result.stdout + result.stderr

    def extracted(self):
        target = os.path.join(self.work, "extracted")
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target)
        self.mtools("mcopy", "-s", "-n", "-Q", "::*", target, check=False)
        return tree(target)

    def write_back(self):
        """The sectors that differ, to the disk that the folder is now."""
        now, commands, number = self.read(), [], 0
        sectors = [n for n in range(len(now) // 512) if now[n * 512:n * 512 + 512] != self.shown[n * 512:n * 512 + 512]]
        random.shuffle(sectors)
        start = 0
        while start < len(sectors):
            end = start + 1
            while end < len(sectors) and sectors[end] == sectors[end - 1] + 1:
                end += 1
            piece = os.path.join(self.work, f"piece{number}")
            with open(piece, "wb") as file:
                file.write(now[sectors[start] * 512:(sectors[end - 1] + 1) * 512])
            commands += ["-c", f"write -q -s {piece} {sectors[start] * 512} {(end - start) * 512}"]
            if random.random() < 0.05:
                commands += ["-c", "flush"]
            number, start = number + 1, end
        # A command line has a length.
        if len(commands) > 4000:
            commands = []
            with open(os.path.join(self.work, "whole"), "wb") as file:
                file.write(now)
            commands = ["-c", f"write -q -s {self.work}/whole 0 {len(now)}"]
        run(EXECUTABLE, "io", "-f", "raw", *commands, "-c", "flush", self.prefix.replace("fat:", "fat:rw:", 1) + self.folder)


def name():
    text = "".join(random.choice(LETTERS) for _ in range(random.choice([1, 3, 8, 12, 20, 60]))).strip(" .")
    return text or "x"


def fill(folder, count, largest, depth=0):
    taken = set()
    for _ in range(count):
        word = name()
        if word.lower() in taken:
            continue
        taken.add(word.lower())
        path = os.path.join(folder, word)
        if depth < 3 and random.random() < 0.25:
            os.mkdir(path)
            fill(path, count // 2, largest, depth + 1)
        else:
            with open(path, "wb") as file:
                file.write(random.randbytes(random.choice([0, 1, 511, 512, 2048, 8192, random.randrange(largest)])))


def change(disk, work):
    """A few changes by mtools, as a person might make them."""
    done = []
    for _ in range(random.randrange(1, 8)):
        there = disk.extracted()
        files = [p for p in there if there[p] is not None]
        folders = [p for p in there if there[p] is None]
        into = random.choice(folders + [""])
        what = random.choice(["new", "new", "over", "delete", "rename", "move", "folder", "tree", "swap"])
        source = os.path.join(work, "source")
        with open(source, "wb") as file:
            file.write(random.randbytes(random.choice([0, 1, 700, 20000])))
        target = "::" + os.path.join(into, name())
        if what == "new":
            disk.mtools("mcopy", "-n", "-D", "s", source, target, check=False)
        elif what == "over" and files:
            disk.mtools("mcopy", "-n", "-o", source, "::" + random.choice(files), check=False)
        elif what == "delete" and files:
            disk.mtools("mdel", "::" + random.choice(files), check=False)
        elif what == "rename" and files:
            disk.mtools("mren", "::" + random.choice(files), target, check=False)
        elif what == "move" and files + folders:
            disk.mtools("mmove", "::" + random.choice(files + folders), "::" + (into or "/"), check=False)
        elif what == "folder":
            disk.mtools("mmd", target, check=False)
        elif what == "tree" and folders:
            disk.mtools("mdeltree", "::" + random.choice(folders), check=False)
        elif what == "swap" and len(files) > 1:
            one, two = random.sample(files, 2)
            if not disk.mtools("mren", "::" + one, "::swapped", check=False).returncode:
                disk.mtools("mren", "::" + two, "::" + one, check=False)
                disk.mtools("mren", "::swapped", "::" + two, check=False)
        done.append(what)
    return done


def trial(kind, work):
    folder = os.path.join(work, "folder")
    os.mkdir(folder)
    small = "floppy" in kind
    fill(folder, 8 if small else 14, 20000 if small else 300000)
    disk = Disk(kind, folder, work)
    state = disk.fsck()
    ok(state is True, f"{kind}: fsck.fat: {state}")
    before, found = tree(folder), disk.extracted()
    ok(found == before, f"{kind}: mtools finds other files: {sorted(set(found) ^ set(before))[:6]}")
    for _ in range(2):
        what = change(disk, work)
        disk.write_back()
        disk.shown = disk.read()
        expected, after = disk.extracted(), tree(folder)
        different = [p for p in set(expected) | set(after) if expected.get(p, 0) != after.get(p, 0)]
        if not ok(not different, f"{kind}: after {what} the folder differs: {sorted(different)[:6]}"):
            return
        # What is shown now is another disk with the same files.
        disk = Disk(kind, folder, work)


rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
random.seed(seed)
for number in range(rounds):
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as work:
            try:
                trial(kind, work)
            except RuntimeError as error:
                ok(False, f"{kind}: {error}")
if failed:
    print(f"seed {seed}")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
