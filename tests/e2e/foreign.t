#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Cores of what pmdb does not understand: other allocators, static programs,
# other architectures, memory that is not there.  One line says what was found;
# the status of check is 3, and "clean" is never said.
set -u
n=0
rows=()
P=$B/pmdb
ok() { n=$((n + 1)); rows+=("ok $n - $1"); }
nok() { n=$((n + 1)); rows+=("not ok $n - $1"); sed 's/^/# /' <<< "$2"; }
skip() { n=$((n + 1)); rows+=("ok $n - $1 # SKIP $2"); }
# no_verdict NAME PATTERN CORE
no_verdict() {
	local rc
	timeout -k 1 30 "$P" check "$3" > out 2> err < /dev/null
	rc=$?
	if [ $rc = 3 ] && [ "$(grep -c '' err)" = 1 ] &&
		grep -qE -e "^pmdb: $3: .*($2)" err &&
		! grep -qi clean out err; then
		ok "$1"
	else
		nok "$1" "status $rc, not like \"$2\": $(cat err) $(head -3 out)"
	fi
}

cat > prog.c <<'EOF'
#include <stdlib.h>
#include <unistd.h>
#ifdef SYMBOL
int SYMBOL(void) { return 0; }
#endif
#ifdef LABEL
int label(void) __asm__(LABEL);
int label(void) { return 0; }
#endif
char *volatile keep;
int main(void)
{
	char c;

	for (int i = 0; i < 1000; i++) {
		keep = malloc(100 + i);
		keep[0] = 1;
	}
	if (write(1, "ready\n", 6) == 6)
		return (int)read(0, &c, 1);
	return 1;
}
EOF
# core_of CORE [VAR=VALUE]... PROGRAM: a snapshot of it, while it waits
core_of() {
	local core=$1 fd pid
	shift
	rm -f "$core" pipe ready
	mkfifo pipe
	env "$@" < pipe > ready &
	pid=$!
	exec {fd}> pipe
	for _ in $(seq 300); do
		[ -s ready ] && break
		sleep 0.02
	done
	[ -z "${FILTER-}" ] || echo "$FILTER" > /proc/$pid/coredump_filter
	"$P" snap -q -p $pid -o "$core"
	exec {fd}>&-
	wait $pid 2> /dev/null
	[ -s "$core" ]
}
gcc -g -O1 -o prog prog.c || exit 1

# ---- other allocators --------------------------------------------------------
for lib in jemalloc mimalloc tcmalloc; do
	so=$(find /usr/lib/x86_64-linux-gnu /usr/local/lib -name "lib$lib*.so.*" 2> /dev/null | head -1)
	if [ -z "$so" ]; then
		skip $lib "it is not installed"
	elif core_of a.core LD_PRELOAD="$so" ./prog; then
		no_verdict $lib "malloc is $lib .*not yet supported" a.core
	else
		nok $lib "no core"
	fi
done
gcc -g -DSYMBOL=je_mallctl -o with_je prog.c
core_of a.core ./with_je
no_verdict "jemalloc in the program" 'malloc is jemalloc \(with_je\)' a.core

# libkmem under the program's own calls, malloc() somebody else's: that heap
# nobody looks into
cat > beside.c <<'EOF'
#include <stdlib.h>
#include "kmem.h"
void *keep;
int main(int argc, char **argv)
{
	char *volatile p = malloc(1000);

	p[0] = 1;
	keep = kmem_alloc(100, KM_SLEEP);
	p = NULL;
	return kmem_snapshot(argv[1], 0) != 0;
}
EOF
gcc -I"$TOP/src/kmem" -o beside beside.c -L"$B" -lkmem -Wl,-rpath,"$B"
LD_PRELOAD=$(ldconfig -p | awk '/libjemalloc.so.2/ { print $NF; exit }') \
	./beside beside.core
no_verdict "libkmem beside jemalloc" 'malloc is jemalloc' beside.core
if gcc -fsanitize=address -o asan prog.c 2> gcc.log; then
	core_of a.core ASAN_OPTIONS=detect_leaks=0 ./asan
	no_verdict "AddressSanitizer" "malloc is AddressSanitizer" a.core
else
	skip "AddressSanitizer" "it is not installed"
fi
if type musl-gcc > gcc.log 2>&1; then
	musl-gcc -o musl prog.c && core_of a.core ./musl
	no_verdict "musl" "malloc is musl's malloc" a.core
	musl-gcc -static -o static_musl prog.c && core_of a.core ./static_musl
	no_verdict "musl, static" "malloc is musl's malloc" a.core
	strip static_musl && core_of a.core ./static_musl
	no_verdict "musl, static and stripped" "statically linked" a.core
else
	skip "musl" "it is not installed"
