/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts about types, and lists and arrays of them. */
#include "place.h"

/* a number in the default radix, as mdb hands addresses on */
static void put_address(struct dcmd_call *call, taddr_t addr)
{
	static const char digits[] = "0123456789abcdef";
	unsigned radix = (unsigned)session_radix(call->s);
	char buf[66];
	size_t i = sizeof(buf) - 1;

	if (out_is_pipe(call->out) || out_is_json(call->out)) {
		out_value(call->out, addr);
		return;
	}
	buf[i] = '\0';
	do {
		buf[--i] = digits[addr % radix];
		addr /= radix;
	} while (addr > 0);
	out_text(call->out, "%s\n", buf + i);
}

/* ---- ::sizeof, ::offsetof -------------------------------------------- */

static const struct column sizeof_cols[] = {
	{"type", NULL, CELL_TEXT, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},
};
static const struct column offsetof_cols[] = {
	{"type", NULL, CELL_TEXT, 0},
	{"member", NULL, CELL_TEXT, 0},
	{"offset_bits", NULL, CELL_COUNT, 0},
	{"size_bits", NULL, CELL_COUNT, 0},
};

static struct err *dcmd_sizeof(struct dcmd_call *call)
{
	const struct type *type = NULL;
	size_t first = 0;
	_free_ char *name = NULL;
	_free_ char *size = NULL;
	uint64_t n = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "a type is needed");
	name = type_words(call, &first);
	if (first < call->argc)
		return err_new(ERR_USAGE, "only one type may be given");
	err = lookup_type(call->s, name, &type);
	if (err)
		return err;
	n = type_info(type).size_bytes;
	size = number_text(n);
	if (!out_is_json(call->out) && !out_is_pipe(call->out)) {
		out_text(call->out, "sizeof (%s) = %s\n", name, size);
		return NULL;
	}
	out_begin(call->out, sizeof_cols, 2, "");
	out_str(call->out, name);
	out_u64(call->out, n);
	out_end_row(call->out, n);
	out_end(call->out);
	return NULL;
}

/* a member named without addresses: "a.b[2]" */
static struct err *member_named(struct dcmd_call *call, const struct type *type,
				const char *member, struct place *ret)
{
	const struct place_env env = {.s = call->s, .o = call->out};

	*ret = (struct place){.type = type};
	return place_follow(&env, ret, member);
}

static void put_offset(struct dcmd_call *call, const char *name,
		       const char *member, const struct place *pl)
{
	bool is_bits = pl->bit_size;
	uint64_t size = is_bits ? pl->bit_size : type_info(pl->type).size_bytes;
	uint64_t off = is_bits ? pl->addr * 8 + pl->bit : pl->addr;
	_free_ char *off_text = number_text(off);
	_free_ char *size_text = number_text(size);

	if (!out_is_json(call->out) && !out_is_pipe(call->out)) {
		const char *unit = is_bits ? " bits" : "";

		out_text(call->out,
			 "offsetof (%s, %s) = %s%s, sizeof (...->%s) = %s%s\n",
			 name, member, off_text, unit, member, size_text, unit);
		return;
	}
	out_begin(call->out, offsetof_cols, 4, "");
	out_str(call->out, name);
	out_str(call->out, member);
	out_u64(call->out, is_bits ? off : off * 8);
	out_u64(call->out, is_bits ? size : size * 8);
	out_end_row(call->out, off);
	out_end(call->out);
}

static struct err *dcmd_offsetof(struct dcmd_call *call)
{
	const struct type *type = NULL;
	const char *member = NULL;
	_free_ char *name = NULL;
	struct place pl;
	size_t first = 0;
	struct err *err = NULL;

	if (call->argc < 2)
		return err_new(ERR_USAGE, "a type and a member are needed");
	name = type_words(call, &first);
	if (first + 1 != call->argc)
		return err_new(ERR_USAGE, "a type and a member are needed");
	member = call->argv[first].str;
	err = lookup_type(call->s, name, &type);
	if (!err)
		err = member_named(call, type, member, &pl);
	if (!err)
		put_offset(call, name, member, &pl);
	return err;
}

/* ---- ::list, ::array ------------------------------------------------- */

