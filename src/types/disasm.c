/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine instructions as text: capstone decodes, we name the addresses. */
#include "types/disasm.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "types/types_impl.h"

struct disasm {
	csh handle;
	cs_insn *insn; /* the one that is decoded into */
	size_t mode;
};

static const struct disasm_mode modes[] = {
	{"amd64", "AMD64 disassembler, AT&T syntax"},
	{"intel", "AMD64 disassembler, Intel syntax"},
	{0},
};

static void set_syntax(struct disasm *d)
{
	/* a valid handle takes both */
	(void)cs_option(d->handle, CS_OPT_SYNTAX,
			d->mode == 0 ? CS_OPT_SYNTAX_ATT : CS_OPT_SYNTAX_INTEL);
}

static struct disasm *disasm_of(struct types *types)
{
	struct disasm *d = types->disasm;

	if (d)
		return d;
	d = types->disasm = mem_zalloc(sizeof(*d));
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &d->handle) != CS_ERR_OK)
		return d;
	(void)cs_option(d->handle, CS_OPT_DETAIL, CS_OPT_ON);
	set_syntax(d);
	d->insn = cs_malloc(d->handle);
	return d;
}

void disasm_release(struct types *types)
{
	struct disasm *d = types->disasm;

	if (!d)
		return;
	if (d->insn)
		cs_free(d->insn, 1);
	if (d->handle)
		(void)cs_close(&d->handle);
	mem_free(d);
	types->disasm = NULL;
}

/* the address an operand means: a jump's, or one relative to rip */
static bool operand_address(const cs_insn *in, bool is_branch, taddr_t *ret)
{
	const cs_x86 *x = &in->detail->x86;

	for (unsigned i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];

		if (op->type == X86_OP_IMM && is_branch) {
			*ret = (taddr_t)op->imm;
			return true;
		}
		if (op->type == X86_OP_MEM && op->mem.base == X86_REG_RIP) {
			*ret = in->address + in->size + (taddr_t)op->mem.disp;
			return true;
		}
	}
	return false;
}

static bool is_branch(csh handle, const cs_insn *in)
{
	return cs_insn_group(handle, in, CS_GRP_JUMP) ||
	       cs_insn_group(handle, in, CS_GRP_CALL);
}

static void write_text(struct types *types, struct disasm *d, struct insn *ret)
{
	const cs_insn *in = d->insn;
	taddr_t to = 0;
	int n = 0;

	if (in->op_str[0])
		n = snprintf(ret->text, sizeof(ret->text), "%-7s%s%s",
			     in->mnemonic, strlen(in->mnemonic) < 7 ? "" : " ",
			     in->op_str);
	else
		n = snprintf(ret->text, sizeof(ret->text), "%s", in->mnemonic);
	if (operand_address(in, is_branch(d->handle, in), &to)) {
		_free_ char *name = types_addr_name(types, to);

		/* cut if it is very long: it is for people */
		if (strncmp(name, "0x", 2) != 0)
			(void)snprintf(ret->text + n,
				       sizeof(ret->text) - (size_t)n, "  <%s>",
				       name);
	}
}

void disasm_bytes(struct types *types, taddr_t addr, const void *bytes,
		  size_t n, struct insn *ret)
{
	struct disasm *d = disasm_of(types);
	const uint8_t *code = bytes;
	uint64_t at = addr;

	*ret = (struct insn){.addr = addr};
	if (d->insn && cs_disasm_iter(d->handle, &code, &n, &at, d->insn)) {
		ret->size_bytes = d->insn->size;
		write_text(types, d, ret);
		return;
	}
	ret->size_bytes = 1;
	ret->is_bad = true;
	(void)snprintf(ret->text, sizeof(ret->text), "(bad)"); /* fits */
}

struct err *disasm_refs(struct types *types, taddr_t addr, const void *bytes,
			size_t n,
			struct err *(*fn)(void *arg, taddr_t at, taddr_t to,
					  bool is_branch),
			void *arg)
{
	struct disasm *d = disasm_of(types);
	const uint8_t *code = bytes;
	uint64_t at = addr;
	struct err *err = NULL;

	while (!err && n > 0 && d->insn) {
		taddr_t to = 0;
		bool branch = false;

		if (!cs_disasm_iter(d->handle, &code, &n, &at, d->insn)) {
			code++;
			at++;
			n--;
			continue;
		}
		branch = is_branch(d->handle, d->insn);
		if (operand_address(d->insn, branch, &to))
			err = fn(
				arg, d->insn->address, to,
				branch &&
					d->insn->detail->x86.operands[0].type ==
						X86_OP_IMM);
	}
	return err;
}

struct err *disasm_at(struct types *types, taddr_t addr, struct insn *ret)
{
	unsigned char bytes[INSN_BYTES_MAX];
	size_t n = sizeof(bytes);
	struct err *err = target_read(types->target, addr, bytes, n);

	/* at the end of a mapping there are fewer */
	while (err && n > 1) {
		struct err *again =
			target_read(types->target, addr, bytes, --n);

		err_free(err);
		err = again;
	}
	if (err)
		return err;
	disasm_bytes(types, addr, bytes, n, ret);
	return NULL;
}

const struct disasm_mode *disasm_modes(void)
{
	return modes;
}

const struct disasm_mode *disasm_mode(const struct types *types)
{
	return &modes[types->disasm ? types->disasm->mode : 0];
}

bool disasm_set_mode(struct types *types, const char *name)
{
	for (size_t i = 0; modes[i].name; i++) {
		if (strcmp(modes[i].name, name) != 0)
			continue;
		disasm_of(types)->mode = i;
		set_syntax(types->disasm);
		return true;
	}
	return false;
}