fi
for how in -static -static-pie; do
	gcc "$how" -o static prog.c && core_of a.core ./static
	no_verdict "a program linked with $how" \
		"statically linked program \(static\), which has glibc's malloc in it: not supported" a.core
	strip static && core_of a.core ./static
	no_verdict "the same, stripped" \
		"statically linked program \(static\), whose allocator is not known: not supported" a.core
done
gcc -static -DLABEL='"runtime.mallocgc"' -o gobin prog.c && core_of a.core ./gobin
no_verdict "a Go program" "malloc is the Go runtime \(gobin\).*not yet supported" a.core
core_of a.core /lib64/ld-linux-x86-64.so.2 ./prog
timeout 30 "$P" check a.core > out 2> err < /dev/null
if cat out err | grep -q 'pmdb: a.core: ' && ! grep -q static err; then
	ok "one that the loader was asked to run is not static"
else
	nok "one that the loader was asked to run is not static" "$(cat err)"
fi

# ---- memory that is not there ------------------------------------------------
FILTER=0 core_of a.core ./prog
no_verdict "no writable memory (coredump_filter 0)" "not in the dump" a.core
FILTER=0x32 core_of a.core LD_PRELOAD="$B/libkmem_preload.so" ./prog
no_verdict "no private memory of a process under libkmem" "not in the (dump|core)" a.core
core_of a.core ./prog
size=$(stat -c %s a.core)
for part in 3 2; do
	head -c $((size / part)) a.core > cut.core
	no_verdict "one $part. of a core" "incomplete: .*truncated" cut.core
done
bad=
for ((i = 1; i < 50; i++)); do
	head -c $((size * i / 50)) a.core > cut.core
	timeout -k 1 20 "$P" check cut.core > out 2> err < /dev/null
	rc=$?
	[ $rc = 3 ] && [ "$(grep -c '' err)" = 1 ] && ! grep -qi clean out err &&
		grep -q 'no verdict: the dump is incomplete: truncated' err ||
		bad+="$i of 50: status $rc: $(head -2 err)"$'\n'
