#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Runs a benchmark on this machine's own programs and libraries.

A benchmark has contenders, each measured under the same conditions. Every measurement is a round: a
process of its own, which prints raw figures as JSON. The rounds of all contenders alternate: what
else the machine does meets them all. report.py then prints the tables.

CORPORA in the environment names a directory that keeps what several benchmarks store, a gigabyte or
two. So one run makes it once.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import report

HERE = pathlib.Path(__file__).parent
OBJECTS = 500000
PAGE = os.sysconf("SC_PAGE_SIZE")
# In the corpus, and stored, with room to spare.
BYTES_PER_OBJECT = 2 * PAGE
OWN_FILES = "/usr/bin /usr/lib /usr/libexec /usr/local /usr/sbin".split()


@dataclasses.dataclass
class Contender:
    name: str
    subject: str  # what the round's program calls it
    preload: str = None  # the library that makes it what it is
    peer: bool = False
    script: str = None  # its round's program, where that is not the benchmark's


@dataclasses.dataclass
class Condition:
    name: str
    words: tuple = ()  # what the round's program is told besides the subject
    rounds: int = 1
    objects: int = 0  # that a round stores; 0: the corpus's


@dataclasses.dataclass
class Bench:
    program: str
    contenders: list
    conditions: list  # those with many objects come last
    codec: str = "lz4"
    objects: int = OBJECTS
    takes_part: callable = lambda contender, condition: True


PEERS = [
    Contender("glibc", "glibc", peer=True),
    Contender("jemalloc", "jemalloc", "libjemalloc.so.2", True),
    Contender("mimalloc", "mimalloc", "libmimalloc.so.2", True),
    Contender("tcmalloc", "tcmalloc", "libtcmalloc_minimal.so.4", True),
]
ORIGINAL = Contender("original proposal", "original")


def free():
    return Bench(
        "free",
        [
            Contender("zs_free", "free"),
            Contender("... worker parked", "free_parked"),
            Contender("zs_free_bulk", "bulk"),
            Contender("zs_free_deferred", "parked"),
            Contender("... worker running", "running"),
            Contender("... default budget", "default"),
            ORIGINAL,
            *PEERS,
            Contender("an empty function", "empty"),
        ],
        [Condition(order, (order,), 7) for order in ("in order", "random")],
    )


def cliff():
    sizes = [("64 MiB", 7), ("256 MiB", 5), ("1 GiB", 3), ("4 GiB", 3), ("16 GiB", 3)]
    return Bench(
        "free",
        [
            Contender("zs_free", "free"),
            ORIGINAL,
            Contender("deferred, 128 MiB", "small"),
            Contender("deferred, default budget", "default"),
            Contender("deferred, budget lifted", "lifted"),
            Contender("deferred, worker parked", "parked"),
        ],
        [
            Condition(name, ("in order", 16384 * 4**i), rounds, 16384 * 4**i)
            for i, (name, rounds) in enumerate(sizes)
        ],
        # A small budget has shown all it has to show long before.
        takes_part=lambda *pair: pair != ("deferred, 128 MiB", "16 GiB"),
    )


def threads():
    def takes_part(contender, condition):
        if contender == ORIGINAL.name:
            return condition == "2 threads"
        return "million" not in condition or contender == "deferred, running"

    return Bench(
        "threads",
        [
            Contender("zs_free", "free"),
            ORIGINAL,
            Contender("deferred, parked", "parked"),
            Contender("deferred, running", "running"),
        ],
        [
            Condition("1 thread", ("exit", 1), 5),
            Condition("2 threads", ("exit", 2), 5),
            Condition("4 threads", ("exit", 4), 3),
            Condition("10 million, 2 threads", ("refill", 2)),
            Condition("10 million, 4 threads", ("refill", 4)),
        ],
        takes_part=takes_part,
    )


def latency():
    return Bench(
        "latency",
        [Contender("a drain", "late"), Contender("zs_free", "free")],
        [Condition("a million", (), 3, 1000000)],
    )


def back():
    ours = [
        Contender("zs_free_deferred", "default"),
        Contender("... not compacting", "deferred"),
        Contender("zs_free", "compacting"),
        Contender("zs_free, not compacting", "free"),
    ]
    names = {contender.name for contender in ours}
    return Bench(
        "back",
        [*ours, ORIGINAL, *PEERS],
        [Condition("in order", ("in order",), 5), Condition("random", ("random",), 5)],
        takes_part=lambda contender, order: order == "in order" or contender in names,
    )


def life():
    return Bench(
        "life",
        [Contender("zs_free", "compacting"), Contender("zs_free_deferred", "default"), *PEERS],
        [Condition("400,000 objects", (400000,), 7, 400000)],
    )


def density():
    return Bench(
        "density",
        [
            Contender("zsmalloc", "compacting"),
            Contender("not by itself", "free"),
            *PEERS,
        ],
        [Condition(f"{share} % freed", (share, "objects")) for share in (50, 80, 95)],
        objects=600000,
    )


