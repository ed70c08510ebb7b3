/* shim.h - what both fault shims share: settings from the environment, one counter, the report at the end.
 *
 * These are libraries for LD_PRELOAD in tests of the real binary (unsanitized: a sanitizer owns the same functions).
 * Only they read these variables; nothing in gristmill does. Numbers count from 1 and from the start of main.
 * Children inherit the variables: preload into the program itself, not into a shell that starts it. */
#ifndef GM_TEST_FAULT_SHIM_H
#define GM_TEST_FAULT_SHIM_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct shim {
	bool armed;            /* settings are read: before, nothing is counted */
	uint64_t at;           /* the number that fails; 0: none */
	bool from;             /* all later ones fail, too */
	uint64_t count, fired; /* atomic */
	char report[512];      /* file that gets "<count> <fired>\n" when the process exits; "": none */
};

static inline void shim_setting(const char *name, char *out, size_t bytes)
{
	const char *value = getenv(name);
	(void)snprintf(out, bytes, "%s", value != NULL ? value : "");
}

static inline uint64_t shim_number(const char *name)
{
	const char *value = getenv(name);
	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

static inline uint64_t shim_next(struct shim *shim)
{
	return __atomic_add_fetch(&shim->count, 1, __ATOMIC_RELAXED);
}

static inline bool shim_is_due(struct shim *shim, uint64_t number)
{
	bool due = shim->at != 0 && (number == shim->at || (shim->from && number > shim->at));
	if (due) __atomic_add_fetch(&shim->fired, 1, __ATOMIC_RELAXED);
	return due;
}

/* By system calls, so that no shim sees it. */
static inline void shim_append(const char *path, const char *text, size_t bytes)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) return;
	(void)syscall(SYS_write, (int)fd, text, bytes);
	(void)syscall(SYS_close, (int)fd);
}

static inline void shim_report(const struct shim *shim)
{
	char text[64];
	int n =
	    snprintf(text, sizeof text, "%llu %llu\n", (unsigned long long)shim->count, (unsigned long long)shim->fired);
	if (shim->armed && shim->report[0] != '\0') shim_append(shim->report, text, (size_t)n);
}

#endif
