/* replay.c - runs a fuzzer's function on files, without a fuzzer: each argument is a file or a folder of files. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replayed;

static void replay_file(const char *path)
{
	FILE *in = fopen(path, "rb");
	if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
		perror(path);
		exit(1);
	}
	size_t n = (size_t)ftell(in);
	rewind(in);
	uint8_t *data = malloc(n + 1); /* exactly n bytes may be read: sanitizers watch the next */
	if (data == NULL || fread(data, 1, n, in) != n) {
		perror(path);
		exit(1);
	}
	(void)fclose(in);
	uint8_t *exact = realloc(data, n > 0 ? n : 1);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	replayed++;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat info;
		DIR *folder = NULL;
		if (stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode)) folder = opendir(argv[i]);
		if (folder == NULL) {
			replay_file(argv[i]);
			continue;
		}
		for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
			char path[4096];
			if (entry->d_name[0] == '.') continue;
			(void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			replay_file(path);
		}
		(void)closedir(folder);
	}
	(void)printf("%d inputs replayed\n", replayed);
	return replayed > 0 ? 0 : 1;
}
