/* SPDX-License-Identifier: MIT */
/* Each thread of the server gets an alternate stack, so that its stack overflows can be handled, and leaves its request when it ends. */
#include <errno.h>
#include <stdlib.h>

#include "agent.h"
#include "real.h"

struct start {
	void *(*run)(void *argument);
	void *argument;
};

static pthread_key_t at_end;

static void thread_ends(void *stack)
{
	crash_stack_free(stack);
	rescue_thread_ends();
}

static void *thread_begins(void *argument)
{
	struct start start = *(struct start *)argument;

	free(argument);
	/* the destructor is called for values other than NULL, which crash_stack_new() may give */
	pthread_setspecific(at_end, crash_stack_new());
	return start.run(start.argument);
}

static void make_key(void)
{
	pthread_key_create(&at_end, thread_ends);
}

PUBLIC int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct start *start = shared ? malloc(sizeof(*start)) : NULL;
	int r;

	if (!start)
		return REAL(pthread_create)(thread, attributes, run, argument);
	pthread_once(&once, make_key);
	*start = (struct start){ run, argument };
	r = REAL(pthread_create)(thread, attributes, thread_begins, start);
	if (r)
		free(start);
	return r;
}
