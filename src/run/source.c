#include "run/source.h"

#include "base/time.h"
#include "base/utf8.h"
#include "run/layout.h"

#include <string.h>
#include <strings.h>

/* --- Names -------------------------------------------------------------------------------------------------------- */

bool gm_plan_skips(const struct gm_object_info *info)
{
	static const struct {
		const char *text;
		size_t bytes;
	} unfinished[] = {{".tmp", 4},         {".temp", 5}, {".part", 5},       {".partial", 8}, {".crdownload", 11},
	                  {".inprogress", 11}, {".swp", 4},  {"._copying_", 10}, {"~", 1}};
	const char *key = info->key;
	size_t bytes = strlen(key);
	if (gm_is_hidden(key) || (info->size == 0 && key[bytes - 1] == '/')) return true;
	for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++)
		if (bytes >= unfinished[i].bytes && strcasecmp(key + bytes - unfinished[i].bytes, unfinished[i].text) == 0)
			return true;
	return false;
}

static enum gm_code check_key(const char *key, struct gm_error *err)
{
	size_t n = strlen(key);
	if (gm_utf8_valid_prefix((const uint8_t *)key, n) == n) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the object's name is not UTF-8");
	(void)gm_error_hint(err, GM_UNSUPPORTED, "rename it");
	return gm_error_object(err, GM_UNSUPPORTED, key, n);
}

/* --- Folders named by time ---------------------------------------------------------------------------------------- */

/* The number that the part of a path is, of just so many digits, perhaps behind "name="; -1: it is none. */
static int number_of(const char *part, size_t bytes, size_t digits)
{
	const char *equals = memchr(part, '=', bytes);
	if (equals != NULL) {
		bytes -= (size_t)(equals + 1 - part);
		part = equals + 1;
	}
	if (bytes != digits) return -1;
	int number = 0;
	for (size_t i = 0; i < bytes; i++) {
		if (part[i] < '0' || part[i] > '9') return -1;
		number = number * 10 + (part[i] - '0');
	}
	return number;
}

/* Reads the next part of the folder as a number from `least` to `most`. */
static bool take_number(const char **at, size_t digits, int least, int most, int32_t *number)
{
	const char *slash = strchr(*at, '/');
	if (slash == NULL) return false;
	*number = number_of(*at, (size_t)(slash - *at), digits);
	if (*number < least || *number > most) return false;
	*at = slash + 1;
	return true;
}

bool gm_source_folder_end(const char *folder, int64_t *end_us)
{
	int32_t year, month, day, hour;
	const char *at = folder;
	while (!take_number(&at, 4, 1970, 9999, &year)) {
		at = strchr(at, '/');
		if (at == NULL) return false;
		at++;
	}
	if (!take_number(&at, 2, 1, 12, &month))
		*end_us = gm_days_from_civil(year + 1, 1, 1) * GM_US_PER_DAY;
	else if (!take_number(&at, 2, 1, gm_days_in_month(year, month), &day))
		*end_us = (gm_days_from_civil(year, month, 1) + gm_days_in_month(year, month)) * GM_US_PER_DAY;
	else if (!take_number(&at, 2, 0, 23, &hour))
		*end_us = (gm_days_from_civil(year, month, day) + 1) * GM_US_PER_DAY;
	else
		*end_us = gm_days_from_civil(year, month, day) * GM_US_PER_DAY + (hour + 1) * GM_US_PER_HOUR;
	return true;
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */

bool gm_source_is_changed(const struct gm_object_info *info, const struct gm_bookmark_entry *known)
{
	if (info->size != known->size) return true;
	uint64_t etag = gm_bookmark_etag_hash(info->etag);
	if (etag != 0 && known->etag_hash != 0) return etag != known->etag_hash;
	return info->mtime_us != known->mtime_us;
}

struct listing {
	struct gm_bookmark *bookmark;
	struct gm_source_range range;
	gm_source_object_fn *each;
	void *context;
};

static bool is_left_out(void *context, const char *folder)
{
	const struct gm_source_range *range = &((const struct listing *)context)->range;
	int64_t end_us;
	return gm_source_folder_end(folder, &end_us) && end_us <= range->since_us;
}

static enum gm_code note_object(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	const struct listing *listing = context;
	const struct gm_bookmark_entry *known;
	if (gm_plan_skips(info)) return GM_OK;
	GM_TRY(check_key(info->key, err));
	GM_TRY(gm_bookmark_find(listing->bookmark, info->key, &known, err));
	return listing->each(listing->context, info, known, err);
}

enum gm_code gm_source_list(struct gm_store *source, struct gm_bookmark *bookmark, const struct gm_source_range *range,
                            gm_source_object_fn *each, void *context, struct gm_error *err)
{
	static const struct gm_source_range all = {.since_us = INT64_MIN};
	struct listing listing = {
	    .bookmark = bookmark, .range = range != NULL ? *range : all, .each = each, .context = context};
	gm_bookmark_restart(bookmark);
	const char *after = listing.range.after != NULL ? listing.range.after : "";
	gm_prune_fn *prune = listing.range.since_us != INT64_MIN ? is_left_out : NULL;
	return gm_store_list_after(source, "", after, prune, note_object, &listing, err);
}
