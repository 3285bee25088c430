/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Symbols: address to name and name to address.
 *
 * A report resolves thousands of addresses, so each object's table is copied
 * once, when first asked, into arrays: one sorted by address with only what
 * can name an address (functions and data that are defined), one hashed by
 * name.
 *
 * (I1) by_addr ascends by value; of several at one value the best name is last;
 * (I2) max_end[i] is the largest end among by_addr[0..i]: a search walks down
 *      from the last symbol at or below the address and stops where nothing
 *      further down can reach it.
 *
 * Cost: O(n log n) once an object; O(log n) a question, as symbols seldom nest.
 */
#include "types/types_impl.h"

#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

void symtab_free(struct symtab *tab)
{
	size_t i;

	for (i = 0; i < tab->names.n; i++)
		mem_free(tab->names.v[i]);
	VEC_FREE(&tab->names);
	VEC_FREE(&tab->all);
	VEC_FREE(&tab->by_addr);
	mem_free(tab->max_end);
	mem_free(tab->next);
	hash_fini(&tab->by_name);
}

/* ---- order --------------------------------------------------------------- */

static int bind_rank(const struct sym_entry *sym)
{
	return sym->bind == STB_LOCAL ? 0 : 1;
}

static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

/* below 0: a is the worse name for the address both have */
static int by_goodness(const struct sym_entry *a, const struct sym_entry *b)
{
	if ((a->size > 0) != (b->size > 0))
		return a->size > 0 ? 1 : -1;
	if (bind_rank(a) != bind_rank(b))
		return bind_rank(a) - bind_rank(b);
	if (underscores(a->name) != underscores(b->name))
		return underscores(a->name) < underscores(b->name) ? 1 : -1;
	if (a->bind != b->bind)
		return a->bind == STB_GLOBAL ? 1 : -1;
	if (strlen(a->name) != strlen(b->name))
		return strlen(a->name) < strlen(b->name) ? 1 : -1;
	return -strcmp(a->name, b->name);
}

static int by_value(const void *pa, const void *pb)
{
	const struct sym_entry *a = pa;
	const struct sym_entry *b = pb;

	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return by_goodness(a, b);
}

/* ---- loading ------------------------------------------------------------- */

static bool names_an_address(const struct sym_entry *sym)
{
	if (sym->shndx == SHN_UNDEF || sym->shndx == SHN_ABS)
		return false;
	if (sym->type != STT_FUNC && sym->type != STT_OBJECT &&
	    sym->type != STT_GNU_IFUNC && sym->type != STT_COMMON)
		return false;
	return sym->name[0] != '\0' && sym->name[0] != '$' &&
	       strncmp(sym->name, ".L", 2) != 0;
}

static taddr_t end_of(const struct sym_entry *sym)
{
	taddr_t end;

	if (__builtin_add_overflow(sym->value, sym->size, &end))
		return UINT64_MAX;
	return end;
}

static void add_symbol(struct symtab *tab, const GElf_Sym *sym, taddr_t value,
		       const char *name, GElf_Word shndx)
{
	struct sym_entry entry = {
		.value = value,
		.size = sym->st_size,
		.name = name ? name : "",
		.shndx = (uint16_t)shndx,
		.type = GELF_ST_TYPE(sym->st_info),
		.bind = GELF_ST_BIND(sym->st_info),
		.other = sym->st_other,
	};
	const char *at = strchr(entry.name, '@');

	/* name@@VERSION: the version is no part of the name */
	if (at && at > entry.name) {
		char *bare = mem_strndup(entry.name, (size_t)(at - entry.name));

		VEC_PUSH(&tab->names, bare);
		entry.name = bare;
	}
	VEC_PUSH(&tab->all, entry);
	if (names_an_address(&entry))
		VEC_PUSH(&tab->by_addr, entry);
}

