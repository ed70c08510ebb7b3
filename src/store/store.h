/* store.h - one interface for what holds objects: a directory, memory, S3.
 *
 * Keys are bytes with '/' between folders, relative to the store's location, never starting with '/' and never holding
 * "." or ".." as a part: gm_store_key_valid is asked by every call that writes, and by those that read unless the store
 * has free keys. All calls are thread-safe.
 *
 * Publishing has two steps so that nothing is visible early. A *staged* object is written somewhere invisible and is
 * named by a token that a manifest can keep; gm_store_publish makes it visible under its final key in one atomic step
 * and fails with EXISTS if that key is taken. (Directory: a file that is link()ed. S3: an uncompleted upload.)
 *
 * What a token is. Either the key of an object that holds the bytes, where all may read them (directory; small objects
 * on S3), or "upload:" and what names an S3 multipart upload to the final key, whose bytes nobody can read before it
 * is published: gm_token_is_key tells them apart. */
#ifndef GM_STORE_STORE_H
#define GM_STORE_STORE_H

#include "base/arena.h"

struct gm_store;

struct gm_object_info {
	const char *key; /* relative to the store */
	uint64_t size;
	int64_t mtime_us;
	const char *etag; /* "" on a directory */
};

/* Called in bytewise order of the keys; the info is valid during the call. A code other than OK ends the listing. */
typedef enum gm_code gm_list_fn(void *context, const struct gm_object_info *info, struct gm_error *err);
/* Is a folder ("2024/", "2024/03/", ...) to be left out of a listing, with all that is in it? Its answer depends on the
 * folder alone. */
typedef bool gm_prune_fn(void *context, const char *folder);
/* Is what was begun under this key ours to sweep? */
typedef bool gm_wanted_fn(void *context, const char *key);

/* What gm_store_diagnose found out by one step. Texts live during the call. */
enum gm_store_health { GM_HEALTH_GOOD, GM_HEALTH_NOTE, GM_HEALTH_BAD };
struct gm_store_step {
	const char *what; /* "list", "put-if-absent" */
	enum gm_store_health health;
	const char *text, *advice; /* a line each; advice "": there is nothing to do */
};
typedef void gm_step_fn(void *context, const struct gm_store_step *step);

struct gm_staged; /* an open staged object, for appending */

/* An object open for sequential reading; one thread at a time. */
struct gm_store_reader {
	struct gm_store *store;
	struct gm_object_info info; /* as it was when it was opened; strings live as long as the reader */
};

/* What was asked of a service since the store was opened; all 0 where there is none. */
struct gm_store_counts {
	uint64_t list, get, head, put, delete_, multipart, other; /* requests answered, by kind */
	uint64_t retries;                                         /* requests that were made again */
	uint64_t bytes_in, bytes_out;                             /* of bodies, towards us and away from us */
};

/* What a location does not say of where it lies; of use for services only. NULL and 0: what the environment says. */
struct gm_store_options {
	const char *profile, *region, *endpoint;
	const char *encryption, *kms_key; /* of what is written: "none", "AES256", "aws:kms"; NULL: as the bucket has it */
	const char *ca_file;
	bool requester_pays, version_ids;
	bool single_writer; /* the user vouches that nobody else writes: put-if-absent need not hold */
	int path_style;     /* 1, 0; -1: not said */
	int64_t timeout_us; /* of one request without progress; 0: the store's own */
	/* May be NULL, else lives longer than the store; not 0: a service that does not answer is not asked again. */
	const volatile int *leaving;
	uint64_t memory_bytes; /* for read-ahead and what is staged; 0: 32 MiB */
	const char *scratch;   /* a folder for what does not fit into memory; NULL: none */
};

/* NULL is allowed for remove_many (one by one), remove_tree (what is listed), staged_size (tokens are keys), settle
 * (nothing to wait for), counts (none), probe (it holds), sweep (nothing is ever left) and diagnose (it is healthy). */
