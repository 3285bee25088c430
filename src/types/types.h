/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names for addresses and shapes for bytes: load objects, symbols, DWARF types,
 * stacks, source lines.  Everything is read when first needed.  A file whose
 * build-id differs from the core's is refused, never used.
 */
#ifndef TYPES_TYPES_H
#define TYPES_TYPES_H

#include "base/err.h"
#include "target/target.h"

struct types;
struct type; /* a C or C++ type; borrowed, lives as long as its struct types;
	      * equal types of one object may be distinct pointers */

/* ---- load objects ---------------------------------------------------- */

enum object_state {
	OBJECT_OK,       /* file found, build-id equal (or neither has one) */
	OBJECT_MISSING,  /* no file */
	OBJECT_MISMATCH, /* the file there is of another build: not used */
};

struct object {
	const char *path; /* as the target named it */
	const char *name; /* basename: what "name`symbol" is matched with, also
			   * up to a dot ("libc", "libc.so") */
	const char *file; /* what was opened for it, or NULL */
	taddr_t start, end; /* all its maps lie in [start, end) */
	taddr_t bias;       /* address = ELF value + bias */
	enum object_state state;
	unsigned char build_id[64];
	size_t build_id_bytes;
	bool is_exec;    /* the main program */
	bool has_dwarf;  /* known after types_object_has_dwarf() */
	const char *why; /* why state is not OK: one sentence; else NULL */
	/* after types_object_has_dwarf(): the file that debug information is
	 * in, NULL none; and that of another build that was refused, in a
	 * sentence, NULL none */
	const char *debug_file, *debug_why;
};

struct types_options {
	const char *exe;     /* the executable the user named, or NULL */
	const char *sysroot; /* prefix for paths the target names, or NULL */
	/* directories of debug files, ":" between, tried first; or NULL */
	const char *debug_path;
	/* debuginfod servers may be asked, if DEBUGINFOD_URLS names some */
	bool use_servers;
};

/**
 * Makes the symbol and type source of a target.
 *
 * @target:  borrowed, must outlive the result
 * @opt:     NULL: no executable named
 *
 * Errors: ERR_BADDATA when opt->exe is not the core's program (build-ids
 * differ), ERR_IO when it cannot be read.  Objects that are missing are no
 * error: see object_state.
 */
struct err *types_open(struct target *target, const struct types_options *opt,
		       struct types **ret_types) must_use;
void types_close(struct types *types);

/** The load objects.  Borrowed. */
size_t types_nobjects(const struct types *types);
const struct object *types_object(const struct types *types, size_t i);
/** The object whose maps hold addr, or NULL. */
const struct object *types_object_at(const struct types *types, taddr_t addr);
/** By name as the user writes it: basename, up to a dot, path, "a.out". */
const struct object *types_object_named(const struct types *types,
					const char *name);
/** True when there is debug information for an object; looks for it now. */
bool types_object_has_dwarf(struct types *types, const struct object *object);

/**
 * Reads the object file whose bytes are mapped at addr, not the memory.
 *
 * @len:  must not go beyond the mapping
 * Errors: ERR_FAULT when no file that was found is mapped there.
 */
struct err *types_read_file(struct types *types, taddr_t addr, void *buf,
			    size_t len) must_use;

/* ---- symbols --------------------------------------------------------- */

struct symbol {
	const char *name; /* mangled; borrowed for the life of types */
	taddr_t value;
	uint64_t size;
	unsigned char type; /* STT_* */
	unsigned char bind; /* STB_* */
	unsigned char other;
	uint16_t shndx;
	const struct object *object;
};

/**
 * The symbol that contains addr (sized symbols), or the nearest function or
 * data symbol below it in the same section when that has no size.
 */
bool types_symbol_at(struct types *types, taddr_t addr, struct symbol *ret);
/**
 * A symbol by name; object NULL: the executable first, then all in load order.
 */
bool types_symbol_named(struct types *types, const struct object *object,
			const char *name, struct symbol *ret);
/**
 * A thread-local variable by name, its value the address where a thread has it.
 *
 * @object:  NULL: the executable first, then all in load order
 * @thread:  NULL, or without registers: there is none
 */
bool types_tls_symbol(struct types *types, const struct object *object,
		      const struct target_thread *thread, const char *name,
		      struct symbol *ret);
/**
 * The name in the source that types_symbol_named() finds a C++ symbol by,
 * without parameters; NULL: it has none that one could type in one word.
 * @ret: owned by the caller
 */
char *types_plain_name(const char *mangled);
/**
 * The thread-local variable that begins at addr in the block of some thread.
 *
 * @ret_type:  NULL: not known
 */
bool types_tls_at(struct types *types, taddr_t addr, struct symbol *ret,
		  const struct type **ret_type);
