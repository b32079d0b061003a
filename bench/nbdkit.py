#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Measures the RAM disk against nbdkit's own, `nbdkit memory allocator=zstd`.

usage: nbdkit.py PLUGIN [ROUNDS [FILE.json]]

Each round starts a server of each kind in turn, and copies the same data to it: a gigabyte of this
machine's own files. fio then reads and writes 4 KiB at random, each for two seconds, with one
connection and with eight. What fio writes compresses to a half. At last all is trimmed at once.
Prints medians, the least and the most, and what ours is times theirs. FILE.json gets all rounds,
for scripts/plot-ramdisk.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import report

BYTES = 1 << 30
SECONDS = 2
TRIM = ("import time; t = time.monotonic(); h.trim(1 << 30, 0); "
        "print(1e3 * (time.monotonic() - t))")


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"nbdkit.py: {command[0]} ended with {done.returncode}")
    return done.stdout


def make_data(file):
    """Files of /usr/lib and /usr/bin in the order of their names, up to BYTES."""
    left = BYTES
    for top in ("/usr/bin", "/usr/lib"):
        for name in sorted(pathlib.Path(top).rglob("*")):
            if left and name.is_file() and not name.is_symlink() and os.access(name, os.R_OK):
                with open(name, "rb") as source:
                    part = source.read(left)
                file.write(part)
                left -= len(part)
    file.truncate(BYTES)


def resident_mib(server):
    pages = int(pathlib.Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def operations(directory, uri, kind, connections):
    """Operations per second of all connections, and the time in µs that 99 % of them keep to."""
    told = run(
        "fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--rw=rand{kind}", "--bs=4k",
        f"--size={BYTES}", f"--numjobs={connections}", "--iodepth=4", "--time_based",
        f"--runtime={SECONDS}", "--buffer_compress_percentage=50", "--refill_buffers",
        "--randrepeat=0", "--norandommap", "--group_reporting", "--output-format=json",
        f"--aux-path={directory}")
    # The engine says first that it is connected.
    figures = json.loads(told[told.index("{"):])["jobs"][0][kind]
    return figures["iops"], figures["clat_ns"]["percentile"]["99.000000"] / 1e3


def measure(parameters, data, directory):
    socket = directory / "socket"
    socket.unlink(missing_ok=True)
    uri = f"nbd+unix:///?socket={socket}"
    with subprocess.Popen(["nbdkit", "--foreground", "--exit-with-parent", "--unix", socket,
                           *parameters]) as server:
        try:
            while not socket.exists():
                time.sleep(0.05)
            start = time.monotonic()
            run("nbdcopy", data, uri)
            figures = {"copy 1 GiB to it, s": time.monotonic() - start,
                       "memory for the data, MiB": resident_mib(server)}
            for kind in ("read", "write"):
                for connections in (1, 8):
                    (figures[f"4 KiB {kind}s a second, {connections} connections"],
                     figures[f"99 % of these {kind}s within, µs, {connections} connections"]) = \
                        operations(directory, uri, kind, connections)
            figures["trim 1 GiB, ms"] = float(run("nbdsh", "-u", uri, "-c", TRIM))
            time.sleep(1)
            figures["memory 1 s after the trim, MiB"] = resident_mib(server)
        finally:
            server.terminate()
    return figures


def main():
    # Debian's python, which has libnbd's module for nbdsh, before any other.
    os.environ["PATH"] = "/usr/bin:" + os.environ["PATH"]
    plugin, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    contenders = {
        "zsmalloc": [plugin, "2G"],
        "zsmalloc zstd": [plugin, "2G", "algorithm=zstd", "level=1"],
        "memory zstd": ["memory", "2G", "allocator=zstd"],
    }
    rounds = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = pathlib.Path(name)
        with open(directory / "data", "wb") as file:
            make_data(file)
        for _ in range(count):
            for contender, parameters in contenders.items():
                rounds[contender].append(measure(parameters, directory / "data", directory))
    table = report.Table(f"{count} rounds, load before and after {os.getloadavg()[2]:.1f}, "
                         f"{os.getloadavg()[0]:.1f}",
                         ("", None), *((name, "{:,.0f}") for name in contenders),
                         ("first over last", "{:.2f}"))
    for figure in rounds["zsmalloc"][0]:
        values = [[one[figure] for one in told] for told in rounds.values()]
        spreads = [report.Spread(statistics.median(each), min(each), max(each)) for each in values]
        table.add(figure, *spreads, spreads[0].median / spreads[-1].median)
    print(table.markdown())
    if len(sys.argv) > 3:
        pathlib.Path(sys.argv[3]).write_text(json.dumps(rounds, indent=2) + "\n",
                                             encoding="utf-8")


if __name__ == "__main__":
    main()