done
[ -z "$bad" ] && ok "cut at each fiftieth" || nok "cut at each fiftieth" "$bad"
# the arena is there, of its heap the half, or nothing
for part in 2 1000; do
	python3 - $part <<-'EOF'
	import struct, sys
	d = bytearray(open("a.core", "rb").read())
	phoff, = struct.unpack_from("<Q", d, 32)
	n, = struct.unpack_from("<H", d, 56)
	rows = [(struct.unpack_from("<IIQQQQQQ", d, phoff + 56 * i), phoff + 56 * i)
	        for i in range(n)]
	# the first map behind the program's that is as large as the heap
	heap = next(at for p, at in rows if p[0] == 1 and p[1] & 2 and p[5] > 400000)
	size, = struct.unpack_from("<Q", d, heap + 32)
	struct.pack_into("<Q", d, heap + 32, size // int(sys.argv[1]) & ~4095)
	open("hole.core", "wb").write(d)
	EOF
	no_verdict "one $part. of its heap" "[0-9]+ bytes of the heap, from 0x[0-9a-f]+ on, are not in the dump" hole.core
	timeout 20 "$P" -e ::kmem_verify hole.core > out 2> err
	if ! grep -q clean out && grep -q 'not all of it could be looked at' out; then
		ok "::kmem_verify does not call that clean"
	else
		nok "::kmem_verify does not call that clean" "$(cat out err)"
	fi
done

# malloc counts a mapping that the dump has not
cat > far.c <<'EOF'
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
char *volatile keep, *volatile far;
int main(void)
{
	char c;

	keep = malloc(100);
	far = malloc(1 << 20);
	if (madvise(far - 16, 1 << 20, MADV_DONTDUMP) != 0)
		return 1;
	if (write(1, "ready\n", 6) == 6)
		return (int)read(0, &c, 1);
	return 1;
}
EOF
gcc -O1 -o far far.c && core_of a.core ./far
no_verdict "an mmapped chunk that was left out" \
	"[0-9]+ bytes of the heap, from 0x[0-9a-f]+ on, are not in the dump" a.core

# ---- other architectures -----------------------------------------------------
python3 - <<'EOF'
import struct


def core(name, cls, big, machine):
    e = ">" if big else "<"
    ident = b"\x7fELF" + bytes([cls, 2 if big else 1, 1]) + bytes(9)
    if cls == 2:
        head = ident + struct.pack(e + "HHIQQQIHHHHHH", 4, machine, 1, 0, 64,
                                   0, 0, 64, 56, 1, 0, 0, 0)
        ph = struct.pack(e + "IIQQQQQQ", 1, 6, 4096, 65536, 0, 4096, 4096, 1)
    else:
        head = ident + struct.pack(e + "HHIIIIIHHHHHH", 4, machine, 1, 0, 52,
                                   0, 0, 52, 32, 1, 0, 0, 0)
        ph = struct.pack(e + "IIIIIIII", 1, 4096, 65536, 0, 4096, 4096, 6, 1)
    with open(name, "wb") as f:
        f.write((head + ph).ljust(8192, b"\0"))


core("i386.core", 1, False, 3)
core("arm.core", 1, False, 40)
core("aarch64.core", 2, False, 183)
core("riscv.core", 2, False, 243)
core("s390x.core", 2, True, 22)
core("ppc.core", 1, True, 20)
core("x32.core", 1, False, 62)
EOF
for a in "i386 i386, 32-bit" "arm arm, 32-bit" "aarch64 aarch64, 64-bit" \
	"riscv riscv, 64-bit" "s390x s390x, 64-bit, big-endian" \
	"ppc unknown, 32-bit, big-endian" "x32 x86-64, 32-bit"; do
	no_verdict "a core of ${a#* }" \
		"core of another architecture \(${a#* }\): only x86-64" "${a%% *}.core"
done
if gcc -m32 -o prog32 prog.c 2> gcc.log; then
	sleep 20 | ./prog32 > ready &
	for _ in $(seq 300); do
		[ -s ready ] && break
		sleep 0.02
	done
	pid=$(jobs -p %+)
	pid=$(pgrep -g "$(ps -o pgid= -p "$pid" | tr -d ' ')" -x prog32)
	"$P" snap -p "$pid" -o b.core > out 2> err
	rc=$?
	kill "$pid"
	if [ $rc = 3 ] && grep -q '32-bit program: not supported' err && [ ! -e b.core ]; then
		ok "snap of a 32-bit process"
	else
		nok "snap of a 32-bit process" "status $rc: $(cat err)"
	fi
else
	skip "snap of a 32-bit process" "gcc has no -m32 here"
fi

# ---- the kernel's own --------------------------------------------------------
pattern=$(cat /proc/sys/kernel/core_pattern)
cat > leaks.c <<'EOF'
#include <stdlib.h>
static __attribute__((noinline)) void leak(void)
{
	for (int i = 0; i < 3; i++) {
		char *volatile p = malloc(100);
		p[0] = 1;
	}
}
/* where leak() and malloc() had their frames, and what they had in registers */
static __attribute__((noinline, zero_call_used_regs("all-gpr"))) void wipe(void)
{
	volatile char stale[16384];

	for (unsigned i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}
int main(void)
{
	leak();
	wipe();
	/* nor do registers keep what they were last used for */
	__asm__ volatile("xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\t"
			 "xor %%r10d, %%r10d" ::: "r8", "r9", "r10");
	abort();
}
EOF
gcc -g -O1 -o leaks leaks.c
mkdir k
echo '#include <stdlib.h>
int main(void) { abort(); }' > die.c
if [[ $pattern != */* && $pattern != "|"* ]] && gcc -m32 -o die32 die.c 2> log; then
	mkdir k32
	(
		cd k32 || exit
		ulimit -c unlimited
		../die32
	) 2> log
	mv "$(find k32 -type f)" die32.core
	no_verdict "a core of a 32-bit program" 'another architecture \(i386, 32-bit\)' die32.core
else
	skip "a core of a 32-bit program" "gcc has no -m32 here, or core_pattern is $pattern"
fi
core=
if [[ $pattern != */* && $pattern != "|"* ]]; then
	(
		cd k || exit
		ulimit -c unlimited
		LD_PRELOAD=$B/libkmem_preload.so KMEM_DEBUG=default ../leaks
	) 2> log
	core=$(find k -type f | head -1)
fi
if [ -n "$core" ]; then
	mv "$core" kernel.core
	timeout 60 "$P" check kernel.core > out 2> err
	rc=$?
	if [ $rc = 1 ] && grep -q '300 bytes in 3 buffers' out; then
		ok "a core of the kernel's"
	else
		nok "a core of the kernel's" "status $rc: $(cat err out)"
	fi
	zstd -q kernel.core -o systemd.core.zst
	timeout 60 "$P" check systemd.core.zst > out2 2> err
	rc=$?
	sed -i 's/systemd.core.zst/kernel.core/' out2
	if [ $rc = 1 ] && cmp -s out out2; then
		ok "the same, packed as systemd-coredump does"
	else
		nok "the same, packed as systemd-coredump does" "status $rc: $(diff out out2)"
	fi
	head -c $(($(stat -c %s systemd.core.zst) / 2)) systemd.core.zst > cut.zst
	no_verdict "half of that" "incomplete: " cut.zst
else
	skip "a core of the kernel's" "core_pattern is $pattern"
fi
printf '%s\n' "${rows[@]}"
echo "1..$n"
