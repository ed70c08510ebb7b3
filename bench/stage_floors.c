/* stage_floors.c - the least that a stage can cost of which floor.cc says nothing: the same bytes, handled by the one
 * call that cannot be left out, and nothing else.
 *
 *   stage_floors INPUT PAGES TABLE KEYS
 *
 *   read      read(2) of every *.gz below INPUT, 64 KiB at a time
 *   encode    memcpy of the pages in PAGES (pages.py: each a length of four bytes and its bytes): they must be made
 *   hash      XXH3-128 of KEYS keys of 36 bytes
 *   dedupe    KEYS look-ups in a table of 16-byte slots at most half full, fetched ahead: a cache miss each
 *   checksum  CRC-32 and twice XXH3-128 of every *.parquet below TABLE: of pages, of what lies before the footer, of
 *             files
 *   write     write(2) of the same to one file, 64 KiB at a time
 *
 * Prints a JSON object of CPU seconds, each the least of ROUNDS. Memory is touched before the clock runs. */
#include <fcntl.h>
#include <ftw.h>
#include <isa-l/crc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ROUNDS = 5, PIECE = 64 << 10, KEY_BYTES = 36, AHEAD = 16, FILES_MAX = 1 << 20, DESCRIPTORS = 32 };

struct files {
	char **paths;
	size_t count;
};
struct slot {
	uint64_t low, high;
};

static struct files found; /* nftw has no context */
static const char *wanted;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *need(void *memory)
{
	if (memory == NULL) fail("memory");
	return memory;
}

static double now(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int note(const char *path, const struct stat *info, int kind, struct FTW *place)
{
	size_t n = strlen(path), k = strlen(wanted);
	(void)info, (void)place;
	if (kind != FTW_F || n < k || strcmp(path + n - k, wanted) != 0 || found.count == FILES_MAX) return 0;
	found.paths[found.count++] = need(strdup(path));
	return 0;
}

static struct files list(const char *folder, const char *ending)
{
	found = (struct files){need(calloc(FILES_MAX, sizeof(char *))), 0};
	wanted = ending;
	if (nftw(folder, note, DESCRIPTORS, 0) != 0 || found.count == 0) fail(folder);
	return found;
}

static uint64_t read_file(const char *path, uint8_t *into)
{
	uint64_t bytes = 0;
	ssize_t got;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) fail(path);
	while ((got = read(file, into, PIECE)) > 0) bytes += (uint64_t)got;
	if (got < 0) fail(path);
	(void)close(file);
	return bytes;
}

static double floor_of_read(const struct files *files)
{
	static uint8_t piece[PIECE];
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double begin = now();
		for (size_t i = 0; i < files->count; i++) (void)read_file(files->paths[i], piece);
		if (now() - begin < best) best = now() - begin;
	}
	return best;
}

/* Whole files, one behind the other. */
static uint8_t *load(char *const *paths, size_t count, size_t *bytes)
{
	uint8_t *data = NULL;
	*bytes = 0;
	for (size_t i = 0; i < count; i++) {
		FILE *file = fopen(paths[i], "rb");
		if (file == NULL || fseek(file, 0, SEEK_END) != 0) fail(paths[i]);
		size_t n = (size_t)ftell(file);
		rewind(file);
		data = need(realloc(data, *bytes + n + 1));
		if (fread(data + *bytes, 1, n, file) != n) fail(paths[i]);
		*bytes += n;
		(void)fclose(file);
	}
	return data;
}

static double floor_of_encode(char *path)
{
	size_t bytes;
	uint8_t *pages = load(&path, 1, &bytes), *page = need(calloc(1, bytes + 1));
	double best = 1e9;
	memset(page, 1, bytes);
	for (int round = 0; round < ROUNDS; round++) {
		double begin = now();
		for (size_t at = 0; at + sizeof(uint32_t) <= bytes;) {
			uint32_t n;
			memcpy(&n, pages + at, sizeof n);
			at += sizeof n;
			if (n > bytes - at) fail("pages");
			memcpy(page, pages + at, n); /* always to the same place: a page buffer is in the cache */
			at += n;
		}
		if (now() - begin < best) best = now() - begin;
	}
	free(pages);
	free(page);
	return best;
}

