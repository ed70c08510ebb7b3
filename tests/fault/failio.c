/* failio.c - lets a call on files go wrong, or kills the process there.
 *
 *   FAULT_IO_AT=N          the Nth call goes wrong (none without it)
 *   FAULT_IO_FROM=N        the Nth and all later ones
 *   FAULT_IO_ACTION=...    fail (default): not done, fails with FAULT_IO_ERRNO
 *                          lose: done, but fails all the same, as when a server's answer is lost (not for read and
 * write with EINTR, which promises that nothing was moved) short: a read, write moves one byte only (any other call:
 * nothing special) kill: SIGKILL before it is done kill-after: SIGKILL once it is done FAULT_IO_ERRNO=...     EIO
 * (default), ENOSPC, EINTR, EACCES, ... or a number FAULT_IO_CALLS=a,b     only these count: read, write, sync, open
 * (for writing), link, rename, unlink, mkdir, truncate (default: all but read) FAULT_IO_BELOW=DIR     only calls on
 * files below the folder DIR (absolute, without links) count FAULT_IO_REPORT=F      at exit "<counted> <failed>" is
 * appended to the file F FAULT_IO_LOG=F each call counted is appended to the file F: "<number> <call> <path>"
 *
 * Without FAULT_IO_BELOW, standard input, output and error are left alone. What the C library does inside itself
 * (stdio) is not seen; gristmill writes its files with the calls below. */
#include "shim.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum action { FAIL, LOSE, SHORT, KILL, KILL_AFTER };
enum call { READ, WRITE, SYNC, OPEN, LINK, RENAME, UNLINK, MKDIR, TRUNCATE, CALLS };

static const char *const call_names[CALLS] = {"read",   "write",  "sync",  "open",    "link",
                                              "rename", "unlink", "mkdir", "truncate"};
static struct shim shim;
static enum action action;
static int error_number;
static bool counts[CALLS];
static char below[PATH_MAX], log_path[512];

static int errno_of(const char *text)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR},   {"EACCES", EACCES}, {"EDQUOT", EDQUOT},
	             {"EROFS", EROFS},   {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"EPERM", EPERM},   {"EEXIST", EEXIST},
	             {"ENOENT", ENOENT}, {"EFBIG", EFBIG},   {"ESTALE", ESTALE}, {"EXDEV", EXDEV},   {"ENOMEM", ENOMEM}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(text, known[i].name) == 0) return known[i].number;
	}
	int number = atoi(text);
	return number > 0 ? number : EIO;
}

static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = list; (at = strstr(at, word)) != NULL; at += n) {
		if ((at == list || at[-1] == ',') && (at[n] == '\0' || at[n] == ',')) return true;
	}
	return false;
}

__attribute__((constructor)) static void arm(void)
{
	static const char *const actions[] = {"fail", "lose", "short", "kill", "kill-after"};
	char text[256];
	shim.at = shim_number("FAULT_IO_AT");
	if (shim_number("FAULT_IO_FROM") != 0) {
		shim.at = shim_number("FAULT_IO_FROM");
		shim.from = true;
	}
	shim_setting("FAULT_IO_ACTION", text, sizeof text);
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(text, actions[i]) == 0) action = (enum action)i;
	}
	shim_setting("FAULT_IO_ERRNO", text, sizeof text);
	error_number = errno_of(text);
	shim_setting("FAULT_IO_CALLS", text, sizeof text);
	for (size_t i = 0; i < CALLS; i++) counts[i] = text[0] != '\0' ? listed(text, call_names[i]) : i != READ;
	shim_setting("FAULT_IO_BELOW", below, sizeof below);
	shim_setting("FAULT_IO_REPORT", shim.report, sizeof shim.report);
	shim_setting("FAULT_IO_LOG", log_path, sizeof log_path);
	shim.armed = true;
}

__attribute__((destructor)) static void report(void)
{
	shim_report(&shim);
	shim.armed = false;
}

/* --- which calls count -------------------------------------------------------------------------------------------- */

static void path_of_fd(int fd, char path[PATH_MAX])
{
	char link[64];
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
}

/* folder/name, where that is relative. */
static void path_of_name(int folder, const char *name, char path[PATH_MAX])
{
	path[0] = '\0';
	if (name[0] != '/') {
		if (folder == AT_FDCWD) {
			if (syscall(SYS_getcwd, path, PATH_MAX) < 0) path[0] = '\0';
		} else {
			path_of_fd(folder, path);
		}
	}
	size_t n = strlen(path);
	(void)snprintf(path + n, PATH_MAX - n, "%s%s", name[0] != '/' ? "/" : "", name);
}

