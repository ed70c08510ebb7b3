/* metrics_file.c - metrics in a file, where the node exporter's textfile collector finds them.
 *
 * The collector reads every *.prom of its folder whenever it is asked, so a file must never be there by half: it is
 * written under a name that the collector passes over, and renamed. It is as readable as other files of the folder,
 * since the collector is another user. */
#include "watch/metrics_internal.h"

#include "base/io.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- What the file has told before -------------------------------------------------------------------------------- */

/* "1710028800.000000" as it was written; GM_METRICS_UNKNOWN if it is something else. */
static int64_t read_seconds(const char *text, const char *end)
{
	int64_t us = 0;
	int digits = 0, behind = -1; /* digits, and those behind the point */
	for (; text < end && *text != '\n'; text++, digits++) {
		if (*text == '.' && behind < 0) {
			behind = 0;
			continue;
		}
		if (*text < '0' || *text > '9' || digits >= 18 || behind >= 6) return GM_METRICS_UNKNOWN;
		us = us * 10 + (*text - '0');
		if (behind >= 0) behind++;
	}
	if (text == end || behind != 6) return GM_METRICS_UNKNOWN;
	return us;
}

/* The sample of `name` with our job's label and no other. */
static int64_t find_time(const struct gm_metrics *metrics, const struct gm_buf *text, const char *name)
{
	char start[2048];
	int n = snprintf(start, sizeof start, "\n%s{%s} ", name, metrics->label);
	if (n < 0 || (size_t)n >= sizeof start) return GM_METRICS_UNKNOWN;
	const char *at = memmem(text->data, text->len, start, (size_t)n);
	return at != NULL ? read_seconds(at + n, (const char *)text->data + text->len) : GM_METRICS_UNKNOWN;
}

/* Of a file that is none of ours nothing is taken, and what cannot be read is no reason not to write. */
static void carry_on(struct gm_metrics *metrics, const struct gm_buf *before, int64_t now_us)
{
	struct gm_metrics_figures *figures = &metrics->figures;
	const struct {
		const char *name;
		int64_t *us;
	} times[] = {
	    {"gristmill_last_success_timestamp_seconds", &figures->last_success_us},
	    {"gristmill_last_commit_timestamp_seconds", &figures->last_commit_us},
	    {"gristmill_catalog_last_sync_timestamp_seconds", &figures->catalog_us},
	};
	(void)pthread_mutex_lock(&metrics->lock);
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		int64_t us = find_time(metrics, before, times[i].name);
		if (*times[i].us == GM_METRICS_UNKNOWN && us <= now_us) *times[i].us = us;
	}
	(void)pthread_mutex_unlock(&metrics->lock);
}

static enum gm_code read_before(int folder, const char *name, struct gm_buf *before, struct gm_error *err)
{
	size_t got = 0;
	GM_TRY(gm_buf_reserve(before, GM_METRICS_BYTES_MAX, err));
	int fd = gm_io_openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0) return GM_OK;
	if (gm_io_read(fd, before->data, GM_METRICS_BYTES_MAX, &got)) before->len = got;
	(void)close(fd);
	return GM_OK;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* A rename would replace a device, or a link, by a file. */
static enum gm_code check_name(int folder, const char *name, const char *path, struct gm_error *err)
{
	struct stat is;
	if (name[0] == '\0') return gm_error_errno(err, EISDIR, path, "writing metrics");
	if (fstatat(folder, name, &is, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) return GM_OK;
		return gm_error_errno(err, errno, path, "writing metrics");
	}
	if (S_ISREG(is.st_mode)) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "writing metrics: there is something else than a file");
	(void)gm_error_object(err, GM_USAGE, path, strlen(path));
	return gm_error_hint(err, GM_USAGE, "name a file, such as gristmill.prom in the textfile collector's folder");
}

static bool fill(int fd, const struct gm_buf *text)
{
	return gm_io_write(fd, text->data, text->len) && fchmod(fd, 0644) == 0 && gm_io_fsync(fd);
}

static enum gm_code replace(int folder, const char *name, const struct gm_buf *text, const char *path,
                            struct gm_error *err)
{
	char temporary[64], random[33];
	if (!gm_io_random_hex(random)) return gm_error_errno(err, errno, path, "writing metrics");
	(void)snprintf(temporary, sizeof temporary, ".%s.tmp", random);
	int fd = gm_io_openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) return gm_error_errno(err, errno, path, "writing metrics");
	bool good = fill(fd, text);
	int failed = errno;
	if (close(fd) != 0 && good) {
		good = false;
		failed = errno;
	}
	if (good && renameat(folder, temporary, folder, name) == 0) return GM_OK;
	if (good) failed = errno;
	(void)unlinkat(folder, temporary, 0);
	return gm_error_errno(err, failed, path, "writing metrics");
}

static enum gm_code write_in(struct gm_metrics *metrics, int64_t now_us, int folder, const char *path,
                             struct gm_error *err)
{
	struct gm_buf before, text;
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	enum gm_code rc;
	gm_buf_init(&before, GM_METRICS_BYTES_MAX);
	gm_buf_init(&text, GM_METRICS_BYTES_MAX);
	GM_TRY_OUT(check_name(folder, name, path, err));
	GM_TRY_OUT(read_before(folder, name, &before, err));
	carry_on(metrics, &before, now_us);
	GM_TRY_OUT(gm_metrics_render(metrics, GM_METRICS_FILE, now_us, &text, err));
	rc = replace(folder, name, &text, path, err);
out:
	gm_buf_release(&text);
	gm_buf_release(&before);
	return rc;
}

enum gm_code gm_metrics_write_file(struct gm_metrics *metrics, int64_t now_us, const char *path, struct gm_error *err)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (folder == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for metrics");
	int fd = gm_io_openat(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC, 0);
	free(folder);
	if (fd < 0) return gm_error_errno(err, errno, path, "writing metrics");
	enum gm_code rc = write_in(metrics, now_us, fd, path, err);
	(void)close(fd);
	return rc;
}