struct gm_store_ops {
	enum gm_code (*list)(struct gm_store *, const char *prefix, const char *after, gm_prune_fn *, gm_list_fn *,
	                     void *context, struct gm_error *);
	enum gm_code (*stat)(struct gm_store *, const char *key, struct gm_object_info *info, struct gm_arena *,
	                     struct gm_error *);
	enum gm_code (*read)(struct gm_store *, const char *key, uint64_t offset, void *into, size_t bytes, size_t *got,
	                     struct gm_error *);
	enum gm_code (*reader_open)(struct gm_store *, const char *key, const struct gm_object_info *expected,
	                            struct gm_store_reader **, struct gm_error *);
	enum gm_code (*reader_read)(struct gm_store_reader *, void *into, size_t bytes, size_t *got, struct gm_error *);
	enum gm_code (*reader_check)(struct gm_store_reader *, struct gm_error *);
	void (*reader_close)(struct gm_store_reader *);
	enum gm_code (*put)(struct gm_store *, const char *key, const void *data, size_t bytes, bool if_absent,
	                    struct gm_error *);
	enum gm_code (*remove)(struct gm_store *, const char *key, struct gm_error *);
	enum gm_code (*remove_many)(struct gm_store *, const char *const *keys, size_t count, struct gm_error *);
	enum gm_code (*stage_open)(struct gm_store *, const char *final_key, const char *work_prefix, struct gm_staged **,
	                           struct gm_error *);
	enum gm_code (*stage_append)(struct gm_store *, struct gm_staged *, const void *data, size_t bytes,
	                             struct gm_error *);
	enum gm_code (*stage_finish)(struct gm_store *, struct gm_staged *, char *token, size_t token_bytes,
	                             struct gm_error *);
	void (*stage_abandon)(struct gm_store *, struct gm_staged *);
	enum gm_code (*staged_size)(struct gm_store *, const char *token, uint64_t *bytes, struct gm_error *);
	enum gm_code (*settle)(struct gm_store *, struct gm_error *);
	enum gm_code (*publish)(struct gm_store *, const char *token, const char *final_key, struct gm_error *);
	enum gm_code (*discard)(struct gm_store *, const char *token, struct gm_error *);
	enum gm_code (*remove_tree)(struct gm_store *, const char *prefix, struct gm_error *);
	void (*counts)(struct gm_store *, struct gm_store_counts *add_to);
	enum gm_code (*probe)(struct gm_store *, const char *prefix, struct gm_error *);
	enum gm_code (*sweep)(struct gm_store *, int64_t age_us, gm_wanted_fn *, void *context, uint64_t *swept,
	                      struct gm_error *);
	bool (*diagnose)(struct gm_store *, const char *work_prefix, gm_step_fn *, void *context);
	void (*close)(struct gm_store *);
};
struct gm_store {
	const struct gm_store_ops *ops;
	char *location;    /* for messages, without credentials */
	unsigned parallel; /* so many calls at once pay: 1 on a directory and in memory, where a call is no journey */
	bool free_keys; /* objects of others may have any key of 1 .. GM_KEY_FREE_BYTES bytes: "a//b", "./x", "/x", "x/" */
};

enum {
	GM_TOKEN_BYTES = 2048,
	GM_KEY_MAX_BYTES = 1023,  /* of a key that we write */
	GM_KEY_FREE_BYTES = 1024, /* of a key that others have written, as S3 has them */
};

/* Opens by location: a path is a directory, s3://bucket/prefix lies in S3. options: NULL for the defaults. create: make
 * the directory (and parents) if it is missing. */
enum gm_code gm_store_open(const char *location, const struct gm_store_options *options, bool create,
                           struct gm_store **out, struct gm_error *err) GM_CHECK;
enum gm_code gm_store_open_directory(const char *path, bool create, struct gm_store **out,
                                     struct gm_error *err) GM_CHECK;
enum gm_code gm_store_open_s3(const char *location, const struct gm_store_options *options, struct gm_store **out,
                              struct gm_error *err) GM_CHECK;
enum gm_code gm_store_open_memory(struct gm_store **out, struct gm_error *err) GM_CHECK;
/* A store in front of `inner` (which it then owns) that fails its call number `fail_at` (from 1; 0: never) with `code`.
 * after: the inner call is made first and its answer lost. *calls, if not NULL, counts. */
enum gm_code gm_store_open_faulty(struct gm_store *inner, uint64_t fail_at, enum gm_code code, bool after,
                                  uint64_t *calls, struct gm_store **out, struct gm_error *err) GM_CHECK;
void gm_store_close(struct gm_store *store); /* NULL is allowed */
/* Is each call a journey, to a service that counts it? */
static inline bool gm_store_is_remote(const struct gm_store *store)
{
	return store->parallel > 1;
}
/* A location in the form that is the same for the same place however it is written: of a directory its absolute path
 * without links (as far as it exists), of S3 "s3://bucket/prefix", without slashes at its end. free() it; NULL when
 * memory is gone. */
