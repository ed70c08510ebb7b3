/* load.h - what the pieces of the job-file loader share; nothing outside load*.c, describe.c and their tests needs it.
 *
 *   load_tree.c     YAML text to a tree of nodes with places        load_keys.c     the table of keys
 *   load_vars.c     ${NAME} in values                               load_value.c    a text as size, date, word, path,
 * ... load_check.c    what one key alone cannot tell                  load_resolve.c  canonical JSON and its hash
 *   load.c          the table applied to the tree */
#ifndef GM_JOB_LOAD_H
#define GM_JOB_LOAD_H

#include "job/job.h"
#include "job/suggest.h"

enum {
	GM_LOAD_FILE_MAX = 4 << 20,      /* bytes of a job file */
	GM_LOAD_DEPTH_MAX = 8,           /* collections in collections; a job needs 4 */
	GM_LOAD_NODES_MAX = 200000,      /* values, lists and mappings together */
	GM_LOAD_VALUE_MAX = 64 << 10,    /* bytes of one value, after ${NAME} */
	GM_LOAD_EXPANDED_MAX = 16 << 20, /* bytes of all values that ${NAME} made */
	GM_LOAD_COLUMNS_MAX = 2000,
	GM_LOAD_PARTITIONS_MAX = 16,
	GM_LOAD_PATH_MAX = 32, /* keys of a `from` */
	GM_LOAD_NAME_MAX = 255,
	GM_LOAD_ID_MAX = 128,
};

/* --- The tree --------------------------------------------------------------------------------------------------- */

enum gm_node_kind { GM_NODE_SCALAR, GM_NODE_LIST, GM_NODE_MAPPING };
struct gm_node {
	enum gm_node_kind kind;
	bool plain;                 /* a scalar without quotes: `null`, `~` and nothing at all mean "no value" */
	bool flow;                  /* a collection written with [ ] or { } */
	bool block;                 /* a scalar after | or > */
	struct gm_place place;      /* where it begins */
	struct gm_place text_place; /* of text[0] */
	const char *text;           /* scalars: NUL-terminated, no NUL inside */
	size_t bytes;
	struct gm_node *first, *last; /* items; of a mapping key, value, key, value, ... */
	struct gm_node *next;
	size_t count; /* of items, keys and values each */
};

/* --- The loader ------------------------------------------------------------------------------------------------- */

struct gm_load_name { /* a ${NAME} that the file uses */
	const char *name;
	struct gm_load_name *next;
};
struct gm_loader {
	struct gm_job *job;
	const struct gm_job_options *options; /* not NULL */
	struct gm_error *err;
	struct gm_load_name *names;
	size_t expanded_bytes;
	const struct gm_node *unique_by, *id, *on_change, *catalog; /* NULL: not given */
};

