/* directory_walk.c - the two walks through a folder: listing all objects in order, and removing all.
 *
 * The order of a listing is that of whole keys as bytes: "a-b" < "a.c" < "a/b", because '/' is 0x2f. Within one folder
 * that is the order of its names when each sub-folder counts with a '/' at its end, so one folder is sorted at a time
 * and sub-folders are entered where they stand. A folder with more names than LIST_BYTES can hold is read several
 * times, each time for the next names in order: memory is bounded, a folder of ordinary size is read once. A listing
 * that begins behind a key takes from each folder above that key only what may lie behind it.
 *
 * Folders on the way down stay open, so that a file is looked at by its name alone: that the kernel need not find its
 * way from the root each time is a tenth of a listing's cost. Of a tree that is very deep only the upper ones do. */
#include "store/directory.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LIST_BYTES = 16 << 20,       /* names of one folder held at a time */
	ENTRIES_BYTES = 32 << 10,    /* of a folder, read at a time */
	OPEN_FOLDERS = 32,           /* that are kept open */
	NAME_BYTES = 256 + 2,        /* NAME_MAX, '/', NUL */
	FOLDER_MAX_BYTES = 64 << 10, /* of a path in remove_tree */
	RETRIES = 16,
};

/* One folder on the way down. */
struct frame {
	int fd;             /* -1: not kept open */
	size_t key_len;     /* of its own key, with '/' at its end */
	const char *filter; /* its names begin with it */
	dev_t device;
	ino_t inode;
	struct gm_buf names;    /* one after the other, each with its NUL, a sub-folder with its '/' */
	struct gm_buf starts;   /* uint32_t: where each begins, in order after sorting */
	size_t next;            /* to be given out */
	bool more;              /* there are names behind the last one held */
	char bound[NAME_BYTES]; /* more: the first name that is known not to be held */
	char after[NAME_BYTES]; /* names up to this one have been given out */
};

struct walk {
	struct gm_directory *dir;
	const char *filter; /* of the first folder */
	const char *after;  /* keys up to it are left out */
	gm_prune_fn *prune; /* NULL: none */
	gm_list_fn *each;
	void *context;
	struct frame **frames;
	size_t depth, room;
	char key[GM_KEY_MAX_BYTES + 1];
	_Alignas(struct dirent64) char entries[ENTRIES_BYTES];
};

/* --- the names of one folder -------------------------------------------------------------------------------------- */

static size_t name_count(const struct frame *frame)
{
	return frame->starts.len / sizeof(uint32_t);
}

static const char *name_at(const struct frame *frame, size_t i)
{
	return (const char *)frame->names.data + ((const uint32_t *)(const void *)frame->starts.data)[i];
}

static int by_name(const void *a, const void *b, void *names)
{
	uint32_t left, right;
	memcpy(&left, a, sizeof left);
	memcpy(&right, b, sizeof right);
	return strcmp((const char *)names + left, (const char *)names + right);
}

static void sort_names(struct frame *frame)
{
	if (frame->starts.len > 0)
		qsort_r(frame->starts.data, name_count(frame), sizeof(uint32_t), by_name, frame->names.data);
}

static enum gm_code keep_name(struct frame *frame, const char *name, struct gm_error *err)
{
	uint32_t start = (uint32_t)frame->names.len;
	GM_TRY(gm_buf_append(&frame->names, name, strlen(name) + 1, err));
	return gm_buf_append(&frame->starts, &start, sizeof start, err);
}

/* Drops the upper half of the names held. */
static enum gm_code drop_half(struct frame *frame, struct gm_error *err)
{
	sort_names(frame);
	size_t kept = name_count(frame) / 2;
	strcpy(frame->bound, name_at(frame, kept));
	frame->more = true;
	struct gm_buf names = frame->names, starts = frame->starts;
	gm_buf_init(&frame->names, names.max_bytes);
	gm_buf_init(&frame->starts, starts.max_bytes);
	enum gm_code code = GM_OK;
	for (size_t i = 0; i < kept && code == GM_OK; i++) {
		uint32_t start;
		memcpy(&start, starts.data + i * sizeof start, sizeof start);
		code = keep_name(frame, (const char *)names.data + start, err);
	}
	gm_buf_release(&names);
	gm_buf_release(&starts);
	return code;
}

