/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of struct types, for the files of this folder. */
#ifndef TYPES_TYPES_IMPL_H
#define TYPES_TYPES_IMPL_H

#include <elf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "types/types.h"

/* bounds on what a hostile target can make us do (doc/limits.md) */
enum {
	PHDRS_MAX = 256,     /* program headers of an object */
	OBJECTS_MAX = 4096,  /* load objects */
	LINK_MAP_MAX = 8192, /* entries of the link maps */
	FRAMES_MAX = 1024,   /* frames of a stack */
};

#define PAGE_BYTES 4096u

/* the headers of an ELF image, copied out and checked */
struct head {
	uint16_t type;
	taddr_t entry;
	uint64_t phoff;
	size_t nph;
	Elf64_Phdr *ph; /* owned */
};

struct sym_entry {
	taddr_t value;
	uint64_t size;
	const char *name;
	uint16_t shndx;
	unsigned char type, bind, other;
};

struct symtab {
	bool is_loaded;
	VEC(struct sym_entry) all; /* in file order */
	VEC(char *) names;         /* those we had to make */
	/* functions and data, ascending; for ties the best name last */
	VEC(struct sym_entry) by_addr;
	taddr_t *max_end;    /* [i]: the largest end in by_addr[0..i] */
	struct hash by_name; /* hash of name -> index in all, + 1 */
	uint32_t *next;      /* chain of by_name: index + 1; 0 ends */
};

/* C++ symbols by their last identifier: see symbol_cxx.c */
struct cxx_index {
	bool is_made;
	struct hash heads; /* hash of it -> index in all, + 1 */
	uint32_t *next;    /* chain: index + 1; 0 ends */
};

struct type_index;
struct disasm;
struct dwp;

struct object_impl {
	struct object pub;
	struct types *types;
	struct head head;
	char *path, *file, *why; /* what pub's point at */
	char *debug_file, *debug_why;
	bool has_looked_dwp;
	struct dwp *dwp;
	const unsigned char *image; /* of the verified file, or NULL */
	size_t image_bytes;
	bool is_image_heap; /* copied out of the core (vdso) */
	size_t order;       /* in the link map; SIZE_MAX not there */
	Dwfl_Module *mod;
	bool has_looked_dwarf;
	Dwarf *dwarf;
	Dwarf_Addr dwarf_bias;
	struct symtab symtab, dynsym;
	struct cxx_index cxx; /* of symtab */
	struct type_index *index;
	struct hash *variables; /* address -> index in variable_dies, + 1 */
	VEC(Dwarf_Die) variable_dies;
};

/* a type of the user's making */
struct made {
	const char *tag; /* "struct ", "union " or "" */
	char *name;
	const struct type *type;
};

struct types {
	struct target *target;
	char *exe, *sysroot, *own_debug_path;
	bool use_servers;
	VEC(struct object_impl *) objects; /* in load order */
	struct object_impl **by_start;
	Dwfl *dwfl; /* made at first need */
	Dwfl_Callbacks callbacks;
	uint64_t symdist;   /* see types_set_symdist() */
	bool keeps_mangled; /* see types_set_demangling() */
	char *debug_path;
	Elf *machine;                     /* a header that says x86-64 */
	unsigned char machine_header[64]; /* its bytes */
	bool is_attached;                 /* to our callbacks: see unwind.c */
	const struct target_thread *unwinding; /* whose registers they give */
	struct disasm *disasm;                 /* NULL: not yet needed */
	VEC(struct symbol) private;            /* names owned */
	VEC(struct made) made;
	VEC(char *) made_names;   /* of members */
	bool has_model, is_ilp32; /* see types_set_model() */
	VEC(struct type *) all;   /* every type made */
	struct hash by_die;       /* address of a DIE -> index in all, + 1 */
	struct hash by_parts;     /* what a derived type is made of -> same */
};

/* ---- object.c ------------------------------------------------------------ */

/** Finds the load objects and verifies their files. */
struct err *objects_find(struct types *types) must_use;
/** Undoes objects_find(). */
void objects_release(struct types *types);
/** The private side of an object. */
struct object_impl *object_impl(const struct types *types,
				const struct object *object);
/** The private side of the object that holds addr, or NULL. */
struct object_impl *object_at(const struct types *types, taddr_t addr);

/* ---- head.c -------------------------------------------------------------- */

typedef bool fetch_fn(void *arg, uint64_t off, void *buf, size_t len);
/** Copies headers out of an image; false: not an ELF64 x86-64 image. */
bool head_read(fetch_fn *fetch, void *arg, struct head *ret);
/** Releases what head_read() made. */
void head_free(struct head *head);
/** Where it is mapped from address 0: [*ret_lo, *ret_hi), in pages. */
bool head_extent(const struct head *head, taddr_t *ret_lo, taddr_t *ret_hi);
/** The first header of a type, or NULL. */
const Elf64_Phdr *head_find(const struct head *head, uint32_t type);
/**
 * The build-id among the notes.
 *
 * @by_vaddr:  fetch takes addresses (an image in memory), not file offsets
 * Returns its length; 0 when there is none that can be read.
 */
size_t head_build_id(const struct head *head, fetch_fn *fetch, void *arg,
		     bool by_vaddr, unsigned char ret[64]);
/** True when both describe the same segments. */
bool head_equal(const struct head *a, const struct head *b);

/* ---- types.c ------------------------------------------------------------- */

/** The Dwfl, with every usable object reported; NULL if it cannot be made. */
Dwfl *types_dwfl(struct types *types);
/** The module of an object, or NULL. */
Dwfl_Module *object_module(struct object_impl *obj);
/** Its debug information, or NULL; *ret_bias: address = DWARF's + bias. */
Dwarf *object_dwarf(struct object_impl *obj);

