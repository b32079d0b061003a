/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A producer may be held up while it hands over a full chunk, after it has looked at the newest
 * closed one and before it has added its own, while another producer adds one and a flush takes
 * them: no word is lost, none is freed twice.
 *
 * It is stopped by a fault: its chunk's link, which it writes in between, lies in a page that is
 * protected. (Reaches inside: src/deferred.h.)
 */
#include "helpers.h"

#include <pthread.h>

#include "deferred.h"
#include "faults.h"

#define WORDS 100 /* in a chunk, its host not counted */
#define PRODUCERS 2
#define LANES 4

/* The memory of a chunk: what links it ends one page, the rest of it begins the next. */
struct host {
	char *pages;
	unsigned long word;
};

static struct deferred queue;
static struct host host[PRODUCERS];
static unsigned char freed[PRODUCERS * (WORDS + 1) + 1];

/* As many lanes on any machine. */
unsigned int __real_port_cpus(void);
unsigned int __wrap_port_cpus(void);

unsigned int __wrap_port_cpus(void)
{
	return LANES;
}

static void *host_word(void *owner, unsigned long word, size_t least, size_t *bytes)
{
	(void)owner;
	*bytes = sizeof(struct deferred_chunk) + WORDS * sizeof(long);
	assert_true(*bytes >= least);
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		if (host[i].word)
			continue;
		host[i].word = word;
		return host[i].pages + page_size() - sizeof(struct deferred_chunk *);
	}
	return NULL;
}

static void free_words(void *owner, const unsigned long *words, unsigned int count)
{
	(void)owner;
	for (unsigned int i = 0; i < count; i++)
		freed[words[i]]++;
}

static void unhost_word(void *owner, unsigned long word)
{
	free_words(owner, &word, 1);
}

static void wake(void *owner, unsigned int delay_ms)
{
	(void)owner;
	(void)delay_ms;
}

static const struct deferred_ops ops = {
	.host = host_word,
	.unhost = unhost_word,
	.free = free_words,
	.wake = wake,
};

/* Put the words of a chunk, its host first, up to but not including the @last. */
static void put(unsigned long first, unsigned long last)
{
	for (unsigned long word = first; word < last; word++)
		assert_int_equal(deferred_put(&queue, word), DEFERRED_QUEUED);
}

static void *put_last(void *result)
{
	*(enum deferred_result *)result = deferred_put(&queue, WORDS + 1);
	return NULL;
}

static void pin_to_one_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0U : (unsigned int)cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void test_stopped_in_close(void **state)
{
	enum deferred_result result = DEFERRED_RESULTS;
	pthread_t producer;

	(void)state;
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		host[i].pages = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(host[i].pages != MAP_FAILED);
	}
	pin_to_one_cpu(); /* and so to one lane, as long as that is free */
	assert_int_equal(deferred_init(&queue, &ops, NULL, 32768, 1000), 0);
	put(1, WORDS + 1);

	faults_begin();
	protect(host[0].pages, page_size(), PROT_NONE);
	assert_int_equal(pthread_create(&producer, NULL, put_last, &result), 0);
	fault_await();
	protect(host[0].pages, page_size(), PROT_READ | PROT_WRITE);

	put(WORDS + 2, 2 * (WORDS + 1) + 1); /* a whole chunk, in another lane */
	assert_non_null(queue.full);
	fault_release();
	assert_int_equal(pthread_join(producer, NULL), 0);
	faults_end();
	assert_int_equal(result, DEFERRED_QUEUED);

	deferred_flush(&queue);
	for (unsigned long word = 1; word <= PRODUCERS * (WORDS + 1); word++)
		assert_int_equal(freed[word], 1);
	assert_int_equal(deferred_pending(&queue), 0);
	deferred_destroy(&queue);
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
