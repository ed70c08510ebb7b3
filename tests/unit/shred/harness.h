/* harness.h - what the tests of the shredder share: objects in memory, and all that came of one as text, so that two
 * readings of it can be compared with one strcmp. */
#ifndef TEST_SHRED_HARNESS_H
#define TEST_SHRED_HARNESS_H

#include "shred/shred.h"

/* An object that a source gives in pieces of at most `step` bytes. */
struct object {
	const uint8_t *bytes;
	size_t n, pos, step;
};
enum gm_code object_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err);

/* Growing text. */
struct text {
	char *data;
	size_t n, cap;
};
void text_clear(struct text *text);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes as they are, but for control characters, backslashes, '|' and what is not ASCII: those as \xx. */
void text_bytes(struct text *text, const uint8_t *bytes, size_t n);
void text_row(struct text *text, uint64_t record, uint64_t offset, uint64_t length, uint64_t weight);
void text_reject(struct text *text, const struct gm_reject *reject);
void text_books(struct text *text, const struct gm_shred_books *books);

/* The paths of a leaf as "payload/a/b"; name and path are the same. */
struct wanted {
	const char *path;
	enum gm_type type;
	enum gm_time_unit unit;
	bool required;
	enum gm_on_error on_error;
};
struct leaves {
	struct gm_shred_leaf leaf[64];
	size_t count;
	char memory[8192];
	const char *parts[64][16];
	size_t part_bytes[64][16];
};
void leaves_init(struct leaves *leaves, const struct wanted *wanted, size_t count);

/* Reads the whole object with this shredder: rows, then rejects, then books. An error is a line "error CODE message".
 */
void shred_object(struct gm_shredder *shredder, const struct leaves *leaves, const void *bytes, size_t n, size_t step,
                  struct text *out);
/* A shredder of its own for it. */
void shred_with(const struct leaves *leaves, const struct gm_shred_options *options, const void *bytes, size_t n,
                size_t step, struct text *out);

/* reference.c: the same text by a slow and plain reading of the inflated bytes. */
void reference_read(const struct leaves *leaves, size_t max_record_bytes, const uint8_t *bytes, size_t n,
                    struct text *out);

#endif
