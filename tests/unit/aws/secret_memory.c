/* Unit tests of aws/secret_memory: what is handed out, that it is wiped before it goes, that it is not dumped. */
#include "aws/secret_memory.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static int map_fails;      /* so many mappings from now on */
static size_t unmapped;    /* bytes */
static size_t dirty_bytes; /* bytes that were not zero when they were unmapped */

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (map_fails > 0) {
		map_fails--;
		return MAP_FAILED;
	}
	return __real_mmap64(at, bytes, protection, flags, fd, offset);
}

int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) dirty_bytes += ((const uint8_t *)at)[i] != 0;
	unmapped += bytes;
	return __real_munmap(at, bytes);
}

static void test_handing_out(void **state)
{
	(void)state;
	struct gm_secret_memory memory;
	gm_secret_init(&memory, 1 << 20);
	unmapped = dirty_bytes = 0;
	const uint8_t *before = NULL;
	for (size_t i = 1; i < 300; i++) {
		uint8_t *at = gm_secret_alloc(&memory, i);
		assert_non_null(at);
		assert_int_equal((uintptr_t)at % 16, 0);
		for (size_t k = 0; k < i; k++) assert_int_equal(at[k], 0);
		memset(at, (int)(i % 255) + 1, i);
		for (size_t k = 0; before != NULL && k < i - 1; k++) assert_int_equal(before[k], (i - 1) % 255 + 1);
		before = at;
	}
	char *large = gm_secret_strndup(&memory, "AKIDEXAMPLE and more", 11);
	assert_string_equal(large, "AKIDEXAMPLE");
	large = gm_secret_alloc(&memory, 100000);
	assert_non_null(large);
	memset(large, 'x', 100000);
	size_t total = memory.total_bytes;
	assert_in_range(total, 100000 + 299 * 300 / 2, 1 << 20);
	gm_secret_release(&memory);
	assert_int_equal(unmapped, total);
	assert_int_equal(dirty_bytes, 0);
	gm_secret_release(&memory);
	assert_non_null(gm_secret_strndup(&memory, "again", 5));
	gm_secret_release(&memory);
}

static void test_limits(void **state)
{
	(void)state;
	struct gm_secret_memory memory;
	gm_secret_init(&memory, 64 << 10);
	assert_null(gm_secret_alloc(&memory, (64 << 10) + 1));
	assert_null(gm_secret_alloc(&memory, SIZE_MAX));
	assert_null(gm_secret_strndup(&memory, "", SIZE_MAX));
	size_t handed_out = 0;
	while (gm_secret_alloc(&memory, 1000) != NULL) assert_true(++handed_out < 66);
	assert_in_range(handed_out, 48, 65);
	assert_in_range(memory.total_bytes, 1, 64 << 10);
	gm_secret_release(&memory);

	map_fails = 1;
	assert_null(gm_secret_alloc(&memory, 10));
	assert_non_null(gm_secret_alloc(&memory, 10));
	gm_secret_release(&memory);
}

/* "VmFlags: rd wr mr mw me dd ..." of the mapping that holds the address: proc(5). NULL: the kernel does not tell. */
static char *flags_of(const void *at)
{
	char *line = NULL, *flags = NULL;
	size_t room = 0;
	bool inside = false;
	FILE *maps = fopen("/proc/self/smaps", "r");
	while (maps != NULL && flags == NULL && getline(&line, &room, maps) > 0) {
		uint64_t from, to;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
			inside = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			flags = strdup(line);
	}
	if (maps != NULL) (void)fclose(maps);
	free(line);
	return flags;
}

static void test_not_dumped(void **state)
{
	(void)state;
	struct gm_secret_memory memory;
	gm_secret_init(&memory, 1 << 20);
	char *flags = flags_of(gm_secret_strndup(&memory, "secret", 6));
	if (flags == NULL) skip();
	assert_non_null(strstr(flags, " dd"));
	free(flags);
	gm_secret_release(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_handing_out),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_not_dumped),
	};
	return cmocka_run_group_tests_name("secret_memory", tests, NULL, NULL);
}
