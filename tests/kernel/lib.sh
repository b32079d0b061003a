# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# What the jobs in this directory share. Runs in busybox.

result=pass
disk=zram0 # the disk that is meant below

fail()
{
	echo "FAILED: $*"
	result=fail
}

# The modules that zram needs, in order, are in /modules.list; ours or the kernel's own zsmalloc is
# in place of the word "zsmalloc".
load()
{
	for module in $(cat /modules.list); do
		case $module in
		zsmalloc) insmod "${1:-/ours/zsmalloc.ko}" ;;
		brd) [ -d /sys/module/brd ] || insmod /modules/brd.ko rd_nr=1 rd_size=393216 ;;
		*) [ -d "/sys/module/$(echo "$module" | tr - _)" ] ||
			insmod "/modules/$module.ko" ;;
		esac || fail "loading $module"
	done
}

unload()
{
	rmmod zram || fail "removing zram"
	rmmod zsmalloc || fail "removing zsmalloc"
}

# What zs_huge_class_size() answers.
huge_size()
{
	insmod /ours/zsmalloc_huge.ko || fail "asking for the size of huge objects"
	cat /sys/module/zsmalloc_huge/parameters/size
	rmmod zsmalloc_huge
}

# The disk of so many MiB as swap, with an algorithm.
swap_on()
{
	echo "$2" >/sys/block/$disk/comp_algorithm || fail "algorithm $2"
	echo "$1M" >/sys/block/$disk/disksize
	mkswap /dev/$disk >/dev/null && swapon /dev/$disk || fail "swap on $disk"
}

swap_off()
{
	swapoff /dev/$disk || fail "swapoff"
	echo 1 >/sys/block/$disk/reset || fail "reset"
}

# Exact only after the counts of each CPU have been added up, if there are several.
nr_zspages()
{
	[ ! -e /proc/sys/vm/stat_refresh ] || cat /proc/sys/vm/stat_refresh
	sed -n 's/^nr_zspages //p' /proc/vmstat
}

pool_file()
{
	cat "/sys/kernel/debug/zsmalloc/$disk/$1"
}

pool_number()
{
	pool_file "$1" | sed -n "s/^$2: //p"
}
