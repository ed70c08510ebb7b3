/* format.h - the numbers that Parquet's metadata uses (parquet.thrift of parquet-format). */
#ifndef GM_PARQUET_FORMAT_H
#define GM_PARQUET_FORMAT_H

enum gm_format_type {
	GM_FORMAT_BOOLEAN = 0,
	GM_FORMAT_INT32 = 1,
	GM_FORMAT_INT64 = 2,
	GM_FORMAT_DOUBLE = 5,
	GM_FORMAT_BYTE_ARRAY = 6,
};
enum gm_format_converted {
	GM_FORMAT_CONVERTED_UTF8 = 0,
	GM_FORMAT_CONVERTED_MAP = 1,
	GM_FORMAT_CONVERTED_LIST = 3,
	GM_FORMAT_CONVERTED_DATE = 6,
	GM_FORMAT_CONVERTED_TIMESTAMP_MICROS = 10,
};
/* Fields of the union LogicalType. */
enum gm_format_logical {
	GM_FORMAT_LOGICAL_STRING = 1,
	GM_FORMAT_LOGICAL_MAP = 2,
	GM_FORMAT_LOGICAL_LIST = 3,
	GM_FORMAT_LOGICAL_DATE = 6,
	GM_FORMAT_LOGICAL_TIMESTAMP = 8,
};
enum gm_format_encoding {
	GM_FORMAT_PLAIN = 0,
	GM_FORMAT_RLE = 3,
	GM_FORMAT_RLE_DICTIONARY = 8,
};
enum gm_format_codec {
	GM_FORMAT_UNCOMPRESSED = 0,
	GM_FORMAT_SNAPPY = 1,
	GM_FORMAT_ZSTD = 6,
};
enum gm_format_page {
	GM_FORMAT_DATA_PAGE = 0,
	GM_FORMAT_DICTIONARY_PAGE = 2,
};
enum gm_format_order {
	GM_FORMAT_UNORDERED = 0,
	GM_FORMAT_ASCENDING = 1,
	GM_FORMAT_DESCENDING = 2,
};

#endif
