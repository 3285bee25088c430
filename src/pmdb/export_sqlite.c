/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A dump as an SQLite database, for questions nobody foresaw: caches, arenas,
 * buffers, stacks, edges and transactions.  Addresses are integers, which SQLite
 * has 64 signed bits for: printf('%x', addr) shows them.  The tables are
 * described in doc/export.md.
 */
#include "pmdb/export_impl.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"

static const char schema[] =
	"PRAGMA journal_mode = OFF;"
	"PRAGMA synchronous = OFF;"
	"BEGIN;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE caches(addr INTEGER PRIMARY KEY, name TEXT, "
	"bufsize_bytes INTEGER, chunk_bytes INTEGER, slab_bytes INTEGER, "
	"arena INTEGER, is_internal INTEGER, has_audit INTEGER, "
	"buffers INTEGER, allocations INTEGER, failures INTEGER);"
	"CREATE TABLE arenas(addr INTEGER PRIMARY KEY, name TEXT, "
	"source INTEGER, inuse_bytes INTEGER, total_bytes INTEGER, "
	"allocations INTEGER, failures INTEGER, is_identifier INTEGER);"
	"CREATE TABLE buffers(addr INTEGER PRIMARY KEY, size_bytes INTEGER, "
	"asked_bytes INTEGER, state TEXT, verdict TEXT, cache INTEGER, "
	"arena INTEGER, slab INTEGER, stack INTEGER, thread INTEGER, "
	"timestamp_ns INTEGER, kind TEXT);"
	"CREATE TABLE stacks(id INTEGER PRIMARY KEY, depth INTEGER, "
	"folded TEXT);"
	"CREATE TABLE frames(stack INTEGER, depth INTEGER, pc INTEGER, "
	"function TEXT, object TEXT, file TEXT, line INTEGER);"
	"CREATE TABLE edges(holder INTEGER, at INTEGER, root TEXT, "
	"thread INTEGER, target INTEGER, offset INTEGER);"
	"CREATE TABLE transactions(timestamp_ns INTEGER, what TEXT, "
	"kind TEXT, buffer INTEGER, cache INTEGER, thread INTEGER, "
	"stack INTEGER);"
	"CREATE TABLE findings(addr INTEGER, cache INTEGER, at INTEGER, "
	"text TEXT);";

/* made when the tables are full: that is faster */
static const char indexes[] =
	"CREATE INDEX buffers_cache ON buffers(cache);"
	"CREATE INDEX buffers_stack ON buffers(stack);"
	"CREATE INDEX frames_stack ON frames(stack);"
	"CREATE INDEX edges_target ON edges(target);"
	"CREATE INDEX edges_holder ON edges(holder);"
	"CREATE INDEX transactions_buffer ON transactions(buffer);"
	"COMMIT;";

struct db {
	const struct export *e;
	sqlite3 *db;
	sqlite3_stmt *insert; /* into the table at hand */
	struct hash stacks;   /* heap's id -> 1 */
	uint64_t nseen;
};

static struct err *db_error(const struct db *d)
{
	return err_new(ERR_IO, "%s", sqlite3_errmsg(d->db));
}

static struct err *run(struct db *d, const char *sql)
{
	return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? NULL
		       : db_error(d);
}

static struct err *begin(struct db *d, const char *sql)
{
	sqlite3_finalize(d->insert);
	d->insert = NULL;
	return sqlite3_prepare_v2(d->db, sql, -1, &d->insert, NULL) == SQLITE_OK
		       ? NULL
		       : db_error(d);
}

/* what a value of a row is */
#define DB_INT   'i' /* uint64_t */
#define DB_TEXT  's' /* const char *; NULL is NULL */
#define DB_ADDR  'a' /* uint64_t; 0 is NULL */
#define DB_KNOWN 'k' /* uint64_t; HEAP_NOT_KNOWN is NULL */

/* inserts a row; types has a letter for each value */
static struct err *insert(struct db *d, const char *types, ...)
{
	struct err *err = NULL;
	va_list ap;

	va_start(ap, types);
	for (int i = 1; types[i - 1]; i++) {
		if (types[i - 1] == DB_TEXT) {
			sqlite3_bind_text(d->insert, i,
					  va_arg(ap, const char *), -1,
					  SQLITE_TRANSIENT);
			continue;
		}
		uint64_t n = va_arg(ap, uint64_t);

		if ((types[i - 1] == DB_ADDR && !n) ||
		    (types[i - 1] == DB_KNOWN && n == HEAP_NOT_KNOWN))
			sqlite3_bind_null(d->insert, i);
		else
			sqlite3_bind_int64(d->insert, i, (sqlite3_int64)n);
	}
	va_end(ap);
	if (sqlite3_step(d->insert) != SQLITE_DONE)
		err = db_error(d);
	sqlite3_reset(d->insert);
	if (!err && (++d->nseen & 0xfff) == 0)
		err = interrupt_check();
	progress_set("writing", d->nseen, 0);
	return err;
}

