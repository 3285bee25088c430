/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A module: a dcmd and a walker that pmdb does not have.
 *
 * It is compiled against an installed pmdb, with nothing but its header:
 *
 *	make -C dcmds/example
 *	> ::load dcmds/example/example.so
 *	> stock::walk words | ::pointers -n 4
 *	> stock::chain struct item next quantity
 */
#include <pmdb_mod.h>

/* ---- a walker -------------------------------------------------------- */

/* the words of the variable at an address, as many as its type has */
static struct err *walk_words(struct session *s, const struct walker *w,
			      bool has_addr, taddr_t addr, walk_fn *fn,
			      void *arg)
{
	struct symbol sym;
	uint64_t size = 8;
	struct err *err = NULL;

	(void)w;
	(void)has_addr; /* the table below says that there is one */
	if (types_symbol_at(session_types(s), addr, &sym) && sym.value == addr)
		size = sym.size;
	for (uint64_t off = 0; off + 8 <= size && !err; off += 8)
		err = fn(arg, addr + off);
	return err;
}

/* ---- a dcmd that prints rows ----------------------------------------- */

static const struct opt pointers_opts[] = {
	{'n', OPT_NUMBER, "words", "how many words are looked at"},
	{0},
};
static const struct column pointers_cols[] = {
	{"addr", "ADDR", CELL_ADDR, 16},
	{"value", "VALUE", CELL_ADDR, 16},
	{"where", "WHERE", CELL_SYM, 0},
};

/* words that are addresses of mapped memory, and where they lead */
static struct err *dcmd_pointers(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	uint64_t words = 1;
	void *const values[] = {&words};
	size_t first = 0;
	struct err *err = dcmd_options(call, pointers_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (err)
		return err;
	out_begin(call->out, pointers_cols, 3, NULL);
	for (uint64_t i = 0; i < words && !err; i++) {
		taddr_t addr = call->addr + i * 8;
		uint64_t value = 0;

		err = target_read_u64(t, addr, &value);
		if (err || !target_map_at(t, value))
			continue;
		out_addr(call->out, addr);
		out_addr(call->out, value);
		out_addr(call->out, value);
		out_end_row(call->out, value); /* what a pipe gets */
		err = interrupt_check();
	}
	out_end(call->out);
	return err;
}

/* ---- a dcmd that reads structures by the names of members ------------ */

static struct err *member(const struct type *type, const char *name,
			  struct type_member *ret)
{
	if (type_find_member(type, name, ret))
		return NULL;
	return err_new(ERR_NOTFOUND, "%s has no member %s", type_name(type),
		       name);
}

static struct err *read_member(struct session *s, taddr_t addr,
			       const struct type_member *m, uint64_t *ret)
{
	uint64_t size = type_info(m->type).size_bytes;

	*ret = 0;
	if (m->bit_size > 0 || size > sizeof(*ret))
		return err_new(ERR_NOSUP, "%s is no plain number", m->name);
	return target_read(session_target(s), addr + m->offset_bits / 8, ret,
			   size);
}

/* the number in each element of a list: addr::chain TYPE NEXT MEMBER */
static struct err *dcmd_chain(struct dcmd_call *call)
{
	const struct type *type = NULL;
	struct type_member next, value;
	uint64_t addr = 0;
	struct err *err = NULL;

	if (call->argc < 3)
		return err_new(ERR_USAGE, "a type and two members are needed");
	_free_ char *name = call->argc == 3
				    ? mem_strdup(call->argv[0].str)
				    : mem_printf("%s %s", call->argv[0].str,
						 call->argv[1].str);

	err = types_lookup(session_types(call->s), NULL, name, &type);
	if (!err)
		err = member(type, call->argv[call->argc - 2].str, &next);
	if (!err)
		err = member(type, call->argv[call->argc - 1].str, &value);
	if (!err)
		err = target_read_u64(session_target(call->s), call->addr,
				      &addr);
	for (unsigned i = 0; !err && addr != 0 && i < 10; i++) {
		uint64_t n = 0;

		err = read_member(call->s, addr, &value, &n);
		if (!err)
			out_text(call->out, "%s%" PRIu64, i ? " -> " : "", n);
		if (!err)
			err = read_member(call->s, addr, &next, &addr);
	}
	out_text(call->out, addr ? " ...\n" : "\n");
	return err;
}

/* ---- the module ------------------------------------------------------ */

static const struct dcmd dcmds[] = {
	{.name = "pointers",
	 .addr = ADDR_REQUIRED,
	 .opts = pointers_opts,
	 .usage = "",
	 .brief = "words that are pointers, and where they lead",
	 .help = "ADDR is that of the word, VALUE the pointer, WHERE its name.",
	 .run = dcmd_pointers},
	{.name = "chain",
	 .addr = ADDR_REQUIRED,
	 .usage = "type next member",
	 .brief = "a number in each element of a list",
	 .help = "The address is that of the pointer to the first element.",
	 .run = dcmd_chain},
	{0},
};
static const struct walker walkers[] = {
	{.name = "words",
	 .brief = "words of the variable at an address",
	 .addr = ADDR_REQUIRED,
	 .run = walk_words},
	{0},
};

const struct module pmdb_module = {
	.api_version = PMDB_API_VERSION,
	.dcmds = dcmds,
	.walkers = walkers,
};
