# SPDX-License-Identifier: GPL-3.0-or-later
# The Debian packages the project needs, in one list: to build, to test, to
# measure.  tests/deps installs those that are missing.
DEPS_PACKAGES := \
	gcc g++ make libc6-dev libc6-dbg git \
	libelf-dev libdw-dev libiberty-dev libreadline-dev libjansson-dev libcmocka-dev \
	python3 python3-pexpect perl sqlite3 tar xz-utils binutils \
	gdb elfutils pahole dwz valgrind clang clang-format-14 \
	shellcheck codespell mandoc