/* Writes the name as it sorts to `name`; false if the entry is not to be listed. */
static bool entry_name(const struct frame *frame, int folder, const struct dirent64 *entry, char name[NAME_BYTES])
{
	size_t n = strlen(entry->d_name);
	if (n + 2 > NAME_BYTES || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) return false;
	if (gm_store_name_hidden(entry->d_name, n)) return false;
	bool is_folder = entry->d_type == DT_DIR;
	if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
		struct stat info;
		if (fstatat(folder, entry->d_name, &info, 0) != 0)
			is_folder = false; /* judged when it is its turn */
		else if (S_ISDIR(info.st_mode))
			is_folder = true;
		else if (!S_ISREG(info.st_mode))
			return false;
	} else if (!is_folder && entry->d_type != DT_REG) {
		return false;
	}
	memcpy(name, entry->d_name, n);
	if (is_folder) name[n++] = '/';
	name[n] = '\0';
	if (strncmp(name, frame->filter, strlen(frame->filter)) != 0) return false;
	return strcmp(name, frame->after) > 0 && !(frame->more && strcmp(name, frame->bound) >= 0);
}

static enum gm_code take_entry(struct frame *frame, int folder, const struct dirent64 *entry, struct gm_error *err)
{
	char name[NAME_BYTES];
	if (!entry_name(frame, folder, entry, name)) return GM_OK;
	if (frame->names.len + frame->starts.len + NAME_BYTES + sizeof(uint32_t) > LIST_BYTES)
		GM_TRY(drop_half(frame, err));
	return keep_name(frame, name, err);
}

static enum gm_code read_names(struct walk *walk, struct frame *frame, int folder, struct gm_error *err)
{
	for (;;) {
		ssize_t bytes = getdents64(folder, walk->entries, sizeof walk->entries);
		if (bytes < 0 && errno == EINTR) continue;
		if (bytes < 0 && errno != ENOENT) /* ENOENT: the folder was removed meanwhile */
			return gm_directory_fail(walk->dir, walk->key, errno, "reading the folder", err);
		if (bytes <= 0) break;
		for (ssize_t at = 0; at < bytes;) {
			const struct dirent64 *entry = (const void *)(walk->entries + at);
			GM_TRY(take_entry(frame, folder, entry, err));
			at += entry->d_reclen;
		}
	}
	sort_names(frame);
	return GM_OK;
}

