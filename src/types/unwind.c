/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stacks by call frame information.
 *
 * libdwfl evaluates the CFI of the modules we reported; registers come from the
 * thread at hand and words from target_read(), through the callbacks below.
 * Where a module has no CFI for a pc, libdwfl's backend follows the frame
 * pointer.  What it yields is checked here, as a stack may be anything:
 *
 * (I1) at most FRAMES_MAX frames;
 * (I2) stack pointers ascend, but across a signal, which may have had a stack
 *      of its own;
 * (I3) a walk that cannot go on ends; it is no error.
 *
 * A frame's CFA is the stack pointer of its caller, so a frame is handed on
 * when the next is known.  A thread that jumped to where no code is (a call of
 * a wild pointer) has its return address on top of the stack: the walk goes on
 * from there.
 */
#include "types/types_impl.h"

#include <string.h>

enum {
	REG_RBX = 3,
	REG_RSP = 7,
	REG_RIP = 16,
	NREGS = 17
}; /* DWARF's numbers */

struct walk {
	struct types *types;
	struct err *(*fn)(void *arg, const struct frame *f);
	void *arg;
	struct err *err;
	struct frame last; /* not yet handed on */
	bool has_last;
	bool is_resumed; /* the first frame is a caller: see above */
	size_t n;
};

/* ---- callbacks ----------------------------------------------------------- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = arg;
	return 1;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	(void)dwfl;
	(void)tid;
	*thread_arg = arg;
	return true;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *ret, void *arg)
{
	const struct types *types = arg;
	uint64_t word;
	struct err *err;

	(void)dwfl;
	if (addr > UINT64_MAX - sizeof(word))
		return false;
	err = target_read_u64(types->target, addr, &word);
	if (err) {
		err_free(err);
		return false;
	}
	*ret = word;
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct types *types = arg;
	const struct user_regs_struct *r = &types->unwinding->regs;
	const Dwarf_Word all[NREGS] = {
		r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi,
		r->rbp, r->rsp, r->r8,  r->r9,  r->r10, r->r11,
		r->r12, r->r13, r->r14, r->r15, r->rip,
	};

	if (!types->unwinding->regs_partial)
		return dwfl_thread_state_registers(thread, 0, NREGS, all);
	return dwfl_thread_state_registers(thread, REG_RSP, 1, &all[REG_RSP]) &&
	       dwfl_thread_state_registers(thread, REG_RIP, 1, &all[REG_RIP]);
}

static const Dwfl_Thread_Callbacks callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

/* all libdwfl wants to know of the core file: its machine */
static bool attach(struct types *types)
{
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			    ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(eh),
	};
	Dwfl *dwfl = types_dwfl(types);

	if (types->is_attached || !dwfl)
		return types->is_attached;
	_Static_assert(sizeof(eh) == sizeof(types->machine_header), "a header");
	memcpy(types->machine_header, &eh, sizeof(eh));
	types->machine = elf_memory((char *)types->machine_header, sizeof(eh));
	if (!types->machine)
		return false;
	types->is_attached =
		dwfl_attach_state(dwfl, types->machine, 1, &callbacks, types);
	return types->is_attached;
}

void unwind_release(struct types *types)
{
	if (types->machine)
		(void)elf_end(types->machine);
	types->machine = NULL;
}

/* ---- the walk ------------------------------------------------------------ */

static bool hand_on(struct walk *walk, taddr_t cfa)
{
	if (!walk->has_last)
		return true;
	walk->has_last = false;
	walk->last.cfa = cfa;
	walk->err = walk->fn(walk->arg, &walk->last);
	return walk->err == NULL;
}

static int on_frame(Dwfl_Frame *dwfl_frame, void *arg)
{
	struct walk *walk = arg;
	struct frame frame = {0};
	Dwarf_Word sp = 0;
	bool is_activation;

	if (!dwfl_frame_pc(dwfl_frame, &frame.pc, &is_activation) ||
	    frame.pc == 0 || walk->n >= FRAMES_MAX)
		return DWARF_CB_ABORT;
	if (dwfl_frame_reg(dwfl_frame, REG_RSP, &sp) != 0)
		sp = 0;
	frame.sp = sp;
	for (unsigned i = 0; i < 16; i++) {
		Dwarf_Word word;

		if (dwfl_frame_reg(dwfl_frame, i, &word) != 0)
			continue;
		frame.regs[i] = word;
		frame.has_regs |= 1u << i;
	}
	/* libdw's table of the ABI leaves rbx out: a function that says nothing
	 * of it has kept it */
	if (!(frame.has_regs & 1u << REG_RBX) && walk->has_last &&
	    (walk->last.has_regs & 1u << REG_RBX)) {
		frame.regs[REG_RBX] = walk->last.regs[REG_RBX];
		frame.has_regs |= 1u << REG_RBX;
	}
	frame.is_activation =
		is_activation && !(walk->is_resumed && walk->n == 1);
	if (walk->has_last && !is_activation && sp <= walk->last.sp)
		return DWARF_CB_ABORT;
	if (!hand_on(walk, is_activation ? 0 : sp))
		return DWARF_CB_ABORT;
	walk->last = frame;
	walk->has_last = true;
	walk->n++;
	return DWARF_CB_OK;
}

static bool has_code(const struct types *types, taddr_t pc)
{
	const struct target_map *map = target_map_at(types->target, pc);

	return object_at(types, pc) || (map && (map->prot & PF_X));
}

/* steps out of a call to where no code is */
static bool step_out(struct walk *walk, struct target_thread *thread)
{
	uint64_t pc;

	if (has_code(walk->types, thread->regs.rip) ||
	    !memory_read(NULL, thread->regs.rsp, &pc, walk->types) ||
	    !object_at(walk->types, pc))
		return true;
	walk->last = (struct frame){
		.pc = thread->regs.rip,
		.sp = thread->regs.rsp,
		.is_activation = true,
	};
	walk->has_last = true;
	walk->n = 1;
	walk->is_resumed = true;
	thread->regs.rip = pc;
	thread->regs.rsp += sizeof(pc);
	return hand_on(walk, thread->regs.rsp);
}

struct err *types_unwind(struct types *types,
			 const struct target_thread *thread,
			 struct err *(*fn)(void *arg, const struct frame *f),
			 void *arg)
{
	struct walk walk = {.types = types, .fn = fn, .arg = arg};
	struct target_thread start = *thread;

	if (!thread->has_regs)
		return NULL;
	if (step_out(&walk, &start) && attach(types)) {
		size_t before = walk.n;

		types->unwinding = &start;
		/* how it ended does not matter: see (I3) */
		(void)dwfl_getthread_frames(types->dwfl, 1, on_frame, &walk);
		types->unwinding = NULL;
		if (walk.n == before && !walk.err) {
			walk.last.pc = start.regs.rip;
			walk.last.sp = start.regs.rsp;
			walk.last.is_activation = !walk.is_resumed;
			walk.has_last = true;
		}
	}
	if (!walk.err)
		(void)hand_on(&walk, 0);
	if (err_is(walk.err, ERR_STOP)) {
		err_free(walk.err);
		return NULL;
	}
	return walk.err;
}
