/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbols of the user's making: they are found before those of the target. */
#include <string.h>

#include "types/types_impl.h"

bool types_add_private(struct types *types, const struct symbol *sym)
{
	struct symbol mine = *sym;

	if (types->objects.n == 0)
		return false;
	for (size_t i = 0; i < types->private.n; i++)
		if (strcmp(types->private.v[i].name, sym->name) == 0)
			return false;
	mine.name = mem_strdup(sym->name);
	mine.object = &types->objects.v[0]->pub;
	VEC_PUSH(&types->private, mine);
	return true;
}

bool types_del_private(struct types *types, const char *name,
		       struct symbol *ret)
{
	for (size_t i = 0; i < types->private.n; i++) {
		if (strcmp(types->private.v[i].name, name) != 0)
			continue;
		*ret = types->private.v[i];
		/* borrowed names live as long as the types do */
		VEC_PUSH(&types->made_names, (char *)(uintptr_t)ret->name);
		types->private.n--;
		memmove(&types->private.v[i], &types->private.v[i + 1],
			(types->private.n - i) * sizeof(*types->private.v));
		return true;
	}
	return false;
}

size_t types_privates(const struct types *types, const struct symbol **ret)
{
	*ret = types->private.v;
	return types->private.n;
}

bool private_at(const struct types *types, taddr_t addr, struct symbol *ret)
{
	for (size_t i = 0; i < types->private.n; i++) {
		const struct symbol *sym = &types->private.v[i];

		if (addr != sym->value &&
		    (addr < sym->value || addr - sym->value >= sym->size))
			continue;
		*ret = *sym;
		return true;
	}
	return false;
}

bool private_named(const struct types *types, const char *name,
		   struct symbol *ret)
{
	for (size_t i = 0; i < types->private.n; i++) {
		if (strcmp(types->private.v[i].name, name) != 0)
			continue;
		*ret = types->private.v[i];
		return true;
	}
	return false;
}

void private_free(struct types *types)
{
	for (size_t i = 0; i < types->private.n; i++)
		mem_free((char *)(uintptr_t)types->private.v[i].name);
	VEC_FREE(&types->private);
}