/* The folder walk->key, which ends in '/' or is empty, to be read from its start. */
static int open_folder(const struct walk *walk, const struct frame *frame)
{
	if (frame->fd >= 0) return lseek(frame->fd, 0, SEEK_SET) == 0 ? frame->fd : -1;
	const char *path = walk->key[0] != '\0' ? walk->key : ".";
	return gm_io_openat(walk->dir->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* Does the folder stand above itself? */
static bool is_loop(const struct walk *walk, const struct frame *frame)
{
	for (size_t i = 0; i < walk->depth; i++) {
		const struct frame *above = walk->frames[i];
		if (above != frame && above->device == frame->device && above->inode == frame->inode) return true;
	}
	return false;
}

/* Fills the frame with the (next) names of the folder walk->key. A folder that is gone has none; so has one that stands
 * above itself (*loop). */
static enum gm_code fill(struct walk *walk, struct frame *frame, bool *loop, struct gm_error *err)
{
	struct stat info;
	*loop = false;
	frame->names.len = frame->starts.len = frame->next = 0;
	frame->more = false;
	int fd = open_folder(walk, frame);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return GM_OK;
	enum gm_code code = GM_OK;
	if (fd < 0 || fstat(fd, &info) != 0) {
		code = gm_directory_fail(walk->dir, walk->key, errno, "opening the folder", err);
	} else {
		frame->device = info.st_dev;
		frame->inode = info.st_ino;
		*loop = is_loop(walk, frame);
		if (!*loop) code = read_names(walk, frame, fd, err);
	}
	if (walk->depth < OPEN_FOLDERS)
		frame->fd = fd;
	else if (fd >= 0 && fd != frame->fd)
		(void)close(fd);
	return code;
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

static void frame_free(struct frame *frame)
{
	if (frame->fd >= 0) (void)close(frame->fd);
	gm_buf_release(&frame->names);
	gm_buf_release(&frame->starts);
	free(frame);
}

/* Do all keys of the folder come before what is listed? */
static bool lies_before(const struct walk *walk, const char *folder)
{
	return strncmp(folder, walk->after, strlen(folder)) < 0;
}

/* In the folder walk->key names up to a part of `after` are known to be left out. Others may be, too, which are judged
 * when it is their turn: those that sort between the part and the part with a '/'. */
static void start_after(const struct walk *walk, struct frame *frame)
{
	if (strncmp(walk->after, walk->key, frame->key_len) != 0) return;
	const char *part = walk->after + frame->key_len;
	size_t bytes = strcspn(part, "/");
	if (bytes >= sizeof frame->after) return; /* longer than any name: then all of them are judged in turn */
	memcpy(frame->after, part, bytes);
	frame->after[bytes] = '\0';
}

/* Enters the folder walk->key. */
static enum gm_code push(struct walk *walk, struct gm_error *err)
{
	bool loop;
	struct frame **frames = gm_grow(walk->frames, walk->depth, &walk->room, sizeof *frames);
	if (frames == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for listing a folder");
	walk->frames = frames;
	struct frame *frame = calloc(1, sizeof *frame);
	if (frame == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for listing a folder");
	frame->fd = -1;
	frame->key_len = strlen(walk->key);
	frame->filter = walk->depth == 0 ? walk->filter : "";
	gm_buf_init(&frame->names, LIST_BYTES);
	gm_buf_init(&frame->starts, LIST_BYTES);
	start_after(walk, frame);
	enum gm_code code = fill(walk, frame, &loop, err);
	if (code == GM_OK && !loop)
		walk->frames[walk->depth++] = frame;
	else
		frame_free(frame);
	return code;
}

/* Gives out the file walk->key, which is `name` in the folder. */
static enum gm_code give_file(struct walk *walk, const struct frame *folder, const char *name, struct gm_error *err)
{
	struct stat info;
	bool open = folder->fd >= 0;
	if (fstatat(open ? folder->fd : walk->dir->root, open ? name : walk->key, &info, 0) != 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return GM_OK;
		return gm_directory_fail(walk->dir, walk->key, errno, "looking at it", err);
	}
	if (!S_ISREG(info.st_mode)) return GM_OK;
	struct gm_object_info object = {
	    .key = walk->key,
	    .size = (uint64_t)info.st_size,
	    .mtime_us = gm_directory_mtime_us(&info),
	    .etag = "",
	};
	return walk->each(walk->context, &object, err);
}

/* Gives out the next name of the innermost folder, or leaves it. */
static enum gm_code step(struct walk *walk, struct gm_error *err)
{
	bool loop;
	struct frame *top = walk->frames[walk->depth - 1];
	walk->key[top->key_len] = '\0';
	if (top->next == name_count(top)) {
		if (top->more && top->next > 0) {
			strcpy(top->after, name_at(top, top->next - 1));
			GM_TRY(fill(walk, top, &loop, err));
			return GM_OK;
		}
		frame_free(top);
		walk->depth--;
		return GM_OK;
	}
	const char *name = name_at(top, top->next++);
	size_t n = strlen(name);
	if (top->key_len + n > GM_KEY_MAX_BYTES) {
		enum gm_code code = gm_directory_fail(walk->dir, walk->key, ENAMETOOLONG, "listing a folder in it", err);
		return gm_error_hint(err, code, "keys have at most %d bytes", GM_KEY_MAX_BYTES);
	}
	memcpy(walk->key + top->key_len, name, n + 1);
	if (name[n - 1] != '/') return strcmp(walk->key, walk->after) > 0 ? give_file(walk, top, name, err) : GM_OK;
	if (lies_before(walk, walk->key)) return GM_OK;
	if (walk->prune != NULL && walk->prune(walk->context, walk->key)) return GM_OK;
	return push(walk, err);
}

enum gm_code gm_directory_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                               gm_list_fn *each, void *context, struct gm_error *err)
{
	struct walk walk = {
	    .dir = (struct gm_directory *)store, .after = after, .prune = prune, .each = each, .context = context};
	const char *slash = strrchr(prefix, '/');
	size_t folder = slash != NULL ? (size_t)(slash - prefix) + 1 : 0;
	memcpy(walk.key, prefix, folder);
	walk.filter = prefix + folder;
	if (lies_before(&walk, walk.key)) return GM_OK;
	enum gm_code code = push(&walk, err);
	while (code == GM_OK && walk.depth > 0) code = step(&walk, err);
	while (walk.depth > 0) frame_free(walk.frames[--walk.depth]);
	free(walk.frames);
	return code;
}

/* --- removing a tree ---------------------------------------------------------------------------------------------- */

/* Unlinks what is in the folder until a sub-folder is met, whose name is then added to `path` (*deeper). */
static enum gm_code empty_folder(struct gm_directory *dir, DIR *stream, struct gm_buf *path, bool *deeper,
                                 struct gm_error *err)
{
	*deeper = false;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(stream);
		const char *key = (const char *)path->data;
		if (entry == NULL && errno != 0 && errno != ENOENT)
			return gm_directory_fail(dir, key, errno, "reading the folder", err);
		if (entry == NULL) return GM_OK;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		if (unlinkat(dirfd(stream), entry->d_name, 0) == 0 || errno == ENOENT) continue;
		struct stat info;
		int number = errno; /* of a folder: EISDIR on Linux, EPERM says POSIX */
		if (fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode))
			return gm_directory_fail(dir, key, number, "removing a file in it", err);
		path->len--; /* its NUL */
		GM_TRY(gm_buf_append(path, entry->d_name, strlen(entry->d_name), err));
		GM_TRY(gm_buf_append(path, "/", 2, err));
		*deeper = true;
		return GM_OK;
	}
}

/* Takes the last folder off the path. */
static void shorten(struct gm_buf *path)
{
	size_t n = path->len - 2; /* the '/' before the NUL */
	while (n > 0 && path->data[n - 1] != '/') n--;
	path->data[n] = '\0';
	path->len = n + 1;
}

/* Empties the folder `path` (with '/' and NUL at its end) of files, then goes one folder down, or removes it and
 * goes up. */
static enum gm_code remove_step(struct gm_directory *dir, struct gm_buf *path, int *retries, struct gm_error *err)
{
	int parent, fd;
	const char *leaf;
	char name[GM_KEY_MAX_BYTES + 1];
	bool deeper = false;
	size_t n = path->len - 2;
	path->data[n] = '\0';
	enum gm_code code = gm_directory_enter(dir, (const char *)path->data, false, &parent, &leaf, err);
	if (code == GM_OK) strcpy(name, leaf); /* a name in a folder, or a part of a valid key */
	path->data[n] = '/';
	if (code == GM_NOT_FOUND) {
		shorten(path);
		return GM_OK;
	}
	if (code != GM_OK) return code;
	fd = gm_io_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	if (stream != NULL) {
		code = empty_folder(dir, stream, path, &deeper, err);
		(void)closedir(stream);
	} else if (errno != ENOENT) {
		int number = errno == ENOTDIR ? ELOOP : errno; /* a link or a file: not the folder that was meant */
		code = gm_directory_fail(dir, (const char *)path->data, number, "opening the folder", err);
		if (fd >= 0) (void)close(fd);
	}
	if (code == GM_OK && !deeper) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			shorten(path);
		else if ((errno != ENOTEMPTY && errno != EEXIST) || (*retries)-- == 0) /* somebody still writes there */
			code = gm_directory_fail(dir, (const char *)path->data, errno, "removing the folder", err);
	}
	(void)close(parent);
	return code;
}

/* Without recursion and with two descriptors, however deep the tree is; links are removed, not followed. */
enum gm_code gm_directory_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	struct gm_directory *dir = (struct gm_directory *)store;
	struct gm_buf path;
	int retries = RETRIES;
	size_t top = strlen(prefix) + 1;
	gm_buf_init(&path, FOLDER_MAX_BYTES);
	enum gm_code code = gm_buf_append(&path, prefix, top, err);
	while (code == GM_OK && path.len >= top) code = remove_step(dir, &path, &retries, err);
	gm_buf_release(&path);
	return code;
}
