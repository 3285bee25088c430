/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests look at: data of every shape, two threads, then a fault. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum color {
	RED,
	GREEN = 5
};
enum flags {
	OPT_READ = 1,
	OPT_WRITE = 2,
	OPT_EXEC = 4
};
typedef struct inner {
	int x;
	char c;
} inner_t;
struct shape {
	struct shape *next;
	const char *string;
	char name[16];
	int numbers[4];
	inner_t in;
	inner_t pair[2];
	enum color color;
	enum flags flags;
	unsigned three : 3, five : 5;
	int negative : 4;
	union {
		int as_int;
		float as_float;
	};
	double real;
	void (*function)(void);
	long long minus_one;
	unsigned char bytes[4];
	_Bool yes;
	int many[40];
	int grid[2][3];
	time_t when;
};

void handler(void);
struct shape second;
struct shape shape = {
	.next = &second,
	.string = "hello",
	.name = "abc",
	.numbers = {1, 2, 3, 0x40},
	.in = {7, 'q'},
	.pair = {{1, 'a'}, {2, 'b'}},
	.color = GREEN,
	.flags = OPT_READ | OPT_WRITE,
	.three = 5,
	.five = 17,
	.negative = -3,
	.as_int = 0x3f800000,
	.real = 3.25,
	.function = handler,
	.minus_one = -1,
	.bytes = {1, 2, 3, 4},
	.yes = 1,
	.grid = {{1, 2, 3}, {4, 5, 6}},
	.when = 1700000000,
};
struct shape second = {.next = &shape, .name = "second"};
int answer = 42;
/* a name that looks like a number */
int beef = 0xdead;
char text[] = "buffer text";
unsigned char table[64] = {0xfe, 0xca, 0, 1, 2, 3};

void handler(void)
{
}

static void *sleeper(void *arg)
{
	pause();
	return arg;
}

__attribute__((noinline)) void crash(int depth)
{
	if (depth > 0) {
		crash(depth - 1);
		puts("not reached");
	} else {
		*(volatile int *)0x10 = 1;
	}
}

int main(void)
{
	pthread_t t;

	pthread_create(&t, NULL, sleeper, NULL);
	usleep(20000);
	crash(3);
	return answer;
}
