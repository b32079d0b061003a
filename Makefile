# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# A thin way into the build, which is meson's. Every target first installs the Debian packages that
# are missing (scripts/packages).

BUILD := build
PREFIX ?= /usr/local

# ThreadSanitizer of gcc 12 fails where the kernel spreads addresses wide; not every container lets
# a process change that.
FIXED_ADDRESSES := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.PHONY: all demo check check-mutants check-musl check-old-glibc check-arm64 bench install clean
.PHONY: help packages
.NOTPARALLEL:

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

demo: $(BUILD)/build.ninja
	ninja -C $(BUILD) tools/zsmalloc
	$(BUILD)/tools/zsmalloc exit

check: all build-asan/build.ninja build-tsan/build.ninja
	meson test -C $(BUILD) --print-errorlogs
	meson test -C build-asan --print-errorlogs
	$(FIXED_ADDRESSES) meson test -C build-tsan --print-errorlogs

check-mutants: packages
	$(FIXED_ADDRESSES) scripts/check-mutants

check-musl:
	@scripts/install-packages build port
	scripts/check-musl build-ci/musl

check-old-glibc: packages
	scripts/check-old-glibc build-ci/old-glibc

check-arm64:
	@scripts/install-packages build port
	scripts/check-arm64 build-ci/arm64

bench: all
	@scripts/install-packages bench
	@CORPORA='$(abspath $(BUILD))/corpora' && export CORPORA && \
		rm -rf "$$CORPORA" && mkdir "$$CORPORA" && \
		trap 'rm -rf "$$CORPORA"' EXIT && trap 'exit 130' INT && \
		meson test -C $(BUILD) --benchmark --verbose $(BENCH)

install: all
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	meson install -C $(BUILD) $(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')
	$(if $(DESTDIR),,[ "$$(id -u)" -ne 0 ] || ldconfig)

clean:
	rm -rf $(BUILD) build-asan build-tsan build-ci build-deb

help:
	@echo 'Times are for two cores. Each target first installs the Debian packages it needs.'
	@echo 'make                build libraries, command, tests and benches in $(BUILD)/ (30 s)'
	@echo 'make demo           zsmalloc exit on this machine'"'"'s own programs (30 s)'
	@echo 'make check          all tests, then all under ASan+UBSan and under TSan (5 min)'
	@echo 'make check-mutants  show that the tests notice broken code (5 min)'
	@echo 'make check-musl     all tests with the libc musl (2 min; the first time 4 min)'
	@echo 'make check-old-glibc  all tests with the glibc of Debian 11 (2 min)'
	@echo 'make check-arm64    most tests for arm64, in QEMU (2 min; the first time 4 min)'
	@echo 'make bench          measure (15 min); BENCH="free life": only these (2 min each)'
	@echo 'make install        install to PREFIX (now $(PREFIX)), below DESTDIR (30 s)'
	@echo 'make clean          remove what was built'
	@echo 'make module         the module for the running kernel, or for KDIR=... (10 s)'
	@echo 'make install-module the same, loaded at boot in place of the kernel'"'"'s own (10 s)'
	@echo 'make intree         the same files in a kernel'"'"'s source, KERNEL=... (1 s)'
	@echo 'make intree-undo    the source as it was (1 s)'
	@echo 'make deb            the package zsmalloc-dkms, in build-deb/ (1 s)'
	@echo 'make check-dkms     that package in a Debian 12 and 13 in a folder, as root (10 min)'
	@echo 'make check-kernel   the module under stock Debian kernels in QEMU (15 min)'
	@echo 'make check-intree   such kernels, 6.12 and 7.3, built and booted in UML (20 min)'
	@echo 'make check-kernel-debug  the module under KASAN and lockdep (30 min)'
	@echo 'make bench-kernel   ours and the kernel'"'"'s own, in User Mode Linux (15 min)'

packages:
	@scripts/install-packages build

$(BUILD)/build.ninja: | packages
	meson setup $(BUILD) --prefix=$(PREFIX)

build-asan/build.ninja: | packages
	meson setup build-asan -Db_sanitize=address,undefined -Ddebug_locks=true

build-tsan/build.ninja: | packages
	meson setup build-tsan -Db_sanitize=thread -Ddebug_locks=true

# The kernel module: its targets are there.
-include kernel.mk
