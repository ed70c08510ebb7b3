#include "job/expr_memo.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CODES = 256, FIRST_KEYS = 64 };

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the results of expressions");
}

static void clear_codes(struct gm_memo *memo, struct gm_memo_codes *codes)
{
	memo->memory_bytes -= (size_t)codes->cap * memo->places * sizeof *codes->refs;
	free(codes->refs);
	*codes = (struct gm_memo_codes){0};
}

static size_t keys_bytes(const struct gm_memo_keys *keys)
{
	return ((size_t)keys->mask + 1) * (keys->words * sizeof *keys->keys + sizeof *keys->refs);
}

static void clear_keys(struct gm_memo *memo)
{
	if (memo->keys.keys != NULL) memo->memory_bytes -= keys_bytes(&memo->keys);
	free(memo->keys.keys);
	free(memo->keys.refs);
	memo->keys = (struct gm_memo_keys){0};
}

void gm_memo_clear(struct gm_memo *memo)
{
	clear_codes(memo, &memo->codes[0]);
	clear_codes(memo, &memo->codes[1]);
	clear_keys(memo);
	free(memo->signature);
	*memo = (struct gm_memo){.places = memo->places};
}

struct gm_memo_codes *gm_memo_codes_for(struct gm_memo *memo, uint64_t dict_id)
{
	struct gm_memo_codes *first = &memo->codes[0], *second = &memo->codes[1];
	if (first->dict_id == dict_id) return first;
	struct gm_memo_codes swap = *second;
	*second = *first;
	*first = swap;
	if (first->dict_id == dict_id) return first;
	clear_codes(memo, first);
	first->dict_id = dict_id;
	return first;
}

static size_t cap_for(const struct gm_memo_codes *codes, uint32_t code)
{
	size_t cap = codes->cap == 0 ? FIRST_CODES : codes->cap;
	while (cap <= code) cap *= 2;
	return cap;
}

size_t gm_memo_codes_more(const struct gm_memo *memo, const struct gm_memo_codes *codes, uint32_t code)
{
	return (cap_for(codes, code) - codes->cap) * memo->places * sizeof *codes->refs;
}

enum gm_code gm_memo_codes_reach(struct gm_memo *memo, struct gm_memo_codes *codes, uint32_t code, struct gm_error *err)
{
	if (code < codes->cap) return GM_OK;
	size_t cap = cap_for(codes, code), each = memo->places * sizeof(uint32_t);
	uint32_t *refs = cap <= UINT32_MAX ? realloc(codes->refs, cap * each) : NULL;
	if (refs == NULL) return no_memory(err);
	memset(refs + (size_t)codes->cap * memo->places, 0, (cap - codes->cap) * each);
	memo->memory_bytes += (cap - codes->cap) * each;
	codes->refs = refs;
	codes->cap = (uint32_t)cap;
	return GM_OK;
}

static enum gm_code make_keys(struct gm_memo_keys *keys, uint32_t words, size_t size, struct gm_error *err)
{
	*keys = (struct gm_memo_keys){.words = words, .mask = (uint32_t)(size - 1)};
	keys->keys = calloc(size, words * sizeof *keys->keys);
	keys->refs = calloc(size, sizeof *keys->refs);
	if (keys->keys != NULL && keys->refs != NULL) return GM_OK;
	free(keys->keys);
	free(keys->refs);
	*keys = (struct gm_memo_keys){0};
	return no_memory(err);
}

/* Whether the keys mean what is asked for; an id that was not known is learnt. */
static bool same_signature(struct gm_memo *memo, uint32_t words, const uint64_t *signature, size_t count)
{
	if (memo->keys.keys == NULL || memo->keys.words != words || memo->signature_count != count) return false;
	for (size_t i = 0; i < count; i++) {
		bool any = i > 0 && (signature[i] == 0 || memo->signature[i] == 0);
		if (!any && memo->signature[i] != signature[i]) return false;
	}
	for (size_t i = 1; i < count; i++)
		if (memo->signature[i] == 0) memo->signature[i] = signature[i];
	return true;
}

enum gm_code gm_memo_keys_for(struct gm_memo *memo, uint32_t words, const uint64_t *signature, size_t count,
                              struct gm_error *err)
{
	if (same_signature(memo, words, signature, count)) return GM_OK;
	clear_keys(memo);
	free(memo->signature);
	memo->signature_count = 0;
	memo->signature = malloc(count * sizeof *signature);
	if (memo->signature == NULL) return no_memory(err);
	memcpy(memo->signature, signature, count * sizeof *signature);
	memo->signature_count = count;
	GM_TRY(make_keys(&memo->keys, words, FIRST_KEYS, err));
	memo->memory_bytes += keys_bytes(&memo->keys);
	return GM_OK;
}

static void place(struct gm_memo_keys *keys, const uint64_t *key, uint32_t stored)
{
	uint32_t at;
	if (gm_memo_keys_get(keys, key, keys->words, &at) == 0) keys->count++;
	memcpy(keys->keys + (size_t)at * keys->words, key, keys->words * sizeof *key);
	keys->refs[at] = stored;
}

enum gm_code gm_memo_keys_put(struct gm_memo *memo, const uint64_t *key, uint32_t ref, struct gm_error *err)
{
	struct gm_memo_keys *keys = &memo->keys;
	if (keys->count > keys->mask / 2) {
		struct gm_memo_keys grown;
		size_t size = ((size_t)keys->mask + 1) * 2;
		if (size > UINT32_MAX) return no_memory(err);
		GM_TRY(make_keys(&grown, keys->words, size, err));
		for (size_t i = 0; i <= keys->mask; i++)
			if (keys->refs[i] != 0) place(&grown, keys->keys + i * keys->words, keys->refs[i]);
		clear_keys(memo);
		*keys = grown;
		memo->memory_bytes += keys_bytes(keys);
	}
	place(keys, key, ref + 1);
	return GM_OK;
}
