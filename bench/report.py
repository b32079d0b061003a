#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Prints the tables of a benchmark from the raw figures of its rounds.

usage: report.py DIRECTORY/NAME.json...

Reads what run.py measured and prints Markdown: the machine, the corpus, each target beside its
figure, the tables. Beside NAME.json it writes NAME.md, and NAME.dat for NAME.gp to draw. It adds
the targets and the tables, with numbers instead of text, to NAME.json.
"""

import dataclasses
import json
import pathlib
import statistics
import sys

MB = 1e6
MIB = 1 << 20
PAGE = 4096  # an object is what a page became


@dataclasses.dataclass
class Spread:
    """A figure over the rounds."""
    median: float
    least: float
    most: float

    def each(self, function):
        return Spread(function(self.median), function(self.least), function(self.most))


@dataclasses.dataclass
class Target:
    what: str
    unit: str
    limit: float
    measured: float
    at_least: bool = False

    def is_met(self):
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


class Table:
    """Columns are pairs of a heading and a format for numbers, or None for text."""

    def __init__(self, caption, *columns):
        self.caption = caption
        self.columns = columns
        self.rows = []

    def add(self, *cells):
        self.rows.append(cells)

    @staticmethod
    def text(cell, form):
        if cell is None:
            return ""
        if isinstance(cell, str):
            return cell
        if isinstance(cell, Spread):
            return (f"{form.format(cell.median)} "
                    f"{form.format(cell.least)}..{form.format(cell.most)}")
        return form.format(cell)

    def markdown(self):
        head = [name for name, _ in self.columns]
        rows = [[self.text(cell, form) for cell, (_, form) in zip(row, self.columns)]
                for row in self.rows]
        width = [max(map(len, column)) for column in zip(head, *rows)]
        right = [form is not None for _, form in self.columns]

        def line(cells):
            cells = [cell.rjust(w) if r else cell.ljust(w)
                     for cell, w, r in zip(cells, width, right)]
            return "| " + " | ".join(cells) + " |"

        rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-")
                              for w, r in zip(width, right)) + "|"
        caption = [self.caption, ""] if self.caption else []
        return "\n".join(["", *caption, line(head), rule, *map(line, rows)])

    def plain(self):
        """For JSON."""
        def cell(value):
            return dataclasses.asdict(value) if isinstance(value, Spread) else value
        return {"caption": self.caption, "columns": [name for name, _ in self.columns],
                "rows": [[cell(value) for value in row] for row in self.rows]}


def find(figures, name):
    """A figure may be in an object of its own: "object.figure"."""
    for part in name.split("."):
        figures = figures[part]
    return figures


class Report:
    """What all benchmarks tell in the same way. A benchmark says the rest."""

    title = None

    def __init__(self, results):
        self.results = results
        self.names = [contender["name"] for contender in results["contenders"]]
        self.peers = [c["name"] for c in results["contenders"] if c["peer"]]
        self.ours = [name for name in self.names if name not in self.peers]
        self.conditions = [condition["name"] for condition in results["conditions"]]

    # Figures over the rounds.

    def rounds(self, contender, condition):
        return self.results["rounds"][contender].get(condition, [])

    def over(self, contender, condition, name, by=None):
        """The spread of a figure, divided by another of the same round. None if there is none."""
        values = [find(figures, name) / (find(figures, by) if by else 1)
                  for figures in self.rounds(contender, condition)]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values))

    def cost(self, contender, condition, name):
        """For each object."""
        return self.over(contender, condition, name, "objects")

    def median(self, contender, condition, name, by=None):
        spread = self.over(contender, condition, name, by)
        return spread and spread.median

    def fastest_peer(self, condition, name):
        return min(self.median(peer, condition, name, "objects") for peer in self.peers)

    # What a benchmark says of itself.

    def targets(self):
        return []

    def tables(self):
        return []

    def plot(self):
        """The lines of NAME.dat; None: there is no plot."""
        return None

    # What is the same for all.

    def heading(self):
        corpus = self.results["corpus"]
        yield f"## {self.title}\n\n{self.results['machine']}."
        yield (f"The corpus: {corpus['objects']} objects, {corpus['bytes'] / MB:.0f} MB, mean "
               f"{corpus['bytes'] / corpus['objects']:.0f} bytes: {corpus['codec']} of "
               f"{corpus['pages'] - corpus['process_pages']} pages of {corpus['files']} files\n"
               f"({corpus['process_pages']} pages of processes' memory besides, "
               f"{corpus['same_filled']} same-filled pages left out, "
               f"{corpus['incompressible']} objects incompressible).")
        if corpus["objects"] < corpus["room"]:
            yield (f"These are all pages that there are: fewer than the {corpus['room']} that "
                   "were asked for.")
        had = (f"{name} {max(len(self.rounds(c, name)) for c in self.names)}"
               for name in self.conditions)
        yield f"Rounds: {', '.join(had)}."
        for name in self.results["left_out"]:
            yield f"Left out, for there is not enough memory: {name}."
        if self.peers:
            versions = (f"{peer} {self.rounds(peer, self.conditions[0])[0]['version']}"
                        for peer in self.peers)
            yield f"Peers: {', '.join(versions)}."

    def targets_table(self):
        table = Table("", ("target", None), ("limit", "{}"), ("measured", "{}"), ("", None))
        for target in self.targets():
            is_at = "at least" if target.at_least else "at most"
            unit = f" {target.unit}" if target.unit else ""
            table.add(target.what, f"{is_at} {target.limit:.3g}{unit}",
                      f"{target.measured:.2f}{unit}", "pass" if target.is_met() else "MISS")
        return table

    def markdown(self):
        tables = [self.targets_table(), *self.tables()]
        return "\n".join([*self.heading(), *(table.markdown() for table in tables)])

    def write(self, directory):
        """Write all files. Return the Markdown."""
        name = self.results["benchmark"]
        self.results["targets"] = [{**dataclasses.asdict(target), "met": target.is_met()}
                                   for target in self.targets()]
        self.results["tables"] = [table.plain() for table in self.tables()]
        with open(directory / f"{name}.json", "w", encoding="utf-8") as file:
            json.dump(self.results, file, indent=1)
        lines = self.plot()
        if lines is not None:
            (directory / f"{name}.dat").write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = self.markdown()
        (directory / f"{name}.md").write_text(text + "\n", encoding="utf-8")
        return text


def numbers(*values):
    """A line of a plot's data, or a part of it; "-" is missing."""
    words = []
    for value in values:
        if isinstance(value, Spread):
            words += [value.median, value.least, value.most]
        else:
            words.append(value)
    return " ".join("-" if word is None else f"{word:f}" for word in words)


