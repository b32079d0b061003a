/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A progress bar on stderr: only where stderr is a terminal, and only for work that has taken two
 * seconds already. Threads count their steps with one atomic addition. A thread that finds the bar
 * out of date, and no other drawing, draws it.
 */
#include "util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static const uint64_t first_draw_ns = 2 * NS_PER_S;
static const uint64_t redraw_ns = NS_PER_S / 10;

static struct {
	const char *label; /* NULL where no bar is wanted */
	size_t total; /* 0: not known */
	int (*note)(FILE *out); /* prints lines below the bar; NULL: none */
	atomic_size_t done;
	pthread_mutex_t lock; /* protects the two below, and the terminal */
	uint64_t next_draw;
	bool drawn;
} bar = { .lock = PTHREAD_MUTEX_INITIALIZER };

void progress_begin(const char *label, size_t total)
{
	if (!isatty(STDERR_FILENO))
		return;
	bar.label = label;
	bar.total = total;
	bar.note = NULL;
	atomic_store(&bar.done, 0);
	bar.next_draw = now_ns() + first_draw_ns;
}

void progress_note(int (*note)(FILE *out))
{
	bar.note = note;
}

/* Leaves the cursor in the line of the bar. */
static void draw(void)
{
	size_t done = atomic_load(&bar.done);

	if (done > bar.total)
		done = bar.total;
	fprintf(stderr, "\r\033[J%s ", bar.label);
	if (bar.total) {
		print_bar(stderr, done, bar.total);
		fprintf(stderr, " %3zu %%", done * 100 / bar.total);
	}
	if (bar.note) {
		fputc('\n', stderr);
		fprintf(stderr, "\033[%dA", bar.note(stderr) + 1);
	}
	bar.drawn = true;
}

void progress_add(size_t steps)
{
	uint64_t now;

	if (!bar.label)
		return;
	atomic_fetch_add(&bar.done, steps);
	if (pthread_mutex_trylock(&bar.lock) != 0)
		return;
	now = now_ns();
	if (now >= bar.next_draw) {
		draw();
		bar.next_draw = now + redraw_ns;
	}
	pthread_mutex_unlock(&bar.lock);
}

void progress_end(void)
{
	pthread_mutex_lock(&bar.lock);
	if (bar.drawn)
		fputs("\r\033[J", stderr);
	bar.drawn = false;
	bar.label = NULL;
	pthread_mutex_unlock(&bar.lock);
}
