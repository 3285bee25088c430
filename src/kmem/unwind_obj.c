/* SPDX-License-Identifier: MIT */
/*
 * Which load object holds an address, asked from inside malloc.
 *
 * dl_iterate_phdr() takes the loader's lock, which the thread that calls malloc
 * may hold or wait for.  glibc 2.35 made _dl_find_object() for unwinders: no
 * lock, safe in a signal handler, right during dlopen().  Before 2.35, and when
 * told so by a test, /proc/self/maps and the mapped program headers answer.
 *
 * Objects whose rules the cache holds are noted here, so that it can be asked
 * whether all of them are still there: unwind.c says when and why.
 *
 * (I1) A slot of noted[] is published by its hdr, written last.  The array is
 *      written without a lock (a signal handler, or a forked child whose parent
 *      had another thread in here, must not wait); forgetting while another
 *      thread notes may leave an object that is gone, which only makes
 *      unwind_objects_hold() answer no once more.
 */
#define _GNU_SOURCE
#include "unwind_impl.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include "unwind_sys.h"

#define NOTED_MAX 1024

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));
/* a variable of ld.so */
extern void *__libc_stack_end __attribute__((weak));

/* see (I1) */
static struct unwind_object noted[NOTED_MAX];
static uint32_t nnoted;

/* this library and ld.so; end is written last, 0: not known */
static struct range {
	uintptr_t start;
	uintptr_t end;
} own, loader;

static bool by_maps;

/* ---- by /proc/self/maps ------------------------------------------------ */

/* a line of the file, as far as it matters */
struct line {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
	uint64_t dev;
	uint64_t inode;
	bool is_readable;
	bool is_vdso;
};

struct maps {
	int fd;
	unsigned at;
	unsigned filled;
	char buf[1024];
};

/* next byte, or -1 */
static int next_byte(struct maps *m)
{
	long n;

	if (m->at == m->filled) {
		n = unwind_syscall(SYS_read, m->fd, (long)m->buf,
				   sizeof(m->buf), 0);
		if (n <= 0)
			return -1;
		m->at = 0;
		m->filled = (unsigned)n;
	}
	return (unsigned char)m->buf[m->at++];
}

/* reads hexadecimal digits and the byte that ends them */
static uint64_t next_number(struct maps *m)
{
	uint64_t v = 0;
	int ch;

	for (;;) {
		ch = next_byte(m);
		if (ch >= '0' && ch <= '9')
			v = v << 4 | (uint64_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			v = v << 4 | (uint64_t)(ch - 'a' + 10);
		else
			return v;
	}
}

static bool next_line(struct maps *m, struct line *line)
{
	static const char vdso[] = "[vdso]";
	unsigned same = 0;
	int ch;

	line->start = next_number(m);
	line->end = next_number(m);
	line->is_readable = next_byte(m) == 'r';
	while ((ch = next_byte(m)) != ' ')
		if (ch < 0)
			return false;
	line->offset = next_number(m);
	line->dev = next_number(m) << 32;
	line->dev |= next_number(m);
	line->inode = next_number(m); /* decimal: as a key it serves */
	while ((ch = next_byte(m)) != '\n') {
		if (ch < 0)
			return false;
		if (same < sizeof(vdso) - 1 && ch == vdso[same])
			same++;
	}
	line->is_vdso = same == sizeof(vdso) - 1 && line->inode == 0;
	return true;
}

/* sets base to the start of the file pc is mapped from */
static bool find_base(uintptr_t pc, struct line *base)
{
	struct line line;
	struct maps m;
	bool is_found = false;

	m.fd = (int)unwind_syscall(SYS_openat, AT_FDCWD,
				   (long)"/proc/self/maps",
				   O_RDONLY | O_CLOEXEC, 0);
	if (m.fd < 0)
		return false;
	m.at = m.filled = 0;
	*base = (struct line){.start = 0};
	while (!is_found && next_line(&m, &line) && line.start <= pc) {
		if (line.offset == 0 && line.is_readable &&
		    (line.inode || line.is_vdso))
			*base = line;
		is_found = pc < line.end && base->start &&
			   line.inode == base->inode && line.dev == base->dev &&
			   line.is_vdso == base->is_vdso;
	}
	(void)unwind_syscall(SYS_close, m.fd, 0, 0, 0);
	return is_found;
}

/* fills obj from the program headers mapped at base */
static bool read_headers(const struct line *base, struct unwind_object *obj)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base->start;
	const Elf64_Phdr *ph;
	uintptr_t bias = 0;
	uintptr_t hdr = 0;
	uintptr_t end = 0;
	bool has_bias = false;
	unsigned i;

	if (eh->e_ident[EI_MAG0] != ELFMAG0 || eh->e_ident[EI_MAG1] != 'E' ||
	    eh->e_ident[EI_MAG2] != 'L' || eh->e_ident[EI_MAG3] != 'F' ||
	    eh->e_phentsize != sizeof(*ph) ||
	    eh->e_phoff + (uint64_t)eh->e_phnum * sizeof(*ph) >
		    base->end - base->start)
		return false;
	ph = (const Elf64_Phdr *)(base->start + eh->e_phoff);
	for (i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD) {
			if (!has_bias)
				bias = base->start -
				       (ph[i].p_vaddr - ph[i].p_offset);
			has_bias = true;
			end = ph[i].p_vaddr + ph[i].p_memsz;
		} else if (ph[i].p_type == PT_GNU_EH_FRAME) {
			hdr = ph[i].p_vaddr;
		}
	}
	obj->start = base->start;
	obj->end = bias + end;
	obj->hdr = (const uint8_t *)(bias + hdr);
	obj->map = NULL;
	return hdr != 0;
}