class Free(Report):
    title = "Freeing cold objects"
    orders = ("in order", "random")

    def caller(self, name, order):
        return self.median(name, order, "caller", "objects")

    def over_peer(self, name, order):
        return self.caller(name, order) / self.fastest_peer(order, "caller")

    def overhead(self, name, figure):
        return 100 * (self.median(name, "in order", figure, "stored_bytes") - 1)

    def targets(self):
        return [
            *(Target(f"zs_free_deferred over the fastest peer's free, {order}", "", limit,
                     self.over_peer("zs_free_deferred", order))
              for order, limit in zip(self.orders, (1 / 6, 1 / 4))),
            *(Target(f"zs_free over the fastest peer's free, {order}", "", limit,
                     self.over_peer("zs_free", order))
              for order, limit in zip(self.orders, (1, 1.5))),
            Target("memory over the stored bytes, everything resident", "%", 1.5,
                   self.overhead("zs_free", "resident_bytes")),
        ]

    def tables(self):
        caller = Table("The caller's time for an object, ns: median, least..most",
                       ("free by", None), ("in order", "{:.1f}"), ("random", "{:.1f}"))
        for name in self.names:
            caller.add(name, *(self.cost(name, order, "caller") for order in self.orders))
        yield caller
        yield self.work()
        memory = Table("Memory over the stored bytes, in percent", ("stored by", None),
                       ("resident", "{:.2f}"), ("in pages of the pool", "{:.2f}"))
        memory.add("zsmalloc", self.overhead("zs_free", "resident_bytes"),
                   self.overhead("zs_free", "pool_bytes"))
        for name in self.peers:
            memory.add(name, self.overhead(name, "resident_bytes"), None)
        yield memory
        yield self.ratios()

    def work(self):
        table = Table(
            "The whole work, medians. CPU time for an object, ns: of the caller's loop; of the "
            "flush after it;\nof all threads until the memory is back with the system. And ms "
            "from the first free until then",
            ("free by", None), ("loop", "{:.1f}"), ("random", "{:.1f}"), ("flush", "{:.1f}"),
            ("random", "{:.1f}"), ("all", "{:.1f}"), ("random", "{:.1f}"), ("back ms", "{:.0f}"),
            ("random", "{:.0f}"), ("fallbacks", "{:.1f} %"))
        for name in self.ours:
            if name == "an empty function":
                continue
            cells = [self.median(name, order, figure, "objects")
                     for figure in ("caller_cpu", "flush_cpu", "all_cpu") for order in self.orders]
            cells += [self.median(name, order, "back") / 1e6 for order in self.orders]
            has = "fallbacks" in self.rounds(name, "in order")[0]
            table.add(name, *cells,
                      100 * self.median(name, "in order", "fallbacks", "objects") if has else None)
        return table

    def ratios(self):
        table = Table("The caller's time, as a multiple of ours", ("freed by", None),
                      *((f"{ours}, {order}", "{:.1f}")
                        for ours in ("zs_free", "zs_free_deferred") for order in self.orders))
        for name in ["original proposal", *self.peers]:
            table.add(name, *(self.caller(name, order) / self.caller(ours, order)
                              for ours in ("zs_free", "zs_free_deferred")
                              for order in self.orders))
        return table

    def plot(self):
        return [f'"{name}" ' + numbers(*(self.cost(name, o, "caller") for o in self.orders))
                for name in self.names]


