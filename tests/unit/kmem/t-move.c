/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The consolidator: order of partial slabs, moves, each answer, others at work
 * meanwhile. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/*
 * An owner of objects as it should be: a table points to the objects, each live
 * object has a pointer back, and whoever changes either holds the lock.  A free
 * object has no such pointer: the constructor and the owner clear it.
 */
#define NOBJECTS 20000

struct object {
	struct object **place; /* in the table; NULL: not live */
	uint64_t number[3];
};

static struct object *table[NOBJECTS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static int next_answer = -1; /* instead of moving */
static int nasked;
static void *first_asked;

static int construct(void *buf, void *priv, int kmflag)
{
	struct object *op = buf;

	(void)priv;
	(void)kmflag;
	op->place = NULL;
	return 0;
}

static int is_in_table(struct object **place)
{
	return ((uintptr_t)place & 7) == 0 && place >= table &&
	       place < table + NOBJECTS;
}

static kmem_cbrc_t move(void *old, void *new_buf, size_t bytes, void *priv)
{
	struct object *from = old, *to = new_buf;
	kmem_cbrc_t answer = KMEM_CBRC_DONT_KNOW;

	(void)priv;
	assert_int_equal(bytes, sizeof(*from));
	if (pthread_mutex_trylock(&table_lock) != 0)
		return KMEM_CBRC_LATER;
	if (nasked++ == 0)
		first_asked = old;
	if (next_answer >= 0) {
		answer = (kmem_cbrc_t)next_answer;
	} else if (is_in_table(from->place) && *from->place == from) {
		assert_true(to != from);
		*to = *from;
		*to->place = to;
		from->place = NULL;
		answer = KMEM_CBRC_YES;
	}
	(void)pthread_mutex_unlock(&table_lock);
	return answer;
}

static kmem_cache_t *make_cache(const char *name, int cflags)
{
	kmem_cache_t *cp =
		kmem_cache_create(name, sizeof(struct object), 0, construct,
				  NULL, NULL, NULL, NULL, cflags);

	kmem_cache_set_move(cp, move);
	next_answer = -1;
	nasked = 0;
	return cp;
}

static void put(kmem_cache_t *cp, int i)
{
	struct object *op = kmem_cache_alloc(cp, KM_SLEEP);

	(void)pthread_mutex_lock(&table_lock);
	for (int k = 0; k < 3; k++)
		op->number[k] = (uint64_t)i * 3 + (uint64_t)k;
	op->place = &table[i];
	table[i] = op;
	(void)pthread_mutex_unlock(&table_lock);
}

static void drop(kmem_cache_t *cp, int i)
{
	struct object *op;

	(void)pthread_mutex_lock(&table_lock);
	op = table[i];
	table[i] = NULL;
	if (op)
		op->place = NULL;
	(void)pthread_mutex_unlock(&table_lock);
	if (op)
		kmem_cache_free(cp, op);
}

static int nwrong(void)
{
	int n = 0;

	for (int i = 0; i < NOBJECTS; i++) {
		struct object *op = table[i];

		if (!op)
			continue;
		n += op->place != &table[i];
		for (int k = 0; k < 3; k++)
			n += op->number[k] != (uint64_t)i * 3 + (uint64_t)k;
	}
	return n;
}

static uint64_t nslabs(const kmem_cache_t *cp)
{
	return cp->cache_slab_create - cp->cache_slab_destroy;
}

/* I of the theory in kmem_move.c: one list, by bins, found by map and first. */
static int check_order(kmem_cache_t *cp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	kmem_slab_t *last = NULL;
	int nbroken = check_cache(cp);
	int nbins = 0;

	for (kmem_slab_t *sp = cp->cache_partial_slabs; sp;
	     sp = sp->slab_next) {
		if (sp->slab_prev != last)
			BROKEN("%s: list", cp->cache_name);
		if (!last || last->slab_bin != sp->slab_bin) {
			nbins++;
			if (last && last->slab_bin > sp->slab_bin)
				BROKEN("%s: order", cp->cache_name);
			if (kmd->kmd_first[sp->slab_bin] != sp ||
			    !(kmd->kmd_binmap[sp->slab_bin / 64] >>
				      sp->slab_bin % 64 &
			      1))
				BROKEN("%s: bin", cp->cache_name);
		}
		last = sp;
	}
	if (kmd->kmd_last != last)
		BROKEN("%s: last", cp->cache_name);
	for (int i = 0; i < KMEM_DEFRAG_BINS / 64; i++)
		nbins -= __builtin_popcountl(kmd->kmd_binmap[i]);
	if (nbins != 0 || kmd->kmd_deadlist || kmd->kmd_deadcount)
		BROKEN("%s: bins or dead slabs", cp->cache_name);
	return nbroken;
}

/* A slab with so many objects in use, the only ones of theirs in the table from
 * first on; the cache has no magazines. */
static kmem_slab_t *make_slab(kmem_cache_t *cp, int first, unsigned nused)
{
	unsigned n;
	kmem_slab_t *sp;

	kmem_mutex_enter(&cp->cache_lock);
	assert_null(cp->cache_partial_slabs);
	kmem_mutex_exit(&cp->cache_lock);
	put(cp, first);
	sp = cp->cache_partial_slabs;
	for (n = 1; n < sp->slab_chunks; n++)
		put(cp, first + (int)n);
	for (; n > nused; n--)
		drop(cp, first + (int)n - 1);
	return sp;
}

static void partial_slabs_are_in_order_of_fullness(void **state)
{
	/* the documented weights of slabs of 128, of which these have 126 or
	 * 127: those of one bin are in order of arrival, latest first */
	static const unsigned used[] = {1,  5,  6,   31,  32,  63,  64,
					95, 96, 121, 122, 123, 124, 125};
	static const int bin[] = {0, 4, 4,  4,  5,  5,  6,
				  6, 7, -1, -1, -1, -1, -1};
	enum {
		N = sizeof(used) / sizeof(*used)
	};
	kmem_cache_t *cp = make_cache("order", KMC_NOMAGAZINE);
	kmem_slab_t *slab[N];
	unsigned top = cp->cache_defrag->kmd_nranks - 1;

	(void)state;
	assert_int_equal(cp->cache_maxchunks, 128);
	assert_int_equal(cp->cache_defrag->kmd_binshift, 5);
	/* fill all, then thin them out from the last one on */
	for (int i = 0; i < N; i++) {
		put(cp, i * 130);
		slab[i] = cp->cache_partial_slabs;
		for (unsigned k = 1; k < slab[i]->slab_chunks; k++)
			put(cp, i * 130 + (int)k);
		assert_null(cp->cache_partial_slabs);
	}
	for (int i = N - 1; i >= 0; i--) {
		for (unsigned k = slab[i]->slab_chunks; k > used[i]; k--)
			drop(cp, i * 130 + (int)k - 1);
		assert_int_equal(slab[i]->slab_refcnt, used[i]);
		if (bin[i] >= 0)
			assert_int_equal(slab[i]->slab_bin,
					 cp->cache_defrag->kmd_nranks + top -
						 (unsigned)bin[i]);
		assert_int_equal(check_order(cp), 0);
	}
	assert_ptr_equal(cp->cache_defrag->kmd_last, slab[0]);
	for (int i = 1; i < N; i++)
		assert_true(slab[i]->slab_bin <= slab[i - 1]->slab_bin);
	/* the fullest one is used first */
	put(cp, NOBJECTS - 1);
	assert_int_equal(slab[N - 1]->slab_refcnt, used[N - 1] + 1);
	for (int i = 0; i < NOBJECTS; i++)
		drop(cp, i);
	assert_int_equal(nslabs(cp), 0);
	kmem_cache_destroy(cp);
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[200];

	assert_non_null(f);
	while (kib == 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "Rss: %lu kB", &kib);
	(void)fclose(f);
	return kib * 1024;
}

static void fragment(kmem_cache_t *cp)
{
	unsigned seed = 1;

	for (int i = 0; i < NOBJECTS; i++)
		put(cp, i);
	for (int i = 0; i < NOBJECTS; i++)
		if (next_random(&seed) % 10 != 0)
			drop(cp, i);
}

static void a_reap_empties_what_is_fragmented(int cflags)
{
	kmem_cache_t *cp = make_cache("fragmented", cflags);
	uint64_t before, after, free, nlive = 0;
	size_t rss;

	assert_int_equal(kmem_cache_stat(cp, "move_reclaimable"), 0);
	fragment(cp);
	/* all that is free but what one slab may have; magazines are not yet */
	free = kmem_cache_stat(cp, "buf_avail") -
	       kmem_cache_stat(cp, "buf_constructed");
	assert_int_equal(kmem_cache_stat(cp, "move_reclaimable"),
			 free < cp->cache_maxchunks
				 ? 0
				 : free - cp->cache_maxchunks + 1);
	kmem_mutex_enter(&cp->cache_lock);
	before = nslabs(cp);
	kmem_mutex_exit(&cp->cache_lock);
	rss = resident();
	kmem_reap();
	after = nslabs(cp);
	for (int i = 0; i < NOBJECTS; i++)
		nlive += table[i] != NULL;
	assert_true(before > 150);
	/* what is left is all but full; what lies in magazines stays */
	assert_true(after <= nlive / (cp->cache_maxchunks - 2) + 2 +
				     2UL * kmem_max_ncpus * 15);
	assert_true(after * 4 < before);
	assert_true(resident() + (before - after) * 4096 / 2 < rss);
	assert_int_equal(nwrong(), 0);
	assert_int_equal(check_order(cp), 0);
	assert_true(cp->cache_defrag->kmd_slabs_freed > 0);
	assert_int_equal(cp->cache_defrag->kmd_defrags, 1);
	assert_int_equal(cp->cache_defrag->kmd_callbacks,
			 cp->cache_defrag->kmd_yes +
				 cp->cache_defrag->kmd_dont_know);
	assert_int_equal(cp->cache_defrag->kmd_callbacks, (uint64_t)nasked);
	for (int i = 0; i < NOBJECTS; i++)
		drop(cp, i);
	kmem_cache_destroy(cp);
	assert_null(cache_named("fragmented"));
}

static void fragmented_slabs_are_given_back(void **state)
{
	(void)state;
	a_reap_empties_what_is_fragmented(KMC_NOMAGAZINE);
	a_reap_empties_what_is_fragmented(0);
}

static void checked_objects_are_moved_too(void **state)
{
	(void)state;
	a_reap_empties_what_is_fragmented(KMF_BUFTAG);
	a_reap_empties_what_is_fragmented(KMF_AUDIT | KMF_BUFTAG |
					  KMF_CONTENTS);
	a_reap_empties_what_is_fragmented(KMF_LITE);
}

/* Two slabs, one nearly full and one with few objects, all in the table. */
struct pair {
	kmem_cache_t *cp;
	kmem_slab_t *full, *few;
	int first_of_few;
};

static struct pair make_pair(unsigned nfew)
{
	struct pair p = {.cp = make_cache("pair", KMC_NOMAGAZINE)};
	unsigned n;

	p.full = make_slab(p.cp, 0, 1000); /* all of it */
	n = p.full->slab_chunks;
	p.first_of_few = (int)n;
	p.few = make_slab(p.cp, (int)n, nfew);
	for (int i = 0; i < 10; i++)
		drop(p.cp, i);
	assert_ptr_equal(p.cp->cache_partial_slabs, p.full);
	assert_ptr_equal(p.cp->cache_defrag->kmd_last, p.few);
	return p;
}

static void end_pair(struct pair *p)
{
	assert_int_equal(check_order(p->cp), 0);
	for (int i = 0; i < 1000; i++)
		drop(p->cp, i);
	assert_int_equal(nslabs(p->cp), 0);
	kmem_cache_destroy(p->cp);
}

static void yes_moves_the_object(void **state)
{
	struct pair p = make_pair(3);

	(void)state;
	kmem_move_all(p.cp);
	assert_int_equal(nasked, 3);
	assert_int_equal(nslabs(p.cp), 1);
	assert_int_equal(p.full->slab_refcnt, p.full->slab_chunks - 10 + 3);
	assert_int_equal(nwrong(), 0);
	assert_int_equal(p.cp->cache_defrag->kmd_slabs_freed, 1);
	end_pair(&p);
}

static void no_marks_the_slab(void **state)
{
	struct pair p = make_pair(3);
	uint32_t before = p.full->slab_refcnt;

	(void)state;
	next_answer = KMEM_CBRC_NO;
	/* asks one of each: the few are then to be filled, so what was to be
	 * filled is a source */
	kmem_move_all(p.cp);
	assert_int_equal(nasked, 2);
	assert_int_equal(p.cp->cache_defrag->kmd_no, 2);
	assert_int_equal(p.full->slab_refcnt, before);
	assert_int_equal(p.few->slab_refcnt, 3);
	assert_int_equal(p.few->slab_nomove, 1);
	assert_true(p.few->slab_bin < p.cp->cache_defrag->kmd_nranks);
	assert_int_equal(check_order(p.cp), 0);

	/* the mark goes with the very buffer that would not move */
	drop(p.cp, table[p.first_of_few] == first_asked ? p.first_of_few + 1
							: p.first_of_few);
	assert_int_equal(p.few->slab_nomove, 1);
	for (int i = p.first_of_few; i < p.first_of_few + 3; i++)
		if (table[i] == first_asked)
			drop(p.cp, i);
	assert_int_equal(p.few->slab_nomove, 0);
	assert_int_equal(p.few->slab_stuck, 0);
	end_pair(&p);
}

static void a_slab_that_was_full_is_asked_again(void **state)
{
	struct pair p = make_pair(3);
	int i = 900;

	(void)state;
	next_answer = KMEM_CBRC_NO;
	kmem_move_all(p.cp);
	assert_int_equal(p.few->slab_nomove, 1);
	while (p.few->slab_refcnt < p.few->slab_chunks)
		put(p.cp, i++ % 1000 + 1000);
	assert_int_equal(p.few->slab_nomove, 0);
	for (i = 1000; i < 2000; i++)
		drop(p.cp, i);
	end_pair(&p);
}

static void the_third_later_is_a_no(void **state)
{
	struct pair p = make_pair(1);

	(void)state;
	next_answer = KMEM_CBRC_LATER;
	for (unsigned i = 1; i < 3; i++) {
		kmem_move_all(p.cp);
		assert_int_equal(p.few->slab_nomove, 0);
		assert_int_equal(p.few->slab_later, i);
	}
	kmem_move_all(p.cp);
	assert_int_equal(p.few->slab_nomove, 1);
	assert_int_equal(p.few->slab_later, 0);
	/* then the other one was asked, the same number of times */
	assert_int_equal(p.cp->cache_defrag->kmd_later, 6);
	assert_int_equal(nasked, 6);
	kmem_cache_move_notify(p.cp, table[p.first_of_few - 1]);
	assert_int_equal(p.full->slab_nomove, 0);
	kmem_move_scan(p.cp);
	assert_int_equal(nasked, 7);

	/* whose owner says so is asked again, in the next round */
	kmem_cache_move_notify(p.cp, table[p.first_of_few]);
	assert_int_equal(p.few->slab_nomove, 0);
	assert_int_equal(p.cp->cache_defrag->kmd_npending, 1);
	next_answer = -1;
	kmem_move_scan(p.cp);
	assert_int_equal(nasked, 8);
	assert_int_equal(nslabs(p.cp), 1);
	assert_int_equal(p.cp->cache_defrag->kmd_npending, 0);
	assert_int_equal(nwrong(), 0);
	end_pair(&p);
}

static void what_is_not_needed_is_freed(void **state)
{
	struct pair p = make_pair(3);
	uint32_t before = p.full->slab_refcnt;

	(void)state;
	for (int i = p.first_of_few; i < p.first_of_few + 3; i++)
		table[i] = NULL; /* the allocator is to free them */
	next_answer = KMEM_CBRC_DONT_NEED;
	kmem_move_all(p.cp);
	assert_int_equal(p.cp->cache_defrag->kmd_dont_need, 3);
	assert_int_equal(nslabs(p.cp), 1);
	assert_int_equal(p.full->slab_refcnt, before);
	end_pair(&p);
}

static void what_is_not_known_stays(void **state)
{
	struct pair p = make_pair(3);

	(void)state;
	next_answer = KMEM_CBRC_DONT_KNOW;
	kmem_move_all(p.cp);
	kmem_move_all(p.cp);
	assert_int_equal(p.cp->cache_defrag->kmd_dont_know, 6);
	assert_int_equal(p.few->slab_refcnt, 3);
	assert_int_equal(p.few->slab_nomove, 0);
	assert_int_equal(p.few->slab_later, 0);
	end_pair(&p);
}

/* ---- ends of processes ---- */

static int status_of(void (*func)(void), const char *text)
{
	char err[4096] = "";
	int fd[2], status = -1;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fd[1], 2);
		func();
		_exit(0);
	}
	(void)close(fd[1]);
	while ((got = read(fd[0], err + n, sizeof(err) - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(fd[0]);
	(void)waitpid(pid, &status, 0);
	if (text && !strstr(err, text))
		fail_msg("'%s' is not in '%s'", text, err);
	return status;
}

static void answer_wrongly(void)
{
	struct pair p = make_pair(1);

	next_answer = 7;
	kmem_move_all(p.cp);
}

static void move_later(void)
{
	kmem_cache_t *cp = kmem_cache_create("begun", 32, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);

	(void)kmem_cache_alloc(cp, KM_SLEEP);
	kmem_cache_set_move(cp, move);
}

static void move_untouchables(void)
{
	kmem_cache_set_move(kmem_cache_create("untouched", 32, 0, NULL, NULL,
					      NULL, NULL, NULL, KMC_NOTOUCH),
			    move);
}

static void misuse_is_a_panic(void **state)
{
	(void)state;
	assert_int_equal(status_of(answer_wrongly,
				   "unexpected move callback response 7") &
				 0x7f,
			 SIGABRT);
	assert_int_equal(status_of(move_later, "cannot be moved") & 0x7f,
			 SIGABRT);
	assert_int_equal(status_of(move_untouchables, "cannot be moved") & 0x7f,
			 SIGABRT);
}

static void one_object_a_slab_stays(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("large", 4096, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);

	(void)state;
	kmem_cache_set_move(cp, move);
	assert_null(cp->cache_defrag);
	kmem_cache_free(cp, kmem_cache_alloc(cp, KM_SLEEP));
	kmem_reap();
	kmem_cache_destroy(cp);
}

/* ---- what a callback may do ---- */

static kmem_cache_t *cache_of_callback;
static struct object *others[3];

/* frees all of the slab but what it is asked about, and looks at that after */
static kmem_cbrc_t free_the_others(void *old, void *new_buf, size_t bytes,
				   void *priv)
{
	struct object *from = old;

	(void)new_buf;
	(void)bytes;
	(void)priv;
	nasked++;
	for (int i = 0; i < 3; i++)
		if (others[i] != old)
			kmem_cache_free(cache_of_callback, others[i]);
	/* and then that as well, from another thread of the owner, say */
	kmem_cache_free(cache_of_callback, old);
	assert_int_equal(cache_of_callback->cache_defrag->kmd_deadcount, 1);
	return from->number[0] == 4711 ? KMEM_CBRC_DONT_KNOW : KMEM_CBRC_YES;
}

static void a_slab_that_is_looked_at_stays(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("looked", sizeof(struct object), 0, NULL,
				  NULL, NULL, NULL, NULL, KMC_NOMAGAZINE);
	void *full[300];
	int n = 0;

	(void)state;
	kmem_cache_set_move(cp, free_the_others);
	cache_of_callback = cp;
	nasked = 0;
	do
		full[n++] = kmem_cache_alloc(cp, KM_SLEEP);
	while (cp->cache_partial_slabs);
	for (int i = 0; i < 3; i++) {
		others[i] = kmem_cache_alloc(cp, KM_SLEEP);
		others[i]->number[0] = 4711;
	}
	for (int i = 0; i < 5; i++)
		kmem_cache_free(cp, full[--n]);
	kmem_move_all(cp);
	assert_int_equal(nasked, 1);
	assert_int_equal(nslabs(cp), 1);
	assert_int_equal(check_order(cp), 0);
	while (n > 0)
		kmem_cache_free(cp, full[--n]);
	kmem_cache_destroy(cp);
}

static int nchildren;

static kmem_cbrc_t fork_and_move(void *old, void *new_buf, size_t bytes,
				 void *priv)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		void *p = kmem_alloc(1000, KM_SLEEP);

		kmem_free(p, 1000);
		kmem_reap(); /* it is this thread's own round */
		_exit(check_all() == 0 ? 7 : 8);
	}
	(void)waitpid(pid, &status, 0);
	nchildren += WIFEXITED(status) && WEXITSTATUS(status) == 7;
	return move(old, new_buf, bytes, priv);
}