char *gm_store_canonical(const char *location);
/* A location in S3 as policies name it. */
enum { GM_STORE_REGION_BYTES = 64 };
struct gm_store_place {
	char *bucket, *prefix;              /* the prefix is "" or ends in '/' */
	char region[GM_STORE_REGION_BYTES]; /* of the options, the environment or the profile; "": none says */
	const char *partition;              /* the region's: "aws", "aws-cn", "aws-us-gov", ... */
};
bool gm_store_is_s3(const char *location);
/* Of the options only profile and region count. Asks no service; USAGE: no location of S3, or as AWS's files are. */
enum gm_code gm_store_place(const char *location, const struct gm_store_options *options, struct gm_store_place *out,
                            struct gm_error *err) GM_CHECK;
void gm_store_place_clear(struct gm_store_place *place);
/* What the store has asked of a service so far is added to *add_to. */
void gm_store_add_counts(struct gm_store *store, struct gm_store_counts *add_to);
/* Does put-if-absent hold, also among several at once? UNSUPPORTED, naming the store, if not. It is tried with objects
 * below prefix, which ends in '/', and they are removed. */
enum gm_code gm_store_probe(struct gm_store *, const char *prefix, struct gm_error *) GM_CHECK;

/* Removes what was staged invisibly, is older than that by the store's own clock, and was never finished: uploads of
 * runners that died. Listings do not show them. *swept: how many. */
enum gm_code gm_store_sweep(struct gm_store *, int64_t age_us, gm_wanted_fn *, void *context, uint64_t *swept,
                            struct gm_error *) GM_CHECK;

/* Tries, step by step, what a run needs: to list and to read; with a work_prefix that ends in '/' also to write below
 * it, where nothing is left. False: some step failed. */
bool gm_store_diagnose(struct gm_store *, const char *work_prefix, gm_step_fn *step, void *context);

/* 1 .. GM_KEY_MAX_BYTES bytes; parts between '/' that are not empty, ".", ".." or a name that the store hides. */
bool gm_store_key_valid(const char *key);
/* A name of the store's own temporary files, which listings leave out: ".<anything>.tmp". */
bool gm_store_name_hidden(const char *name, size_t bytes);

/* Every object whose key begins with prefix ("" for all), folders followed, in bytewise order of whole keys; none is no
 * error. On a directory symbolic links are followed, but for one that leads back to a folder above itself; what is
 * neither file nor folder is left out. Names that the store itself
 * hides (its own temporary files) are left out; everything else is listed, the caller judges. A file that vanishes
 * during the listing is left out; a folder that cannot be read is an error. */
enum gm_code gm_store_list(struct gm_store *, const char *prefix, gm_list_fn *, void *context,
                           struct gm_error *) GM_CHECK;
/* The same without what lies in folders below the prefix that `prune` says to leave out, which costs at most one
 * request for each of them: a folder is asked about, from the outermost in, before anything in it is listed. */
enum gm_code gm_store_list_pruned(struct gm_store *, const char *prefix, gm_prune_fn *prune, gm_list_fn *,
                                  void *context, struct gm_error *) GM_CHECK;
/* The same without the keys up to `after`, as bytes ("": all are listed): a listing that goes on where another ended,
 * or begins where it is known to matter. A folder that lies wholly before it costs nothing. prune: NULL for none. */
enum gm_code gm_store_list_after(struct gm_store *, const char *prefix, const char *after, gm_prune_fn *prune,
                                 gm_list_fn *, void *context, struct gm_error *) GM_CHECK;
/* NOT_FOUND if absent. Strings live in arena. */
enum gm_code gm_store_stat(struct gm_store *, const char *key, struct gm_object_info *info, struct gm_arena *arena,
                           struct gm_error *) GM_CHECK;
/* Is the object there? */
enum gm_code gm_store_has(struct gm_store *, const char *key, bool *there, struct gm_error *) GM_CHECK;
/* Reads up to `bytes` from offset; *got < bytes only at the end of the object. Opens the object each time: for one look
 * (a footer); what reads on takes a reader. */
enum gm_code gm_store_read(struct gm_store *, const char *key, uint64_t offset, void *into, size_t bytes, size_t *got,
                           struct gm_error *) GM_CHECK;
/* Opens an object to be read from its start; reader->info is what it is at this moment. */
enum gm_code gm_store_reader_open(struct gm_store *, const char *key, struct gm_store_reader **out,
                                  struct gm_error *) GM_CHECK;
/* Opens exactly the object that a listing or plan told of: CHANGED if it is another by now (by ETag where both have
 * one, else by size and mtime), NOT_FOUND if it is gone. A store may say either only at the first read or check, and
 * may begin to fetch in the background at once. */
enum gm_code gm_store_reader_open_as(struct gm_store *, const struct gm_object_info *expected,
                                     struct gm_store_reader **out, struct gm_error *) GM_CHECK;
