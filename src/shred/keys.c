#include "shred/keys.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	LEARN_KEYS = 256, /* unknown keys remembered per object */
	AROUND = 4,       /* ," and ": */
	MAX_GUESSED = GM_KEY_TEXT - AROUND,
	MIN_SLOTS = 1024, /* at least twice LEARN_KEYS and the wanted ones */
};

/* Whoever writes the input must not know which keys fall together. */
static uint32_t hash_name(const struct gm_keys *keys, const uint8_t *name, size_t n)
{
	return (uint32_t)XXH3_64bits_withSeed(name, n, keys->seed);
}

/* The slot of the name or the free one where it belongs. */
static struct gm_key **find_slot(const struct gm_keys *keys, const struct gm_node *node, const uint8_t *name, size_t n)
{
	for (uint32_t at = hash_name(keys, name, n);; at++) {
		struct gm_key **slot = &node->slots[at & node->slot_mask];
		if (*slot == NULL) return slot;
		if ((*slot)->name_bytes == n && memcmp((*slot)->name, name, n) == 0) return slot;
	}
}

/* Keys with these bytes never stand in a document as they are. */
static bool needs_escape(const uint8_t *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name[i] < 0x20 || name[i] == '"' || name[i] == '\\') return true;
	return false;
}

/* name must outlive the key, or be short enough to live in its text. */
static void set_text(struct gm_keys *keys, struct gm_key *key, const uint8_t *name, size_t n)
{
	key->next = &keys->none;
	key->name = name;
	key->name_bytes = (uint32_t)n;
	if (n > MAX_GUESSED || needs_escape(name, n)) {
		key->mask = key->name_mask = keys->none.mask;
		return;
	}
	key->len = (uint32_t)n + AROUND;
	key->text[0] = ',';
	key->text[1] = key->text[n + 2] = '"';
	key->text[n + 3] = ':';
	key->name = memcpy(key->text + 2, name, n);
	key->mask = ~UINT64_C(0) >> (64 - key->len);
	key->name_mask = key->mask >> 2;
}

struct gm_key *gm_keys_find(struct gm_keys *keys, struct gm_node *node, const uint8_t *name, size_t n, bool learn)
{
	struct gm_key **slot = find_slot(keys, node, name, n);
	if (*slot != NULL || !learn || node->learnt == LEARN_KEYS || n > MAX_GUESSED) return *slot;
	struct gm_key *key = gm_arena_zalloc(&keys->arena, sizeof *key);
	if (key == NULL) return NULL; /* it stays unknown */
	set_text(keys, key, name, n);
	node->learnt++;
	return *slot = key;
}

struct gm_node *gm_keys_walk(const struct gm_node *top, struct gm_node *at)
{
	if (at->child != NULL) return at->child;
	while (at != top && at->sibling == NULL) at = at->parent;
	return at == top ? NULL : at->sibling;
}

static struct gm_node *new_node(struct gm_keys *keys, struct gm_node *parent)
{
	struct gm_node *node = gm_arena_zalloc(&keys->arena, sizeof *node);
	if (node == NULL) return NULL;
	node->first = &keys->none;
	node->parent = parent;
	if (parent != NULL) {
		node->sibling = parent->child;
		parent->child = node;
	}
	keys->node_count++;
	return node;
}

/* A hash table for the keys of this object, large enough for `wanted` keys for ever. */
static bool make_slots(struct gm_keys *keys, struct gm_node *node, size_t wanted)
{
	size_t slots = MIN_SLOTS;
	while (slots < 2 * (wanted + LEARN_KEYS)) slots *= 2;
	if (slots > UINT32_MAX) return false;
	node->slots = gm_arena_zalloc(&keys->arena, slots * sizeof *node->slots);
	node->slot_mask = (uint32_t)(slots - 1);
	return node->slots != NULL;
}

/* The child of that name, made if it is missing. `most` bounds the keys any object can want. */
static struct gm_node *child_of(struct gm_keys *keys, struct gm_node *node, const char *name, size_t n, size_t most)
{
	if (node->slots == NULL && !make_slots(keys, node, most)) return NULL;
	struct gm_key **slot = find_slot(keys, node, (const uint8_t *)name, n);
	if (*slot != NULL) return (*slot)->node;
	struct gm_key *key = gm_arena_zalloc(&keys->arena, sizeof *key);
	char *copy = gm_arena_strndup(&keys->arena, name, n);
	struct gm_node *child = key != NULL && copy != NULL ? new_node(keys, node) : NULL;
	if (child == NULL) return NULL;
	set_text(keys, key, (const uint8_t *)copy, n);
	key->node = child;
	key->action = GM_ACTION_OTHER;
	child->key = key;
	*slot = key;
	return child;
}

enum gm_code gm_keys_build(struct gm_keys *keys, const struct gm_shred_leaf *leaves, size_t count,
                           struct gm_node **node_of, struct gm_error *err)
{
	*keys = (struct gm_keys){.none.mask = UINT64_C(1) << 63, .none.name_mask = UINT64_C(1) << 63};
	keys->seed = gm_dict_seed(keys);
	gm_arena_init(&keys->arena, 16 * 1024);
	keys->none.next = &keys->none;
	keys->root = new_node(keys, NULL);
	if (keys->root == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the tree of keys");
	for (size_t i = 0; i < count; i++) {
		const struct gm_shred_leaf *leaf = &leaves[i];
		if (leaf->path_len == 0) GM_FAIL(err, GM_BUG, "column %s has an empty path", leaf->name);
		if (leaf->path_len > keys->depth) keys->depth = leaf->path_len;
		struct gm_node *node = keys->root;
		for (size_t j = 0; j < leaf->path_len; j++) {
			if (leaf->path_bytes[j] > UINT32_MAX) GM_FAIL(err, GM_BUG, "a key of column %s is too long", leaf->name);
			node = child_of(keys, node, leaf->path[j], leaf->path_bytes[j], count);
			if (node == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the tree of keys");
		}
		node_of[i] = node;
	}
	/* A shredder that wants nothing still reads objects. */
	if (keys->root->slots == NULL && !make_slots(keys, keys->root, 0))
		GM_FAIL(err, GM_NOMEM, "out of memory for the tree of keys");
	return GM_OK;
}

void gm_keys_release(struct gm_keys *keys)
{
	gm_arena_release(&keys->arena);
}
