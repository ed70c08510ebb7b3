/* generate.c - sample input as Firehose would deliver it.
 *
 *   <directory>/year=YYYY/month=MM/day=DD/prodAccessRecord-1-YYYY-MM-DD-HH-MM-SS-<uuid>.gz
 *
 * The date and time are those of the arrival, a minute after the object's last record; so records from just before
 * midnight lie in the next day's folder, and late ones lie anywhere. An object is one gzip member of documents with a
 * line break behind each. Duplicates are delivered again soon in the same object, or in a later one. */
#include "base/flag.h"
#include "run/generate_record.h"
#include "store/store.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum {
	PER_OBJECT_MAX = 1000000,
	FIREHOSE_OBJECT_RECORDS = 85000, /* about 64 MB of JSON */
	FIREHOSE_OBJECTS_AN_HOUR = 4,
	RAW_BYTES = 256 << 10,
	NEAR_MAX = 64, /* records that lie between the copies in one object, at most */
	ARRIVAL_DELAY_MS = 60000,
};
static const size_t object_max_bytes = (size_t)1 << 30;
static const size_t carry_max_bytes = (size_t)16 << 20;
static const int64_t first_start_us = 0, last_start_us = INT64_C(221845392000000000); /* 1970, 9000 */
static const double hours_max = 24 * 366 * 100.0;

void gm_generate_defaults(struct gm_generate_options *options)
{
	*options = (struct gm_generate_options){
	    .records = 200000,
	    .seed = 1,
	    .start_us = INT64_C(1710028800000000), /* 2024-03-10 */
	    .hours = 48,
	    .duplicates = 0.001,
	    .late = 0.002,
	    .bad = 0.0005,
	    .level = 6,
	};
}

struct generator {
	const struct gm_generate_options *options;
	struct gm_generate_result *result;
	const struct gm_population *population;
	struct gm_store *store;
	struct gm_random random;
	int64_t start_ms, span_ms;
	uint64_t objects;
	bool previous_bad;
	/* The object at hand. */
	z_stream z;
	bool z_open;
	struct gm_buf gz;   /* its compressed bytes */
	struct gm_buf raw;  /* documents on their way into deflate */
	struct gm_buf near; /* a document to be repeated in this object after near_wait more */
	uint64_t near_wait;
	struct gm_buf carry; /* documents to be repeated in a later object */
	int64_t last_ms;     /* the time of its newest record */
};

/* --- Compression -------------------------------------------------------------------------------------------------- */