static struct err *list_offset(struct dcmd_call *call, uint64_t *ret,
			       const char **ret_var)
{
	const struct type *type = NULL;
	_free_ char *name = NULL;
	struct place pl;
	size_t first = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "a type and a member are needed");
	if (call->argv[0].type == ARG_NUMBER) {
		*ret = call->argv[0].num;
		first = 1;
	} else {
		name = type_words(call, &first);
		if (first == call->argc)
			return err_new(ERR_USAGE, "a member is needed");
		err = lookup_type(call->s, name, &type);
		if (!err)
			err = member_named(call, type, call->argv[first].str,
					   &pl);
		if (err)
			return err;
		first++;
		*ret = pl.addr;
		if (pl.bit_size)
			*ret = 1; /* not aligned */
	}
	if (*ret % 8)
		return err_new(ERR_NOTFOUND, "%s is not a word-aligned member",
			       call->argv[first - 1].str);
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one variable may be given");
	*ret_var = call->argc > first ? call->argv[first].str : NULL;
	return NULL;
}

static struct err *dcmd_list(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	const char *var = NULL;
	uint64_t off = 0;
	taddr_t addr = call->addr;
	struct hash seen;
	struct err *err = list_offset(call, &off, &var);

	hash_init(&seen);
	while (!err && addr != 0) {
		bool is_new = false;

		(void)hash_put(&seen, addr, &is_new);
		if (!is_new && addr != call->addr)
			err = err_new(ERR_BADDATA,
				      "the list loops back to 0x%" PRIx64
				      ", which is not its start",
				      addr);
		if (!is_new)
			break;
		if (var)
			err = session_bind_var(call->s, var, addr);
		if (err)
			break;
		put_address(call, addr);
		err = target_read_u64(t, addr + off, &addr);
		if (!err)
			err = interrupt_check();
	}
	hash_fini(&seen);
	return err;
}

/* element type, count and variable of ::array */
static struct err *array_args(struct dcmd_call *call, const struct type **elem,
			      uint64_t *n, const char **var)
{
	size_t first = 0;
	_free_ char *name = NULL;
	struct type_info ti;
	struct err *err = NULL;

	if (call->argc >= 2) {
		name = type_words(call, &first);
		if (first == call->argc || call->argc > first + 2)
			return err_new(ERR_USAGE,
				       "a type and a count are needed");
		if (call->argc == first + 2)
			*var = call->argv[first + 1].str;
		err = lookup_type(call->s, name, elem);
		if (!err && call->argv[first].type == ARG_NUMBER)
			*n = call->argv[first].num;
		else if (!err)
			err = session_eval_expr(call->s, call->argv[first].str,
						n);
		return err;
	}
	if (call->argc == 1)
		*var = call->argv[0].str;
	err = type_at(call->s, call->addr, elem);
	if (err)
		return err;
	ti = type_info(*elem);
	if (ti.kind != TYPE_ARRAY || !ti.elem)
		return err_new(ERR_NOTFOUND,
			       "no symbol information for 0x%" PRIx64
			       ": %s is no array",
			       call->addr, type_name(*elem));
	*elem = ti.elem;
	*n = ti.nelems;
	return NULL;
}

static struct err *dcmd_array(struct dcmd_call *call)
{
	const struct type *elem = NULL;
	const char *var = NULL;
	uint64_t n = 0;
	uint64_t size = 0;
	struct err *err = array_args(call, &elem, &n, &var);

	if (!err)
		size = type_info(elem).size_bytes;
	if (!err && size == 0)
		err = err_new(ERR_NOTFOUND, "%s has no size", type_name(elem));
	for (uint64_t i = 0; !err && i < n; i++) {
		taddr_t addr = call->addr + i * size;

		if (var)
			err = session_bind_var(call->s, var, addr);
		if (!err) {
			put_address(call, addr);
			err = interrupt_check();
		}
	}
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "sizeof",
	 .usage = "type",
	 .brief = "size of a type, bytes",
	 .run = dcmd_sizeof},
	{.name = "offsetof",
	 .usage = "type member",
	 .brief = "offset and size of a member, bytes",
	 .run = dcmd_offsetof},
	{.name = "list",
	 .addr = ADDR_OPTIONAL,
	 .usage = "type member [variable] | $[offset] [variable]",
	 .brief = "addresses of a linked list",
	 .run = dcmd_list},
	{.name = "array",
	 .addr = ADDR_REQUIRED,
	 .usage = "[type count] [variable]",
	 .brief = "addresses of an array's elements",
	 .run = dcmd_array},
	{0},
};

const struct group group_types = {.name = "types", .dcmds = dcmds};
