/* load_keys.c - every key of a job file: the one table that drives parsing, defaults, checks and the help page.
 *
 * To add a key: a row here, a member in job.h, and, if it can change a row or a byte of the table, a line in
 * load_resolve.c. docs/job-files.md must name it; a test compares. */
#include "job/load.h"

#include "base/time.h"

#define IN_JOB(member)    .offset = offsetof(struct gm_job, member)
#define IN_COLUMN(member) .offset = offsetof(struct gm_column, member)
#define NOWHERE           .offset = (size_t)GM_KEY_NOWHERE

static const char *const no_words[] = {NULL};
static const char *const formats[] = {"json", NULL};
static const char *const later_formats[] = {"csv", "parquet", "avro", "orc", "xml", "text", NULL};
static const char *const layouts[] = {"hive", NULL};
static const char *const later_layouts[] = {"delta", "iceberg", NULL};
static const char *const scopes[] = {"partition", NULL};
static const char *const later_scopes[] = {"table", NULL};
static const char *const compressions[] = {"zstd", "snappy", "none", NULL}; /* as in struct gm_job */
static const char *const later_compressions[] = {"gzip", "lz4", "brotli", "lzo", NULL};
static const char *const encodings[] = {"standard", "compact", NULL}; /* as in struct gm_job */
static const char *const types[] = {"boolean", "int", "bigint", "double", "string", "date", "timestamp", NULL};
static const char *const later_types[] = {"array",     "struct",   "map",  "decimal", "float",
                                          "tinyint",   "smallint", "char", "varchar", "binary",
                                          "varbinary", "uuid",     "time", "json",    NULL};
static const char *const units[] = {"s", "ms", "us", "ns", NULL};                       /* enum gm_time_unit */
static const char *const changes[] = {"fail", "ignore", "reprocess", NULL};             /* enum gm_on_change */
static const char *const path_styles[] = {"auto", "true", "false", NULL};               /* enum gm_path_style */
static const char *const encryptions[] = {"bucket", "none", "AES256", "aws:kms", NULL}; /* enum gm_encryption */
static const char *const policies[] = {"null", "quarantine", "fail", NULL};             /* enum gm_on_error */
static const char *const catalogs[] = {"none", "glue", NULL};                           /* enum gm_catalog_type */
static const char *const later_catalogs[] = {"hive", "unity", "rest", NULL};
static const char *const catalog_formats[] = {"hive", "delta", "both", NULL}; /* enum gm_catalog_format */
static const char *const later_catalog_formats[] = {"iceberg", NULL};
static const char *const listings[] = {"projection", "register", NULL}; /* enum gm_catalog_partitions */
static const char *const later_listings[] = {"crawl", NULL};

/* How a location in S3 is reached: of source and table alike. */
/* clang-format off */ /* NOLINTBEGIN(bugprone-macro-parentheses): the name of a member takes none */
#define ACCESS_KEYS(section, place) \
    {section, "profile", GM_KEY_TEXT, IN_JOB(place.access.profile), \
     .help = "S3: the profile of ~/.aws/config and ~/.aws/credentials. Without it: as for every AWS tool."}, \
    {section, "region", GM_KEY_TEXT, IN_JOB(place.access.region), \
     .help = "S3: the bucket's region. Without it: what environment and profile say, or the bucket itself."}, \
    {section, "endpoint", GM_KEY_TEXT, IN_JOB(place.access.endpoint), \
     .help = "S3: the URL of another service that speaks its protocol, such as https://minio.example.com:9000."}, \
    {section, "path_style", GM_KEY_WORD, .fallback = "auto", .words = path_styles, .later = no_words, \
     IN_JOB(place.access.path_style), \
     .help = "S3: the bucket in the path of URLs, not in the host name. auto: where an endpoint is given."}, \
    {section, "ca_file", GM_KEY_TEXT, IN_JOB(place.access.ca_file), \
     .help = "S3: a PEM file of the certificates to trust, in place of the system's."}, \
    {section, "timeout", GM_KEY_DURATION, .min = GM_US_PER_SECOND, .max = GM_US_PER_HOUR, \
     IN_JOB(place.access.timeout_us), .help = "S3: a transfer that stands still for so long is begun again."}
