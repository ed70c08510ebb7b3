/* directory.c - a store in a local folder.
 *
 * A key is a path below the folder. Nothing is ever half visible, and what has been acknowledged survives a power cut:
 *
 *   put            write ".<random>.tmp" beside the key, fsync it, link (if_absent) or rename it to the key, fsync the
 *                  folder, unlink the temporary name. link() refuses a name that is taken, atomically, on every file
 *                  system with hard links, NFS included. NFS may do the work and lose the answer, and say EEXIST when
 * it repeats the call: the temporary file then has two links, which tells our success from another's. stage write
 * "<work_prefix><random>.staged", fsync it and its folder publish        link the staged file to the key, fsync the
 * folder remove         unlink, fsync the folder: what a later put says to be gone is gone after a power cut, too
 *   making folders each is fsynced into its parent before anything in it counts
 *
 * Writing never follows a symbolic link below the store's folder; reading and listing do, so that sources may be
 * assembled from links. A crash leaves at most a ".tmp" file (hidden from listings) or a staged file (in its run's work
 * folder). */
#include "store/directory.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	RANDOM_HEX = 32,
	TEMP_BYTES = RANDOM_HEX + sizeof "..tmp",
	BUFFER = 64 << 10,
	READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, /* a pipe among the files must not hang us */
	FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	CREATE_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
};
static const char STAGED[] = ".staged";

struct gm_staged {
	int file;
	int failed; /* errno of the first failure: what follows it must not look whole */
	size_t used;
	char token[GM_TOKEN_BYTES];
	uint8_t buffer[BUFFER];
};

struct directory_reader {
	struct gm_store_reader reader;
	int file;
	struct timespec mtime;
	char key[];
};

static struct gm_directory *of(struct gm_store *store)
{
	return (struct gm_directory *)store; /* its first member */
}

/* Names `object` as a whole path in a filled error. */
static enum gm_code name_object(const struct gm_directory *dir, const char *key, enum gm_code code,
                                struct gm_error *err)
{
	char path[sizeof err->object];
	size_t n = strlen(dir->store.location);
	const char *slash = n > 0 && dir->store.location[n - 1] == '/' ? "" : "/";
	(void)snprintf(path, sizeof path, "%s%s%s", dir->store.location, slash, key);
	return gm_error_object(err, code, path, strlen(path));
}

enum gm_code gm_directory_fail(const struct gm_directory *dir, const char *key, int number, const char *doing,
                               struct gm_error *err)
{
	return name_object(dir, key, gm_error_errno(err, number, key, doing), err);
}

static enum gm_code fail(const struct gm_directory *dir, const char *key, enum gm_code code, const char *text,
                         struct gm_error *err)
{
	return name_object(dir, key, gm_error_set(err, code, "%s", text), err);
}

/* Some file systems (CIFS, some FUSE) have no fsync for folders and say so: nothing better can be done there. */
static bool sync_folder(int folder)
{
	return gm_io_fsync(folder) || errno == EINVAL || errno == EOPNOTSUPP;
}

/* --- entering folders --------------------------------------------------------------------------------------------- */

/* Opens the folder `part` of `at`; create: makes it if it is missing, and sees to it that its entry in `at` is on disk,
 * whoever made it: another runner may have died, or not yet come, between its mkdir and its fsync. A folder is looked
 * after once per store (`whole` is its key), so that the fsyncs of a run are few. */
static int enter_part(struct gm_directory *dir, int at, const char *part, const char *whole, size_t bytes, bool create)
{
	bool made = false;
	int fd = gm_io_openat(at, part, FOLDER_FLAGS, 0);
	if (!create) return fd;
	if (fd < 0 && errno == ENOENT) {
		made = mkdirat(at, part, 0777) == 0;
		if (!made && errno != EEXIST) return -1;
		fd = gm_io_openat(at, part, FOLDER_FLAGS, 0);
	}
	if (fd < 0) return -1;
	uint64_t hash = XXH3_64bits(whole, bytes);
	uint64_t *slot = &dir->synced[hash % GM_DIRECTORY_SYNCED];
	if (!made && __atomic_load_n(slot, __ATOMIC_RELAXED) == hash) return fd;
	if (!sync_folder(at)) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	__atomic_store_n(slot, hash, __ATOMIC_RELAXED);
	return fd;
}

