/* entry.c - a table's entry in a Glue Data Catalog, as Athena, Trino's and Spark's readers of it understand it.
 *
 *                          hive                                     delta
 *   TableType              EXTERNAL_TABLE                           EXTERNAL_TABLE
 *   Description            the table's comment                      the same
 *   PartitionKeys          the partition columns                    none: the log knows them
 *   Columns                the columns                              the columns, then the partition columns
 *   Location               s3://bucket/prefix/                      the same
 *   formats, SerDe         Parquet's                                Parquet's, with path = Location, which Trino wants
 *   Parameters             EXTERNAL=TRUE, comment                   EXTERNAL=TRUE, comment
 *                          classification=parquet                   classification=delta, table_type=DELTA,
 *                          numFiles, numRows, totalSize             spark.sql.sources.provider=delta
 *                          projection.*, if partitions are computed
 *
 * The statistics are those that Hive keeps, and Spark and Trino read: of the table, and of each registered partition.
 * They are what the log says. (Statistics of columns are not written: Glue takes none without the number of distinct
 * values, which nobody has counted.) COLUMN_STATS_ACCURATE is not set, on which Hive would answer from them. A Delta
 * table's readers take all that from its log, so that entry has none and changes with the columns alone.
 *
 * Projection (Athena User Guide, "Set up partition projection") has, of each partition column, its type and values or
 * range, see shape.h. There is no storage.location.template: the folders are Hive's, name=value, which is what engines
 * take without one, and a template that is wrong shows no rows and no error. */
#include "catalog/entry.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char parquet_input[] = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
static const char parquet_output[] = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
static const char parquet_serde[] = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
static const char null_partition[] = "__HIVE_DEFAULT_PARTITION__";
enum { PARAMETER_BYTES_MAX = 512000, LOCATION_BYTES_MAX = 2056, NUMBER_BYTES = 24 };

/* --- Texts -------------------------------------------------------------------------------------------------------- */

/* A comment as Glue takes it: of at most so many bytes, cut where a character begins, with an ellipsis; without control
 * characters, but for line ends where these are allowed. */