/** The same of the one that contains addr. */
bool types_tls_around(struct types *types, taddr_t addr, struct symbol *ret,
		      const struct type **ret_type);
typedef struct err *tls_block_fn(void *arg, const struct object *object,
				 taddr_t start, taddr_t end);
/** Calls fn for each block of thread-local variables that a thread has.  fn
 * returning non-NULL ends it. */
struct err *types_tls_blocks(struct types *types,
			     const struct target_thread *thread,
			     tls_block_fn *fn, void *arg) must_use;
/** Calls fn for every symbol of an object (.symtab, else .dynsym); dynamic:
 * .dynsym only.  fn returning non-NULL ends it. */
struct err *
types_symbols(struct types *types, const struct object *object, bool dynamic,
	      struct err *(*fn)(void *arg, const struct symbol *sym),
	      void *arg) must_use;

/**
 * addr as "symbol+0xoff", "lib.so`symbol+0xoff" for objects but the
 * executable, demangled C++ included, "0x..." when no symbol has it ("0" for
 * zero).  An offset above 9 has the 0x prefix, as in mdb.
 * @ret: owned by the caller
 */
char *types_addr_name(struct types *types, taddr_t addr);
/** How far below an address the symbol may be that names it; 0: it must
 * contain the address. */
void types_set_symdist(struct types *types, uint64_t bytes);
/** Are C++ and Rust names in addresses and stacks those of the source (they are
 * at first), or as the linker has them? */
void types_set_demangling(struct types *types, bool is_on);
bool types_is_demangling(const struct types *types);

/** Source file and line of a code address; false when not known.
 * *ret_file is borrowed for the life of types. */
bool types_source_line(struct types *types, taddr_t pc, const char **ret_file,
		       int *ret_line);

/** The directory that the compiler of the code at pc ran in, which a relative
 * file is relative to; NULL unknown.  Borrowed for the life of types. */
const char *types_compile_dir(struct types *types, taddr_t pc);

/** The function at pc as people write it: demangled, no offset; the innermost
 * inlined function where one was inlined at pc.  Owned; NULL unknown. */
char *types_function_name(struct types *types, taddr_t pc);

/* a function that was inlined at a code address, or the one it is in */
struct inline_frame {
	const char *name; /* mangled or plain; borrowed for the life of types */
	const char *file; /* where it is executing; NULL unknown */
	int line;         /* 0 unknown */
};
/**
 * The functions inlined at pc, innermost first, and at last the one they are
 * in: what gdb shows as frames of their own.
 *
 * @ret:  filled with at most max
 * Returns how many; 0 when debug information does not say.
 */
size_t types_inlines(struct types *types, taddr_t pc, struct inline_frame *ret,
		     size_t max);
/* takes one of them; function and file are NULL when not known */
typedef void types_function_fn(void *arg, taddr_t pc, const char *function,
			       const char *file, int line);
/**
 * Calls fn for the functions at a return address, those inlined there first;
 * names as types_function_name() gives them.  What the allocator has inlined in
 * malloc() is nobody's business: it is one function without a line.
 */
void types_each_function(struct types *types, taddr_t pc, types_function_fn *fn,
			 void *arg);
/** Is this the name of an object that calls main() and the functions of
 * threads: libc, the loader? */
bool types_is_starter(const char *object);
/** How many of n return addresses, innermost first, come before those of such
 * callers at the end, _start() among them. */
size_t types_before_starters(struct types *types, const taddr_t *pcs, size_t n);
/** As types_each_function() for one of the callers: its symbol.  Lines of libc
 * help nobody there, and its debug information takes as long to read as a heap
 * of a million buffers. */
void types_starter(struct types *types, taddr_t pc, types_function_fn *fn,
		   void *arg);
/**
 * A stack on one line as flame graphs want it: the functions, outermost first,
 * inlined ones among them, with ";" between; "object+0xoffset" where no
 * function is known, "?" for no stack.  A ";" or a newline in a name becomes ":".
 *
 * @pcs:  return addresses, innermost first
 * Owned.
 */
char *types_folded(struct types *types, const taddr_t *pcs, size_t n);
/** Where code is whose function is not known: "object+0xoffset", the same in
 * every run; else the address.  Owned. */
char *types_place_name(struct types *types, taddr_t pc);
/** True for the allocator's own object. */
bool object_is_libkmem(const struct object *object);
/** A symbol's name as people write it: C++ and Rust demangled; else as it is.
 * Owned. */
char *types_demangle(const char *name);

/* ---- symbols of the user's making ------------------------------------ */

/** Makes a symbol of name, value, size and type; the name is copied; false:
 * there is one of that name, or no program that it could be of. */
bool types_add_private(struct types *types, const struct symbol *sym);
/** Takes one away; false: there is none. */
bool types_del_private(struct types *types, const char *name,
		       struct symbol *ret);
