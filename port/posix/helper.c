/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The helper of a process: a thread, made when there is something to help with, and joined when that
 * is done.
 */
#include "port.h"
#include "thread.h"

static void *helper_thread(void *arg)
{
	struct port_helper *helper = arg;

	helper->run(helper->arg);
	return NULL;
}

int port_helper_start(struct port_helper *helper, void (*run)(void *arg), void *arg)
{
	helper->run = run;
	helper->arg = arg;
	return thread_create(&helper->thread, helper_thread, helper);
}

void port_helper_end(struct port_helper *helper)
{
	int cancel;

	/* Whoever drains has the drain mutex, and is not to be cancelled with it. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_join(helper->thread, NULL);
	pthread_setcancelstate(cancel, NULL);
}
