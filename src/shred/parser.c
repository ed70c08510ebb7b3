/* parser.c - makes a parser and takes it away; it reads in record.c. */
#include "shred/record.h"

#include <stdlib.h>

static const uint8_t *(*const read_at[GM_CPU_COUNT])(struct gm_parser *, const uint8_t *) = {
#define ENTRY(level, name) gm_parser_read_##level,
    GM_CPU_LEVELS(ENTRY)
#undef ENTRY
};

enum gm_code gm_parser_init(struct gm_parser *parser, const struct gm_shred_leaf *leaves, size_t count,
                            size_t dict_bytes_max, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	*parser = (struct gm_parser){.read = read_at[gm_cpu_level()]};
	gm_json_init(&parser->json);
	gm_buf_init(&parser->mended, SIZE_MAX / 4);
	struct gm_node **node_of = calloc(count + 1, sizeof *node_of);
	parser->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (node_of == NULL || parser->c == (locale_t)0) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a parser");
		goto out;
	}
	GM_TRY_OUT(gm_keys_build(&parser->keys, leaves, count, node_of, err));
	GM_TRY_OUT(gm_columns_init(&parser->columns, leaves, count, dict_bytes_max, err));
	parser->stack = malloc((parser->keys.depth + 1) * sizeof *parser->stack);
	if (parser->stack == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a parser");
		goto out;
	}
	for (size_t i = count; i-- > 0;) {
		struct gm_leaf *leaf = &parser->columns.leaves[i];
		leaf->same = node_of[i]->leaf;
		node_of[i]->leaf = leaf;
		bool alone = leaf->same == NULL && node_of[i]->child == NULL;
		struct gm_key *key = node_of[i]->key;
		key->leaf = leaf;
		key->action = GM_ACTION_OTHER;
		if (alone && leaf->kind == GM_KIND_STRING) key->action = GM_ACTION_STRING;
		if (alone && leaf->kind == GM_KIND_INTEGER) key->action = GM_ACTION_INTEGER;
		if (alone && leaf->kind == GM_KIND_BOOLEAN) key->action = GM_ACTION_BOOLEAN;
	}
out:
	free(node_of);
	return rc;
}

void gm_parser_release(struct gm_parser *parser)
{
	gm_json_release(&parser->json);
	gm_keys_release(&parser->keys);
	gm_columns_release(&parser->columns);
	gm_buf_release(&parser->mended);
	free(parser->stack);
	if (parser->c != (locale_t)0) freelocale(parser->c);
	*parser = (struct gm_parser){.serial = 0};
}
