/* nested.h - random nested rows: lists, structs, a map, a list of lists. */
#ifndef GM_TEST_PARQUET_NESTED_H
#define GM_TEST_PARQUET_NESTED_H

#include "model.h"

/* Writes a file of random rows and prints them as JSON: lists and structs as they are, a map as a list of pairs. */
enum gm_code nested_write(uint64_t rows, uint32_t page_rows, uint64_t seed, gm_sink_fn *sink, void *context, FILE *json,
                          struct gm_error *err);

#endif
