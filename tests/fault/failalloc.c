/* failalloc.c - lets an allocation fail.
 *
 *   FAULT_ALLOC_AT=N       the Nth allocation fails with ENOMEM (none without it)
 *   FAULT_ALLOC_FROM=N     the Nth and all later ones
 *   FAULT_ALLOC_BYTES=N    only allocations of at least N bytes count (default 0)
 *   FAULT_ALLOC_REPORT=F   at exit "<counted> <failed>" is appended to the file F
 *   FAULT_ALLOC_TRACE=1    the stack of the first failure goes to standard error
 *
 * Counted: malloc, calloc, realloc, reallocarray, posix_memalign, aligned_alloc, memalign, and mmap of anonymous
 * memory, by the program and every library it uses. Not counted: what the C library maps for itself (stacks of
 * threads). */
#include "shim.h"

#include <errno.h>
#include <execinfo.h>
#include <sys/mman.h>

/* glibc's own names of what this file replaces: no dlsym, which allocates. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void *memalign(size_t alignment, size_t bytes);

static struct shim shim;
static uint64_t smallest;
static bool trace;
static __thread bool inside; /* the stack is being printed, which allocates */

__attribute__((constructor)) static void arm(void)
{
	char text[16];
	shim.at = shim_number("FAULT_ALLOC_AT");
	if (shim_number("FAULT_ALLOC_FROM") != 0) {
		shim.at = shim_number("FAULT_ALLOC_FROM");
		shim.from = true;
	}
	smallest = shim_number("FAULT_ALLOC_BYTES");
	shim_setting("FAULT_ALLOC_REPORT", shim.report, sizeof shim.report);
	shim_setting("FAULT_ALLOC_TRACE", text, sizeof text);
	trace = text[0] == '1';
	shim.armed = true;
}

__attribute__((destructor)) static void report(void)
{
	shim_report(&shim);
	shim.armed = false;
}

static void print_stack(void)
{
	void *frames[32];
	inside = true;
	int n = backtrace(frames, 32);
	backtrace_symbols_fd(frames, n, 2);
	inside = false;
}

static bool fails(size_t bytes)
{
	if (!shim.armed || inside || bytes < smallest) return false;
	if (!shim_is_due(&shim, shim_next(&shim))) return false;
	if (trace && __atomic_load_n(&shim.fired, __ATOMIC_RELAXED) == 1) print_stack();
	errno = ENOMEM;
	return true;
}

void *malloc(size_t bytes)
{
	return fails(bytes) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	size_t total;
	if (__builtin_mul_overflow(count, bytes, &total)) total = SIZE_MAX;
	return fails(total) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
	/* Giving back always works, and so, nearly, does making smaller; but nobody may rely on the latter. */
	return bytes > 0 && fails(bytes) ? NULL : __libc_realloc(old, bytes);
}

void *reallocarray(void *old, size_t count, size_t bytes)
{
	size_t total;
	if (__builtin_mul_overflow(count, bytes, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, total);
}

void *memalign(size_t alignment, size_t bytes)
{
	return fails(bytes) ? NULL : __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
	int saved = errno;
	void *memory = memalign(alignment, bytes);
	errno = saved;
	if (memory == NULL) return ENOMEM;
	*out = memory;
	return 0;
}

static void *map(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if ((flags & MAP_ANONYMOUS) != 0 && fails(bytes)) return MAP_FAILED;
	return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset); // NOLINT: what the kernel gives
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return map(address, bytes, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return map(address, bytes, protection, flags, fd, offset);
}
