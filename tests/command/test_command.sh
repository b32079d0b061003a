#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# What the command `zsmalloc` promises to people and scripts: arguments, exit statuses, one line for
# every error, valid JSON, nothing but the report when it is piped.
#
# Usage: test_command.sh ZSMALLOC BROKEN
# BROKEN is the command on a store that damages a page.
set -u

zsmalloc=$1
broken=$2
dir=$(mktemp -d)
sleeper=
# The names that the library has: the error for another one lists them.
algorithms=$("$zsmalloc" exit --algorithm none 2>&1 | sed -n 's/.*; there are //p' | tr -d ,)
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
	for command in exit analyze classes store top; do
		answers "  $command" --help
		answers "Usage: zsmalloc $command" "$command" --help
		answers 'zsmalloc 0.' "$command" --version
		refuses "zsmalloc: $command: bad option \"--frobnicate\"" "$command" --frobnicate
	done
	answers 'zsmalloc 0.' --version
	for option in pid size swapped processes resident rounds algorithm budget json; do
		answers "--$option" exit --help
	done
	for option in pid size algorithm plot json; do
		answers "--$option" analyze --help
	done
}

test_bad_arguments() {
	refuses 'no command given'
	refuses 'no such command: "leave"' leave
	refuses 'zsmalloc: bad option "--frobnicate"' --frobnicate
	refuses 'zsmalloc: exit: bad option "--size"' exit --size
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
	refuses 'unknown algorithm "zip"' exit --algorithm=zip
	refuses 'not both' exit --pid=1 /bin/sh
	refuses 'not both' analyze --pid=1 /bin/sh
	refuses '--size takes' analyze --size=some
	refuses 'memory' analyze --size 100000T
	refuses 'unknown algorithm "zip"' analyze --algorithm=zip
	refuses "cannot write \"$dir/none/plot.svg\"" analyze --plot="$dir/none/plot.svg"
	for bad in 0 33 x ''; do
		refuses '--chain takes' classes --chain="$bad"
	done
	refuses 'not "all"' classes all
}

test_unreadable() {
	: >"$dir/empty"
	mkdir "$dir/folder"
	ln -s circle "$dir/circle"
	refuses "ymbolic link" exit "$dir/circle"
	refuses "cannot read \"$dir/circle\"" analyze "$dir/circle"
	refuses "cannot read \"$dir/empty/a\": Not a directory" analyze "$dir/empty/a"
	refuses "cannot read \"$dir/none\"" exit "$dir/none"
	refuses "cannot read \"$dir/none\"" analyze "$dir/none"
	refuses 'nothing to analyze' analyze "$dir/empty"
	refuses 'no such process' analyze --pid 2147483647
	refuses 'too few' exit "$dir/empty"
	refuses 'too few' exit "$dir/folder"
	refuses 'neither a file' exit /dev/null
	refuses 'no such process' exit --pid 2147483647
}

# refuses_to_write COMMAND...: status 2, and one line that says so.
refuses_to_write() {
	"$@" 2>"$dir/err" </dev/null
	status=$?
	: >"$dir/out"
	if [ "$status" -ne 2 ] || [ "$(wc -l <"$dir/err")" -ne 1 ] ||
	   ! grep -q '^zsmalloc: .*cannot write' "$dir/err"; then
		fault "what '$*' cannot write: status $status, wanted 2"
	fi
}

test_unwritable() {
	for arguments in --help --version 'exit --help' 'top --version' classes 'classes --json' \
		"exit --rounds 1 --size 1M" "store /bin/sh" "store --json /bin/sh" \
		"analyze --size 1M" "analyze --json --size 1M"; do
		# shellcheck disable=SC2086
		refuses_to_write "$zsmalloc" $arguments >/dev/full
		# shellcheck disable=SC2086
		refuses_to_write "$zsmalloc" $arguments >&-
	done
	# No file of the command's takes the place of one that is closed.
	"$zsmalloc" analyze --size 1M /bin/sh >"$dir/out" 2>&- <&- || fault 'closed files'
	"$zsmalloc" --frobnicate >&- 2>&- <&-
	[ $? -eq 2 ] || fault 'all files closed'
}

# A reader that goes away ends the command, or is told where the signal is ignored.
test_pipe() {
	python3 - "$zsmalloc" <<-'END' || fault 'a pipe that nobody reads'
		import os, subprocess, sys
		for restored, wanted in (True, -13), (False, 2):
		    reader, writer = os.pipe()
		    os.close(reader)
		    ran = subprocess.run([sys.argv[1], "classes"], stdout=writer, text=True,
		                         stderr=subprocess.PIPE, restore_signals=restored)
		    os.close(writer)
		    assert ran.returncode == wanted
		    assert ran.stderr.count("\n") == (0 if restored else 1)
	END
}

