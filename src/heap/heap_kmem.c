/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The libkmem back end: finds the library in a target, binds the contract's
 * names to this build of it, and answers for its caches and buffers.
 *
 * No header of libkmem is included and no offset compiled in.  contract.def
 * lists the symbols and members; symbols give addresses, the DWARF of the very
 * object that was loaded gives offsets, and flag bits and patterns are read
 * from the target (kmem_patterns).
 *
 * Everything read is hostile.  A struct is read only where all its bytes are;
 * a list is walked with a loop check and a bound; a count is compared with what
 * the mapped memory can hold.  What does not fit becomes a finding
 * (kmem_damage()), and the rest is still read.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/strbuf.h"
#include "contract/notes.h"
#include "heap/heap_impl.h"
#include "heap/heap_kmem_impl.h"

#define NCPUS_MAX  4096
#define STRUCT_MAX (1u << 20)
#define KMEM_READY 2

/* the contract's tables */
static const struct {
	const char *name;
	bool is_required;
} sym_table[S_MAX] = {
#define KC_SYM(name, required) [S_##name] = {#name, required},
#define KC_FIELD(struct_, member, required)
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD
};

static const struct {
	const char *struct_name, *member;
	bool is_required;
} field_table[F_MAX] = {
#define KC_SYM(name, required)
#define KC_FIELD(struct_, member, required) \
	[F_##struct_##_##member] = {#struct_, #member, required},
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD
};

static const char *const struct_names[K_MAX] = {
	[K_vmem_seg] = "vmem_seg",
	[K_vmem] = "vmem",
	[K_kmem_bufctl] = "kmem_bufctl",
	[K_kmem_bufctl_audit] = "kmem_bufctl_audit",
	[K_kmem_buftag] = "kmem_buftag",
	[K_kmem_slab] = "kmem_slab",
	[K_kmem_magazine] = "kmem_magazine",
	[K_kmem_magtype] = "kmem_magtype",
	[K_kmem_cpu_cache] = "kmem_cpu_cache",
	[K_kmem_maglist] = "kmem_maglist",
	[K_kmem_cache] = "kmem_cache",
	[K_kmem_log_header] = "kmem_log_header",
	[K_kmem_stack] = "kmem_stack",
	[K_kmem_stackdepot] = "kmem_stackdepot",
	[K_kmem_panic_info] = "kmem_panic_info",
	[K_kmem_patterns] = "kmem_patterns",
	[K_vmem_kstat] = "vmem_kstat",
	[K_kmem_cpu_log_header] = "kmem_cpu_log_header",
	[K_kmem_thread] = "kmem_thread",
	[K_kmem_thread_bin] = "kmem_thread_bin",
	[K_kmem_waiter] = "kmem_waiter",
	[K_map] = "map",
	[K_mapent] = "mapent",
	[K_kmem_mismatch] = "kmem_mismatch",
	[K_kmem_logfile] = "kmem_logfile",
};

/* ---- reading --------------------------------------------------------- */

const void *kmem_peek(struct kmem_heap *kh, enum kmem_struct what, taddr_t addr)
{
	uint64_t n = kh->names.struct_bytes[what];
	size_t len = 0;

	if (what == K_vmem_seg && kh->seg_bytes)
		n = kh->seg_bytes;
	if (n == 0 || addr == 0)
		return NULL;
	const void *p = target_peek(kh->t, addr, &len);

	if (p && len >= n && kh->names.struct_bytes[what] <= n)
		return p;
	/* across maps, from a file, or a short boundary tag: a copy */
	if (!kh->scratch[what])
		kh->scratch[what] = mem_zalloc(kh->names.struct_bytes[what]);
	if (n > kh->names.struct_bytes[what])
		n = kh->names.struct_bytes[what];
	if (addr + n < addr)
		return NULL;
	struct err *err = target_read(kh->t, addr, kh->scratch[what], n);

	if (err) {
		err_free(err);
		return NULL;
	}
	return kh->scratch[what];
}

const unsigned char *kmem_look_there(struct kmem_look *l, taddr_t addr,
				     uint64_t n)
{
	size_t len = 0;
	const unsigned char *p = target_peek(l->t, addr, &len);

	if (!p)
		return NULL;
	/* of a process that runs no more is there than was asked for */
	if (target_info(l->t)->is_live)
		return len < n ? NULL : p;
	l->map = target_map_at(l->t, addr);
	l->bytes = p - (addr - l->map->start);
	return len < n ? NULL : p;
}

uint64_t kmem_get_at(struct kmem_heap *kh, enum kmem_field f, taddr_t addr)
{
	const struct view_row *row = &kh->names.row[f];
	struct view_row local = *row;
	unsigned char raw[16] = {0};
	struct err *err = NULL;

	if (!row->is_bound || row->size_bytes > sizeof(raw) - 8)
		return 0;
	if (addr + row->offset_bytes < addr)
		return 0;
	err = target_read(kh->t, addr + row->offset_bytes, raw,
			  row->size_bytes);
	if (err) {
		err_free(err);
		return 0;
	}
	local.offset_bytes = 0;
	return view_get(&local, raw);
}

uint64_t kmem_global(struct kmem_heap *kh, enum kmem_sym s, size_t bytes)
{
	uint64_t value = 0;

	if (!kh->names.sym[s] || bytes > sizeof(value))
		return 0;
	err_free(target_read(kh->t, kh->names.sym[s], &value, bytes));
	return value;
}

bool kmem_loop_seen(struct kmem_loop *loop, taddr_t addr)
{
	if (loop->steps && addr == loop->saved)
		return true;
	if (loop->steps++ == loop->limit) {
		loop->limit = loop->limit ? loop->limit * 2 : 2;
		loop->saved = addr;
	}
	return false;
}

void kmem_damage(struct kmem_heap *kh, taddr_t addr, taddr_t cache,
		 const char *fmt, ...)
{
	struct heap_finding f = {
		.addr = addr,
		.cache = cache,
		.kind = FINDING_STRUCTURE,
	};
	bool is_new = false;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	kh->nmet++;
	hash_put(&kh->noted, hash_bytes(f.text, strlen(f.text), 0), &is_new);
	if (!is_new)
		return;
	heap_damage(kh->heap, "%s", f.text);
	if (kh->findings.n < KMEM_FINDINGS_MAX)
		VEC_PUSH(&kh->findings, f);
}

/* ---- binding --------------------------------------------------------- */

static bool is_libkmem_name(const char *name)
{
	return strncmp(name, "libkmem", strlen("libkmem")) == 0;
}

static int ready_of(struct target *t, struct types *types,
		    const struct object *obj)
{
	struct symbol sym;
	int32_t ready = 0;

	if (!types_symbol_named(types, obj, "kmem_ready", &sym))
		return 0;
	err_free(target_read(t, sym.value, &ready, sizeof(ready)));
	return ready;
}

/* the object that holds the allocator: the one that is up if there are two.
 * *ret_why says what is wrong when there is none, or none that is up */
static const struct object *find_object(struct target *t, struct types *types,
					char **ret_why)
{
	const struct object *found = NULL;
	const struct object *near = NULL;
	int best = -1;

	for (size_t i = 0; i < types_nobjects(types); i++) {
		const struct object *obj = types_object(types, i);
		struct symbol sym;

		if (obj->state != OBJECT_OK) {
			if (is_libkmem_name(obj->name))
				near = obj;
			continue;
		}
		if (!types_symbol_named(types, obj, "kmem_abi_version", &sym) ||
		    !types_symbol_named(types, obj, "kmem_null_cache", &sym))
			continue;
		int ready = ready_of(t, types, obj);

		if (ready > best) {
			best = ready;
			found = obj;
		}
	}
	if (found && best == KMEM_READY)
		return found;
	if (found)
		*ret_why =
			mem_printf("%s %s", found->name,
				   best == 0 ? "was never initialised"
					     : "was still being initialised");
	else if (near)
		*ret_why = mem_printf(
			"%s: %s; its types are needed", near->path,
			near->state == OBJECT_MISSING
				? "file not found"
				: "build-id differs from the dump's");
	else
		*ret_why = mem_strdup("no libkmem in this process");
	return NULL;
}

static int kmem_probe(struct target *t, struct types *types, char **ret_why)
{
	if (find_object(t, types, ret_why))
		return 100;
	/* a library whose file is missing has a heap all the same */
	for (size_t i = 0; i < types_nobjects(types); i++) {
		const struct object *obj = types_object(types, i);

		if (obj->state != OBJECT_OK && is_libkmem_name(obj->name))
			return -1;
	}
	return 0;
}

static struct err *bind_symbols(struct types *types, const struct object *obj,
				struct kmem_names *names)
{
	for (size_t i = 0; i < S_MAX; i++) {
		struct symbol sym;

		if (types_symbol_named(types, obj, sym_table[i].name, &sym))
			names->sym[i] = sym.value;
		else if (sym_table[i].is_required)
			return err_new(ERR_NOTFOUND, "%s: no symbol %s",
				       obj->name, sym_table[i].name);
	}
	return NULL;
}

static void note_struct_size(struct kmem_names *names, const struct view *view)
{
	for (size_t k = 0; k < K_MAX; k++)
		if (strcmp(struct_names[k], view->struct_name) == 0)
			names->struct_bytes[k] = view->size_bytes;
}

/* binds the rows [first, end), all of one struct */
static struct err *bind_struct(struct types *types, const struct object *obj,
			       struct kmem_names *names, size_t first,
			       size_t end)
{
	struct view view = {
		.struct_name = field_table[first].struct_name,
		.rows = &names->row[first],
		.nrows = end - first,
	};
	bool is_required = false;

	for (size_t i = first; i < end; i++) {
		names->row[i].member = field_table[i].member;
		names->row[i].is_required = field_table[i].is_required;
		is_required = is_required || field_table[i].is_required;
	}
	struct err *err = view_bind(types, obj, &view);

	if (err && !is_required) {
		for (size_t i = first; i < end; i++)
			names->row[i].is_bound = false;
		err_free(err);
		return NULL;
	}
	if (!err && view.size_bytes > STRUCT_MAX)
		err = err_new(ERR_BADDATA,
			      "%s: struct %s has %" PRIu64 " bytes", obj->name,
			      view.struct_name, view.size_bytes);
	if (!err)
		note_struct_size(names, &view);
	return err;
}

static struct err *bind_fields(struct types *types, const struct object *obj,
			       struct kmem_names *names)
{
	for (size_t first = 0; first < F_MAX;) {
		size_t end = first + 1;

		while (end < F_MAX &&
		       strcmp(field_table[end].struct_name,
			      field_table[first].struct_name) == 0)
			end++;
		struct err *err = bind_struct(types, obj, names, first, end);

		if (err)
			return err;
		first = end;
	}
	return NULL;
}

/* "KMEM_KIND_NEW_ARRAY" is "new[]" */
static char *kind_word(const char *enumerator)
{
	static const char prefix[] = "KMEM_KIND_";
	struct strbuf sb = {0};
	const char *p = enumerator;

	if (strncmp(p, prefix, sizeof(prefix) - 1) == 0)
		p += sizeof(prefix) - 1;
	if (strcmp(p, "NONE") == 0)
		return mem_strdup("");
	for (; *p && strcmp(p, "_ARRAY") != 0; p++)
		strbuf_putc(&sb, (char)tolower((unsigned char)*p));
	if (*p)
		strbuf_puts(&sb, "[]");
	char *word = mem_strdup(strbuf_str(&sb));

	strbuf_free(&sb);
	return word;
}

static void bind_kinds(struct types *types, const struct object *obj,
		       struct kmem_names *names)
{
	const struct type *type = NULL;
	_err_free_ struct err *err =
		types_lookup(types, obj, "enum kmem_kind", &type);

	for (size_t i = 0; !err && i < type_nenums(type); i++) {
		int64_t value = 0;
		const char *name = type_enum(type, i, &value);

		if (value < 0 || (size_t)value >= 16 || names->kind[value])
			continue;
		names->kind[value] = kind_word(name);
	}
}

static void bind_whats(struct types *types, const struct object *obj,
		       struct kmem_names *names)
{
	const struct type *type = NULL;
	_err_free_ struct err *err =
		types_lookup(types, obj, "enum kmem_what", &type);

	for (size_t i = 0; !err && i < type_nenums(type); i++) {
		int64_t value = 0;
		const char *name = type_enum(type, i, &value);

		if (strcmp(name, "KMEM_WHAT_ALLOC") == 0)
			names->what_alloc = (unsigned)value;
		else if (strcmp(name, "KMEM_WHAT_FREE") == 0)
			names->what_free = (unsigned)value;
		else if (strcmp(name, "KMEM_WHAT_FAIL") == 0)
			names->what_fail = (unsigned)value;
		else if (strcmp(name, "KMEM_WHAT_SLAB") == 0)
			names->what_slab = (unsigned)value;
	}
}

static void names_fini(struct kmem_names *names)
{
	for (size_t i = 0; i < 16; i++)
		mem_free(names->kind[i]);
}

static struct err *kmem_open(struct target *t, struct types *types,
			     struct heap *heap)
{
	_free_ char *why = NULL;
	const struct object *obj = find_object(t, types, &why);
	struct kmem_names names = {0};

	if (!obj)
		return err_new(ERR_NOTFOUND, "%s", why);
	struct err *err = bind_symbols(types, obj, &names);

	if (!err)
		err = bind_fields(types, obj, &names);
	if (err)
		return err;
	bind_kinds(types, obj, &names);
	bind_whats(types, obj, &names);
	/* in a static program the library's data is the program's data, too */
	if (!obj->is_exec) {
		names.own_start = obj->start;
		names.own_end = obj->end;
	}
	return kmem_open_named(heap, &names);
}

/* ---- opening --------------------------------------------------------- */

static struct err *read_numbers(struct kmem_heap *kh)
{
	const void *raw =
		kmem_peek(kh, K_kmem_patterns, kh->names.sym[S_kmem_patterns]);
	struct kmem_numbers *n = &kh->num;

	if (!raw)
		return err_new(ERR_FAULT, "kmem_patterns is not in the dump");
#define P(member, field) n->member = kmem_get(kh, F_kmem_patterns_##field, raw)
	P(free, kp_free);
	P(uninitialized, kp_uninitialized);
	P(redzone, kp_redzone);
	P(buftag_alloc, kp_buftag_alloc);
	P(buftag_free, kp_buftag_free);
	P(redzone_byte, kp_redzone_byte);
	P(size_mul, kp_size_mul);
	P(stack_shift, kp_stack_shift);
	P(kmf_audit, kp_kmf_audit);
	P(kmf_deadbeef, kp_kmf_deadbeef);
	P(kmf_redzone, kp_kmf_redzone);
	P(kmf_nomagazine, kp_kmf_nomagazine);
	P(kmf_lite, kp_kmf_lite);
	P(kmf_hash, kp_kmf_hash);
	P(kmc_notouch, kp_kmc_notouch);
	P(kmc_qcache, kp_kmc_qcache);
	P(vmc_identifier, kp_vmc_identifier);
	P(seg_alloc, kp_seg_alloc);
	P(seg_free, kp_seg_free);
	P(seg_span, kp_seg_span);
	P(seg_rotor, kp_seg_rotor);
	P(seg_walker, kp_seg_walker);
#undef P
	if (!n->kmf_hash || !n->seg_alloc || !n->seg_span)
		return err_new(ERR_BADDATA,
			       "kmem_patterns does not hold its constants");
	return NULL;
}

/* what the producer of the dump said of the allocator's locks */
static void read_note(struct kmem_heap *kh)
{
	const struct target_note *note =
		target_find_note(kh->t, KMEM_NOTE_OWNER, KMEM_NT_SNAP);
	struct kmem_note_snap snap;

	if (!note || note->desc_bytes < sizeof(snap))
		return;
	memcpy(&snap, note->desc, sizeof(snap));
	kh->heap->health.is_quiescent_known =
		snap.ns_quiescent != KMEM_QUIESCENT_UNKNOWN;
	kh->heap->health.is_quiescent = snap.ns_quiescent == KMEM_QUIESCENT_YES;
	kh->heap->health.nthreads_lost = snap.ns_nthreads_lost;
	kh->heap->health.now_ns = snap.ns_mono_ns;
}

/* what the allocator found by itself before the dump was taken */
static void read_panic(struct kmem_heap *kh)
{
	const void *raw = kmem_peek(kh, K_kmem_panic_info,
				    kh->names.sym[S_kmem_panic_info]);
	struct heap_health *h = &kh->heap->health;

	if (!raw || !kmem_get(kh, F_kmem_panic_info_kmp_timestamp, raw))
		return;
	h->has_panic = true;
	h->panic_of = (struct heap_panic){
		.buf = kmem_get(kh, F_kmem_panic_info_kmp_realbuf, raw),
		.cache = kmem_get(kh, F_kmem_panic_info_kmp_realcache, raw),
		.tid = (uint32_t)kmem_get(kh, F_kmem_panic_info_kmp_thread,
					  raw),
		.stack = (uint32_t)kmem_get(kh, F_kmem_panic_info_kmp_stack,
					    raw),
	};
	/* no buffer is there: what was to be freed */
	if (!h->panic_of.buf)
		h->panic_of.buf =
			kmem_get(kh, F_kmem_panic_info_kmp_buffer, raw);
	if (!kh->names.sym[S_kmem_error_buffer])
		return;
	err_free(target_read_str(kh->t, kh->names.sym[S_kmem_error_buffer],
				 8192, &h->panic));
}

struct err *kmem_open_named(struct heap *heap, struct kmem_names *names)
{
	struct kmem_heap *kh = mem_zalloc(sizeof(*kh));

	kh->heap = heap;
	hash_init(&kh->noted);
	hash_init(&kh->stacks);
	kh->t = heap->target;
	kh->types = heap->types;
	kh->names = *names;
	heap->priv = kh;
	for (size_t i = 0; i < target_nmaps(kh->t); i++) {
		const struct target_map *map = target_map(kh->t, i);

		kh->total_bytes += map->end - map->start;
	}
	struct err *err = read_numbers(kh);

	if (err)
		return err;
	if (kmem_global(kh, S_kmem_ready, 4) != KMEM_READY)
		return err_new(ERR_NOTFOUND, "libkmem was never initialised");
	kh->ncpus = (uint32_t)kmem_global(kh, S_kmem_max_ncpus, 4);
	if (kh->ncpus == 0 || kh->ncpus > NCPUS_MAX)
		return err_new(ERR_BADDATA, "kmem_max_ncpus is %u", kh->ncpus);
	kh->seg_bytes = kmem_global(kh, S_vmem_seg_size, 8);
	if (kh->seg_bytes > kh->names.struct_bytes[K_vmem_seg] ||
	    kh->seg_bytes < 8)
		return err_new(ERR_BADDATA, "vmem_seg_size is %" PRIu64,
			       kh->seg_bytes);
	kh->oversize = kmem_global(kh, S_kmem_oversize_arena, 8);
	uint64_t ctl_bytes = kmem_global(kh, S_kmem_bufctl_audit_size, 8);

	kh->is_bufctl_short =
		ctl_bytes != 0 &&
		ctl_bytes <= kh->names.row[F_kmem_bufctl_audit_bc_cache]
				     .offset_bytes;
	read_note(kh);
	read_panic(kh);
	return NULL;
}

static void kmem_close(struct heap *heap)
{
	struct kmem_heap *kh = heap->priv;

	if (!kh)
		return;
	for (size_t i = 0; i < kh->caches.n; i++) {
		mem_free(kh->caches.v[i].name);
		mem_free(kh->caches.v[i].thread_walker[0]);
		mem_free(kh->caches.v[i].thread_walker[1]);
		VEC_FREE(&kh->caches.v[i].in_threads);
	}
	for (size_t i = 0; i < kh->arenas.n; i++)
		mem_free(kh->arenas.v[i].name);
	for (size_t i = 0; i < K_MAX; i++)
		mem_free(kh->scratch[i]);
	VEC_FREE(&kh->caches);
	VEC_FREE(&kh->slabs);
	VEC_FREE(&kh->state);
	VEC_FREE(&kh->ctl);
	VEC_FREE(&kh->asked);
	VEC_FREE(&kh->arenas);
	VEC_FREE(&kh->bigs);
	VEC_FREE(&kh->numbers);
	VEC_FREE(&kh->findings);
	hash_fini(&kh->noted);
	hash_fini(&kh->stacks);
	kmem_logfile_close(kh->logfile);
	mem_free(kh->log_path);
	mem_free(kh->by_base);
	mem_free(kh->by_page);
	mem_free(kh->order);
	names_fini(&kh->names);
	mem_free(kh);
	heap->priv = NULL;
}

/* ---- answers --------------------------------------------------------- */

static struct err *kmem_caches(struct heap *heap, heap_cache_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	for (size_t i = 0; !err && i < kh->caches.n; i++)
		err = fn(arg, &kh->caches.v[i].pub);
	return err;
}

static struct err *kmem_slabs(struct heap *heap, taddr_t cache, bool partial,
			      heap_slab_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	const struct kmem_cache *kc = NULL;
	struct err *err = kmem_load_cache(kh, cache, &kc);

	if (err)
		return err;
	for (size_t i = 0; !err && i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];
		struct heap_slab pub = {
			.addr = s->addr,
			.cache = cache,
			.base = s->base,
			.nbufs = s->nbufs,
			.nused = s->nused,
			.is_complete = s->is_complete,
			.is_nomove = s->is_nomove,
		};

		if (s->is_dropped || (partial && s->is_complete))
			continue;
		err = fn(arg, &pub);
	}
	return err;
}

