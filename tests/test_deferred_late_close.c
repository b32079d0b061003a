/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A producer may be held up while it hands over a full chunk, after it has looked at the newest
 * closed one and before it has added its own, while another producer adds one and a flush comes:
 * that waits for it; no word is lost, none is freed twice.
 *
 * It is stopped by a fault: its chunk's link, which it writes in between, lies in a page that is
 * protected. (Reaches inside: src/deferred.h. Wraps nanosleep(), by which a flush that waits
 * shows it.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "deferred.h"
#include "faults.h"

#define WORDS 100 /* in a chunk, its host not counted */
#define STEP 2 /* from word to word: none follows another */
#define PRODUCERS 2

/* The memory of a chunk: what links it ends one page, the rest of it begins the next. */
struct host {
	char *pages;
	unsigned long word; /* the one that hosts there */
};

static struct deferred queue;
static struct host host[PRODUCERS];
static unsigned char freed[PRODUCERS * (WORDS + 1) + 1];

static void *host_word(void *owner, unsigned long word, size_t least, size_t *bytes, u64 *token)
{
	(void)owner;
	*token = 0;
	*bytes = sizeof(struct deferred_chunk) + WORDS * DEFERRED_CELL + DEFERRED_SLACK;
	assert_true(*bytes >= least);
	for (unsigned int i = 0; i < PRODUCERS; i++)
		if (host[i].word == word)
			return host[i].pages + page_size() - sizeof(struct deferred_chunk *);
	return NULL;
}

static void free_words(void *owner, void *work, const unsigned long *words, unsigned int count)
{
	(void)owner;
	(void)work;
	for (unsigned int i = 0; i < count; i++)
		freed[words[i] / STEP]++;
}

static void fetch_word(void *owner, unsigned long word, unsigned int step)
{
	(void)owner;
	(void)word;
	(void)step;
}

static size_t weigh_word(void *owner, unsigned long word)
{
	(void)owner;
	(void)word;
	return 0;
}

static void unhost_word(void *owner, unsigned long word, u64 token)
{
	(void)token;
	free_words(owner, NULL, &word, 1);
}

static void wake(void *owner, unsigned int delay_ms)
{
	(void)owner;
	(void)delay_ms;
}

static const struct deferred_ops ops = {
	.host = host_word,
	.fetch = fetch_word,
	.weigh = weigh_word,
	.unhost = unhost_word,
	.free = free_words,
	.wake = wake,
};

/* Put what a chunk has, its host first, from number @first up to but not including @last. */
static void put(unsigned long first, unsigned long last)
{
	for (unsigned long number = first; number < last; number++)
		assert_int_equal(deferred_put(&queue, STEP * number), DEFERRED_QUEUED);
}

static pthread_barrier_t before_last;

static void *put_chunk(void *result)
{
	put(1, WORDS + 1);
	pthread_barrier_wait(&before_last); /* now all but one are put */
	pthread_barrier_wait(&before_last);
	*(enum deferred_result *)result = deferred_put(&queue, STEP * (WORDS + 1));
	return NULL;
}

static _Thread_local bool is_flush;
static atomic_bool flush_pauses, flush_returned;

int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	if (is_flush)
		atomic_store(&flush_pauses, true);
	return __real_nanosleep(time, rest);
}

static void *flush(void *arg)
{
	(void)arg;
	is_flush = true;
	deferred_flush(&queue);
	atomic_store(&flush_returned, true);
	return NULL;
}

static bool pauses_or_returned(void *arg)
{
	(void)arg;
	return atomic_load(&flush_pauses) || atomic_load(&flush_returned);
}

static void test_stopped_in_close(void **state)
{
	enum deferred_result result = DEFERRED_RESULTS;
	pthread_t producer, flusher;

	(void)state;
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		host[i].pages = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(host[i].pages != MAP_FAILED);
		host[i].word = STEP * (1 + i * (WORDS + 1));
	}
	assert_int_equal(deferred_init(&queue, &ops, NULL, 0, 32768, 1000, 1), 0);
	assert_int_equal(pthread_barrier_init(&before_last, NULL, 2), 0);
	assert_int_equal(pthread_create(&producer, NULL, put_chunk, &result), 0);
	pthread_barrier_wait(&before_last);

	faults_begin();
	protect(host[0].pages, page_size(), PROT_NONE);
	pthread_barrier_wait(&before_last);
	fault_await();
	protect(host[0].pages, page_size(), PROT_READ | PROT_WRITE);

	put(WORDS + 2, 2 * (WORDS + 1) + 1); /* a whole chunk, in another lane */
	assert_non_null(queue.full);
	assert_int_equal(pthread_create(&flusher, NULL, flush, NULL), 0);
	assert_true(wait_for(pauses_or_returned, NULL));
	assert_false(atomic_load(&flush_returned));
	fault_release();
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(pthread_join(flusher, NULL), 0);
	faults_end();
	assert_int_equal(result, DEFERRED_QUEUED);
	for (unsigned long number = 1; number <= PRODUCERS * (WORDS + 1); number++)
		assert_int_equal(freed[number], 1);
	assert_int_equal(deferred_pending(&queue), 0);
	deferred_destroy(&queue);
	pthread_barrier_destroy(&before_last);
	for (unsigned int i = 0; i < PRODUCERS; i++)
		munmap(host[i].pages, 2 * page_size());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped_in_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
