/* process.c - reads proc(5), /proc/self alone: it is there also where a service sees nothing else of /proc.
 *
 *     statm    sizes in pages: all of the address space, resident, ...
 *     status   lines "Name:  value kB"; VmHWM is the largest resident size of this program (ru_maxrss would count what
 *              the parent held when it forked)
 *     stat     fields behind "(name) ", of which the 20th is the start, in clock ticks since the system's
 *     fd       a folder with an entry for each open file */
#include "watch/process.h"

#include "base/io.h"
#include "base/time.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 8192 };

/* The first bytes of a file, NUL-terminated. */
static bool read_file(const char *path, char text[FILE_BYTES])
{
	size_t got = 0;
	int fd = gm_io_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) return false;
	bool good = gm_io_read(fd, text, FILE_BYTES - 1, &got);
	(void)close(fd);
	text[got] = '\0';
	return good;
}

/* The number that stands at text, behind spaces; -1: none does. */
static int64_t number_at(const char *text)
{
	text += strspn(text, " \t");
	return text[0] >= '0' && text[0] <= '9' ? strtoll(text, NULL, 10) : -1;
}

static int64_t resident_bytes(void)
{
	char text[FILE_BYTES];
	if (!read_file("/proc/self/statm", text)) return -1;
	const char *space = strchr(text, ' ');
	int64_t pages = space != NULL ? number_at(space) : -1;
	return pages >= 0 ? pages * sysconf(_SC_PAGESIZE) : -1;
}

static int64_t peak_bytes(void)
{
	static const char name[] = "\nVmHWM:";
	char text[FILE_BYTES];
	if (!read_file("/proc/self/status", text)) return -1;
	const char *line = strstr(text, name);
	int64_t kibibytes = line != NULL ? number_at(line + sizeof name - 1) : -1;
	return kibibytes >= 0 ? kibibytes * 1024 : -1;
}

static int64_t open_files(void)
{
	int64_t count = -3; /* "." and "..", and the folder's own */
	DIR *folder = opendir("/proc/self/fd");
	if (folder == NULL) return -1;
	while (readdir(folder) != NULL) count++;
	(void)closedir(folder);
	return count;
}

static int64_t files_max(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT64_MAX) return -1;
	return (int64_t)limit.rlim_cur;
}

static int64_t cpu_us(void)
{
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage) != 0) return -1;
	int64_t seconds = (int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
	return seconds * GM_US_PER_SECOND + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

void gm_process_read(struct gm_process *process)
{
	process->cpu_us = cpu_us();
	process->resident_bytes = resident_bytes();
	process->peak_bytes = peak_bytes();
	process->open_files = open_files();
	process->files_max = files_max();
}

int64_t gm_process_start_us(int64_t now_us)
{
	char text[FILE_BYTES];
	struct timespec since_boot;
	long ticks_per_second = sysconf(_SC_CLK_TCK);
	if (ticks_per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) return now_us;
	if (!read_file("/proc/self/stat", text)) return now_us;
	const char *field = strrchr(text, ')'); /* a name may hold spaces and parentheses, too */
	for (int i = 0; field != NULL && i < 20; i++) field = strchr(field + 1, ' ');
	int64_t ticks = field != NULL ? number_at(field) : -1;
	if (ticks < 0 || ticks > INT64_MAX / GM_US_PER_SECOND) return now_us;
	int64_t boot_us = now_us - ((int64_t)since_boot.tv_sec * GM_US_PER_SECOND + since_boot.tv_nsec / 1000);
	return boot_us + ticks * GM_US_PER_SECOND / ticks_per_second;
}
