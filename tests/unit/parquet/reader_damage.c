/* Every byte of small files changed, and every file cut everywhere: it reads, or a listed error says why not; the
 * sanitizers watch. The files are ours (with checksums, and with checksums made right again by chance never), and those
 * of the folders given as arguments, written by other engines.
 *
 * usage: reader_damage [FOLDER...] */
#include "nested.h"
#include "read_help.h"

#include <dirent.h>
#include <stdlib.h>

enum { MEMORY = 4 << 20, LARGEST = 900 };

static unsigned tried, refused;

static void fail(const char *name, size_t at, const char *what, const struct gm_error *err)
{
	(void)fprintf(stderr, "%s, byte %zu %s: %s: %s\n", name, at, what, gm_code_name(err->code), err->message);
	exit(1);
}

static void try_bytes(const char *name, const uint8_t *bytes, size_t n, size_t at, const char *what)
{
	/* A block of exactly its size, so that the sanitizer sees a byte too many. */
	uint8_t *copy = malloc(n + (n == 0));
	if (copy == NULL) abort();
	memcpy(copy, bytes, n);
	struct memory_file file = {.data = copy, .bytes = n};
	struct gm_parquet_input input = memory_input(&file);
	struct gm_error err = {0};
	uint64_t sum = 0;
	enum gm_code rc = read_everything(&input, MEMORY, 100, &sum, &err);
	free(copy);
	tried++;
	refused += rc != GM_OK;
	if (rc != GM_OK && rc != GM_CORRUPT && rc != GM_UNSUPPORTED) fail(name, at, what, &err);
	if (rc == GM_CORRUPT && err.offset > n) fail(name, at, "without a place", &err);
}

static void damage(const char *name, uint8_t *bytes, size_t n)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xFF};
	for (size_t at = 0; at < n; at++) {
		for (size_t m = 0; m < sizeof masks; m++) {
			bytes[at] ^= masks[m];
			try_bytes(name, bytes, n, at, "changed");
			bytes[at] ^= masks[m];
		}
		try_bytes(name, bytes, at, at, "cut");
		/* The end of the file with its beginning gone: the offsets in it point elsewhere. */
		try_bytes(name, bytes + at, n - at, at, "begun late");
	}
}

static void damage_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		perror(folder);
		exit(1);
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char path[4096];
		uint8_t bytes[LARGEST + 1];
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		FILE *file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
		if (file == NULL) continue;
		size_t n = fread(bytes, 1, sizeof bytes, file);
		(void)fclose(file);
		if (n <= LARGEST) damage(entry->d_name, bytes, n);
	}
	(void)closedir(dir);
}

static void damage_ours(bool nested)
{
	struct gm_buf buf;
	struct gm_error err;
	enum gm_code rc;
	gm_buf_init(&buf, SIZE_MAX / 2);
	if (nested) {
		FILE *json = fopen("/dev/null", "w");
		if (json == NULL) abort();
		rc = nested_write(20, 9, 4, model_sink_buf, &buf, json, &err);
		(void)fclose(json);
	} else {
		struct model model;
		struct presentation p;
		struct gm_parquet_writer *writer;
		struct gm_parquet_summary summary;
		uint64_t random = 3;
		model_init(&model, 40);
		model.options.codec = GM_CODEC_SNAPPY;
		model.options.page_rows = 15;
		for (enum gm_type type = GM_TYPE_BOOLEAN; type <= GM_TYPE_TIMESTAMP; type += 2) {
			model_add(&model, "c", type, GM_OPTIONAL);
			model_fill(&model, model.column_count - 1,
			           (struct model_fill){.distinct = 8, .null_permille = 200, .max_len = 9}, &random);
		}
		model.nodes[0].bloom = false;
		model.nodes[2].bloom = true;
		presentation_init(&p, PRESENT_PLAINLY, 1);
		rc = model_write(&model, &p, model_sink_buf, &buf, &writer, &summary, &err);
		gm_parquet_writer_free(writer);
		presentation_release(&p);
		model_release(&model);
	}
	if (rc != GM_OK) fail("our file", 0, "written", &err);
	damage(nested ? "nested" : "flat", buf.data, buf.len);
	gm_buf_release(&buf);
}

int main(int argc, char **argv)
{
	damage_ours(false);
	damage_ours(true);
	for (int i = 1; i < argc; i++) damage_folder(argv[i]);
	(void)printf("%u damaged files read, %u refused\n", tried, refused);
	return refused > tried / 4 ? 0 : 1;
}
