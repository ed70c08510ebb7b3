/* common.h - what the store tests share: temporary folders, short calls that must succeed. */
#ifndef GM_TEST_STORE_COMMON_H
#define GM_TEST_STORE_COMMON_H

#include "store/store.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fresh folder below the place for temporary files; remove it with drop_folder. */
static inline char *make_folder(void)
{
	const char *base = getenv("TMPDIR");
	char *path = malloc(256);
	assert_non_null(path);
	(void)snprintf(path, 256, "%.200s/gm-store-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return path;
}

static inline void shell(const char *format, const char *path)
{
	char command[1024];
	(void)snprintf(command, sizeof command, format, path, path, path, path);
	assert_int_equal(system(command), 0);
}

static inline void drop_folder(char *path)
{
	shell("chmod -R u+rwx '%s'; rm -rf '%s'", path);
	free(path);
}

static inline void put_text(struct gm_store *store, const char *key, const char *text)
{
	must(gm_store_put(store, key, text, strlen(text), true, &failure));
}

/* The whole object as text in a static buffer. */
static inline const char *get_text(struct gm_store *store, const char *key)
{
	static char text[4096];
	struct gm_buf buf;
	gm_buf_init(&buf, sizeof text - 1);
	must(gm_store_get(store, key, &buf, &failure));
	if (buf.len > 0) memcpy(text, buf.data, buf.len);
	text[buf.len] = '\0';
	gm_buf_release(&buf);
	return text;
}

static inline enum gm_code join_keys(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct gm_buf *keys = context;
	return gm_buf_printf(keys, err, "%s%s", keys->len > 0 ? "|" : "", info->key);
}

/* The keys below prefix, joined by '|', in a static buffer. */
static inline const char *list_text(struct gm_store *store, const char *prefix)
{
	static char text[65536];
	struct gm_buf keys;
	gm_buf_init(&keys, sizeof text - 1);
	must(gm_store_list(store, prefix, join_keys, &keys, &failure));
	if (keys.len > 0) memcpy(text, keys.data, keys.len);
	text[keys.len] = '\0';
	gm_buf_release(&keys);
	return text;
}

static inline void stage_text(struct gm_store *store, const char *final_key, const char *text,
                              char token[GM_TOKEN_BYTES])
{
	struct gm_staged *staged;
	must(gm_store_stage_open(store, final_key, "_gristmill/j/work/1/", &staged, &failure));
	must(gm_store_stage_append(store, staged, text, strlen(text), &failure));
	must(gm_store_stage_finish(store, staged, token, &failure));
}

#endif
