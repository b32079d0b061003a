/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Maps a corpus: see corpus.h. */
#include "corpus.h"

#include <err.h>
#include <sys/mman.h>
#include <sys/stat.h>

const struct corpus *corpus_map(int file)
{
	struct stat stat;
	void *memory;

	if (fstat(file, &stat) != 0 || !stat.st_size)
		err(2, "cannot map the corpus");
	memory = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		err(2, "cannot map a corpus of %zu bytes", (size_t)stat.st_size);
	return memory;
}