/* ---- external ---------------------------------------------------------- */

bool unwind_object_find(uintptr_t pc, struct unwind_object *obj)
{
	struct dl_find_object found;
	struct line base;

	if (UNWIND_LIKELY(_dl_find_object && !by_maps)) {
		if (_dl_find_object((void *)pc, &found) != 0 ||
		    !found.dlfo_eh_frame)
			return false;
		obj->start = (uintptr_t)found.dlfo_map_start;
		obj->end = (uintptr_t)found.dlfo_map_end;
		obj->hdr = found.dlfo_eh_frame;
		obj->map = found.dlfo_link_map;
		return true;
	}
	return find_base(pc, &base) && read_headers(&base, obj) &&
	       pc >= obj->start && pc < obj->end;
}

/** Is a noted object this one?  It may be written meanwhile: then it is not. */
static bool is_same(const struct unwind_object *a,
		    const struct unwind_object *b)
{
	return __atomic_load_n(&a->hdr, __ATOMIC_ACQUIRE) == b->hdr &&
	       __atomic_load_n(&a->start, __ATOMIC_RELAXED) == b->start &&
	       __atomic_load_n(&a->end, __ATOMIC_RELAXED) == b->end &&
	       __atomic_load_n(&a->map, __ATOMIC_RELAXED) == b->map;
}

bool unwind_object_note(const struct unwind_object *obj)
{
	uint32_t n = __atomic_load_n(&nnoted, __ATOMIC_ACQUIRE);
	uint32_t i;

	for (i = 0; i < n && i < NOTED_MAX; i++)
		if (is_same(&noted[i], obj))
			return true;
	if (n >= NOTED_MAX)
		return false;
	i = __atomic_fetch_add(&nnoted, 1, __ATOMIC_RELAXED);
	if (i >= NOTED_MAX)
		return false;
	__atomic_store_n(&noted[i].hdr, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&noted[i].start, obj->start, __ATOMIC_RELAXED);
	__atomic_store_n(&noted[i].end, obj->end, __ATOMIC_RELAXED);
	__atomic_store_n(&noted[i].map, obj->map, __ATOMIC_RELAXED);
	__atomic_store_n(&noted[i].hdr, obj->hdr, __ATOMIC_RELEASE); /* (I1) */
	return true;
}

bool unwind_objects_hold(void)
{
	uint32_t n = __atomic_load_n(&nnoted, __ATOMIC_ACQUIRE);
	struct unwind_object now;
	uint32_t i;

	if (!_dl_find_object || by_maps)
		return n == 0; /* too dear to ask */
	for (i = 0; i < n && i < NOTED_MAX; i++) {
		const uint8_t *hdr =
			__atomic_load_n(&noted[i].hdr, __ATOMIC_ACQUIRE);

		if (hdr && (!unwind_object_find((uintptr_t)hdr, &now) ||
			    !is_same(&noted[i], &now)))
			return false;
	}
	return true;
}

void unwind_objects_forget(void)
{
	__atomic_store_n(&nnoted, 0, __ATOMIC_RELEASE);
}

static void find_range(uintptr_t pc, struct range *range)
{
	struct unwind_object obj;

	if (pc && unwind_object_find(pc, &obj)) {
		__atomic_store_n(&range->start, obj.start, __ATOMIC_RELAXED);
		__atomic_store_n(&range->end, obj.end, __ATOMIC_RELEASE);
	}
}

static inline bool is_in(const struct range *range, uintptr_t pc)
{
	return pc < __atomic_load_n(&range->end, __ATOMIC_ACQUIRE) &&
	       pc >= __atomic_load_n(&range->start, __ATOMIC_RELAXED);
}

bool unwind_is_by_loader(const uintptr_t *pcs, unsigned n)
{
	unsigned i = 0;

	if (UNWIND_UNLIKELY(!__atomic_load_n(&loader.end, __ATOMIC_ACQUIRE))) {
		find_range((uintptr_t)unwind_is_by_loader, &own);
		find_range((uintptr_t)&__libc_stack_end, &loader);
	}
	while (i < n && is_in(&own, pcs[i]))
		i++;
	return i < n && is_in(&loader, pcs[i]);
}

void unwind_object_by_maps(bool on)
{
	by_maps = on;
}
