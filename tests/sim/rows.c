/* rows.c - the rows of a data file, found in its bytes without any reader of ours.
 *
 * The jobs write files that are not compressed. Their key column is PLAIN, or a dictionary that is PLAIN: each value
 * once, four bytes of length, then the value. Nothing else in a file looks like that: statistics, bounds and metadata
 * have lengths of one byte before them. A dictionary tells distinct keys; that none stands in two rows of the file
 * follows from the number of rows, which the caller compares. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 7, LENGTH_BYTES = 4 };

static bool key_at(const uint8_t *at, unsigned *key)
{
	static const uint8_t length[LENGTH_BYTES] = {KEY_BYTES, 0, 0, 0};
	if (memcmp(at, length, sizeof length) != 0 || at[LENGTH_BYTES] != 'k') return false;
	*key = 0;
	for (int i = 1; i < KEY_BYTES; i++) {
		uint8_t digit = at[LENGTH_BYTES + i];
		if (digit < '0' || digit > '9') return false;
		*key = *key * 10 + (digit - '0');
	}
	return *key < SIM_KEYS;
}

static bool partition_of(const char *path, unsigned *part)
{
	static const char folder[] = "part=";
	if (strncmp(path, folder, sizeof folder - 1) != 0) return false;
	*part = (unsigned)(path[sizeof folder - 1] - 'a');
	return *part < SIM_PARTS && path[sizeof folder] == '/';
}

bool sim_rows_read(struct sim *sim, const char *path, const uint8_t *data, size_t bytes, uint16_t **rows, size_t *count)
{
	unsigned part, key;
	*rows = NULL;
	*count = 0;
	if (!partition_of(path, &part)) {
		sim_violation(sim, "%s lies in no partition of the jobs", path);
		return false;
	}
	if (bytes < 12 || memcmp(data, "PAR1", 4) != 0 || memcmp(data + bytes - 4, "PAR1", 4) != 0) {
		sim_violation(sim, "%s is visible and no Parquet file", path);
		return false;
	}
	*rows = malloc((bytes / (LENGTH_BYTES + KEY_BYTES) + 1) * sizeof **rows);
	if (*rows == NULL) abort();
	for (size_t at = 4; at + LENGTH_BYTES + KEY_BYTES <= bytes; at++) {
		if (!key_at(data + at, &key)) continue;
		(*rows)[(*count)++] = (uint16_t)(key * SIM_PARTS + part);
		at += LENGTH_BYTES + KEY_BYTES - 1;
	}
	return true;
}
