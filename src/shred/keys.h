/* keys.h - which keys are wanted where: the paths of all leaves, merged into one tree.
 *
 * A node is a place in a document (its path). It may be wanted as leaves of one or more columns, as an object with
 * wanted keys below it, or both. Within an object the next key is guessed: log records repeat their shape, so the key
 * that followed last time is compared first, with its quotes, in one go. A wrong guess costs a hash lookup and corrects
 * itself. Keys that are not wanted are learnt too, up to a limit, so that they can be guessed. */
#ifndef GM_SHRED_KEYS_H
#define GM_SHRED_KEYS_H

#include "shred/shred.h"
#include "shred/simd.h"

struct gm_leaf;
struct gm_node;

enum gm_action { GM_ACTION_SKIP, GM_ACTION_STRING, GM_ACTION_INTEGER, GM_ACTION_BOOLEAN, GM_ACTION_OTHER };

struct gm_key {
	uint8_t text[GM_KEY_TEXT + 8]; /* the usual way to a value: ,"key": */
	uint64_t mask;                 /* for gm_match_key: all of text; matches nothing where the key is too long for it */
	uint64_t name_mask;            /* from the opening quote to the closing one */
	uint32_t len;                  /* of text */
	uint32_t name_bytes;
	const uint8_t *name;
	enum gm_action action; /* what to do with the value: the most usual cases at a glance */
	struct gm_leaf *leaf;  /* STRING, INTEGER, BOOLEAN: the one leaf that wants it */
	struct gm_node *node;  /* NULL: not wanted */
	struct gm_key *next;   /* the one that followed last time; never NULL */
};

struct gm_node {
	struct gm_node *parent, *child, *sibling;
	struct gm_leaf *leaf;  /* the first of the leaves that want this value, or NULL */
	struct gm_key *key;    /* its name in the parent; NULL: the root */
	uint64_t seen;         /* the serial number of the last record that had it */
	struct gm_key *first;  /* the guess for an object's first key; never NULL */
	struct gm_key **slots; /* hash table of the keys below; NULL without children */
	uint32_t slot_mask, learnt;
};

struct gm_keys {
	struct gm_arena arena;
	struct gm_node *root;
	struct gm_key none; /* matches nothing */
	size_t depth;       /* of the longest path */
	size_t node_count;
	uint64_t seed; /* of the hashes of names */
};

/* Builds the tree. node_of[i] becomes the node of leaf i, whose `leaf` and `key->action` are the caller's to fill. */
enum gm_code gm_keys_build(struct gm_keys *keys, const struct gm_shred_leaf *leaves, size_t count,
                           struct gm_node **node_of, struct gm_error *err) GM_CHECK;
void gm_keys_release(struct gm_keys *keys);
/* The entry of a decoded key in this object, or NULL when it is neither wanted nor known. With learn, an unknown one is
 * remembered while there is room. */
struct gm_key *gm_keys_find(struct gm_keys *keys, struct gm_node *node, const uint8_t *name, size_t n, bool learn);
/* The node after `at` in the subtree of `top`, parents first; NULL at the end. Start with top itself. */
struct gm_node *gm_keys_walk(const struct gm_node *top, struct gm_node *at);

#endif
