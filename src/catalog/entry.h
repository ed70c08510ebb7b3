/* entry.h - what the catalog should say of a table, as Glue's TableInput and PartitionInput. entry.c describes the
 * entries. */
#ifndef GM_CATALOG_ENTRY_H
#define GM_CATALOG_ENTRY_H

#include "catalog/glue.h"
#include "catalog/shape.h"

enum gm_entry_kind { GM_ENTRY_HIVE, GM_ENTRY_DELTA };
struct gm_entry {
	enum gm_entry_kind kind;
	const char *name;
	bool projection; /* of a hive entry: partitions are computed, not registered */
	bool rows;       /* the shape has them counted */
};

/* The TableInput of an entry as one makes it where there is none. UNSUPPORTED: partitions are to be computed, and cannot
 * be. USAGE: the location is no text that a catalog can hold. json_decref it. */
enum gm_code gm_entry_table(const struct gm_entry *entry, const struct gm_shape *shape, json_t **input,
                            struct gm_error *err) GM_CHECK;
/* The PartitionInput of a folder, with the columns that partitions of the table have. UNSUPPORTED: a value is no UTF-8,
 * or the location is too long. */
enum gm_code gm_entry_partition(const struct gm_entry *entry, const struct gm_shape *shape,
                                const struct gm_shape_partition *partition, const json_t *columns, json_t **input,
                                struct gm_error *err) GM_CHECK;
/* The columns of a table's entry as partitions carry them: names and types. NULL when memory is gone. */
json_t *gm_entry_partition_columns(const json_t *columns);

/* Is a parameter of a table's entry ours, to be removed where it no longer applies? All others are left as they are. */
bool gm_entry_owns(const struct gm_entry *entry, const struct gm_shape *shape, const char *parameter);
/* Do two locations mean the same folder? Slashes at the end say nothing. */
bool gm_entry_same_place(const char *a, const char *b);
/* Does `location` lie in the folder, or is it the folder? */
bool gm_entry_is_inside(const char *location, const char *folder);

#endif