/* ---- the tables ------------------------------------------------------ */

static struct err *put_meta(struct db *d)
{
	const struct export *e = d->e;
	const struct target_info *info = target_info(e->target);
	struct err *err = begin(d, "INSERT INTO meta VALUES(?, ?)");

	if (!err)
		err = insert(d, "ss", "dump", e->path);
	if (!err)
		err = insert(d, "ss", "program", info->fname);
	if (!err)
		err = insert(d, "ss", "arguments", info->psargs);
	if (!err)
		err = insert(d, "si", "pid", (uint64_t)info->pid);
	if (!err)
		err = insert(d, "ss", "heap", e->heap->ops->name);
	if (!err)
		err = insert(d, "ss", "incomplete", info->incomplete);
	if (!err)
		err = insert(d, "ss", "no_verdict", e->leaks->inconclusive);
	if (!err)
		err = insert(d, "sa", "wall_ns", info->snap_wall_ns);
	if (!err)
		err = insert(d, "sa", "now_ns", e->heap->health.now_ns);
	return err;
}

static struct err *put_cache(void *arg, const struct heap_cache *c)
{
	return insert(arg, "isiiiaiiikk", c->addr, c->name, c->bufsize_bytes,
		      c->chunk_bytes, c->slab_bytes, c->arena,
		      (uint64_t)c->is_internal, (uint64_t)c->has_audit,
		      c->buftotal, c->nalloc, c->nalloc_fail);
}

static struct err *put_arena(void *arg, const struct heap_arena *a)
{
	return insert(arg, "isaiikki", a->addr, a->name, a->source,
		      a->inuse_bytes, a->total_bytes, a->nalloc, a->nfail,
		      (uint64_t)a->is_identifier);
}

static const char *verdict_of(const struct db *d, const struct heap_buf *b)
{
	static const char *const names[] = {
		[MARK_NONE] = "leaked",       [MARK_PAST] = "past",
		[MARK_INTERIOR] = "interior", [MARK_REACHABLE] = "reachable",
		[MARK_INDIRECT] = "indirect",
	};
	size_t i = b->state == BUF_ALLOCATED
			   ? bufset_find(d->e->leaks->set, b->addr)
			   : BUFSET_NONE;

	return i == BUFSET_NONE ? NULL : names[d->e->leaks->set->mark[i]];
}

static const char *state_of(enum buf_state state)
{
	static const struct {
		enum buf_state state;
		const char *name;
	} names[] = {
		{BUF_ALLOCATED, "allocated"}, {BUF_FREE_SLAB, "free"},
		{BUF_FREE_MAG, "magazine"},   {BUF_FREE_DEPOT, "depot"},
		{BUF_TRANSIT, "transit"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].state == state)
			return names[i].name;
	return NULL;
}

static struct err *put_buf(void *arg, const struct heap_buf *b)
{
	struct db *d = arg;
	struct heap *heap = d->e->heap;
	struct heap_audit a = {0};

	if (heap->ops->audit && heap->ops->audit(heap, b, &a) && a.stack)
		*hash_put(&d->stacks, a.stack, NULL) = 1;
	return insert(d, "iiissaaaaaas", b->addr, b->size_bytes, b->req_bytes,
		      state_of(b->state), verdict_of(d, b), b->cache, b->arena,
		      b->slab, (uint64_t)a.stack, (uint64_t)a.tid, a.stamp_ns,
		      a.kind);
}

static const char *what_of(enum heap_what what)
{
	static const char *const names[] = {
		[HEAP_NOTHING] = NULL, [HEAP_ALLOC] = "alloc",
		[HEAP_FREE] = "free",  [HEAP_FAIL] = "fail",
		[HEAP_SLAB] = "slab",
	};

	return names[what];
}

static struct err *put_transaction(void *arg, const struct heap_audit *a)
{
	struct db *d = arg;

	if (a->stack)
		*hash_put(&d->stacks, a->stack, NULL) = 1;
	return insert(d, "issaaia", a->stamp_ns, what_of(a->what), a->kind,
		      a->buf, a->cache, (uint64_t)a->tid, (uint64_t)a->stack);
}

static struct err *put_transactions(struct db *d)
{
	struct heap *heap = d->e->heap;
	struct err *err = NULL;

	if (heap->ops->log)
		err = heap->ops->log(heap, HEAP_LOG_TRANSACTION, 0,
				     put_transaction, d);
	if (err_is(err, ERR_NOTFOUND)) { /* there is none */
		err_free(err);
		err = NULL;
	}
	return err;
}

