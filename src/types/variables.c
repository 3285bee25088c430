/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every variable that has a fixed place: globals, statics of files, functions
 * and classes; and what each thread has of its own. */
#include "types/type_impl.h"

#include <dwarf.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"

struct lister {
	struct types *types;
	struct object_impl *obj;
	types_variable_fn *fn;
	void *arg;
};

static struct err *hand_on(const struct lister *l, Dwarf_Die *die, taddr_t addr,
			   uint32_t tid)
{
	const char *name = dwarf_diename(die);
	Dwarf_Die to;
	struct types_variable var = {
		.name = name ? name : "?",
		.object = &l->obj->pub,
		.addr = addr,
		.tid = tid,
	};

	if (!die_type(die, &to))
		return NULL; /* only declared */
	var.type = type_of_die(l->types, l->obj, &to);
	return l->fn(l->arg, &var);
}

static struct err *on_variable(void *arg, Dwarf_Die *die, taddr_t addr,
			       bool is_in_block)
{
	const struct lister *l = arg;
	struct err *err = NULL;

	if (!is_in_block)
		return hand_on(l, die, addr, 0);
	for (size_t i = 0; !err && i < target_nthreads(l->types->target); i++) {
		const struct target_thread *t =
			target_thread(l->types->target, i);
		taddr_t block = 0;

		if (tls_block(l->obj, t, &block))
			err = hand_on(l, die, block + addr, t->tid);
	}
	return err;
}

struct err *types_variables(struct types *types, types_variable_fn *fn,
			    void *arg)
{
	struct lister l = {.types = types, .fn = fn, .arg = arg};
	struct err *err = NULL;

	for (size_t i = 0; !err && i < types->objects.n; i++) {
		l.obj = types->objects.v[i];
		/* the allocator's own say nothing of the program */
		if (object_is_libkmem(&l.obj->pub))
			continue;
		progress_set("reading variables", i, types->objects.n);
		err = variables_each(l.obj, on_variable, &l);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

struct records {
	struct lister *l;
	struct err *(*fn)(void *arg, const struct type *type);
	void *arg;
};

/* a struct; or a typedef of one that has no other name */
static struct err *on_type(void *arg, Dwarf_Die *die)
{
	const struct records *r = arg;
	const struct type *type = NULL;
	Dwarf_Die to;

	switch (dwarf_tag(die)) {
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
		break;
	case DW_TAG_typedef:
		if (!die_type(die, &to) || dwarf_diename(&to) ||
		    dwarf_tag(&to) != DW_TAG_structure_type)
			return NULL;
		break;
	default:
		return NULL;
	}
	type = type_of_die(r->l->types, r->l->obj, die);
	return r->fn(r->arg, type);
}

struct err *types_records(struct types *types,
			  struct err *(*fn)(void *arg, const struct type *type),
			  void *arg)
{
	struct lister l = {.types = types};
	struct records r = {.l = &l, .fn = fn, .arg = arg};
	struct err *err = NULL;

	for (size_t i = 0; !err && i < types->objects.n; i++) {
		l.obj = types->objects.v[i];
		if (!object_is_libkmem(&l.obj->pub))
			err = index_each(l.obj, on_type, &r);
	}
	return err;
}
