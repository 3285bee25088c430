/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where in the source a finding is, and what it is called in one line. */
#include "pmdb/check_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char *check_kind_name(enum item_kind kind)
{
	static const char *const names[] = {
		[ITEM_PANIC] = "panic",       [ITEM_DAMAGE] = "corruption",
		[ITEM_MISMATCH] = "mismatch", [ITEM_LEAK] = "leak",
		[ITEM_INDIRECT] = "indirect", [ITEM_POSSIBLE] = "possible",
	};

	return names[kind];
}

/* "./a//b/../c" is "a/c"; what climbs out keeps its dots */
static char *normal(const char *path)
{
	struct strbuf sb = {0};
	size_t floor = 0; /* what "..", may not take away */

	if (*path == '/') {
		strbuf_putc(&sb, '/');
		floor = 1;
	}
	while (*path) {
		size_t n = strcspn(path, "/");
		bool is_up = n == 2 && memcmp(path, "..", 2) == 0;

		if (is_up && sb.n > floor) {
			while (sb.n > floor && sb.s[sb.n - 1] != '/')
				sb.n--;
			if (sb.n > floor)
				sb.n--;
			sb.s[sb.n] = '\0';
		} else if (n > 0 && !(n == 1 && *path == '.') &&
			   !(is_up && floor == 1)) {
			if (sb.n > 0 && sb.s[sb.n - 1] != '/')
				strbuf_putc(&sb, '/');
			strbuf_add(&sb, path, n);
			if (is_up)
				floor = sb.n;
		}
		path += n + (path[n] == '/');
	}
	return sb.s ? sb.s : mem_strdup("");
}

struct err *check_set_root(struct check *check, const char *dir)
{
	static const char *const services[] = {"GITHUB_WORKSPACE",
					       "CI_PROJECT_DIR"};
	char path[PATH_MAX];

	check->has_root = dir;
	for (size_t i = 0; !dir && i < 2; i++) {
		dir = getenv(services[i]);
		if (dir && !*dir)
			dir = NULL;
	}
	char *root = realpath(dir ? dir : ".", path) ? mem_strdup(path)
		     : dir && *dir == '/' ? normal(dir)
					  : NULL;

	/* what was built elsewhere has a root that is not here */
	if (!root && check->has_root)
		return err_new(ERR_IO, "%s: %s", dir, strerror(errno));
	mem_free(check->root);
	check->root = root;
	if (root && strcmp(root, "/") == 0)
		*root = '\0';
	return NULL;
}

/* a library of the system: of its files, relative names are not ours */
static bool is_system(const struct check_frame *f)
{
	static const char *const places[] = {"/lib/", "/lib64/", "/usr/lib/",
					     "/usr/lib64/"};

	for (size_t i = 0; f->object && i < sizeof(places) / sizeof(*places);
	     i++)
		if (strncmp(f->object, places[i], strlen(places[i])) == 0)
			return true;
	return false;
}

void check_place(const struct check *check, const char *dir,
		 struct check_frame *f)
{
	size_t n = check->root ? strlen(check->root) : 0;
	_free_ char *whole = NULL;

	f->is_system = is_system(f);
	if (!f->file)
		return;
	if (f->file[0] != '/' && dir && dir[0] == '/')
		whole = mem_printf("%s/%s", dir, f->file);
	f->path = normal(whole ? whole : f->file);
	if (check->root && strncmp(f->path, check->root, n) == 0 &&
	    f->path[n] == '/' && f->path[n + 1])
		memmove(f->path, f->path + n + 1, strlen(f->path + n + 1) + 1);
	f->is_inside = f->path[0] != '/' && strncmp(f->path, "../", 3) != 0 &&
		       !f->is_own && (f->file[0] == '/' || !f->is_system);
}

const struct check_frame *check_where(const struct item *item)
{
	const struct check_stack *s = &item->stack;
	const struct check_frame *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct check_frame *f = s->v[i];

		if (f->is_own)
			continue;
		if (f->is_inside)
			return f;
		if (!best || (best->is_system && !f->is_system))
			best = f;
	}
	return best;
}

void check_frame_words(const struct check_frame *f, struct strbuf *sb)
{
	if (f->function) {
		strbuf_puts(sb, f->function);
	} else if (f->object) {
		const char *slash = strrchr(f->object, '/');

		strbuf_printf(sb, "%s+0x%" PRIx64,
			      slash ? slash + 1 : f->object, f->offset);
	} else {
		strbuf_printf(sb, "0x%" PRIx64, f->pc);
	}
	if (f->path)
		strbuf_printf(sb, " %s:%d", f->path, f->line);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void buffers_words(const struct item *item, struct strbuf *sb)
{
	const char *how = item->kind == ITEM_POSSIBLE ? "possibly leaked"
			  : item->kind == ITEM_LEAK   ? "leaked"
						      : "leaked indirectly";

	strbuf_printf(sb, "%" PRIu64 " byte%s %s in %" PRIu64 " buffer%s",
		      item->bytes, plural(item->bytes), how, item->nbufs,
		      plural(item->nbufs));
	if (item->type)
		strbuf_printf(sb, " of %s", item->type);
	else if (item->cache)
		strbuf_printf(sb, " of %s", item->cache);
	if (!item->type && item->shape)
		strbuf_printf(sb, " %s", item->shape);
}

void check_item_words(const struct item *item, struct strbuf *sb)
{
	switch (item->kind) {
	case ITEM_PANIC:
		strbuf_puts(sb, "heap corruption, reported by the allocator");
		if (*item->text)
			strbuf_printf(sb, ": %.*s",
				      (int)strcspn(item->text, "\n"),
				      item->text);
		break;
	case ITEM_DAMAGE:
		strbuf_puts(sb, "heap corruption");
		if (item->cache && !item->is_structure)
			strbuf_printf(sb, " in %s", item->cache);
		strbuf_printf(sb, ": %s", item->text);
		break;
	case ITEM_MISMATCH:
		strbuf_printf(sb,
			      "mismatched free: allocated by %s, freed by %s",
			      item->call, item->freed_by);
		break;
	case ITEM_LEAK:
	case ITEM_INDIRECT:
	case ITEM_POSSIBLE:
		buffers_words(item, sb);
		break;
	}
}