static struct err *kmem_cpu_caches(struct heap *heap, taddr_t cache,
				   heap_addr_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	const struct kmem_cache *kc = NULL;
	struct err *err = kmem_load_cache(kh, cache, &kc);

	for (uint32_t i = 0; !err && i < kh->ncpus; i++)
		err = fn(arg,
			 cache +
				 kh->names.row[F_kmem_cache_cache_cpu]
					 .offset_bytes +
				 i * kh->names.struct_bytes[K_kmem_cpu_cache]);
	return err;
}

static struct err *kmem_thread_bufs(struct heap *heap, taddr_t cache,
				    heap_addr_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	const struct kmem_cache *kc = NULL;
	struct err *err = kmem_load_cache(kh, cache, &kc);

	if (err)
		return err;
	for (size_t i = 0; !err && i < kc->in_threads.n; i++)
		err = fn(arg, kc->in_threads.v[i]);
	return err;
}

static void fill_buf(struct kmem_heap *kh, const struct kmem_slab *s, size_t i,
		     struct heap_buf *ret)
{
	const struct kmem_cache *kc = &kh->caches.v[s->cache];
	uint64_t link = kc->bufctl_off;

	*ret = (struct heap_buf){
		.addr = s->base + i * kc->chunk_bytes,
		.size_bytes = kc->pub.bufsize_bytes,
		.req_bytes = kc->pub.bufsize_bytes,
		.state = kh->state.v[s->first_state + i],
		.kind = BUF_IN_CACHE,
		.cache = kc->pub.addr,
		.slab = s->addr,
	};
	ret->ctl = s->first_ctl == NO_INDEX ? ret->addr + link
					    : kh->ctl.v[s->first_ctl + i];
	if (ret->state == BUF_ALLOCATED)
		ret->req_bytes = kmem_requested(kh, s, i);
}