/* a symbol without a size reaches to the next one, or its section's end */
static void give_sizes(struct object_impl *obj, struct symtab *tab)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(obj->mod, &bias);
	size_t i;

	for (i = 0; i < tab->by_addr.n; i++) {
		struct sym_entry *sym = &tab->by_addr.v[i];
		size_t next = i + 1;
		GElf_Shdr mem;
		GElf_Shdr *sh;
		taddr_t end;

		if (sym->size > 0)
			continue;
		sh = gelf_getshdr(elf_getscn(elf, sym->shndx), &mem);
		if (!sh)
			continue;
		end = sh->sh_addr + sh->sh_size + bias;
		while (next < tab->by_addr.n &&
		       tab->by_addr.v[next].value == sym->value)
			next++;
		if (next < tab->by_addr.n && tab->by_addr.v[next].value < end)
			end = tab->by_addr.v[next].value;
		if (end > sym->value)
			sym->size = end - sym->value;
	}
}

static void finish(struct symtab *tab)
{
	size_t n = tab->by_addr.n;
	taddr_t max = 0;
	size_t i;

	tab->max_end = mem_array(n, sizeof(*tab->max_end));
	for (i = 0; i < n; i++) {
		taddr_t end = end_of(&tab->by_addr.v[i]);

		if (end > max)
			max = end;
		tab->max_end[i] = max;
	}
	tab->next = mem_array(tab->all.n, sizeof(*tab->next));
	hash_init(&tab->by_name);
	/* backwards: the chain then begins with the first in the file */
	for (i = tab->all.n; i > 0; i--) {
		const char *name = tab->all.v[i - 1].name;
		uint64_t *head = hash_put(
			&tab->by_name, hash_bytes(name, strlen(name), 0), NULL);

		tab->next[i - 1] = (uint32_t)*head;
		*head = i;
	}
}

/* .symtab of the file or of its debug file, else .dynsym */
static struct symtab *load_symtab(struct object_impl *obj)
{
	struct symtab *tab = &obj->symtab;
	Dwfl_Module *mod;
	int n;
	int i;

	if (tab->is_loaded)
		return tab;
	tab->is_loaded = true;
	mod = object_module(obj);
	n = mod ? dwfl_module_getsymtab(mod) : 0;
	for (i = 1; i < n; i++) {
		GElf_Sym sym;
		GElf_Addr value;
		GElf_Word shndx;
		const char *name = dwfl_module_getsym_info(mod, i, &sym, &value,
							   &shndx, NULL, NULL);

		if (!name)
			continue;
		/* these have offsets, not addresses */
		if (GELF_ST_TYPE(sym.st_info) == STT_TLS || shndx == SHN_UNDEF)
			value = sym.st_value;
		add_symbol(tab, &sym, value, name, shndx);
	}
	symtab_add_plt(obj, tab);
	if (tab->by_addr.n > 0) {
		qsort(tab->by_addr.v, tab->by_addr.n, sizeof(*tab->by_addr.v),
		      by_value);
		give_sizes(obj, tab);
	}
	finish(tab);
	return tab;
}

static struct symtab *load_dynsym(struct object_impl *obj)
{
	struct symtab *tab = &obj->dynsym;
	Elf_Scn *scn = NULL;
	GElf_Addr bias = 0;
	Dwfl_Module *mod;
	Elf *elf;

	if (tab->is_loaded)
		return tab;
	tab->is_loaded = true;
	mod = object_module(obj);
	elf = mod ? dwfl_module_getelf(mod, &bias) : NULL;
	while (elf && (scn = elf_nextscn(elf, scn)) != NULL) {
		GElf_Shdr mem;
		GElf_Shdr *sh = gelf_getshdr(scn, &mem);
		Elf_Data *data;
		GElf_Sym sym;
		int i;

		if (!sh || sh->sh_type != SHT_DYNSYM)
			continue;
		data = elf_getdata(scn, NULL);
		for (i = 1; data && gelf_getsym(data, i, &sym); i++) {
			bool is_addr = sym.st_shndx != SHN_UNDEF &&
				       sym.st_shndx != SHN_ABS &&
				       GELF_ST_TYPE(sym.st_info) != STT_TLS;

			add_symbol(tab, &sym,
				   sym.st_value + (is_addr ? bias : 0),
				   elf_strptr(elf, sh->sh_link, sym.st_name),
				   sym.st_shndx);
		}
	}
	finish(tab);
	return tab;
}

