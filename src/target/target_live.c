/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that runs, as a target: what a core of it would be, if it were
 * written now.
 *
 * Its notes are made as for a core and read as those of a core; its memory is
 * copied when it is first looked at.  For each map that a core would have there
 * is a range of ours of the same size, without memory at first; it is filled a
 * CHUNK at a time, so that target_peek() has something to point into.
 *
 * (I1) The process stands still from target_hold() to target_let_go(), and is
 *      read then only.  What was copied stays until the next target_hold().
 * (I2) Nothing is ever written to it: memory is read by process_vm_readv() and
 *      through a descriptor that is open for reading.
 * (I3) A chunk is marked after it is whole, and under a lock; several threads
 *      may read the target.
 * (I4) A run that target_peek() gives ends at most two chunks on, but it is
 *      never shorter than one, unless the map ends there.
 */
#define _GNU_SOURCE
#include "target/target.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "target/proc.h"
#include "target/target_impl.h"

#define CHUNK ((uint64_t)1 << 20)

/* the copy of a map */
struct region {
	const struct proc_map *map; /* of the proc; while it is held */
	taddr_t start, end;
	unsigned char *base;
	unsigned char *is_filled; /* a chunk each */
};

struct live {
	pid_t pid;
	struct proc *proc; /* NULL: the process runs */
	VEC(struct region) regions;
	pthread_mutex_t lock; /* guards what regions hold */
	uint64_t objects;     /* stands for the files that are mapped */
};

/* ---- memory -------------------------------------------------------------- */

