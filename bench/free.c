/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_free: what it costs to free 500,000 cold objects, in order and in random order, by each of
 * our ways, by the queue as it was first proposed, and by the peers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "peers.h"
#include "report.h"

enum {
	ZS_FREE,
	ZS_FREE_PARKED,
	ZS_FREE_BULK,
	PARKED,
	RUNNING,
	DEFAULT,
	FIRST_OTHER,
	ORIGINAL = FIRST_OTHER,
	FIRST_PEER,
	GLIBC = FIRST_PEER,
	JEMALLOC,
	MIMALLOC,
	TCMALLOC,
	END_OF_PEERS,
	EMPTY = END_OF_PEERS,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[ZS_FREE] = { .name = "zs_free", .subject = "free" },
	[ZS_FREE_PARKED] = { .name = "... worker parked", .subject = "free_parked" },
	[ZS_FREE_BULK] = { .name = "zs_free_bulk", .subject = "bulk" },
	[PARKED] = { .name = "zs_free_deferred", .subject = "parked" },
	[RUNNING] = { .name = "... worker running", .subject = "running" },
	[DEFAULT] = { .name = "... default budget", .subject = "default" },
	[ORIGINAL] = { .name = "original proposal", .subject = "original" },
	[GLIBC] = PEER_GLIBC,
	[JEMALLOC] = PEER_JEMALLOC,
	[MIMALLOC] = PEER_MIMALLOC,
	[TCMALLOC] = PEER_TCMALLOC,
	[EMPTY] = { .name = "an empty function", .subject = "empty" },
};

enum {
	IN_ORDER,
	RANDOM,
	ORDERS,
};

static const struct condition orders[ORDERS] = {
	[IN_ORDER] = { .name = "in order", .words = { "in order" }, .rounds = 7 },
	[RANDOM] = { .name = "random", .words = { "random" }, .rounds = 7 },
};

/* The caller's time for an object, ns. */
static double caller(const struct results *results, size_t contender, size_t order)
{
	return results_cost(results, contender, order, "caller").median;
}

static double ratio(const struct results *results, size_t contender, size_t ours, size_t order)
{
	return caller(results, contender, order) / caller(results, ours, order);
}

/* CPU time for an object: queued and drained, or freed at once. Both beside a parked worker. */
static double work(const struct results *results, size_t contender, size_t order)
{
	return results_cost(results, contender, order, "caller_cpu").median +
	       results_cost(results, contender, order, "flush_cpu").median;
}

static double total(const struct results *results, size_t order)
{
	return work(results, PARKED, order) / work(results, ZS_FREE_PARKED, order);
}

