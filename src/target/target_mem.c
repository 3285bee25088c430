/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A target from bytes: what unit tests and fuzzers examine. */
#include "target/target.h"

#include <assert.h>
#include <string.h>

#include "target/target_impl.h"

struct target *target_mem_create(void)
{
	struct target *t = mem_zalloc(sizeof(*t));

	t->fd = -1;
	t->statm_fd = -1;
	t->path = mem_strdup("");
	return t;
}

void target_mem_add(struct target *t, taddr_t start, const void *bytes,
		    size_t n, unsigned prot)
{
	struct map_impl map = {
		.pub =
			{
				.start = start,
				.end = start + n,
				.core_end = start + n,
				.prot = prot,
				.presence = MAP_IN_CORE,
			},
		.is_owned = true,
	};
	unsigned char *copy = mem_alloc(n);
	size_t i;

	memcpy(copy, bytes, n);
	map.bytes = copy;
	VEC_PUSH(&t->maps, map);
	for (i = t->maps.n - 1; i > 0; i--) {
		if (t->maps.v[i - 1].pub.start < start)
			break;
		t->maps.v[i] = t->maps.v[i - 1];
	}
	t->maps.v[i] = map;
	/* a mistake of the test, not of a file */
	assert(n > 0 && start + n > start);
	assert(i == 0 || t->maps.v[i - 1].pub.end <= start);
	assert(i + 1 == t->maps.n || t->maps.v[i + 1].pub.start >= start + n);
}

void target_mem_thread(struct target *t, const struct target_thread *thread)
{
	VEC_PUSH(&t->threads, *thread);
}
