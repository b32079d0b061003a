#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# The RAM disk under the programs that people use with it: nbdcopy, fio, the tools of ext4, nbdfuse.
# Each is left out with one line where it is missing.
#
# usage: test_tools.sh PLUGIN
set -euo pipefail

plugin=$1
PATH=$PATH:/usr/sbin:/sbin
directory=$(mktemp -d)
server=
trap 'mountpoint -q "$directory/fuse" && umount "$directory/fuse"
	[ -z "$server" ] || kill "$server"; rm -rf "$directory"' EXIT

fail()
{
	echo "test_tools: $*" >&2
	exit 1
}

has()
{
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || {
			echo "SKIPPED: no $program: run scripts/install-packages build"
			return 1
		}
	done
}

has nbdkit nbdcopy nbdinfo || exit 77
uri="nbd+unix:///?socket=$directory/socket"

# In the background, as people start it.
nbdkit --unix "$directory/socket" --pidfile "$directory/pid" "$plugin" 256M algorithm=zstd level=1
server=$(cat "$directory/pid")
[ "$(nbdinfo --size "$uri")" = $((256 << 20)) ] || fail "nbdinfo tells another size"

# At its limit the disk writes to a file, in the background, too.
truncate -s 64M "$directory/cold"
nbdkit --unix "$directory/limited" --pidfile "$directory/pid2" "$plugin" 64M limit=4M \
	writeback="$directory/cold"
head -c 32M /dev/urandom >"$directory/random"
nbdcopy "$directory/random" "nbd+unix:///?socket=$directory/limited" ||
	fail "a disk in the background does not write to its file"
nbdcopy "nbd+unix:///?socket=$directory/limited" "$directory/read"
cmp -n $((32 << 20)) "$directory/read" "$directory/random" ||
	fail "a page that was written to the file reads as another"
kill "$(cat "$directory/pid2")"
echo "ok: write-back in the background"

# An image of ext4 with files of this machine, to the disk and back.
if has mke2fs e2fsck debugfs; then
	mke2fs -q -t ext4 -d /etc/alternatives "$directory/image" 200M
	nbdcopy "$directory/image" "$uri"
	nbdcopy "$uri" "$directory/back"
	cmp -n $((200 << 20)) "$directory/image" "$directory/back" || fail "nbdcopy: not the image"
	truncate -s 200M "$directory/back"
	e2fsck -fn "$directory/back" >/dev/null || fail "e2fsck finds faults"
	debugfs -R 'ls -p /' "$directory/back" 2>/dev/null >"$directory/names"
	[ "$(grep -c / "$directory/names")" -gt 3 ] || fail "debugfs: files are missing"
	echo "ok: mke2fs, nbdcopy, e2fsck, debugfs"

	# The same on the disk itself, through a file of nbdfuse's.
	if has nbdfuse && [ -w /dev/fuse ]; then
		mkdir "$directory/fuse"
		nbdfuse "$directory/fuse" "$uri" &
		for _ in {1..100}; do
			[ -e "$directory/fuse/nbd" ] && break
			sleep 0.1
		done
		mke2fs -q -F -t ext4 "$directory/fuse/nbd"
		debugfs -w -R "write $plugin plugin" "$directory/fuse/nbd" >/dev/null 2>&1
		debugfs -R 'cat plugin' "$directory/fuse/nbd" 2>/dev/null | cmp - "$plugin" ||
			fail "debugfs: a file that was written reads as another"
		e2fsck -fn "$directory/fuse/nbd" >/dev/null || fail "e2fsck on the disk: faults"
		umount "$directory/fuse"
		wait
		echo "ok: nbdfuse"
	fi
fi

# Random writes and trims on four connections, each verified.
if has fio && fio --enghelp 2>/dev/null | grep -q nbd; then
	(cd "$directory" && fio --name=verify --ioengine=nbd --uri="$uri" --rw=randwrite \
		--bsrange=512-64k --size=48m --offset_increment=48m --numjobs=4 --iodepth=8 \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --norandommap=0 \
		--buffer_compress_percentage=50 --group_reporting --output="$directory/fio") ||
		{ cat "$directory/fio"; fail "fio found what it had not written"; }
	echo "ok: fio"
fi

kill "$server"
for _ in {1..100}; do
	[ -e "/proc/$server" ] || break
	sleep 0.1
done
[ ! -e "/proc/$server" ] || fail "nbdkit does not end"
server=
