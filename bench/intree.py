#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Computes what Linux's own zsmalloc holds for the objects of a corpus, fresh and with holes.

It stores the objects in order and frees a random share. A zspage with one object left keeps all its
pages. The rules of Linux 7.x with 4 KiB pages: a slot has 8 bytes for the handle; classes are 16
bytes apart; a chain has up to 8 pages, as many as waste the least; classes of the same cut are one.

usage: intree.py SUBJECT PERCENT objects|pages [OBJECTS] CORPUS, as bench_density; SUBJECT is a word
"""

import array
import json
import os
import random
import struct
import sys

HEADER = struct.Struct("=9Q")  # struct corpus
HANDLE = 8
LEAST = 32
CHAIN = 8


def chain_of(size, page):
    """Pages in the chain that wastes the least."""
    if size & (size - 1) == 0:
        return 1
    return min(range(1, CHAIN + 1), key=lambda pages: (pages * page % size, pages))


def make_classes(page):
    """For each step of sizes: (pages in a zspage, objects in it)."""
    step = page // 256
    classes = []
    for size in range(LEAST, page + 1, step):
        pages = chain_of(size, page)
        classes.append((pages, pages * page // size))
    return classes, step


def held(sizes, live, page):
    """Bytes of the zspages that have a live object."""
    classes, step = make_classes(page)
    filled = {}
    used = {}
    for i, size in enumerate(sizes):
        index = -(-max(size + HANDLE - LEAST, 0) // step)
        cut = classes[min(index, len(classes) - 1)]
        number = filled.get(cut, 0)
        filled[cut] = number + 1
        if live[i]:
            used.setdefault(cut, set()).add(number // cut[1])
    return page * sum(cut[0] * len(zspages) for cut, zspages in used.items())


def read_corpus(file):
    """The page size, and the sizes of the objects."""
    os.lseek(file, 0, os.SEEK_SET)
    objects, _, _, _, _, _, _, page, _ = HEADER.unpack(os.read(file, HEADER.size))
    sizes = array.array("I")
    while len(sizes) < objects:
        sizes.frombytes(os.read(file, sizes.itemsize * (objects - len(sizes))))
    return page, sizes


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    percent, kind, *count, file = sys.argv[2:]
    page, sizes = read_corpus(os.dup(int(file)))
    count = int(count[0]) if count else len(sizes)
    sizes = [page] * count if kind == "pages" else sizes[:count]
    count = len(sizes)
    live = bytearray(b"\1") * count
    fresh = held(sizes, live, page)
    for i in random.Random(1).sample(range(count), count * int(percent) // 100):
        live[i] = 0
    later = held(sizes, live, page)
    json.dump({
        "version": "computed",
        "stored_bytes": sum(sizes),
        "stored_pool": fresh,
        "left_bytes": sum(size for i, size in enumerate(sizes) if live[i]),
        "freed_pool": later,
        "later_pool": later,
    }, sys.stdout)


if __name__ == "__main__":
    main()