static void a_callback_may_fork(void **state)
{
	struct pair p = make_pair(2);

	(void)state;
	p.cp->cache_move = fork_and_move;
	kmem_reap();
	assert_int_equal(nchildren, 2);
	assert_int_equal(nslabs(p.cp), 1);
	end_pair(&p);
}

static kmem_cbrc_t destroy_and_refuse(void *old, void *new_buf, size_t bytes,
				      void *priv)
{
	(void)old;
	(void)new_buf;
	(void)bytes;
	(void)priv;
	kmem_cache_destroy(cache_of_callback); /* it has objects: it stays */
	return KMEM_CBRC_NO;
}

static void a_callback_may_destroy_its_cache(void **state)
{
	struct pair p = make_pair(1);

	(void)state;
	cache_of_callback = p.cp;
	p.cp->cache_move = destroy_and_refuse;
	kmem_reap();
	assert_null(cache_named("pair"));
	assert_int_equal(check_all(), 0);
}

/* ---- the periodic look ---- */

static void a_round_empties_few_slabs_of_a_fragmented_cache(void **state)
{
	kmem_cache_t *cp = make_cache("scanned", KMC_NOMAGAZINE);
	kmem_defrag_t *kmd = cp->cache_defrag;
	uint64_t before;

	(void)state;
	for (int i = 0; i < 50 * 125; i++)
		put(cp, i);
	for (int i = 0; i < 50 * 125; i++)
		if (i % 20)
			drop(cp, i);
	kmem_move_scan(cp); /* fifty slabs are too few to bother */
	assert_int_equal(nasked, 0);
	assert_int_equal(kmd->kmd_scans, 0);
	for (int i = 0; i < 50 * 125; i++)
		drop(cp, i);

	for (int i = 0; i < NOBJECTS; i++)
		put(cp, i);
	kmem_move_scan(cp);
	assert_int_equal(kmd->kmd_scans, 0); /* full is not fragmented */
	for (int i = 0; i < NOBJECTS; i++)
		if (i % 20)
			drop(cp, i);
	before = nslabs(cp);
	assert_true(before > 101);
	for (unsigned i = 1; i <= 24; i++) {
		kmem_move_scan(cp);
		assert_int_equal(nslabs(cp), before - i);
		assert_int_equal(kmd->kmd_scans, i);
	}
	assert_int_equal(kmd->kmd_reclaim_numer, 1);
	/* what refuses is left alone, and the measure gets less strict */
	next_answer = KMEM_CBRC_NO;
	before = nslabs(cp);
	for (unsigned i = 0; i < 12; i++)
		kmem_move_scan(cp);
	assert_int_equal(nslabs(cp), before);
	assert_int_equal(kmd->kmd_reclaim_numer, 2);
	assert_true(kmd->kmd_no >= 100);
	for (unsigned i = 0; i < 12; i++)
		kmem_move_scan(cp);
	assert_int_equal(kmd->kmd_reclaim_numer, 3);
	assert_int_equal(check_order(cp), 0);
	assert_int_equal(nwrong(), 0);
	for (int i = 0; i < NOBJECTS; i++)
		drop(cp, i);
	kmem_move_scan(cp);
	assert_int_equal(kmd->kmd_reclaim_numer, 1);
	kmem_cache_destroy(cp);
}

