/* delta_internal.h - what the files of the Delta log share among themselves; nobody else includes it. */
#ifndef GM_TABLE_DELTA_INTERNAL_H
#define GM_TABLE_DELTA_INTERNAL_H

#include "base/json_text.h"
#include "parquet/writer.h"
#include "table/delta.h"

#define GM_DELTA_FOLDER  "_delta_log/"
#define GM_DELTA_STAGING "_gristmill/log/" /* checkpoints while they are written */

enum { GM_DELTA_KEY_BYTES = 96 }; /* room for a key in the folder */

/* --- delta_list.c: what lies in the folder ------------------------------------------------------------------------ */

enum gm_delta_listed_kind {
	GM_DELTA_LISTED_ENTRY,      /* <v>.json */
	GM_DELTA_LISTED_CHECKPOINT, /* <v>.checkpoint.parquet, or part 1 of a set that is complete */
	GM_DELTA_LISTED_PART,       /* <v>.checkpoint.<part>.<parts>.parquet, any other part */
	GM_DELTA_LISTED_UUID,       /* <v>.checkpoint.<uuid>.parquet or .json: of checkpoints of the second kind */
	GM_DELTA_LISTED_SUM,        /* <v>.crc: others' sums, worth nothing without their entry */
	GM_DELTA_LISTED_COMPACTED,  /* <v>.<w>.compacted.json: others' summaries of entries */
};
struct gm_delta_listed {
	int64_t version, mtime_us;
	enum gm_delta_listed_kind kind;
	uint32_t part, parts; /* 0 and 0: it is whole */
	int64_t end;          /* of COMPACTED: its last version */
};
struct gm_delta_listing {
	struct gm_delta_listed *files; /* in the order of their versions */
	size_t count, room;
	size_t *entries; /* which of them are entries, one a version */
	size_t entry_count;
	int64_t from; /* what is of lower versions is not in it; 0: all is */
};
enum gm_code gm_delta_list(struct gm_store *table, struct gm_delta_listing *out, struct gm_error *err) GM_CHECK;
/* The same without what lies further below a version than a checkpoint is likely to: of a log that nobody cleans, a
 * few files of very many. It holds the newest version if that is not below `near`. Whoever needs more lists all. */
enum gm_code gm_delta_list_near(struct gm_store *table, int64_t near, struct gm_delta_listing *out,
                                struct gm_error *err) GM_CHECK;
void gm_delta_listing_release(struct gm_delta_listing *listing);
/* The highest version of an entry or a complete checkpoint; -1: none. */
int64_t gm_delta_listing_newest(const struct gm_delta_listing *listing);
/* The version of entry i < entry_count; they ascend. */
int64_t gm_delta_listing_entry(const struct gm_delta_listing *listing, size_t i);
/* Are the entries first .. last all there? True if first > last. */
bool gm_delta_listing_unbroken(const struct gm_delta_listing *listing, int64_t first, int64_t last);
/* Where the unbroken run of entries begins that ends with the newest one; -1: there are no entries. */
int64_t gm_delta_listing_oldest(const struct gm_delta_listing *listing);
/* The newest whole checkpoint with a version <= at_most; NULL: none. */
const struct gm_delta_listed *gm_delta_listing_checkpoint(const struct gm_delta_listing *listing, int64_t at_most);
/* The oldest file that a snapshot of the version is read from: a checkpoint, or the first entry. */
const struct gm_delta_listed *gm_delta_listing_base(const struct gm_delta_listing *listing, int64_t version);
/* Is the file still what it was when it was listed? Cleaning removes the oldest first, and whoever slept meanwhile may
 * put a commit where an entry was. So as long as the oldest file that was read is there, what was read behind it was
 * history. */
enum gm_code gm_delta_still_there(struct gm_store *table, const struct gm_delta_listed *file, bool *there,
                                  struct gm_error *err) GM_CHECK;
/* Names of files; of a listed one any but UUID. */
void gm_delta_listed_key(const struct gm_delta_listed *file, char key[GM_DELTA_KEY_BYTES]);
void gm_delta_entry_key(int64_t version, char key[GM_DELTA_KEY_BYTES]);
void gm_delta_checkpoint_key(int64_t version, uint32_t part, uint32_t parts, char key[GM_DELTA_KEY_BYTES]);

/* --- delta_action.c: actions -------------------------------------------------------------------------------------- */

