# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# The kernel module: its build, its tests and its benchmark in real kernels.
#
#   make module            zsmalloc.ko or zsmalloc_takeover.ko, as the kernel wants it, in
#                          $(MODULE_BUILD), for the running kernel or KDIR=...
#   make install-module    there, too, and loaded at boot in place of the kernel's own
#   make intree            the same files as mm/zsmalloc/ of the kernel's source KERNEL=...
#   make intree-undo       the source as it was
#   make check-intree      such kernels, built and booted as User Mode Linux
#   make check-kernel      the module under stock Debian kernels, in QEMU: a few, or KERNELS="..."
#                          of scripts/kernel-lab, or KERNELS=all
#   make check-kernel-debug  the module under a kernel with all its checkers, in User Mode Linux
#   make bench-kernel      ours and the kernel's own, in User Mode Linux
#   make deb               the package zsmalloc-dkms, in build-deb
#   make check-dkms        that package in a Debian 12 that becomes a Debian 13; needs root

KDIR ?= /lib/modules/$(shell uname -r)/build
MODULE_BUILD ?= build-module

.PHONY: module install-module intree intree-undo check-intree check-kernel check-kernel-debug \
	bench-kernel deb check-dkms

# Kbuild writes next to what it compiles: it gets a tree of links.
module:
	rm -rf '$(MODULE_BUILD)'
	mkdir -p '$(MODULE_BUILD)/port'
	cp -rs '$(CURDIR)/src' '$(MODULE_BUILD)/'
	cp -rs '$(CURDIR)/port/linux' '$(MODULE_BUILD)/port/'
	$(MAKE) -C '$(KDIR)' M='$(abspath $(MODULE_BUILD))/port/linux' modules
	cd '$(MODULE_BUILD)' && ln -s port/linux/*.ko .

install-module: module
	$(MAKE) -C '$(KDIR)' M='$(abspath $(MODULE_BUILD))/port/linux' INSTALL_MOD_DIR=updates \
		modules_install
	$(if $(INSTALL_MOD_PATH),,depmod \
		$$(modinfo -F vermagic '$(MODULE_BUILD)'/*.ko | cut -d ' ' -f 1))

intree:
	@scripts/intree '$(KERNEL)'

intree-undo:
	@scripts/intree --undo '$(KERNEL)'

deb:
	scripts/make-deb

# These install the packages that they need.
check-kernel:
	scripts/check-kernel $(KERNELS)

check-intree:
	scripts/check-intree

check-kernel-debug:
	scripts/check-kernel-debug

bench-kernel:
	scripts/bench-kernel

check-dkms:
	scripts/check-dkms
