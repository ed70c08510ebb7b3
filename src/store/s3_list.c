/* s3_list.c - ListObjectsV2, page by page, in the order of the keys' bytes.
 *
 * Keys are asked for URL-encoded, since XML cannot hold every byte that a key may; a store that does not know of that
 * says so. While a page is handed out, the next is on its way. A folder that is pruned costs the rest of the page it
 * began in, and a request that starts behind it. */
#include "store/s3.h"

#include "store/s3_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_TRIES = 4, KEY_ROOM = GM_S3_KEY_MAX_BYTES + 1 };

struct listing {
	struct gm_s3 *s3;
	const char *prefix; /* whole */
	size_t root_bytes;  /* of the store's own prefix */
	gm_prune_fn *prune;
	gm_list_fn *each;
	void *context;
	char start[2 * KEY_ROOM]; /* whole; only what is greater is listed */
	char last[KEY_ROOM];      /* whole; the last key seen */
	char pruned[KEY_ROOM];    /* whole folder that is left out, with '/' at its end; "": none */
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for a listing");
}

/* --- Requests ----------------------------------------------------------------------------------------------------- */

/* The page that follows token, or the first. What the request points to is in the arena. */
static enum gm_code ask(struct listing *listing, struct gm_arena *arena, const char *token, struct gm_call **call,
                        struct gm_error *err)
{
	struct gm_call_request request;
	gm_arena_reset(arena);
	GM_TRY(gm_s3_request(listing->s3, arena, GM_CALL_LIST, "GET", NULL, &request, err));
	gm_s3_query(&request, "list-type", "2");
	gm_s3_query(&request, "encoding-type", "url");
	gm_s3_query(&request, "prefix", listing->prefix);
	if (token != NULL) {
		char *copy = gm_arena_strndup(arena, token, strlen(token));
		if (copy == NULL) return out_of_memory(err);
		gm_s3_query(&request, "continuation-token", copy);
	} else if (listing->start[0] != '\0') {
		gm_s3_query(&request, "start-after", listing->start);
	}
	return gm_call_start(listing->s3->client, &request, call, err);
}

/* A listing of nothing is no error: whoever says that it is not there speaks of something else. */
static enum gm_code list_failed(struct gm_s3 *s3, const struct gm_call_response *response, struct gm_error *err)
{
	enum gm_code rc = gm_s3_fail(s3, response, NULL, "list the objects", err);
	if (rc != GM_NOT_FOUND) return rc;
	if (err != NULL) err->code = GM_USAGE;
	return gm_error_hint(err, GM_USAGE, "does the endpoint %.200s speak S3, and are there this bucket and this user?",
	                     s3->endpoint.url);
}

/* Waits for a page that was asked for. An answer that is not XML, for all that its length is right, is asked for again.
 */
static enum gm_code take_page(struct listing *listing, struct gm_arena *arena, const char *token, struct gm_call **call,
                              struct gm_s3_page *page, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	for (int i = 0; i < PAGE_TRIES; i++) {
		struct gm_call_response *response;
		if (i > 0) GM_TRY(ask(listing, arena, token, call, err));
		rc = gm_call_wait(*call, &response, err);
		if (rc == GM_OK && !gm_s3_good(response)) rc = list_failed(listing->s3, response, err);
		if (rc == GM_OK) rc = gm_s3_page_read(page, response->http.body.data, response->http.body.len, err);
		gm_call_end(*call);
		*call = NULL;
		if (rc != GM_CORRUPT) break;
	}
	return gm_s3_name(listing->s3, rc, NULL, rc != GM_OK ? err : NULL);
}

/* --- Handing out -------------------------------------------------------------------------------------------------- */

/* The listing goes on behind all that a folder can hold: no key is greater than the folder and then the greatest
 * character as often as a key has room for it. */
static void start_behind(struct listing *listing, const char *folder)
{
	size_t n = strlen(folder);
	memcpy(listing->start, folder, n);
	while (n + 4 <= GM_S3_KEY_MAX_BYTES) {
		memcpy(listing->start + n, "\xF4\x8F\xBF\xBF", 4);
		n += 4;
	}
	listing->start[n] = '\0';
}