/* How a service of AWS is reached. */
#define SERVICE_KEYS(section, place) \
    {section, "profile", GM_KEY_TEXT, IN_JOB(place.access.profile), \
     .help = "The profile of ~/.aws/config and ~/.aws/credentials. Without it: as for every AWS tool."}, \
    {section, "region", GM_KEY_TEXT, IN_JOB(place.access.region), \
     .help = "The service's region. Without it: what environment and profile say."}, \
    {section, "endpoint", GM_KEY_TEXT, IN_JOB(place.access.endpoint), \
     .help = "The URL of another service that speaks the same protocol, such as http://127.0.0.1:4566."}, \
    {section, "ca_file", GM_KEY_TEXT, IN_JOB(place.access.ca_file), \
     .help = "A PEM file of the certificates to trust, in place of the system's."}, \
    {section, "timeout", GM_KEY_DURATION, .min = GM_US_PER_SECOND, .max = GM_US_PER_HOUR, \
     IN_JOB(place.access.timeout_us), .help = "A request whose answer stands still for so long is made again."}
/* NOLINTEND(bugprone-macro-parentheses) */ /* clang-format on */

const struct gm_key gm_keys[] = {
    {GM_SECTION_JOB, "version", GM_KEY_INTEGER, .fallback = "1", .min = 1, .max = 1, NOWHERE,
     .help = "Version of the job file's format."},
    {GM_SECTION_JOB, "job", GM_KEY_ID, .required = true, IN_JOB(name),
     .help = "Name of the job: ASCII letters, digits, '.', '_', '-'."},
    {GM_SECTION_JOB, "id", GM_KEY_ID, IN_JOB(id),
     .help = "Identity of the job in the table's state; give it when you rename a job. Without it: the name."},
    {GM_SECTION_JOB, "source", GM_KEY_SECTION, GM_SECTION_SOURCE, .required = true, .help = "Where the raw data lies."},
    {GM_SECTION_JOB, "table", GM_KEY_SECTION, GM_SECTION_TABLE, .required = true,
     .help = "What is written, and where."},
    {GM_SECTION_JOB, "where", GM_KEY_EXPR, IN_JOB(where), .place_offset = offsetof(struct gm_job, where_place),
     .help = "Rows for which this expression is false or null are left out, and counted as filtered."},
    {GM_SECTION_JOB, "columns", GM_KEY_LIST, GM_SECTION_COLUMN, .required = true, .min = 1, .max = GM_LOAD_COLUMNS_MAX,
     IN_JOB(columns), .help = "The table's columns, in order."},
    {GM_SECTION_JOB, "catalog", GM_KEY_SECTION, GM_SECTION_CATALOG,
     .help = "The catalog that describes the table to those who query it."},
    {GM_SECTION_JOB, "watch", GM_KEY_SECTION, GM_SECTION_WATCH,
     .help = "What 'gristmill watch' waits for, and how it is looked after. Flags of the command go before it."},

    {GM_SECTION_SOURCE, "location", GM_KEY_TEXT, .required = true, IN_JOB(source.location),
     .help = "A directory or s3://bucket/prefix/. --source overrides it."},
    {GM_SECTION_SOURCE, "format", GM_KEY_WORD, .fallback = "json", .words = formats, .later = later_formats, NOWHERE,
     .help = "What the objects hold: JSON documents, one a line or in any other arrangement."},
    {GM_SECTION_SOURCE, "max_record", GM_KEY_SIZE, .fallback = "32MiB", .min = 1 << 10, .max = INT64_C(1) << 30,
     IN_JOB(source.max_record_bytes), .help = "Records with more bytes than this go to quarantine."},
    {GM_SECTION_SOURCE, "on_change", GM_KEY_WORD, .fallback = "fail", .words = changes, .later = no_words,
     IN_JOB(source.on_change),
     .help = "When an object has changed since it was processed: stop, leave it alone, or process it again."},
    {GM_SECTION_SOURCE, "lookback", GM_KEY_DURATION, .min = GM_US_PER_HOUR, .max = 3650 * GM_US_PER_DAY,
     IN_JOB(source.lookback_us),
     .help =
         "List only folders (2024/03/10/22/) that are at most so much older than the newest object processed, and all "
         "once a day. Without it: all, each time."},
    {GM_SECTION_SOURCE, "plan_objects", GM_KEY_INTEGER, .fallback = "5000", .min = 1, .max = 100000,
     IN_JOB(source.plan_objects), .help = "Objects that one run takes at most; more runs follow until nothing is new."},
    {GM_SECTION_SOURCE, "plan_bytes", GM_KEY_SIZE, .fallback = "16GiB", .min = 1 << 20, .max = INT64_C(16) << 40,
     IN_JOB(source.plan_bytes), .help = "A run takes no further objects when those it has come to this, inflated."},
    ACCESS_KEYS(GM_SECTION_SOURCE, source),
    {GM_SECTION_SOURCE, "requester_pays", GM_KEY_BOOLEAN, .fallback = "false", IN_JOB(source.access.requester_pays),
     .help = "S3: agree to pay for requests and transfers from a bucket that wants it."},
    {GM_SECTION_SOURCE, "version_ids", GM_KEY_BOOLEAN, .fallback = "false", IN_JOB(source.access.version_ids),
     .help = "S3: of a versioned bucket read an object to its end in the version that was begun."},

    {GM_SECTION_TABLE, "location", GM_KEY_TEXT, .required = true, IN_JOB(table.location),
     .help = "A directory or s3://bucket/prefix/. --table overrides it."},
    {GM_SECTION_TABLE, "database", GM_KEY_ID, IN_JOB(table.database), .help = "The database, for the catalog."},
    {GM_SECTION_TABLE, "name", GM_KEY_ID, IN_JOB(table.name), .help = "The table's name, for the catalog."},
    {GM_SECTION_TABLE, "comment", GM_KEY_TEXT, IN_JOB(table.comment), .help = "What a row is, for the catalog."},
    {GM_SECTION_TABLE, "partition_by", GM_KEY_LIST, GM_SECTION_PARTITION, .max = GM_LOAD_PARTITIONS_MAX,
     IN_JOB(table.partitions),
     .help = "Partition columns, outermost first: each row lies in the folder of its values. None: one folder."},
    {GM_SECTION_TABLE, "unique_by", GM_KEY_NAMES, NOWHERE,
     .help = "A list of columns. Of rows with the same values in them only the first is kept."},
    {GM_SECTION_TABLE, "unique_within", GM_KEY_WORD, .fallback = "partition", .words = scopes, .later = later_scopes,
     NOWHERE, .help = "Where rows are compared: equal keys in two partitions are two rows."},
    {GM_SECTION_TABLE, "compression", GM_KEY_WORD, .fallback = "zstd", .words = compressions,
     .later = later_compressions, IN_JOB(table.compression), .help = "Compression of the Parquet pages."},
    {GM_SECTION_TABLE, "compression_level", GM_KEY_INTEGER, .fallback = "1", .min = 1, .max = 22,
     IN_JOB(table.compression_level), .help = "Level of zstd; the other kinds have none."},
    {GM_SECTION_TABLE, "encoding", GM_KEY_WORD, .fallback = "standard", .words = encodings, .later = no_words,
     IN_JOB(table.encoding),
     .help =
         "Encoding of the Parquet pages. standard: what every reader knows; compact: smaller, with delta encodings."},
    {GM_SECTION_TABLE, "file_size", GM_KEY_SIZE, .fallback = "128MiB", .min = 4 << 10, .max = INT64_C(16) << 30,
     IN_JOB(table.file_bytes), .help = "Size that data files aim at."},
    {GM_SECTION_TABLE, "layout", GM_KEY_WORD, .fallback = "hive", .words = layouts, .later = later_layouts, NOWHERE,
     .help = "Folders named year=2024/month=03; partition columns are in the path alone."},
    ACCESS_KEYS(GM_SECTION_TABLE, table),
    {GM_SECTION_TABLE, "encryption", GM_KEY_WORD, .fallback = "bucket", .words = encryptions, .later = no_words,
     IN_JOB(table.access.encryption),
     .help =
         "S3: how the service encrypts what is written. bucket: as the bucket is set up; none: nothing is asked for."},
    {GM_SECTION_TABLE, "kms_key", GM_KEY_TEXT, IN_JOB(table.access.kms_key),
     .help = "S3: the key for encryption: aws:kms, as an id, an alias or an ARN."},
    {GM_SECTION_TABLE, "single_writer", GM_KEY_BOOLEAN, .fallback = "false", IN_JOB(table.access.single_writer),
     .help =
         "S3: you vouch that one gristmill at a time writes to the table; then a service without conditional writes "
         "will do."},

    {GM_SECTION_PARTITION, "name", GM_KEY_NAME, .required = true, IN_COLUMN(name), .help = "Name of the column."},
    {GM_SECTION_PARTITION, "type", GM_KEY_WORD, .required = true, .words = types, .later = later_types, IN_COLUMN(type),
     .help = "Of these types only string, int, bigint and date."},
    {GM_SECTION_PARTITION, "expr", GM_KEY_EXPR, .required = true, IN_COLUMN(expr),
     .place_offset = offsetof(struct gm_column, expr_place), .help = "Its value, computed from the columns."},
    {GM_SECTION_PARTITION, "comment", GM_KEY_TEXT, IN_COLUMN(comment), .help = "What it holds, for the catalog."},

    {GM_SECTION_COLUMN, "name", GM_KEY_NAME, .required = true, IN_COLUMN(name),
     .help = "Name of the column; best lower-case letters, digits and underscores."},
    {GM_SECTION_COLUMN, "type", GM_KEY_WORD, .required = true, .words = types, .later = later_types, IN_COLUMN(type),
     .help = "Type of the column."},
    {GM_SECTION_COLUMN, "from", GM_KEY_PATH, IN_COLUMN(from),
     .help =
         "Where the value is in the document: payload.sessionId, or [payload, \"a.b\"] for keys with odd characters."},
    {GM_SECTION_COLUMN, "expr", GM_KEY_EXPR, IN_COLUMN(expr), .place_offset = offsetof(struct gm_column, expr_place),
     .help = "The value as an expression over the columns. With from, the column's own name is the value read."},
    {GM_SECTION_COLUMN, "unit", GM_KEY_WORD, .fallback = "ms", .words = units, .later = no_words, IN_COLUMN(unit),
     .help = "What a number since 1970 counts that is read into a timestamp."},
    {GM_SECTION_COLUMN, "required", GM_KEY_BOOLEAN, .fallback = "false", IN_COLUMN(required),
     .help = "A record without this value goes to quarantine."},
    {GM_SECTION_COLUMN, "not_after", GM_KEY_DURATION, .min = GM_US_PER_SECOND, .max = 36500 * GM_US_PER_DAY,
     IN_COLUMN(not_after_us),
     .help = "A record whose timestamp lies further than this beyond the time of the run goes to quarantine, such as "
             "2d: one "
             "bad clock must not make partitions of years to come."},
    {GM_SECTION_COLUMN, "default", GM_KEY_VALUE, IN_COLUMN(fallback),
     .help = "The value in place of null; dates as 2024-03-10, timestamps as 2024-03-10T12:00:00Z."},
    {GM_SECTION_COLUMN, "on_error", GM_KEY_WORD, .fallback = "null", .words = policies, .later = no_words,
     IN_COLUMN(on_error),
     .help = "When a value does not fit the type: make it null and count it, quarantine the record, or fail the run."},
    {GM_SECTION_COLUMN, "comment", GM_KEY_TEXT, IN_COLUMN(comment), .help = "What it holds, for the catalog."},

    {GM_SECTION_CATALOG, "type", GM_KEY_WORD, .required = true, .words = catalogs, .later = later_catalogs,
     IN_JOB(catalog.type),
     .help = "Which catalog. glue: AWS's, of Athena; the table needs a database and a name then."},
    {GM_SECTION_CATALOG, "format", GM_KEY_WORD, .fallback = "hive", .words = catalog_formats,
     .later = later_catalog_formats, IN_JOB(catalog.format),
     .help = "How the catalog describes the table: as Parquet files in Hive's folders, as a Delta table, or both."},
    {GM_SECTION_CATALOG, "partitions", GM_KEY_WORD, .fallback = "projection", .words = listings,
     .later = later_listings, IN_JOB(catalog.partitions),
     .help = "How readers find partitions. projection: computed, from ranges in the table's entry; register: each is "
             "registered."},
    {GM_SECTION_CATALOG, "delta_name", GM_KEY_ID, IN_JOB(catalog.delta_name),
     .help = "With format: both, the name of the Delta table's entry. Without it: the table's name and _delta."},
    {GM_SECTION_CATALOG, "catalog_id", GM_KEY_TEXT, IN_JOB(catalog.id),
     .help = "The AWS account whose catalog it is. Without it: the account of the credentials."},
    SERVICE_KEYS(GM_SECTION_CATALOG, catalog),

    {GM_SECTION_WATCH, "queue", GM_KEY_TEXT, IN_JOB(watch.queue),
     .help = "The URL of the SQS queue to which S3 tells of new objects."},
    {GM_SECTION_WATCH, "every", GM_KEY_DURATION, .min = GM_US_PER_SECOND, .max = 365 * GM_US_PER_DAY,
     IN_JOB(watch.every_us), .help = "Run that often, whatever is told. Without it: 1h; with a queue, 6h."},
    {GM_SECTION_WATCH, "batch_objects", GM_KEY_INTEGER, .fallback = "1000", .min = 1, .max = 100000,
     IN_JOB(watch.batch_objects), .help = "A run begins when so many new objects have been told of,"},
    {GM_SECTION_WATCH, "batch_bytes", GM_KEY_SIZE, .fallback = "1GiB", .min = 1, .max = INT64_C(16) << 40,
     IN_JOB(watch.batch_bytes), .help = "or objects of so many bytes together,"},
    {GM_SECTION_WATCH, "batch_age", GM_KEY_DURATION, .fallback = "60s", .min = GM_US_PER_SECOND, .max = GM_US_PER_DAY,
     IN_JOB(watch.batch_age_us), .help = "or when the first of them was told of so long ago."},
    {GM_SECTION_WATCH, "metrics", GM_KEY_TEXT, IN_JOB(watch.metrics),
     .help = "Where metrics and health are served: HOST:PORT, or off. Without it: 127.0.0.1:9847."},
    {GM_SECTION_WATCH, "on_failure", GM_KEY_TEXT, IN_JOB(watch.on_failure),
     .help = "A command for the shell when a run has failed; of 'run' too. It finds what happened in GRISTMILL_*."},
    SERVICE_KEYS(GM_SECTION_WATCH, watch),
};
const size_t gm_key_count = sizeof gm_keys / sizeof gm_keys[0];
_Static_assert(sizeof gm_keys / sizeof gm_keys[0] <= GM_KEYS_MAX, "struct gm_seen has room for every key");

const char *gm_section_name(enum gm_key_section section)
{
	static const char *const names[GM_SECTION_COUNT] = {
	    [GM_SECTION_JOB] = "",
	    [GM_SECTION_SOURCE] = "source",
	    [GM_SECTION_TABLE] = "table",
	    [GM_SECTION_PARTITION] = "table.partition_by[]",
	    [GM_SECTION_COLUMN] = "columns[]",
	    [GM_SECTION_CATALOG] = "catalog",
	    [GM_SECTION_WATCH] = "watch",
	};
	return names[section];
}
