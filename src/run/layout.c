#include "run/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const size_t max_json_bytes = (size_t)1 << 30;
static const int runs_level = 3;

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Names below _gristmill that are the table's, not a job's. */
static bool is_reserved(const char *job_id)
{
	return strcmp(job_id, "claims") == 0 || strcmp(job_id, "hash-key") == 0;
}

enum gm_code gm_layout_init(struct gm_layout *layout, const char *job_id, struct gm_error *err)
{
	static const char prefix[] = "_gristmill/";
	size_t at = sizeof prefix - 1;
	memcpy(layout->job, prefix, at);
	gm_job8(job_id, layout->job8);
	for (const char *c = job_id; *c != '\0'; c++) {
		if (at + 5 > sizeof layout->job) GM_FAIL(err, GM_JOB, "the job's id is too long");
		bool first = c == job_id;
		/* A dot is safe inside a name, not as its first character. */
		if ((is_plain(*c) && !(first && is_reserved(job_id))) || (*c == '.' && !first))
			layout->job[at++] = *c;
		else
			at += (size_t)sprintf(layout->job + at, "%%%02X", (unsigned)(uint8_t)*c);
	}
	layout->job[at++] = '/';
	layout->job[at] = '\0';
	return GM_OK;
}

void gm_job8(const char *job_id, char out[GM_JOB8_BYTES])
{
	(void)snprintf(out, GM_JOB8_BYTES, "%08" PRIx32, (uint32_t)XXH3_64bits(job_id, strlen(job_id)));
}

/* A part of a name that ends with the character `end`: at least `least` digits; hexadecimal ones, exactly as many. */
static bool take(const char **at, size_t least, bool hexadecimal, char end)
{
	size_t n = strspn(*at, hexadecimal ? "0123456789abcdef" : "0123456789");
	if (n < least || (hexadecimal && n != least) || (*at)[n] != end) return false;
	*at += n + 1;
	return true;
}

bool gm_file_name_parse(const char *path, struct gm_file_name *out)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *at = name, *run, *unit;
	if (!take(&at, GM_JOB8_BYTES - 1, true, '-')) return false;
	run = at;
	if (!take(&at, 8, false, '-')) return false;
	unit = at;
	if (!take(&at, 5, false, '-') || !take(&at, 4, false, '-') || !take(&at, 16, true, '.')) return false;
	memcpy(out->job8, name, GM_JOB8_BYTES - 1);
	out->job8[GM_JOB8_BYTES - 1] = '\0';
	out->run = strtoull(run, NULL, 10);
	out->unit = strtoull(unit, NULL, 10);
	return true;
}

void gm_layout_key(const struct gm_layout *layout, char key[GM_KEY_BYTES], const char *folder, uint64_t n,
                   const char *suffix)
{
	(void)snprintf(key, GM_KEY_BYTES, "%s%s/%08" PRIu64 "%s", layout->job, folder, n, suffix);
}

void gm_layout_from(const struct gm_layout *layout, char key[GM_KEY_BYTES], const char *folder, uint64_t n)
{
	const uint64_t begins_with_0 = 10000000; /* and so comes before all that have more digits */
	key[0] = '\0';
	if (n > 0 && n < begins_with_0) gm_layout_key(layout, key, folder, n, "");
}

void gm_claim_key(char key[GM_KEY_BYTES], uint64_t k)
{
	(void)snprintf(key, GM_KEY_BYTES, "_gristmill/claims/%08" PRIu64 ".json", k);
}

void gm_app_id(char app[GM_APP_BYTES], const char *job_id)
{
	(void)snprintf(app, GM_APP_BYTES, "gristmill/%s", job_id);
}

/* Far beyond what is ever reached, and far from where the next number, or the log's signed one, would overflow. */
static const uint64_t numbers_max = UINT64_C(1000000000000000);

uint64_t gm_layout_number(const char *key, const char *suffix)
{
	const char *name = strrchr(key, '/');
	char *end;
	name = name != NULL ? name + 1 : key;
	if (*name < '0' || *name > '9') return 0;
	uint64_t n = strtoull(name, &end, 10);
	return strcmp(end, suffix) == 0 && n <= numbers_max ? n : 0;
}

bool gm_is_hidden(const char *path)
{
	for (const char *part = path; part != NULL; part = strchr(part, '/')) {
		if (*part == '/') part++;
		if (*part == '_' || *part == '.') return true;
	}
	return false;
}

bool gm_is_hidden_folder(void *context, const char *folder)
{
	(void)context;
	return gm_is_hidden(folder);
}

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text), k = strlen(suffix);
	return n >= k && strcmp(text + n - k, suffix) == 0;
}

