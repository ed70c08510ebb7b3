/* shape_by_hand.h - the shape of a table, as the tests of its entries in a catalog want it. */
#ifndef SHAPE_BY_HAND_H
#define SHAPE_BY_HAND_H

#include "catalog/merge.h"
#include "../must.h"

#include <string.h>

#define COLUMN(n, t, c)                                                           \
	{                                                                             \
		.name = (n), .spelt = (n), .hive_type = (t), .comment = (c), .ours = true \
	}
#define LOCATION "s3://lake/t/"

static const struct gm_projection years = {.type = GM_PROJECTION_ENUM, .values = "2024,2025", .count = 2};
static const struct gm_projection months = {.type = GM_PROJECTION_INTEGER, .range = "1,12", .digits = 2, .count = 12};
static const struct gm_projection days = {
    .type = GM_PROJECTION_DATE, .range = "2024-03-10,2024-04-01", .format = "yyyy-MM-dd", .count = 23};

static struct gm_shape_column columns[] = {COLUMN("id", "bigint", "a number"), COLUMN("s", "string", "")};
static struct gm_shape_column keys[] = {COLUMN("year", "string", "of the record"), COLUMN("month", "string", ""),
                                        COLUMN("day", "date", "")};
static const struct gm_partition_value march[] = {{"year", "2024"}, {"month", "03"}, {"day", NULL}};
static struct gm_shape_partition partitions[] = {{.path = "year=2024/month=03/day=__HIVE_DEFAULT_PARTITION__",
                                                  .values = march,
                                                  .files = 2,
                                                  .bytes = 300,
                                                  .rows = 7}};

/* Two columns, three partition columns, one partition. */
static inline struct gm_shape shape_by_hand(void)
{
	keys[0].projection = &years;
	keys[1].projection = &months;
	keys[2].projection = &days;
	return (struct gm_shape){.database = "d",
	                         .name = "t",
	                         .comment = "what a row is",
	                         .location = LOCATION,
	                         .columns = columns,
	                         .column_count = 2,
	                         .partition_columns = keys,
	                         .partition_column_count = 3,
	                         .partitions = partitions,
	                         .partition_count = 1,
	                         .files = 2,
	                         .bytes = 300,
	                         .rows = 7,
	                         .version = 4,
	                         .unprojectable = "",
	                         .note = ""};
}

static const struct gm_entry hive = {.kind = GM_ENTRY_HIVE, .name = "t", .projection = true, .rows = true};
static const struct gm_entry registered = {.kind = GM_ENTRY_HIVE, .name = "t", .rows = true};
static const struct gm_entry delta = {.kind = GM_ENTRY_DELTA, .name = "t", .rows = true};

#endif