static enum gm_code enter_failed(const struct gm_directory *dir, int at, const char *part, const char *key, bool create,
                                 struct gm_error *err)
{
	struct stat info;
	int number = errno;
	if (create && number == ENOENT) return fail(dir, key, GM_TRANSIENT, "its folder was removed meanwhile", err);
	if (number != ENOTDIR && number != ELOOP)
		return gm_directory_fail(dir, key, number, create ? "making or opening its folder" : "opening its folder", err);
	if (fstatat(at, part, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode))
		return fail(dir, key, GM_IO, "a folder of this path is a symbolic link, which writing does not follow", err);
	if (!create) return fail(dir, key, GM_NOT_FOUND, "it does not exist", err);
	return fail(dir, key, GM_IO, "a folder of this path is a file", err);
}

enum gm_code gm_directory_enter(struct gm_directory *dir, const char *key, bool create, int *fd, const char **leaf,
                                struct gm_error *err)
{
	char part[GM_KEY_MAX_BYTES + 1];
	const char *from = key;
	*fd = -1;
	int at = fcntl(dir->root, F_DUPFD_CLOEXEC, 0);
	if (at < 0) return gm_directory_fail(dir, key, errno, "opening its folder", err);
	for (const char *slash; (slash = strchr(from, '/')) != NULL; from = slash + 1) {
		size_t bytes = (size_t)(slash - from);
		memcpy(part, from, bytes);
		part[bytes] = '\0';
		int next = enter_part(dir, at, part, key, (size_t)(slash - key), create);
		enum gm_code code = next >= 0 ? GM_OK : enter_failed(dir, at, part, key, create, err);
		(void)close(at);
		if (code != GM_OK) return code;
		at = next;
	}
	*fd = at;
	*leaf = from;
	return GM_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code dir_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                             struct gm_arena *arena, struct gm_error *err)
{
	struct stat found;
	if (fstatat(of(store)->root, key, &found, 0) != 0)
		return gm_directory_fail(of(store), key, errno, "looking at it", err);
	if (!S_ISREG(found.st_mode)) return fail(of(store), key, GM_NOT_FOUND, "it is not a file", err);
	info->key = gm_arena_strndup(arena, key, strlen(key));
	if (info->key == NULL) return fail(of(store), key, GM_NOMEM, "out of memory for its name", err);
	info->size = (uint64_t)found.st_size;
	info->mtime_us = gm_directory_mtime_us(&found);
	info->etag = "";
	return GM_OK;
}

static enum gm_code open_file(struct gm_directory *dir, const char *key, int *fd, struct stat *info,
                              struct gm_error *err)
{
	*fd = gm_io_openat(dir->root, key, READ_FLAGS, 0);
	/* ENXIO: a socket, or a device without its driver. */
	if (*fd < 0 && errno == ENXIO) return fail(dir, key, GM_NOT_FOUND, "it is not a file", err);
	if (*fd < 0) return gm_directory_fail(dir, key, errno, "opening it", err);
	enum gm_code code = GM_OK;
	if (fstat(*fd, info) != 0)
		code = gm_directory_fail(dir, key, errno, "looking at it", err);
	else if (!S_ISREG(info->st_mode))
		code = fail(dir, key, GM_NOT_FOUND, "it is not a file", err);
	if (code != GM_OK) (void)close(*fd);
	return code;
}

static enum gm_code dir_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                             size_t *got, struct gm_error *err)
{
	int fd;
	struct stat info;
	GM_TRY(open_file(of(store), key, &fd, &info, err));
	enum gm_code code = GM_OK;
	if (!gm_io_pread(fd, into, bytes, offset, got)) code = gm_directory_fail(of(store), key, errno, "reading", err);
	(void)close(fd);
	return code;
}

