/* SPDX-License-Identifier: MIT */
/*
 * .eh_frame: from an address to the rules that undo its frame there.
 *
 * The format is DWARF call frame information in the dialect of the Linux
 * Standard Base:
 *
 *   .eh_frame_hdr   sorted table: function start -> FDE
 *        |
 *        v
 *   FDE: start, length, augmentation data, program -----> CIE: code and data
 *                                                         factors, pointer
 *                                                         encoding, program
 *
 * The program of the CIE gives the rules at the first byte of the function, the
 * program of the FDE is run on top of it until it passes the address wanted.
 *
 * All of it is read where the loader mapped it.  The tables are as trustworthy
 * as the code they describe, yet every read is bounded by the object and by
 * the record: a tool that wrote bad tables makes a stack short, not a fault.
 */
#include "unwind_impl.h"

/* how an encoded pointer is stored: low four bits ... */
enum {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	/* ... and what it is relative to */
	PE_PCREL = 0x10,
	PE_DATAREL = 0x30,
	PE_ALIGNED = 0x50,
	PE_BASE = 0x70,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

enum {
	CFA_NOP = 0x00,
	CFA_SET_LOC,
	CFA_ADVANCE_LOC1,
	CFA_ADVANCE_LOC2,
	CFA_ADVANCE_LOC4,
	CFA_OFFSET_EXTENDED,
	CFA_RESTORE_EXTENDED,
	CFA_UNDEFINED,
	CFA_SAME_VALUE,
	CFA_REGISTER,
	CFA_REMEMBER_STATE,
	CFA_RESTORE_STATE,
	CFA_DEF_CFA,
	CFA_DEF_CFA_REGISTER,
	CFA_DEF_CFA_OFFSET,
	CFA_DEF_CFA_EXPRESSION,
	CFA_EXPRESSION,
	CFA_OFFSET_EXTENDED_SF,
	CFA_DEF_CFA_SF,
	CFA_DEF_CFA_OFFSET_SF,
	CFA_VAL_OFFSET,
	CFA_VAL_OFFSET_SF,
	CFA_VAL_EXPRESSION,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED,
	/* with an operand in the low six bits */
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
};

#define REMEMBERED 4 /* depth of DW_CFA_remember_state; 1 is all gcc uses */

/* a function's record, together with what its CIE says */
struct fde {
	uintptr_t start; /* [start, end) */
	uintptr_t end;
	uint64_t code_factor;
	int64_t data_factor;
	uint8_t encoding; /* of addresses */
	bool is_signal;
	bool has_data;               /* augmentation data in the FDE */
	struct unwind_cursor common; /* program of the CIE */
	struct unwind_cursor own;    /* program of the FDE */
};

struct run {
	const struct fde *fde;
	const struct unwind_object *obj;
	uintptr_t loc;
	struct unwind_row *row;
	const struct unwind_row *initial; /* for DW_CFA_restore, or NULL */
	struct unwind_row saved[REMEMBERED];
	unsigned nsaved;
};

/* ---- reading ----------------------------------------------------------- */

static inline uint64_t read_byte(struct unwind_cursor *c)
{
	if (c->p < c->end)
		return *c->p++;
	c->bad = true;
	return 0;
}

uint64_t unwind_read(struct unwind_cursor *c, unsigned n)
{
	uint64_t v = 0;
	unsigned i;

	if (c->bad || (size_t)(c->end - c->p) < n || c->p > c->end) {
		c->bad = true;
		return 0;
	}
	for (i = 0; i < n; i++)
		v |= (uint64_t)c->p[i] << 8 * i;
	c->p += n;
	return v;
}

int64_t unwind_read_signed(struct unwind_cursor *c, unsigned n)
{
	unsigned unused_bits = 64 - 8 * n;

	return (int64_t)(unwind_read(c, n) << unused_bits) >> unused_bits;
}

uint64_t unwind_uleb(struct unwind_cursor *c)
{
	uint64_t v = 0;
	unsigned shift;
	uint64_t byte;

	for (shift = 0; shift < 64; shift += 7) {
		byte = read_byte(c);
		v |= (byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

int64_t unwind_sleb(struct unwind_cursor *c)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint64_t byte;

	do {
		if (shift >= 64) {
			c->bad = true;
			return 0;
		}
		byte = read_byte(c);
		v |= (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (shift < 64 && byte & 0x40)
		v |= ~UINT64_C(0) << shift;
	return (int64_t)v;
}

static void skip(struct unwind_cursor *c, uint64_t n)
{
	if (n > (uint64_t)(c->end - c->p))
		c->bad = true;
	else
		c->p += n;
}

static unsigned encoded_width(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case PE_UDATA2:
	case PE_SDATA2:
		return 2;
	case PE_UDATA4:
	case PE_SDATA4:
		return 4;
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return 8;
	default:
		return 0; /* LEB128, or nothing we know */
	}
}

static uint64_t read_value(struct unwind_cursor *c, uint8_t form)
{
	if (form == PE_ULEB128)
		return unwind_uleb(c);
	if (form == PE_SLEB128)
		return (uint64_t)unwind_sleb(c);
	if (encoded_width(form) == 0)
		c->bad = true;
	else if (form == PE_SDATA2 || form == PE_SDATA4)
		return (uint64_t)unwind_read_signed(c, encoded_width(form));
	return unwind_read(c, encoded_width(form));
}

static bool in_object(const struct unwind_object *obj, uintptr_t p)
{
	return p >= obj->start && p <= obj->end - sizeof(uintptr_t);
}

/* an encoded pointer; 0 stays 0 whatever it is relative to */
static uintptr_t read_encoded(struct unwind_cursor *c, uint8_t encoding,
			      const struct unwind_object *obj)
{
	uintptr_t here;
	uint64_t v;

	if ((encoding & PE_BASE) == PE_ALIGNED)
		skip(c, -(uintptr_t)c->p & (sizeof(uintptr_t) - 1));
	here = (uintptr_t)c->p;
	v = read_value(c, encoding & 0x0f);
	if (c->bad || v == 0)
		return 0;
	switch (encoding & PE_BASE) {
	case 0:
	case PE_ALIGNED:
		break;
	case PE_PCREL:
		v += here;
		break;
	case PE_DATAREL:
		v += (uintptr_t)obj->hdr;
		break;
	default:
		c->bad = true;
	}
	if (encoding & PE_INDIRECT) {
		if (!in_object(obj, v))
			c->bad = true;
		else
			v = unwind_word(v);
	}
	return c->bad ? 0 : v;
}

/* ---- CIE and FDE ------------------------------------------------------- */

/*
 * Opens the record at p: body is set to what follows its length.  Returns
 * false at the end mark and when it does not fit its object.
 */
static bool open_record(const struct unwind_object *obj, uintptr_t p,
			struct unwind_cursor *body, bool *is_64bit)
{
	uint64_t bytes;

	if (!in_object(obj, p))
		return false;
	*body = (struct unwind_cursor){.p = (const uint8_t *)p,
				       .end = (const uint8_t *)obj->end};
	bytes = unwind_read(body, 4);
	*is_64bit = bytes == 0xffffffff;
	if (*is_64bit)
		bytes = unwind_read(body, 8);
	if (body->bad || bytes == 0 || bytes > (size_t)(body->end - body->p))
		return false;
	body->end = body->p + bytes;
	return true;
}

/* reads the letters of a CIE's augmentation and their data */
static bool read_augmentation(struct unwind_cursor *c, const char *letters,
			      struct fde *fde, const struct unwind_object *obj)
{
	const uint8_t *end = NULL;
	uint8_t encoding;
	uint64_t bytes;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'z':
			bytes = unwind_uleb(c);
			if (c->bad || bytes > (uint64_t)(c->end - c->p))
				return false;
			end = c->p + bytes;
			fde->has_data = true;
			break;
		case 'R':
			fde->encoding = (uint8_t)unwind_read(c, 1);
			break;
		case 'L':
			(void)unwind_read(c, 1);
			break;
		case 'P':
			encoding = (uint8_t)unwind_read(c, 1);
			(void)read_encoded(c, encoding & ~PE_INDIRECT, obj);
			break;
		case 'S':
			fde->is_signal = true;
			break;
		case 'B':
			break;
		default:
			/* unknown: its data can be passed over if sized */
			if (!end)
				return false;
			c->p = end;
			return true;
		}
	}
	if (end)
		c->p = end;
	return !c->bad;
}

static bool read_cie(uintptr_t at, struct fde *fde,
		     const struct unwind_object *obj)
{
	struct unwind_cursor c;
	const char *letters;
	bool is_64bit;
	uint64_t version;
	uint64_t ra;

	if (!open_record(obj, at, &c, &is_64bit) ||
	    unwind_read(&c, is_64bit ? 8 : 4) != 0)
		return false;
	version = unwind_read(&c, 1);
	if (version != 1 && version != 3 && version != 4)
		return false;
	letters = (const char *)c.p;
	while (read_byte(&c) != 0)
		;
	if (c.bad)
		return false;
	if (letters[0] == 'e' && letters[1] == 'h') { /* gcc 2 */
		skip(&c, sizeof(uintptr_t));
		letters += 2;
	}
	if (version == 4 && unwind_read(&c, 2) != sizeof(uintptr_t))
		return false; /* address size 8, no segment selector */
	fde->code_factor = unwind_uleb(&c);
	fde->data_factor = unwind_sleb(&c);
	ra = version == 1 ? unwind_read(&c, 1) : unwind_uleb(&c);
	if (c.bad || ra != UNWIND_RA)
		return false;
	if (!read_augmentation(&c, letters, fde, obj))
		return false;
	fde->common = c;
	return true;
}

static bool read_fde(uintptr_t at, struct fde *fde,
		     const struct unwind_object *obj)
{
	struct unwind_cursor c;
	bool is_64bit;
	uintptr_t here;
	uint64_t back;

	*fde = (struct fde){.encoding = PE_ABSPTR};
	if (!open_record(obj, at, &c, &is_64bit))
		return false;
	here = (uintptr_t)c.p;
	back = unwind_read(&c, is_64bit ? 8 : 4);
	if (back == 0 || !read_cie(here - back, fde, obj))
		return false;
	fde->start = read_encoded(&c, fde->encoding, obj);
	fde->end = fde->start + read_value(&c, fde->encoding & 0x0f);
	if (fde->has_data)
		skip(&c, unwind_uleb(&c));
	fde->own = c;
	return !c.bad;
}

/* ---- search ------------------------------------------------------------ */

/* a table without an index: one FDE after the other */
static bool scan(const struct unwind_object *obj, uintptr_t at, uintptr_t pc,
		 struct fde *fde)
{
	struct unwind_cursor c;
	bool is_64bit;

	for (; open_record(obj, at, &c, &is_64bit); at = (uintptr_t)c.end)
		if (read_fde(at, fde, obj) && pc >= fde->start && pc < fde->end)
			return true;
	return false;
}

/* entry i, first (function) or second (FDE) word, of a search table */
static uintptr_t table_word(const struct unwind_object *obj,
			    const struct unwind_cursor *table, uint8_t encoding,
			    uint64_t i, unsigned word)
{
	struct unwind_cursor c = *table;

	c.p += (2 * i + word) * encoded_width(encoding);
	/* what every linker writes; the caller has checked the bounds */
	if (encoding == (PE_DATAREL | PE_SDATA4))
		return (uintptr_t)obj->hdr +
		       (uintptr_t)(intptr_t)(*(const int32_t *)c.p);
	return read_encoded(&c, encoding, obj);
}

static bool find_fde(const struct unwind_object *obj, uintptr_t pc,
		     struct fde *fde)
{
	struct unwind_cursor c = {.p = obj->hdr,
				  .end = (const uint8_t *)obj->end};
	uint64_t version = unwind_read(&c, 1);
	uint8_t frame_encoding = (uint8_t)unwind_read(&c, 1);
	uint8_t count_encoding = (uint8_t)unwind_read(&c, 1);
	uint8_t encoding = (uint8_t)unwind_read(&c, 1);
	unsigned width = encoded_width(encoding);
	uintptr_t frames = read_encoded(&c, frame_encoding, obj);
	uint64_t low = 0;
	uint64_t high;
	uint64_t mid;

	if (c.bad || version != 1)
		return false;
	if (count_encoding == PE_OMIT || encoding == PE_OMIT || width == 0)
		return scan(obj, frames, pc, fde);
	high = read_value(&c, count_encoding & 0x0f);
	if (c.bad || high == 0 ||
	    high > (uint64_t)(c.end - c.p) / (2 * width) ||
	    pc < table_word(obj, &c, encoding, 0, 0))
		return false;
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (table_word(obj, &c, encoding, mid, 0) <= pc)
			low = mid;
		else
			high = mid;
	}
	return read_fde(table_word(obj, &c, encoding, low, 1), fde, obj) &&
	       pc >= fde->start && pc < fde->end;
}

/* ---- the programs ------------------------------------------------------ */

static void set_off(struct unwind_row *row, uint64_t reg, enum unwind_how how,
		    int64_t off)
{
	if (reg < UNWIND_NREG) {
		row->how[reg] = (uint8_t)how;
		row->at[reg].off = off;
	}
}

static const uint8_t *read_block(struct unwind_cursor *c)
{
	const uint8_t *block = c->p;

	skip(c, unwind_uleb(c));
	return block;
}

static void set_expr(struct unwind_row *row, struct unwind_cursor *c,
		     enum unwind_how how)
{
	uint64_t reg = unwind_uleb(c);
	const uint8_t *expr = read_block(c);

