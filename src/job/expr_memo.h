/* expr_memo.h - what a step gave for inputs seen before.
 *
 * A result is a "ref": 0 is null, 1 .. the result's code (in the step's dictionary, or its number, see derive.c), or a
 * failure: GM_REF_FAILED with the code of its message. Inputs are known by their codes in a dictionary, or by their
 * bits. Dictionaries are known by a number that is never used twice, so that a new one at an old address is new. */
#ifndef GM_JOB_EXPR_MEMO_H
#define GM_JOB_EXPR_MEMO_H

#include "base/error.h"

enum { GM_REF_NULL = 0 };
#define GM_REF_FAILED UINT32_C(0x80000000)

/* By the codes of one dictionary, for one step or for several that share the memo. Two dictionaries are remembered, for
 * inputs that come by turns. */
struct gm_memo_codes {
	uint64_t dict_id; /* 0: none */
	uint32_t *refs;   /* ref + 1 at refs[code * places + place]; 0: unknown */
	uint32_t cap;
};
/* By keys of some words each: open addressing, at most half full. */
struct gm_memo_keys {
	uint64_t *keys; /* (mask + 1) * words */
	uint32_t *refs; /* ref + 1; 0: free */
	uint32_t mask, count;
	uint32_t words;
};
struct gm_memo {
	struct gm_memo_codes codes[2]; /* the first was used last */
	uint32_t places;               /* refs of a code: one for each step */
	struct gm_memo_keys keys;
	uint64_t *signature; /* of keys: what the words mean; signature[0] is the form, then the dictionaries' ids */
	size_t signature_count;
	uint32_t null_ref; /* ref + 1 of null, or of no input at all; 0: unknown */
	size_t memory_bytes;
};

void gm_memo_clear(struct gm_memo *memo);
/* The memo for codes of that dictionary. */
struct gm_memo_codes *gm_memo_codes_for(struct gm_memo *memo, uint64_t dict_id);
/* The bytes that room for the refs of codes up to that one takes beyond what there is; and makes it. */
size_t gm_memo_codes_more(const struct gm_memo *memo, const struct gm_memo_codes *codes, uint32_t code);
enum gm_code gm_memo_codes_reach(struct gm_memo *memo, struct gm_memo_codes *codes, uint32_t code,
                                 struct gm_error *err) GM_CHECK;
/* Makes the keys mean `signature`, an id of 0 meaning any: forgets them if they meant something else. */
enum gm_code gm_memo_keys_for(struct gm_memo *memo, uint32_t words, const uint64_t *signature, size_t count,
                              struct gm_error *err) GM_CHECK;
/* ref + 1 of a key, 0 if unknown; *at is where it is or belongs until the next put. words is what the keys have: most
 * callers know that it is 1. */
static inline uint32_t gm_memo_keys_get(const struct gm_memo_keys *keys, const uint64_t *key, uint32_t words,
                                        uint32_t *at);
enum gm_code gm_memo_keys_put(struct gm_memo *memo, const uint64_t *key, uint32_t ref, struct gm_error *err) GM_CHECK;

static inline uint64_t gm_memo_hash(const uint64_t *key, uint32_t words)
{
	uint64_t hash = 0;
	for (uint32_t i = 0; i < words; i++) {
		hash = (hash ^ key[i]) * UINT64_C(0x9E3779B97F4A7C15);
		hash ^= hash >> 32;
	}
	return hash;
}

static inline uint32_t gm_memo_keys_get(const struct gm_memo_keys *keys, const uint64_t *key, uint32_t words,
                                        uint32_t *at)
{
	for (uint32_t i = (uint32_t)gm_memo_hash(key, words) & keys->mask;; i = (i + 1) & keys->mask) {
		const uint64_t *there = keys->keys + (size_t)i * words;
		bool same = there[0] == key[0];
		for (uint32_t j = 1; same && j < words; j++) same = there[j] == key[j];
		if (keys->refs[i] != 0 && !same) continue;
		*at = i;
		return keys->refs[i];
	}
}

#endif