static enum gm_code dir_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                    struct gm_store_reader **out, struct gm_error *err)
{
	struct stat info;
	size_t bytes = strlen(key) + 1;
	struct directory_reader *self = malloc(sizeof *self + bytes);
	if (self == NULL) return fail(of(store), key, GM_NOMEM, "out of memory for opening it", err);
	memcpy(self->key, key, bytes);
	enum gm_code code = open_file(of(store), key, &self->file, &info, err);
	if (code != GM_OK) {
		free(self);
		return code;
	}
	(void)posix_fadvise(self->file, 0, 0, POSIX_FADV_SEQUENTIAL);
	self->mtime = info.st_mtim;
	self->reader.store = store;
	self->reader.info = (struct gm_object_info){
	    .key = self->key,
	    .size = (uint64_t)info.st_size,
	    .mtime_us = gm_directory_mtime_us(&info),
	    .etag = "",
	};
	if (expected == NULL || gm_object_same(&self->reader.info, expected)) {
		*out = &self->reader;
		return GM_OK;
	}
	(void)close(self->file);
	free(self);
	return fail(of(store), key, GM_CHANGED, "it changed since it was listed", err);
}

static enum gm_code dir_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                    struct gm_error *err)
{
	struct directory_reader *self = (struct directory_reader *)reader;
	if (gm_io_read(self->file, into, bytes, got)) return GM_OK;
	return gm_directory_fail(of(reader->store), self->key, errno, "reading", err);
}

static enum gm_code dir_reader_check(struct gm_store_reader *reader, struct gm_error *err)
{
	struct stat now;
	struct directory_reader *self = (struct directory_reader *)reader;
	if (fstat(self->file, &now) != 0)
		return gm_directory_fail(of(reader->store), self->key, errno, "looking at it", err);
	if ((uint64_t)now.st_size == reader->info.size && now.st_mtim.tv_sec == self->mtime.tv_sec &&
	    now.st_mtim.tv_nsec == self->mtime.tv_nsec)
		return GM_OK;
	return fail(of(reader->store), self->key, GM_CHANGED, "it changed while it was read", err);
}

static void dir_reader_close(struct gm_store_reader *reader)
{
	struct directory_reader *self = (struct directory_reader *)reader;
	(void)close(self->file);
	free(self);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static enum gm_code link_failed(struct gm_directory *dir, const char *key, int number, struct gm_error *err)
{
	enum gm_code code;
	switch (number) {
	case EEXIST: return fail(dir, key, GM_EXISTS, "it exists already", err);
	case EXDEV: return fail(dir, key, GM_IO, "it lies on another file system than its folder of work", err);
	case EPERM:
	case ENOSYS:
	case EOPNOTSUPP:
		code = fail(dir, key, GM_UNSUPPORTED, "this file system has no hard links", err);
		return gm_error_hint(err, code,
		                     "a table needs a local file system or NFS: FAT and some network shares will not do");
	default: return gm_directory_fail(dir, key, number, "linking it", err);
	}
}

/* Linux lets nobody link a file of another user that he may not write to, also where he may make files
 * (fs.protected_hardlinks), and says so with the same EPERM as a file system without links. */
static enum gm_code publish_failed(struct gm_directory *dir, const char *key, const struct stat *staged, int number,
                                   struct gm_error *err)
{
	if (number != EPERM || staged->st_uid == geteuid()) return link_failed(dir, key, number, err);
	enum gm_code code = fail(dir, key, GM_DENIED, "another user staged it, and files of others cannot be linked", err);
	return gm_error_hint(err, code, "run as the user who began the run, or let a group share the table (umask 002)");
}

/* link(), where a repeated call may find its own success. */
static int link_again(int from_folder, const char *from, int to_folder, const char *to)
{
	int failed;
	do failed = linkat(from_folder, from, to_folder, to, 0);
	while (failed != 0 && errno == EINTR);
	return failed;
}

static enum gm_code move_in(struct gm_directory *dir, const char *key, int folder, const char *temp, const char *leaf,
                            int file, bool if_absent, struct gm_error *err)
{
	struct stat info;
	if (!if_absent) {
		if (renameat(folder, temp, folder, leaf) != 0) return gm_directory_fail(dir, key, errno, "renaming to it", err);
	} else if (link_again(folder, temp, folder, leaf) != 0) {
		int number = errno;
		bool ours = number == EEXIST && fstat(file, &info) == 0 && info.st_nlink == 2;
		if (!ours) return link_failed(dir, key, number, err);
	}
	if (!sync_folder(folder)) return gm_directory_fail(dir, key, errno, "flushing its folder to disk", err);
	return GM_OK;
}

static enum gm_code dir_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                            struct gm_error *err)
{
	struct gm_directory *dir = of(store);
	char temp[TEMP_BYTES] = ".";
	int folder, file;
	const char *leaf;
	GM_TRY(gm_directory_enter(dir, key, true, &folder, &leaf, err));
	file = gm_io_random_hex(temp + 1) ? gm_io_openat(folder, strcat(temp, ".tmp"), CREATE_FLAGS, 0666) : -1;
	enum gm_code code = GM_OK;
	if (file < 0) {
		code = gm_directory_fail(dir, key, errno, "making a temporary file beside it", err);
	} else {
		if (!gm_io_write(file, data, bytes))
			code = gm_directory_fail(dir, key, errno, "writing", err);
		else if (!gm_io_fsync(file))
			code = gm_directory_fail(dir, key, errno, "flushing it to disk", err);
		else
			code = move_in(dir, key, folder, temp, leaf, file, if_absent, err);
		(void)unlinkat(folder, temp, 0); /* gone already after a rename; a leftover is hidden and harmless */
		(void)close(file);
	}
	(void)close(folder);
	return code;
}