	if (reg < UNWIND_NREG) {
		row->how[reg] = (uint8_t)how;
		row->at[reg].expr = expr;
	}
}

static void set_cfa(struct unwind_row *row, uint64_t reg, int64_t off)
{
	row->cfa_expr = NULL;
	row->cfa_reg = reg < UNWIND_NREG ? (uint8_t)reg : UNWIND_NREG;
	row->cfa_off = off;
}

static void restore(struct run *run, uint64_t reg)
{
	if (reg >= UNWIND_NREG)
		return;
	run->row->how[reg] = run->initial ? run->initial->how[reg] : 0;
	if (run->initial)
		run->row->at[reg] = run->initial->at[reg];
}

/* instructions that say where a register is; false: it is none of them */
static bool run_register(struct run *run, struct unwind_cursor *c, unsigned op)
{
	int64_t factor = run->fde->data_factor;
	struct unwind_row *row = run->row;
	uint64_t reg;

	switch (op) {
	case CFA_EXPRESSION:
		set_expr(row, c, UNWIND_AT_EXPR);
		return true;
	case CFA_VAL_EXPRESSION:
		set_expr(row, c, UNWIND_EXPR);
		return true;
	default:
		break;
	}
	if (op < CFA_OFFSET_EXTENDED || op > CFA_GNU_NEGATIVE_OFFSET_EXTENDED)
		return false;
	reg = unwind_uleb(c);
	switch (op) {
	case CFA_OFFSET_EXTENDED:
		set_off(row, reg, UNWIND_AT_CFA,
			(int64_t)unwind_uleb(c) * factor);
		break;
	case CFA_OFFSET_EXTENDED_SF:
		set_off(row, reg, UNWIND_AT_CFA, unwind_sleb(c) * factor);
		break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		set_off(row, reg, UNWIND_AT_CFA,
			-(int64_t)unwind_uleb(c) * factor);
		break;
	case CFA_VAL_OFFSET:
		set_off(row, reg, UNWIND_CFA_OFF,
			(int64_t)unwind_uleb(c) * factor);
		break;
	case CFA_VAL_OFFSET_SF:
		set_off(row, reg, UNWIND_CFA_OFF, unwind_sleb(c) * factor);
		break;
	case CFA_REGISTER:
		set_off(row, reg, UNWIND_IN_REG, (int64_t)unwind_uleb(c));
		break;
	case CFA_UNDEFINED:
		set_off(row, reg, UNWIND_UNDEF, 0);
		break;
	case CFA_SAME_VALUE:
		set_off(row, reg, UNWIND_SAME, 0);
		break;
	case CFA_RESTORE_EXTENDED:
		restore(run, reg);
		break;
	default:
		return false;
	}
	return true;
}

/* instructions that say what the CFA is; false: it is none of them */
static bool run_cfa(struct run *run, struct unwind_cursor *c, unsigned op)
{
	int64_t factor = run->fde->data_factor;
	struct unwind_row *row = run->row;
	uint64_t reg;

	switch (op) {
	case CFA_DEF_CFA:
		reg = unwind_uleb(c);
		set_cfa(row, reg, (int64_t)unwind_uleb(c));
		return true;
	case CFA_DEF_CFA_SF:
		reg = unwind_uleb(c);
		set_cfa(row, reg, unwind_sleb(c) * factor);
		return true;
	case CFA_DEF_CFA_REGISTER:
		set_cfa(row, unwind_uleb(c), row->cfa_off);
		return true;
	case CFA_DEF_CFA_OFFSET:
		row->cfa_off = (int64_t)unwind_uleb(c);
		return true;
	case CFA_DEF_CFA_OFFSET_SF:
		row->cfa_off = unwind_sleb(c) * factor;
		return true;
	case CFA_DEF_CFA_EXPRESSION:
		row->cfa_expr = read_block(c);
		return true;
	default:
		return false;
	}
}

/* instructions that move the address; false: it is none of them */
static bool run_loc(struct run *run, struct unwind_cursor *c, unsigned op)
{
	uint64_t factor = run->fde->code_factor;

	switch (op) {
	case CFA_ADVANCE_LOC1:
		run->loc += unwind_read(c, 1) * factor;
		break;
	case CFA_ADVANCE_LOC2:
		run->loc += unwind_read(c, 2) * factor;
		break;
	case CFA_ADVANCE_LOC4:
		run->loc += unwind_read(c, 4) * factor;
		break;
	case CFA_SET_LOC:
		run->loc = read_encoded(c, run->fde->encoding, run->obj);
		break;
	default:
		return false;
	}
	return true;
}

static bool run_one(struct run *run, struct unwind_cursor *c)
{
	unsigned op = (unsigned)read_byte(c);
	unsigned low = op & 0x3f;

	switch (op & 0xc0) {
	case CFA_ADVANCE_LOC:
		run->loc += low * run->fde->code_factor;
		return true;
	case CFA_OFFSET:
		set_off(run->row, low, UNWIND_AT_CFA,
			(int64_t)unwind_uleb(c) * run->fde->data_factor);
		return true;
	case CFA_RESTORE:
		restore(run, low);
		return true;
	default:
		break;
	}
	switch (op) {
	case CFA_NOP:
		return true;
	case CFA_GNU_ARGS_SIZE:
		(void)unwind_uleb(c);
		return true;
	case CFA_REMEMBER_STATE:
		if (run->nsaved == REMEMBERED)
			return false;
		run->saved[run->nsaved++] = *run->row;
		return true;
	case CFA_RESTORE_STATE:
		if (run->nsaved == 0)
			return false;
		*run->row = run->saved[--run->nsaved];
		return true;
	default:
		return run_loc(run, c, op) || run_cfa(run, c, op) ||
		       run_register(run, c, op);
	}
}

static bool run_program(struct run *run, struct unwind_cursor c, uintptr_t pc)
{
	while (c.p < c.end && run->loc <= pc)
		if (!run_one(run, &c) || c.bad)
			return false;
	return true;
}

bool unwind_row_find(const struct unwind_object *obj, uintptr_t pc,
		     struct unwind_row *row)
{
	struct unwind_row initial;
	struct fde fde;
	struct run run;

	if (!find_fde(obj, pc, &fde))
		return false;
	*row = (struct unwind_row){.cfa_reg = UNWIND_NREG,
				   .is_signal = fde.is_signal,
				   .start = fde.start};
	run.fde = &fde;
	run.obj = obj;
	run.row = row;
	run.initial = NULL;
	run.nsaved = 0;
	run.loc = 0;
	if (!run_program(&run, fde.common, UINTPTR_MAX))
		return false;
	initial = *row;
	run.initial = &initial;
	run.loc = fde.start;
	return run_program(&run, fde.own, pc);
}
