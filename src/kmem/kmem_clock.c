/* SPDX-License-Identifier: MIT */
/*
 * The time of a transaction: CLOCK_MONOTONIC in nanoseconds, from the time
 * stamp counter where the kernel itself trusts that.  A call to the kernel's
 * page costs twice as much, most of it for an ordering nobody needs here.
 *
 *   time = base.ns + (counter - base.tsc) * base.mult / 2^32
 *
 * The rate is the one between now and the first call; until 10 ms have gone by
 * the clock is asked.  After each period, at most half a second, the clock is
 * asked again and the next period's rate leads from what was said to what the
 * clock will say, so time neither stops nor goes back.  After a suspension or
 * when a counter jumps, what the clock says counts.
 *
 * Even so the counter takes longer to read than a buffer to allocate.  While
 * there is one thread a transaction gets a time of its own only when the
 * kernel's coarse clock has moved, or a few transactions have been; the others
 * are a nanosecond later than the last one.  They are right to a tick of the
 * kernel's (1 to 10 ms), and in order.  With several threads the counter is read
 * each time, so that what they did shows in the order they did it.  Either way
 * a stamp is later than the buffer's last one, unless that cannot be.
 *
 * Which clock the kernel runs by is found out at the start, and only for who
 * stamps transactions: later the program may be where it can open no file.
 *
 * The coarse clock is asked in the kernel's page without libc between, where
 * that page can be found.
 *
 * Base is read under a sequence number: odd while it is being changed, and
 * whoever meets that asks the clock, so that nobody waits, a signal handler
 * least of all.
 */
#define _GNU_SOURCE
#include "kmem_short.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FIRST_NS  ((int64_t)10 * 1000 * 1000)
#define PERIOD_NS ((int64_t)500 * 1000 * 1000)
#define JUMP_NS   ((int64_t)1000 * 1000) /* more is no drift */
#define TIGHT     ((uint64_t)20000)      /* cycles of an undisturbed look */

/* no lock: see seq */
static struct {
	uint32_t seq;   /* odd: being changed */
	uint64_t tsc;   /* when this began */
	int64_t ns;     /* the same as time */
	uint64_t mult;  /* nanoseconds in 2^32 cycles; 0: not known */
	uint64_t limit; /* cycles it is good for */
} base;

/* changed while base.seq is odd */
static uint64_t first_tsc;
static int64_t first_ns;

/* written while starting */
static int is_usable; /* the counter */
int (*kmem_clock_coarse)(clockid_t id, struct timespec *ts) = clock_gettime;

/** What is said of the first segment of a type in the kernel's page, or NULL. */
static const Elf64_Phdr *page_segment(const Elf64_Ehdr *page, Elf64_Word type)
{
	const Elf64_Phdr *ph =
		(const void *)((const char *)page + page->e_phoff);

	for (int i = 0; i < page->e_phnum; i++)
		if (ph[i].p_type == type)
			return &ph[i];
	return NULL;
}

/** What a tag of the dynamic section of the kernel's page says, or 0. */
static uintptr_t page_dynamic(const Elf64_Ehdr *page, Elf64_Sxword tag)
{
	const Elf64_Phdr *ph = page_segment(page, PT_DYNAMIC);
	const Elf64_Dyn *dyn =
		ph ? (const void *)((const char *)page + ph->p_offset) : NULL;

	for (; dyn && dyn->d_tag != DT_NULL; dyn++)
		if (dyn->d_tag == tag)
			return dyn->d_un.d_ptr;
	return 0;
}