static enum gm_code gz_open(struct generator *g, struct gm_error *err)
{
	enum { GZIP = 15 + 16, MEMORY_LEVEL = 8 };
	g->z = (z_stream){.zalloc = Z_NULL};
	if (deflateInit2(&g->z, g->options->level, Z_DEFLATED, GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		GM_FAIL(err, GM_NOMEM, "out of memory for compression");
	g->z_open = true;
	g->gz.len = g->raw.len = 0;
	return GM_OK;
}

static void gz_close(struct generator *g)
{
	if (g->z_open) (void)deflateEnd(&g->z);
	g->z_open = false;
}

/* Compresses what raw holds; finish: and ends the member. */
static enum gm_code gz_push(struct generator *g, bool finish, struct gm_error *err)
{
	g->z.next_in = g->raw.data;
	g->z.avail_in = (uInt)g->raw.len;
	g->result->bytes_raw += g->raw.len;
	g->raw.len = 0;
	int state;
	do {
		GM_TRY(gm_buf_reserve(&g->gz, RAW_BYTES, err));
		size_t room = g->gz.cap - g->gz.len;
		if (room > RAW_BYTES) room = RAW_BYTES;
		g->z.next_out = g->gz.data + g->gz.len;
		g->z.avail_out = (uInt)room;
		state = deflate(&g->z, finish ? Z_FINISH : Z_NO_FLUSH);
		if (state == Z_STREAM_ERROR) GM_FAIL(err, GM_BUG, "zlib refused to compress");
		g->gz.len += room - g->z.avail_out;
	} while (finish ? state != Z_STREAM_END : g->z.avail_out == 0);
	return GM_OK;
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

/* Adds documents, each with its line break. */
static enum gm_code add(struct generator *g, const void *lines, size_t bytes, struct gm_error *err)
{
	GM_TRY(gm_buf_append(&g->raw, lines, bytes, err));
	return g->raw.len < RAW_BYTES ? GM_OK : gz_push(g, false, err);
}

static enum gm_code flush_near(struct generator *g, struct gm_error *err)
{
	GM_TRY(add(g, g->near.data, g->near.len, err));
	g->near.len = 0;
	return GM_OK;
}

/* Keeps a document for its second delivery. */
static enum gm_code deliver_again(struct generator *g, const char *line, size_t bytes, struct gm_error *err)
{
	g->result->duplicates++;
	g->result->records++;
	bool later = gm_random_below(&g->random, 2) == 1;
	if (later && bytes <= carry_max_bytes - g->carry.len) return gm_buf_append(&g->carry, line, bytes, err);
	GM_TRY(flush_near(g, err));
	g->near_wait = gm_random_below(&g->random, NEAR_MAX);
	return gm_buf_append(&g->near, line, bytes, err);
}

/* Milliseconds that a late record is late: exponential, two hours in the mean. The logarithm of a random number is
 * taken from its leading zeros, with a straight line in between. */
static int64_t lateness_ms(struct gm_random *random)
{
	const uint64_t half_life_ms = 4990659; /* 2 h * ln 2 */
	uint64_t r = gm_random_next(random) | 1, halvings = (uint64_t)__builtin_clzll(r);
	uint64_t rest = gm_random_below(random, half_life_ms);
	return (int64_t)(halvings * half_life_ms + rest);
}

/* The time of record i: evenly spread with jitter, some late. */
static int64_t time_of(struct generator *g, uint64_t i)
{
	uint64_t jitter = gm_random_next(&g->random) >> 44;
	unsigned __int128 position = ((unsigned __int128)i << 20 | jitter) * (uint64_t)g->span_ms;
	int64_t time_ms = g->start_ms + (int64_t)(uint64_t)(position / ((unsigned __int128)g->options->records << 20));
	if (!gm_random_chance(&g->random, g->options->late)) return time_ms;
	g->result->late++;
	time_ms -= lateness_ms(&g->random);
	return time_ms > 0 ? time_ms : 0;
}

/* Two bad records never follow one another: then each is an entry of its own in quarantine, whatever adjoins. */
static enum gm_bad choose_bad(struct generator *g)
{
	bool bad = gm_random_chance(&g->random, g->options->bad);
	g->previous_bad = bad && !g->previous_bad;
	if (!g->previous_bad) return GM_GOOD;
	enum gm_bad kind = (enum gm_bad)gm_random_below(&g->random, GM_BAD_COUNT);
	g->result->bad++;
	if (kind < GM_BAD_TOLERATED) g->result->rejected++;
	return kind;
}

static enum gm_code write_record(struct generator *g, uint64_t i, struct gm_error *err)
{
	char line[GM_RECORD_MAX_BYTES + 1];
	int64_t time_ms = time_of(g, i);
	enum gm_bad bad = choose_bad(g);
	if (time_ms > g->last_ms) g->last_ms = time_ms;
	size_t n = gm_record_write(g->population, &g->random, time_ms, bad, line);
	line[n++] = '\n';
	GM_TRY(add(g, line, n, err));
	g->result->records++;
	if (g->near.len > 0 && bad == GM_GOOD && g->near_wait-- == 0) GM_TRY(flush_near(g, err));
	if (bad == GM_GOOD && gm_random_chance(&g->random, g->options->duplicates)) GM_TRY(deliver_again(g, line, n, err));
	return GM_OK;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static enum gm_code name_object(struct generator *g, char *key, size_t bytes, struct gm_error *err)
{
	struct tm tm;
	time_t arrival = (time_t)((g->last_ms + ARRIVAL_DELAY_MS) / 1000);
	char uuid[GM_UUID_BYTES + 1] = "";
	if (gmtime_r(&arrival, &tm) == NULL) GM_FAIL(err, GM_USAGE, "the time of a record is out of range");
	size_t n = strftime(key, bytes, "year=%Y/month=%m/day=%d/prodAccessRecord-1-%Y-%m-%d-%H-%M-%S-", &tm);
	gm_uuid_write(&g->random, uuid);
	(void)snprintf(key + n, bytes - n, "%s.gz", uuid);
	return GM_OK;
}

static void report(struct generator *g, uint64_t objects_done)
{
	const struct gm_generate_options *o = g->options;
	if (o->progress == NULL) return;
	struct gm_progress progress = {.phase = "generate",
	                               .objects_done = objects_done,
	                               .objects = g->objects,
	                               .bytes_done = objects_done,
	                               .bytes = g->objects,
	                               .bytes_raw = g->result->bytes_raw,
	                               .records = g->result->records};
	o->progress(o->context, &progress);
}

/* Records first .. last - 1 and what is to be delivered again. */
static enum gm_code write_object(struct generator *g, uint64_t first, uint64_t last, struct gm_error *err)
{
	char key[160];
	bool is_last = last == g->options->records;
	g->last_ms = 0;
	GM_TRY(gz_open(g, err));
	/* What waits may wait for hours. */
	if (g->carry.len > 0 && gm_random_below(&g->random, 4) == 0) {
		GM_TRY(add(g, g->carry.data, g->carry.len, err));
		g->carry.len = 0;
	}
	for (uint64_t i = first; i < last; i++) GM_TRY(write_record(g, i, err));
	GM_TRY(flush_near(g, err));
	if (is_last) GM_TRY(add(g, g->carry.data, g->carry.len, err));
	GM_TRY(gz_push(g, true, err));
	gz_close(g);
	GM_TRY(name_object(g, key, sizeof key, err));
	GM_TRY(gm_store_put(g->store, key, g->gz.data, g->gz.len, true, err));
	g->result->objects++;
	g->result->bytes += g->gz.len;
	return GM_OK;
}

static enum gm_code write_objects(struct generator *g, struct gm_error *err)
{
	const struct gm_generate_options *o = g->options;
	for (uint64_t k = 0; k < g->objects; k++) {
		uint64_t first = (uint64_t)((unsigned __int128)o->records * k / g->objects);
		uint64_t last = (uint64_t)((unsigned __int128)o->records * (k + 1) / g->objects);
		if (o->records_per_object > 0) {
			first = k * o->records_per_object;
			last = o->records - first < o->records_per_object ? o->records : first + o->records_per_object;
		}
		if (gm_flag_is_set(o->stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped");
		report(g, k);
		if (first < last) GM_TRY(write_object(g, first, last, err));
	}
	report(g, g->objects);
	return GM_OK;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

static bool is_share(double share)
{
	return share >= 0 && share <= 1;
}

static enum gm_code check_options(const struct gm_generate_options *o, struct gm_error *err)
{
	const uint64_t records_max = UINT64_C(1000000000000);
	if (o->records > records_max) GM_FAIL(err, GM_USAGE, "more than %llu records", (unsigned long long)records_max);
	if (o->records_per_object > PER_OBJECT_MAX)
		GM_FAIL(err, GM_USAGE, "more than %d records an object", PER_OBJECT_MAX);
	if (o->start_us < first_start_us || o->start_us > last_start_us)
		GM_FAIL(err, GM_USAGE, "the start is not between the years 1970 and 9000");
	if (!(o->hours > 0 && o->hours <= hours_max)) GM_FAIL(err, GM_USAGE, "the hours are not between 0 and 100 years");
	if (!is_share(o->duplicates) || !is_share(o->late) || !is_share(o->bad))
		GM_FAIL(err, GM_USAGE, "a share is not between 0 and 1");
	if (o->level < 0 || o->level > 9) GM_FAIL(err, GM_USAGE, "the level of gzip is not between 0 and 9");
	return GM_OK;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static uint64_t count_objects(const struct gm_generate_options *o)
{
	if (o->records_per_object > 0) return divide_up(o->records, o->records_per_object);
	uint64_t by_time = (uint64_t)ceil(o->hours * FIREHOSE_OBJECTS_AN_HOUR);
	uint64_t by_size = divide_up(o->records, FIREHOSE_OBJECT_RECORDS);
	uint64_t objects = by_time > by_size ? by_time : by_size;
	return objects < o->records ? objects : o->records;
}

static enum gm_code generate(struct generator *g, const char *directory, struct gm_arena *arena, struct gm_error *err)
{
	struct gm_population *population;
	gm_random_seed(&g->random, g->options->seed);
	GM_TRY(gm_population_new(&g->random, arena, &population, err));
	g->population = population;
	GM_TRY(gm_store_open(directory, NULL, true, &g->store, err));
	enum gm_code code = write_objects(g, err);
	if (code == GM_EXISTS)
		return gm_error_hint(err, code, "this sample is there already: choose another directory, or remove this one");
	return code;
}

enum gm_code gm_generate(const char *directory, const struct gm_generate_options *options,
                         struct gm_generate_result *result, struct gm_error *err)
{
	struct gm_generate_result ignored;
	struct generator g = {.options = options, .result = result != NULL ? result : &ignored};
	struct gm_arena arena;
	*g.result = (struct gm_generate_result){0};
	GM_TRY(check_options(options, err));
	g.start_ms = options->start_us / 1000;
	g.span_ms = (int64_t)(options->hours * 3600000.0);
	g.objects = count_objects(options);
	gm_arena_init(&arena, 64 << 10);
	gm_buf_init(&g.gz, object_max_bytes);
	gm_buf_init(&g.raw, RAW_BYTES + carry_max_bytes + GM_RECORD_MAX_BYTES + 1);
	gm_buf_init(&g.near, GM_RECORD_MAX_BYTES + 1);
	gm_buf_init(&g.carry, carry_max_bytes);
	enum gm_code code = generate(&g, directory, &arena, err);
	gz_close(&g);
	gm_buf_release(&g.gz);
	gm_buf_release(&g.raw);
	gm_buf_release(&g.near);
	gm_buf_release(&g.carry);
	gm_store_close(g.store);
	gm_arena_release(&arena);
	return code;
}