class Cliff(Report):
    title = "The exit's time over the size of what exits"

    def caller(self, name, size):
        return self.cost(name, size, "caller")

    def growth(self, name):
        """The time for an object at the largest size, over that at the smallest."""
        return (self.caller(name, self.conditions[-1]).median /
                self.caller(name, self.conditions[0]).median)

    def targets(self):
        parked = "deferred, worker parked"
        queue = self.over(parked, self.conditions[-1], "queue_bytes").most
        return [
            Target("a handle's time, largest size over smallest, parked", "", 1.5,
                   self.growth(parked)),
            Target("the same, budget lifted, worker beside it", "", 1.5,
                   self.growth("deferred, budget lifted")),
            Target("the queue's own memory at the largest size", "MiB", 1, queue / MIB),
        ]

    def tables(self):
        sizes = [(size, "{:.1f}") for size in self.conditions]
        table = Table("The caller's time for an object by the size of what exits, ns: median, "
                      "least..most", ("freed by", None), *sizes)
        for name in self.names:
            table.add(name, *(self.caller(name, size) for size in self.conditions))
        yield table
        table = Table("The exit's time, ms: median. In brackets the share of the frees that fell "
                      "back", ("freed by", None), *sizes)
        for name in self.names:
            table.add(name, *(self.exit(name, size) for size in self.conditions))
        yield table

    def exit(self, name, size):
        if not self.rounds(name, size):
            return None
        text = f"{self.median(name, size, 'caller') / 1e6:.2f}"
        if name != "zs_free":
            text += f" ({100 * self.median(name, size, 'fallbacks', 'objects'):.1f} %)"
        return text

    def plot(self):
        for name in self.names:
            yield f'"{name}"'
            for condition in self.results["conditions"]:
                cost = self.caller(name, condition["name"])
                if cost:
                    objects = condition["objects"]
                    yield numbers(objects * PAGE / MIB, cost.median * objects / 1e6, cost)
            yield "\n"


