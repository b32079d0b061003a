#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# What the command `zsmalloc` promises to people and scripts: arguments, exit statuses, one line for
# every error, valid JSON, nothing but the report when it is piped.
#
# Usage: test_command.sh ZSMALLOC BROKEN, where BROKEN is the command on a store that damages a page.
set -u

zsmalloc=$1
broken=$2
dir=$(mktemp -d)
sleeper=
trap 'rm -rf "$dir"; [ -z "$sleeper" ] || kill "$sleeper"' EXIT
failed=0

fault() {
	echo "FAILED: $1"
	sed 's/^/  stdout: /' "$dir/out"
	sed 's/^/  stderr: /' "$dir/err"
	failed=$((failed + 1))
}

# run COMMAND...: keeps what it prints and its exit status.
run() {
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

# answers TEXT ARGUMENT...: success, TEXT on stdout, silence on stderr.
answers() {
	text=$1
	shift
	run "$zsmalloc" "$@"
	if [ "$status" -ne 0 ] || [ -s "$dir/err" ] || ! grep -qF -- "$text" "$dir/out"; then
		fault "'$*': status $status, wanted 0 and '$text'"
	fi
}

# refused_by TEXT COMMAND...: status 2, one line with TEXT on stderr, silence on stdout.
refused_by() {
	text=$1
	shift
	run "$@"
	if [ "$status" -ne 2 ] || [ -s "$dir/out" ] || [ "$(wc -l <"$dir/err")" -ne 1 ] ||
	   ! grep -q '^zsmalloc: ' "$dir/err" || ! grep -qF -- "$text" "$dir/err"; then
		fault "'$*': status $status, wanted 2 and '$text'"
	fi
}

refuses() {
	text=$1
	shift
	refused_by "$text" "$zsmalloc" "$@"
}

test_help() {
	answers 'COMMAND' --help
	answers '  exit' --help
	answers 'Usage: zsmalloc exit' exit --help
	answers 'zsmalloc 0.' --version
	answers 'zsmalloc 0.' exit --version
	for option in pid size processes resident rounds algorithm budget json; do
		answers "--$option" exit --help
	done
}

test_bad_arguments() {
	refuses 'no command given'
	refuses "no such command: 'leave'" leave
	refuses "'--frobnicate'" --frobnicate
	refuses "'--frobnicate'" exit --frobnicate
	refuses "'--size'" exit --size
	for bad in 0 -1 x 5X 1MM 1.5G '' 99999999999999999999 99999999T; do
		refuses '--size takes' exit --size="$bad"
	done
	refuses 'less than a page' exit --size 1
	refuses 'memory' exit --size 100000T
	refuses '--budget takes' exit --budget=some
	refuses '--rounds takes' exit --rounds=0
	refuses '--processes takes' exit --processes=0
	refuses '--processes takes' exit --processes=1025
	refuses '--resident takes' exit --resident=91
	refuses '--pid takes' exit --pid=init
	refuses "unknown algorithm 'zip'" exit --algorithm=zip
	refuses 'not both' exit --pid=1 /bin/sh
}

test_unreadable() {
	: >"$dir/empty"
	mkdir "$dir/folder"
	refuses "cannot read '$dir/none'" exit "$dir/none"
	refuses 'too few' exit "$dir/empty"
	refuses 'too few' exit "$dir/folder"
	refuses 'neither a file' exit /dev/null
	refuses 'no such process' exit --pid 2147483647
}

# As a user who may not read them; root may, and so steps down.
test_forbidden() {
	echo secret >"$dir/secret"
	chmod 0 "$dir/secret"
	chmod 755 "$dir"
	if [ "$(id -u)" -ne 0 ]; then
		refuses "cannot read '$dir/secret'" exit "$dir/secret"
		refuses 'may not be read' exit --pid 1
		return
	fi
	cp "$zsmalloc" "$dir/zsmalloc"
	for argument in "$dir/secret" --pid=$$; do
		refused_by 'read' setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$dir/zsmalloc" exit "$argument"
	done
}

test_report() {
	answers 'hash mismatches: 0' exit --rounds 1 --size 4M /bin/sh
	answers 'deferred ' exit --rounds 1 --size 4M
	answers 'budget of 1.0 MiB' exit --rounds 1 --size 4M --budget 1M
	for algorithm in lz4 lz4hc zstd deflate; do
		answers "by $algorithm" exit --rounds 1 --size 1M --algorithm "$algorithm"
	done
	run sh -c "'$zsmalloc' exit --rounds 1 --size 1M >/dev/full"
	[ "$status" -eq 2 ] || fault "a report that cannot be written: status $status, wanted 2"
}

test_json() {
	run "$zsmalloc" exit --json --rounds 3 --size 4M --processes 3 --resident 10
	[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] || fault "--json: status $status"
	python3 - "$dir/out" <<-'END' || fault '--json: not what it should be'
		import json, sys
		report = json.load(open(sys.argv[1]))
		pages = report["loaded"]["pages"]
		assert report["hash_mismatches"] == 0
		assert report["machine"]["cores"] > 0
		assert report["resident_pages"] > 0
		assert set(report["policies"]) == {"deferred", "freed_at_once"}
		for policy in report["policies"].values():
		    assert len(policy["rounds"]) == 3
		    exits = [exit for round in policy["rounds"] for exit in round["exits"]]
		    assert policy["median"]["exit"] == sorted(exit["wall"] for exit in exits)[4]
		    assert policy["median"]["exit_worst"] == max(exit["wall"] for exit in exits)
		    for round in policy["rounds"]:
		        assert len(round["exits"]) == 3
		        assert sum(exit["swapped_pages"] for exit in round["exits"]) == pages
		        assert round["stored"]["orig_data_size"] == pages * report["machine"]["page_size"]
		        assert not round["gave_up"]
		        assert round["store_empty"] <= round["compressed_back"]
		        for exit in round["exits"]:
		            assert exit["slots"] + exit["resident"] <= exit["wall"]
	END
}

pages_of() {
	run "$zsmalloc" exit --json --rounds 1 "$@"
	python3 -c 'import json, sys; print(json.load(sys.stdin)["loaded"]["pages"])' <"$dir/out"
}

# A file is loaded once, whichever names lead to it; the last page is filled up.
test_files() {
	page=$(getconf PAGE_SIZE)
	mkdir "$dir/tree"
	head -c $((page * 5 + 1)) /dev/urandom >"$dir/tree/a"
	ln "$dir/tree/a" "$dir/tree/b"
	ln -s a "$dir/tree/c"
	ln -s . "$dir/tree/loop"
	head -c "$page" /dev/zero >"$dir/tree/zeros"
	[ "$(pages_of "$dir/tree")" = 7 ] || fault 'a tree of 7 pages'
	[ "$(pages_of "$dir/tree/a" "$dir/tree" "$dir/tree/c")" = 7 ] || fault 'one file, three names'
	[ "$(pages_of --size $((page * 4)) "$dir/tree")" = 4 ] || fault 'four pages of a tree of 7'
}

test_pid() {
	sleep 1000 &
	sleeper=$!
	answers "process $sleeper" exit --rounds 1 --pid "$sleeper"
	[ "$(pages_of --pid "$sleeper")" -gt 4 ] || fault 'the private memory of a process'
}

# The status is for scripts, which do not read the report.
test_damage() {
	run "$broken" exit --rounds 1 --size 1M
	if [ "$status" -ne 1 ] || ! grep -q '^zsmalloc: .*came back changed' "$dir/err" ||
	   ! grep -qE 'hash mismatches: [1-9]' "$dir/out"; then
		fault "a damaged page: status $status, wanted 1"
	fi
}

test_help
test_bad_arguments
test_unreadable
test_forbidden
test_report
test_json
test_files
test_pid
test_damage
[ "$failed" -eq 0 ]