static struct err *slab_bufs(struct kmem_heap *kh, const struct kmem_slab *s,
			     unsigned states, heap_buf_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < s->nbufs; i++) {
		struct heap_buf b;

		if (!(kh->state.v[s->first_state + i] & states))
			continue;
		fill_buf(kh, s, i, &b);
		err = fn(arg, &b);
	}
	return err;
}

static struct err *cache_bufs(struct kmem_heap *kh, const struct kmem_cache *kc,
			      unsigned states, heap_buf_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		if (!s->is_dropped)
			err = slab_bufs(kh, s, states, fn, arg);
		if (!err && (i & 0xff) == 0)
			err = interrupt_check();
	}
	return err;
}

struct err *kmem_doubtful_bufs(struct kmem_heap *kh,
			       const struct kmem_cache *kc, heap_buf_fn *fn,
			       void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		if (s->is_whole || s->is_dropped)
			continue;
		err = slab_bufs(kh, s, BUF_ANY, fn, arg);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

static void fill_big(const struct kmem_big *big, struct heap_buf *ret)
{
	*ret = (struct heap_buf){
		.addr = big->start,
		.size_bytes = big->end - big->start,
		.req_bytes = big->end - big->start,
		.state = BUF_ALLOCATED,
		.kind = BUF_OVERSIZE,
		.arena = big->arena,
		.ctl = big->seg,
	};
}

static struct err *kmem_bufs(struct heap *heap, taddr_t cache, unsigned states,
			     heap_buf_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	const struct kmem_cache *kc = NULL;
	struct err *err =
		cache ? kmem_load_cache(kh, cache, &kc) : kmem_load(kh);

	if (err)
		return err;
	if (kc)
		return cache_bufs(kh, kc, states, fn, arg);
	for (size_t i = 0; !err && i < kh->caches.n; i++)
		if (!kh->caches.v[i].pub.is_internal)
			err = cache_bufs(kh, &kh->caches.v[i], states, fn, arg);
	for (size_t i = 0; !err && (states & BUF_ALLOCATED) && i < kh->bigs.n;
	     i++) {
		struct heap_buf b;

		fill_big(&kh->bigs.v[i], &b);
		err = fn(arg, &b);
	}
	return err;
}

static bool big_at(const struct kmem_heap *kh, taddr_t addr,
		   struct heap_buf *ret)
{
	size_t lo = 0;
	size_t hi = kh->bigs.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (kh->bigs.v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == kh->bigs.n || addr < kh->bigs.v[lo].start)
		return false;
	fill_big(&kh->bigs.v[lo], ret);
	return true;
}

static bool kmem_buf_at(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	if (err) {
		err_free(err);
		return false;
	}
	const struct kmem_slab *s = kmem_slab_at(kh, addr);

	if (!s)
		return big_at(kh, addr, ret);
	const struct kmem_cache *kc = &kh->caches.v[s->cache];
	uint64_t i = (addr - s->base) / kc->chunk_bytes;

	/* what lies behind the object belongs to the allocator */
	if ((addr - s->base) % kc->chunk_bytes >= kc->pub.bufsize_bytes)
		return false;
	fill_buf(kh, s, i, ret);
	return true;
}

const struct heap_ops heap_kmem_ops = {
	.name = "libkmem",
	.probe = kmem_probe,
	.open = kmem_open,
	.close = kmem_close,
	.caches = kmem_caches,
	.slabs = kmem_slabs,
	.bufs = kmem_bufs,
	.nparts = kmem_nparts,
	.part = kmem_part,
	.part_max = kmem_part_max,
	.buf_at = kmem_buf_at,
	.arenas = kmem_arenas,
	.segments = kmem_segments,
	.segment_at = kmem_segment_at,
	.audit = kmem_audit_of,
	.audit_at = kmem_audit_at,
	.log = kmem_log,
	.coverage = kmem_coverage,
	.open_log = kmem_open_log,
	.cache_then = kmem_cache_then,
	.hash = kmem_hash,
	.stack = kmem_stack,
	.verify = kmem_verify,
	.own = kmem_own,
	.waiters = kmem_heap_waiters,
	.rmaps = kmem_rmaps,
	.rmap_free = kmem_rmap_free,
	.status = kmem_status,
	.cpu_caches = kmem_cpu_caches,
	.thread_bufs = kmem_thread_bufs,
	.mismatches = kmem_mismatches,
};
