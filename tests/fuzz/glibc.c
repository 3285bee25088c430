/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzing the reader of glibc's heaps: words of the core FUZZ_CORE names are
 * overwritten as the input says, every question the heap interface has is asked,
 * and the core is put back.  Nothing crashes, leaks or hangs.
 *
 * The input is records of ten bytes: two choose a word, among those of writable
 * memory that are not zero; one says what is done to it; one how many words
 * from there on; six are a number.  Of no input at all the heap is whole.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "graph/graph.h"
#include "heap/heap.h"

enum {
	RECORD = 10,
	RECORDS_MAX = 40,
	HANG_S = 20,
};

static struct {
	const char *path;
	unsigned char *image;
	size_t bytes;
	VEC(size_t) words; /* offsets */
	VEC(struct {
		size_t at;
		uint64_t old;
	})
	saved;
} fuzz;

/* ---- the core -------------------------------------------------------- */

static void list_words(const Elf64_Phdr *ph)
{
	uint64_t word = 0;

	if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_W))
		return;
	for (size_t i = 0; i + 8 <= ph->p_filesz; i += 8) {
		memcpy(&word, fuzz.image + ph->p_offset + i, sizeof(word));
		if (word)
			VEC_PUSH(&fuzz.words, ph->p_offset + i);
	}
}

static void set_up(void)
{
	struct stat st;
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int fd = -1;

	if (fuzz.path)
		return;
	fuzz.path = getenv("FUZZ_CORE");
	fd = fuzz.path ? open(fuzz.path, O_RDWR) : -1;
	if (fd < 0 || fstat(fd, &st) != 0) {
		fprintf(stderr, "FUZZ_CORE names no core\n");
		exit(1);
	}
	fuzz.bytes = (size_t)st.st_size;
	fuzz.image = mmap(NULL, fuzz.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  fd, 0);
	close(fd);
	if (fuzz.image == MAP_FAILED)
		exit(1);
	memcpy(&eh, fuzz.image, sizeof(eh));
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		memcpy(&ph, fuzz.image + eh.e_phoff + i * sizeof(ph),
		       sizeof(ph));
		list_words(&ph);
	}
	if (fuzz.words.n < 1000)
		abort();
}

static void put(size_t at, uint64_t word)
{
	uint64_t old = 0;

	if (at + 8 > fuzz.bytes)
		return;
	memcpy(&old, fuzz.image + at, sizeof(old));
	memcpy(fuzz.image + at, &word, sizeof(word));
	VEC_PUSH(&fuzz.saved, ((__typeof__(*fuzz.saved.v)){at, old}));
}

static void restore(void)
{
	while (fuzz.saved.n) {
		fuzz.saved.n--;
		memcpy(fuzz.image + fuzz.saved.v[fuzz.saved.n].at,
		       &fuzz.saved.v[fuzz.saved.n].old, 8);
	}
}

static uint64_t changed(uint64_t word, unsigned how, uint64_t number)
{
	uint64_t other = 0;

	memcpy(&other, fuzz.image + fuzz.words.v[number % fuzz.words.n],
	       sizeof(other));
	switch (how % 8) {
	case 0:
		return number;
	case 1:
		return word ^ 1ull << number % 64;
	case 2:
		return word + number % 512 - 256;
	case 3:
		return other;
	case 4:
		return number % 4096 << 4 | (word & 7);
	case 5:
		return word + (number % 512 - 256) * 16;
	case 6:
		return 0;
	default:
		return number << 16 | number >> 32;
	}
}

static void damage(const unsigned char *r)
{
	uint64_t number = 0;
	uint64_t word = 0;
	size_t at = 0;

	memcpy(&number, r + 4, 6);
	/* more words than two bytes can tell: the number has more of it */
	at = fuzz.words.v[((r[0] | (size_t)r[1] << 8) * 7 + number % 7) %
			  fuzz.words.n];
	for (unsigned i = 0; i <= r[3] % 16u * (r[3] > 200); i++) {
		if (at + i * 8 + 8 > fuzz.bytes)
			return;
		memcpy(&word, fuzz.image + at + i * 8ull, sizeof(word));
		put(at + i * 8ull, changed(word, r[2], number));
	}
}

/* ---- the questions --------------------------------------------------- */

static struct err *on_buf(void *arg, const struct heap_buf *b)
{
	struct heap *heap = arg;
	struct heap_buf same;

	(void)heap->ops->buf_at(heap, b->addr + b->size_bytes / 2, &same);
	return NULL;
}

static struct err *on_segment(void *arg, const struct heap_segment *s)
{
	(void)arg;
	return s->end < s->start ? err_new(ERR_BADDATA, "upside down") : NULL;
}

static struct err *on_arena(void *arg, const struct heap_arena *a)
{
	struct heap *heap = arg;

	return heap->ops->segments(heap, a->addr, ~0u, on_segment, NULL);
}

static struct err *on_list(void *arg, const struct heap_freelist *l)
{
	(void)arg;
	(void)l;
	return NULL;
}

static struct err *on_use(void *arg, const struct heap_use *u)
{
	(void)arg;
	(void)u;
	return NULL;
}

static struct err *on_finding(void *arg, const struct heap_finding *f)
{
	(void)arg;
	/* a place, in words */
	if (f->text[0] == '\0')
		abort();
	return NULL;
}

static void ask(struct heap *heap)
{
	const struct heap_ops *ops = heap->ops;
	struct leaks *leaks = NULL;

	err_free(ops->bufs(heap, 0, BUF_ANY, on_buf, heap));
	err_free(ops->arenas(heap, on_arena, heap));
	err_free(ops->freelists(heap, on_list, NULL));
	err_free(ops->uses(heap, on_use, NULL));
	err_free(ops->verify(heap, 0, on_finding, NULL));
	err_free(leaks_find(heap, &leaks));
	leaks_free(leaks);
}

static void on_alarm(int sig)
{
	static const char text[] = "it hangs\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	abort();
}

static bool open_core(const struct types_options *opt, struct target **ret_t,
		      struct types **ret_types)
{
	_err_free_ struct err *err = target_open_core(fuzz.path, ret_t);

	if (!err)
		err = types_open(*ret_t, opt, ret_types);
	return !err;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct types_options opt = {.sysroot = "/nonexistent"};
	struct target *t = NULL;
	struct types *types = NULL;
	struct heap *heap = NULL;

	set_up();
	signal(SIGALRM, on_alarm);
	for (size_t i = 0; i + RECORD <= size && i < RECORD * RECORDS_MAX;
	     i += RECORD)
		damage(data + i);
	alarm(HANG_S);
	if (open_core(&opt, &t, &types)) {
		struct err *err = heap_open(t, types, &heap);

		if (!err)
			ask(heap);
		/* nothing was changed: it is whole */
		if (size == 0 && (err || heap->health.nfindings))
			abort();
		err_free(err);
	}
	alarm(0);
	heap_close(heap);
	types_close(types);
	target_close(t);
	restore();
	return 0;
}
