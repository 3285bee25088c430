/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walkers of data structures that many programs have.  All are bounded: what is
 * in a dump may be anything.
 */
#include "pmdb_mod.h"

enum {
	NODES_MAX = 1 << 26,
	TREE_DEPTH_MAX = 128,
};

static struct err *read_word(struct session *s, taddr_t addr, uint64_t *ret)
{
	return target_read_u64(session_target(s), addr, ret);
}

/* ---- list ------------------------------------------------------------ */

/* elements that begin with the pointer to the next: until NULL, or back at the
 * first */
static struct err *walk_list(struct session *s, const struct walker *w,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct hash seen;
	taddr_t at = addr;
	struct err *err = NULL;

	(void)w;
	(void)has_addr; /* it is required */
	hash_init(&seen);
	while (!err && at != 0) {
		bool is_new = false;
		uint64_t next = 0;

		(void)hash_put(&seen, at, &is_new);
		if (!is_new && at != addr)
			err = err_new(ERR_BADDATA,
				      "the list loops back to 0x%" PRIx64
				      ", which is not its start",
				      at);
		if (!is_new)
			break;
		err = read_word(s, at, &next);
		if (!err)
			err = fn(arg, at);
		at = next;
	}
	hash_fini(&seen);
	return err;
}

/* ---- trees ----------------------------------------------------------- */

/* how the nodes of a kind of tree are laid out */
struct tree_kind {
	unsigned left, right; /* offsets of the children */
	uint64_t mask;        /* bits of a child's address */
};

struct tree {
	struct session *s;
	const struct tree_kind *kind;
	uint64_t back; /* from a node to what is handed on */
	bool is_value; /* what is handed on is in the node's first word */
	uint64_t n;
	walk_fn *fn;
	void *arg;
};

/* in order */
static struct err *walk_nodes(struct tree *t, taddr_t node, int depth)
{
	uint64_t left = 0;
	uint64_t right = 0;
	uint64_t value = 0;
	struct err *err = NULL;

	node &= t->kind->mask;
	if (node == 0)
		return NULL;
	if (depth > TREE_DEPTH_MAX || t->n++ > NODES_MAX)
		return err_new(ERR_BADDATA,
			       "the tree at 0x%" PRIx64 " is too deep to be "
			       "one",
			       node);
	err = read_word(t->s, node + t->kind->left, &left);
	if (!err)
		err = read_word(t->s, node + t->kind->right, &right);
	value = node - t->back;
	if (!err && t->is_value)
		err = read_word(t->s, node, &value);
	if (!err)
		err = walk_nodes(t, left, depth + 1);
	if (!err)
		err = t->fn(t->arg, value);
	if (!err)
		err = walk_nodes(t, right, depth + 1);
	return err;
}

/*
 * libavl: avl_tree_t { root, compar, offset, count, ... }; an element holds an
 * avl_node_t { child[2], parent and balance } at that offset.
 */
static struct err *walk_avl(struct session *s, const struct walker *w,
			    bool has_addr, taddr_t addr, walk_fn *fn, void *arg)
{
	static const struct tree_kind kind = {0, 8, ~(uint64_t)0};
	struct tree t = {.s = s, .kind = &kind, .fn = fn, .arg = arg};
	uint64_t root = 0;
	struct err *err = read_word(s, addr, &root);

	(void)w;
	(void)has_addr; /* it is required */
	if (!err)
		err = read_word(s, addr + 16, &t.back);
	return err ? err : walk_nodes(&t, root, 0);
}

/*
 * glibc's tsearch(): the address is that of the root pointer; a node is { key,
 * left, right }, the lowest bit of left is its colour.  Keys are handed on.
 */
static struct err *walk_tsearch(struct session *s, const struct walker *w,
				bool has_addr, taddr_t addr, walk_fn *fn,
				void *arg)
{
	static const struct tree_kind kind = {8, 16, ~(uint64_t)1};
	struct tree t = {.s = s, .kind = &kind, .fn = fn, .arg = arg};
	uint64_t root = 0;
	struct err *err = read_word(s, addr, &root);

	(void)w;
	(void)has_addr; /* it is required */
	t.is_value = true;
	return err ? err : walk_nodes(&t, root, 0);
}

/*
 * libstdc++'s map and set: { compare, header { colour, parent, left, right },
 * count }; the header's parent is the root, and an element lies behind the four
 * words of its node.
 */
static struct err *walk_stdmap(struct session *s, const struct walker *w,
			       bool has_addr, taddr_t addr, walk_fn *fn,
			       void *arg)
{
	static const struct tree_kind kind = {16, 24, ~(uint64_t)0};
	struct tree t = {.s = s, .kind = &kind, .fn = fn, .arg = arg};
	uint64_t root = 0;
	struct err *err = read_word(s, addr + 16, &root);

	(void)w;
	(void)has_addr; /* it is required */
	t.back = -(uint64_t)32;
	return err ? err : walk_nodes(&t, root, 0);
}

static const struct walker walkers[] = {
	{.name = "list",
	 .brief = "elements that begin with the pointer to the next",
	 .addr = ADDR_REQUIRED,
	 .run = walk_list},
	{.name = "avl",
	 .brief = "elements of an avl_tree_t (libavl), in order",
	 .addr = ADDR_REQUIRED,
	 .run = walk_avl},
	{.name = "tsearch",
	 .brief = "keys of a tree of tsearch(3), in order",
	 .addr = ADDR_REQUIRED,
	 .run = walk_tsearch},
	{.name = "stdmap",
	 .brief = "elements of a std::map or std::set, in order",
	 .addr = ADDR_REQUIRED,
	 .run = walk_stdmap},
	{0},
};

const struct group group_lists = {.name = "lists", .walkers = walkers};
