/* read_stats.c - what the statistics of a column chunk say, in the form of the leaf's type.
 *
 * min_value and max_value count where their order is known: column_orders tells it, and for signed numbers there is
 * only one. The deprecated min and max were compared as signed whatever the type, so they count for signed numbers
 * alone. A bound that is NaN or of a wrong size, or a minimum above its maximum, makes the bounds unknown. */
#include "parquet/read.h"
#include "parquet/stats.h"

#include <math.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };

void gm_read_stats(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct gm_read_stats *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->old_max = gm_thrift_get_binary(in, &member); break;
		case 2: out->old_min = gm_thrift_get_binary(in, &member); break;
		case 3:
			out->nulls = gm_thrift_get_i64(in, &member);
			out->has_nulls = true;
			break;
		case 5: out->max = gm_thrift_get_binary(in, &member); break;
		case 6: out->min = gm_thrift_get_binary(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

static bool is_signed_number(enum gm_read_kind kind)
{
	switch (kind) {
	case GM_READ_INT32:
	case GM_READ_INT64:
	case GM_READ_MILLIS:
	case GM_READ_NANOS:
	case GM_READ_FLOAT:
	case GM_READ_DOUBLE: return true;
	default: return false;
	}
}

static bool order_is_known(enum gm_read_kind kind, int order)
{
	if (order == GM_FORMAT_IEEE_754_ORDER) return kind == GM_READ_FLOAT || kind == GM_READ_DOUBLE;
	if (order == 0) return is_signed_number(kind);
	return order == GM_FORMAT_TYPE_ORDER && kind != GM_READ_INT96 && kind != GM_READ_REFUSED;
}

/* The stored bound as a number of the leaf's type, or the bits of a double. */
static bool number_of(enum gm_read_kind kind, struct gm_bytes bytes, int64_t *out)
{
	int32_t narrow = 0;
	double real = 0;
	float single = 0;
	*out = 0;
	switch (kind) {
	case GM_READ_BOOLEAN:
		if (bytes.len != 1 || bytes.data[0] > 1) return false;
		*out = bytes.data[0];
		return true;
	case GM_READ_INT32:
	case GM_READ_UINT32:
		if (bytes.len != sizeof narrow) return false;
		memcpy(&narrow, bytes.data, sizeof narrow);
		*out = narrow;
		break;
	case GM_READ_FLOAT:
		if (bytes.len != sizeof single) return false;
		memcpy(&single, bytes.data, sizeof single);
		real = (double)single;
		memcpy(out, &real, sizeof real);
		return !isnan(real);
	case GM_READ_DOUBLE:
		if (bytes.len != sizeof real) return false;
		memcpy(&real, bytes.data, sizeof real);
		memcpy(out, &real, sizeof real);
		return !isnan(real);
	default:
		if (bytes.len != sizeof *out) return false;
		memcpy(out, bytes.data, sizeof *out);
	}
	return gm_read_convert(kind, out, 1, NULL) == GM_OK;
}

/* Zeros compare equal, and a writer may have told either of them. */
static void widen_zeros(int64_t *min, int64_t *max)
{
	if (gm_double_of_bits(*min) == 0) *min = INT64_MIN;
	if (gm_double_of_bits(*max) == 0) *max = 0;
}

static enum gm_code set_numbers(struct gm_parquet_reader *reader, size_t leaf, struct gm_bytes min, struct gm_bytes max,
                                struct gm_parquet_chunk_info *chunk, struct gm_error *err)
{
	enum gm_type type = reader->info.leaves[leaf].type;
	struct gm_bound low = {0}, high = {0};
	uint8_t *kept;
	if (!number_of(reader->kinds[leaf], min, &low.number) || !number_of(reader->kinds[leaf], max, &high.number))
		return GM_OK;
	if (type == GM_TYPE_DOUBLE) widen_zeros(&low.number, &high.number);
	if (gm_bound_compare(type, &low, &high) > 0) return GM_OK;
	GM_TRY(gm_read_alloc(reader, 2, NUMBER_BYTES, &kept, err));
	memcpy(kept, &low.number, NUMBER_BYTES);
	memcpy(kept + NUMBER_BYTES, &high.number, NUMBER_BYTES);
	chunk->has_bounds = true;
	chunk->min = kept;
	chunk->max = kept + NUMBER_BYTES;
	chunk->min_bytes = chunk->max_bytes = (uint32_t)gm_plain_size(type);
	return GM_OK;
}

static void set_strings(struct gm_bytes min, struct gm_bytes max, struct gm_parquet_chunk_info *chunk)
{
	if (gm_written_compare(GM_TYPE_STRING, min.data, min.len, max.data, max.len) > 0) return;
	chunk->has_bounds = true;
	chunk->min = min.data;
	chunk->max = max.data;
	chunk->min_bytes = min.len;
	chunk->max_bytes = max.len;
}

enum gm_code gm_read_bounds(struct gm_parquet_reader *reader, size_t leaf, const struct gm_read_stats *stats, int order,
                            struct gm_parquet_chunk_info *chunk, struct gm_error *err)
{
	enum gm_read_kind kind = reader->kinds[leaf];
	struct gm_bytes min = stats->min, max = stats->max;
	chunk->has_nulls = stats->has_nulls && stats->nulls >= 0 && (uint64_t)stats->nulls <= chunk->values;
	chunk->nulls = chunk->has_nulls ? (uint64_t)stats->nulls : 0;
	if (min.data == NULL || max.data == NULL || !order_is_known(kind, order)) {
		if (!is_signed_number(kind)) return GM_OK;
		min = stats->old_min;
		max = stats->old_max;
		if (min.data == NULL || max.data == NULL) return GM_OK;
	}
	if (kind != GM_READ_STRING) return set_numbers(reader, leaf, min, max, chunk, err);
	set_strings(min, max, chunk);
	return GM_OK;
}