/* ---- others at work ---- */

#define NTHREADS 4

static kmem_cache_t *busy_cache;
static volatile int is_over;

static void *work(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	unsigned seed = id + 1;
	int each = NOBJECTS / NTHREADS;

	while (!is_over) {
		int i = (int)id * each +
			(int)(next_random(&seed) % (unsigned)each);

		if (table[i])
			drop(busy_cache, i);
		else if (next_random(&seed) % 3 == 0)
			put(busy_cache, i);
	}
	return NULL;
}

static void work_and_move(int cflags)
{
	pthread_t thread[NTHREADS];
	kmem_defrag_t *kmd;

	busy_cache = make_cache("busy", cflags);
	kmd = busy_cache->cache_defrag;
	is_over = 0;
	fragment(busy_cache);
	for (uintptr_t i = 0; i < NTHREADS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, work, (void *)i), 0);
	for (int i = 0; i < 200 || kmd->kmd_yes < 100; i++) {
		kmem_reap();
		if (i % 20 == 0)
			assert_int_equal(check_all(), 0);
	}
	is_over = 1;
	for (int i = 0; i < NTHREADS; i++)
		(void)pthread_join(thread[i], NULL);
	assert_int_equal(nwrong(), 0);
	assert_int_equal(check_order(busy_cache), 0);
	assert_true(kmd->kmd_slabs_freed > 0);
	for (int i = 0; i < NOBJECTS; i++)
		drop(busy_cache, i);
	kmem_cache_destroy(busy_cache);
	assert_null(cache_named("busy"));
}

