/* SPDX-License-Identifier: MIT */
/*
 * The contract with the debugger: the constants it reads instead of compiling
 * them in, a compile error for each member it looks up that is gone, and one
 * unit that describes every type of the contract in DWARF.
 */
#include "kmem_internal.h"

#define KC_SYM(name, required)
/* offsetof refuses bit-fields; the comma makes any member sizeof's business */
#define KC_FIELD(type, member, required)                              \
	_Static_assert(sizeof(((void)((struct type *)0)->member, 0)), \
		       #type "." #member);
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD

/* every root symbol has a declaration here */
#define KC_SYM(name, required) \
	_Static_assert(sizeof(__typeof__(&name)) == sizeof(void *), #name);
#define KC_FIELD(type, member, required)
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD

_Static_assert(sizeof(kmem_bufctl_audit_t) == 64, "a log record is 64 bytes");
_Static_assert(sizeof(kmem_cpu_cache_t) == 64, "a CPU element is one line");
_Static_assert(sizeof(kmem_cpu_log_header_t) == 64, "and so is a log's");
_Static_assert(sizeof(kmem_slab_t) == 56, "slab geometry counts on it");
_Static_assert(sizeof(kmem_buftag_t) == 24, "buffer layout counts on it");

const uint32_t kmem_abi_version = 1;
uintptr_t kmem_altstack[2];

const kmem_patterns_t kmem_patterns = {
	.kp_free = KMEM_FREE_PATTERN,
	.kp_uninitialized = KMEM_UNINITIALIZED_PATTERN,
	.kp_redzone = KMEM_REDZONE_PATTERN,
	.kp_buftag_alloc = KMEM_BUFTAG_ALLOC,
	.kp_buftag_free = KMEM_BUFTAG_FREE,
	.kp_redzone_byte = KMEM_REDZONE_BYTE,
	.kp_size_mul = 251,
	.kp_stack_shift = KMEM_STACK_SHIFT,
	.kp_kmf_audit = KMF_AUDIT,
	.kp_kmf_deadbeef = KMF_DEADBEEF,
	.kp_kmf_redzone = KMF_REDZONE,
	.kp_kmf_nomagazine = KMF_NOMAGAZINE,
	.kp_kmf_lite = KMF_LITE,
	.kp_kmf_hash = KMF_HASH,
	.kp_kmc_notouch = KMC_NOTOUCH,
	.kp_kmc_qcache = KMC_QCACHE,
	.kp_vmc_identifier = VMC_IDENTIFIER,
	.kp_seg_alloc = VMEM_ALLOC,
	.kp_seg_free = VMEM_FREE,
	.kp_seg_span = VMEM_SPAN,
	.kp_seg_rotor = VMEM_ROTOR,
	.kp_seg_walker = VMEM_WALKER,
};
