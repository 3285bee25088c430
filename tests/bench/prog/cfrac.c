/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After cfrac: factoring by continued fractions, on numbers of any length that
 * are allocated anew by every operation.  Most blocks are 16 to 48 bytes and
 * live for one operation; few live at a time.
 *
 * usage: cfrac [STEPS]
 */
#include "bench.h"

#define NPRIMES 60

/* digits to the base 2^16, lowest first; no leading zeros */
struct number {
	uint16_t refs;
	uint16_t ndigits;
	uint16_t digit[];
};

static struct number *number_new(unsigned ndigits)
{
	struct number *n = must(malloc(sizeof(*n) + ndigits * 2));

	n->refs = 1;
	n->ndigits = (uint16_t)ndigits;
	return n;
}

static void drop(struct number *n)
{
	if (--n->refs == 0)
		free(n);
}

static struct number *keep(struct number *n)
{
	n->refs++;
	return n;
}

static struct number *trim(struct number *n)
{
	while (n->ndigits > 0 && n->digit[n->ndigits - 1] == 0)
		n->ndigits--;
	return n;
}

static struct number *from_int(uint64_t v)
{
	struct number *n = number_new(4);

	for (int i = 0; i < 4; i++, v >>= 16)
		n->digit[i] = (uint16_t)v;
	return trim(n);
}

static uint64_t to_int(const struct number *n)
{
	uint64_t v = 0;

	for (unsigned i = n->ndigits; i-- > 0;)
		v = v << 16 | n->digit[i];
	return v;
}

static int compare(const struct number *a, const struct number *b)
{
	if (a->ndigits != b->ndigits)
		return a->ndigits < b->ndigits ? -1 : 1;
	for (unsigned i = a->ndigits; i-- > 0;)
		if (a->digit[i] != b->digit[i])
			return a->digit[i] < b->digit[i] ? -1 : 1;
	return 0;
}

static struct number *add(const struct number *a, const struct number *b)
{
	unsigned n = (a->ndigits > b->ndigits ? a : b)->ndigits;
	struct number *sum = number_new(n + 1);
	uint32_t carry = 0;

	for (unsigned i = 0; i <= n; i++) {
		carry += i < a->ndigits ? a->digit[i] : 0;
		carry += i < b->ndigits ? b->digit[i] : 0;
		sum->digit[i] = (uint16_t)carry;
		carry >>= 16;
	}
	return trim(sum);
}

/** a - b, for a >= b. */
static struct number *subtract(const struct number *a, const struct number *b)
{
	struct number *rest = number_new(a->ndigits);
	int32_t carry = 0;

	for (unsigned i = 0; i < a->ndigits; i++) {
		carry += a->digit[i];
		carry -= i < b->ndigits ? b->digit[i] : 0;
		rest->digit[i] = (uint16_t)carry;
		carry >>= 16;
	}
	return trim(rest);
}

static struct number *multiply(const struct number *a, const struct number *b)
{
	struct number *p = number_new(a->ndigits + b->ndigits);

	memset(p->digit, 0, p->ndigits * 2);
	for (unsigned i = 0; i < a->ndigits; i++) {
		uint32_t carry = 0;

		for (unsigned k = 0; k < b->ndigits; k++) {
			carry += (uint32_t)a->digit[i] * b->digit[k] +
				 p->digit[i + k];
			p->digit[i + k] = (uint16_t)carry;
			carry >>= 16;
		}
		p->digit[i + b->ndigits] = (uint16_t)carry;
	}
	return trim(p);
}

/** a / b and the rest, for b of one digit. */
static struct number *divide_short(const struct number *a, unsigned b,
				   unsigned *ret_rest)
{
	struct number *q = number_new(a->ndigits);
	uint32_t rest = 0;

	for (unsigned i = a->ndigits; i-- > 0;) {
		rest = rest << 16 | a->digit[i];
		q->digit[i] = (uint16_t)(rest / b);
		rest %= b;
	}
	*ret_rest = rest;
	return trim(q);
}

/** a modulo m, bit by bit from above. */
static struct number *modulo(const struct number *a, const struct number *m)
{
	struct number *rest = from_int(0);

	for (unsigned i = a->ndigits; i-- > 0;) {
		for (int bit = 15; bit >= 0; bit--) {
			struct number *twice = add(rest, rest);
			struct number *one = from_int(a->digit[i] >> bit & 1);

			drop(rest);
			rest = add(twice, one);
			drop(one);
			drop(twice);
			if (compare(rest, m) >= 0) {
				struct number *less = subtract(rest, m);

				drop(rest);
				rest = less;
			}
		}
	}
	return rest;
}

/** How often each prime of the base divides q; 1 if nothing else does. */
static int is_smooth(struct number *q, const unsigned *prime)
{
	struct number *rest = keep(q);
	int is_one;

	for (int i = 0; i < NPRIMES; i++) {
		for (;;) {
			unsigned r;
			struct number *less = divide_short(rest, prime[i], &r);

			if (r != 0) {
				drop(less);
				break;
			}
			drop(rest);
			rest = less;
		}
	}
	is_one = rest->ndigits == 1 && rest->digit[0] == 1;
	drop(rest);
	return is_one;
}

static uint64_t root(uint64_t n)
{
	uint64_t low = 0, high = (uint64_t)1 << 32;

	while (high - low > 1) {
		uint64_t mid = (low + high) / 2;

		if (mid * mid <= n)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/** Expands the root of n; counts the convergents that are smooth. */
static unsigned expand(uint64_t n, size_t steps, const unsigned *prime)
{
	uint64_t r = root(n), p = r, q = n - r * r, before = 1;
	struct number *big = from_int(n);
	struct number *a0 = from_int(1), *a1 = from_int(r);
	unsigned found = 0;

	for (size_t i = 0; i < steps && q > 0; i++) {
		uint64_t b = (r + p) / q, next = b * q - p;
		struct number *x = from_int(b), *y = from_int(q);
		struct number *prod = multiply(x, a1);
		struct number *sum = add(prod, a0);

		found += (unsigned)is_smooth(y, prime);
		drop(prod);
		drop(x);
		drop(y);
		drop(a0);
		a0 = a1;
		a1 = modulo(sum, big);
		drop(sum);
		y = from_int(before + b * p - b * next);
		before = q;
		q = to_int(y);
		drop(y);
		p = next;
	}
	drop(big);
	drop(a0);
	drop(a1);
	return found;
}

int main(int argc, char **argv)
{
	size_t steps = arg_or(argc, argv, 1, 150000);
	unsigned prime[NPRIMES];
	unsigned n = 0, found;

	for (unsigned p = 2; n < NPRIMES; p++) {
		unsigned d = 2;

		while (d * d <= p && p % d != 0)
			d++;
		if (d * d > p)
			prime[n++] = p;
	}
	found = expand(4611685975477714963ULL, steps, prime);
	printf("cfrac: %u of %zu are smooth\n", found, steps);
	return 0;
}
