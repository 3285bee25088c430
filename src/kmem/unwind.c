/* SPDX-License-Identifier: MIT */
/*
 * The unwinder: a complete stack, from inside malloc, in nanoseconds.
 *
 * Distribution libraries are built without frame pointers, so a stack can only
 * be had from the call frame information that every x86-64 object carries in
 * .eh_frame for C++ exceptions.  To decode it costs half a microsecond a frame;
 * malloc is called from few places, so the outcome is kept, per pc, in a cache.
 * Nearly all of it is: "the CFA (the stack pointer before the call) is rsp + N,
 * the return address is below it, rbp is saved at CFA - M or still has its
 * value".  That is 17 bits, and with the 47 bits of a pc it fits one word:
 *
 *    63                                        17 16 15          4 3     0
 *   +--------------------------------------------+--+-------------+-------+
 *   | pc, as the caller gets it                  | 0|     N / 8   | slot  |
 *   +--------------------------------------------+--+------+------+-------+
 *   |                                            | 1| kind | index of ext |
 *   +--------------------------------------------+--+------+--------------+
 *
 *   slot 0: rbp unchanged, else saved at CFA - 8 * (slot + 1)
 *
 * (I1) An entry is one word, read and written whole, and holds all of its pc:
 *      it is right or it is not for this pc, whatever threads do.
 * (I2) A rule depends on nothing but the bytes of the object the pc is in.
 *      When an object goes, all entries go: a filler that began before a flush
 *      takes its entry out again, by the generation.
 * (I3) Stack memory is read only inside a range found readable by the kernel,
 *      which only grows within one walk; and the CFA of a frame is above that
 *      of its callee, but across a signal.  So no walk faults or runs for ever,
 *      whatever is on the stack.
 * (I4) No lock, no allocation, no errno, no libc but _dl_find_object(); the
 *      system calls (see below) are made only when a stack is new or deeper
 *      than before.
 *
 * Other rules, by their kind: a frame with rbp as frame pointer; a stack
 * realigned through r10 and such ("ext": 64 bits in a table of distinct rules);
 * the outermost frame; the frame of a signal handler's return; no rules at all
 * (unwind_step_plain); and what needs more registers, for which the whole walk
 * is made anew with all of them (unwind_full.c).
 *
 * What may be read.  The kernel is asked, page by page upwards from the stack
 * pointer, by rt_sigprocmask() with a nonsense first argument: it copies the set
 * in (EFAULT) before it refuses the rest (EINVAL), needs no descriptor, no
 * /proc and no privilege.  The answer is kept per thread for the last two
 * stacks, so threads, alternate signal stacks and coroutines are all alike.  No
 * frame straddles the thread descriptor, which glibc puts on top of a thread's
 * stack, nor the start of the main stack: those pages are never asked about.
 *
 * Objects that go.  kmem_unwind_flush() is to be called after dlclose().  The
 * loader also unloads on its own (NSS, iconv, a dlopen() that fails); but it
 * frees what it knew of the object, with its lock held and before anything else
 * can be loaded there, and a free is recorded with a stack too: whenever the
 * loader is the library's caller, the objects in the cache are checked to be
 * where they were.  What remains: a process in which no stack is taken of what
 * the loader frees, or that maps, by means other than dlopen(), other code at
 * the same place.  Code without tables (JIT) is not cached; but whether a call
 * ends at an address in an object is, in a table of its own, for code generated
 * into an object (the builtins of V8) has no tables either, and to ask the
 * kernel whether its bytes can be read, frame by frame, is what a walk through
 * it would spend its time on.
 *
 * Every address returned is such that address - 1 is in the code that runs:
 * return addresses as they are, an interrupted pc plus one.
 *
 * Rejected: dl_iterate_phdr() (takes the loader's lock; malloc is called with it
 * held), tables of all rows built ahead (milliseconds at start, the same search
 * at each miss), frame pointers (libraries have none), libunwind and libgcc
 * (allocate, lock, and 50 times slower).
 */
#include "unwind_impl.h"

#include <errno.h>
#include <sys/syscall.h>
#include "unwind_sys.h"