class Threads(Report):
    title = "Several threads exit at once"
    running = "deferred, running"
    exits = ("1 thread", "2 threads", "4 threads")
    refills = ("10 million, 2 threads", "10 million, 4 threads")

    def exit(self, name, condition):
        """Until the last is done, ms."""
        spread = self.over(name, condition, "exit")
        return spread and spread.each(lambda ns: ns / 1e6)

    def sooner(self, condition):
        return self.exit("zs_free", condition).median / self.exit(self.running, condition).median

    def contended(self, condition):
        return self.over(self.running, condition, "contended").most

    def targets(self):
        parked = [self.median("deferred, parked", condition, "caller", "objects")
                  for condition in self.exits]
        return [
            *(Target(f"fallbacks for contention, {condition.split(', ')[1]}, ten million handles",
                     "", 0, self.contended(condition)) for condition in self.refills),
            Target("two threads' time for a handle over one's, parked", "", 1.15,
                   parked[1] / parked[0]),
            Target("exit of two threads: zs_free over deferred, running", "", 3,
                   self.sooner("2 threads"), True),
            Target("exit of four threads: zs_free over deferred, running", "", 3,
                   self.sooner("4 threads"), True),
        ]

    def tables(self):
        table = Table("The frees of one process by several threads. A thread's time for an object, "
                      "ns, and its CPU time: medians.\nAnd ms until the last thread is done: "
                      "median, least..most",
                      ("freed by", None), ("threads", "{}"), ("time", "{:.1f}"),
                      ("CPU time", "{:.1f}"), ("exit ms", "{:.2f}"))
        for name in self.names:
            for condition in self.exits:
                if self.rounds(name, condition):
                    table.add(name, condition.split()[0],
                              self.median(name, condition, "caller", "objects"),
                              self.median(name, condition, "caller_cpu", "objects"),
                              self.exit(name, condition))
        yield table
        table = Table("Stored and freed again and again, ten million objects altogether, worker "
                      "running", ("threads", None), ("handles", "{:.0f}"),
                      ("fallbacks", "{:.0f}"), ("for contention", "{:.0f}"))
        for condition in self.refills:
            table.add(condition.split(", ")[1],
                      *(self.over(self.running, condition, figure).most
                        for figure in ("objects", "fallbacks", "contended")))
        yield table

    def plot(self):
        return [f'"{name}" ' + numbers(*(self.exit(name, condition) or Spread(None, None, None)
                                         for condition in self.exits)) for name in self.names]


class Latency(Report):
    title = "Another thread's calls beside a drain"
    condition = "a million"
    measures = [(text, call, percent, f"{call}.p{percent.replace('.', '')}")
                for text, call in (("zs_malloc and write", "store"), ("read", "read"))
                for percent in ("50", "99", "99.9")]

    def over_idle(self, name, figure):
        return self.over(name, self.condition, f"freeing.{figure}", f"idle.{figure}")

    def targets(self):
        return [Target(f"{percent} % of {'reads' if call == 'read' else text}, draining over idle",
                       "", 2, self.over_idle("a drain", figure).median)
                for text, call, percent, figure in self.measures if percent != "50"]

    def tables(self):
        caption = ("How long a call takes, ns, by percentiles: medians of the rounds; and how many "
                   "times as long as idle:\nmedian, least..most")
        if self.over("a drain", self.condition, "cpus").least < 2:
            caption = ("There is one CPU only: the worker shares it with the thread that calls.\n\n"
                       + caption)
        table = Table(caption, ("beside", None), ("call", None), ("percentile", "{}"),
                      ("idle", "{:.0f}"), ("beside", "{:.0f}"), ("times as long", "{:.1f}"))
        for name in self.names:
            for text, _, percent, figure in self.measures:
                table.add(name, text, f"{percent} %",
                          self.median(name, self.condition, f"idle.{figure}"),
                          self.median(name, self.condition, f"freeing.{figure}"),
                          self.over_idle(name, figure))
        yield table

    def plot(self):
        return [f'"{text}, {percent} %" ' +
                numbers(self.median("a drain", self.condition, f"idle.{figure}"),
                        *(self.median(name, self.condition, f"freeing.{figure}")
                          for name in self.names))
                for text, _, percent, figure in self.measures]


