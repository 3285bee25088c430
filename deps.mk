# SPDX-License-Identifier: GPL-3.0-or-later
# The Debian packages the project needs: to build, to test, and to measure beside
# other allocators.  tests/deps installs those that are missing.
DEPS_BUILD := gcc make libc6-dev git \
	libelf-dev libdw-dev libcapstone-dev libiberty-dev libreadline-dev \
	libjansson-dev libsqlite3-dev zlib1g-dev liblzma-dev libzstd-dev
DEPS_TEST := \
	g++ libc6-dbg libcmocka-dev python3 python3-pexpect less perl sqlite3 tar \
	xz-utils gzip zstd binutils gdb elfutils pahole dwz valgrind clang llvm \
	clang-format-14 shellcheck codespell mandoc curl openssh-client \
	libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 musl-tools pkgconf \
	protobuf-compiler golang-go jq libxml2-utils cmark-gfm \
	chromium-headless-shell python3-html5lib \
	python3-jsonschema python3-pytest python3-yaml cmake meson ninja-build
DEPS_BENCH := libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 lua5.4 redis-server \
	redis-tools ghostscript
DEPS_PACKAGES := $(DEPS_BUILD) $(DEPS_TEST)
# what "make check-programs" needs beside these
DEPS_PROGRAMS := libpython3.11-testsuite redis-server redis-tools nginx-light \
	wrk postgresql nodejs openjdk-17-jdk-headless imagemagick golang-go \
	rustc