static bool is_below(const char *path)
{
	size_t n = strlen(below);
	while (n > 1 && below[n - 1] == '/') n--;
	return strncmp(path, below, n) == 0 && (path[n] == '/' || path[n] == '\0' || n <= 1);
}

/* Counts the call, on fd or on name in folder, and says whether it is due. */
static bool due(enum call call, int folder, const char *name, int fd)
{
	char path[PATH_MAX], line[PATH_MAX + 64];
	if (!shim.armed || !counts[call]) return false;
	if (name != NULL)
		path_of_name(folder, name, path);
	else
		path_of_fd(fd, path);
	if (below[0] != '\0' ? !is_below(path) : name == NULL && fd <= 2) return false;
	uint64_t number = shim_next(&shim);
	if (log_path[0] != '\0') {
		int n = snprintf(line, sizeof line, "%llu %s %s\n", (unsigned long long)number, call_names[call], path);
		shim_append(log_path, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
	}
	return shim_is_due(&shim, number);
}

/* --- what happens to them ----------------------------------------------------------------------------------------- */

static void die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;) (void)pause();
}

/* The system call `make`, or what is to happen in its place. */
#define RUN(is_due, make)                                    \
	do {                                                     \
		bool due_ = (is_due);                                \
		if (due_ && action == KILL) die();                   \
		long result_ = due_ && action == FAIL ? -1 : (make); \
		if (due_ && action == KILL_AFTER) die();             \
		if (due_ && (action == FAIL || action == LOSE)) {    \
			errno = error_number;                            \
			result_ = -1;                                    \
		}                                                    \
		return (__typeof__(make))result_;                    \
	} while (0)

/* How much of a transfer is made. */
static size_t part(bool is_due, size_t bytes)
{
	return is_due && action == SHORT && bytes > 1 ? 1 : bytes;
}

ssize_t read(int fd, void *into, size_t bytes)
{
	bool now = due(READ, 0, NULL, fd);
	RUN(now, syscall(SYS_read, fd, into, part(now, bytes)));
}

ssize_t pread(int fd, void *into, size_t bytes, off_t offset)
{
	bool now = due(READ, 0, NULL, fd);
	RUN(now, syscall(SYS_pread64, fd, into, part(now, bytes), offset));
}

ssize_t pread64(int fd, void *into, size_t bytes, off64_t offset)
{
	return pread(fd, into, bytes, offset);
}

ssize_t write(int fd, const void *from, size_t bytes)
{
	bool now = due(WRITE, 0, NULL, fd);
	RUN(now, syscall(SYS_write, fd, from, part(now, bytes)));
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
	bool now = due(WRITE, 0, NULL, fd);
	RUN(now, syscall(SYS_pwrite64, fd, from, part(now, bytes), offset));
}

ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t offset)
{
	return pwrite(fd, from, bytes, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	RUN(due(WRITE, 0, NULL, fd), syscall(SYS_writev, fd, parts, count));
}

int fsync(int fd)
{
	RUN(due(SYNC, 0, NULL, fd), (int)syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	RUN(due(SYNC, 0, NULL, fd), (int)syscall(SYS_fdatasync, fd));
}

int ftruncate(int fd, off_t bytes)
{
	RUN(due(TRUNCATE, 0, NULL, fd), (int)syscall(SYS_ftruncate, fd, bytes));
}

int ftruncate64(int fd, off64_t bytes)
{
	return ftruncate(fd, bytes);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
	RUN(due(LINK, to_folder, to, -1), (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags));
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
	RUN(due(RENAME, to_folder, to, -1), (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *name, int flags)
{
	RUN(due(UNLINK, folder, name, -1), (int)syscall(SYS_unlinkat, folder, name, flags));
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int mkdirat(int folder, const char *name, mode_t mode)
{
	RUN(due(MKDIR, folder, name, -1), (int)syscall(SYS_mkdirat, folder, name, mode));
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

static int open_at(int folder, const char *name, int flags, mode_t mode)
{
	bool writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
	/* A descriptor that was opened and "lost" stays open: as well as nobody knows of it, nobody can close it. */
	RUN(writes && due(OPEN, folder, name, -1), (int)syscall(SYS_openat, folder, name, flags, mode));
}

#define MODE_OF(flags, mode)                                                          \
	do {                                                                              \
		va_list args_;                                                                \
		va_start(args_, flags);                                                       \
		if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) (mode) = va_arg(args_, mode_t); \
		va_end(args_);                                                                \
	} while (0)

int openat(int folder, const char *name, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return open_at(folder, name, flags, mode);
}

int openat64(int folder, const char *name, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return open_at(folder, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, name, flags, mode);
}

int creat(const char *name, mode_t mode)
{
	return open_at(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