class Back(Report):
    title = "When the memory is back, and what CPU time that takes"
    within = 0.05  # of the stored bytes: what may be left
    baselines = ("zs_free", "zs_free, not compacting")

    def left(self, name, order):
        """What is resident in the end and was not in the beginning, over what was stored."""
        began, left, stored = (self.median(name, order, f"{figure}_bytes")
                               for figure in ("began", "left", "stored"))
        return (left - began) / stored

    def is_back(self, name, order):
        return self.left(name, order) <= self.within

    def cpu(self, name, order):
        return self.median(name, order, "all_cpu", "objects")

    def targets(self):
        deferred = "zs_free_deferred"
        yield Target("the memory is back, after zs_free_deferred", "ms", 500,
                     self.median(deferred, "in order", "back") / 1e6)
        yield Target("what is left then, over what was stored", "%", 100 * self.within,
                     100 * self.left(deferred, "in order"))
        for order in self.conditions:
            for baseline in self.baselines:
                yield Target(f"CPU time in all over that of {baseline}, {order}", "", 1.1,
                             self.cpu(deferred, order) / self.cpu(baseline, order))

    def tables(self):
        table = Table("Anonymous memory that is resident, MB, and ms from the last free until it "
                      "is within 5 % of the stored\nbytes of where it began: medians, and the most",
                      ("freed by", None), ("in the beginning", "{:.1f}"), ("full", "{:.1f}"),
                      ("1 s later", "{:.1f}"), ("ms until back", "{:.0f}"), ("at most", "{:.0f}"))
        for name in self.names:
            memory = (self.median(name, "in order", f"{figure}_bytes") / MB
                      for figure in ("began", "full", "left"))
            back = self.over(name, "in order", "back").each(lambda ns: ns / 1e6)
            if self.is_back(name, "in order"):
                table.add(name, *memory, back.median, back.most)
            else:
                table.add(name, *memory, "never in 1 s", None)
        yield table
        for order in self.conditions:
            yield self.cpu_table(order)

    def cpu_table(self, order):
        table = Table(f"Freed {order}: CPU time for an object, ns: of the caller's loop; of all "
                      "threads from the first free until the\nmemory is back: median, "
                      "least..most; and until a second after the last free. And ms until back",
                      ("freed by", None), ("loop", "{:.1f}"), ("until back", "{:.1f}"),
                      ("with the second", "{:.1f}"), ("over zs_free", "{:.2f}"), ("ms", "{:.0f}"))
        for name in self.names:
            if not self.rounds(name, order):
                continue
            back = self.is_back(name, order)
            table.add(name, self.median(name, order, "caller_cpu", "objects"),
                      self.cost(name, order, "all_cpu") if back else "never in 1 s",
                      self.median(name, order, "watched_cpu", "objects"),
                      self.cpu(name, order) / self.cpu("zs_free", order) if back else None,
                      self.median(name, order, "back") / 1e6 if back else None)
        return table

    def plot(self):
        """The first round of each, in order."""
        for name in self.names:
            yield f'"{name}"'
            for ns, resident in self.rounds(name, "in order")[0]["resident"]:
                yield numbers(ns / 1e6, resident / MB)
            yield "\n"