#define CALL_BITS 12
#define RULE_BITS UNWIND_RULE_BITS
#define RULE_MASK ((1u << RULE_BITS) - 1)

enum {
	RULE_OTHER = 0x10000,
	RULE_FRAME = 0x10000,  /* CFA = rbp + 16, rbp saved there */
	RULE_END = 0x11000,    /* no caller */
	RULE_PLAIN = 0x12000,  /* no tables */
	RULE_SIGNAL = 0x13000, /* rt_sigreturn's frame */
	RULE_FULL = 0x14000,   /* needs all registers */
	RULE_EXT = 0x15000,    /* | index of ext_rules */
	RULE_KIND = 0x1f000,
};

#define SLOT_MAX  15
#define WORDS_MAX UNWIND_WORDS_MAX

/* where the kernel's signal frame has them, from rsp at the sigreturn */
#define SIGNAL_RBP 120
#define SIGNAL_RSP 160
#define SIGNAL_RIP 168

/* a rule that does not fit 17 bits, in one word; 0 is none */
struct ext_rule {
	int64_t cfa_off : 28;
	uint64_t is_cfa_rbp : 1;  /* else rsp */
	uint64_t is_cfa_load : 1; /* CFA is loaded from there */
	uint64_t is_used : 1;
	int64_t bp_off : 28;
	uint64_t bp_how : 2;
};

enum {
	EXT_SAME,
	EXT_CFA, /* rbp saved at CFA + bp_off */
	EXT_RBP, /* rbp saved at rbp + bp_off */
};

union ext_word {
	struct ext_rule rule;
	uint64_t word;
};

#define EXT_MAX     1024
#define EXT_OFF_MAX ((int64_t)1 << 27)

enum step {
	STEP_DONE,
	STEP_STOP,
	STEP_FULL,
};

/* (I1); no lock */
uint64_t unwind_cache[1 << UNWIND_CACHE_BITS];
uint64_t unwind_generation;

/* return address << 1 | does a call end there; (I1), (I2) as for cache; no
 * lock */
static uint64_t calls[1 << CALL_BITS];

/* distinct rules, filled from 0 on by compare-and-swap, never changed */
static uint64_t ext_rules[EXT_MAX];

/*
 * Ranges of this thread known to be readable, page << UNWIND_SPAN_BITS | pages; one
 * word each, since a signal handler may come between.
 */
__thread uint64_t unwind_spans[2];

/* ---- what may be read -------------------------------------------------- */

extern void *__libc_stack_end __attribute__((weak));

static bool is_page_readable(uintptr_t page)
{
	long bad_how = -1;

	return unwind_syscall(SYS_rt_sigprocmask, bad_how, (long)page, 0, 8) ==
	       -EINVAL;
}

static bool span_get(unsigned i, struct unwind_stack *st)
{
	uint64_t span = __atomic_load_n(&unwind_spans[i], __ATOMIC_RELAXED);

	st->lo = (span >> UNWIND_SPAN_BITS) * UNWIND_PAGE;
	st->hi = st->lo +
		 (span & ((UINT64_C(1) << UNWIND_SPAN_BITS) - 1)) * UNWIND_PAGE;
	return span != 0;
}

static void span_put(const struct unwind_stack *st)
{
	uint64_t span = st->lo / UNWIND_PAGE << UNWIND_SPAN_BITS |
			(st->hi - st->lo) / UNWIND_PAGE;
	struct unwind_stack old;
	unsigned i;

	for (i = 0; i < 2; i++)
		if (span_get(i, &old) && old.lo < st->hi && st->lo < old.hi) {
			__atomic_store_n(&unwind_spans[i], span,
					 __ATOMIC_RELAXED);
			return;
		}
	__atomic_store_n(&unwind_spans[1], unwind_spans[0], __ATOMIC_RELAXED);
	__atomic_store_n(&unwind_spans[0], span, __ATOMIC_RELAXED);
}

