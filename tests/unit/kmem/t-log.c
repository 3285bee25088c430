/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs of the transaction log: whoever writes, and however long somebody does
 * not, each record that is not older than what the log says is lost is there,
 * once. */
#include "check.h"
#include "kmem_short.h"

#include <string.h>

#define NTHREADS 40
#define NMAX     40000

static kmem_thread_t thread[NTHREADS];
static hrtime_t written[NMAX];
static int nwritten;
static unsigned seed = 417;

/** A new log, and threads that have nothing of it. */
static void begin(size_t bytes)
{
	memset(thread, 0, sizeof(thread));
	nwritten = 0;
	kmem_transaction_log = kmem_log_init(bytes);
	kmem_log_use_runs(kmem_transaction_log);
	kmem_logging = 1;
}

/** A record by a thread, as kmem_audit_by() makes them. */
static const kmem_bufctl_audit_t *record(kmem_thread_t *th)
{
	kmem_cpu_log_header_t *clhp;
	kmem_bufctl_audit_t *r;
	hrtime_t now = kmem_now();

	while (nwritten > 0 && now <= written[nwritten - 1])
		now = kmem_now();
	th->th_stamp = now;
	r = kmem_log_record(th, &clhp);
	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	r->bc_timestamp = now;
	if (clhp)
		kmem_spin_step_out(&clhp->clh_lock);
	written[nwritten++] = now;
	return r;
}

/** How often the log has a time. */
static int count(hrtime_t stamp)
{
	const kmem_log_header_t *lhp = kmem_transaction_log;
	size_t bytes = lhp->lh_chunksize * (size_t)lhp->lh_nchunks;
	const kmem_bufctl_audit_t *r = (void *)lhp->lh_base;
	int n = 0;

	for (size_t i = 0; i < bytes / sizeof(*r); i++)
		n += r[i].bc_timestamp == stamp;
	return n;
}

/** Is all there that is not lost?  Returns how many records that is. */
static int check_log(void)
{
	int n = 0;

	for (int i = nwritten; i-- > 0;) {
		if (written[i] <= kmem_transaction_log->lh_lost)
			break;
		assert_int_equal(count(written[i]), 1);
		n++;
	}
	return n;
}

/** Has the log at least a part of what it has room for? */
static void check_room(int part)
{
	const kmem_log_header_t *lhp = kmem_transaction_log;
	int room = (int)(lhp->lh_chunksize * (size_t)lhp->lh_nchunks /
			 sizeof(kmem_bufctl_audit_t));

	assert_true(nwritten > 2 * room);
	assert_true(check_log() >= room / part);
}

static void a_thread_has_its_run_alone(void **state)
{
	const kmem_bufctl_audit_t *a, *b;

	(void)state;
	begin(65536);
	a = record(&thread[0]);
	b = record(&thread[1]);
	for (int i = 1; i < 8; i++) {
		assert_ptr_equal(record(&thread[0]), a + i);
		assert_ptr_equal(record(&thread[1]), b + i);
	}
	assert_true(a + 8 <= b || b + 8 <= a);
	assert_int_equal(kmem_transaction_log->lh_nheld, 2);
	assert_int_equal(check_log(), 16);
}

static void the_run_of_an_idle_thread_is_left_out(void **state)
{
	hrtime_t first, last;

	(void)state;
	begin(65536);
	first = record(&thread[0])->bc_timestamp;
	for (int i = 0; i < 6000; i++)
		(void)record(&thread[1]);
	assert_true(first < kmem_transaction_log->lh_lost);
	assert_int_equal(count(first), 1);
	last = record(&thread[0])->bc_timestamp;
	for (int i = 0; i < 6000; i++)
		(void)record(&thread[1]);
	assert_int_equal(count(first), 1);
	assert_int_equal(count(last), 1);
	check_room(2);
}

/* (L3): the chunk of a slow thread's run was returned long before its last
 * record */
static void what_a_slow_thread_wrote_is_not_lost_unsaid(void **state)
{
	(void)state;
	begin(65536);
	while (nwritten < 30000) {
		(void)record(&thread[nwritten % 80 == 0 ? 0 : 1]);
		if (nwritten % 701 == 0)
			(void)check_log();
	}
	check_room(2);
}

static void many_threads_write_into_one_log(void **state)
{
	const kmem_log_header_t *lhp;

	(void)state;
	begin(16384);
	lhp = kmem_transaction_log;
	while (nwritten < 20000) {
		/* some often, some seldom */
		unsigned i = next_random(&seed) % NTHREADS;

		(void)record(&thread[next_random(&seed) % (i + 1)]);
		assert_true(lhp->lh_nheld <= lhp->lh_nruns / 4);
		if (nwritten % 1009 == 0)
			(void)check_log();
	}
	assert_int_equal(lhp->lh_nheld, lhp->lh_nruns / 4);
	check_room(4);
}

/* (L4) */
static void a_signal_handler_takes_no_run(void **state)
{
	const kmem_bufctl_audit_t *r;

	(void)state;
	begin(65536);
	kmem_gate_enter();
	(void)record(&thread[0]);
	assert_int_equal(thread[0].th_log_run, 0);
	kmem_gate_exit();
	r = record(&thread[0]);
	assert_int_not_equal(thread[0].th_log_run, 0);
	kmem_gate_enter();
	assert_ptr_equal(record(&thread[0]), r + 1);
	kmem_gate_exit();
	assert_int_equal(check_log(), 3);
}

static void nothing_is_written_while_logging_is_off(void **state)
{
	kmem_cpu_log_header_t *clhp;

	(void)state;
	begin(65536);
	(void)record(&thread[0]);
	kmem_logging = 0;
	assert_null(kmem_log_record(&thread[0], &clhp));
	assert_null(kmem_log_record(&thread[1], &clhp));
	kmem_logging = 1;
	assert_int_equal(check_log(), 1);
}

static int setup(void **state)
{
	(void)state;
	kmem_free(kmem_alloc(1, KM_SLEEP), 1);
	kmem_gate_enter(); /* as in a transaction */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_has_its_run_alone),
		cmocka_unit_test(the_run_of_an_idle_thread_is_left_out),
		cmocka_unit_test(what_a_slow_thread_wrote_is_not_lost_unsaid),
		cmocka_unit_test(many_threads_write_into_one_log),
		cmocka_unit_test(a_signal_handler_takes_no_run),
		cmocka_unit_test(nothing_is_written_while_logging_is_off),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