def density_zstd():
    return dataclasses.replace(density(), codec="zstd")


def holes():
    chains = [
        Contender(f"chain {pages}{text}", f"chain{pages}{subject}")
        for pages in (8, 16, 32)
        for text, subject in (("", ""), (", not by itself", "_free"))
    ]
    return Bench(
        "density",
        [
            Contender("zsmalloc", "compacting"),
            *chains,
            Contender("in-tree, computed", "in-tree", script="intree.py"),
        ],
        [
            Condition(f"{kind}, {left} left", (percent, kind, 200000), 1, 200000)
            for kind in ("objects", "pages")
            for percent, left in ((50, "half"), (75, "quarter"), (90, "tenth"))
        ],
    )


def churn():
    return Bench(
        "churn",
        [
            Contender("zsmalloc, compacting", "compacting"),
            Contender("... without", "free"),
            *PEERS,
        ],
        [Condition("20,000,000 replacements", (20000000,))],
    )


def compact():
    return Bench(
        "compact",
        [Contender("zs_compact", "alone"), Contender("calls beside it", "beside")],
        [
            Condition("50 %, of 1/8", (50, 8), 3),
            Condition("50 %, of 1/4", (50, 4), 3),
            Condition("50 %, of 1/2", (50, 2), 3),
            Condition("50 %", (50, 1), 3),
            Condition("80 %", (80, 1), 3),
            Condition("95 %", (95, 1), 3),
        ],
        takes_part=lambda contender, condition: contender == "zs_compact" or "of" not in condition,
    )


def store():
    return Bench(
        "store",
        [Contender("zram", "zram"), Contender("its parts", "parts")],
        [
            Condition(f"{codec}, {threads} thread{'s' * (threads > 1)}", (codec, threads, objects),
                      7, objects)
            for codec, objects in (("lz4", 200000), ("zstd", 100000))
            for threads in (1, 2)
        ],
    )


BENCHES = {
    make.__name__: make
    for make in (free, cliff, threads, latency, back, life, density, density_zstd, holes, churn,
                 compact, store)
}


def memory_available():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    sys.exit("run.py: /proc/meminfo does not tell MemAvailable")


def machine():
    cpu = subprocess.run(["lscpu"], env={**os.environ, "LC_ALL": "C"}, capture_output=True,
                         text=True, check=True).stdout
    model = next((line.split(":", 1)[1].strip() for line in cpu.splitlines()
                  if line.startswith("Model name:")), "unknown CPU")
    governor = pathlib.Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    governor = governor.read_text().strip() if governor.exists() else "unknown"
    return (f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
            f"governor {governor}, load before {os.getloadavg()[0]:.2f}")


def own_files():
    """The memory of the process that runs the benchmarks, then files in the order of their names;
    one that several names lead to comes once."""
    seen = set()
    names = []
    for top in OWN_FILES:
        device = os.stat(top).st_dev if os.path.isdir(top) else None
        for directory, below, files in os.walk(top):
            below[:] = [name for name in below
                        if os.lstat(os.path.join(directory, name)).st_dev == device]
            names += [os.path.join(directory, name) for name in files]
    listed = [f"/proc/{os.getppid()}/mem"]
    for name in sorted(names, key=os.fsencode):
        try:
            file = os.lstat(name)
        except FileNotFoundError:
            continue
        regular = file.st_mode & 0o170000 == 0o100000
        if not regular or not file.st_size or (file.st_dev, file.st_ino) in seen \
                or not os.access(name, os.R_OK) or "\n" in name:
            continue
        seen.add((file.st_dev, file.st_ino))
        listed.append(name)
    return "".join(name + "\n" for name in listed)


def objects_that_fit(bench):
    """Halved until they fit, so that benchmarks which share a corpus agree."""
    objects = bench.objects
    while objects > 1 and objects * BYTES_PER_OBJECT > memory_available():
        objects //= 2
    return objects