enum gm_delta_kind {
	GM_DELTA_NOTHING, /* an action that we need not know */
	GM_DELTA_ADD,
	GM_DELTA_REMOVE,
	GM_DELTA_TXN,
	GM_DELTA_METADATA,
	GM_DELTA_PROTOCOL,
	GM_DELTA_COMMIT_INFO,
};
/* Sets of kinds, as bits. */
enum {
	GM_DELTA_WANT_FILES = 1 << GM_DELTA_ADD | 1 << GM_DELTA_REMOVE,
	GM_DELTA_WANT_HEAD = 1 << GM_DELTA_METADATA | 1 << GM_DELTA_PROTOCOL,
	GM_DELTA_WANT_ALL = 0xff,
	GM_DELTA_WANT_DETAILS = 1 << 8, /* statistics and tags of files, too */
};

/* An entry of a map of strings that came from outside: values may hold any byte, or be null (value NULL). */
struct gm_delta_pair {
	const char *name, *value;
	size_t bytes;
};
struct gm_delta_pairs {
	struct gm_delta_pair *pair;
	size_t count;
	bool present; /* an empty map is not the same as none */
};
/* An add or a remove. */
struct gm_delta_file_action {
	const char *uri;  /* as the log spells it */
	const char *path; /* the key in the table's store; what is not one of its keys is "/" and the uri */
	struct gm_delta_pairs partition, tags;
	uint64_t bytes;
	int64_t time_ms; /* modificationTime of an add, deletionTimestamp of a remove (0: not told) */
	bool has_bytes, data_change, extended;
	const char *stats; /* NULL: none */
};
struct gm_delta_app {
	const char *id;
	int64_t version, updated_ms;
	bool has_updated;
};
struct gm_delta_action {
	enum gm_delta_kind kind;
	union {
		struct gm_delta_file_action file;
		struct gm_delta_app app;
		json_t *json; /* of the others: their members; borrowed */
	};
};
typedef enum gm_code gm_delta_action_fn(void *context, const struct gm_delta_action *action, struct gm_error *err);

/* One line of an entry. What the action points to is in the arena, or in *document, which the caller drops. Kinds that
 * are not wanted give NOTHING. CORRUPT says what is wrong, not where. */
enum gm_code gm_delta_action_parse(const char *line, size_t bytes, unsigned wanted, struct gm_arena *arena,
                                   struct gm_delta_action *out, json_t **document, struct gm_error *err) GM_CHECK;
/* Fills path from uri. */
enum gm_code gm_delta_file_locate(struct gm_delta_file_action *file, struct gm_arena *arena,
                                  struct gm_error *err) GM_CHECK;
/* json_loadb with these flags; *out is NULL unless it returns OK. NOMEM, or CORRUPT: "it is not JSON", with the column.
 * (jansson calls a string invalid that it has no memory for: then it is CORRUPT.) */