static enum gm_code remove_name(struct gm_directory *dir, const char *key, bool sync, struct gm_error *err)
{
	int folder;
	const char *leaf;
	enum gm_code code = gm_directory_enter(dir, key, false, &folder, &leaf, err);
	if (code == GM_NOT_FOUND) return GM_OK;
	if (code != GM_OK) return code;
	if (unlinkat(folder, leaf, 0) != 0 && errno != ENOENT)
		code = gm_directory_fail(dir, key, errno, "removing it", err);
	else if (sync && !sync_folder(folder))
		code = gm_directory_fail(dir, key, errno, "flushing its folder to disk", err);
	(void)close(folder);
	return code;
}

static enum gm_code dir_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	return remove_name(of(store), key, true, err);
}

/* --- staging ------------------------------------------------------------------------------------------------------ */

/* Tokens come back from manifests, so that one which was tampered with must not name anything else. */
static enum gm_code check_token(struct gm_directory *dir, const char *token, struct gm_error *err)
{
	size_t n = strlen(token), end = RANDOM_HEX + sizeof STAGED - 1;
	if (n > end && token[n - end - 1] == '/' && strcmp(token + n - (sizeof STAGED - 1), STAGED) == 0 &&
	    strspn(token + n - end, "0123456789abcdef") == RANDOM_HEX && gm_store_key_valid(token))
		return GM_OK;
	return fail(dir, token, GM_CORRUPT, "not the name of a staged file", err);
}

static enum gm_code dir_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                   struct gm_staged **out, struct gm_error *err)
{
	(void)final_key; /* a store that uploads in parts needs it now, we do when it is published */
	struct gm_directory *dir = of(store);
	char random[RANDOM_HEX + 1];
	int folder;
	const char *leaf;
	struct gm_staged *staged = malloc(sizeof *staged);
	if (staged == NULL) return fail(dir, work_prefix, GM_NOMEM, "out of memory for a staged file", err);
	staged->failed = 0;
	staged->used = 0;
	enum gm_code code = GM_OK;
	if (!gm_io_random_hex(random))
		code = gm_directory_fail(dir, work_prefix, errno, "asking for random bits", err);
	else if (snprintf(staged->token, sizeof staged->token, "%s%s%s", work_prefix, random, STAGED) > GM_KEY_MAX_BYTES)
		code = fail(dir, work_prefix, GM_USAGE, "the path of the work folder is too long", err);
	else
		code = gm_directory_enter(dir, staged->token, true, &folder, &leaf, err);
	if (code != GM_OK) {
		free(staged);
		return code;
	}
	staged->file = gm_io_openat(folder, leaf, CREATE_FLAGS, 0666);
	if (staged->file < 0) code = gm_directory_fail(dir, staged->token, errno, "making it", err);
	(void)close(folder);
	if (code != GM_OK) {
		free(staged);
		return code;
	}
	*out = staged;
	return GM_OK;
}

