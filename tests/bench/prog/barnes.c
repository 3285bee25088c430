/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After barnes: bodies that attract each other, by a tree of cells that is
 * built anew for each step of time.  Little allocation, much walking: what it
 * measures is where the allocator put things.
 *
 * usage: barnes [BODIES [STEPS]]
 */
#include "bench.h"

#include <math.h>

#define THETA2 0.7
#define STEP   0.01

struct body {
	double at[3], speed[3], mass;
};

/* a leaf has a body, an inner cell has children */
struct cell {
	double at[3], mass, middle[3], half;
	struct body *body;
	struct cell *child[8];
};

static struct cell *cell_new(const double *middle, double half)
{
	struct cell *c = must(calloc(1, sizeof(*c)));

	memcpy(c->middle, middle, sizeof(c->middle));
	c->half = half;
	return c;
}

static int octant(const struct cell *c, const struct body *b)
{
	return (b->at[0] > c->middle[0]) | (b->at[1] > c->middle[1]) << 1 |
	       (b->at[2] > c->middle[2]) << 2;
}

static void insert(struct cell *c, struct body *b, int depth);

static void insert_below(struct cell *c, struct body *b, int depth)
{
	int k = octant(c, b);

	if (!c->child[k]) {
		double middle[3], half = c->half / 2;

		for (int d = 0; d < 3; d++)
			middle[d] = c->middle[d] + (k >> d & 1 ? half : -half);
		c->child[k] = cell_new(middle, half);
	}
	insert(c->child[k], b, depth + 1);
}

static void insert(struct cell *c, struct body *b, int depth)
{
	int was_empty = c->mass == 0;
	double mass = c->mass + b->mass;

	for (int d = 0; d < 3; d++)
		c->at[d] = (c->at[d] * c->mass + b->at[d] * b->mass) / mass;
	c->mass = mass;
	if (was_empty || depth > 40) {
		c->body = b;
		return;
	}
	if (c->body)
		insert_below(c, c->body, depth);
	c->body = NULL;
	insert_below(c, b, depth);
}

static void attract(const struct cell *c, struct body *b)
{
	double r2 = 1e-4, delta[3];

	for (int d = 0; d < 3; d++) {
		delta[d] = c->at[d] - b->at[d];
		r2 += delta[d] * delta[d];
	}
	if (!c->body && 4 * c->half * c->half > THETA2 * r2) {
		for (int k = 0; k < 8; k++)
			if (c->child[k])
				attract(c->child[k], b);
		return;
	}
	if (c->body == b)
		return;
	for (int d = 0; d < 3; d++)
		b->speed[d] += STEP * c->mass * delta[d] / (r2 * sqrt(r2));
}

static void cell_drop(struct cell *c)
{
	for (int k = 0; k < 8; k++)
		if (c->child[k])
			cell_drop(c->child[k]);
	free(c);
}

int main(int argc, char **argv)
{
	size_t nbodies = arg_or(argc, argv, 1, 20000);
	size_t nsteps = arg_or(argc, argv, 2, 10);
	struct body **body = must(malloc(nbodies * sizeof(*body)));
	const double middle[3] = {0, 0, 0};
	uint32_t seed = 417;
	double sum = 0;

	for (size_t i = 0; i < nbodies; i++) {
		body[i] = must(calloc(1, sizeof(**body)));
		body[i]->mass = 1.0 / (double)nbodies;
		for (int d = 0; d < 3; d++)
			body[i]->at[d] = next_random(&seed) / 2147483648.0 - 1;
	}
	for (size_t step = 0; step < nsteps; step++) {
		struct cell *root = cell_new(middle, 4);

		for (size_t i = 0; i < nbodies; i++)
			insert(root, body[i], 0);
		for (size_t i = 0; i < nbodies; i++)
			attract(root, body[i]);
		for (size_t i = 0; i < nbodies; i++)
			for (int d = 0; d < 3; d++)
				body[i]->at[d] += STEP * body[i]->speed[d];
		cell_drop(root);
	}
	for (size_t i = 0; i < nbodies; i++) {
		sum += body[i]->at[0];
		free(body[i]);
	}
	free(body);
	printf("barnes: %g\n", sum);
	return 0;
}
