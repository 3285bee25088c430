# SPDX-License-Identifier: GPL-3.0-or-later
# The one build file.  "make help" lists the targets.
#
#   CC=gcc|clang      compiler            SAN=asan|ubsan|tsan   sanitizer (pmdb)
#   KSAN=tsan|ubsan|asan   sanitizer (libkmem, for the programs of tests/stress)
#   T=suite[/case]    which tests         V=1 K=1          show, keep work dirs
#   BUILD=build       where output goes   DESTDIR PREFIX   where install goes

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules -j$(shell nproc)

CC := gcc
CXX := g++
AR := ar
PREFIX ?= /usr/local
DESTDIR ?=
bindir ?= $(PREFIX)/bin
libdir ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
mandir ?= $(PREFIX)/share/man
BUILD ?= build
VERSION := 0.1.0
B := $(BUILD)/$(notdir $(CC))$(if $(SAN),-$(SAN))$(if $(KSAN),-k$(KSAN))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wundef -Wvla \
	-Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Wdouble-promotion
DEVELOPER ?= 1
WARN += $(if $(filter 1,$(DEVELOPER)),-Werror)
COMMON := -std=gnu11 -g -fno-common -fno-strict-aliasing \
	-ffile-prefix-map=$(CURDIR)=. $(WARN)
OPT ?= -O2
, := ,
SANFLAGS := $(if $(filter asan,$(SAN)),-fsanitize=address$(,)undefined) \
	$(if $(filter ubsan,$(SAN)),-fsanitize=undefined) \
	$(if $(filter tsan,$(SAN)),-fsanitize=thread) \
	$(if $(filter fuzz,$(SAN)),-fsanitize=address$(,)undefined$(,)fuzzer-no-link)

KSANFLAGS := $(if $(filter tsan,$(KSAN)),-fsanitize=thread -Wno-tsan) \
	$(if $(filter ubsan,$(KSAN)),-fsanitize=undefined -fno-sanitize-recover=all) \
	$(if $(filter asan,$(KSAN)),-fsanitize=address)

# product 1: into other people's processes
KMEM_CFLAGS := $(COMMON) $(OPT) -fPIC -fvisibility=hidden -fno-builtin \
	-fno-omit-frame-pointer -fno-eliminate-unused-debug-types \
	-ftls-model=initial-exec -fno-plt -fcf-protection=none \
	-mgeneral-regs-only -ffunction-sections -Isrc -Isrc/kmem \
	$(KSANFLAGS)
# product 2: the debugger; only src/ is on the path, so "floor/file.h" is said
PMDB_CFLAGS := $(COMMON) $(OPT) $(SANFLAGS) -Isrc -DPMDB_VERSION='"$(VERSION)"'
PMDB_LIBS := -ldw -lelf -lcapstone -liberty -lreadline -ljansson -lsqlite3 -lz -llzma -lzstd \
	-lpthread

