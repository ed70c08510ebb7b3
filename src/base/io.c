#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* One call moves at most this much: Linux stops at 2 GiB - 4 KiB anyway, other systems refuse more. */
enum { STEP = 1 << 30 };

int gm_io_openat(int folder, const char *name, int flags, mode_t mode)
{
	int fd;
	do fd = openat(folder, name, flags, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

bool gm_io_write(int fd, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	while (n > 0) {
		ssize_t done = write(fd, from, n < STEP ? n : STEP);
		if (done < 0 && errno == EINTR) continue;
		if (done == 0) errno = ENOSPC; /* POSIX promises no such thing, some file systems do it when full */
		if (done <= 0) return false;
		from += done;
		n -= (size_t)done;
	}
	return true;
}

bool gm_io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset)
{
	const uint8_t *from = bytes;
	while (n > 0) {
		ssize_t done = pwrite(fd, from, n < STEP ? n : STEP, (off_t)offset);
		if (done < 0 && errno == EINTR) continue;
		if (done == 0) errno = ENOSPC;
		if (done <= 0) return false;
		from += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return true;
}

bool gm_io_read(int fd, void *into, size_t n, size_t *got)
{
	uint8_t *to = into;
	*got = 0;
	while (*got < n) {
		size_t left = n - *got;
		ssize_t done = read(fd, to + *got, left < STEP ? left : STEP);
		if (done < 0 && errno == EINTR) continue;
		if (done < 0) return false;
		if (done == 0) break;
		*got += (size_t)done;
	}
	return true;
}

bool gm_io_pread(int fd, void *into, size_t n, uint64_t offset, size_t *got)
{
	uint8_t *to = into;
	*got = 0;
	while (*got < n) {
		size_t left = n - *got;
		ssize_t done = pread(fd, to + *got, left < STEP ? left : STEP, (off_t)(offset + *got));
		if (done < 0 && errno == EINTR) continue;
		if (done < 0) return false;
		if (done == 0) break;
		*got += (size_t)done;
	}
	return true;
}

bool gm_io_fsync(int fd)
{
	int failed;
	do failed = fsync(fd);
	while (failed != 0 && errno == EINTR);
	return failed == 0;
}

bool gm_io_random_hex(char out[33])
{
	uint8_t bits[16];
	for (size_t have = 0; have < sizeof bits;) {
		ssize_t done = getrandom(bits + have, sizeof bits - have, 0);
		if (done < 0 && errno == EINTR) continue;
		if (done < 0) return false;
		have += (size_t)done;
	}
	for (size_t i = 0; i < sizeof bits; i++) (void)snprintf(out + 2 * i, 3, "%02x", bits[i]);
	return true;
}

int gm_io_temporary(const char *folder)
{
	int fd = gm_io_openat(AT_FDCWD, folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	/* A file system (or an old overlay) without O_TMPFILE says one of these: make a name and drop it at once. */
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
	static const char name[] = "/.gm-XXXXXX.tmp";
	size_t n = strlen(folder);
	char *path = malloc(n + sizeof name);
	if (path == NULL) {
		errno = ENOMEM;
		return -1;
	}
	memcpy(path, folder, n);
	memcpy(path + n, name, sizeof name);
	fd = mkostemps(path, 4, O_CLOEXEC);
	if (fd >= 0) (void)unlink(path);
	int saved = errno;
	free(path);
	errno = saved;
	return fd;
}
