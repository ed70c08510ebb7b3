/* directory_doctor.c - may this process do with a folder what a run does with it? */
#include "store/directory.h"

#include "base/io.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

static bool tell(gm_step_fn *step, void *context, enum gm_code rc, const struct gm_error *err, const char *what,
                 const char *well, const char *advice)
{
	struct gm_store_step told = {.what = what, .health = rc == GM_OK ? GM_HEALTH_GOOD : GM_HEALTH_BAD};
	told.text = rc == GM_OK ? well : err->message;
	told.advice = rc == GM_OK ? "" : err->hint[0] != '\0' ? err->hint : advice;
	step(context, &told);
	return rc == GM_OK;
}

static enum gm_code note_first(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	(void)info;
	(void)err;
	*(bool *)context = true;
	return GM_INTERRUPTED;
}

static bool check_reading(struct gm_store *store, gm_step_fn *step, void *context)
{
	struct gm_error err;
	bool any = false;
	enum gm_code rc = gm_store_list(store, "", note_first, &any, &err);
	if (rc == GM_INTERRUPTED) rc = GM_OK;
	return tell(step, context, rc, &err, "list", any ? "there are files" : "there is no file yet",
	            "let this user read the folder and all below it");
}

static bool check_writing(struct gm_store *store, const char *key, gm_step_fn *step, void *context)
{
	struct gm_error err;
	enum gm_code rc = gm_store_put(store, key, "test\n", 5, true, &err);
	if (rc == GM_OK) {
		enum gm_code second = gm_store_put(store, key, "other\n", 6, true, &err);
		if (second != GM_EXISTS)
			rc = gm_error_set(&err, GM_UNSUPPORTED,
			                  "a file that exists was taken for an absent one: hard links do not "
			                  "work in this folder");
		enum gm_code removed = gm_store_remove(store, key, rc == GM_OK ? &err : NULL);
		if (rc == GM_OK) rc = removed;
	}
	return tell(step, context, rc, &err, "write", "files can be made, linked and removed",
	            "let this user write to the folder");
}

static void tell_room(struct gm_directory *dir, gm_step_fn *step, void *context)
{
	struct statvfs room;
	char text[64];
	if (fstatvfs(dir->root, &room) != 0) return;
	(void)snprintf(text, sizeof text, "%.1f GB are free", (double)room.f_bavail * (double)room.f_frsize / 1e9);
	struct gm_store_step told = {.what = "room", .health = GM_HEALTH_GOOD, .text = text, .advice = ""};
	step(context, &told);
}

bool gm_directory_diagnose(struct gm_store *store, const char *work_prefix, gm_step_fn *step, void *context)
{
	char random[33], key[GM_KEY_MAX_BYTES + 1];
	bool healthy = check_reading(store, step, context);
	if (work_prefix == NULL || !gm_io_random_hex(random)) return healthy;
	(void)snprintf(key, sizeof key, "%sdoctor-%s", work_prefix, random);
	healthy &= check_writing(store, key, step, context);
	tell_room((struct gm_directory *)store, step, context);
	return healthy;
}