static struct err *put_finding(void *arg, const struct heap_finding *f)
{
	return insert(arg, "aaas", f->addr, f->cache, f->at, f->text);
}

static struct err *put_edge(void *arg, const struct ref *r)
{
	static const char *const roots[] = {
		[ROOT_REGISTER] = "register", [ROOT_STACK] = "stack",
		[ROOT_DATA] = "data",         [ROOT_TLS] = "tls",
		[ROOT_ANON] = "anon",
	};
	struct db *d = arg;
	const struct bufset *set = d->e->leaks->set;
	size_t i = bufset_find(set, r->value);
	struct heap_buf to, from = {0};

	if (i == BUFSET_NONE)
		return NULL;
	bufset_get(d->e->heap, set, i, &to);
	if (!r->root)
		bufset_get(d->e->heap, set, r->buf, &from);
	return insert(d, "aasaii", from.addr, r->at,
		      r->root ? roots[r->root->kind] : NULL,
		      (uint64_t)(r->root ? r->root->tid : 0), to.addr,
		      r->value - to.addr);
}

static struct err *put_edges(struct db *d)
{
	/* of all memory: what points at no buffer is passed over */
	return refs_scan(d->e->leaks, d->e->target, 0, UINT64_MAX, put_edge, d);
}

/* the heap's stacks that something of the tables is from */
static struct err *put_stacks(struct db *d, bool is_frames)
{
	struct types *types = d->e->types;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < d->stacks.cap; i++) {
		struct heap_stack s;

		if (!d->stacks.used[i])
			continue;
		uint64_t id = d->stacks.keys[i];

		heap_stack_of(d->e->heap, (uint32_t)id, &s);
		if (!is_frames) {
			_free_ char *folded =
				types_folded(types, s.pc, s.depth);

			err = insert(d, "iis", id, (uint64_t)s.depth, folded);
			continue;
		}
		for (unsigned j = 0; !err && j < s.depth; j++) {
			const struct object *o =
				types_object_at(types, s.pc[j] - 1);
			const char *file = NULL;
			int line = 0;
			_free_ char *name =
				types_function_name(types, s.pc[j] - 1);

			(void)types_source_line(types, s.pc[j] - 1, &file,
						&line);
			err = insert(d, "iiisssa", id, (uint64_t)j, s.pc[j],
				     name, o ? o->path : NULL, file,
				     (uint64_t)(line > 0 ? line : 0));
		}
	}
	return err;
}

static struct err *put_all(struct db *d)
{
	struct heap *heap = d->e->heap;
	struct err *err = run(d, schema);

	if (!err)
		err = put_meta(d);
	if (!err)
		err = begin(d, "INSERT INTO caches VALUES"
			       "(?,?,?,?,?,?,?,?,?,?,?)");
	if (!err)
		err = heap->ops->caches(heap, put_cache, d);
	if (!err)
		err = begin(d, "INSERT INTO arenas VALUES(?,?,?,?,?,?,?,?)");
	if (!err && heap->ops->arenas)
		err = heap->ops->arenas(heap, put_arena, d);
	if (!err)
		err = begin(d, "INSERT OR IGNORE INTO buffers VALUES"
			       "(?,?,?,?,?,?,?,?,?,?,?,?)");
	if (!err)
		err = heap->ops->bufs(heap, 0, BUF_ANY, put_buf, d);
	if (!err)
		err = begin(d, "INSERT INTO transactions VALUES"
			       "(?,?,?,?,?,?,?)");
	if (!err)
		err = put_transactions(d);
	if (!err)
		err = begin(d, "INSERT INTO edges VALUES(?,?,?,?,?,?)");
	if (!err)
		err = put_edges(d);
	if (!err)
		err = begin(d, "INSERT INTO findings VALUES(?,?,?,?)");
	if (!err && heap->ops->verify)
		err = heap->ops->verify(heap, 0, put_finding, d);
	if (!err)
		err = begin(d, "INSERT INTO stacks VALUES(?,?,?)");
	if (!err)
		err = put_stacks(d, false);
	if (!err)
		err = begin(d, "INSERT INTO frames VALUES(?,?,?,?,?,?,?)");
	if (!err)
		err = put_stacks(d, true);
	return err ? err : run(d, indexes);
}

struct err *export_sqlite(const struct export *e, const char *path)
{
	struct db d = {.e = e};
	struct err *err = NULL;

	hash_init(&d.stacks);
	if (sqlite3_open(path, &d.db) != SQLITE_OK)
		err = db_error(&d);
	if (!err)
		err = put_all(&d);
	sqlite3_finalize(d.insert);
	/* what was written is known to be only now */
	if (sqlite3_close(d.db) != SQLITE_OK && !err)
		err = err_new(ERR_IO, "the database cannot be closed");
	hash_fini(&d.stacks);
	return err;
}
