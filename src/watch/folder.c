/* folder.c - changes in a tree of folders, as the kernel tells them.
 *
 * inotify watches one folder at a time, so each has a watch of its own, and a folder that appears is given one and then
 * looked into, since files may have been put there before. What is told may be less than what happened (the kernel's
 * queue overflows, a limit is reached, another machine writes to a network file system), never more than a hint: a run
 * lists the source.
 *
 * A file counts when it is closed after writing, moved in or linked, not while it is written. A listing takes whatever
 * is there, though, also a file that another process is writing just then: so a run waits until nothing has been
 * written for a second. Who writes slowly moves finished files into place, as docs/watch.md says: under a name that
 * listings leave out until then, it wakes nobody. */
#include "watch/folder.h"

#include "base/arena.h"
#include "base/time.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 16 << 10, STEPS_MAX = 64 /* reads in one go: who writes without end must not keep us here */ };

static const uint32_t folder_events =
    IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

struct watched {
	int number; /* the kernel's; ascending as they are given */
	char *path;
};
struct gm_folder {
	char *path;
	int fd;
	struct watched *folders; /* by number */
	size_t count, room;
	struct gm_told told;
	int64_t active_us; /* when something was last written */
	bool lost;         /* what is watched is no longer what there is */
	bool partial, partial_told;
	char line[256];
	bool line_new;
};

/* --- The folders that are watched --------------------------------------------------------------------------------- */

/* Where the number is, or would be. */
static size_t place_of(const struct gm_folder *folder, int number)
{
	size_t low = 0, high = folder->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (folder->folders[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct watched *find(struct gm_folder *folder, int number)
{
	size_t at = place_of(folder, number);
	return at < folder->count && folder->folders[at].number == number ? &folder->folders[at] : NULL;
}

static void forget(struct gm_folder *folder, int number)
{
	struct watched *watched = find(folder, number);
	if (watched == NULL) return;
	free(watched->path);
	folder->count--;
	memmove(watched, watched + 1, (size_t)(folder->folders + folder->count - watched) * sizeof *watched);
}

static void cannot_watch(struct gm_folder *folder, const char *path, const char *why)
{
	folder->partial = true;
	if (folder->partial_told) return;
	folder->partial_told = folder->line_new = true;
	(void)snprintf(folder->line, sizeof folder->line,
	               "not all folders are watched (%.120s: %s); what is written there waits for the timer", path, why);
}

static bool remember(struct gm_folder *folder, int number, const char *path)
{
	size_t at = place_of(folder, number);
	struct watched *grown = gm_grow(folder->folders, folder->count, &folder->room, sizeof *grown);
	char *copy = strdup(path);
	if (grown != NULL) folder->folders = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	memmove(grown + at + 1, grown + at, (folder->count - at) * sizeof *grown);
	grown[at] = (struct watched){.number = number, .path = copy};
	folder->count++;
	return true;
}

/* The number of a folder that is now watched and was not before; -1 for all else, with errno 0 if nothing is wrong. */
static int watch_one(struct gm_folder *folder, const char *path)
{
	if (folder->count >= GM_FOLDERS_MAX) {
		errno = ENOSPC;
		return -1;
	}
	int number = inotify_add_watch(folder->fd, path, folder_events);
	if (number < 0) return -1;
	errno = 0;
	if (find(folder, number) != NULL) return -1; /* a link leads back to it */
	if (remember(folder, number, path)) return number;
	(void)inotify_rm_watch(folder->fd, number);
	errno = ENOMEM;
	return -1;
}

/* --- Looking into folders ----------------------------------------------------------------------------------------- */

static void note_file(struct gm_folder *folder, const char *path, int64_t now_us)
{
	struct stat found;
	if (folder->told.objects++ == 0) folder->told.first_us = now_us;
	if (stat(path, &found) == 0 && found.st_size > 0) folder->told.bytes += (uint64_t)found.st_size;
	folder->active_us = now_us;
}

/* Folders that are still to be watched: a stack, so that depth costs no recursion. */
struct pile {
	char **paths;
	size_t count, room;
};

static bool pile_add(struct pile *pile, const char *folder, const char *name)
{
	char path[PATH_MAX];
	char **grown = gm_grow(pile->paths, pile->count, &pile->room, sizeof *grown);
	if (grown == NULL) return false;
	pile->paths = grown;
	bool fits = snprintf(path, sizeof path, name[0] != '\0' ? "%s/%s" : "%s", folder, name) < (int)sizeof path;
	char *copy = fits ? strdup(path) : NULL;
	if (copy != NULL) pile->paths[pile->count++] = copy;
	return copy != NULL;
}

/* Adds the folders in a folder to the pile. files: files are noted, since nobody has been told of them. */
static void look_into(struct gm_folder *folder, const char *path, bool files, struct pile *pile, int64_t now_us)
{
	DIR *open = opendir(path);
	if (open == NULL) return; /* gone again, or a listing will say why not */
	for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
		struct stat found;
		char inner[PATH_MAX];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) continue;
		bool maybe = entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
		bool inside = maybe && stat(inner, &found) == 0 && S_ISDIR(found.st_mode);
		if (inside && !pile_add(pile, path, entry->d_name)) cannot_watch(folder, inner, "out of memory");
		if (!inside && files && !gm_store_name_hidden(entry->d_name, strlen(entry->d_name)))
			note_file(folder, inner, now_us);
	}
	(void)closedir(open);
}

/* Watches a folder and all below it; files: what lies in them is news. Returns the number of the first; -1: errno. */
static int watch_tree(struct gm_folder *folder, const char *path, bool files, int64_t now_us)
{
	struct pile pile = {.paths = NULL};
	int first = -1, why = ENOMEM;
	bool begun = false;
	if (!pile_add(&pile, path, "")) cannot_watch(folder, path, "out of memory");
	while (pile.count > 0) {
		char *next = pile.paths[--pile.count];
		int number = watch_one(folder, next);
		if (!begun) why = errno;
		if (!begun) first = number;
		begun = true;
		if (number >= 0)
			look_into(folder, next, files, &pile, now_us);
		else if (errno != 0 && errno != ENOENT && errno != ENOTDIR)
			cannot_watch(folder, next, strerror(errno));
		free(next);
	}
	free(pile.paths);
	errno = why;
	return first;
}

/* --- What the kernel tells ---------------------------------------------------------------------------------------- */

static void take_named(struct gm_folder *folder, const struct inotify_event *event, int64_t now_us)
{
	char path[PATH_MAX];
	const struct watched *in = find(folder, event->wd);
	if (in == NULL || gm_store_name_hidden(event->name, strlen(event->name))) return;
	if (snprintf(path, sizeof path, "%s/%s", in->path, event->name) >= (int)sizeof path) return;
	folder->active_us = now_us;
	if ((event->mask & IN_ISDIR) != 0) {
		if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) (void)watch_tree(folder, path, true, now_us);
		return;
	}
	/* IN_CREATE is the beginning of a file that will be closed, or a hard link or symbolic link, which will not. */
	struct stat found;
	bool linked = (event->mask & IN_CREATE) != 0 && lstat(path, &found) == 0 &&
	              (S_ISLNK(found.st_mode) || (S_ISREG(found.st_mode) && found.st_nlink > 1));
	bool done = linked || (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
	if (done && stat(path, &found) == 0 && S_ISDIR(found.st_mode))
		(void)watch_tree(folder, path, true, now_us); /* a symbolic link to a folder, which is not told as one */
	else if (done)
		note_file(folder, path, now_us);
}

static void take_event(struct gm_folder *folder, const struct inotify_event *event, int64_t now_us)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		folder->line_new = true;
		(void)snprintf(folder->line, sizeof folder->line, "more has changed than the kernel tells; listing all of it");
		folder->lost = true; /* folders may have appeared that nobody watches */
	} else if ((event->mask & IN_MOVE_SELF) != 0) {
		folder->lost = true; /* the path is wrong from now on, and those of all folders in it */
	} else if ((event->mask & IN_IGNORED) != 0) {
		const struct watched *gone = find(folder, event->wd);
		if (gone != NULL && strcmp(gone->path, folder->path) == 0) folder->lost = true;
		forget(folder, event->wd);
	} else if (event->len > 0) {
		take_named(folder, event, now_us);
	}
}

