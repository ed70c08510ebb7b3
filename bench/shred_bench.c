/* shred_bench.c - nanoseconds a record takes to inflate, and to inflate and shred, on given objects of access records.
 *
 *     shred_bench [-p] [-w WINDOW_BYTES] [-n REPEATS] FILE.gz ...
 *
 * CPU time of one thread, the best of the repeats; files are read into memory first, and with -p inflated as well. */
#include "shred/shred.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct file {
	uint8_t *data;
	size_t n, pos;
};

static const struct {
	const char *column, *path[2];
	enum gm_type type;
} wanted[] = {
    {"session_id", {"payload", "sessionId"}, GM_TYPE_STRING},
    {"timestamp", {"payload", "timestamp"}, GM_TYPE_TIMESTAMP},
    {"user_id", {"payload", "userId"}, GM_TYPE_BIGINT},
    {"method", {"payload", "method"}, GM_TYPE_STRING},
    {"request_url", {"payload", "requestURL"}, GM_TYPE_STRING},
    {"user_agent", {"payload", "userAgent"}, GM_TYPE_STRING},
    {"host", {"payload", "host"}, GM_TYPE_STRING},
    {"origin", {"payload", "origin"}, GM_TYPE_STRING},
    {"x_forwarded_for", {"payload", "xforwardedFor"}, GM_TYPE_STRING},
    {"via", {"payload", "via"}, GM_TYPE_STRING},
    {"thread_id", {"payload", "threadId"}, GM_TYPE_BIGINT},
    {"elapse_ms", {"payload", "elapseMS"}, GM_TYPE_BIGINT},
    {"success", {"payload", "success"}, GM_TYPE_BOOLEAN},
    {"stack", {"payload", "stack"}, GM_TYPE_STRING},
    {"instance", {"payload", "instance"}, GM_TYPE_STRING},
    {"vm_id", {"payload", "vmId"}, GM_TYPE_STRING},
    {"return_object_id", {"payload", "returnObjectId"}, GM_TYPE_STRING},
    {"query_string", {"payload", "queryString"}, GM_TYPE_STRING},
    {"response_status", {"payload", "responseStatus"}, GM_TYPE_BIGINT},
    {"oauth_client_id", {"payload", "oauthClientId"}, GM_TYPE_STRING},
    {"basic_auth_username", {"payload", "basicAuthUsername"}, GM_TYPE_STRING},
    {"auth_method", {"payload", "authenticationMethod"}, GM_TYPE_STRING},
};
enum { WANTED = sizeof wanted / sizeof *wanted };

static void die(const char *what)
{
	(void)fprintf(stderr, "shred_bench: %s\n", what);
	exit(1);
}

static double cpu_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct file load(const char *path)
{
	FILE *in = fopen(path, "rb");
	if (in == NULL || fseek(in, 0, SEEK_END) != 0) die(path);
	long n = ftell(in);
	rewind(in);
	struct file file = {malloc((size_t)n + 1), (size_t)n, 0};
	if (file.data == NULL || fread(file.data, 1, file.n, in) != file.n) die(path);
	(void)fclose(in);
	return file;
}

static enum gm_code from_file(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	(void)err;
	struct file *file = context;
	*got = file->n - file->pos < bytes ? file->n - file->pos : bytes;
	memcpy(into, file->data + file->pos, *got);
	file->pos += *got;
	return GM_OK;
}

static enum gm_code count_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                 bool last, struct gm_error *err)
{
	(void)context, (void)data, (void)bytes, (void)err;
	if (last) (void)fprintf(stderr, "rejected at %llu: %s\n", (unsigned long long)reject->offset, reject->detail);
	return GM_OK;
}

static uint64_t inflate_only(struct file *files, int count, size_t window)
{
	struct gm_inflate *inflate = gm_inflate_new();
	uint8_t *out = malloc(window);
	uint64_t total = 0;
	if (inflate == NULL || out == NULL) die("out of memory");
	for (int i = 0; i < count; i++) {
		size_t got;
		struct gm_error err;
		files[i].pos = 0;
		gm_inflate_begin(inflate, from_file, &files[i]);
		do {
			if (gm_inflate_read(inflate, out, window, &got, &err) != GM_OK) die(err.message);
			total += got;
		} while (got > 0);
	}
	free(out);
	gm_inflate_free(inflate);
	return total;
}