static enum gm_code corrupt(const char *key, struct gm_error *err, const char *why)
{
	(void)gm_error_set(err, GM_CORRUPT, "the file is damaged: %s", why);
	(void)gm_error_hint(err, GM_CORRUPT, "restore it from a copy of the table");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

static enum gm_code decompress(const char *key, struct gm_buf *buf, struct gm_error *err)
{
	unsigned long long bytes = ZSTD_getFrameContentSize(buf->data, buf->len);
	if (bytes == ZSTD_CONTENTSIZE_ERROR || bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes > max_json_bytes)
		return corrupt(key, err, "not a zstd frame of known size");
	struct gm_buf plain;
	gm_buf_init(&plain, max_json_bytes);
	enum gm_code rc = gm_buf_reserve(&plain, (size_t)bytes + 1, err);
	size_t got = rc == GM_OK ? ZSTD_decompress(plain.data, plain.cap, buf->data, buf->len) : 0;
	if (rc == GM_OK && ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for decompressing JSON");
	else if (rc == GM_OK && got != bytes)
		rc = corrupt(key, err, "its zstd frame cannot be read");
	if (rc == GM_OK) {
		plain.len = (size_t)bytes;
		gm_buf_release(buf);
		*buf = plain;
	} else {
		gm_buf_release(&plain);
	}
	return rc;
}

static enum gm_code check_format(const char *key, const json_t *value, struct gm_error *err)
{
	json_int_t format = json_integer_value(json_object_get(value, "format"));
	if (format >= 1 && format <= GM_FORMAT) return GM_OK;
	if (format < 1) return corrupt(key, err, "it has no format number");
	(void)gm_error_set(err, GM_UNSUPPORTED, "the file has format %lld; this version of gristmill reads up to %d",
	                   (long long)format, GM_FORMAT);
	(void)gm_error_hint(err, GM_UNSUPPORTED, "use the newer gristmill that wrote it");
	return gm_error_object(err, GM_UNSUPPORTED, key, strlen(key));
}

static enum gm_code parse(const char *key, const struct gm_buf *buf, json_t **out, struct gm_error *err)
{
	struct gm_error why;
	enum gm_code rc = gm_json_parse((const char *)buf->data, buf->len, JSON_REJECT_DUPLICATES, out, &why);
	if (rc == GM_OK) return check_format(key, *out, err);
	return rc == GM_CORRUPT ? corrupt(key, err, why.message) : gm_error_set(err, rc, "%s", why.message);
}

enum gm_code gm_json_read(struct gm_store *store, const char *key, json_t **out, struct gm_error *err)
{
	struct gm_buf buf;
	json_t *value = NULL;
	gm_buf_init(&buf, max_json_bytes);
	enum gm_code rc = gm_store_get(store, key, &buf, err);
	if (rc == GM_OK && has_suffix(key, ".zst")) rc = decompress(key, &buf, err);
	if (rc == GM_OK && buf.len == 0) rc = corrupt(key, err, "it is empty");
	if (rc == GM_OK) rc = parse(key, &buf, &value, err);
	gm_buf_release(&buf);
	if (rc == GM_OK)
		*out = value;
	else
		json_decref(value);
	return rc;
}

static enum gm_code write_compressed(struct gm_store *store, const char *key, const void *text, size_t bytes,
                                     struct gm_error *err)
{
	size_t room = ZSTD_compressBound(bytes);
	void *packed = malloc(room);
	if (packed == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for %zu bytes of JSON", bytes);
	size_t n = ZSTD_compress(packed, room, text, bytes, runs_level);
	enum gm_code rc = ZSTD_isError(n) ? gm_error_set(err, GM_NOMEM, "cannot compress JSON: %s", ZSTD_getErrorName(n))
	                                  : gm_store_put(store, key, packed, n, true, err);
	free(packed);
	return rc;
}

enum gm_code gm_json_write_text(struct gm_store *store, const char *key, const void *text, size_t bytes,
                                struct gm_error *err)
{
	return has_suffix(key, ".zst") ? write_compressed(store, key, text, bytes, err)
	                               : gm_store_put(store, key, text, bytes, true, err);
}

enum gm_code gm_json_write(struct gm_store *store, const char *key, const json_t *value, struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, max_json_bytes);
	enum gm_code rc = gm_json_text(value, &text, err);
	if (rc == GM_OK) rc = gm_json_write_text(store, key, text.data, text.len, err);
	gm_buf_release(&text);
	return rc;
}

enum gm_code gm_member_string(const json_t *object, const char *member, const char **out, struct gm_error *err)
{
	*out = json_string_value(json_object_get(object, member));
	if (*out == NULL) GM_FAIL(err, GM_CORRUPT, "the text \"%s\" is missing", member);
	return GM_OK;
}

enum gm_code gm_member_number(const json_t *object, const char *member, uint64_t *out, struct gm_error *err)
{
	const json_t *value = json_object_get(object, member);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		GM_FAIL(err, GM_CORRUPT, "the number \"%s\" is missing or below 0", member);
	*out = (uint64_t)json_integer_value(value);
	return GM_OK;
}

enum gm_code gm_member_time(const json_t *object, const char *member, int64_t *out, struct gm_error *err)
{
	const json_t *value = json_object_get(object, member);
	if (!json_is_integer(value)) GM_FAIL(err, GM_CORRUPT, "the time \"%s\" is missing", member);
	*out = (int64_t)json_integer_value(value);
	return GM_OK;
}

enum gm_code gm_member_array(const json_t *object, const char *member, const json_t **out, struct gm_error *err)
{
	*out = json_object_get(object, member);
	if (!json_is_array(*out)) GM_FAIL(err, GM_CORRUPT, "the list \"%s\" is missing", member);
	return GM_OK;
}

void gm_hex128(const uint64_t hash[2], char out[GM_HEX128_BYTES])
{
	(void)snprintf(out, GM_HEX128_BYTES, "%016" PRIx64 "%016" PRIx64, hash[1], hash[0]);
}

static bool parse_hex64(const char *text, uint64_t *out)
{
	static const char digits[] = "0123456789abcdef";
	*out = 0;
	for (int i = 0; i < 16; i++) {
		const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
		if (digit == NULL) return false;
		*out = *out << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

enum gm_code gm_member_hash(const json_t *object, const char *member, uint64_t out[2], struct gm_error *err)
{
	const char *text;
	GM_TRY(gm_member_string(object, member, &text, err));
	if (strlen(text) != GM_HEX128_BYTES - 1 || !parse_hex64(text, &out[1]) || !parse_hex64(text + 16, &out[0]))
		GM_FAIL(err, GM_CORRUPT, "the hash \"%s\" is not 32 hex digits", member);
	return GM_OK;
}
