/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine instructions as text; capstone is seen by disasm.c only. */
#ifndef TYPES_DISASM_H
#define TYPES_DISASM_H

#include "types/types.h"

enum {
	INSN_BYTES_MAX = 15, /* of an x86-64 instruction */
};

struct insn {
	taddr_t addr;
	unsigned size_bytes; /* at least 1 */
	bool is_bad;         /* no instruction: text is "(bad)", size 1 */
	char text[224];      /* with the symbols of addresses it names */
};

/**
 * Decodes bytes that lie, or would lie, at an address.
 *
 * @types:  names the addresses an instruction refers to
 * @n:      bytes there are; at least 1
 *
 * What is cut off or no instruction is_bad.
 */
void disasm_bytes(struct types *types, taddr_t addr, const void *bytes,
		  size_t n, struct insn *ret);
/**
 * Decodes the instruction at an address of the target.
 * Errors: ERR_FAULT when there is no memory.
 */
struct err *disasm_at(struct types *types, taddr_t addr,
		      struct insn *ret) must_use;

/**
 * Calls fn for every address that instructions refer to: targets of branches,
 * and operands relative to rip.  What is no instruction is skipped by bytes.
 *
 * @bytes:  n of them, that lie at addr
 * @fn:     at: of the instruction; is_branch: to is a target, not an operand;
 *          non-NULL ends it
 */
struct err *disasm_refs(struct types *types, taddr_t addr, const void *bytes,
			size_t n,
			struct err *(*fn)(void *arg, taddr_t at, taddr_t to,
					  bool is_branch),
			void *arg) must_use;

/* a way of writing instructions */
struct disasm_mode {
	const char *name, *brief;
};
/** The modes there are; ended by name NULL; the first is the default. */
const struct disasm_mode *disasm_modes(void);
/** The mode in use. */
const struct disasm_mode *disasm_mode(const struct types *types);
/** Uses another from now on; false: there is none of that name. */
bool disasm_set_mode(struct types *types, const char *name);

#endif