/* Is the key in a folder that is left out? Each folder below the prefix is asked about when its first key comes. */
static bool is_pruned(struct listing *listing, const char *key)
{
	size_t pruned = strlen(listing->pruned), begin = strlen(listing->prefix);
	if (pruned > 0 && strncmp(key, listing->pruned, pruned) == 0) return true;
	listing->pruned[0] = '\0';
	if (listing->prune == NULL) return false;
	char folder[KEY_ROOM];
	for (const char *slash = strchr(key + begin, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		size_t n = (size_t)(slash - key) + 1;
		if (strncmp(key, listing->last, n) == 0) continue; /* was asked about already */
		memcpy(folder, key, n);
		folder[n] = '\0';
		if (!listing->prune(listing->context, folder + listing->root_bytes)) continue;
		memcpy(listing->pruned, folder, n + 1);
		return true;
	}
	return false;
}

static enum gm_code check_order(struct listing *listing, const char *key, struct gm_error *err)
{
	if (strncmp(key, listing->prefix, strlen(listing->prefix)) != 0)
		GM_FAIL(err, GM_CORRUPT, "a listing holds a key that was not asked for");
	if (strlen(key) > GM_S3_KEY_MAX_BYTES) GM_FAIL(err, GM_CORRUPT, "a listing holds a key that is too long");
	if (strcmp(key, listing->last) > 0) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "this store does not list its objects in the order of their keys");
	return gm_error_hint(err, GM_UNSUPPORTED, "S3 Express directory buckets do not; use a general purpose bucket");
}

static enum gm_code hand_out(struct listing *listing, const struct gm_s3_page *page, struct gm_error *err)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct gm_s3_entry *entry = &page->entries[i];
		if (listing->start[0] != '\0' && strcmp(entry->key, listing->start) <= 0) continue;
		GM_TRY(check_order(listing, entry->key, err));
		bool leave_out = is_pruned(listing, entry->key) || entry->key[listing->root_bytes] == '\0';
		(void)snprintf(listing->last, sizeof listing->last, "%s", entry->key);
		if (leave_out) continue;
		struct gm_object_info info = {.key = entry->key + listing->root_bytes,
		                              .size = entry->size,
		                              .mtime_us = entry->mtime_us,
		                              .etag = entry->etag};
		GM_TRY(listing->each(listing->context, &info, err));
	}
	return GM_OK;
}

/* The whole page lies behind or in a folder to be left out: what follows is asked for from behind that folder. */
static bool ends_pruned(const struct gm_s3_page *page, const char *folder)
{
	return folder[0] != '\0' && page->count > 0 &&
	       strncmp(page->entries[page->count - 1].key, folder, strlen(folder)) == 0;
}

static enum gm_code list_pages(struct listing *listing, struct gm_arena arenas[2], struct gm_s3_page pages[2],
                               struct gm_call **call, struct gm_error *err)
{
	const char *token = NULL;
	GM_TRY(ask(listing, &arenas[0], NULL, call, err));
	for (size_t i = 0;; i = 1 - i) {
		struct gm_s3_page *page = &pages[i];
		GM_TRY(take_page(listing, &arenas[i], token, call, page, err));
		token = page->token;
		bool skips = ends_pruned(page, listing->pruned);
		if (token != NULL && !skips) GM_TRY(ask(listing, &arenas[1 - i], token, call, err));
		GM_TRY(hand_out(listing, page, err));
		if (token == NULL) return GM_OK;
		if (!ends_pruned(page, listing->pruned)) {
			if (*call == NULL) GM_TRY(ask(listing, &arenas[1 - i], token, call, err));
			continue;
		}
		gm_call_end(*call);
		*call = NULL;
		start_behind(listing, listing->pruned);
		token = NULL;
		GM_TRY(ask(listing, &arenas[1 - i], NULL, call, err));
	}
}

enum gm_code gm_s3_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                        gm_list_fn *each, void *context, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_call *call = NULL;
	struct gm_arena arenas[2]; /* of the requests */
	struct gm_s3_page pages[2];
	struct listing *listing = calloc(1, sizeof *listing);
	size_t root_bytes = strlen(s3->prefix), room = root_bytes + strlen(prefix) + 1;
	char *whole = malloc(room);
	enum gm_code rc = listing != NULL && whole != NULL ? GM_OK : out_of_memory(err);
	for (int i = 0; i < 2; i++) {
		gm_arena_init(&arenas[i], 4096);
		gm_s3_page_init(&pages[i]);
	}
	if (rc == GM_OK) {
		(void)snprintf(whole, room, "%s%s", s3->prefix, prefix);
		*listing = (struct listing){
		    .s3 = s3, .prefix = whole, .root_bytes = root_bytes, .prune = prune, .each = each, .context = context};
		if (after[0] != '\0') (void)snprintf(listing->start, sizeof listing->start, "%s%s", s3->prefix, after);
		rc = list_pages(listing, arenas, pages, &call, err);
	}
	gm_call_end(call);
	for (int i = 0; i < 2; i++) {
		gm_arena_release(&arenas[i]);
		gm_s3_page_release(&pages[i]);
	}
	free(whole);
	free(listing);
	return rc;
}