static enum gm_code stage_write(struct gm_directory *dir, struct gm_staged *staged, const void *data, size_t bytes,
                                struct gm_error *err)
{
	if (staged->failed == 0 && !gm_io_write(staged->file, data, bytes)) staged->failed = errno;
	if (staged->failed == 0) return GM_OK;
	return gm_directory_fail(dir, staged->token, staged->failed, "writing", err);
}

static enum gm_code stage_flush(struct gm_directory *dir, struct gm_staged *staged, struct gm_error *err)
{
	size_t used = staged->used;
	staged->used = 0;
	return stage_write(dir, staged, staged->buffer, used, err);
}

static enum gm_code dir_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                     struct gm_error *err)
{
	if (bytes > BUFFER - staged->used) GM_TRY(stage_flush(of(store), staged, err));
	if (bytes >= BUFFER) return stage_write(of(store), staged, data, bytes, err);
	memcpy(staged->buffer + staged->used, data, bytes);
	staged->used += bytes;
	return GM_OK;
}

static enum gm_code stage_sync(struct gm_directory *dir, struct gm_staged *staged, struct gm_error *err)
{
	int folder;
	const char *leaf;
	enum gm_code code = GM_OK;
	GM_TRY(stage_flush(dir, staged, err));
	if (!gm_io_fsync(staged->file)) return gm_directory_fail(dir, staged->token, errno, "flushing it to disk", err);
	GM_TRY(gm_directory_enter(dir, staged->token, false, &folder, &leaf, err));
	if (!sync_folder(folder)) code = gm_directory_fail(dir, staged->token, errno, "flushing its folder to disk", err);
	(void)close(folder);
	return code;
}

static void dir_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	enum gm_code ignored = remove_name(of(store), staged->token, false, NULL);
	(void)ignored; /* what is left lies in the run's work folder, which goes as a whole */
	(void)close(staged->file);
	free(staged);
}

static enum gm_code dir_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token, size_t token_bytes,
                                     struct gm_error *err)
{
	enum gm_code code = stage_sync(of(store), staged, err);
	if (code != GM_OK) {
		dir_stage_abandon(store, staged);
		return code;
	}
	(void)snprintf(token, token_bytes, "%s", staged->token);
	(void)close(staged->file);
	free(staged);
	return GM_OK;
}