enum gm_code gm_delta_json(const char *text, size_t bytes, size_t flags, json_t **out, struct gm_error *err) GM_CHECK;
/* A string member that must (may) be there; NULL: it is null or absent. */
enum gm_code gm_delta_member_text(const json_t *object, const char *member, bool required, const char **out,
                                  struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_member_int(const json_t *object, const char *member, bool required, int64_t *out, bool *present,
                                 struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_member_pairs(const json_t *object, const char *member, struct gm_arena *arena,
                                   struct gm_delta_pairs *out, struct gm_error *err) GM_CHECK;
/* A map of strings as a JSON object in the arena; NULL if there is no map. */
enum gm_code gm_delta_pairs_text(const struct gm_delta_pairs *pairs, struct gm_arena *arena, const char **out,
                                 struct gm_error *err) GM_CHECK;

/* --- delta_path.c: URIs and partitions ---------------------------------------------------------------------------- */

/* A key as the URI that stands for it in the log. Appends. */
enum gm_code gm_delta_uri_escape(const char *key, struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* The bytes that a URI stands for, NUL-terminated; NULL: memory is gone. *bytes may not be strlen. */
char *gm_delta_uri_unescape(const char *uri, struct gm_arena *arena, size_t *bytes);
/* The partition in a form that does not depend on the table's partition columns: a Hive path ordered by name, and a
 * NUL. CORRUPT: a name occurs twice. */
enum gm_code gm_delta_partition_canonical(const struct gm_delta_pairs *partition, struct gm_arena *arena,
                                          struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* The Hive path of a canonical partition for these columns, in their order; a column without a value is null. */
enum gm_code gm_delta_partition_hive(const char *canonical, const char *const *columns, size_t count,
                                     struct gm_buf *out, struct gm_error *err) GM_CHECK;

/* --- delta_entry.c: reading entries ------------------------------------------------------------------------------- */

/* Gives each action of a version's entry that is wanted to `each`, in order. NOT_FOUND: there is no such entry; CORRUPT
 * and UNSUPPORTED name it, with the line. */
enum gm_code gm_delta_read_entry(struct gm_store *table, int64_t version, unsigned wanted, size_t line_bytes_max,
                                 gm_delta_action_fn *each, void *context, struct gm_error *err) GM_CHECK;
/* The same of a reader that is open already; it is closed, whatever comes. */
enum gm_code gm_delta_read_opened(struct gm_store_reader *reader, int64_t version, unsigned wanted,
                                  size_t line_bytes_max, gm_delta_action_fn *each, void *context,
                                  struct gm_error *err) GM_CHECK;

/* Entries read one after the other, up to `last`: where it pays (gm_store.parallel), several are opened at once. Set
 * table and last, zero the rest; release it at the end. */
enum { GM_DELTA_AHEAD = 16 };
struct gm_delta_ahead {
	struct gm_store *table;
	int64_t last, first; /* first: the version of readers[0] */
	struct gm_store_reader *readers[GM_DELTA_AHEAD];
	size_t count;
};
enum gm_code gm_delta_ahead_read(struct gm_delta_ahead *ahead, int64_t version, unsigned wanted, size_t line_bytes_max,
                                 gm_delta_action_fn *each, void *context, struct gm_error *err) GM_CHECK;
void gm_delta_ahead_release(struct gm_delta_ahead *ahead);

/* Names the entry, and the line unless it is 0, in a failure that does not name anything yet. */
enum gm_code gm_delta_blame(enum gm_code code, int64_t version, int line, struct gm_error *err);

/* --- delta_head.c: metaData and protocol -------------------------------------------------------------------------- */

struct gm_delta_head {
	json_t *metadata, *protocol;      /* the newest of each; NULL: none yet */
	struct gm_arena arena;            /* of what follows, which gm_delta_head_read makes of them */
	struct gm_delta_metadata public;  /* text lives in metadata or the arena */
	const char *provider;             /* of the files' format: "parquet" */
	struct gm_delta_pairs properties; /* configuration */
	int64_t reader, writer;           /* versions of the protocol that the table asks for */
	const char *const *features;      /* that it asks for, readers' and writers' */
	size_t feature_count;
};
void gm_delta_head_init(struct gm_delta_head *head);
void gm_delta_head_release(struct gm_delta_head *head);
/* Takes an action if it is one of the two. */
void gm_delta_head_note(struct gm_delta_head *head, const struct gm_delta_action *action);
/* CORRUPT: one of them is missing or wrong. UNSUPPORTED: the table cannot be read by reader version 1. */
enum gm_code gm_delta_head_read(struct gm_delta_head *head, struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_head_read_metadata(struct gm_delta_head *head, struct gm_error *err) GM_CHECK; /* alone */
/* A property that is a number, or a length of time ("interval 30 days") in milliseconds; absent: what it stands for by
 * default. UNSUPPORTED: it is set to something else. */
enum gm_code gm_delta_property_int(const struct gm_delta_head *head, const char *name, int64_t absent, int64_t *out,
                                   struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_property_interval(const struct gm_delta_head *head, const char *name, int64_t absent_ms,
                                        int64_t *out, struct gm_error *err) GM_CHECK;
bool gm_delta_property_true(const struct gm_delta_head *head, const char *name, bool absent);

/* --- delta_state.c: files and applications of a snapshot ---------------------------------------------------------- */

/* 24 bytes and a path for each file that the log names. */
struct gm_delta_record {
	uint64_t bytes;
	int64_t mtime_ms;
	uint32_t partition; /* code in `partitions`; 0: the file was removed */
	uint32_t source;    /* which checkpoint (0) or entry (from 1) speaks of it last */
};
struct gm_delta_app_record {
	int64_t version, updated_ms;
	bool has_updated;
};
struct gm_delta_state {
	size_t memory_bytes;   /* the most that all of this may take */
	uint32_t source;       /* what is being read */
	struct gm_dict *paths; /* with their NUL; code - 1 is the index into records */
	struct gm_delta_record *records;
	size_t record_room;
	struct gm_dict *partitions; /* canonical, with their NUL */
	struct gm_dict *apps;       /* ids with their NUL; code - 1 is the index into app_records */
	struct gm_delta_app_record *app_records;
	size_t app_room;
	uint64_t live;
	struct gm_arena arena; /* of one action */
	struct gm_buf scratch;
};
enum gm_code gm_delta_state_init(struct gm_delta_state *state, size_t memory_bytes, struct gm_error *err) GM_CHECK;
void gm_delta_state_release(struct gm_delta_state *state);
/* Replays a file or application's action. CORRUPT: a second one for the same file in the same source. */
enum gm_code gm_delta_state_apply(struct gm_delta_state *state, const struct gm_delta_action *action,
                                  struct gm_error *err) GM_CHECK;
/* NOMEM if the state and this much more would be too large. */
enum gm_code gm_delta_state_check(const struct gm_delta_state *state, size_t more, struct gm_error *err) GM_CHECK;
/* The code of a text with its NUL, so that what the dictionary holds is a C string; 0: memory is gone, or it is
 * none. */
uint32_t gm_delta_text_put(struct gm_dict *dict, const char *text);
uint32_t gm_delta_text_find(const struct gm_dict *dict, const char *text);
/* The record of a path; NULL: the log never named it. */
const struct gm_delta_record *gm_delta_state_find(const struct gm_delta_state *state, const char *path);
/* A file's path by its record's index; an application's id by its index. */
const char *gm_delta_state_path(const struct gm_delta_state *state, size_t index);
const char *gm_delta_state_app(const struct gm_delta_state *state, size_t index);

/* --- delta_snapshot.c --------------------------------------------------------------------------------------------- */

struct gm_delta_index; /* files by partition */
struct gm_delta_log {
	struct gm_store *table;
	size_t memory_bytes;
	int64_t version;
	int64_t checkpoint; /* that it was read from; -1: none */
	uint32_t checkpoint_parts;
	unsigned wanted; /* what was read of it */
	struct gm_delta_head head;
	struct gm_delta_state state;
	struct gm_delta_index *index;
};
/* As gm_delta_open, from a listing, once, and of what is wanted only. NOT_FOUND: a file of the listing is gone. */
enum gm_code gm_delta_load(struct gm_store *table, const struct gm_delta_listing *listing, int64_t version,
                           unsigned wanted, size_t memory_bytes, struct gm_delta_log **out,
                           struct gm_error *err) GM_CHECK;
/* Everything that the snapshot was read from once more, in order; *source, if not NULL, says what is being read.
 * CHANGED: some of it is gone. */
enum gm_code gm_delta_reread(const struct gm_delta_log *log, unsigned wanted, uint32_t *source,
                             gm_delta_action_fn *each, void *context, struct gm_error *err) GM_CHECK;
size_t gm_delta_line_bytes_max(size_t memory_bytes);

/* --- delta_index.c ------------------------------------------------------------------------------------------------ */

/* The Hive paths of all partitions; called once the head is read. */
enum gm_code gm_delta_index_new(const struct gm_delta_log *log, struct gm_delta_index **out,
                                struct gm_error *err) GM_CHECK;
void gm_delta_index_free(struct gm_delta_index *index);
/* The Hive path of a live record. */
const char *gm_delta_index_hive(const struct gm_delta_index *index, const struct gm_delta_record *record);

/* --- delta_schema.c ----------------------------------------------------------------------------------------------- */

/* A schemaString, and its fields, which all have a name and a type; drop *schema. CORRUPT: it is none. */
enum gm_code gm_delta_schema_parse(const char *text, json_t **schema, json_t **fields, struct gm_error *err) GM_CHECK;

/* --- delta_rows.c ------------------------------------------------------------------------------------------------- */

struct gm_delta_rows; /* a checkpoint's file, while it is written */
enum gm_code gm_delta_rows_new(gm_sink_fn *sink, void *context, struct gm_delta_rows **out,
                               struct gm_error *err) GM_CHECK;
void gm_delta_rows_free(struct gm_delta_rows *rows);
enum gm_code gm_delta_rows_head(struct gm_delta_rows *rows, const struct gm_delta_head *head,
                                struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_rows_app(struct gm_delta_rows *rows, const struct gm_delta_app *app,
                               struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_rows_add(struct gm_delta_rows *rows, const struct gm_delta_file_action *add,
                               struct gm_error *err) GM_CHECK;
enum gm_code gm_delta_rows_remove(struct gm_delta_rows *rows, const struct gm_delta_file_action *remove,
                                  struct gm_error *err) GM_CHECK;
/* The file is complete; how many rows and bytes it has. */
enum gm_code gm_delta_rows_finish(struct gm_delta_rows *rows, uint64_t *count, uint64_t *bytes,
                                  struct gm_error *err) GM_CHECK;

/* --- delta_checkpoint_read.c -------------------------------------------------------------------------------------- */

/* Gives each wanted action of a checkpoint to `each`. NOT_FOUND: a part is gone. CORRUPT and UNSUPPORTED name it. */
enum gm_code gm_delta_read_checkpoint(struct gm_store *table, int64_t version, uint32_t parts, unsigned wanted,
                                      size_t memory_bytes, gm_delta_action_fn *each, void *context,
                                      struct gm_error *err) GM_CHECK;
/* Rows and bytes of a whole checkpoint. */
enum gm_code gm_delta_checkpoint_size(struct gm_store *table, int64_t version, size_t memory_bytes, uint64_t *count,
                                      uint64_t *bytes, struct gm_error *err) GM_CHECK;

#endif