class Corpus:
    """The open file of a corpus, and what it has."""

    def __init__(self, arguments, bench, objects):
        self.arguments = arguments
        self.words = [str(objects), bench.codec]
        directory = os.environ.get("CORPORA")
        self.file = self.open_kept(pathlib.Path(directory)) if directory else None
        # Bytes of it in the page cache, which the system counts as available.
        self.kept = os.fstat(self.file).st_size if self.file else 0
        if not self.file:
            self.file = os.memfd_create("corpus")
            self.fill(self.file)
        self.has = self.tell(self.file)

    def tell(self, file, names=""):
        """What the corpus in this file has; made of the files of these names if there is none."""
        command = [self.arguments.directory / "bench_corpus", str(file), *self.words]
        told = subprocess.run(command, input=names, pass_fds=[file], stdout=subprocess.PIPE,
                              text=True, check=False)
        if told.returncode:
            sys.exit("run.py: cannot make a corpus")
        return json.loads(told.stdout)

    def fill(self, file):
        self.tell(file, self.arguments.files.read() if self.arguments.files else own_files())

    def open_kept(self, directory):
        """The file that the directory keeps; makes it. None if the disk has no room."""
        name = directory / "-".join(["corpus", *self.words])
        if not name.exists() and not self.make_kept(name):
            return None
        file = os.open(name, os.O_RDONLY)
        # Into memory, where the system can.
        with open(file, "rb", buffering=0, closefd=False) as whole:
            while whole.read(1 << 20):
                pass
        return file

    def make_kept(self, name):
        """Make a file of that name, whole or not at all."""
        file, template = tempfile.mkstemp(prefix=name.name, dir=name.parent)
        try:
            os.posix_fallocate(file, 0, (PAGE + 8) * int(self.words[0]) + PAGE)
        except OSError:
            os.close(file)
            os.unlink(template)
            return False
        self.fill(file)
        # On the disk now, and not while a round measures.
        os.fsync(file)
        os.close(file)
        os.rename(template, name)
        return True


def conditions_that_fit(bench, corpus):
    """A quarter more than the objects' bytes is for the allocator."""
    most = (memory_available() - corpus.kept) / 1.25
    mean = corpus.has["bytes"] / corpus.has["objects"]
    conditions = list(bench.conditions)
    while len(conditions) > 1 and conditions[-1].objects * mean > most:
        conditions.pop()
    return conditions


def run_round(arguments, bench, contender, condition, corpus):
    program = HERE / contender.script if contender.script \
        else arguments.directory / f"bench_{bench.program}"
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    if contender.preload:
        environment["LD_PRELOAD"] = contender.preload
    words = [contender.subject, *condition.words, corpus.file]
    told = subprocess.run([program, *map(str, words)], env=environment, pass_fds=[corpus.file],
                          stdout=subprocess.PIPE, check=False)
    if told.returncode:
        sys.exit(f"run.py: the round of '{contender.name}', {condition.name}, failed")
    return json.loads(told.stdout)


def run_rounds(arguments, bench, conditions, corpus):
    """By contender and condition: what each round printed."""
    rounds = {contender.name: {} for contender in bench.contenders}
    for number in range(1, 1 + max(arguments.rounds or c.rounds for c in conditions)):
        for condition in conditions:
            most = arguments.rounds or condition.rounds
            if number > most:
                continue
            print(f"{arguments.name}: {condition.name}, round {number} of {most}",
                  file=sys.stderr)
            for contender in bench.contenders:
                if bench.takes_part(contender.name, condition.name):
                    rounds[contender.name].setdefault(condition.name, []).append(
                        run_round(arguments, bench, contender, condition, corpus))
    return rounds


def plot(name, output, text):
    script = HERE / f"{name}.gp"
    if not script.exists():
        return
    try:
        subprocess.run(["gnuplot", "-e", f"directory = '{output}'; machine = '{text}'", script],
                       check=True)
    except FileNotFoundError:
        sys.exit("run.py: no gnuplot: run scripts/install-packages bench")


def parse():
    def above_zero(text):
        if int(text) <= 0:
            raise ValueError
        return int(text)

    parser = argparse.ArgumentParser(
        description="Runs a benchmark, prints its tables, writes NAME.md, NAME.json, NAME.svg.")
    parser.add_argument("name", choices=BENCHES, help="the benchmark")
    parser.add_argument("directory", type=pathlib.Path, help="where its programs are built")
    parser.add_argument("-n", "--objects", type=above_zero, help="make a corpus of so many objects")
    parser.add_argument("-r", "--rounds", type=above_zero, help="measure so often")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="where to write (the directory)")
    parser.add_argument("-f", "--files", type=argparse.FileType("r"),
                        help="store the pages of the files that this file names, one a line "
                             "('-': standard input); default: the machine's own programs")
    return parser.parse_args()


def main():
    arguments = parse()
    arguments.directory = arguments.directory.resolve()
    output = arguments.output or arguments.directory
    output.mkdir(parents=True, exist_ok=True)
    text = machine()
    bench = BENCHES[arguments.name]()
    corpus = Corpus(arguments, bench, arguments.objects or objects_that_fit(bench))
    conditions = conditions_that_fit(bench, corpus)
    results = {
        "benchmark": arguments.name,
        "machine": text,
        "corpus": {"codec": bench.codec, **corpus.has},
        "contenders": [{"name": c.name, "peer": c.peer} for c in bench.contenders],
        "conditions": [dataclasses.asdict(c) for c in conditions],
        "left_out": [c.name for c in bench.conditions if c not in conditions],
        "rounds": run_rounds(arguments, bench, conditions, corpus),
    }
    print(report.write(results, output))
    plot(arguments.name, output, text)
    print(f"Written to {output}: {arguments.name}.*")


if __name__ == "__main__":
    main()
