/* io.h - file descriptors without surprises: whole reads and writes, interruptions by signals repeated, short counts
 * continued. Failures set errno and return false; the caller knows what the file is called and what it was for. */
#ifndef GM_BASE_IO_H
#define GM_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* openat(); mode only counts for what is created. -1: see errno. */
int gm_io_openat(int folder, const char *name, int flags, mode_t mode);
/* Writes all bytes at the descriptor's position (append) or at offset. */
bool gm_io_write(int fd, const void *bytes, size_t n);
bool gm_io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset);
/* Reads until n bytes or the end of the file; *got < n only at its end. */
bool gm_io_read(int fd, void *into, size_t n, size_t *got);
bool gm_io_pread(int fd, void *into, size_t n, uint64_t offset, size_t *got);
bool gm_io_fsync(int fd);
/* A file without a name in a folder, for reading and writing, gone with its descriptor; -1: see errno. */
int gm_io_temporary(const char *folder);
/* 32 lower-case hexadecimal digits and a NUL: 128 random bits. */
bool gm_io_random_hex(char out[33]);

#endif
