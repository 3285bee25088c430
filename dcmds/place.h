/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A type and where its bytes are, for the dcmds that look through types. */
#ifndef DCMDS_PLACE_H
#define DCMDS_PLACE_H

#include "pmdb_mod.h"

/* a value somewhere in the target */
struct place {
	const struct type *type;
	taddr_t addr;
	unsigned bit;      /* of a bit-field, within addr */
	unsigned bit_size; /* 0: not one */
};

/* where bytes come from */
struct place_env {
	struct session *s;
	struct out *o;
	bool has_values; /* false: types only, pointers cannot be followed */
	bool immediate;  /* the bytes are those of value, at address 0 */
	uint64_t value;
};

/** A number as mdb prints it: "9", "0xa".  Owned. */
char *number_text(uint64_t n);
/** A time_t as "1970 Jan  1 00:00:00", local time.  Owned. */
char *time_text(uint64_t v);
/** An internet address in the order of its bytes: "127.0.0.1".  Owned. */
char *ipv4_text(uint32_t v);
/** The value of the low bits as a signed number. */
int64_t sign_extend(uint64_t v, unsigned bits);

/** A type by name, scoped or not ("lib.so`struct foo"). */
struct err *try_lookup_type(struct session *s, const char *name,
			    const struct type **ret) must_use;
/** The same, and on failure the type that may have been meant. */
struct err *lookup_type(struct session *s, const char *name,
			const struct type **ret) must_use;
/** The type that arguments name: "struct foo" may be two words; *first moves
 * past what was used.  Owned. */
char *type_words(const struct dcmd_call *call, size_t *first);
/** The type of the symbol that starts exactly at addr. */
struct err *type_at(struct session *s, taddr_t addr,
		    const struct type **ret) must_use;

/** True for a struct, class or union. */
bool is_aggregate(const struct type *type);

/** Reads bytes of a place. */
struct err *place_read(const struct place_env *env, taddr_t addr, void *buf,
		       size_t n) must_use;
/** Reads an integer, pointer or bit-field of at most 8 bytes. */
struct err *place_scalar(const struct place_env *env, const struct place *pl,
			 uint64_t *ret) must_use;
/** Where a member of an aggregate is; ret may be of. */
struct err *place_member(const struct place_env *env, const struct place *of,
			 const struct type_member *m,
			 struct place *ret) must_use;
/** Goes from a place through "a.b->c[3]" to another; what cannot succeed for
 * the next element either stops the loop. */
struct err *place_follow(const struct place_env *env, struct place *pl,
			 const char *path) must_use;
/** The array that a struct stands for, as a std::vector does; false: none. */
bool place_as_array(const struct place_env *env, const struct place *pl,
		    struct place *ret);
/** The value that a class stands for, as a smart pointer does; false: none. */
bool place_held(const struct place *pl, struct place *ret);
/** The path to the member that holds a byte offset: "in.c".  Owned. */
struct err *place_path_at(const struct place_env *env, const struct place *pl,
			  uint64_t off, char **ret) must_use;

/* enum.c */
/** True when each enumerator is one bit. */
bool enum_is_flags(const struct type *type);
/** How much of their names all enumerators share, up to a "_". */
size_t enum_prefix(const struct type *type);
/** A set of flags by name: "PFX_{A|B}", "A|0x80".  Owned. */
char *enum_flags_text(const struct type *type, uint64_t v);
/** The enumerator that has a value, as bits stand in memory; NULL: none.
 * *ret_value is the value as the enumeration has it, in any case. */
const char *enum_name(const struct type *type, uint64_t v, unsigned bits,
		      int64_t *ret_value);

#endif