# Few descriptors are enough, also for a tree that is deeper.
test_few_files() {
	deep=$dir/deep
	for _ in $(seq 30); do
		mkdir "$deep"
		deep=$deep/d
	done
	cp "$zsmalloc" "$deep"
	for arguments in classes "analyze $dir/deep" "exit --rounds 1 $dir/deep" \
		"analyze --pid $$"; do
		run sh -c "ulimit -n 16; '$zsmalloc' $arguments"
		[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] || fault "16 descriptors: $arguments"
	done
	run sh -c "ulimit -n 4; '$zsmalloc' analyze --pid $$"
	grep -qE 'Too many open files|No file descriptors' "$dir/err" ||
		fault '4 descriptors: not the real error'
}

# As a user who may not read them; root may, and so steps down.
test_forbidden() {
	echo secret >"$dir/secret"
	chmod 0 "$dir/secret"
	chmod 755 "$dir"
	if [ "$(id -u)" -ne 0 ]; then
		refuses "cannot read \"$dir/secret\"" exit "$dir/secret"
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
	for algorithm in lz4 lz4hc zstd deflate; do
		case " $algorithms " in *" $algorithm "*) ;; *) fault "no $algorithm" ;; esac
	done
	answers 'hash mismatches: 0' exit --rounds 1 --size 4M /bin/sh
	answers 'deferred ' exit --rounds 1 --size 4M
	answers 'budget of 1.0 MiB' exit --rounds 1 --size 4M --budget 1M
	for algorithm in $algorithms; do
		answers "by $algorithm" exit --rounds 1 --size 1M --algorithm "$algorithm"
	done
}

test_json() {
	run "$zsmalloc" exit --json --rounds 3 --size 4M --processes 3 --resident 10
	[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] || fault "--json: status $status"
	python3 - "$dir/out" <<-'END' || fault '--json: not what it should be'
		import json, sys
		report = json.load(open(sys.argv[1]))
		pages = report["loaded"]["pages"]
		page = report["machine"]["page_size"]
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
		        assert round["stored"]["orig_data_size"] == pages * page
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
	[ "$(pages_of "$dir/tree/a" "$dir/tree" "$dir/tree/c")" = 7 ] ||
		fault 'one file, three names'
	[ "$(pages_of --size $((page * 4)) "$dir/tree")" = 4 ] || fault 'four pages of a tree of 7'
}

test_pid() {
	sleep 1000 &
	sleeper=$!
	answers "process $sleeper" exit --rounds 1 --pid "$sleeper"
	[ "$(pages_of --pid "$sleeper")" -gt 4 ] || fault 'the private memory of a process'
}

# Pages whose fate is known, and some of a real file.
make_pages() {
	page=$(getconf PAGE_SIZE)
	head -c $((page * 3)) /dev/zero >"$dir/same"
	head -c $((page * 5)) /dev/urandom >"$dir/random"
	head -c $((page * 200)) "$zsmalloc" >"$dir/program"
}

# So many of one kind that they fill zspages.
make_alike() {
	for _ in $(seq 40); do
		head -c $((page * 10)) "$dir/program"
	done >"$dir/alike"
}

test_analyze() {
	make_pages
	answers 'Same-filled pages, which take no memory: 3 (' analyze "$dir/same" "$dir/random"
	answers 'Size classes used, zstd' analyze --algorithm zstd "$dir/program"
	answers "process $sleeper" analyze --pid "$sleeper"
	answers "process $sleeper" analyze --swapped --pid "$sleeper"
	answers '"chains"' analyze --json --size 1M
}