/** Where the kernel's page has its clock. */
static void find_coarse(void)
{
	const Elf64_Ehdr *page = (const void *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Phdr *load;
	const Elf64_Sym *sym, *end;
	uintptr_t bias, symbols, strings, bytes;
	const char *names;

	if (!page || memcmp(page->e_ident, ELFMAG, SELFMAG) != 0)
		return;
	load = page_segment(page, PT_LOAD);
	symbols = page_dynamic(page, DT_SYMTAB);
	strings = page_dynamic(page, DT_STRTAB);
	bytes = page_dynamic(page, DT_STRSZ);
	if (!load || !symbols || !strings)
		return;
	/* Linux links it at 0, gVisor does not */
	bias = (uintptr_t)page + load->p_offset - load->p_vaddr;
	sym = (const void *)(bias + symbols);
	names = (const void *)(bias + strings);
	end = (const void *)names; /* behind the symbols */
	for (; sym + 1 <= end; sym++)
		if (sym->st_shndx != SHN_UNDEF && sym->st_name < bytes &&
		    strcmp(names + sym->st_name, "__vdso_clock_gettime") == 0)
			kmem_clock_coarse =
				(int (*)(clockid_t, struct timespec *))(
					bias + sym->st_value);
}

static int64_t clock_ns(void)
{
	struct timespec ts = {0, 0};

	/* cannot fail for this clock, so errno stays */
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/** Does the kernel's clock run by the counter, and may we read that? */
static int find_out(void)
{
	unsigned a, b, c, d;
	int mode = 0;
	char name[4] = "";
	int saved = errno;
	long fd;

	if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1u << 8))
		return 0;
	fd = syscall(SYS_openat, AT_FDCWD,
		     "/sys/devices/system/clocksource/clocksource0/"
		     "current_clocksource",
		     O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (syscall(SYS_read, fd, name, 4) != 4)
			name[0] = '\0';
		(void)syscall(SYS_close, fd);
	}
	if (syscall(SYS_prctl, PR_GET_TSC, &mode) != 0)
		mode = 0;
	errno = saved;
	return name[0] == 't' && name[1] == 's' && name[2] == 'c' &&
	       name[3] == '\n' && mode == PR_TSC_ENABLE;
}

void kmem_clock_init(void)
{
	find_coarse();
	is_usable = kmem_flags & KMF_AUDIT && find_out();
}

static uint64_t rate(int64_t ns, uint64_t cycles)
{
	return (uint64_t)(((unsigned __int128)ns << 32) / cycles);
}

static uint64_t cycles_of(int64_t ns, uint64_t mult)
{
	return (uint64_t)(((unsigned __int128)ns << 32) / mult);
}

static int64_t elapsed(uint64_t cycles)
{
	return (int64_t)((unsigned __int128)cycles * KM_PEEK(base.mult) >> 32);
}

static void start(uint64_t tsc, int64_t ns)
{
	first_tsc = tsc;
	first_ns = ns;
	KM_POKE(base.mult, 0);
}

/** Sets base anew from the clock and the counter, read together. */
static void set_base(uint64_t tsc, int64_t ns)
{
	int64_t age = ns - first_ns;
	int64_t period = age < PERIOD_NS ? age : PERIOD_NS;
	int64_t said = base.mult ? base.ns + elapsed(tsc - base.tsc) : ns;
	uint64_t mult;

	if (first_tsc == 0 || tsc <= first_tsc || said - ns > JUMP_NS ||
	    ns - said > JUMP_NS) {
		start(tsc, ns);
		return;
	}
	if (age < FIRST_NS)
		return;
	mult = rate(age, tsc - first_tsc);
	KM_POKE(base.tsc, tsc);
	KM_POKE(base.ns, said);
	KM_POKE(base.limit, cycles_of(period, mult));
	/* said + period * mult' = ns + period */
	KM_POKE(base.mult, rate(period + (ns - said), base.limit));
}

static int64_t __attribute__((noinline)) ask(void)
{
	uint32_t seq = __atomic_load_n(&base.seq, __ATOMIC_RELAXED);
	uint64_t before, after;
	int64_t ns;

	if (!is_usable || (seq & 1) ||
	    !__atomic_compare_exchange_n(&base.seq, &seq, seq + 1, 0,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return clock_ns();
	before = __builtin_ia32_rdtsc();
	ns = clock_ns();
	after = __builtin_ia32_rdtsc();
	if (after - before < TIGHT)
		set_base(before + (after - before) / 2, ns);
	if (base.mult) /* as the others are told */
		ns = base.ns + elapsed(after - base.tsc);
	__atomic_store_n(&base.seq, seq + 2, __ATOMIC_RELEASE);
	return ns;
}

hrtime_t kmem_now(void)
{
	uint32_t seq = __atomic_load_n(&base.seq, __ATOMIC_ACQUIRE);
	uint64_t cycles;
	int64_t ns;

	if (KM_UNLIKELY((seq & 1) || KM_PEEK(base.mult) == 0))
		return ask();
	cycles = __builtin_ia32_rdtsc() - KM_PEEK(base.tsc);
	ns = KM_PEEK(base.ns) + elapsed(cycles);
	if (KM_UNLIKELY(cycles > KM_PEEK(base.limit)))
		return ask();
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (KM_UNLIKELY(__atomic_load_n(&base.seq, __ATOMIC_RELAXED) != seq))
		return ask();
	return ns;
}