static bool same_file(int folder, const char *name, int other_folder, const char *other_name)
{
	struct stat a, b;
	return fstatat(folder, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(other_folder, other_name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* Publishing twice what is the same file is a success: a runner that resumes another's run does it. */
static enum gm_code publish_into(struct gm_directory *dir, const char *token, int from, const char *from_leaf,
                                 const char *final_key, struct gm_error *err)
{
	int to;
	const char *to_leaf;
	struct stat info;
	if (fstatat(from, from_leaf, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return gm_directory_fail(dir, token, errno, "looking at the staged file", err);
	if (!S_ISREG(info.st_mode)) return fail(dir, token, GM_CORRUPT, "the staged file is not a file", err);
	GM_TRY(gm_directory_enter(dir, final_key, true, &to, &to_leaf, err));
	enum gm_code code = GM_OK;
	if (link_again(from, from_leaf, to, to_leaf) != 0) {
		int number = errno;
		if (number == ENOENT) /* the other runner has cleaned up meanwhile */
			code = gm_directory_fail(dir, token, number, "publishing the staged file", err);
		else if (number != EEXIST || !same_file(from, from_leaf, to, to_leaf))
			code = publish_failed(dir, final_key, &info, number, err);
	}
	if (code == GM_OK && !sync_folder(to))
		code = gm_directory_fail(dir, final_key, errno, "flushing its folder to disk", err);
	(void)close(to);
	return code;
}

static enum gm_code dir_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err)
{
	int from;
	const char *leaf;
	GM_TRY(check_token(of(store), token, err));
	GM_TRY(gm_directory_enter(of(store), token, false, &from, &leaf, err));
	enum gm_code code = publish_into(of(store), token, from, leaf, final_key, err);
	(void)close(from);
	return code;
}

/* Not fsynced: a staged file that comes back after a power cut does no harm. */
static enum gm_code dir_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	GM_TRY(check_token(of(store), token, err));
	return remove_name(of(store), token, false, err);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void dir_close(struct gm_store *store)
{
	(void)close(of(store)->root);
	free(store->location);
	free(store);
}

static const struct gm_store_ops directory_ops = {
    .list = gm_directory_list,
    .stat = dir_stat,
    .read = dir_read,
    .reader_open = dir_reader_open,
    .reader_read = dir_reader_read,
    .reader_check = dir_reader_check,
    .reader_close = dir_reader_close,
    .put = dir_put,
    .remove = dir_remove,
    .stage_open = dir_stage_open,
    .stage_append = dir_stage_append,
    .stage_finish = dir_stage_finish,
    .stage_abandon = dir_stage_abandon,
    .publish = dir_publish,
    .discard = dir_discard,
    .remove_tree = gm_directory_remove_tree,
    .diagnose = gm_directory_diagnose,
    .close = dir_close,
};

/* fsyncs the folder that holds the last part of path[0 .. end). */
static bool sync_parent(char *path, size_t end)
{
	size_t n = end;
	while (n > 0 && path[n - 1] == '/') n--;
	while (n > 0 && path[n - 1] != '/') n--;
	char kept = path[n];
	path[n] = '\0';
	int fd = gm_io_openat(AT_FDCWD, n > 0 ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	path[n] = kept;
	if (fd < 0) return errno == EACCES; /* a folder one may write to but not read: then one cannot */
	bool synced = sync_folder(fd);
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return synced;
}

/* mkdir -p; `path` is changed and put back while it works. */
static bool make_folders(char *path)
{
	for (size_t i = 1;; i++) {
		if (path[i] != '/' && path[i] != '\0') continue;
		char kept = path[i];
		path[i] = '\0';
		bool made = mkdir(path, 0777) == 0;
		bool there = made || errno == EEXIST;
		path[i] = kept;
		if (!there || (made && !sync_parent(path, i))) return false;
		if (kept == '\0') return true;
	}
}

enum gm_code gm_store_open_directory(const char *path, bool create, struct gm_store **out, struct gm_error *err)
{
	enum { ROOT_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };
	*out = NULL;
	if (path[0] == '\0') GM_FAIL(err, GM_USAGE, "the path of a folder is empty");
	struct gm_directory *dir = calloc(1, sizeof *dir);
	char *location = strdup(path);
	enum gm_code code = GM_OK;
	if (dir == NULL || location == NULL) {
		code = gm_error_set(err, GM_NOMEM, "out of memory for a folder");
		goto out;
	}
	dir->root = gm_io_openat(AT_FDCWD, path, ROOT_FLAGS, 0);
	if (dir->root < 0 && errno == ENOENT && create && make_folders(location))
		dir->root = gm_io_openat(AT_FDCWD, path, ROOT_FLAGS, 0);
	if (dir->root < 0 && errno == ENOTDIR) {
		code = gm_error_object(err, gm_error_set(err, GM_NOT_FOUND, "it is not a folder"), path, strlen(path));
	} else if (dir->root < 0) {
		code = gm_error_errno(err, errno, path, create ? "making or opening the folder" : "opening the folder");
	} else {
		dir->store.ops = &directory_ops;
		dir->store.parallel = 1;
		dir->store.location = location;
		*out = &dir->store;
		return GM_OK;
	}
out:
	free(location);
	free(dir);
	return code;
}