class Life(Report):
    title = "An object's whole life"
    phases = {"store": "store fresh", "read": "read, random", "replace": "replace, random",
              "free": "free all", "again": "store again"}

    def __init__(self, results):
        super().__init__(results)
        self.condition = self.conditions[0]

    def wall(self, name, phase):
        return self.median(name, self.condition, f"{phase}.wall", "objects")

    def over_peer(self, name, phase):
        return self.wall(name, phase) / self.fastest_peer(self.condition, f"{phase}.wall")

    def back(self, name):
        """What is back half a second after the last free, in percent."""
        return 100 - 100 * self.median(name, self.condition, "left_bytes", "full_bytes")

    def targets(self):
        limits = [("store", "zs_free", 1), ("read", "zs_free", 1.3), ("replace", "zs_free", 1.2),
                  ("replace", "zs_free_deferred", 1.3), ("again", "zs_free", 1.5),
                  ("again", "zs_free_deferred", 1.5)]
        for phase, name, limit in limits:
            yield Target(f"{self.phases[phase]}, over the fastest peer, by {name}", "", limit,
                         self.over_peer(name, phase))
        for name in self.ours:
            yield Target(f"of the memory is back within 0.5 s, by {name}", "%", 95,
                         self.back(name), True)

    def tables(self):
        head = (("stored, and freed by", None),)
        table = Table("The caller's time for an object, ns: median, least..most", *head,
                      *((text, "{:.0f}") for text in self.phases.values()))
        for name in self.names:
            table.add(name, *(self.cost(name, self.condition, f"{phase}.wall")
                              for phase in self.phases))
        yield table
        table = Table("Over the fastest peer's, by medians", *head,
                      *((text, "{:.2f}") for text in self.phases.values()))
        for name in self.names:
            table.add(name, *(self.over_peer(name, phase) for phase in self.phases))
        yield table
        table = Table("CPU time of all threads for an object, ns, medians; and page faults for "
                      "1,000 objects", *head,
                      *((text, "{:.0f}") for text in self.phases.values()),
                      ("faults: store", "{:.0f}"), ("replace", "{:.0f}"), ("again", "{:.0f}"))
        for name in self.names:
            table.add(name, *(self.median(name, self.condition, f"{phase}.all_cpu", "objects")
                              for phase in self.phases),
                      *(1000 * self.median(name, self.condition, f"{phase}.faults", "objects")
                        for phase in ("store", "replace", "again")))
        yield table
        table = Table("Resident memory, MB, stored again and half a second after all is freed; "
                      "what is back", *head, ("full", "{:.1f}"), ("overhead", "{:.1f} %"),
                      ("0.5 s later", "{:.1f}"), ("back", "{:.1f} %"))
        for name in self.names:
            full, left = (self.median(name, self.condition, f"{figure}_bytes") / MB
                          for figure in ("full", "left"))
            overhead = self.median(name, self.condition, "full_bytes", "stored_bytes")
            table.add(name, full, 100 * (overhead - 1), left, self.back(name))
        yield table

    def plot(self):
        for phase, text in self.phases.items():
            yield f'"{text}" ' + numbers(*(self.cost(name, self.condition, f"{phase}.wall")
                                           for name in self.names))


class Density(Report):
    shares = ("50 % freed", "80 % freed", "95 % freed")

    @property
    def title(self):
        return f"Density, {self.results['corpus']['codec']}"

    def overhead(self, name, share, resident, stored):
        """What is resident more than the bytes, in percent."""
        return 100 * (self.median(name, share, resident, stored) - 1)

    def fresh(self, name):
        return self.overhead(name, self.shares[0], "stored_resident", "stored_bytes")

    def left(self, name, share):
        return self.overhead(name, share, "left_resident", "left_bytes")

    def targets(self):
        yield Target("fresh", "%", 1.5, self.fresh("zsmalloc"))
        for share, limit in zip(self.shares, (5, 5, 20)):
            yield Target(f"a random {share}, compacted", "%", limit, self.left("zsmalloc", share))

    def tables(self):
        columns = []
        for share in self.shares:
            columns += [(share, "{:.1f}"), ("1 s later", "{:.1f}"), ("given back", "{:.2f}"),
                        ("ms", "{:.0f}")]
        table = Table("What is resident more than the bytes that are stored, in percent: fresh; "
                      "after a random share was\nfreed; 1 s later, without a call; and after all "
                      "that can be was given back. And ms that this took",
                      ("stored by", None), ("fresh", "{:.2f}"), *columns)
        for name in self.names:
            cells = []
            for share in self.shares:
                cells += [self.overhead(name, share, "freed_resident", "left_bytes"),
                          self.overhead(name, share, "later_resident", "left_bytes"),
                          self.left(name, share), self.median(name, share, "give_back") / 1e6]
            table.add(name, self.fresh(name), *cells)
        yield table

    def plot(self):
        return [f'"{name}" ' + numbers(self.fresh(name), *(self.left(name, s) for s in self.shares))
                for name in self.names]


