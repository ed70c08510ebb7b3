/* glue_partitions.c - the partitions that are registered with a table, in pages and batches. */
#include "catalog/glue_call.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 500,              /* partitions asked for at once: an answer has some KB for each */
	PARTITIONS_MAX = 200000, /* of a table that are listed */
	/* A page may be empty though more follow; so many in a row are no answer. */
	EMPTY_PAGES_MAX = 100,
};

/* --- Listing ------------------------------------------------------------------------------------------------------ */

struct listing {
	size_t values;
	gm_glue_partition_fn *each;
	void *context;
	uint64_t count;
	unsigned empty; /* pages in a row */
};

static enum gm_code take_page(struct listing *listing, const json_t *answer, struct gm_error *err)
{
	const json_t *page = json_object_get(answer, "Partitions");
	json_t *partition;
	size_t i;
	if (page != NULL && !json_is_null(page) && !json_is_array(page))
		GM_FAIL(err, GM_CORRUPT, "the catalog's answer makes no sense: Partitions is no array");
	listing->empty = json_array_size(page) == 0 ? listing->empty + 1 : 0;
	listing->count += json_array_size(page);
	if (listing->count > PARTITIONS_MAX) {
		(void)gm_error_set(err, GM_UNSUPPORTED, "more than %d partitions are registered with the table",
		                   PARTITIONS_MAX);
		return gm_error_hint(err, GM_UNSUPPORTED, "catalog: {partitions: projection} needs none");
	}
	json_array_foreach(page, i, partition)
	{
		GM_TRY(gm_glue_check_partition(partition, listing->values, err));
		GM_TRY(listing->each(listing->context, partition, err));
	}
	return GM_OK;
}

/* *token is freed and replaced; NULL: that was the last page. */
static enum gm_code next_token(const struct listing *listing, const json_t *answer, char **token, struct gm_error *err)
{
	const json_t *next = json_object_get(answer, "NextToken");
	const char *text = json_string_value(next);
	bool fits = next == NULL || json_is_null(next) || text != NULL;
	bool more = text != NULL && text[0] != '\0';
	bool stuck = more && ((*token != NULL && strcmp(text, *token) == 0) || listing->empty > EMPTY_PAGES_MAX);
	free(*token);
	*token = NULL;
	if (!fits) GM_FAIL(err, GM_CORRUPT, "the catalog's answer makes no sense: NextToken is no text");
	if (stuck) GM_FAIL(err, GM_CORRUPT, "the catalog's list of partitions goes round in circles");
	if (!more) return GM_OK;
	*token = strdup(text);
	if (*token == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the catalog's list of partitions");
	return GM_OK;
}

static enum gm_code list_page(struct gm_glue *glue, const char *table, struct listing *listing, char **token,
                              struct gm_error *err)
{
	json_t *answer = NULL;
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "TableName", json_string(table));
	request = gm_glue_with(request, "MaxResults", json_integer(PAGE));
	if (*token != NULL) request = gm_glue_with(request, "NextToken", json_string(*token));
	GM_TRY(gm_glue_call(glue, "GetPartitions", request, &answer, "list the partitions in the catalog", NULL, err));
	enum gm_code rc = take_page(listing, answer, err);
	if (rc == GM_OK) rc = next_token(listing, answer, token, err);
	json_decref(answer);
	return rc;
}

enum gm_code gm_glue_list_partitions(struct gm_glue *glue, const char *table, size_t values, gm_glue_partition_fn *each,
                                     void *context, struct gm_error *err)
{
	struct listing listing = {.values = values, .each = each, .context = context};
	char *token = NULL;
	enum gm_code rc;
	do rc = list_page(glue, table, &listing, &token, err);
	while (rc == GM_OK && token != NULL);
	free(token);
	return rc;
}

/* --- Batches ------------------------------------------------------------------------------------------------------ */

/* Adds up what of a batch was refused: `settled` is the refusal that says that others were quicker. */
static enum gm_code read_errors(const json_t *answer, const char *doing, const char *settled, size_t *done,
                                struct gm_error *err)
{
	const json_t *errors = json_object_get(answer, "Errors"), *entry;
	size_t i;
	json_array_foreach(errors, i, entry)
	{
		const json_t *detail = json_object_get(entry, "ErrorDetail");
		const char *code = json_string_value(json_object_get(detail, "ErrorCode"));
		const char *text = json_string_value(json_object_get(detail, "ErrorMessage"));
		if (code == NULL) GM_FAIL(err, GM_CORRUPT, "could not %s: an error without a code", doing);
		if (strcmp(code, settled) != 0)
			GM_FAIL(err, GM_TRANSIENT, "could not %s: %.64s: %.200s", doing, code, text != NULL ? text : "");
		if (*done > 0) (*done)--;
	}
	return GM_OK;
}

struct batch {
	const char *operation, *member, *doing, *settled;
};

static enum gm_code send_batch(struct gm_glue *glue, const char *table, const struct batch *batch, const json_t *list,
                               size_t *done, struct gm_glue_refusal *refusal, struct gm_error *err)
{
	json_t *answer = NULL;
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "TableName", json_string(table));
	request = gm_glue_with(request, batch->member, json_incref((json_t *)list));
	*done = 0;
	GM_TRY(gm_glue_call(glue, batch->operation, request, &answer, batch->doing, refusal, err));
	size_t count = json_array_size(list);
	enum gm_code rc = read_errors(answer, batch->doing, batch->settled, &count, err);
	json_decref(answer);
	if (rc == GM_TRANSIENT) refusal->again = true;
	if (rc == GM_OK) *done = count;
	return rc;
}

enum gm_code gm_glue_create_partitions(struct gm_glue *glue, const char *table, const json_t *inputs, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err)
{
	static const struct batch create = {"BatchCreatePartition", "PartitionInputList",
	                                    "register partitions in the catalog", "AlreadyExistsException"};
	return send_batch(glue, table, &create, inputs, done, refusal, err);
}

enum gm_code gm_glue_update_partitions(struct gm_glue *glue, const char *table, const json_t *inputs, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err)
{
	static const struct batch update = {"BatchUpdatePartition", "Entries", "update partitions in the catalog",
	                                    "EntityNotFoundException"};
	const json_t *input;
	size_t i;
	json_t *entries = json_array();
	json_array_foreach(inputs, i, input)
	{
		json_t *entry =
		    json_pack("{s:O, s:O}", "PartitionValueList", json_object_get(input, "Values"), "PartitionInput", input);
		if (json_array_append_new(entries, entry) == 0) continue;
		json_decref(entries);
		entries = NULL;
	}
	*done = 0;
	if (entries == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request to Glue");
	enum gm_code rc = send_batch(glue, table, &update, entries, done, refusal, err);
	json_decref(entries);
	return rc;
}

enum gm_code gm_glue_delete_partitions(struct gm_glue *glue, const char *table, const json_t *values, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err)
{
	static const struct batch delete = {"BatchDeletePartition", "PartitionsToDelete",
	                                    "remove partitions from the catalog", "EntityNotFoundException"};
	const json_t *list;
	size_t i;
	json_t *wrapped = json_array();
	json_array_foreach(values, i, list)
	{
		if (json_array_append_new(wrapped, json_pack("{s:O}", "Values", list)) == 0) continue;
		json_decref(wrapped);
		wrapped = NULL;
	}
	*done = 0;
	if (wrapped == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request to Glue");
	enum gm_code rc = send_batch(glue, table, &delete, wrapped, done, refusal, err);
	json_decref(wrapped);
	return rc;
}