static void publish(const struct sym_entry *entry,
		    const struct object_impl *obj, struct symbol *ret)
{
	*ret = (struct symbol){
		.name = entry->name,
		.value = entry->value,
		.size = entry->size,
		.type = entry->type,
		.bind = entry->bind,
		.other = entry->other,
		.shndx = entry->shndx,
		.object = &obj->pub,
	};
}

/* ---- questions ----------------------------------------------------------- */

/* how many symbols of by_addr are at or below addr */
static size_t count_below(const struct symtab *tab, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = tab->by_addr.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (tab->by_addr.v[mid].value <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool types_symbol_at(struct types *types, taddr_t addr, struct symbol *ret)
{
	struct object_impl *obj = object_at(types, addr);
	const struct symtab *tab;
	size_t lo;

	if (private_at(types, addr, ret))
		return true;
	if (!obj)
		return false;
	tab = load_symtab(obj);
	/* see (I2) */
	for (lo = count_below(tab, addr); lo > 0 && tab->max_end[lo - 1] > addr;
	     lo--) {
		const struct sym_entry *sym = &tab->by_addr.v[lo - 1];

		if (addr < end_of(sym)) {
			publish(sym, obj, ret);
			return true;
		}
	}
	return false;
}

/* a better answer to "name" than the other: defined, then global */
static bool is_better(const struct sym_entry *a, const struct sym_entry *b)
{
	if (!b)
		return true;
	if (bind_rank(a) != bind_rank(b))
		return bind_rank(a) > bind_rank(b);
	return false;
}

static const struct sym_entry *find_named(const struct symtab *tab,
					  const char *name)
{
	const struct sym_entry *best = NULL;
	uint64_t *head =
		hash_get(&tab->by_name, hash_bytes(name, strlen(name), 0));
	uint64_t i = head ? *head : 0;

	for (; i != 0; i = tab->next[i - 1]) {
		const struct sym_entry *sym = &tab->all.v[i - 1];

		if (strcmp(sym->name, name) == 0 && sym->shndx != SHN_UNDEF &&
		    sym->type != STT_TLS && sym->type != STT_FILE &&
		    sym->type != STT_SECTION && is_better(sym, best))
			best = sym;
	}
	return best;
}

static const struct sym_entry *find_tls(const struct symtab *tab,
					const char *name)
{
	uint64_t *head =
		hash_get(&tab->by_name, hash_bytes(name, strlen(name), 0));
	uint64_t i = head ? *head : 0;

	for (; i != 0; i = tab->next[i - 1]) {
		const struct sym_entry *sym = &tab->all.v[i - 1];

		if (sym->type == STT_TLS && sym->shndx != SHN_UNDEF &&
		    strcmp(sym->name, name) == 0)
			return sym;
	}
	return NULL;
}

const struct sym_entry *symtab_find_tls(struct object_impl *obj,
					const char *name)
{
	const struct sym_entry *sym = find_tls(load_symtab(obj), name);

	return sym ? sym : find_tls(load_dynsym(obj), name);
}

static const struct sym_entry *tls_at(const struct symtab *tab, uint64_t offset,
				      bool is_inside)
{
	for (size_t i = 0; i < tab->all.n; i++) {
		const struct sym_entry *sym = &tab->all.v[i];

		if (sym->type == STT_TLS && sym->shndx != SHN_UNDEF &&
		    (sym->value == offset ||
		     (is_inside && offset - sym->value < sym->size)))
			return sym;
	}
	return NULL;
}

const struct sym_entry *symtab_tls_at(struct object_impl *obj, uint64_t offset,
				      bool is_inside)
{
	const struct sym_entry *sym =
		tls_at(load_symtab(obj), offset, is_inside);

	return sym ? sym : tls_at(load_dynsym(obj), offset, is_inside);
}

static bool named_in(struct object_impl *obj, const char *name,
		     struct symbol *ret)
{
	const struct sym_entry *sym = find_named(load_symtab(obj), name);

	if (!sym)
		sym = find_named(load_dynsym(obj), name);
	if (!sym)
		sym = cxx_symbol(&obj->cxx, &obj->symtab, name);
	if (sym)
		publish(sym, obj, ret);
	return sym != NULL;
}

bool types_symbol_named(struct types *types, const struct object *object,
			const char *name, struct symbol *ret)
{
	size_t i;

	if (name[0] == '\0')
		return false;
	if (object)
		return named_in(object_impl(types, object), name, ret);
	if (private_named(types, name, ret))
		return true;
	for (i = 0; i < types->objects.n; i++)
		if (named_in(types->objects.v[i], name, ret))
			return true;
	return false;
}

struct err *
types_symbols(struct types *types, const struct object *object, bool dynamic,
	      struct err *(*fn)(void *arg, const struct symbol *sym), void *arg)
{
	struct object_impl *obj = object_impl(types, object);
	const struct symtab *tab =
		dynamic ? load_dynsym(obj) : load_symtab(obj);
	size_t i;

	for (i = 0; i < tab->all.n; i++) {
		struct symbol sym;
		struct err *err;

		publish(&tab->all.v[i], obj, &sym);
		err = fn(arg, &sym);
		if (err)
			return err;
	}
	return NULL;
}

char *types_demangle(const char *name)
{
	char *plain = NULL;
	char *copy;

	if (strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0)
		plain = cplus_demangle(name,
				       DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO);
	copy = mem_strdup(plain ? plain : name);
	mem_free(plain);
	return copy;
}

char *types_shown_name(const struct types *types, const char *name)
{
	return types->keeps_mangled ? mem_strdup(name) : types_demangle(name);
}

void types_set_demangling(struct types *types, bool is_on)
{
	types->keeps_mangled = !is_on;
}

bool types_is_demangling(const struct types *types)
{
	return !types->keeps_mangled;
}

void types_set_symdist(struct types *types, uint64_t bytes)
{
	types->symdist = bytes;
}

/* the nearest symbol at or below addr, however far it reaches */
static bool nearest_below(struct types *types, taddr_t addr, struct symbol *ret)
{
	struct object_impl *obj = object_at(types, addr);
	const struct symtab *tab = obj ? load_symtab(obj) : NULL;
	size_t n = tab ? count_below(tab, addr) : 0;

	if (n == 0 || addr - tab->by_addr.v[n - 1].value > types->symdist)
		return false;
	publish(&tab->by_addr.v[n - 1], obj, ret);
	return true;
}

static bool naming_symbol(struct types *types, taddr_t addr, struct symbol *ret)
{
	return types->symdist > 0 ? nearest_below(types, addr, ret)
				  : types_symbol_at(types, addr, ret);
}

char *types_addr_name(struct types *types, taddr_t addr)
{
	_free_ char *plain = NULL;
	struct symbol sym;
	uint64_t off;

	if (addr == 0)
		return mem_strdup("0");
	if (!naming_symbol(types, addr, &sym))
		return mem_printf(addr > 9 ? "0x%" PRIx64 : "%" PRIx64, addr);
	plain = types_shown_name(types, sym.name);
	off = addr - sym.value;
	if (off == 0)
		return mem_printf("%s%s%s",
				  sym.object->is_exec ? "" : sym.object->name,
				  sym.object->is_exec ? "" : "`", plain);
	return mem_printf("%s%s%s+%s%" PRIx64,
			  sym.object->is_exec ? "" : sym.object->name,
			  sym.object->is_exec ? "" : "`", plain,
			  off > 9 ? "0x" : "", off);
}
