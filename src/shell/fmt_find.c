/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The formats of "/" that take values: searching and writing.
 *
 * A search looks at every aligned step from dot on until a word matches or the
 * memory ends.  What lies in the core is looked at in place: a search over
 * gigabytes costs one comparison a word.
 */
#include "shell/fmt_impl.h"

static struct err *arg_value(struct session *s, const struct word *w,
			     uint64_t *ret)
{
	if (w->expr)
		return eval_expr(s, w->expr, ret);
	return session_eval_expr(s, w->text, ret);
}

struct needle {
	uint64_t want, mask;
	size_t size;
};

/* looks through the run of bytes that begins at f->dot; true: found */
static bool search_run(struct fmt *f, const struct needle *n,
		       const unsigned char *bytes, size_t len)
{
	size_t i = 0;

	for (; i + n->size <= len && !interrupt_flag; i += n->size) {
		uint64_t word = 0;

		memcpy(&word, bytes + i, n->size);
		if ((word & n->mask) == n->want) {
			f->dot += i;
			return true;
		}
	}
	f->dot += i;
	return false;
}

/* ERR_FAULT: the memory ends at f->dot */
static struct err *find(struct fmt *f, const struct needle *n)
{
	for (;;) {
		struct err *err = interrupt_check();
		const void *bytes = NULL;
		uint64_t word = 0;
		size_t len = 0;

		if (err)
			return err;
		if (f->verb == '/')
			bytes = target_peek(f->s->target, f->dot, &len);
		if (bytes && len >= n->size) {
			if (search_run(f, n, bytes, len))
				return NULL;
			continue;
		}
		err = fmt_read(f, &word, n->size);
		if (err || (word & n->mask) == n->want)
			return err;
		f->dot += n->size;
	}
}

struct err *fmt_search(struct fmt *f, const struct stage *st,
		       const struct format *row)
{
	struct needle n = {.mask = UINT64_MAX, .size = row->size_bytes};
	struct err *err = NULL;

	session_stop_loop(f->s);
	if (st->args.n == 0)
		return err_new(ERR_NOTFOUND, "expected value following %c",
			       row->c);
	if (st->args.n > 2)
		return err_new(ERR_NOTFOUND,
			       "only value and mask may follow %c", row->c);
	err = arg_value(f->s, &st->args.v[0], &n.want);
	if (!err && st->args.n == 2)
		err = arg_value(f->s, &st->args.v[1], &n.mask);
	if (!err)
		err = find(f, &n);
	f->s->dot = f->dot;
	if (err_is(err, ERR_FAULT)) {
		err_free(err); /* the end of what is there: no match */
		return NULL;
	}
	if (err)
		return err;
	if (out_is_pipe(f->o) || out_is_json(f->o)) {
		out_value(f->o, f->dot);
	} else {
		_free_ char *name = fmt_name(f, f->dot);

		out_text(f->o, "%s\n", name);
	}
	return NULL;
}

/* "z": what the symbol at dot is; 0: unknown */
static struct err *size_of_symbol(struct fmt *f, unsigned *ret)
{
	const struct type *type = NULL;
	struct symbol sym;
	struct err *err = NULL;

	if (f->s->types && types_symbol_at(f->s->types, f->dot, &sym) &&
	    sym.value == f->dot)
		err = types_of_symbol(f->s->types, &sym, &type);
	if (err || !type) {
		err_free(err);
		return err_new(ERR_NOTFOUND,
			       "no type data found at this address");
	}
	*ret = (unsigned)type_info(type).size_bytes;
	return NULL;
}

struct err *fmt_write(struct fmt *f, const struct stage *st,
		      const struct format *row)
{
	uint64_t value = 0;
	unsigned size = row->size_bytes;
	struct err *err = NULL;

	session_stop_loop(f->s);
	if (st->args.n == 0)
		return err_new(ERR_NOTFOUND,
			       "expected value to write following %c", row->c);
	err = arg_value(f->s, &st->args.v[0], &value);
	if (!err && size == 0)
		err = size_of_symbol(f, &size);
	if (err)
		return err;
	if (size < 8)
		value &= (1ull << (size * 8)) - 1;
	return err_new(ERR_NOSUP,
		       "failed to write 0x%" PRIx64 " at address 0x%" PRIx64
		       ": target is not open for writing",
		       value, f->dot);
}