/* Do both tell of the same content, whatever their keys? That is how gm_store_reader_open_as compares. */
bool gm_object_same(const struct gm_object_info *a, const struct gm_object_info *b);
/* The next bytes; *got < bytes only at the end of the object. */
enum gm_code gm_store_reader_read(struct gm_store_reader *, void *into, size_t bytes, size_t *got,
                                  struct gm_error *) GM_CHECK;
/* CHANGED unless the object that was opened still has the size and mtime of reader->info. Ask after the last read:
 * then what was read is what info names. (That it is what a plan names, the caller compares.) */
enum gm_code gm_store_reader_check(struct gm_store_reader *, struct gm_error *) GM_CHECK;
void gm_store_reader_close(struct gm_store_reader *); /* NULL is allowed */
/* A whole object of at most buf->max_bytes, appended to buf. VALUE: it is larger. CHANGED: it changed meanwhile. On
 * failure buf is as before. */
enum gm_code gm_store_get(struct gm_store *, const char *key, struct gm_buf *buf, struct gm_error *) GM_CHECK;
/* Durable when it returns OK; never half visible. if_absent: EXISTS when the key is taken (by another writer: our own
 * success is told apart and is OK). */
enum gm_code gm_store_put(struct gm_store *, const char *key, const void *data, size_t bytes, bool if_absent,
                          struct gm_error *) GM_CHECK;
/* OK also when it was not there. */
enum gm_code gm_store_remove(struct gm_store *, const char *key, struct gm_error *) GM_CHECK;
/* The same for many, in any order; on failure some are removed. Nothing is when a key is not valid. */
enum gm_code gm_store_remove_many(struct gm_store *, const char *const *keys, size_t count, struct gm_error *) GM_CHECK;
/* Keys to be removed as they come by, so many at a time. A key that is not valid is told when its time comes. */
enum { GM_REMOVAL_KEYS = 1000 };
struct gm_removal {
	struct gm_store *store;
	struct gm_arena arena;
	const char *keys[GM_REMOVAL_KEYS];
	size_t count;
};
void gm_removal_init(struct gm_removal *removal, struct gm_store *store);
enum gm_code gm_removal_add(struct gm_removal *removal, const char *key, struct gm_error *) GM_CHECK;
/* Removes the rest if rc, of whatever named the keys, is OK. Gives what came of both; to be called in any case. */
enum gm_code gm_removal_finish(struct gm_removal *removal, enum gm_code rc, struct gm_error *);
/* Removes everything below a prefix that ends in '/' (our own work folders only), and the folder. */
enum gm_code gm_store_remove_tree(struct gm_store *, const char *prefix, struct gm_error *) GM_CHECK;

/* A staged object for final_key. On a directory its bytes go to <work_prefix><random>.staged, work_prefix
 * ending in '/'; listings show it there, under its token. */
enum gm_code gm_store_stage_open(struct gm_store *, const char *final_key, const char *work_prefix,
                                 struct gm_staged **out, struct gm_error *) GM_CHECK;
enum gm_code gm_store_stage_append(struct gm_store *, struct gm_staged *, const void *data, size_t bytes,
                                   struct gm_error *) GM_CHECK;
/* Ends it (not visible) and gives the token that publish and discard take. The handle is gone, also on failure. It is
 * durable behind the next gm_store_settle: the store may still be at it when this returns. */
enum gm_code gm_store_stage_finish(struct gm_store *, struct gm_staged *, char token[GM_TOKEN_BYTES],
                                   struct gm_error *) GM_CHECK;
void gm_store_stage_abandon(struct gm_store *, struct gm_staged *); /* NULL is allowed */
/* Waits until everything staged and finished so far is durable: only then may a manifest name it. What failed in the
 * background fails here. */
enum gm_code gm_store_settle(struct gm_store *, struct gm_error *) GM_CHECK;
/* Is the token the key of an object that can be read? */
bool gm_token_is_key(const char *token);
/* NOT_FOUND if what is staged is gone. */
enum gm_code gm_store_staged_size(struct gm_store *, const char *token, uint64_t *bytes, struct gm_error *) GM_CHECK;
/* EXISTS: the key is taken. NOT_FOUND: the staged object is gone. Never overwrites. The staged object stays until it is
 * discarded. */
enum gm_code gm_store_publish(struct gm_store *, const char *token, const char *final_key, struct gm_error *) GM_CHECK;
enum gm_code gm_store_discard(struct gm_store *, const char *token, struct gm_error *) GM_CHECK;

#endif