static struct region *region_at(const struct live *live, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = live->regions.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct region *r = &live->regions.v[mid];

		if (addr < r->start)
			hi = mid;
		else if (addr >= r->end)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

struct fill {
	const struct proc *proc;
	const struct region *region;
};

/* a proc_run_fn */
static struct err *fill_run(void *arg, uint64_t start, uint64_t end)
{
	const struct fill *f = arg;

	/* zeros stand for what cannot be read */
	(void)proc_read(f->proc, start,
			f->region->base + (start - f->region->start),
			end - start);
	return NULL;
}

/* copies one chunk; false: the process runs, or there is no memory */
static bool fill_chunk(struct live *live, struct region *r, uint64_t i)
{
	taddr_t start = r->start + i * CHUNK;
	taddr_t end = r->end - start < CHUNK ? r->end : start + CHUNK;
	struct fill f = {live->proc, r};

	if (!live->proc || mprotect(r->base + i * CHUNK, end - start,
				    PROT_READ | PROT_WRITE) != 0)
		return false;
	err_free(proc_runs(live->proc, r->map, start, end, fill_run, &f));
	__atomic_store_n(&r->is_filled[i], 1, __ATOMIC_RELEASE);
	return true;
}

bool live_fill(const struct target *t, taddr_t addr, uint64_t len)
{
	struct live *live = t->live;
	struct region *r = region_at(live, addr);
	bool ok = r && len > 0;

	if (!ok)
		return false;
	for (uint64_t i = (addr - r->start) / CHUNK;
	     ok && i <= (addr + len - 1 - r->start) / CHUNK; i++) {
		if (__atomic_load_n(&r->is_filled[i], __ATOMIC_ACQUIRE))
			continue;
		(void)pthread_mutex_lock(&live->lock); /* cannot fail */
		if (!r->is_filled[i])
			ok = fill_chunk(live, r, i);
		(void)pthread_mutex_unlock(&live->lock);
	}
	return ok;
}

uint64_t live_peek(const struct target *t, taddr_t addr, uint64_t len)
{
	const struct region *r = region_at(t->live, addr);
	uint64_t most = r ? CHUNK - (addr - r->start) % CHUNK + CHUNK : 0;

	if (len > most)
		len = most;
	return live_fill(t, addr, len) ? len : 0;
}

/* ---- what there is ------------------------------------------------------- */

static void forget(struct target *t)
{
	struct live *live = t->live;

	for (size_t i = 0; i < live->regions.n; i++) {
		struct region *r = &live->regions.v[i];

		(void)munmap(r->base, r->end - r->start);
		mem_free(r->is_filled);
	}
	VEC_FREE(&live->regions);
	target_forget(t);
}

/* a place for what may be copied of a map; false: there is none */
static bool make_region(struct live *live, const struct proc_map *map)
{
	struct region r = {
		.map = map,
		.start = map->start,
		.end = map->start + map->take_bytes,
	};
	void *base = mmap(NULL, map->take_bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return false;
	r.base = base;
	r.is_filled = mem_zalloc(map->take_bytes / CHUNK + 1);
	VEC_PUSH(&live->regions, r);
	return true;
}

static void load_maps(struct target *t)
{
	struct live *live = t->live;
	const struct proc *p = live->proc;
	struct map_impl *loads = mem_array(p->maps.n + 1, sizeof(*loads));

	live->objects = 0;
	for (size_t i = 0; i < p->maps.n; i++) {
		const struct proc_map *map = &p->maps.v[i];
		struct map_impl *load = &loads[i];

		load->pub.start = load->pub.core_end = map->start;
		load->pub.end = map->end;
		load->pub.prot = map->prot;
		if (map->name[0] == '/') {
			live->objects = hash_bytes(map->name, strlen(map->name),
						   live->objects);
			live->objects = hash_bytes(
				&map->start, sizeof(map->start), live->objects);
			live->objects = hash_bytes(
				&map->inode, sizeof(map->inode), live->objects);
		}
		if (map->take_bytes == 0)
			continue;
		if (!make_region(live, map)) {
			target_incomplete(t,
					  "no room for the %" PRIu64
					  " bytes at 0x%" PRIx64,
					  map->take_bytes, map->start);
			continue;
		}
		load->bytes = live->regions.v[live->regions.n - 1].base;
		load->pub.core_end = map->start + map->take_bytes;
	}
	maps_build(t, loads, p->maps.n);
}

/* the notes, as if they were in a file */
static struct err *load_notes(struct target *t)
{
	struct strbuf *notes = &t->live->proc->notes;
	struct strbuf end = {0};
	void *base = NULL;
	size_t n = 0;

	proc_end_note(&end, 0, 0); /* as long as the true one */
	n = notes->n + end.n;
	strbuf_free(&end);
	proc_end_note(notes, n, 0);
	base = mmap(NULL, n, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return err_new(ERR_IO, "no room for %zu bytes of notes", n);
	memcpy(base, notes->s, n);
	t->base = base;
	t->size_bytes = n;
	notes_parse(t, 0, n, 4);
	notes_interpret(t);
	t->info.is_live = true;
	return NULL;
}

struct err *target_hold(struct target *t)
{
	struct proc_options opt = {.is_filtered = false};
	struct live *live = t->live;
	struct err *err = NULL;

	if (!live || live->proc)
		return NULL;
	forget(t);
	err = proc_stop(live->pid, &opt, &live->proc);
	if (!err)
		err = load_notes(t);
	if (err) {
		target_let_go(t);
		return err;
	}
	load_maps(t);
	return NULL;
}

void target_let_go(struct target *t)
{
	if (!t->live)
		return;
	(void)proc_release(t->live->proc); /* for how long: nobody asks */
	t->live->proc = NULL;
}

uint64_t target_objects_id(const struct target *t)
{
	return t->live ? t->live->objects : 0;
}

void live_close(struct target *t)
{
	if (!t->live)
		return;
	target_let_go(t);
	forget(t);
	(void)pthread_mutex_destroy(&t->live->lock); /* nobody holds it */
	mem_free(t->live);
	t->live = NULL;
}

struct err *target_open_live(int pid, struct target **ret_target)
{
	struct target *t = mem_zalloc(sizeof(*t));
	struct err *err = NULL;

	t->fd = -1;
	t->statm_fd = -1;
	t->path = mem_printf("/proc/%d", pid);
	t->live = mem_zalloc(sizeof(*t->live));
	t->live->pid = pid;
	(void)pthread_mutex_init(&t->live->lock, NULL); /* cannot fail */
	err = target_hold(t);
	if (err) {
		target_close(t);
		return err;
	}
	*ret_target = t;
	return NULL;
}