static json_t *comment_text(const char *text, size_t most, bool lines)
{
	static const char ellipsis[] = "\xE2\x80\xA6";
	char buffer[GM_GLUE_DESCRIPTION_BYTES + 1];
	size_t n = strlen(text);
	bool cut = n > most;
	if (cut) n = most - strlen(ellipsis);
	while (cut && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
	memcpy(buffer, text, n);
	for (size_t i = 0; i < n; i++) {
		bool keep =
		    (unsigned char)buffer[i] >= ' ' || buffer[i] == '\t' || (lines && (buffer[i] == '\n' || buffer[i] == '\r'));
		if (!keep || buffer[i] == 0x7f) buffer[i] = ' ';
	}
	if (cut) memcpy(buffer + n, ellipsis, strlen(ellipsis));
	return json_stringn(buffer, n + (cut ? strlen(ellipsis) : 0));
}

static size_t without_slashes(const char *location)
{
	size_t n = strlen(location);
	while (n > 0 && location[n - 1] == '/') n--;
	return n;
}

/* Behind the scheme, where that is one of S3's: s3a and s3n are names that Hadoop's clients give to the same. */
static const char *behind_scheme(const char *location)
{
	static const char *const schemes[] = {"s3://", "s3a://", "s3n://"};
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (strncmp(location, schemes[i], strlen(schemes[i])) == 0) return location + strlen(schemes[i]);
	return location;
}

bool gm_entry_same_place(const char *a, const char *b)
{
	a = behind_scheme(a);
	b = behind_scheme(b);
	size_t n = without_slashes(a);
	return n == without_slashes(b) && memcmp(a, b, n) == 0;
}

bool gm_entry_is_inside(const char *location, const char *folder)
{
	location = behind_scheme(location);
	folder = behind_scheme(folder);
	size_t n = without_slashes(folder);
	return strncmp(location, folder, n) == 0 && (location[n] == '/' || location[n] == '\0');
}

static enum gm_code check_location(const char *location, struct gm_error *err)
{
	size_t n = strlen(location);
	bool fits = n <= LOCATION_BYTES_MAX && gm_utf8_valid_prefix((const uint8_t *)location, n) == n;
	for (size_t i = 0; i < n; i++) fits = fits && (unsigned char)location[i] >= ' ';
	if (fits) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "the table's location is no text that the catalog takes");
	return gm_error_object(err, GM_USAGE, location, n);
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static bool append_column(json_t *to, const struct gm_shape_column *column)
{
	json_t *json = json_pack("{s:s, s:s}", "Name", column->name, "Type", column->hive_type);
	bool done = json != NULL;
	if (column->comment[0] != '\0')
		done = json_object_set_new(json, "Comment", comment_text(column->comment, GM_GLUE_COMMENT_BYTES, false)) == 0;
	if (done) return json_array_append_new(to, json) == 0;
	json_decref(json);
	return false;
}

/* Appends them; NULL when memory is gone. */
static json_t *append_columns(json_t *array, const struct gm_shape_column *columns, size_t count)
{
	for (size_t i = 0; array != NULL && i < count; i++) {
		if (append_column(array, &columns[i])) continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

json_t *gm_entry_partition_columns(const json_t *columns)
{
	const json_t *column;
	size_t i;
	json_t *array = json_array();
	json_array_foreach(columns, i, column)
	{
		const char *type = json_string_value(json_object_get(column, "Type"));
		json_t *json =
		    json_pack("{s:O, s:s}", "Name", json_object_get(column, "Name"), "Type", type != NULL ? type : "");
		if (json_array_append_new(array, json) == 0) continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

/* --- Parameters --------------------------------------------------------------------------------------------------- */

static bool set_text(json_t *object, const char *name, const char *text)
{
	return json_object_set_new(object, name, json_string(text)) == 0;
}

static bool set_number(json_t *object, const char *name, uint64_t number)
{
	char text[NUMBER_BYTES];
	(void)snprintf(text, sizeof text, "%" PRIu64, number);
	return set_text(object, name, text);
}

/* rows: are they known? */
static bool set_statistics(json_t *parameters, uint64_t files, uint64_t bytes, bool known, uint64_t rows)
{
	return set_number(parameters, "numFiles", files) && set_number(parameters, "totalSize", bytes) &&
	       (!known || set_number(parameters, "numRows", rows));
}

static const char *projection_type(enum gm_projection_type type)
{
	return type == GM_PROJECTION_ENUM ? "enum" : type == GM_PROJECTION_DATE ? "date" : "integer";
}

static bool set_of_column(json_t *parameters, const char *column, const char *what, const char *value)
{
	char name[320];
	if (value == NULL) return true;
	int n = snprintf(name, sizeof name, "projection.%s.%s", column, what);
	return n > 0 && (size_t)n < sizeof name && set_text(parameters, name, value);
}

static bool set_column_projection(json_t *parameters, const struct gm_shape_column *column)
{
	const struct gm_projection *projection = column->projection;
	bool date = projection->type == GM_PROJECTION_DATE;
	char digits[NUMBER_BYTES];
	(void)snprintf(digits, sizeof digits, "%u", projection->digits);
	bool padded = projection->type == GM_PROJECTION_INTEGER && projection->digits > 0;
	return set_of_column(parameters, column->name, "type", projection_type(projection->type)) &&
	       set_of_column(parameters, column->name, "values",
	                     projection->type == GM_PROJECTION_ENUM ? projection->values : NULL) &&
	       set_of_column(parameters, column->name, "range",
	                     projection->type == GM_PROJECTION_ENUM ? NULL : projection->range) &&
	       set_of_column(parameters, column->name, "digits", padded ? digits : NULL) &&
	       set_of_column(parameters, column->name, "format", date ? projection->format : NULL) &&
	       set_of_column(parameters, column->name, "interval", date ? "1" : NULL) &&
	       set_of_column(parameters, column->name, "interval.unit", date ? "DAYS" : NULL);
}

static bool set_projection(json_t *parameters, const struct gm_shape *shape)
{
	bool done = set_text(parameters, "projection.enabled", "true");
	for (size_t i = 0; done && i < shape->partition_column_count; i++)
		done = set_column_projection(parameters, &shape->partition_columns[i]);
	return done;
}

static enum gm_code check_projection(const struct gm_shape *shape, struct gm_error *err)
{
	const char *why = shape->unprojectable;
	for (size_t i = 0; why[0] == '\0' && i < shape->partition_column_count; i++) {
		const struct gm_shape_column *column = &shape->partition_columns[i];
		bool listed = column->projection != NULL && column->projection->type == GM_PROJECTION_ENUM;
		if (column->projection == NULL)
			why = "a partition column has a type that is not computed";
		else if (listed && strlen(column->projection->values) > PARAMETER_BYTES_MAX)
			why = "a partition column has more values than a catalog's entry can list";
	}
	if (why[0] == '\0') return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "not every partition can be found by projection: %s", why);
	return gm_error_hint(err, GM_UNSUPPORTED, "catalog: {partitions: register} has each of them in the catalog");
}

/* Of a table without partitions there is nothing to compute, and an empty list of values is none to Athena. */
static bool has_projection(const struct gm_entry *entry, const struct gm_shape *shape)
{
	return entry->kind == GM_ENTRY_HIVE && entry->projection && shape->partition_count > 0 &&
	       shape->partition_column_count > 0;
}

static json_t *parameters_of(const struct gm_entry *entry, const struct gm_shape *shape)
{
	bool rows = entry->rows && shape->rows_unknown == 0, delta = entry->kind == GM_ENTRY_DELTA;
	json_t *parameters = json_pack("{s:s}", "EXTERNAL", "TRUE");
	bool done = parameters != NULL;
	if (done && shape->comment[0] != '\0')
		done = json_object_set_new(parameters, "comment",
		                           comment_text(shape->comment, GM_GLUE_DESCRIPTION_BYTES, false)) == 0;
	if (done && delta)
		done = set_text(parameters, "classification", "delta") && set_text(parameters, "table_type", "DELTA") &&
		       set_text(parameters, "spark.sql.sources.provider", "delta");
	if (done && !delta)
		done = set_text(parameters, "classification", "parquet") &&
		       set_statistics(parameters, shape->files, shape->bytes, rows, shape->rows);
	if (done && has_projection(entry, shape)) done = set_projection(parameters, shape);
	if (done) return parameters;
	json_decref(parameters);
	return NULL;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0) return true;
	return false;
}

/* A comment is not among them: one that somebody gave a table or a column for which the job has none stays. */
bool gm_entry_owns(const struct gm_entry *entry, const struct gm_shape *shape, const char *parameter)
{
	static const char *const always[] = {"EXTERNAL",
	                                     "classification",
	                                     "table_type",
	                                     "spark.sql.sources.provider",
	                                     "projection.enabled",
	                                     "storage.location.template",
	                                     NULL};
	static const char *const statistics[] = {"numFiles", "totalSize", NULL};
	if (is_one_of(parameter, always)) return true;
	if (entry->kind == GM_ENTRY_HIVE && is_one_of(parameter, statistics)) return true;
	if (entry->kind == GM_ENTRY_HIVE && strcmp(parameter, "numRows") == 0) return entry->rows;
	if (strncmp(parameter, "projection.", strlen("projection.")) != 0) return false;
	const char *column = parameter + strlen("projection.");
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		size_t n = strlen(shape->partition_columns[i].name);
		if (strncasecmp(column, shape->partition_columns[i].name, n) == 0 && column[n] == '.') return true;
	}
	return false;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static json_t *storage_of(const char *location, json_t *columns, bool with_path)
{
	json_t *parameters = json_pack("{s:s}", "serialization.format", "1");
	if (with_path && !set_text(parameters, "path", location)) {
		json_decref(parameters);
		parameters = NULL;
	}
	return json_pack("{s:o, s:s, s:s, s:s, s:b, s:i, s:b, s:{s:s, s:o}}", "Columns", columns, "Location", location,
	                 "InputFormat", parquet_input, "OutputFormat", parquet_output, "Compressed", 0, "NumberOfBuckets",
	                 -1, "StoredAsSubDirectories", 0, "SerdeInfo", "SerializationLibrary", parquet_serde, "Parameters",
	                 parameters);
}

enum gm_code gm_entry_table(const struct gm_entry *entry, const struct gm_shape *shape, json_t **input,
                            struct gm_error *err)
{
	bool delta = entry->kind == GM_ENTRY_DELTA;
	*input = NULL;
	GM_TRY(check_location(shape->location, err));
	if (has_projection(entry, shape)) GM_TRY(check_projection(shape, err));
	json_t *columns = append_columns(json_array(), shape->columns, shape->column_count);
	json_t *keys = json_array();
	if (delta)
		columns = append_columns(columns, shape->partition_columns, shape->partition_column_count);
	else
		keys = append_columns(keys, shape->partition_columns, shape->partition_column_count);
	json_t *made = json_pack("{s:s, s:s, s:o, s:o, s:o}", "Name", entry->name, "TableType", "EXTERNAL_TABLE",
	                         "PartitionKeys", keys, "StorageDescriptor", storage_of(shape->location, columns, delta),
	                         "Parameters", parameters_of(entry, shape));
	if (made != NULL && shape->comment[0] != '\0' &&
	    json_object_set_new(made, "Description", comment_text(shape->comment, GM_GLUE_DESCRIPTION_BYTES, true)) != 0) {
		json_decref(made);
		made = NULL;
	}
	if (made == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the table's entry in the catalog");
	*input = made;
	return GM_OK;
}

/* A partition's values as Hive spells them. */
static enum gm_code values_of(const struct gm_shape *shape, const struct gm_shape_partition *partition, json_t **out,
                              struct gm_error *err)
{
	json_t *values = json_array();
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		const char *text = partition->values[i].value != NULL ? partition->values[i].value : null_partition;
		size_t n = strlen(text);
		if (gm_utf8_valid_prefix((const uint8_t *)text, n) != n) {
			json_decref(values);
			(void)gm_error_set(err, GM_UNSUPPORTED, "a partition's value is not UTF-8, which the catalog cannot hold");
			return gm_error_object(err, GM_UNSUPPORTED, partition->path, strlen(partition->path));
		}
		if (json_array_append_new(values, json_stringn(text, n)) == 0) continue;
		json_decref(values);
		values = NULL;
	}
	*out = values;
	if (values == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a partition's entry in the catalog");
	return GM_OK;
}

enum gm_code gm_entry_partition(const struct gm_entry *entry, const struct gm_shape *shape,
                                const struct gm_shape_partition *partition, const json_t *columns, json_t **input,
                                struct gm_error *err)
{
	char location[LOCATION_BYTES_MAX + 1];
	json_t *values;
	int n = snprintf(location, sizeof location, "%s%s/", shape->location, partition->path);
	*input = NULL;
	if (n < 0 || (size_t)n >= sizeof location) {
		(void)gm_error_set(err, GM_UNSUPPORTED, "a partition's location is longer than the catalog takes");
		return gm_error_object(err, GM_UNSUPPORTED, partition->path, strlen(partition->path));
	}
	GM_TRY(check_location(location, err));
	GM_TRY(values_of(shape, partition, &values, err));
	json_t *parameters = json_object();
	bool rows = entry->rows && shape->rows_unknown == 0;
	bool done =
	    parameters != NULL && set_statistics(parameters, partition->files, partition->bytes, rows, partition->rows);
	json_t *storage = storage_of(location, json_incref((json_t *)columns), false);
	if (done)
		*input = json_pack("{s:o, s:o, s:O}", "Values", values, "StorageDescriptor", storage, "Parameters", parameters);
	else {
		json_decref(values);
		json_decref(storage);
	}
	json_decref(parameters);
	if (*input == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a partition's entry in the catalog");
	return GM_OK;
}