static void read_events(struct gm_folder *folder, int64_t now_us)
{
	_Alignas(struct inotify_event) char bytes[READ_BYTES];
	for (int step = 0; step < STEPS_MAX; step++) {
		ssize_t n = read(folder->fd, bytes, sizeof bytes);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return;
		for (const char *at = bytes; at < bytes + n;) {
			const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
			take_event(folder, event, now_us);
			at += sizeof *event + event->len;
		}
	}
}

/* --- From outside ------------------------------------------------------------------------------------------------- */

static void forget_all(struct gm_folder *folder)
{
	if (folder->fd >= 0) (void)close(folder->fd); /* with all its watches */
	folder->fd = -1;
	for (size_t i = 0; i < folder->count; i++) free(folder->folders[i].path);
	folder->count = 0;
}

static enum gm_code watch_all(struct gm_folder *folder, struct gm_error *err)
{
	folder->lost = false;
	folder->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (folder->fd >= 0 && watch_tree(folder, folder->path, false, 0) >= 0) return GM_OK;
	return gm_error_errno(err, errno, folder->path, "watching it");
}

enum gm_code gm_folder_open(const char *path, struct gm_folder **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_folder *folder = calloc(1, sizeof *folder);
	if (folder != NULL) *folder = (struct gm_folder){.path = strdup(path), .fd = -1};
	enum gm_code rc = GM_OK;
	if (folder == NULL || folder->path == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for watching a folder");
	if (rc == GM_OK) rc = watch_all(folder, err);
	if (rc == GM_OK)
		*out = folder;
	else
		gm_folder_close(folder);
	return rc;
}

void gm_folder_close(struct gm_folder *folder)
{
	if (folder == NULL) return;
	forget_all(folder);
	free(folder->folders);
	free(folder->path);
	free(folder);
}

int gm_folder_fd(const struct gm_folder *folder)
{
	return folder->fd;
}

enum gm_code gm_folder_read(struct gm_folder *folder, int64_t now_us, struct gm_error *err)
{
	read_events(folder, now_us);
	if (!folder->lost) return GM_OK;
	forget_all(folder);
	GM_TRY(watch_all(folder, err));
	note_file(folder, folder->path, now_us); /* whatever it was that changed */
	return GM_OK;
}

void gm_folder_told(const struct gm_folder *folder, int64_t now_us, struct gm_told *told, int64_t *until_us)
{
	int64_t quiet_us = folder->active_us + GM_FOLDER_SETTLE_SECONDS * GM_US_PER_SECOND;
	*told = folder->told;
	told->quiet = told->objects > 0 && now_us >= quiet_us;
	*until_us = told->objects > 0 ? quiet_us : INT64_MAX;
}

void gm_folder_begin(struct gm_folder *folder)
{
	folder->told = (struct gm_told){.objects = 0};
}

const char *gm_folder_notice(struct gm_folder *folder)
{
	bool any = folder->line_new;
	folder->line_new = false;
	return any ? folder->line : NULL;
}