class Holes(Report):
    title = "What random holes leave, by the length of chains"
    model = "in-tree, computed"

    def pool(self, name, condition, when):
        return self.median(name, condition, f"{when}_pool")

    def over_model(self, name, condition):
        return (self.pool(name, condition, "later") /
                self.pool(self.model, condition, "later"))

    def targets(self):
        for kind in ("objects", "pages"):
            first = next(name for name in self.conditions if name.startswith(kind))
            yield Target(f"fresh, {kind}", "%", 1.5,
                         100 * (self.median("zsmalloc", first, "stored_resident",
                                            "stored_bytes") - 1))
        for condition in self.conditions:
            yield Target(f"over in-tree's, 1 s later: {condition}", "", 1.05,
                         self.over_model("zsmalloc", condition))

    def held(self, caption, figure):
        """A table of a figure over the bytes, in percent."""
        table = Table(caption, ("stored by", None), ("fresh", "{:.2f}"),
                      ("fresh, pages", "{:.2f}"),
                      *((condition, "{:.1f}") for condition in self.conditions))
        for name in self.names:
            if f"stored_{figure}" not in self.rounds(name, self.conditions[0])[0]:
                continue
            fresh = (self.median(name, f"{kind}, half left", f"stored_{figure}", "stored_bytes")
                     for kind in ("objects", "pages"))
            later = (self.median(name, condition, f"later_{figure}", "left_bytes")
                     for condition in self.conditions)
            table.add(name, *(100 * (value - 1) for value in [*fresh, *later]))
        return table

    def tables(self):
        yield self.held("Pages of the pool more than the bytes that are stored, in percent: fresh, "
                        "and 1 s after a random\nshare was freed, without a call. Objects are "
                        "lz4's; pages are incompressible", "pool")
        yield self.held("The same of resident memory, everything counted", "resident")


class Churn(Report):
    title = "Churn"
    compacting = "zsmalloc, compacting"
    without = "... without"

    def __init__(self, results):
        super().__init__(results)
        self.condition = self.conditions[0]

    def overhead(self, name):
        return 100 * (self.median(name, self.condition, "end.resident", "end.bytes") - 1)

    def each(self, name, figure):
        """Nanoseconds a replacement."""
        return self.median(name, self.condition, figure, "replacements")

    def samples(self, name):
        """Of the first round: millions of replacements, and the overhead then."""
        return [(sample["replaced"] / 1e6, 100 * (sample["resident"] / sample["bytes"] - 1))
                for sample in self.rounds(name, self.condition)[0]["samples"]]

    def targets(self):
        return [
            Target("overhead at the end, compacting", "%", 6, self.overhead(self.compacting)),
            Target("throughput compacting over that without", "", 0.9,
                   self.each(self.without, "wall") / self.each(self.compacting, "wall"), True),
        ]

    def tables(self):
        table = Table("What is resident more than the bytes that are stored, in percent, and what "
                      "a replacement takes:\nthe caller waits so many ns; all threads' CPU time, "
                      "ns", ("stored by", None), ("at the end", "{:.2f}"), ("at worst", "{:.2f}"),
                      ("ns each", "{:.0f}"), ("CPU ns", "{:.0f}"))
        for name in self.names:
            table.add(name, self.overhead(name), max(over for _, over in self.samples(name)),
                      self.each(name, "wall"), self.each(name, "cpu"))
        yield table

    def plot(self):
        for name in self.names:
            yield f'"{name}"'
            for replaced, overhead in self.samples(name):
                yield numbers(replaced, overhead)
            yield "\n"