FLOORS := base target types heap graph shell
floor_src = $(sort $(wildcard src/$(1)/*.c))
objs = $(patsubst %.c,$(B)/%.o,$(1))

PRELOAD_SRC := $(sort $(wildcard src/kmem/malloc*.c src/kmem/preload*.c))
# What a program without debugging never runs is linked last, after the bit of
# libc that comes with each library: files are brought in 64 KiB at a time.  The
# order of functions is in src/kmem/text.ld.
KMEM_COLD := $(wildcard $(patsubst %,src/kmem/%.c,depot kmalloc kmem_audit \
	kmem_audited kmem_debug kmem_error kmem_logfile kmem_move kmem_pattern kmem_symbol \
	rmap umem unwind unwind_*)) $(call floor_src,snap)
KMEM_WARM := $(filter-out $(PRELOAD_SRC) $(KMEM_COLD),\
	$(sort $(wildcard src/kmem/*.c)))
KMEM_SRC := $(KMEM_WARM) $(KMEM_COLD)
KMEM_LINK = $(call objs,$(KMEM_WARM)) -lpthread -lc $(call objs,$(KMEM_COLD)) \
	-Wl,-fini=none -Wl,--sort-section=name -Wl,-T,$(B)/kmem.ld
KMEM_OBJ := $(call objs,$(KMEM_SRC))
PRELOAD_OBJ := $(call objs,$(PRELOAD_SRC))
DCMD_OBJ := $(call objs,$(sort $(wildcard dcmds/*.c)))
PMDB_OBJ := $(call objs,$(call floor_src,pmdb)) $(DCMD_OBJ) \
	$(B)/gen/report_page.o
# highest first: the order the linker needs
FLOOR_LIBS := $(foreach f,shell graph heap types target base,$(B)/lib$(f).a)

FIX_C := $(sort $(wildcard fixtures/prog/*.c))
FIX_CC := $(sort $(wildcard fixtures/prog/*.cc))
FIXTURES := $(patsubst fixtures/prog/%.c,$(B)/fixtures/%,$(FIX_C)) \
	$(patsubst fixtures/prog/%.cc,$(B)/fixtures/%,$(FIX_CC))
UNIT_SRC := $(sort $(wildcard tests/unit/*/t-*.c))
UNIT := $(patsubst tests/%.c,$(B)/tests/%,$(UNIT_SRC))
KTEST_SRC := $(sort $(wildcard tests/kmem/*.c))
KTEST := $(patsubst tests/%.c,$(B)/tests/%,$(KTEST_SRC))
STRESS_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/stress/model*.c \
	tests/stress/verify.c))
STRESS := $(B)/tests/stress/model $(B)/tests/stress/nth
GUEST_SRC := $(sort $(wildcard tests/guest/*.c))
GUEST := $(patsubst tests/%.c,$(B)/tests/%,$(GUEST_SRC))

.PHONY: all check check-programs stress stress-run demo bench fuzz lint fmt fmt-check install uninstall \
	help deps clean tests pre
all: $(B)/libkmem.so.1 $(B)/libkmem_preload.so $(B)/pmdb ## build everything

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-16s %s\n", $$1, $$2}' Makefile

# ---- set-up -----------------------------------------------------------------
include deps.mk
# Set-up is a file that is included, so that nothing is tried before it is done.
NEEDS_TEST := $(filter check check-programs stress tests demo bench fuzz lint fmt fmt-check,$(MAKECMDGOALS))
ifeq (,$(filter clean help deps,$(MAKECMDGOALS)))
include $(BUILD)/.deps-$(if $(NEEDS_TEST),test,build).mk
include $(if $(filter bench,$(MAKECMDGOALS)),$(BUILD)/.deps-bench.mk)
endif
$(BUILD)/.deps-build.mk: deps.mk
	@mkdir -p $(@D)
	@tests/deps $(DEPS_BUILD)
	@echo "# installed" > $@
$(BUILD)/.deps-test.mk: deps.mk
	@mkdir -p $(@D)
	@tests/deps $(DEPS_PACKAGES)
	@echo "# installed" > $@
$(BUILD)/.deps-bench.mk: deps.mk
	@mkdir -p $(@D)
	@tests/deps $(DEPS_BENCH)
	@echo "# installed" > $@
deps: ## install the Debian packages that are missing
	@tests/deps $(DEPS_PACKAGES)

# ---- compile ----------------------------------------------------------------
flags_of = $(CC) $(1)
$(B)/.kmem-flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(KMEM_CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(KMEM_CFLAGS)' > $@
$(B)/.pmdb-flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(PMDB_CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(PMDB_CFLAGS)' > $@
# which objects, in which order: one that is gone, or comes elsewhere, is reason
# to link
LINKED := $(subst $(B)/,,$(KMEM_LINK) : $(PRELOAD_OBJ) : $(PMDB_OBJ) : \
	$(PMDB_LIBS) : $(foreach f,$(FLOORS),$(call floor_src,$(f))))
$(B)/.link-order: FORCE
	@mkdir -p $(@D); echo '$(LINKED)' | cmp -s - $@ || echo '$(LINKED)' > $@
FORCE:
.PHONY: FORCE

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $(2)")

$(B)/src/kmem/%.o: src/kmem/%.c $(B)/.kmem-flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(KMEM_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/src/snap/%.o: src/snap/%.c $(B)/.kmem-flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(KMEM_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/src/%.o: src/%.c $(B)/.pmdb-flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PMDB_CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<
# the one file that knows where things are installed
$(B)/src/pmdb/run.o: EXTRA := -DPMDB_LIBDIR='"$(libdir)/pmdb"'
$(B)/src/pmdb/run.o: $(B)/.libdir
$(B)/.libdir: FORCE
	@mkdir -p $(@D); echo '$(libdir)' | cmp -s - $@ || echo '$(libdir)' > $@
$(B)/dcmds/%.o: dcmds/%.c $(B)/.pmdb-flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PMDB_CFLAGS) -MMD -MP -c -o $@ $<

# what ::help prints is the manual: its pages go into the shell
HELP_PAGES := $(filter-out %/README.md,$(sort $(wildcard doc/dcmds/*.md)))
$(B)/gen/help_pages.c: src/shell/help_pages.awk doc/dcmds $(HELP_PAGES)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)awk -f $< $(HELP_PAGES) > $@
$(B)/gen/%.o: $(B)/gen/%.c $(B)/.pmdb-flags
	$(call say,CC,$<)
	$(Q)$(CC) $(PMDB_CFLAGS) -MMD -MP -c -o $@ $<
gen_shell := $(B)/gen/help_pages.o

# what a report looks like and what it does, for pmdb report to write
REPORT_PAGE := src/pmdb/report/report.css src/pmdb/report/report.js
$(B)/gen/report_page.c: src/pmdb/report/embed $(REPORT_PAGE)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)bash $< $(REPORT_PAGE) > $@

define FLOOR_RULE
$(B)/lib$(1).a: $$(call objs,$$(call floor_src,$(1))) $$(gen_$(1)) $(B)/.link-order
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach f,$(FLOORS),$(eval $(call FLOOR_RULE,$(f))))

# the linker's own script, with our order of functions in it
$(B)/kmem.ld: src/kmem/text.ld
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(CC) -shared -o /dev/null -Wl,-z,now -Wl,--verbose | sed -n \
		-e '/^=====/,/^=====/!d; /^=====/d; p' \
		-e '/^  \.text  *:/{n;p;r $<' -e '}' > $@
$(B)/libkmem.so.1: $(KMEM_OBJ) src/kmem/libkmem.map $(B)/kmem.ld \
		$(B)/.link-order
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ -Wl,-soname,libkmem.so.1 -Wl,-z,now -Wl,-z,defs \
		-Wl,-z,nodelete -Wl,--build-id=sha1 \
		-Wl,--version-script=src/kmem/libkmem.map $(KMEM_LINK)
	$(Q)ln -sf libkmem.so.1 $(B)/libkmem.so
$(B)/libkmem_preload.so: $(KMEM_OBJ) $(PRELOAD_OBJ) src/kmem/preload.map \
		$(B)/kmem.ld $(B)/.link-order
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ -Wl,-soname,libkmem_preload.so -Wl,-z,now \
		-Wl,-z,defs -Wl,-z,nodelete -Wl,--build-id=sha1 \
		-Wl,--version-script=src/kmem/preload.map \
		$(PRELOAD_OBJ) $(KMEM_LINK) -ldl
$(B)/pmdb: $(PMDB_OBJ) $(FLOOR_LIBS) $(B)/.link-order
	$(call say,LD,$@)
	$(Q)$(CC) $(SANFLAGS) -o $@ -rdynamic $(PMDB_OBJ) \
		-Wl,--whole-archive $(FLOOR_LIBS) -Wl,--no-whole-archive $(PMDB_LIBS)

# ---- fixtures and tests -----------------------------------------------------
# A fixture is an ordinary program, built as a distribution builds: -O2, no
# frame pointers.  One that calls kmem_* itself links libkmem and says so in a
# comment: LINK: kmem
# One that takes its own snapshots under another allocator says LINK: snap
fix_link = $(if $(shell grep -l 'LINK: kmem' $(1)),-L$(B) -lkmem -Wl$(,)-rpath$(,)'$$ORIGIN/..') \
	$(if $(shell grep -l 'LINK: snap\|"glibc.h"' $(1)),$(call objs,$(call floor_src,snap)))
$(B)/fixtures/%: fixtures/prog/%.c $(wildcard fixtures/*.h) $(B)/libkmem.so.1
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -O2 -g -fno-builtin-malloc -Wall -Ifixtures -Isrc/kmem -Isrc \
		-o $@ $< $(call fix_link,$<) -lpthread
$(B)/fixtures/%: fixtures/prog/%.cc $(wildcard fixtures/*.h) $(B)/libkmem.so.1
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) -std=gnu++17 -O2 -g -Wall -Ifixtures -Isrc/kmem \
		-o $@ $< $(call fix_link,$<) -lpthread

# A unit test of a floor links that floor and those below, nothing above.
unit_libs_base := base
unit_libs_target := target base
unit_libs_types := types target base
unit_libs_heap := heap types target base
unit_libs_graph := graph heap types target base
unit_libs_shell := shell graph heap types target base
define UNIT_RULE
$(B)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $$(foreach l,$$(unit_libs_$(1)),$(B)/lib$$(l).a)
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$$(Q)$$(CC) $$(PMDB_CFLAGS) -o $$@ $$< $$(filter %.a,$$^) -lcmocka $$(PMDB_LIBS)
endef
$(foreach f,$(FLOORS),$(eval $(call UNIT_RULE,$(f))))
# Tests of libkmem's insides link its objects; INSIDE: is not needed for those
# that use the public API only.
$(B)/tests/unit/kmem/%: tests/unit/kmem/%.c $(KMEM_OBJ)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(COMMON) $(OPT) -Isrc -Isrc/kmem -o $@ $< $(KMEM_OBJ) -lcmocka -lpthread
$(B)/tests/unit/snap/%: tests/unit/snap/%.c $(KMEM_OBJ)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(COMMON) $(OPT) -Isrc -Isrc/kmem -o $@ $< $(KMEM_OBJ) -lcmocka -lpthread
# Programs of tests/kmem run under the preload library or against libkmem.so.
$(B)/tests/kmem/%: tests/kmem/%.c $(B)/libkmem.so.1
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -O2 -g -fno-builtin -Wall -Isrc/kmem -o $@ $< \
		$(call fix_link,$<) -lpthread -ldl

# Programs of tests/stress link libkmem's objects, which may have a sanitizer.
$(B)/tests/stress/%.o: tests/stress/%.c $(B)/.kmem-flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(COMMON) $(OPT) $(KSANFLAGS) -Isrc -Isrc/kmem -MMD -MP -c -o $@ $<
$(B)/tests/stress/model: $(STRESS_OBJ) $(KMEM_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(KSANFLAGS) -o $@ $^ -lpthread

NTH_WRAP := vmem_alloc vmem_xalloc kmem_cache_alloc kmem_pages_alloc kmem_pagemap_set
$(B)/tests/stress/nth: $(B)/tests/stress/nth.o $(B)/tests/stress/verify.o $(KMEM_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(KSANFLAGS) -o $@ $(NTH_WRAP:%=-Wl,--wrap=%) $^ -lpthread

# Programs of tests/guest know nothing of libkmem.
$(B)/tests/guest/%: tests/guest/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -O2 -g -fno-builtin -Wall -o $@ $< -lpthread -ldl

# A fuzz target reads files here, and is libFuzzer's with "make fuzz".
FUZZ_TARGETS := $(patsubst %.c,$(B)/%,$(filter-out %/driver.c,\
	$(sort $(wildcard tests/fuzz/*.c))))
$(B)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/driver.c $(DCMD_OBJ) $(FLOOR_LIBS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PMDB_CFLAGS) -rdynamic -o $@ $< \
		$(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer,tests/fuzz/driver.c) \
		$(DCMD_OBJ) $(FLOOR_LIBS) $(PMDB_LIBS)
# new inputs are kept in build; one that is worth it is copied to tests/fuzz
FUZZ ?= cmd
FUZZ_SECONDS ?= 60
fuzz: ## fuzz: FUZZ=cmd or glibc, FUZZ_SECONDS=60; needs clang
	@$(MAKE) --no-print-directory CC=clang SAN=fuzz \
		$(BUILD)/clang-fuzz/tests/fuzz/$(FUZZ) \
		$(BUILD)/clang-fuzz/fixtures/glibc_lists
	@mkdir -p $(BUILD)/clang-fuzz/corpus/$(FUZZ)
	cd $(BUILD)/clang-fuzz && TRUTH=lists fixtures/glibc_lists small && \
	FUZZ_CORE=lists.0.core tests/fuzz/$(FUZZ) -timeout=20 \
		-max_total_time=$(FUZZ_SECONDS) -close_fd_mask=3 -max_len=400 \
		$(patsubst %,-dict=$(CURDIR)/%,$(wildcard tests/fuzz/$(FUZZ).dict)) \
		corpus/$(FUZZ) $(CURDIR)/tests/fuzz/$(FUZZ)

tests: all $(FIXTURES) $(UNIT) $(KTEST) $(GUEST) $(STRESS) $(FUZZ_TARGETS)
check: tests ## run the tests; T=suite[/case] for some of them
	@B=$(abspath $(B)) tests/run $(if $(V),-v) $(if $(K),-k) $(T)

check-programs: tests ## every program and every robustness test, at length
	@tests/deps $(DEPS_PROGRAMS)
	@B=$(abspath $(B)) tests/run -v --long --timeout 3600 $(or $(T),programs guest) \
		| tee $(B)/check-programs.log
	@sed -n 's/.*# cost: //p' $(B)/check-programs.log
	@tail -1 $(B)/check-programs.log; ! grep -q '^FAIL' $(B)/check-programs.log

SECONDS ?= 600
stress-run: $(STRESS) $(B)/pmdb
	@B=$(abspath $(B)) STRESS_SECONDS=$(SECONDS) tests/run -v \
		--timeout $$(($(SECONDS) * 2 + 3600)) stress
# with ThreadSanitizer first, which finds the most
stress: ## stress libkmem at length, with sanitizers too: SECONDS=600 each
	@$(MAKE) --no-print-directory KSAN=tsan stress-run
	@$(MAKE) --no-print-directory KSAN=ubsan stress-run
	@$(MAKE) --no-print-directory stress-run

lint: all ## floors, headers, docstrings, exports, licences, spelling
	@B=$(abspath $(B)) tests/run lint
demo: all ## the main job on real input: find a real program's leak
	@B=$(abspath $(B)) tests/demo
bench: tests ## measure; ratios against peers in one run
	@B=$(abspath $(B)) tests/bench/run

FMT_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')
fmt: ## lay out all C files
	@clang-format-14 -i $(FMT_FILES)
fmt-check: ## fail if a C file is not laid out
	@test -n "$(FMT_FILES)" && clang-format-14 --dry-run -Werror $(FMT_FILES)

# the allocators that kmem.h does not describe
KMEM_HEADERS := rmap.h kmalloc.h umem.h sys/vmem.h

# what src/pmdb_mod.h includes: modules are compiled against these
MODULE_HEADERS := pmdb_mod.h $(sort $(shell cd src && \
	sed -n 's/^\#include "\(.*\/.*\)"/\1/p' pmdb_mod.h \
	$$(sed -n 's/^\#include "\(.*\/.*\)"/\1/p' pmdb_mod.h)))

# ---- install ----------------------------------------------------------------
install: all ## install to DESTDIR, PREFIX
	install -D -m 755 $(B)/pmdb $(DESTDIR)$(bindir)/pmdb
	install -D -m 755 $(B)/libkmem.so.1 $(DESTDIR)$(libdir)/libkmem.so.1
	ln -sf libkmem.so.1 $(DESTDIR)$(libdir)/libkmem.so
	install -D -m 755 $(B)/libkmem_preload.so $(DESTDIR)$(libdir)/pmdb/libkmem_preload.so
	install -D -m 644 src/kmem/kmem.h $(DESTDIR)$(includedir)/kmem.h
	install -D -m 644 src/kmem/vmem.h $(DESTDIR)$(includedir)/vmem.h
	for h in $(KMEM_HEADERS); do install -D -m 644 src/kmem/$$h $(DESTDIR)$(includedir)/$$h; done
	for h in $(MODULE_HEADERS); do install -D -m 644 src/$$h $(DESTDIR)$(includedir)/pmdb/$$h; done
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@INCLUDEDIR@|$(includedir)|; s|@LIBDIR@|$(libdir)|; s|@VERSION@|$(VERSION)|' \
		src/pmdb/pmdb.pc.in > $(B)/pmdb.pc
	install -D -m 644 $(B)/pmdb.pc $(DESTDIR)$(libdir)/pkgconfig/pmdb.pc
	for f in doc/man/*.1; do install -D -m 644 $$f $(DESTDIR)$(mandir)/man1/$${f##*/}; done
	for f in doc/man/*.3; do install -D -m 644 $$f $(DESTDIR)$(mandir)/man3/$${f##*/}; done
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(bindir)/pmdb $(DESTDIR)$(libdir)/libkmem.so.1 \
		$(DESTDIR)$(libdir)/libkmem.so $(DESTDIR)$(includedir)/kmem.h \
		$(DESTDIR)$(includedir)/vmem.h \
		$(addprefix $(DESTDIR)$(includedir)/,$(KMEM_HEADERS)) \
		$(addprefix $(DESTDIR)$(includedir)/pmdb/,$(MODULE_HEADERS)) \
		$(DESTDIR)$(libdir)/pkgconfig/pmdb.pc $(DESTDIR)$(libdir)/pmdb/libkmem_preload.so
	-rmdir $(DESTDIR)$(libdir)/pmdb
	for f in doc/man/*.1; do rm -f $(DESTDIR)$(mandir)/man1/$${f##*/}; done
	for f in doc/man/*.3; do rm -f $(DESTDIR)$(mandir)/man3/$${f##*/}; done
clean: ## remove build output
	rm -rf $(BUILD)

-include $(wildcard $(B)/gen/*.d $(B)/tests/stress/*.d $(B)/src/*/*.d) $(wildcard $(B)/dcmds/*.d)
