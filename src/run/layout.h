/* layout.h - where things lie below a table's _gristmill folder, and the form of the small JSON files there.
 *
 *     hash-key                      192 random bytes: the secret of the table's key hashes
 *     claims/<k>.json               which plan, of whichever job, is between publish and commit
 *
 * and below _gristmill/<job>:
 *
 *     plans/<n>.json                what run n will do, written before it does it; never removed
 *     plans/<n>.closed              plan n is dead and swept
 *     work/<n>/                     staged files and <unit>.keys of an unfinished run; the manifests <unit>.json,
 *                                   which stay
 *     runs/<n>.json.zst             the books of run n, put before its commit
 *     bookmark/<n>                  the objects processed up to committed run n
 *     quarantine/<n>/<unit>.ndjson.gz   rejected records
 *     conflicts/<n>/<unit>.ndjson.gz    duplicates that say something else than the row that was kept
 *     duplicates/<n>/<unit>.zst         every duplicate that was dropped
 *     watch/<message id>.json           messages that `watch` kept aside (watch/aside.h); no run reads or removes them
 *
 * Numbers have at least eight digits so that listings are in order. Every JSON file says its format; a newer one is
 * refused by name, an older one is read. Format 1 had no commit log (see upgrade.h). */
#ifndef GM_RUN_LAYOUT_H
#define GM_RUN_LAYOUT_H

#include "base/json_text.h"
#include "store/store.h"

enum {
	GM_FORMAT = 2,
	GM_KEY_BYTES = 512, /* room for a key below _gristmill */
};

/* Eight hex digits that stand for the job in the names of its files. */
enum { GM_JOB8_BYTES = 9 };
void gm_job8(const char *job_id, char out[GM_JOB8_BYTES]);

struct gm_layout {
	char job[256]; /* "_gristmill/<job>/", the id escaped so that it is one safe part */
	char job8[GM_JOB8_BYTES];
};

enum gm_code gm_layout_init(struct gm_layout *layout, const char *job_id, struct gm_error *err) GM_CHECK;
/* What the name of a data file says of who wrote it: "<job8>-<run>-<unit>-<seq>-<h16>.<extension>". */
struct gm_file_name {
	char job8[GM_JOB8_BYTES];
	uint64_t run, unit;
};
/* False: the path's last part is no such name. */
bool gm_file_name_parse(const char *path, struct gm_file_name *out);
/* "_gristmill/<job>/<folder>/<n><suffix>" */
void gm_layout_key(const struct gm_layout *layout, char key[GM_KEY_BYTES], const char *folder, uint64_t n,
                   const char *suffix);
/* Behind which key a listing of the folder gives everything of numbers from n on. Keys ascend with their numbers only
 * as long as those have eight digits; "" where that is not certain. */
void gm_layout_from(const struct gm_layout *layout, char key[GM_KEY_BYTES], const char *folder, uint64_t n);
/* "_gristmill/claims/<k>.json" */
void gm_claim_key(char key[GM_KEY_BYTES], uint64_t k);
/* The application of the job's transactions in the log: "gristmill/<id>". */
enum { GM_APP_BYTES = 160 };
void gm_app_id(char app[GM_APP_BYTES], const char *job_id);
/* The number of a key made by gm_layout_key if it has this suffix; else 0. */
uint64_t gm_layout_number(const char *key, const char *suffix);
/* Does a part of the path begin with "_" or "."? Readers of Hive tables skip such files and folders. */
bool gm_is_hidden(const char *path);
/* For gm_store_list_pruned(): the log and our own state are no part of a listing of the table's files; of a table that
 * has had many runs they are most of it. */
bool gm_is_hidden_folder(void *context, const char *folder);

/* Reads a JSON file, plain or zstd-compressed (told by its name), of at most 1 GiB, and checks its format number.
 * CORRUPT or UNSUPPORTED name the key. */
enum gm_code gm_json_read(struct gm_store *store, const char *key, json_t **out, struct gm_error *err) GM_CHECK;
/* Writes put-if-absent; the bytes depend on the value alone. EXISTS is passed on. */
enum gm_code gm_json_write(struct gm_store *store, const char *key, const json_t *value, struct gm_error *err) GM_CHECK;
/* The same of a text that gm_json_text has made. */
enum gm_code gm_json_write_text(struct gm_store *store, const char *key, const void *text, size_t bytes,
                                struct gm_error *err) GM_CHECK;
/* Members that must be there: CORRUPT otherwise, naming the member. The string lives as long as object. */
enum gm_code gm_member_string(const json_t *object, const char *member, const char **out,
                              struct gm_error *err) GM_CHECK;
enum gm_code gm_member_number(const json_t *object, const char *member, uint64_t *out, struct gm_error *err) GM_CHECK;
/* Microseconds, below 0 before 1970. */
enum gm_code gm_member_time(const json_t *object, const char *member, int64_t *out, struct gm_error *err) GM_CHECK;
enum gm_code gm_member_array(const json_t *object, const char *member, const json_t **out,
                             struct gm_error *err) GM_CHECK;
/* 128-bit hashes are 32 hex digits, high half first. */
enum { GM_HEX128_BYTES = 33 };
void gm_hex128(const uint64_t hash[2], char out[GM_HEX128_BYTES]);
enum gm_code gm_member_hash(const json_t *object, const char *member, uint64_t out[2], struct gm_error *err) GM_CHECK;

#endif
