/* SPDX-License-Identifier: MIT */
/*
 * Messages and the end: what there is to say when the heap cannot be trusted.
 *
 * Everything here works in a process whose heap is damaged, whose locks are
 * held and whose libc is in any state: static or stack memory, system calls,
 * no allocation, no stdio.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MESSAGE_MAX  1024
#define SIGSET_BYTES 8 /* of the kernel's sigset_t */

void (*kmem_panic_hook)(void); /* set once by a constructor */
char kmem_error_buffer[KMEM_ERROR_BUFFER] KM_SELDOM; /* kmem_report_lock */
static size_t error_used;

/* ---- formatting ---- */

struct out {
	char *buf;
	size_t room;
	size_t used;
};

static void put(struct out *o, char c)
{
	if (o->used + 1 < o->room)
		o->buf[o->used] = c;
	o->used++;
}

static void put_number(struct out *o, unsigned long long n, unsigned base,
		       int width, char fill)
{
	char digits[24];
	int i = 0;

	do {
		digits[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	for (; width > i; width--)
		put(o, fill);
	while (i > 0)
		put(o, digits[--i]);
}

static void put_string(struct out *o, const char *s)
{
	if (!s)
		s = "(null)";
	while (*s)
		put(o, *s++);
}

/** Fetches the next integer as its conversion says. */
static long long next_int(va_list *ap, int nlong, int is_signed)
{
	if (nlong)
		return va_arg(*ap, long);
	if (is_signed)
		return va_arg(*ap, int);
	return va_arg(*ap, unsigned);
}

/** One conversion, from behind the % on; returns what is behind it. */
static const char *put_conversion(struct out *o, const char *f, va_list *ap)
{
	char fill = ' ';
	int width = 0;
	int nlong = 0;
	long long n;

	if (*f == '0')
		fill = *f++;
	for (; *f >= '0' && *f <= '9'; f++)
		width = width * 10 + *f - '0';
	for (; *f == 'l'; f++)
		nlong++;
	switch (*f) {
	case 's':
		put_string(o, va_arg(*ap, const char *));
		break;
	case 'c':
		put(o, (char)va_arg(*ap, int));
		break;
	case 'd':
		n = next_int(ap, nlong, 1);
		if (n < 0)
			put(o, '-');
		put_number(o,
			   n < 0 ? -(unsigned long long)n
				 : (unsigned long long)n,
			   10, width, fill);
		break;
	case 'u':
		put_number(o, (unsigned long long)next_int(ap, nlong, 0), 10,
			   width, fill);
		break;
	case 'x':
		put_number(o, (unsigned long long)next_int(ap, nlong, 0), 16,
			   width, fill);
		break;
	case 'p':
		put_string(o, "0x");
		put_number(o, (uintptr_t)va_arg(*ap, void *), 16, 0, ' ');
		break;
	default:
		put(o, *f);
		break;
	}
	return *f ? f + 1 : f;
}

size_t kmem_vformat(char *buf, size_t room, const char *fmt, va_list ap)
{
	struct out o = {buf, room, 0};
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt == '%')
			fmt = put_conversion(&o, fmt + 1, &args);
		else
			put(&o, *fmt++);
	}
	va_end(args);
	if (room)
		buf[o.used < room ? o.used : room - 1] = '\0';
	return o.used;
}

size_t kmem_format(char *buf, size_t room, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = kmem_vformat(buf, room, fmt, ap);
	va_end(ap);
	return n;
}

/* ---- messages ---- */

void kmem_report_clear(void)
{
	error_used = 0;
	kmem_error_buffer[0] = '\0';
}

static void __attribute__((format(printf, 1, 0)))
vreport(const char *fmt, va_list ap)
{
	char line[MESSAGE_MAX];
	size_t n = kmem_vformat(line, sizeof(line), fmt, ap);
	size_t room = sizeof(kmem_error_buffer) - 1 - error_used;

	if (n >= sizeof(line))
		n = sizeof(line) - 1;
	kmem_sys_write(STDERR_FILENO, line, n);
	if (n > room)
		n = room; /* the beginning of a report says most */
	memcpy(kmem_error_buffer + error_used, line, n);
	error_used += n;
	kmem_error_buffer[error_used] = '\0';
}

void kmem_report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(fmt, ap);
	va_end(ap);
}

void kmem_warn(const char *fmt, ...)
{
	static const char prefix[] = "kmem: ";
	char line[MESSAGE_MAX];
	size_t n = sizeof(prefix) - 1;
	va_list ap;

	if (!kmem_options.is_verbose)
		return;
	memcpy(line, prefix, n);
	va_start(ap, fmt);
	n += kmem_vformat(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	kmem_sys_write(STDERR_FILENO, line, n);
}

void *kmem_no_memory(size_t bytes, int kmflag)
{
	if (!(kmflag & KM_NOSLEEP))
		kmem_panic(
			"kmem_alloc(%lu): the system has no memory left for an "
			"allocation that may not fail",
			bytes);
	return NULL;
}

void kmem_abort(void)
{
	/* as the kernel has it, not as libc: all zeros is SIG_DFL */
	unsigned long action[4] = {0};
	unsigned long mask = 1UL << (SIGABRT - 1);
	void (*hook)(void) =
		__atomic_exchange_n(&kmem_panic_hook, NULL, __ATOMIC_ACQ_REL);

	if (hook)
		hook();
	(void)syscall(SYS_rt_sigaction, SIGABRT, action, NULL, SIGSET_BYTES);
	(void)syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL,
		      SIGSET_BYTES);
	(void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid),
		      SIGABRT);
	for (;;)
		(void)syscall(SYS_exit_group, 134);
}

void kmem_panic(const char *fmt, ...)
{
	va_list ap;

	kmem_logging = 0;
	kmem_report_clear();
	kmem_report("kernel memory allocator: ");
	va_start(ap, fmt);
	vreport(fmt, ap);
	va_end(ap);
	kmem_report("\n");
	kmem_abort();
}
