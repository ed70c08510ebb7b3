/* verify_trace.c - what the log says last of paths that look wrong. There are few of them, as a rule, so the log is
 * read once more for some thousands at a time, instead of keeping what it once removed. */
#include "run/verify_internal.h"

#include <stdlib.h>

enum gm_code gm_verify_traces_init(struct gm_verify_traces *traces, struct gm_error *err)
{
	*traces = (struct gm_verify_traces){.at = malloc(GM_VERIFY_TRACES * sizeof *traces->at)};
	gm_arena_init(&traces->arena, 16 * 1024);
	if (traces->at == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a proof");
	return GM_OK;
}

void gm_verify_traces_release(struct gm_verify_traces *traces)
{
	free(traces->at);
	gm_arena_release(&traces->arena);
	*traces = (struct gm_verify_traces){0};
}

enum gm_code gm_verify_traces_add(struct gm_verify_traces *traces, const char *path, uint64_t bytes, bool *full,
                                  struct gm_error *err)
{
	const char *copy = gm_arena_strndup(&traces->arena, path, strlen(path));
	if (copy == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a proof");
	traces->at[traces->count++] = (struct gm_verify_trace){.path = copy, .bytes = bytes, .version = -1};
	*full = traces->count == GM_VERIFY_TRACES;
	return GM_OK;
}

void gm_verify_traces_empty(struct gm_verify_traces *traces)
{
	gm_arena_reset(&traces->arena);
	traces->count = 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct gm_verify_trace *)a)->path, ((const struct gm_verify_trace *)b)->path);
}

static void note(struct gm_verify_traces *traces, const struct gm_delta_file *files, size_t count, int64_t version,
                 bool added)
{
	for (size_t i = 0; i < count; i++) {
		struct gm_verify_trace wanted = {.path = files[i].path};
		struct gm_verify_trace *trace = bsearch(&wanted, traces->at, traces->count, sizeof wanted, compare);
		if (trace == NULL) continue;
		trace->version = version;
		trace->added = added;
	}
}

/* A file that an entry both removes and adds (with other tags, say) is there. */
static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	struct gm_verify_traces *traces = context;
	(void)err;
	note(traces, entry->removes, entry->remove_count, entry->version, false);
	note(traces, entry->adds, entry->add_count, entry->version, true);
	return GM_OK;
}

enum gm_code gm_verify_traces_ask(struct gm_verify_traces *traces, const struct gm_verifier *verifier,
                                  struct gm_error *err)
{
	if (traces->count == 0) return GM_OK;
	qsort(traces->at, traces->count, sizeof *traces->at, compare);
	int64_t first = verifier->first_entry >= 0 ? verifier->first_entry : 0;
	enum gm_code rc = gm_delta_entries(verifier->table, first, note_entry, traces, err);
	/* What an entry that is damaged, or was cleaned away, said of the paths cannot be known; it is no answer either. */
	return rc == GM_NOT_FOUND || rc == GM_CHANGED || rc == GM_CORRUPT || rc == GM_UNSUPPORTED ? GM_OK : rc;
}
