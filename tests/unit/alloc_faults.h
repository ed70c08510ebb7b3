/* alloc_faults.h - allocation number `fail_at` fails while `armed`. The program is linked with --wrap for each
 * allocator (see wrapped_allocators in meson.build). */
#ifndef GM_TEST_ALLOC_FAULTS_H
#define GM_TEST_ALLOC_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* volatile: the compiler knows malloc, and that it changes nothing; atomic: threads of what is tested allocate, too */
static volatile _Atomic uint64_t made, fail_at;
static volatile atomic_bool armed, fired;

static bool fails(void)
{
	if (!armed || ++made != fail_at) return false;
	fired = true;
	return true;
}

/* The next call of an allocator is number 1. */
static void arm(void)
{
	made = 0;
	fired = false;
	armed = true;
}

#define WRAP(type, name, parameters, arguments, failure_value)      \
	type __real_##name parameters;                                  \
	type __wrap_##name parameters;                                  \
	type __wrap_##name parameters                                   \
	{                                                               \
		return fails() ? (failure_value) : __real_##name arguments; \
	}
WRAP(void *, malloc, (size_t bytes), (bytes), NULL)
WRAP(void *, calloc, (size_t count, size_t bytes), (count, bytes), NULL)
WRAP(void *, realloc, (void *old, size_t bytes), (old, bytes), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)

#endif