/* What the memory is more than the stored bytes, in percent. */
static double overhead(const struct results *results, size_t contender, const char *name)
{
	return 100 * (results_over(results, contender, IN_ORDER, name, "stored_bytes").median - 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

enum place {
	FASTEST,
	MEDIAN,
};

/* Of the peers' times: the least, or the one in the middle. */
static double peer(const struct results *results, size_t order, enum place place)
{
	double time[END_OF_PEERS - FIRST_PEER];
	size_t count = END_OF_PEERS - FIRST_PEER;

	for (size_t i = 0; i < count; i++)
		time[i] = caller(results, FIRST_PEER + i, order);
	qsort(time, count, sizeof(*time), compare);
	return place == FASTEST ? time[0] : (time[(count - 1) / 2] + time[count / 2]) / 2;
}

/* What zs_free_bulk() costs an object, over what the drain does. */
static double bulk_over_drain(const struct results *results, size_t order)
{
	return results_cost(results, ZS_FREE_BULK, order, "caller_cpu").median /
	       results_cost(results, PARKED, order, "flush_cpu").median;
}

static size_t targets(const struct results *results, struct target *target)
{
	const struct target all[] = {
		{ "zs_free_deferred, in order", "ns", 5, false, caller(results, PARKED, IN_ORDER) },
		{ "fastest peer's free over zs_free_deferred, in order", "", 15, true,
		  peer(results, IN_ORDER, FASTEST) / caller(results, PARKED, IN_ORDER) },
		{ "glibc's free over zs_free_deferred, in order", "", 50, true,
		  ratio(results, GLIBC, PARKED, IN_ORDER) },
		{ "jemalloc's free over zs_free_deferred, in order", "", 50, true,
		  ratio(results, JEMALLOC, PARKED, IN_ORDER) },
		{ "zs_free over the fastest peer's free, in order", "", 1, false,
		  caller(results, ZS_FREE, IN_ORDER) / peer(results, IN_ORDER, FASTEST) },
		{ "zs_free over the median peer's free, random", "", 1, false,
		  caller(results, ZS_FREE, RANDOM) / peer(results, RANDOM, MEDIAN) },
		{ "queueing and draining over zs_free, CPU time, in order", "", 1, false,
		  total(results, IN_ORDER) },
		{ "queueing and draining over zs_free, CPU time, random", "", 0.6, false,
		  total(results, RANDOM) },
		{ "zs_free_bulk over the drain, CPU time, in order", "", 1, false,
		  bulk_over_drain(results, IN_ORDER) },
		{ "zs_free_bulk over the drain, CPU time, random", "", 1, false,
		  bulk_over_drain(results, RANDOM) },
		{ "memory over the stored bytes, everything resident", "%", 3, false,
		  overhead(results, ZS_FREE, "resident_bytes") },
	};
	size_t count = sizeof(all) / sizeof(all[0]);

	for (size_t i = 0; i < count; i++)
		target[i] = all[i];
	return count;
}

static void print_caller(const struct results *results)
{
	printf("\nThe caller's time for an object, ns: median, least..most\n\n"
	       "| free by            |                in order |                  random |\n"
	       "|--------------------|------------------------:|------------------------:|\n");
	for (size_t i = 0; i < CONTENDERS; i++) {
		printf("| %-18s |", contenders[i].name);
		report_spread(results_cost(results, i, IN_ORDER, "caller"));
		report_spread(results_cost(results, i, RANDOM, "caller"));
		printf("\n");
	}
}

/* The medians of one figure, in order and random. */
static void print_medians(const struct results *results, size_t contender, const char *name)
{
	printf(" %8.1f | %8.1f |", results_cost(results, contender, IN_ORDER, name).median,
	       results_cost(results, contender, RANDOM, name).median);
}

static double milliseconds(const struct results *results, size_t contender, size_t order)
{
	return results_over(results, contender, order, "back", NULL).median / 1e6;
}

static void print_work(const struct results *results)
{
	printf("\nThe whole work, medians. CPU time for an object, ns: of the caller's loop; of "
	       "the flush after it;\nof all threads until the memory is back with the system. And "
	       "ms from the first free until then\n\n"
	       "| free by            |     loop |   random |    flush |   random |      all |   "
	       "random |  back ms |   random | fallbacks |\n"
	       "|--------------------|---------:|---------:|---------:|---------:|---------:|"
	       "---------:|---------:|---------:|----------:|\n");
	for (size_t i = 0; i < FIRST_PEER; i++) {
		printf("| %-18s |", contenders[i].name);
		print_medians(results, i, "caller_cpu");
		print_medians(results, i, "flush_cpu");
		print_medians(results, i, "all_cpu");
		printf(" %8.0f | %8.0f |", milliseconds(results, i, IN_ORDER),
		       milliseconds(results, i, RANDOM));
		if (i >= PARKED)
			printf(" %7.1f %% |\n",
			       100 * results_cost(results, i, IN_ORDER, "fallbacks").median);
		else
			printf(" %9s |\n", "");
	}
}

static void print_overhead(const struct results *results)
{
	printf("\nMemory over the stored bytes, in percent\n\n"
	       "| stored by          | resident | in pages of the pool |\n"
	       "|--------------------|---------:|---------------------:|\n"
	       "| %-18s | %8.2f | %20.2f |\n",
	       "zsmalloc", overhead(results, ZS_FREE, "resident_bytes"),
	       overhead(results, ZS_FREE, "pool_bytes"));
	for (size_t i = FIRST_PEER; i < END_OF_PEERS; i++)
		printf("| %-18s | %8.2f | %20s |\n", contenders[i].name,
		       overhead(results, i, "resident_bytes"), "");
}

static void print_ratios(const struct results *results)
{
	printf("\nThe caller's time, as a multiple of ours\n\n"
	       "| freed by           | zs_free, in order |  random | zs_free_deferred, in order |  "
	       "random |\n"
	       "|--------------------|------------------:|--------:|---------------------------:|"
	       "--------:|\n");
	for (size_t i = FIRST_OTHER; i < END_OF_PEERS; i++)
		printf("| %-18s | %17.1f | %7.1f | %26.1f | %7.1f |\n", contenders[i].name,
		       ratio(results, i, ZS_FREE, IN_ORDER), ratio(results, i, ZS_FREE, RANDOM),
		       ratio(results, i, PARKED, IN_ORDER), ratio(results, i, PARKED, RANDOM));
}

static void tables(const struct results *results)
{
	print_caller(results);
	print_work(results);
	print_overhead(results);
	print_ratios(results);
}

static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		fprintf(file, "\"%s\"", contenders[i].name);
		for (size_t order = 0; order < ORDERS; order++) {
			struct spread cost = results_cost(results, i, order, "caller");

			fprintf(file, " %f %f %f", cost.median, cost.least, cost.most);
		}
		fprintf(file, "\n");
	}
}

static const struct bench bench = {
	.name = "free",
	.title = "Freeing cold objects",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = orders,
	.conditions = ORDERS,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