/* ---- debuginfo.c --------------------------------------------------------- */

/** libdwfl's callback: looks for debug information. */
int debuginfo_find(Dwfl_Module *mod, void **userdata, const char *name,
		   Dwarf_Addr base, const char *file, const char *link,
		   GElf_Word crc, char **ret_file);
/** libdwfl's callback: looks for the file of an object that has none. */
int debuginfo_find_elf(Dwfl_Module *mod, void **userdata, const char *name,
		       Dwarf_Addr base, char **ret_file, Elf **ret_elf);
/** Reports an object whose file is not here, to be found by build-id. */
void object_report_missing(struct object_impl *obj);

/* ---- dwp.c --------------------------------------------------------------- */

/** The unit that a skeleton stands for, in the object's package; false: there
 * is none. */
bool dwp_unit(struct object_impl *obj, Dwarf_Die *skeleton, uint64_t id,
	      Dwarf_Die *ret);
/** An address that a DIE of such a unit refers to by number. */
bool dwp_address(struct object_impl *obj, Dwarf_Die *die, uint64_t number,
		 Dwarf_Addr *ret);
/** Closes a package; NULL allowed. */
void dwp_close(struct dwp *dwp);

/* ---- unwind.c ------------------------------------------------------------ */

/** Undoes what the first walk attached; after the Dwfl has ended. */
void unwind_release(struct types *types);

/* ---- private.c ----------------------------------------------------------- */

/** The symbol of the user's making that contains an address. */
bool private_at(const struct types *types, taddr_t addr, struct symbol *ret);
/** The one of a name. */
bool private_named(const struct types *types, const char *name,
		   struct symbol *ret);
/** Releases them. */
void private_free(struct types *types);

/* ---- made.c -------------------------------------------------------------- */

/** A type of the user's making, or NULL. */
const struct type *made_lookup(const struct types *types, const char *tag,
			       const char *name);
/** Calls fn for each. */
struct err *made_names(const struct types *types, type_name_fn *fn,
		       void *arg) must_use;
/** Releases them. */
void made_release(struct types *types);

/* ---- disasm.c ------------------------------------------------------------ */

/** Closes the disassembler. */
void disasm_release(struct types *types);

/* ---- symbol.c ------------------------------------------------------------ */

/** Releases a table. */
void symtab_free(struct symtab *tab);
/** A thread-local variable by name; its value is its place in the block. */
const struct sym_entry *symtab_find_tls(struct object_impl *obj,
					const char *name);
/** The thread-local variable at an offset in the block, or around it. */
const struct sym_entry *symtab_tls_at(struct object_impl *obj, uint64_t offset,
				      bool is_inside);

/** A function's name as the user wants names, see types_set_demangling().
 * Owned. */
char *types_shown_name(const struct types *types, const char *name);

/* ---- plt.c --------------------------------------------------------------- */

/** Adds names for the entries of the procedure linkage table to by_addr. */
void symtab_add_plt(struct object_impl *obj, struct symtab *tab);

/* ---- symbol_cxx.c -------------------------------------------------------- */

/** A C++ symbol by the name it has in the source; NULL: none. */
const struct sym_entry *cxx_symbol(struct cxx_index *index,
				   const struct symtab *tab, const char *name);
/** Releases the index. */
void cxx_index_free(struct cxx_index *index);

/* ---- dwarf.c ------------------------------------------------------------- */

/** Releases what an object's debug information was indexed into. */
void index_free(struct object_impl *obj);
/**
 * A type by its exact, qualified name.
 *
 * @tag:  DW_TAG_structure_type (classes too), DW_TAG_union_type,
 *        DW_TAG_enumeration_type, or 0: a typedef or base type
 */
bool index_find(struct object_impl *obj, int tag, const char *name,
		Dwarf_Die *ret, bool *ret_is_declaration);
/** Calls fn for the name of every type of an object; see types_names(). */
struct err *index_names(struct object_impl *obj, type_name_fn *fn,
			void *arg) must_use;
/** The variable that lies at addr. */
bool variable_at(struct object_impl *obj, taddr_t addr, Dwarf_Die *ret);
/** The thread-local variable at an offset in each thread's block. */
bool variable_in_block(struct object_impl *obj, uint64_t offset,
		       Dwarf_Die *ret);
typedef struct err *variable_fn(void *arg, Dwarf_Die *die, taddr_t addr,
				bool is_in_block);
/** Calls fn for every variable that has an address, or (is_in_block) a place
 * in each thread's block. */
struct err *variables_each(struct object_impl *obj, variable_fn *fn,
			   void *arg) must_use;
/** Calls fn for every type with a name that is complete. */
struct err *index_each(struct object_impl *obj,
		       struct err *(*fn)(void *arg, Dwarf_Die *die),
		       void *arg) must_use;
/** The function that begins at addr. */
bool function_at(struct object_impl *obj, taddr_t addr, Dwarf_Die *ret);
/** The compile unit that covers pc. */
bool object_cu_at(struct object_impl *obj, taddr_t pc, Dwarf_Die *ret);
/** True when a DIE only declares. */
bool die_is_declaration(Dwarf_Die *die);
/** What a tag is looked up as (see index_find()); -1: names no type. */
int die_lookup_tag(int tag);

/* ---- tls.c --------------------------------------------------------------- */

/** Where a thread has an object's thread-local variables; false: nowhere. */
bool tls_block(struct object_impl *obj, const struct target_thread *thread,
	       taddr_t *ret);

/* ---- type.c -------------------------------------------------------------- */

/** The type a DIE describes; die NULL is void. */
const struct type *type_of_die(struct types *types, struct object_impl *obj,
			       Dwarf_Die *die);
/** Releases every type. */
void types_release(struct types *types);

#endif
