#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""`zsmalloc store`: what goes in comes out, and what goes wrong is told in one line and leaves no
file that looks whole.

usage: test_store.py ZSMALLOC BROKEN [SEED]

BROKEN is the command on a store that damages a page. What needs root, or a program that is missing,
is left out with one line.
"""

import contextlib
import json
import os
import pathlib
import pty
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ZSMALLOC, BROKEN = map(os.path.abspath, sys.argv[1:3])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
PATIENCE = 300


def make_data(pages, seed):
    """Pages that compress, some of one word, some that don't compress; the last is not whole."""
    rng = random.Random(seed)
    data = bytearray()
    for number in range(pages):
        kind = number % 10
        if kind == 0:
            data += bytes([number % 3]) * PAGE
        elif kind == 1:
            data += rng.randbytes(PAGE)
        else:
            data += (b"%d " % rng.getrandbits(64) * PAGE)[:PAGE // 2] + rng.randbytes(PAGE // 2)
    return bytes(data[:-100])


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Test:
    """Each has a directory of its own, the current one, with the input "in"."""

    pages = 2000

    def __init__(self, directory):
        self.directory = directory
        self.data = make_data(self.pages, SEED)
        pathlib.Path("in").write_bytes(self.data)

    @staticmethod
    def run(*arguments, command=ZSMALLOC, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([command, "store", *map(str, arguments)], check=False,
                              timeout=PATIENCE, **options)

    def succeeds(self, *arguments, **options):
        ran = self.run(*arguments, **options)
        assert ran.returncode == 0 and not ran.stderr, (arguments, ran)
        return ran.stdout

    def refuses(self, text, *arguments, status=2, **options):
        """One line on stderr, nothing on stdout, no output and no part of one."""
        ran = self.run(*arguments, **options)
        told = ran.stderr.decode()
        assert ran.returncode == status, (arguments, ran)
        assert text in told and told.startswith("zsmalloc: store: "), (arguments, told)
        assert told.count("\n") == 1 and not ran.stdout, (arguments, ran)
        self.nothing_left()

    @staticmethod
    def nothing_left():
        assert not list(pathlib.Path().glob("*partial*")), os.listdir()
        assert not os.path.exists("out")

    def is_whole(self, path="out"):
        return pathlib.Path(path).read_bytes() == self.data

    @contextlib.contextmanager
    def piped(self, *arguments, data=None, **options):
        """The command with its input from a pipe that stays open; @data is in it."""
        with subprocess.Popen([ZSMALLOC, "store", *map(str, arguments)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as ran:
            try:
                ran.stdin.write(self.data if data is None else data)
                ran.stdin.flush()
                yield ran
            finally:
                if ran.poll() is None:
                    ran.kill()


class RoundTrip(Test):
    def test_kinds(self):
        for arguments in ([], ["-a", "zstd", "-l", "-5"], ["-a", "zstd", "-d"],
                          ["-a", "lz4", "-r", "deflate"]):
            self.succeeds(*arguments, "--verify", "in", "out")
            assert self.is_whole(), arguments
            assert os.listdir() in (["in", "out"], ["out", "in"])

    def test_figures(self):
        report = json.loads(self.succeeds("--json", "--verify", "-r", "zstd", "in"))
        stored = report["stored"]
        assert report["bytes"] == len(self.data) and report["output"] is None
        assert stored["orig_data_size"] == self.pages * PAGE
        assert stored["same_pages"] == self.pages // 10
        assert stored["huge_pages"] == self.pages // 10
        kept = sum(one["compr_data_size"] for one in report["compressors"])
        pages = sum(one["pages"] for one in report["compressors"])
        assert pages == self.pages - self.pages // 5
        assert stored["compr_data_size"] == kept + stored["huge_pages"] * PAGE
        assert abs(report["ratio"] - stored["orig_data_size"] / stored["compr_data_size"]) < 1e-9
        assert report["verified"] and report["export"] == 0 and report["recompress"] > 0

    def test_text(self):
        told = self.succeeds("in").decode()
        assert f"{self.pages} pages, {self.pages // 10} same-filled" in told
        assert "Export" not in told

    def test_pipes(self):
        with open("in", "rb") as source:
            ran = self.run("--json", "-", "-", stdin=source)
        assert ran.stdout == self.data and json.loads(ran.stderr)["bytes"] == len(self.data)

    def test_odd_sizes(self):
        for size in (0, 1, PAGE - 1, PAGE, PAGE + 1, 64 * PAGE, 64 * PAGE + 1):
            self.data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            pathlib.Path("in").write_bytes(self.data)
            self.succeeds("-v", "in", "out")
            assert self.is_whole(), size

    def test_holes(self):
        os.truncate("in", 256 * MIB)
        self.succeeds("-v", "in", "out")
        assert os.stat("out").st_size == 256 * MIB
        assert os.stat("out").st_blocks * 512 < 2 * len(self.data)

    def test_file_that_was_there(self):
        pathlib.Path("out").write_text("old")
        os.chmod("out", 0o640)
        os.symlink("out", "link")
        self.succeeds("in", "link")
        assert self.is_whole() and os.path.islink("link")
        assert os.stat("out").st_mode & 0o777 == 0o640
        self.succeeds("in", "in")
        assert self.is_whole("in")

    def test_device(self):
        if os.getuid() or not shutil.which("losetup"):
            print("SKIPPED: block devices need root and losetup")
            return
        for name, size in (("big", len(self.data) + MIB), ("small", len(self.data) - MIB)):
            with open(name, "wb") as file:
                file.truncate(size // PAGE * PAGE)
        devices = []
        try:
            for name in ("big", "small"):
                ran = subprocess.run(["losetup", "--find", "--show", name], check=False,
                                     capture_output=True, text=True)
                if ran.returncode:
                    print("SKIPPED: no loop devices here")
                    return
                devices.append(ran.stdout.strip())
            self.succeeds("-v", "in", devices[0])
            assert pathlib.Path(devices[0]).read_bytes()[:len(self.data)] == self.data
            self.refuses("is too small", "in", devices[1])
            with open("in", "rb") as source:
                self.refuses("is too small", "-", devices[1], stdin=source)
            assert not any(pathlib.Path(devices[1]).read_bytes())
            self.data = pathlib.Path(devices[0]).read_bytes()
            self.succeeds("-v", devices[0], "out")
            assert self.is_whole()
        finally:
            for device in devices:
                subprocess.run(["losetup", "--detach", device], check=True)


class WrongInput(Test):
    def test_arguments(self):
        self.refuses("takes an INPUT")
        self.refuses("not 3 names", "in", "out", "more")
        self.refuses("--limit takes", "-L", "0", "in", "out")
        self.refuses("--level takes", "-l", "x", "in", "out")
        self.refuses("zstd has no level 99", "-a", "zstd", "-l", "99", "in", "out")
        self.refuses('unknown algorithm "zip"', "-a", "zip", "in", "out")
        self.refuses('unknown algorithm "zip"', "-r", "zip", "in", "out")
        self.refuses("--dictionary is for zstd", "-d", "in", "out")
        self.refuses("--writeback needs a --limit", "-w", "in", "in", "out")
        self.refuses("is no name of a file", "in", "")

    def test_unreadable(self):
        self.refuses('cannot read "none": No such file', "none", "out")
        self.refuses('cannot read ".": Is a directory', ".", "out")
        self.refuses('cannot read "/proc/self/mem": ', "/proc/self/mem", "out")
        self.refuses("--dictionary needs an input", "-a", "zstd", "-d", "-", "out")
        pathlib.Path("few").write_bytes(bytes(3 * PAGE))
        self.refuses("makes no dictionary", "-a", "zstd", "-d", "few", "out")

    def test_closed(self):
        def close(*files):
            return lambda: [os.close(file) for file in files]
        self.refuses('cannot read "standard input": Bad file', "-", "out", preexec_fn=close(0))
        self.refuses('cannot write "standard output": Bad file', "in", "-", preexec_fn=close(1))
        assert self.run("in", "out", preexec_fn=close(2)).returncode == 0
        assert self.is_whole()

    def test_limit(self):
        self.refuses("--limit 1.0 MiB is reached after", "-L", "1M", "in", "out")
        with open("in", "rb") as source:
            self.refuses("is reached after", "-L", "1M", "-", "out", stdin=source)


class WrongOutput(Test):
    def test_unwritable(self):
        self.refuses('cannot write "none/out": No such file', "in", "none/out")
        self.refuses('cannot write ".": Is a directory', "in", ".")
        self.refuses('cannot write "/dev/full": No space left', "in", "/dev/full")

    def test_file_too_large(self):
        """The file that is there stays as it was."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
        self.refuses('cannot write "out": File too large, after 1.0 of', "in", "out",
                     preexec_fn=limit)
        pathlib.Path("old").write_text("old")
        self.refuses("File too large", "in", "old", preexec_fn=limit)
        assert pathlib.Path("old").read_text() == "old"

    def test_full_disk(self):
        os.mkdir("disk")
        ran = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", "disk"],
                             check=False, stderr=subprocess.DEVNULL)
        if ran.returncode:
            print("SKIPPED: a full disk needs a mount")
            return
        try:
            self.refuses('cannot write "disk/out": No space left on device, after', "in",
                         "disk/out")
            assert not os.listdir("disk")
        finally:
            subprocess.run(["umount", "disk"], check=True)

    def test_pipe_without_reader(self):
        for restored, wanted in (True, -signal.SIGPIPE), (False, 2):
            reader, writer = os.pipe()
            os.close(reader)
            ran = self.run("in", "-", stdout=writer, restore_signals=restored)
            os.close(writer)
            assert ran.returncode == wanted, ran
            assert ran.stderr.count(b"\n") == (0 if restored else 1)

    def test_damage(self):
        self.refuses("came back changed", "in", "out", command=BROKEN, status=1)
        self.refuses("came back changed", "--verify", "in", command=BROKEN, status=1)

    def test_signals(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            # What runs the tests may ignore some, by nohup for one: the command would, too.
            signal.signal(number, signal.SIG_DFL)
            with self.piped("-", "out") as ran:
                wait_for("a part", lambda: list(pathlib.Path().glob("out.partial-*")))
                ran.send_signal(number)
                assert ran.wait(PATIENCE) == -number
            self.nothing_left()


class Writeback(Test):
    limit = ["--limit", "2M"]

    @staticmethod
    def make_file(size):
        with open("cold", "wb") as file:
            file.truncate(size)

    def test_goes_there(self):
        self.make_file(16 * MIB)
        report = json.loads(self.succeeds(*self.limit, "-w", "cold", "-v", "--json", "in", "out"))
        assert self.is_whole()
        assert report["written_back"] > 0 and report["room_to_write_back"] == 16 * MIB // PAGE
        assert report["stored"]["mem_used_total"] <= 2 * MIB

    def test_no_file(self):
        self.refuses("truncate -s 4G cold", *self.limit, "-w", "cold", "in", "out")
        self.make_file(PAGE - 1)
        self.refuses("has no room for a page", *self.limit, "-w", "cold", "in", "out")
        self.refuses("Is a directory", *self.limit, "-w", ".", "in", "out")

    def test_too_small(self):
        self.make_file(MIB)
        self.refuses('"cold" is full', *self.limit, "-w", "cold", "in", "out")

    def test_shrinks(self):
        """It has pages already when it is cut; the import still waits for its pipe."""
        self.make_file(16 * MIB)
        with self.piped(*self.limit, "-w", "cold", "-", "out") as ran:
            wait_for("write-back", lambda: os.stat("cold").st_blocks)
            os.truncate("cold", 0)
            _, told = ran.communicate(timeout=PATIENCE)
            assert ran.returncode == 2 and told.count(b"\n") == 1, told
            assert b"does not come back" in told and b"shrank" in told, told
        self.nothing_left()

    @contextlib.contextmanager
    def failing_device(self):
        """A file "device/nbd" whose reads or writes fail while there is a file "bad-…"."""
        os.mkdir("device")
        server = ["nbdkit", "--exit-with-parent", "--foreground", "--unix", "socket",
                  "--filter=error", "memory", "16M", "error=EIO", "error-pread-rate=100%",
                  f"error-pread-file={self.directory}/bad-reads", "error-pwrite-rate=100%",
                  f"error-pwrite-file={self.directory}/bad-writes"]
        with subprocess.Popen(server, stderr=subprocess.DEVNULL) as nbdkit:
            wait_for("nbdkit", lambda: os.path.exists("socket"))
            with subprocess.Popen(["nbdfuse", "device", f"nbd+unix:///?socket={self.directory}"
                                   "/socket"]) as nbdfuse:
                try:
                    wait_for("nbdfuse", lambda: os.path.exists("device/nbd"))
                    yield
                finally:
                    subprocess.run(["umount", "device"], check=True)
                    nbdfuse.wait(PATIENCE)
                    nbdkit.terminate()

    def test_device_fails(self):
        if not all(map(shutil.which, ("nbdkit", "nbdfuse"))) or \
           not os.access("/dev/fuse", os.W_OK) or os.getuid():
            print("SKIPPED: a device that fails needs nbdkit, nbdfuse and root")
            return
        arguments = [*self.limit, "-w", "device/nbd", "-v"]
        with self.failing_device():
            pathlib.Path("bad-writes").touch()
            self.refuses('cannot write "device/nbd": ', *arguments, "in", "out")
            os.remove("bad-writes")
            with self.piped(*arguments, "-", "out") as ran:
                pathlib.Path("bad-reads").touch()
                _, told = ran.communicate(timeout=PATIENCE)
                assert ran.returncode == 2 and told.count(b"\n") == 1, told
                assert b'does not come back from --writeback "device/nbd"' in told, told
            self.nothing_left()
            os.remove("bad-reads")
            self.succeeds(*arguments, "in", "out")
            assert self.is_whole()


class Killed(Test):
    def test_at_any_moment(self):
        """What has the output's name is what was there, or whole. The rest is named as a part."""
        rng = random.Random(SEED)
        Writeback.make_file(16 * MIB)
        arguments = [ZSMALLOC, "store", "-L", "2M", "-w", "cold", "-v", "in", "out"]
        start = time.monotonic()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - start
        assert self.is_whole()
        kept = 0
        for _ in range(10):
            pathlib.Path("out").write_text("old")
            with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as ran:
                time.sleep(rng.random() * took)
                ran.kill()
            old = pathlib.Path("out").read_bytes() == b"old"
            assert old or self.is_whole()
            kept += old
            for name in os.listdir():
                assert name in ("in", "out", "cold") or name.startswith("out.partial-"), name
            for part in pathlib.Path().glob("out.partial-*"):
                part.unlink()
        print(f"killed 10 times, the old file was there {kept} times")
        self.succeeds(*arguments[2:])
        assert self.is_whole()


class Seen(Test):
    def test_live(self):
        """A terminal shows the store, once the work has taken two seconds."""
        terminal, other = pty.openpty()
        with subprocess.Popen([ZSMALLOC, "store", "-", "out"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=other) as ran:
            os.close(other)
            shown = b""
            for at in range(0, len(self.data), 64 * PAGE):
                ran.stdin.write(self.data[at:at + 64 * PAGE])
                ran.stdin.flush()
                if not shown and select.select([terminal], [], [], 1)[0]:
                    shown = os.read(terminal, 65536)
            ran.stdin.close()
            with contextlib.suppress(OSError):
                while part := os.read(terminal, 65536):
                    shown += part
            assert ran.wait(PATIENCE) == 0
        os.close(terminal)
        for text in (b"Importing", b"same-filled", b"Kept ", b"Import ", b"\033[J"):
            assert text in shown, shown
        assert shown.endswith(b"\r\033[J")
        assert self.is_whole()

    def test_top(self):
        """The store stands beside its pool for those that look, if that was asked for."""
        def pools(pid):
            told = subprocess.run([ZSMALLOC, "top", "--json", f"--pid={pid}"], check=False,
                                  capture_output=True)
            return json.loads(told.stdout)["programs"][0]["pools"] if not told.returncode else []

        Writeback.make_file(16 * MIB)
        data = self.data + bytes(100)
        with self.piped("-L", "2M", "-w", "cold", "-", data=data,
                        env={**os.environ, "ZSMALLOC_PUBLISH": "1"}) as ran:
            wait_for("all but the chunk that is not full",
                     lambda: pools(ran.pid) and pools(ran.pid)[0]["store"] and
                     pools(ran.pid)[0]["store"]["pages"] == self.pages // 64 * 64)
            store = pools(ran.pid)[0]["store"]
            assert store["same_pages"] == -(-(self.pages // 64 * 64) // 10)
            assert 0 < store["written_back"] <= store["ever_written_back"]
            shown = subprocess.run([ZSMALLOC, "top", "--once", f"--pid={ran.pid}"], check=True,
                                   capture_output=True, text=True).stdout
            assert f"store      {store['pages']} pages, " in shown
            assert f"write-back {store['written_back']} pages there" in shown
        with self.piped("-", env={key: value for key, value in os.environ.items()
                                  if key != "ZSMALLOC_PUBLISH"}) as ran:
            assert not pools(ran.pid)


def main():
    print(f"seed {SEED}")
    os.umask(0o022)
    for kind in (RoundTrip, WrongInput, WrongOutput, Writeback, Killed, Seen):
        for name in sorted(vars(kind)):
            if not name.startswith("test_"):
                continue
            with tempfile.TemporaryDirectory() as directory:
                os.chdir(directory)
                getattr(kind(directory), name)()
                os.chdir("/")
            print(f"ok: {kind.__name__}: {name}", flush=True)


if __name__ == "__main__":
    main()