class Compact(Report):
    title = "Compaction"
    shares = ("50 %", "80 %", "95 %")
    calls = ("read", "write", "free")

    def figure(self, condition, name, by=None):
        return self.median("zs_compact", condition, name, by)

    def came_back(self, condition):
        """Pages."""
        return self.figure(condition, "pages") - self.figure(condition, "compacted_pages")

    def given_back(self, condition):
        """Of the pages that a perfect packing gives back, in percent."""
        return 100 * self.came_back(condition) / (self.figure(condition, "pages") -
                                                  self.figure(condition, "perfect_pages"))

    def percentile(self, share, when, call, which):
        return self.median("calls beside it", share, f"{when}.{call}.{which}")

    def slower(self, call):
        """The worst of the shares."""
        return max(self.percentile(share, "compacting", call, "p99") /
                   self.percentile(share, "idle", call, "p99") for share in self.shares)

    def targets(self):
        for share in self.shares:
            yield Target(f"of what a perfect packing gives back, {share} freed", "%", 95,
                         self.given_back(share), True)
        yield Target("time for a moved byte, all objects over an eighth", "", 1.5,
                     self.figure("50 %", "cpu", "moved_bytes") /
                     self.figure("50 %, of 1/8", "cpu", "moved_bytes"))
        for call in self.calls:
            yield Target(f"99th percentile of {call}s, compacting over idle", "", 2,
                         self.slower(call))

    def tables(self):
        table = Table("Pages that came back, of those that a perfect packing gives back; bytes "
                      "moved; CPU time", ("freed", None), ("pages", "{:.0f}"),
                      ("of perfect", "{:.2f} %"), ("moved", "{:.0f} MB"), ("ms", "{:.1f}"),
                      ("ns a byte", "{:.2f}"), ("GB/s", "{:.2f}"), ("memcpy GB/s", "{:.2f}"))
        for condition in self.conditions:
            table.add(condition, self.came_back(condition), self.given_back(condition),
                      self.figure(condition, "moved_bytes") / MB,
                      self.figure(condition, "cpu") / 1e6,
                      self.figure(condition, "cpu", "moved_bytes"),
                      self.figure(condition, "moved_bytes", "cpu"),
                      self.figure(condition, "moved_bytes", "memcpy"))
        yield table
        # Where others want the cores, too, the calls had less of a compaction beside them.
        shares = [self.median("calls beside it", share, "compactor_cpu", "compactor_wall")
                  for share in self.shares]
        shares = ", ".join(f"{100 * share:.0f} %" for share in shares)
        table = Table("A call of another thread, ns: idle, and while zs_compact() runs. Of that "
                      f"time zs_compact() had a core for {shares}",
                      ("freed", None), ("call", None),
                      *((head, "{:.0f}") for percent in ("median", "99 %", "99.9 %")
                        for head in (percent, "compacting")))
        for share in self.shares:
            for call in self.calls:
                table.add(share, call, *(self.percentile(share, when, call, which)
                                         for which in ("p50", "p99", "p999")
                                         for when in ("idle", "compacting")))
        yield table


class Store(Report):
    title = "A page store, and its parts"
    calls = ("write", "read")
    codecs = ("lz4", "zstd")

    def time(self, name, condition, call):
        """The time for a page, ns; that of all threads together."""
        return self.median(name, condition, call, "objects")

    def over_parts(self, condition, call):
        return self.time("zram", condition, call) / self.time("its parts", condition, call)

    def gain(self, name, codec, call):
        """How much sooner two threads are done than one."""
        return (self.time(name, f"{codec}, 1 thread", call) /
                self.time(name, f"{codec}, 2 threads", call))

    def targets(self):
        for codec in self.codecs:
            for call in self.calls:
                yield Target(f"{call}s, {codec}, over the parts' time", "", 1.1,
                             self.over_parts(f"{codec}, 1 thread", call))
                yield Target(f"{call}s, {codec}: two threads' pages a second over one's", "", 1.8,
                             self.gain("zram", codec, call), True)

    def tables(self):
        for call in self.calls:
            table = Table(f"The time of a {call}, ns a page: median, least..most", ("by", None),
                          ("zram", "{:.0f}"), ("its parts", "{:.0f}"), ("over", "{:.2f}"))
            for condition in self.conditions:
                table.add(condition, *(self.cost(name, condition, call) for name in self.names),
                          self.over_parts(condition, call))
            yield table
        table = Table("Two threads' pages a second over one's", ("call", None),
                      ("zram", "{:.2f}"), ("its parts", "{:.2f}"))
        for codec in self.codecs:
            for call in self.calls:
                table.add(f"{call}, {codec}", *(self.gain(name, codec, call)
                                                for name in self.names))
        yield table


REPORTS = {
    "free": Free, "cliff": Cliff, "threads": Threads, "latency": Latency, "back": Back,
    "life": Life, "density": Density, "density_zstd": Density, "holes": Holes, "churn": Churn,
    "compact": Compact, "store": Store,
}


def write(results, directory):
    """Write all files of a benchmark. Return the Markdown."""
    return REPORTS[results["benchmark"]](results).write(directory)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for name in map(pathlib.Path, sys.argv[1:]):
        print(write(json.loads(name.read_text(encoding="utf-8")), name.parent))


if __name__ == "__main__":
    main()