/* sp is in no known range: a deeper or another stack */
static bool __attribute__((noinline))
stack_new(struct unwind_stack *st, uintptr_t sp)
{
	uintptr_t page = sp & -UNWIND_PAGE;
	struct unwind_stack below;
	uintptr_t at;
	unsigned i;

	if (!is_page_readable(page))
		return false;
	*st = (struct unwind_stack){.lo = page, .hi = page + UNWIND_PAGE};
	for (i = 0; i < 2; i++) {
		if (!span_get(i, &below) || page >= below.lo ||
		    below.lo - page > UNWIND_FRAME_PAGES * UNWIND_PAGE)
			continue;
		at = st->hi;
		while (at < below.lo && is_page_readable(at))
			at += UNWIND_PAGE;
		if (at == below.lo) {
			st->hi = below.hi;
			break;
		}
	}
	span_put(st);
	return true;
}

bool unwind_stack_find(struct unwind_stack *st, uintptr_t sp)
{
	if (span_get(0, st) && sp - st->lo < st->hi - st->lo)
		return true;
	if (span_get(1, st) && sp - st->lo < st->hi - st->lo)
		return true;
	return stack_new(st, sp);
}

bool unwind_stack_reach(struct unwind_stack *st, uintptr_t sp, uintptr_t end,
			unsigned pages)
{
	uintptr_t self = (uintptr_t)__builtin_thread_pointer();
	uintptr_t bottom;

	if (end < sp)
		return false;
	if (end <= st->hi)
		return true;
	bottom = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
	if ((sp < self && end > self) || (sp <= bottom && end > bottom) ||
	    end - st->hi > pages * UNWIND_PAGE ||
	    !is_page_readable((end - 1) & -UNWIND_PAGE))
		return false;
	while (st->hi < end && is_page_readable(st->hi))
		st->hi += UNWIND_PAGE;
	span_put(st);
	return st->hi >= end;
}

bool unwind_load(const struct unwind_stack *st, uintptr_t addr, uintptr_t *ret)
{
	uintptr_t last = addr + sizeof(*ret) - 1;

	if (last < addr)
		return false;
	if ((addr < st->lo || last >= st->hi) &&
	    (!is_page_readable(addr & -UNWIND_PAGE) ||
	     !is_page_readable(last & -UNWIND_PAGE)))
		return false;
	*ret = unwind_word(addr);
	return true;
}

/* ---- from a row to a rule ---------------------------------------------- */