/* JOB at a place of the file: fills the error and is the code. */
#define gm_load_fail(loader, place, ...) (gm_load_report((loader), (place), __VA_ARGS__), GM_JOB)
void gm_load_report(struct gm_loader *loader, struct gm_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline enum gm_code gm_load_nomem(struct gm_loader *loader)
{
	return gm_error_set(loader->err, GM_NOMEM, "no memory for the job file");
}
/* The hint "did you mean ...?" or, when nothing is near, "<what>: word, word, ...". NULL ends the words. */
enum gm_code gm_load_hint_words(struct gm_loader *loader, enum gm_code code, const char *wanted, size_t bytes,
                                const char *what, const char *const *words);

/* A text as messages show it: in single quotes, control characters escaped, cut when long. */
struct gm_quoted {
	char text[96];
};
struct gm_quoted gm_load_quote(const char *text, size_t bytes);

enum gm_code gm_load_tree(struct gm_loader *loader, const void *bytes, size_t n, struct gm_node **root) GM_CHECK;

/* Applies ${NAME} to a scalar: *out is the node itself or one with the new text. */
enum gm_code gm_load_expand(struct gm_loader *loader, const struct gm_node *scalar,
                            const struct gm_node **out) GM_CHECK;
/* Notes the names a scalar uses without needing their values: for a value that an option replaces. */
enum gm_code gm_load_note_names(struct gm_loader *loader, const struct gm_node *scalar) GM_CHECK;
/* USAGE if a --set names what the file never used. */
enum gm_code gm_load_check_settings(struct gm_loader *loader) GM_CHECK;

/* --- The table of keys ------------------------------------------------------------------------------------------ */

enum gm_key_section {
	GM_SECTION_JOB,
	GM_SECTION_SOURCE,
	GM_SECTION_TABLE,
	GM_SECTION_PARTITION,
	GM_SECTION_COLUMN,
	GM_SECTION_CATALOG,
	GM_SECTION_WATCH,
	GM_SECTION_COUNT
};
/* Where a value goes: the C type at `offset` in brackets. */
enum gm_key_kind {
	GM_KEY_TEXT,     /* any text, also an empty one [const char *] */
	GM_KEY_EXPR,     /* an expression [const char *, and its gm_place at place_offset] */
	GM_KEY_VALUE,    /* a default: text that need not be anything yet [const char *, size_t behind it] */
	GM_KEY_ID,       /* a name that is part of paths: ASCII letters, digits, . _ - [const char *] */
	GM_KEY_NAME,     /* a column's name [const char *] */
	GM_KEY_SIZE,     /* 128MiB, 1G, 4096 [uint64_t] */
	GM_KEY_DURATION, /* 7d, 36h, 30s [int64_t, microseconds] */
	GM_KEY_INTEGER,  /* [int] */
	GM_KEY_BOOLEAN,  /* [bool] */
	GM_KEY_WORD,     /* one of `words`; its index [unsigned int] */
	GM_KEY_PATH,     /* a.b or [a, b] [const char *const *, const size_t *, size_t] */
	GM_KEY_NAMES,    /* a list of columns; kept as a node until the columns are known */
	GM_KEY_SECTION,  /* a mapping with the keys of section `child` */
	GM_KEY_LIST,     /* a list of such mappings [struct gm_column *, size_t behind it] */
};
struct gm_key {
	enum gm_key_section section;
	const char *name;
	enum gm_key_kind kind;
	enum gm_key_section child; /* SECTION, LIST */
	bool required;             /* a required SECTION is read even when absent, to report its missing keys */
	const char *fallback;      /* the default, as it would be written; NULL: none */
	const char *const *words;  /* WORD: in the order of the values it stands for; NULL ends them */
	const char *const *later;  /* WORD: known, but not supported yet */
	int64_t min, max;          /* SIZE, DURATION, INTEGER; LIST: items */
	size_t offset, place_offset;
	const char *help; /* one line */
};
enum { GM_KEY_NOWHERE = -1 }; /* offset of a value that is checked and, having one meaning only, not kept */

extern const struct gm_key gm_keys[];
extern const size_t gm_key_count;
enum { GM_KEYS_MAX = 128 }; /* gm_key_count is smaller */
/* "source", "columns[]", ...; "" for the top level. */
const char *gm_section_name(enum gm_key_section section);

/* --- Values ----------------------------------------------------------------------------------------------------- */

/* Reads a scalar (expanded already) as the key says and stores it at base + offset. */
enum gm_code gm_load_value(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *scalar,
                           char *base) GM_CHECK;
enum gm_code gm_load_path(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                          char *base) GM_CHECK;
/* Whether `unit` applies: to timestamps that are read, and to dates computed from what is read, which is a timestamp.
 */
static inline bool gm_load_has_unit(const struct gm_column *column)
{
	if (column->from_len == 0) return false;
	return column->type == GM_TYPE_TIMESTAMP || (column->type == GM_TYPE_DATE && column->expr != NULL);
}
/* Reads column->fallback as the column's type into fallback_value; false: it does not fit. */
bool gm_load_fallback(struct gm_column *column);
/* Equal but for the case of ASCII letters. */
bool gm_load_same_name(const char *a, const char *b);
/* "128MiB" for sizes that are whole multiples of a unit, else bytes. */
void gm_load_size_text(uint64_t bytes, char out[24]);
/* "7d", "36h", "5m" or "30s"; of whole seconds. */
void gm_load_duration_text(int64_t us, char out[24]);

/* --- Checks ----------------------------------------------------------------------------------------------------- */

/* The keys a mapping gave: [i] is the value of gm_keys[i], or NULL. */
struct gm_seen {
	const struct gm_node *value[GM_KEYS_MAX];
};
/* The value given for a key, NULL if none. */
const struct gm_node *gm_seen_get(const struct gm_seen *seen, enum gm_key_section section, const char *name);

enum gm_code gm_load_check_column(struct gm_loader *loader, enum gm_key_section section, struct gm_column *column,
                                  const struct gm_seen *seen) GM_CHECK;
/* Keys that only say how S3 is reached, where the location is a directory, are a mistake; where an option replaces the
 * location, they are not asked. */
enum gm_code gm_load_check_access(struct gm_loader *loader, enum gm_key_section section, const char *location,
                                  struct gm_job_access *access, const struct gm_seen *seen) GM_CHECK;
/* Leaves NULL where a text is empty. */
void gm_load_drop_empty(struct gm_job_access *access);
enum gm_code gm_load_check_table(struct gm_loader *loader, const struct gm_seen *seen) GM_CHECK;
enum gm_code gm_load_check_job(struct gm_loader *loader) GM_CHECK;

/* The word of a WORD key that stands for a value. */
const char *gm_load_word(enum gm_key_section section, const char *name, unsigned int value);
/* column->from as a JSON array (struct json_t of jansson, the caller's); NULL when memory is gone. */
struct json_t *gm_load_json_path(const struct gm_column *column);
/* Fills job->resolved and job->hash. */
enum gm_code gm_load_resolve(struct gm_loader *loader) GM_CHECK;

#endif
