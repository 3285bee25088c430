/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every aligned word of a range that the dump holds, one by one. */
#include <string.h>
#include "base/interrupt.h"
#include "graph/graph.h"

#define WORD sizeof(uint64_t)
/* bytes between two looks at the interrupt flag */
#define POLL_BYTES (1u << 22)

static struct err *scan_run(const unsigned char *p, size_t nwords, taddr_t at,
			    word_fn *fn, void *arg)
{
	for (size_t i = 0; i < nwords; i++) {
		uint64_t value = 0;

		memcpy(&value, p + i * WORD, WORD);
		struct err *err = fn(arg, at + i * WORD, value);

		if (err)
			return err;
	}
	return NULL;
}

/* what is not in the dump, in steps of a page, through the slow path: pages
 * of files, and words that lie across two maps */
static struct err *scan_word(const struct target *t, taddr_t at, word_fn *fn,
			     void *arg, bool *ret_read)
{
	uint64_t value = 0;
	_err_free_ struct err *err = target_read_u64(t, at, &value);

	*ret_read = !err;
	return err ? NULL : fn(arg, at, value);
}

struct err *words_scan(const struct target *t, taddr_t start, taddr_t end,
		       word_fn *fn, void *arg, uint64_t *ret_unread)
{
	uint64_t unread = 0;
	taddr_t at = (start + WORD - 1) & ~(taddr_t)(WORD - 1);
	struct err *err = NULL;

	while (!err && at < end && end - at >= WORD) {
		size_t len = 0;
		const unsigned char *p = target_peek(t, at, &len);

		if (p && len >= WORD) {
			if (len > end - at)
				len = end - at;
			if (len > POLL_BYTES)
				len = POLL_BYTES;
			err = scan_run(p, len / WORD, at, fn, arg);
			at += len / WORD * WORD;
			if (!err && len == POLL_BYTES)
				err = interrupt_check();
			continue;
		}
		bool ok = false;

		err = scan_word(t, at, fn, arg, &ok);
		if (ok) {
			at += WORD;
			continue;
		}
		/* nothing here: go on at the next page */
		taddr_t next = (at | 0xfff) + 1;

		if (next == 0 || next > end)
			next = end;
		unread += next - at;
		at = next;
	}
	if (ret_unread)
		*ret_unread = unread;
	return err;
}