static uint32_t ext_intern(union ext_word ext)
{
	uint64_t seen;
	uint32_t i;

	for (i = 0; i < EXT_MAX; i++) {
		seen = __atomic_load_n(&ext_rules[i], __ATOMIC_ACQUIRE);
		if (seen == 0 && __atomic_compare_exchange_n(
					 &ext_rules[i], &seen, ext.word, 0,
					 __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
			return RULE_EXT | i;
		if (seen == ext.word)
			return RULE_EXT | i;
	}
	return RULE_FULL;
}

/* is the expression "rsp + a number" at this pc, as in a PLT? */
static bool is_sp_offset(const uint8_t *expr, uintptr_t pc, int64_t *off)
{
	uint32_t allowed = 1u << UNWIND_RSP | 1u << UNWIND_RA;
	struct unwind_regs regs = {.known = allowed};
	uintptr_t other = 0x200000;
	uintptr_t one = 0x100000;
	uintptr_t at_other;
	uintptr_t at_one;

	regs.r[UNWIND_RA] = pc;
	regs.r[UNWIND_RSP] = one;
	if (!unwind_eval(expr, &regs, NULL, NULL, &at_one, NULL))
		return false;
	regs.r[UNWIND_RSP] = other;
	if (!unwind_eval(expr, &regs, NULL, NULL, &at_other, NULL))
		return false;
	*off = (int64_t)(at_one - one);
	return at_one - one == at_other - other;
}

static bool is_at_sp(const struct unwind_row *row, unsigned reg, int64_t want)
{
	int64_t off;

	return row->how[reg] == UNWIND_AT_EXPR &&
	       unwind_expr_is(row->at[reg].expr, UNWIND_RSP, false, &off) &&
	       off == want;
}

static bool is_signal_frame(const struct unwind_row *row)
{
	int64_t off;

	return row->cfa_expr &&
	       unwind_expr_is(row->cfa_expr, UNWIND_RSP, true, &off) &&
	       off == SIGNAL_RSP && is_at_sp(row, UNWIND_RA, SIGNAL_RIP) &&
	       is_at_sp(row, UNWIND_RBP, SIGNAL_RBP) &&
	       (row->how[UNWIND_RSP] == UNWIND_SAME ||
		is_at_sp(row, UNWIND_RSP, SIGNAL_RSP));
}

static bool ext_cfa(const struct unwind_row *row, uintptr_t pc,
		    struct ext_rule *ext, int64_t *off)
{
	if (!row->cfa_expr) {
		*off = row->cfa_off;
		ext->is_cfa_rbp = row->cfa_reg == UNWIND_RBP;
		return row->cfa_reg == UNWIND_RBP || row->cfa_reg == UNWIND_RSP;
	}
	if (unwind_expr_is(row->cfa_expr, UNWIND_RBP, true, off)) {
		ext->is_cfa_rbp = 1;
		ext->is_cfa_load = 1;
		return true;
	}
	return is_sp_offset(row->cfa_expr, pc, off);
}

static bool ext_bp(const struct unwind_row *row, struct ext_rule *ext,
		   int64_t *off)
{
	unsigned how = row->how[UNWIND_RBP];

	*off = 0;
	if (how == UNWIND_AT_CFA) {
		ext->bp_how = EXT_CFA;
		*off = row->at[UNWIND_RBP].off;
		return true;
	}
	if (how == UNWIND_AT_EXPR) {
		ext->bp_how = EXT_RBP;
		return unwind_expr_is(row->at[UNWIND_RBP].expr, UNWIND_RBP,
				      false, off);
	}
	ext->bp_how = EXT_SAME;
	return how == UNWIND_SAME || how == UNWIND_UNDEF;
}

/* the rule of a row whose CFA and rbp are as in ext, by these offsets */
static uint32_t pack(union ext_word ext, int64_t cfa_off, int64_t bp_off)
{
	int64_t words = cfa_off / 8;
	int64_t slot = ext.rule.bp_how == EXT_CFA ? -bp_off / 8 - 1 : 0;
	bool is_short = cfa_off % 8 == 0 && bp_off % 8 == 0 &&
			ext.rule.bp_how != EXT_RBP && !ext.rule.is_cfa_load;
	bool is_slot = ext.rule.bp_how == EXT_SAME || slot > 0;

	if (is_short && ext.rule.is_cfa_rbp && cfa_off == 16 && slot == 1)
		return RULE_FRAME;
	/* (I3): the slot must be above rsp */
	if (is_short && !ext.rule.is_cfa_rbp && words > 0 &&
	    words <= WORDS_MAX && is_slot && slot <= SLOT_MAX && slot < words)
		return (uint32_t)(words << 4 | slot);
	if (cfa_off >= EXT_OFF_MAX || cfa_off < -EXT_OFF_MAX ||
	    bp_off >= EXT_OFF_MAX || bp_off < -EXT_OFF_MAX)
		return RULE_FULL;
	ext.rule.cfa_off = cfa_off;
	ext.rule.bp_off = bp_off;
	ext.rule.is_used = 1;
	return ext_intern(ext);
}

static uint32_t compile(const struct unwind_row *row, uintptr_t pc)
{
	union ext_word ext = {.word = 0};
	int64_t cfa_off;
	int64_t bp_off;

	if (row->how[UNWIND_RA] == UNWIND_UNDEF)
		return RULE_END;
	if (row->is_signal)
		return is_signal_frame(row) ? RULE_SIGNAL : RULE_FULL;
	if (row->how[UNWIND_RA] != UNWIND_AT_CFA ||
	    row->at[UNWIND_RA].off != -8 ||
	    row->how[UNWIND_RSP] != UNWIND_SAME ||
	    !ext_cfa(row, pc, &ext.rule, &cfa_off) ||
	    !ext_bp(row, &ext.rule, &bp_off))
		return RULE_FULL;
	return pack(ext, cfa_off, bp_off);
}

/* ---- the cache --------------------------------------------------------- */

/* stores an entry found out of an object when the generation was before; (I2)
 */
static void store(uint64_t *slot, uint64_t entry, uint64_t before)
{
	__atomic_store_n(slot, entry, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&unwind_generation, __ATOMIC_SEQ_CST) != before)
		__atomic_compare_exchange_n(slot, &entry, 0, 0,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool unwind_call_get(uintptr_t ra, bool *is_call)
{
	uint64_t entry = __atomic_load_n(&calls[unwind_hash(ra, CALL_BITS)],
					 __ATOMIC_RELAXED);

	*is_call = entry & 1;
	return entry >> 1 == ra;
}

uint64_t unwind_call_begin(void)
{
	return __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
}

void unwind_call_put(uintptr_t ra, bool is_call,
		     const struct unwind_object *obj, uint64_t before)
{
	if (ra >> 63)
		return;
	if (unwind_object_note(obj))
		store(&calls[unwind_hash(ra, CALL_BITS)],
		      (uint64_t)ra << 1 | is_call, before);
	else
		kmem_unwind_flush();
}

void kmem_unwind_flush(void)
{
	size_t i;

	__atomic_fetch_add(&unwind_generation, 1, __ATOMIC_SEQ_CST); /* (I2) */
	unwind_objects_forget();
	for (i = 0; i < (size_t)1 << UNWIND_CACHE_BITS; i++)
		__atomic_store_n(&unwind_cache[i], 0, __ATOMIC_RELAXED);
	for (i = 0; i < (size_t)1 << CALL_BITS; i++)
		__atomic_store_n(&calls[i], 0, __ATOMIC_RELAXED);
}

/* the rule of a pc the cache does not have */
static uint32_t __attribute__((noinline)) miss(uintptr_t pc)
{
	uint64_t before = __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
	uint32_t rule = RULE_PLAIN;
	struct unwind_object obj;
	struct unwind_row row;

	if (!unwind_object_find(pc - 1, &obj))
		return rule;
	if (unwind_row_find(&obj, pc - 1, &row))
		rule = compile(&row, pc - 1);
	if (pc >> (64 - RULE_BITS))
		return rule;
	if (!unwind_object_note(&obj)) {
		kmem_unwind_flush();
		return rule;
	}
	store(unwind_cache_slot(pc), (uint64_t)pc << RULE_BITS | rule, before);
	return rule;
}

/* ---- the walk ---------------------------------------------------------- */

static enum step step_signal(struct unwind_frame *f, struct unwind_stack *st)
{
	uintptr_t sp = f->sp;

	if (!unwind_stack_reach(st, sp, sp + SIGNAL_RIP + 8,
				UNWIND_FRAME_PAGES))
		return STEP_STOP;
	f->pc = unwind_word(sp + SIGNAL_RIP) + 1;
	f->sp = unwind_word(sp + SIGNAL_RSP);
	f->bp = unwind_word(sp + SIGNAL_RBP);
	f->is_exact = true;
	if (f->pc == 0) /* would be found in an empty entry */
		return STEP_STOP;
	/* no stack there: it overflowed */
	return unwind_stack_find(st, f->sp) ? STEP_DONE : STEP_FULL;
}

static enum step step_ext(struct ext_rule ext, struct unwind_frame *f,
			  struct unwind_stack *st)
{
	uintptr_t bp = f->bp;
	uintptr_t cfa = (ext.is_cfa_rbp ? bp : f->sp) + (uintptr_t)ext.cfa_off;
	uintptr_t ra;

	if (ext.is_cfa_load && !unwind_load(st, cfa, &cfa))
		return STEP_STOP;
	if (cfa % 8 != 0 || cfa < f->sp + 8 ||
	    !unwind_stack_reach(st, f->sp, cfa, UNWIND_FRAME_PAGES))
		return STEP_STOP;
	if (ext.bp_how != EXT_SAME &&
	    !unwind_load(st,
			 (ext.bp_how == EXT_CFA ? cfa : bp) +
				 (uintptr_t)ext.bp_off,
			 &f->bp))
		return STEP_STOP;
	ra = unwind_word(cfa - 8);
	if (ra < UNWIND_PAGE)
		return STEP_STOP;
	f->pc = ra;
	f->sp = cfa;
	f->is_exact = false;
	return STEP_DONE;
}

/* the two common rules in the form of the others */
static struct ext_rule expand(uint32_t rule)
{
	struct ext_rule ext = {.cfa_off = 16, .bp_off = -16};
	int slot = (int)(rule & SLOT_MAX);

	if (rule == RULE_FRAME) {
		ext.is_cfa_rbp = 1;
		ext.bp_how = EXT_CFA;
		return ext;
	}
	ext.cfa_off = (int)(rule >> 4) * 8;
	ext.bp_off = -8 * (slot + 1);
	ext.bp_how = slot ? EXT_CFA : EXT_SAME;
	return ext;
}

/* one frame, by any rule */
static enum step __attribute__((noinline))
step_any(uint32_t rule, struct unwind_frame *f, struct unwind_stack *st)
{
	union ext_word ext;

	if (rule <= RULE_FRAME)
		return step_ext(expand(rule), f, st);
	switch (rule & RULE_KIND) {
	case RULE_PLAIN:
		return unwind_step_plain(f, st) ? STEP_DONE : STEP_STOP;
	case RULE_SIGNAL:
		return step_signal(f, st);
	case RULE_FULL:
		return STEP_FULL;
	case RULE_EXT:
		ext.word = __atomic_load_n(&ext_rules[rule & (EXT_MAX - 1)],
					   __ATOMIC_ACQUIRE);
		return step_ext(ext.rule, f, st);
	default:
		return STEP_STOP; /* RULE_END */
	}
}

/* rbp as a walk has it: where it was loaded from */
#define BP_START ((uintptr_t)0) /* it is the one the walk began with */
#define BP_NOTED ((uintptr_t)1) /* loaded from a word that is noted */

/* keeps a word that a walk has read, and that what it found depends on */
static inline void note(kmem_memo_t *memo, uintptr_t addr, uintptr_t word)
{
	uintptr_t offset = addr - memo->mo_sp;
	unsigned n = memo->mo_nwords;

	if (n >= KMEM_MEMO_WORDS || offset / 8 > UINT16_MAX || offset % 8) {
		memo->mo_nwords = KMEM_MEMO_NONE;
		return;
	}
	memo->mo_at[n] = (uint16_t)(offset / 8);
	memo->mo_word[n] = word;
	memo->mo_nwords = n + 1;
	if (memo->mo_end < offset + 8)
		memo->mo_end = (uint32_t)offset + 8;
}

/* notes that a frame was found by rbp, which was loaded from bp_at */
static inline void note_bp(kmem_memo_t *memo, uintptr_t bp_at, uintptr_t bp)
{
	if (bp_at == BP_START)
		memo->mo_bp_mask = UINTPTR_MAX;
	else if (bp_at != BP_NOTED)
		note(memo, bp_at, bp);
}

/*
 * Walks up from f.  Stores frames from number skip on; returns how many were
 * met, skipped ones included.  *is_short is set when the walk must be made
 * again with all registers.
 *
 * The loop holds the frame in registers and handles the two common rules within
 * the stack known so far; all else goes to step_any() and comes back.
 */
static inline __attribute__((always_inline)) unsigned
walk(struct unwind_frame f, uintptr_t *pcs, unsigned max, unsigned skip,
     bool *is_short, kmem_memo_t *memo)
{
	uintptr_t bp_at = BP_START;
	struct unwind_stack st;
	enum step step;
	uint64_t entry = 0;
	uintptr_t cfa;
	unsigned slot;
	unsigned n = 0;

	if (!unwind_stack_find(&st, f.sp))
		return 0;
	while (n < max + skip) {
		uintptr_t pc = f.pc;
		uintptr_t sp = f.sp;
		uintptr_t bp = f.bp;
		uintptr_t hi = st.hi;
		bool is_exact = f.is_exact;

		for (; n < max + skip; n++) {
			entry = __atomic_load_n(unwind_cache_slot(pc),
						__ATOMIC_RELAXED);
			if (UNWIND_UNLIKELY(entry >> RULE_BITS != pc))
				entry = miss(pc);
			if (UNWIND_LIKELY(!(entry & RULE_OTHER))) {
				cfa = sp + (entry >> 4 & WORDS_MAX) * 8;
				if (UNWIND_UNLIKELY(cfa > hi))
					break;
				slot = entry & SLOT_MAX;
				if (slot) {
					bp_at = cfa - 8 - slot * 8;
					bp = unwind_word(bp_at);
				}
			} else if ((entry & RULE_MASK) == RULE_FRAME) {
				cfa = bp + 16;
				if (UNWIND_UNLIKELY(bp < sp || bp > hi - 16 ||
						    bp % 8 != 0))
					break;
				if (memo)
					note_bp(memo, bp_at, bp);
				bp_at = bp;
				bp = unwind_word(bp);
			} else {
				break;
			}
			pc = unwind_word(cfa - 8);
			if (memo)
				note(memo, cfa - 8, pc);
			if (UNWIND_UNLIKELY(pc < UNWIND_PAGE))
				return n;
			sp = cfa;
			is_exact = false;
			if (n >= skip)
				pcs[n - skip] = pc;
		}
		if (n == max + skip)
			break;
		/* what other rules read is not noted */
		if (memo && (entry & RULE_KIND) != RULE_END)
			memo->mo_nwords = KMEM_MEMO_NONE;
		f = (struct unwind_frame){pc, sp, bp, is_exact};
		step = step_any((uint32_t)entry & RULE_MASK, &f, &st);
		*is_short = step == STEP_FULL;
		if (step != STEP_DONE)
			break;
		if (n >= skip)
			pcs[n - skip] = f.pc;
		n++;
	}
	return n;
}

/* after a walk: again with all registers if it needs them */
static inline unsigned finish(unsigned n, bool is_short, uintptr_t from,
			      uintptr_t *pcs, unsigned max, unsigned skip)
{
	unsigned again;

	if (UNWIND_UNLIKELY(is_short)) {
		again = unwind_full(from, pcs, max, skip);
		n = again > n ? again : n;
	}
	return n;
}

unsigned __attribute__((noinline))
kmem_unwind(uintptr_t *pcs, unsigned max, unsigned skip)
{
	const uintptr_t *frame = __builtin_frame_address(0);
	struct unwind_frame f = {
		.pc = frame[1],
		.sp = (uintptr_t)(frame + 2),
		.bp = frame[0],
	};
	bool is_short = false;
	unsigned n;

	n = walk(f, pcs, max, skip, &is_short, NULL);
	n = finish(n > skip ? n - skip : 0, is_short, f.sp, pcs, max, skip);
	if (n && UNWIND_UNLIKELY(unwind_is_by_loader(pcs, n)) &&
	    !unwind_objects_hold())
		kmem_unwind_flush();
	return n;
}

unsigned __attribute__((noinline))
kmem_unwind_from(const kmem_frame_t *from, uintptr_t *pcs, unsigned max,
		 kmem_memo_t *memo)
{
	struct unwind_frame f = {
		.pc = from->fr_pc,
		.sp = from->fr_sp,
		.bp = from->fr_bp,
	};
	bool is_short = false;
	unsigned n = 1;

	pcs[0] = f.pc;
	if (memo)
		n += walk(f, pcs + 1, max - 1, 0, &is_short, memo);
	else
		n += walk(f, pcs + 1, max - 1, 0, &is_short, NULL);
	n = 1 + finish(n - 1, is_short, f.sp, pcs + 1, max - 1, 0);
	if (memo && is_short)
		memo->mo_nwords = KMEM_MEMO_NONE;
	if (UNWIND_UNLIKELY(unwind_is_by_loader(pcs, n))) {
		if (memo) /* each such call is to be looked at */
			memo->mo_nwords = KMEM_MEMO_NONE;
		if (!unwind_objects_hold())
			kmem_unwind_flush();
	}
	return n;
}
