/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target on files, one after the other: how "make check" replays
 * the corpus, without a fuzzing compiler. */
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int main(int argc, char **argv)
{
	static unsigned char buf[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *fp = fopen(argv[i], "rb");
		size_t n = 0;

		if (!fp) {
			perror(argv[i]);
			return 1;
		}
		n = fread(buf, 1, sizeof(buf), fp);
		(void)fclose(fp); /* only read */
		fprintf(stderr, "# %s\n", argv[i]);
		LLVMFuzzerTestOneInput(buf, n);
	}
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? 0 : 1;
}
