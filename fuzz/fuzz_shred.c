/* fuzz_shred.c - any bytes as an object of JSON: the books add up, every span is where it is said to be, nothing
 * depends on the window or on how the bytes are handed over, and rows, rejects and books are those of the plain
 * reference reader, at every level of processor that this one has. */
#include "../tests/unit/shred/harness.c"
#include "../tests/unit/shred/reference.c"
#include "base/cpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wanted fuzz_wanted[] = {
    {"a", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"b", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL},
    {"p/a", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"p/t", GM_TYPE_TIMESTAMP, GM_UNIT_MS, false, GM_ON_ERROR_NULL},
    {"p/q/x", GM_TYPE_DOUBLE, 0, false, GM_ON_ERROR_NULL},
    {"p/q", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"p/b", GM_TYPE_BOOLEAN, 0, false, GM_ON_ERROR_NULL},
    {"d", GM_TYPE_DATE, 0, false, GM_ON_ERROR_QUARANTINE},
    {"i", GM_TYPE_INT, 0, false, GM_ON_ERROR_NULL},
    {"n", GM_TYPE_TIMESTAMP, GM_UNIT_NS, false, GM_ON_ERROR_NULL},
    {"r", GM_TYPE_BIGINT, 0, true, GM_ON_ERROR_NULL},
};

struct audit {
	struct object object; /* first, as in harness.c */
	uint64_t rejects, bytes;
};

static enum gm_code audit_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                 bool last, struct gm_error *err)
{
	(void)data, (void)err;
	struct audit *audit = context;
	audit->rejects += last;
	audit->bytes += bytes;
	if (reject->damage_offset < reject->offset) abort();
	return GM_OK;
}

/* The books of any object, compressed and damaged ones as well, or of any span cut out of one. */
static void check_books(const struct leaves *leaves, const struct gm_shred_options *options, bool cut,
                        const uint8_t *data, size_t n)
{
	static const struct gm_excerpt excerpt = {.record = 3, .offset = 1000};
	struct audit audit = {{data, n, 0, 100}, 0, 0};
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredder;
	struct gm_error err;
	uint64_t rows = 0;
	if (pool == NULL || gm_shredder_new(leaves->leaf, leaves->count, options, pool, &shredder, &err) != GM_OK) abort();
	if (cut)
		gm_shredder_begin_excerpt(shredder, &excerpt, object_source, audit_reject, &audit);
	else
		gm_shredder_begin(shredder, object_source, audit_reject, &audit);
	for (;;) {
		struct gm_chunk *chunk;
		if (gm_shredder_next(shredder, 1, &chunk, &err) != GM_OK) abort();
		if (chunk == NULL) break;
		rows += chunk->rows;
		gm_chunk_unref(chunk);
	}
	const struct gm_shred_books *books = gm_shredder_books(shredder);
	if (books->read != rows + books->quarantined || books->quarantined != audit.rejects ||
	    books->quarantined_bytes != audit.bytes ||
	    books->bytes_raw != books->record_bytes + books->separator_bytes + books->quarantined_bytes)
		abort();
	if (cut && (books->bytes_raw != n || books->bytes_in != n)) abort();
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
}

/* The reference calls itself for brackets, and writes numbers out. */
static bool fit_for_reference(const uint8_t *data, size_t n)
{
	size_t brackets = 0, digits = 0, most = 0;
	for (size_t i = 0; i < n; i++) {
		brackets += data[i] == '{' || data[i] == '[';
		digits = (data[i] >= '0' && data[i] <= '9') || data[i] == '.' ? digits + 1 : 0;
		if (digits > most) most = digits;
	}
	bool plain = n < 2 || ((data[0] != 0x1F || data[1] != 0x8B) && data[0] != 0x28 && (data[0] & 0xF0) != 0x50);
	return plain && brackets < 2000 && most < 4000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t windows[] = {16, 33, 200, 65536}, limits[] = {10, 50, 1000, 1 << 20},
	                    steps[] = {1, 5, 64, SIZE_MAX};
	static struct leaves leaves;
	if (size < 1) return 0;
	uint8_t choice = *data++;
	size--;
	leaves_init(&leaves, fuzz_wanted, sizeof fuzz_wanted / sizeof *fuzz_wanted);
	struct gm_shred_options options = {
	    .max_record_bytes = limits[choice >> 2 & 3], .window_bytes = windows[choice & 3], .dict_bytes_max = 1 << 20};
	check_books(&leaves, &options, false, data, size);
	check_books(&leaves, &options, true, data, size);
	if (!fit_for_reference(data, size)) return 0;
	struct text got = {0}, expected = {0};
	reference_read(&leaves, options.max_record_bytes, data, size, &expected);
	for (enum gm_cpu_level level = 0; level < GM_CPU_COUNT; level++) {
		if (!gm_cpu_supports(level)) continue;
		gm_cpu_force(level);
		shred_with(&leaves, &options, data, size, steps[choice >> 4 & 3], &got);
		if (strcmp(got.data, expected.data) == 0) continue;
		(void)fprintf(stderr, "reference:\n%s\nshredder, %s:\n%s\n", expected.data, gm_cpu(), got.data);
		abort();
	}
	free(got.data);
	free(expected.data);
	return 0;
}