# What analyze reckons is what a store has (exit) of the same pages; and its sums are right.
test_analyze_json() {
	make_alike
	set -- "$dir/same" "$dir/random" "$dir/program" "$dir/alike"
	"$zsmalloc" analyze --json "$@" >"$dir/analyze" || fault 'analyze --json'
	for algorithm in $algorithms; do
		run "$zsmalloc" exit --json --rounds 1 --algorithm "$algorithm" "$@"
		python3 - "$dir/analyze" "$dir/out" "$algorithm" <<-'END' ||
			import json, sys
			report, exits = (json.load(open(name)) for name in sys.argv[1:3])
			found, = (o for o in report["algorithms"] if o["algorithm"] == sys.argv[3])
			stored = exits["policies"]["deferred"]["rounds"][0]["stored"]
			page = report["machine"]["page_size"]
			pages = report["loaded"]["pages"]
			assert report["same_filled_pages"] == stored["same_pages"] >= 3
			assert found["incompressible_pages"] == stored["huge_pages"] >= 5
			assert found["compressed"] == stored["compr_data_size"]
			assert found["objects"] == pages - report["same_filled_pages"]
			assert abs(found["ratio"] - pages * page / found["compressed"]) < 1e-9
			assert sum(size["pages"] for size in found["sizes"]) == found["objects"]
			stored_bytes = sum(s["pages"] * s["size"] for s in found["sizes"])
			assert stored_bytes == found["compressed"]
			memory = [chain["memory"] for chain in found["chains"]]
			assert [chain["pages"] for chain in found["chains"]] == list(range(1, 33))
			assert memory[-1] == stored["mem_used_total"]
			assert found["best_chain"] == memory.index(min(memory)) + 1
			classes = found["classes"]
			assert sum(c["objects"] for c in classes) == found["objects"]
			assert sum(c["pages"] for c in classes) * page == memory[-1]
			waste = sum(c["waste_rounding"] + c["waste_tails"] + c["waste_free"]
			            for c in classes)
			assert memory[-1] == found["compressed"] + waste
		END
			fault "analyze, $algorithm"
	done
}

# gnuplot is not needed for the rest, and so may not be there: what it is given is what counts.
test_plot() {
	mkdir "$dir/bin"
	printf '#!/bin/sh\ncat\n' >"$dir/bin/gnuplot"
	chmod +x "$dir/bin/gnuplot"
	run env PATH="$dir/bin:$PATH" "$zsmalloc" analyze --plot "$dir/plot" "$dir/program"
	if [ "$status" -ne 0 ] || [ -s "$dir/err" ] || ! grep -q '^set terminal svg' "$dir/plot" ||
	   ! grep -q '^plot $sizes_lz4 .*linewidth 3.*, $sizes_zstd' "$dir/plot"; then
		fault "a plot: status $status"
	fi
	if command -v gnuplot >/dev/null; then
		answers 'Loaded' analyze --plot "$dir/plot" "$dir/program"
		python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' \
			"$dir/plot" || fault 'a plot that is no SVG'
	fi
	printf '#!/bin/sh\nexit 1\n' >"$dir/bin/gnuplot"
	refused_by 'gnuplot failed' env PATH="$dir/bin:$PATH" "$zsmalloc" analyze \
		--plot "$dir/plot" "$dir/program"
	refused_by 'install gnuplot' env PATH=/none "$zsmalloc" analyze \
		--plot "$dir/plot" "$dir/program"
	[ ! -e "$dir/plot" ] || fault 'a plot that was not drawn is there'
}

# Every size is in one class, which is what its slots say.
test_classes() {
	answers ' size classes, of zspages of up to 32 pages' classes
	answers ' size classes, of zspages of up to 3 pages' classes --chain 3
	for chain in 1 4 32; do
		run "$zsmalloc" classes --json --chain "$chain"
		python3 - "$dir/out" "$chain" <<-'END' || fault "the classes of chains up to $chain"
			import json, sys
			report = json.load(open(sys.argv[1]))
			page = report["page_size"]
			last = 0
			assert report["max_chain"] == int(sys.argv[2])
			for one in report["classes"]:
			    memory = one["pages_per_zspage"] * page
			    assert one["least"] == last + 1 and one["size"] >= one["least"]
			    assert 1 <= one["pages_per_zspage"] <= report["max_chain"]
			    assert one["slots_per_zspage"] == min(256, memory // one["size"])
			    assert one["tail"] == memory - one["slots_per_zspage"] * one["size"]
			    last = one["size"]
			assert last == page
		END
	done
}

# What it shows of programs that publish is in tests/command/test_top.c.
test_top() {
	refuses 'not a terminal' top
	refuses 'no such process' top --once --pid 2147483647
	refuses "process $sleeper publishes no pools" top --json --pid "$sleeper"
	refuses '--pid takes' top --pid=init
}

# The status is for scripts, which do not read the report.
test_damage() {
	run "$broken" exit --rounds 1 --size 1M
	if [ "$status" -ne 1 ] ||
	   ! grep -q '^zsmalloc: exit: pages came back changed: [1-9]' "$dir/err" ||
	   ! grep -qE 'hash mismatches: [1-9]' "$dir/out"; then
		fault "a damaged page: status $status, wanted 1"
	fi
}

test_help
test_bad_arguments
test_unreadable
test_unwritable
test_pipe
test_few_files
test_forbidden
test_report
test_json
test_files
test_pid
test_analyze
test_analyze_json
test_plot
test_classes
test_top
test_damage
[ "$failed" -eq 0 ]