/** All of them; *ret is borrowed until one is added or taken away. */
size_t types_privates(const struct types *types, const struct symbol **ret);

/* ---- stacks ---------------------------------------------------------- */

struct frame {
	taddr_t pc;  /* as found; look up pc - 1 unless is_activation */
	taddr_t cfa; /* 0 unknown */
	taddr_t sp;
	bool is_activation; /* innermost, or interrupted by a signal */
	/* rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8, ... r15, DWARF's order */
	uint64_t regs[16];
	uint32_t has_regs; /* bit i: regs[i] is known here */
};

/**
 * Unwinds a thread by call frame information.
 * fn returning non-NULL ends the walk; ERR_STOP ends it quietly.
 * Frames are bounded (1024 by default) and must ascend.
 */
struct err *types_unwind(struct types *types,
			 const struct target_thread *thread,
			 struct err *(*fn)(void *arg, const struct frame *f),
			 void *arg) must_use;

/* a parameter or local variable where a frame has it, or a piece of one */
struct frame_var {
	const char *name, *function; /* borrowed for the life of types; the
				      * function may be inlined, or NULL */
	const struct type *type;
	bool is_param;
	bool is_listed; /* by a location list: it is live at this pc; false: it
			 * has one place, set yet or not */
	int reg;        /* the register it is in, DWARF's number; -1: memory */
	taddr_t addr;   /* in memory */
	uint64_t offset_bytes; /* of the piece in the variable */
	uint64_t size_bytes;   /* of the piece */
};
typedef struct err *frame_var_fn(void *arg, const struct frame_var *v);
/**
 * Calls fn for each variable in scope at a frame's pc that has a place there,
 * those of inlined functions first.  fn returning non-NULL ends it.
 *
 * @ret_is_known:  false: no debug information for the function
 */
struct err *types_frame_vars(struct types *types, const struct frame *frame,
			     frame_var_fn *fn, void *arg,
			     bool *ret_is_known) must_use;
/**
 * Where a frame has saved its caller's registers, by call frame information.
 *
 * @ret:  [DWARF's number], set where the result has a bit
 */
unsigned types_frame_saved(struct types *types, const struct frame *frame,
			   taddr_t ret[16]);

/* ---- types ----------------------------------------------------------- */

enum type_kind {
	TYPE_VOID,
	TYPE_INT, /* char and bool too; see encoding */
	TYPE_FLOAT,
	TYPE_POINTER,
	TYPE_REFERENCE,
	TYPE_ARRAY,
	TYPE_STRUCT,
	TYPE_UNION,
	TYPE_ENUM,
	TYPE_FUNCTION,
	TYPE_FORWARD, /* declared, never defined in the objects at hand */
};

struct type_info {
	enum type_kind kind;
	uint64_t size_bytes;
	bool is_signed, is_char, is_bool;
	uint64_t nelems;         /* array; 0 flexible */
	const struct type *elem; /* array element, pointee (NULL: void) */
};

struct type_member {
	const char *name; /* "" anonymous */
	const struct type *type;
	uint64_t offset_bits; /* from the start of the aggregate */
	uint32_t bit_size;    /* 0: not a bit-field */
	bool is_base;         /* C++ base class */
	/* not 0: a virtual base, which lies where the word this far before
	 * the object's virtual table says; offset_bits is 0 */
	uint32_t vbase_bytes;
};

/**
 * A type by the name a C programmer writes: "int", "struct foo", "foo_t",
 * "foo_t *", "char [8]", "kmem_cache_t"; scope NULL: every object, the
 * executable first.  A bare tag is found too.
 * Errors: ERR_NOTFOUND.
 */
struct err *types_lookup(struct types *types, const struct object *scope,
			 const char *name, const struct type **ret) must_use;
/** The type of a global variable or function; ERR_NOTFOUND when not known. */
struct err *types_of_symbol(struct types *types, const struct symbol *sym,
			    const struct type **ret) must_use;

/* a variable with a place of its own */
struct types_variable {
	const char *name; /* without scope; borrowed for the life of types */
	const struct object *object;
	const struct type *type;
	taddr_t addr;
	uint32_t tid; /* of the thread that has it; 0: there is but one */
};
typedef struct err *types_variable_fn(void *arg,
				      const struct types_variable *var);
/**
 * Calls fn for each variable with a fixed place that debug information tells
 * of, the allocator's own left out; for one that each thread has, once a
 * thread.  fn returning non-NULL ends it.
 */
struct err *types_variables(struct types *types, types_variable_fn *fn,
			    void *arg) must_use;
/** A number that equal types have, and different ones have not: compilers
 * repeat a type in each unit.  Typedefs and qualifiers do not count. */
