/* SPDX-License-Identifier: MIT */
/*
 * Filling buffers with a pattern, and looking whether it is still there.
 *
 * Small buffers are handled word by word, longer ones in turns of 64 bytes by
 * vector registers, three times as fast: with every check on, a program that
 * uses large buffers spends most of its time here.  It is the one place of the
 * library that uses them (lint/vectors).  What they held is of no use to the
 * caller of a function; what they hold when a turn is over is zero, so that no
 * word of a buffer stays in a register to be taken for a pointer of the
 * program's.
 *
 * SSE2 every x86-64 has.  Registers of AVX2 are asked for while starting, and
 * make a quarter less of a buffer that is in the second cache.  What is filled
 * at length and not looked at, is filled by the string instruction, which does
 * not read what it writes over: half the time when it is in no cache.
 */
#include "kmem_pattern.h"

#include <cpuid.h>

#define FILL_LONG "2048" /* bytes from which the string instruction is faster */

/* written while starting; asm below reads it */
uint8_t kmem_has_avx2;

KM_STARTUP void kmem_pattern_init(void)
{
	unsigned a, b, c, d;
	uint32_t low, high;

	/* OSXSAVE: may we ask which registers the system saves? */
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return;
	kmem_has_avx2 = (b & bit_AVX2) != 0;
}

#define FUNCTION(name)                                            \
	".text\n\t.p2align 4\n\t.hidden " name "\n\t.globl " name \
	"\n\t.type " name ", @function\n" name ":\n\t.cfi_startproc\n\t"
#define FUNCTION_END(name) "ret\n\t.cfi_endproc\n\t.size " name ", .-" name "\n"
/* to the other loop when there are wide registers */
#define WIDE(label) "cmpb $0, kmem_has_avx2(%rip)\n\tjne " label "\n\t"
#define SPREAD(gpr, xmm) \
	"movq " gpr ", " xmm "\n\tpunpcklqdq " xmm ", " xmm "\n\t"
#define SPREAD_WIDE(gpr, n)            \
	"vmovq " gpr ", %xmm" n "\n\t" \
	"vpbroadcastq %xmm" n ", %ymm" n "\n\t"
/* is the turn at rsi all xmm0?  ZF says so */
#define COMPARE                      \
	"movdqu (%rsi), %xmm1\n\t"   \
	"movdqu 16(%rsi), %xmm2\n\t" \
	"movdqu 32(%rsi), %xmm3\n\t" \
	"movdqu 48(%rsi), %xmm4\n\t" \
	"pcmpeqd %xmm0, %xmm1\n\t"   \
	"pcmpeqd %xmm0, %xmm2\n\t"   \
	"pcmpeqd %xmm0, %xmm3\n\t"   \
	"pcmpeqd %xmm0, %xmm4\n\t"   \
	"pand %xmm2, %xmm1\n\t"      \
	"pand %xmm4, %xmm3\n\t"      \
	"pand %xmm3, %xmm1\n\t"      \
	"pmovmskb %xmm1, %eax\n\t"   \
	"cmpl $0xffff, %eax\n\t"
#define COMPARE_WIDE                       \
	"vpxor (%rsi), %ymm0, %ymm1\n\t"   \
	"vpxor 32(%rsi), %ymm0, %ymm2\n\t" \
	"vpor %ymm1, %ymm2, %ymm1\n\t"     \
	"vptest %ymm1, %ymm1\n\t"
#define STORE(xmm)                     \
	"movdqu " xmm ", (%rsi)\n\t"   \
	"movdqu " xmm ", 16(%rsi)\n\t" \
	"movdqu " xmm ", 32(%rsi)\n\t" \
	"movdqu " xmm ", 48(%rsi)\n\t"
#define STORE_WIDE(ymm)               \
	"vmovdqu " ymm ", (%rsi)\n\t" \
	"vmovdqu " ymm ", 32(%rsi)\n\t"
/* does a step for each turn of [rsi, rdx), and goes to 2 at the end */
#define TURNS(label, step)                          \
	label ":"                                   \
	      "cmpq %rdx, %rsi\n\t"                 \
	      "je 2f\n\t" step "addq $64, %rsi\n\t" \
	      "jmp " label "b\n"
#define CLEAR                   \
	"pxor %xmm0, %xmm0\n\t" \
	"pxor %xmm1, %xmm1\n\t" \
	"pxor %xmm2, %xmm2\n\t" \
	"pxor %xmm3, %xmm3\n\t" \
	"pxor %xmm4, %xmm4\n\t" \
	"pxor %xmm5, %xmm5\n\t"
/* the end of both loops: upper halves, which the wide one used, come first */
#define END                                   \
	"2:	cmpb $0, kmem_has_avx2(%rip)\n\t" \
	"je 3f\n\t"                           \
	"vzeroupper\n"                        \
	"3:	" CLEAR

/* clang-format off */
__asm__(FUNCTION("kmem_turns_verify")
	WIDE("4f")
	SPREAD("%rdi", "%xmm0")
	TURNS("1", COMPARE "jne 2f\n\t")
	"4:	" SPREAD_WIDE("%rdi", "0")
	TURNS("5", COMPARE_WIDE "jne 2f\n\t")
	END
	"movq %rsi, %rax\n\t"
	FUNCTION_END("kmem_turns_verify"));

__asm__(FUNCTION("kmem_turns_fill")
	"movq %rdx, %rcx\n\t"
	"subq %rsi, %rcx\n\t"
	"cmpq $" FILL_LONG ", %rcx\n\t"
	"jae 6f\n\t"
	WIDE("4f")
	SPREAD("%rdi", "%xmm0")
	TURNS("1", STORE("%xmm0"))
	"4:	" SPREAD_WIDE("%rdi", "0")
	TURNS("5", STORE_WIDE("%ymm0"))
	END
	"ret\n"
	"6:	movq %rdi, %rax\n\t"
	"movq %rsi, %rdi\n\t"
	"shrq $3, %rcx\n\t"
	"rep stosq\n\t"
	FUNCTION_END("kmem_turns_fill"));

__asm__(FUNCTION("kmem_turns_replace")
	WIDE("4f")
	SPREAD("%rdi", "%xmm0")
	SPREAD("%rcx", "%xmm5")
	TURNS("1", COMPARE "jne 2f\n\t" STORE("%xmm5"))
	"4:	" SPREAD_WIDE("%rdi", "0")
	SPREAD_WIDE("%rcx", "5")
	TURNS("5", COMPARE_WIDE "jne 2f\n\t" STORE_WIDE("%ymm5"))
	END
	"movq %rsi, %rax\n\t"
	FUNCTION_END("kmem_turns_replace"));
/* clang-format on */

void kmem_pattern_fill(uint64_t pattern, void *buf, size_t bytes)
{
	kmem_words_fill(pattern, buf, bytes);
}

uint64_t *kmem_pattern_verify(uint64_t pattern, void *buf, size_t bytes)
{
	return kmem_words_verify(pattern, buf, bytes);
}

uint64_t *kmem_pattern_replace(uint64_t old, uint64_t new, void *buf,
			       size_t bytes)
{
	return kmem_words_replace(old, new, buf, bytes);
}
