#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Writes to the RAM disk of another host, by TLS, and tells how that goes when the link is cut.

usage: link.py HOST KEYS SECONDS; scripts/check-ramdisk-link runs it

Writes 64 KiB at a time, at random, and reads each back. Prints how long the slowest request took,
or with what error the first failed, and after how long.
"""

import random
import sys
import time

import nbd

BYTES = 65536
BLOCKS = 512


def connect(host, keys):
    disk = nbd.NBD()
    disk.set_tls(nbd.TLS_REQUIRE)
    disk.set_tls_psk_file(keys)
    disk.set_tls_username("alice")
    disk.connect_tcp(host, "10809")
    return disk


def main():
    host, keys, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    disk = connect(host, keys)
    assert disk.get_tls_negotiated()
    wrote = {}
    slowest = requests = 0
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        block = random.randrange(BLOCKS)
        contents = random.randbytes(BYTES // 2) + bytes(BYTES // 2)
        before = time.monotonic()
        try:
            disk.pwrite(contents, block * BYTES)
            assert disk.pread(BYTES, block * BYTES) == contents, "it reads as another"
        except nbd.Error as error:
            print(f"failed: {error.string}, {error.errno}, after "
                  f"{time.monotonic() - before:.1f} s")
            return 1
        wrote[block] = contents
        requests += 2
        slowest = max(slowest, time.monotonic() - before)
    for block, contents in wrote.items():
        assert disk.pread(BYTES, block * BYTES) == contents, "it reads as another at the end"
    print(f"good: {requests} requests, all read back right; the slowest pair took "
          f"{slowest:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