static double floor_of_hash(size_t keys, struct slot *hashes)
{
	uint8_t *text = need(malloc(keys * KEY_BYTES));
	uint64_t state = 1;
	double best = 1e9;
	for (size_t i = 0; i < keys * KEY_BYTES; i++) text[i] = (uint8_t)((state = state * 6364136223846793005U + 1) >> 56);
	for (int round = 0; round < ROUNDS; round++) {
		double begin = now();
		for (size_t i = 0; i < keys; i++) {
			XXH128_hash_t hash = XXH3_128bits(text + i * KEY_BYTES, KEY_BYTES);
			hashes[i] = (struct slot){hash.low64, hash.high64};
		}
		if (now() - begin < best) best = now() - begin;
	}
	free(text);
	return best;
}

static double floor_of_dedupe(size_t keys, const struct slot *hashes)
{
	size_t slots = 1;
	double best = 1e9;
	while (slots < keys * 2) slots *= 2;
	struct slot *table = need(malloc(slots * sizeof *table));
	for (int round = 0; round < ROUNDS; round++) {
		memset(table, 0, slots * sizeof *table);
		double begin = now();
		for (size_t i = 0; i < keys; i++) {
			if (i + AHEAD < keys) __builtin_prefetch(&table[hashes[i + AHEAD].low & (slots - 1)], 1);
			size_t at = hashes[i].low & (slots - 1);
			while (table[at].high != 0 && memcmp(&table[at], &hashes[i], sizeof *table) != 0)
				at = (at + 1) & (slots - 1);
			table[at] = hashes[i];
		}
		if (now() - begin < best) best = now() - begin;
	}
	free(table);
	return best;
}

static double floor_of_checksum(const uint8_t *data, size_t bytes, uint64_t *sum)
{
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double begin = now();
		*sum += crc32_gzip_refl(0, data, bytes);
		for (int twice = 0; twice < 2; twice++) *sum += XXH3_128bits(data, bytes).low64;
		if (now() - begin < best) best = now() - begin;
	}
	return best;
}

static double floor_of_write(const char *folder, const uint8_t *data, size_t bytes)
{
	char path[4096];
	double best = 1e9;
	(void)snprintf(path, sizeof path, "%s/stage_floors.tmp", folder);
	for (int round = 0; round < ROUNDS; round++) {
		int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (file < 0) fail(path);
		double begin = now();
		for (size_t at = 0; at < bytes; at += PIECE) {
			size_t n = bytes - at < PIECE ? bytes - at : PIECE;
			if (write(file, data + at, n) != (ssize_t)n) fail(path);
		}
		if (now() - begin < best) best = now() - begin;
		(void)close(file);
		(void)unlink(path);
	}
	return best;
}

int main(int argc, char **argv)
{
	if (argc != 5) return 2;
	size_t keys = strtoul(argv[4], NULL, 10), bytes;
	uint64_t sum = 0;
	struct files inputs = list(argv[1], ".gz"), outputs = list(argv[3], ".parquet");
	struct slot *hashes = need(malloc((keys + 1) * sizeof *hashes));
	uint8_t *table = load(outputs.paths, outputs.count, &bytes);
	double read_s = floor_of_read(&inputs), encode_s = floor_of_encode(argv[2]), hash_s = floor_of_hash(keys, hashes);
	double dedupe_s = floor_of_dedupe(keys, hashes), checksum_s = floor_of_checksum(table, bytes, &sum);
	double write_s = floor_of_write(argv[3], table, bytes);
	printf("{\"read\":%.5f,\"encode\":%.5f,\"hash\":%.5f,\"dedupe\":%.5f,\"checksum\":%.5f,\"write\":%.5f,\"sum\":\"%"
	       "llx\"}\n",
	       read_s, encode_s, hash_s, dedupe_s, checksum_s, write_s, (unsigned long long)sum);
	return 0;
}