static void objects_move_while_others_come_and_go(void **state)
{
	(void)state;
	work_and_move(0);
	work_and_move(KMC_NOMAGAZINE);
	work_and_move(KMF_AUDIT | KMF_BUFTAG);
}

/* ---- the clock ---- */

/* The round is done by who makes a slab when it is due. */
static void wait_for_rounds(void)
{
	hrtime_t until = kmem_now() + (hrtime_t)20 * 1000000000;
	kmem_cache_t *moved, *idle, *clock;
	void *p[60];

	setenv("KMEM_OPTIONS", "reap_interval=1", 1);
	moved = make_cache("moved", KMC_NOMAGAZINE);
	idle = kmem_cache_create("idle", 300, 0, NULL, NULL, NULL, NULL, NULL,
				 0);
	clock = kmem_cache_create("clock", 4096, 0, NULL, NULL, NULL, NULL,
				  NULL, KMC_NOMAGAZINE);
	fragment(moved);
	for (int i = 0; i < 60; i++)
		p[i] = kmem_cache_alloc(idle, KM_SLEEP);
	for (int i = 0; i < 60; i++)
		kmem_cache_free(idle, p[i]);
	if (kmem_cache_stat(idle, "full_magazines") < 10)
		_exit(1);
	while (kmem_cache_stat(moved, "scan") < 2 ||
	       kmem_cache_stat(idle, "full_magazines") > 0) {
		if (kmem_now() > until)
			_exit(2);
		usleep(20000);
		kmem_cache_free(clock, kmem_cache_alloc(clock, KM_SLEEP));
	}
	if (kmem_cache_stat(moved, "move_slabs_freed") < 2 ||
	    kmem_cache_stat(moved, "defrag") != 0 || nwrong() != 0)
		_exit(3);
	_exit(check_all() == 0 ? 7 : 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partial_slabs_are_in_order_of_fullness),
		cmocka_unit_test(fragmented_slabs_are_given_back),
		cmocka_unit_test(checked_objects_are_moved_too),
		cmocka_unit_test(yes_moves_the_object),
		cmocka_unit_test(no_marks_the_slab),
		cmocka_unit_test(a_slab_that_was_full_is_asked_again),
		cmocka_unit_test(the_third_later_is_a_no),
		cmocka_unit_test(what_is_not_needed_is_freed),
		cmocka_unit_test(what_is_not_known_stays),
		cmocka_unit_test(misuse_is_a_panic),
		cmocka_unit_test(one_object_a_slab_stays),
		cmocka_unit_test(a_slab_that_is_looked_at_stays),
		cmocka_unit_test(a_callback_may_fork),
		cmocka_unit_test(
			a_round_empties_few_slabs_of_a_fragmented_cache),
		cmocka_unit_test(objects_move_while_others_come_and_go),
		cmocka_unit_test(a_callback_may_destroy_its_cache),
	};

	/* options are read once a process: before the first use here */
	if (status_of(wait_for_rounds, NULL) != 7 << 8) {
		printf("# no round, or not what it is to do\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