uint64_t type_identity(const struct type *type);
/** Calls fn for each complete struct and class that has a name, of every
 * object but the allocator's; equal ones of different objects are repeated. */
struct err *types_records(struct types *types,
			  struct err *(*fn)(void *arg, const struct type *type),
			  void *arg) must_use;

/* takes a name in two parts: "struct ", "union ", "enum " or "", and the rest */
typedef struct err *type_name_fn(void *arg, const char *tag, const char *name);
/** Calls fn for each named type of an object; NULL: of every object.  fn
 * returning non-NULL ends it.  Reads the debug information if need be. */
struct err *types_names(struct types *types, const struct object *object,
			type_name_fn *fn, void *arg) must_use;
/** " (did you mean struct foo?)" for a type there is not, or "".  Owned. */
char *types_suggest_type(struct types *types, const char *name);
/** The same for a member, anonymous aggregates and bases searched through. */
char *types_suggest_member(const struct type *type, const char *name);
/** The same for a symbol of an object; NULL: of every object. */
char *types_suggest_symbol(struct types *types, const struct object *object,
			   const char *name);

/** The name: "struct foo *", "int [4]".  Borrowed. */
const char *type_name(const struct type *type);
/** Facts after typedefs and qualifiers are stripped. */
struct type_info type_info(const struct type *type);
/** The type without typedefs and qualifiers. */
const struct type *type_resolve(const struct type *type);
/** Members of a struct or union in order; 0 for other kinds. */
size_t type_nmembers(const struct type *type);
struct type_member type_member(const struct type *type, size_t i);
/** A member by name, anonymous aggregates and bases searched through, offset
 * from the outermost; false when there is none. */
bool type_find_member(const struct type *type, const char *name,
		      struct type_member *ret);
/** Calls fn for the name of each member, through anonymous aggregates and
 * bases as type_find_member() goes. */
void type_member_names(const struct type *type,
		       void (*fn)(void *arg, const char *name), void *arg);
/** Enumerators. */
size_t type_nenums(const struct type *type);
const char *type_enum(const struct type *type, size_t i, int64_t *ret_value);

/** The type of n elements one after the other. */
const struct type *type_array(const struct type *elem, uint64_t n);
/** The type of a pointer to another. */
const struct type *type_pointer(const struct type *to);

/* ---- types of the user's making ------------------------------------------ */

/** Makes a name for a type, found before those of the target. */
void types_make_typedef(struct types *types, const char *name,
			const struct type *of);
/** Begins a structure or union; its members may already refer to it by tag
 * (NULL: it has none).  Complete after types_end_record(). */
struct type *types_begin_record(struct types *types, bool is_union,
				const char *tag);
/**
 * Gives it its members, laid out as the compiler would.
 *
 * @members:  names and types, copied; none: it is given up, its tag unknown
 */
void types_end_record(struct type *type, const struct type_member *members,
		      size_t n);
/** What a typedef that was made is a name for; any other type: itself. */
const struct type *type_of_typedef(const struct type *type);
/** True for a structure or union that was made. */
bool type_is_made_record(const struct type *type);
/** Calls fn for each name that was made, in order. */
struct err *types_made(const struct types *types, type_name_fn *fn,
		       void *arg) must_use;
/** Takes all those names away. */
void types_forget_made(struct types *types);
/** Sets how wide the base types are: "LP64", "ILP32" or "LP32"; false: no such
 * model.  Pointers are 8 bytes wide in each. */
bool types_set_model(struct types *types, const char *model);
/** True when there are base types: those of a target, or of a model. */
bool types_has_base(const struct types *types);

/* ---- views: the contract bound by name ------------------------------- */

/* one struct of the target, some members of it bound to their places */
struct view_row {
	const char *member;
	bool is_required;
	/* filled by view_bind(): */
	bool is_bound;
	uint32_t offset_bytes;
	uint32_t size_bytes; /* of the member; arrays: of the whole */
	uint32_t bit_offset; /* bit-fields: within offset_bytes */
	uint32_t bit_size;   /* 0: not a bit-field */
	uint32_t elem_bytes; /* arrays: of one element, else size_bytes */
	bool is_signed;
};

struct view {
	const char *struct_name; /* tag, without "struct" */
	uint64_t size_bytes;
	struct view_row *rows;
	size_t nrows;
};

/**
 * Binds rows to offsets through the DWARF of one object.
 * Errors: ERR_NOTFOUND naming the struct, or the first required member, that
 * the object's debug information does not have.
 */
struct err *view_bind(struct types *types, const struct object *object,
		      struct view *view) must_use;
/**
 * An integer or pointer member out of the raw bytes of a struct (size_bytes of
 * the view); sign-extended if signed.  The row must be bound.
 */
uint64_t view_get(const struct view_row *row, const void *raw);

#endif