static struct gm_shredder *new_shredder(struct gm_chunk_pool *pool, size_t window)
{
	static size_t path_bytes[WANTED][2];
	struct gm_shred_leaf leaves[WANTED];
	for (int i = 0; i < WANTED; i++) {
		for (int j = 0; j < 2; j++) path_bytes[i][j] = strlen(wanted[i].path[j]);
		leaves[i] = (struct gm_shred_leaf){.path = wanted[i].path,
		                                   .path_bytes = path_bytes[i],
		                                   .path_len = 2,
		                                   .type = wanted[i].type,
		                                   .unit = GM_UNIT_MS,
		                                   .required = wanted[i].type == GM_TYPE_TIMESTAMP,
		                                   .name = wanted[i].column};
	}
	struct gm_shred_options options = {
	    .max_record_bytes = 32 << 20, .window_bytes = window, .dict_bytes_max = 128 << 20};
	struct gm_shredder *shredder;
	struct gm_error err;
	if (gm_shredder_new(leaves, WANTED, &options, pool, &shredder, &err) != GM_OK) die(err.message);
	return shredder;
}

static uint64_t shred(struct file *files, int count, size_t window)
{
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	if (pool == NULL) die("out of memory");
	struct gm_shredder *shredder = new_shredder(pool, window);
	uint64_t rows = 0;
	for (int i = 0; i < count; i++) {
		files[i].pos = 0;
		gm_shredder_begin(shredder, from_file, count_reject, &files[i]);
		for (;;) {
			struct gm_chunk *chunk;
			struct gm_error err;
			if (gm_shredder_next(shredder, 4, &chunk, &err) != GM_OK) die(err.message);
			if (chunk == NULL) break;
			rows += chunk->rows;
			gm_chunk_unref(chunk);
		}
	}
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
	return rows;
}

/* The file's bytes inflated, in place of what they were. */
static void inflate_ahead(struct file *file)
{
	struct gm_inflate *inflate = gm_inflate_new();
	size_t n = 0, cap = file->n * 20 + 4096, got;
	uint8_t *out = malloc(cap);
	struct gm_error err;
	if (inflate == NULL || out == NULL) die("out of memory");
	gm_inflate_begin(inflate, from_file, file);
	do {
		if (gm_inflate_read(inflate, out + n, cap - n, &got, &err) != GM_OK) die(err.message);
		n += got;
	} while (got > 0);
	gm_inflate_free(inflate);
	free(file->data);
	*file = (struct file){out, n, 0};
}

int main(int argc, char **argv)
{
	size_t window = 1 << 20;
	int repeats = 5, option;
	bool ahead = false;
	while ((option = getopt(argc, argv, "pw:n:")) != -1) {
		if (option == 'p')
			ahead = true;
		else if (option == 'w')
			window = strtoul(optarg, NULL, 10);
		else if (option == 'n')
			repeats = atoi(optarg);
		else
			die("usage: shred_bench [-p] [-w WINDOW_BYTES] [-n REPEATS] FILE.gz ...");
	}
	int count = argc - optind;
	if (count == 0) die("no files given");
	struct file *files = calloc((size_t)count, sizeof *files);
	if (files == NULL) die("out of memory");
	for (int i = 0; i < count; i++) files[i] = load(argv[optind + i]);
	for (int i = 0; i < count && ahead; i++) inflate_ahead(&files[i]);
	double best_inflate = 1e9, best_shred = 1e9;
	uint64_t bytes = 0, rows = 0;
	for (int i = 0; i < repeats; i++) {
		double start = cpu_seconds();
		bytes = inflate_only(files, count, window);
		double middle = cpu_seconds();
		rows = shred(files, count, window);
		double end = cpu_seconds();
		if (middle - start < best_inflate) best_inflate = middle - start;
		if (end - middle < best_shred) best_shred = end - middle;
	}
	double each = 1e9 / (double)(rows > 0 ? rows : 1);
	(void)printf(
	    "%llu records, %llu bytes of JSON\ninflate         %6.0f ns a record\ninflate + shred %6.0f ns a record\n",
	    (unsigned long long)rows, (unsigned long long)bytes, best_inflate * each, best_shred * each);
	for (int i = 0; i < count; i++) free(files[i].data);
	free(files);
	return 0;
}
