/* What only a directory can get wrong: links, modes, full disks, strange files, many files, names of temporary files.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

struct place {
	char *folder;
	struct gm_store *store;
};

static int open_place(void **state)
{
	struct place *place = malloc(sizeof *place);
	assert_non_null(place);
	place->folder = make_folder();
	must(gm_store_open(place->folder, NULL, false, &place->store, &failure));
	*state = place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	gm_store_close(place->store);
	drop_folder(place->folder);
	free(place);
	return 0;
}

static void opening_tells_what_is_wrong(void **state)
{
	struct place *place = *state;
	struct gm_store *store;
	char path[512];
	(void)snprintf(path, sizeof path, "%s/new/er//folder", place->folder);
	assert_int_equal(gm_store_open(path, NULL, false, &store, &failure), GM_NOT_FOUND);
	assert_null(store);
	must(gm_store_open(path, NULL, true, &store, &failure));
	put_text(store, "k", "v");
	gm_store_close(store);
	gm_store_close(NULL);
	assert_string_equal(get_text(place->store, "new/er/folder/k"), "v");
	(void)snprintf(path, sizeof path, "file://%s/new", place->folder);
	must(gm_store_open(path, NULL, false, &store, &failure));
	assert_string_equal(get_text(store, "er/folder/k"), "v");
	gm_store_close(store);
	(void)snprintf(path, sizeof path, "%s/new/er/folder/k", place->folder);
	assert_int_equal(gm_store_open(path, NULL, true, &store, &failure), GM_NOT_FOUND);
	assert_string_equal(failure.object, path);
	(void)snprintf(path, sizeof path, "%s/new/er/folder/k/below", place->folder);
	assert_int_not_equal(gm_store_open(path, NULL, true, &store, &failure), GM_OK);
	assert_int_equal(gm_store_open("", NULL, true, &store, &failure), GM_USAGE);
	assert_int_equal(gm_store_open("ftp://bucket/x", NULL, true, &store, &failure), GM_UNSUPPORTED);
}

static void same(const char *location, const char *expected)
{
	char *text = gm_store_canonical(location);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void a_place_has_one_canonical_name(void **state)
{
	struct place *place = *state;
	char path[1024], link[512], expected[512];
	char *real = realpath(place->folder, NULL);
	assert_non_null(real);
	put_text(place->store, "a/b", "x");
	(void)snprintf(expected, sizeof expected, "%s/a", real);
	static const char *const ways[] = {"%s/a", "%s/a/", "%s//a//", "%s/./a", "%s/a/../a", "file://%s/a/"};
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		(void)snprintf(path, sizeof path, ways[i], place->folder);
		same(path, expected);
	}
	(void)snprintf(link, sizeof link, "%s/link", place->folder);
	assert_int_equal(symlink(expected, link), 0);
	same(link, expected);
	/* What is not there cannot be looked at: its path is made absolute and no more. */
	same("/no/such/folder//", "/no/such/folder");
	char *here = getcwd(NULL, 0);
	assert_non_null(here);
	(void)snprintf(path, sizeof path, "%s/no-such-folder", here);
	same("no-such-folder/", path);
	free(here);
	free(real);
	same("/", "/");
	same("s3://bucket/a/b//", "s3://bucket/a/b");
	same("s3://bucket/", "s3://bucket");
	same("s3://", "s3://");
}

static void reading_follows_links(void **state)
{
	struct place *place = *state;
	shell("cd '%s' && mkdir -p real/deep out && echo -n x > real/deep/f && ln -s ../real/deep out/folder && "
	      "ln -s ../real/deep/f out/file && ln -s nowhere out/broken && ln -s self out/self && "
	      "ln -s .. real/up && ln -s . real/deep/here && ln -s ../out real/across && ln -s /dev/null out/null",
	      place->folder);
	assert_string_equal(list_text(place->store, ""),
	                    "out/file|out/folder/f|real/across/file|real/across/folder/f|real/deep/f");
	assert_string_equal(list_text(place->store, "out/folder/"), "out/folder/f");
	assert_string_equal(get_text(place->store, "out/folder/f"), "x");
	assert_string_equal(get_text(place->store, "out/file"), "x");
}

static void writing_does_not_follow_links(void **state)
{
	struct place *place = *state;
	char token[GM_TOKEN_BYTES];
	shell("cd '%s' && mkdir real keep && echo -n x > real/f && echo -n y > keep/f && ln -s real link && "
	      "ln -s real/f file && mkdir tree && ln -s ../keep tree/keep && ln -s ../keep/f tree/f",
	      place->folder);
	assert_int_equal(gm_store_put(place->store, "link/g", "", 0, true, &failure), GM_IO);
	assert_non_null(strstr(failure.message, "symbolic link"));
	assert_int_equal(gm_store_remove(place->store, "link/f", &failure), GM_IO);
	assert_int_equal(gm_store_remove_tree(place->store, "link/", &failure), GM_IO);
	assert_int_equal(gm_store_put(place->store, "real/f/g", "", 0, true, &failure), GM_IO);
	stage_text(place->store, "a", "b", token);
	assert_int_equal(gm_store_publish(place->store, token, "link/a", &failure), GM_IO);
	must(gm_store_discard(place->store, token, &failure));
	must(gm_store_put(place->store, "file", "new", 3, false, &failure)); /* replaces the link itself */
	assert_string_equal(get_text(place->store, "real/f"), "x");
	assert_string_equal(get_text(place->store, "file"), "new");
	must(gm_store_remove_tree(place->store, "tree/", &failure));
	assert_string_equal(list_text(place->store, ""), "file|keep/f|link/f|real/f");
}

static void strange_files_do_no_harm(void **state)
{
	struct place *place = *state;
	struct gm_store_reader *reader;
	shell("cd '%s' && mkfifo pipe && ln -s pipe to_pipe && mkdir d && touch .x.tmp d/.1234.tmp ok .tmp && mkdir .y.tmp "
	      "&& "
	      "touch .y.tmp/z \"$(printf 'new\\nline')\" $(printf 'bad\\377')",
	      place->folder);
	assert_string_equal(list_text(place->store, ""), ".tmp|bad\xff|new\nline|ok");
	assert_int_equal(gm_store_reader_open(place->store, "pipe", &reader, &failure), GM_NOT_FOUND);
	assert_int_equal(gm_store_reader_open(place->store, "d", &reader, &failure), GM_NOT_FOUND);
}

static void changes_while_reading_are_seen(void **state)
{
	struct place *place = *state;
	struct gm_store_reader *reader;
	struct timespec moved[2] = {{1000000000, 5}, {1000000000, 123456789}};
	char piece[16], path[512];
	size_t got;
	put_text(place->store, "f", "0123456789");
	(void)snprintf(path, sizeof path, "%s/f", place->folder);
	assert_int_equal(utimensat(AT_FDCWD, path, moved, 0), 0);
	must(gm_store_reader_open(place->store, "f", &reader, &failure));
	assert_int_equal(reader->info.mtime_us, 1000000000123456);
	must(gm_store_reader_read(reader, piece, 5, &got, &failure));
	must(gm_store_reader_check(reader, &failure));
	shell("echo more >> '%s/f'", place->folder);
	assert_int_equal(gm_store_reader_check(reader, &failure), GM_CHANGED);
	assert_string_equal(failure.object, path);
	gm_store_reader_close(reader);
	assert_int_equal(utimensat(AT_FDCWD, path, moved, 0), 0);
	must(gm_store_reader_open(place->store, "f", &reader, &failure));
	moved[1].tv_nsec++; /* less than a microsecond */
	assert_int_equal(utimensat(AT_FDCWD, path, moved, 0), 0);
	assert_int_equal(gm_store_reader_check(reader, &failure), GM_CHANGED);
	gm_store_reader_close(reader);
	must(gm_store_reader_open(place->store, "f", &reader, &failure));
	must(gm_store_put(place->store, "f", "other", 5, false, &failure)); /* another file: ours is as it was */
	must(gm_store_reader_read(reader, piece, sizeof piece, &got, &failure));
	assert_memory_equal(piece, "0123456789more\n", got);
	must(gm_store_reader_check(reader, &failure));
	gm_store_reader_close(reader);
	moved[1].tv_sec = -1; /* before 1970 */
	moved[1].tv_nsec = 999999999;
	assert_int_equal(utimensat(AT_FDCWD, path, moved, 0), 0);
	must(gm_store_reader_open(place->store, "f", &reader, &failure));
	assert_int_equal(reader->info.mtime_us, -1);
	gm_store_reader_close(reader);
}

static void a_full_disk_is_told_and_leaves_nothing(void **state)
{
	struct place *place = *state;
	enum { BYTES = 400000 };
	struct gm_staged *staged;
	char token[GM_TOKEN_BYTES];
	char *data = calloc(1, BYTES);
	struct rlimit old, small;
	assert_non_null(data);
	put_text(place->store, "k", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	small = (struct rlimit){.rlim_cur = 100000, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(gm_store_put(place->store, "f", data, BYTES, true, &failure), GM_NOSPACE);
	assert_int_equal(gm_store_put(place->store, "k", data, BYTES, false, &failure), GM_NOSPACE);
	must(gm_store_stage_open(place->store, "f", "w/", &staged, &failure));
	must(gm_store_stage_append(place->store, staged, data, 60000, &failure));
	assert_int_equal(gm_store_stage_append(place->store, staged, data, BYTES, &failure), GM_NOSPACE);
	assert_int_equal(gm_store_stage_append(place->store, staged, data, 1, &failure), GM_OK); /* buffered */
	/* There is room again, but the file has a hole: it must never look finished. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(gm_store_stage_finish(place->store, staged, token, &failure), GM_NOSPACE);
	assert_string_equal(token, "");
	assert_string_equal(list_text(place->store, ""), "k");
	assert_string_equal(get_text(place->store, "k"), "old");
	shell("test -z \"$(find '%s' -name '.*.tmp')\"", place->folder);
	free(data);
}

static void denial_is_told(void **state)
{
	struct place *place = *state;
	struct gm_store_reader *reader;
	struct gm_buf keys;
	enum { NOBODY = 65534 };
	put_text(place->store, "closed/f", "");
	put_text(place->store, "secret", "");
	shell("chmod 755 '%s' && chmod 0 '%s/closed' '%s/secret'", place->folder);
	bool root = geteuid() == 0; /* to whom nothing is denied */
	if (root) assert_int_equal(seteuid(NOBODY), 0);
	gm_buf_init(&keys, 1000);
	enum gm_code listed = gm_store_list(place->store, "", join_keys, &keys, &failure);
	bool named = strstr(failure.object, "closed") != NULL;
	gm_buf_release(&keys);
	enum gm_code opened = gm_store_reader_open(place->store, "secret", &reader, &failure);
	if (root) assert_int_equal(seteuid(0), 0);
	shell("chmod 500 '%s'", place->folder);
	if (root) assert_int_equal(seteuid(NOBODY), 0);
	enum gm_code put = gm_store_put(place->store, "n", "", 0, true, &failure);
	if (root) assert_int_equal(seteuid(0), 0);
	assert_int_equal(listed, GM_DENIED);
	assert_true(named);
	assert_int_equal(opened, GM_DENIED);
	assert_int_equal(put, GM_DENIED);
}

static void tokens_are_checked(void **state)
{
	struct place *place = *state;
	char token[GM_TOKEN_BYTES];
	put_text(place->store, "year/data", "x");
	static const char *const bad[] = {"year/data",
	                                  "",
	                                  "../x",
	                                  "w/0123.staged",
	                                  "0123456789abcdef0123456789abcdef.staged",
	                                  "w/../0123456789abcdef0123456789abcdef.staged",
	                                  "w/0123456789abcdef0123456789abcdeg.staged",
	                                  "w/x0123456789abcdef0123456789abcdef.staged"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(gm_store_discard(place->store, bad[i], &failure), GM_CORRUPT);
		assert_int_equal(gm_store_publish(place->store, bad[i], "k", &failure), GM_CORRUPT);
	}
	must(gm_store_discard(place->store, "w/0123456789abcdef0123456789abcdef.staged", &failure));
	/* The path is too long for a token, though not for a key. */
	struct gm_staged *staged;
	char prefix[1001];
	for (size_t i = 0; i < 1000; i++) prefix[i] = i % 100 == 99 ? '/' : 'w';
	prefix[1000] = '\0';
	assert_int_equal(gm_store_stage_open(place->store, "f", prefix, &staged, &failure), GM_USAGE);
	stage_text(place->store, "f", "data", token);
	must(gm_store_remove_tree(place->store, "_gristmill/j/work/1/", &failure));
	assert_int_equal(gm_store_publish(place->store, token, "f", &failure), GM_NOT_FOUND);
	assert_string_equal(list_text(place->store, ""), "year/data");
}

/* --- listings against a naive model ------------------------------------------------------------------------------- */

struct model {
	char (*keys)[96];
	size_t count, next;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(a, b);
}

static enum gm_code expect_next(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	(void)err;
	struct model *model = context;
	assert_true(model->next < model->count);
	assert_string_equal(info->key, model->keys[model->next]);
	model->next++;
	return GM_OK;
}

static void touch(const char *folder, const char *key)
{
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", folder, key);
	for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		(void)mkdir(path, 0777);
		*slash = '/';
	}
	int fd = open(path, O_CREAT | O_WRONLY, 0666);
	if (fd >= 0) (void)close(fd);
}

static void random_trees_are_listed_in_order(void **state)
{
	struct place *place = *state;
	static const char letters[] = "ab-.0/~\xc3_";
	struct model model = {.keys = calloc(4000, sizeof *model.keys)};
	assert_non_null(model.keys);
	unsigned seed = 12345;
	for (int i = 0; i < 4000; i++) {
		char key[16];
		size_t n = 0;
		seed = seed * 1664525U + 1013904223U;
		for (unsigned bits = seed >> 4; n < 9 && (n == 0 || bits % 11 != 0); bits = bits / 11 + seed) {
			seed = seed * 1664525U + 1013904223U;
			key[n++] = letters[(seed >> 16) % (sizeof letters - 1)];
		}
		key[n] = '\0';
		if (gm_store_key_valid(key)) touch(place->folder, key);
	}
	/* What is there after conflicts of files and folders, find says; sort -z by bytes is the model. */
	char command[1024];
	(void)snprintf(command, sizeof command, "cd '%s' && find . -type f -print0 | LC_ALL=C sort -z", place->folder);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	char *line = NULL;
	size_t room = 0;
	while (getdelim(&line, &room, 0, pipe) > 0) (void)snprintf(model.keys[model.count++], 96, "%s", line + 2);
	free(line);
	assert_int_equal(pclose(pipe), 0);
	assert_true(model.count > 500);
	qsort(model.keys, model.count, sizeof *model.keys, by_key);
	must(gm_store_list(place->store, "", expect_next, &model, &failure));
	assert_int_equal(model.next, model.count);
	free(model.keys);
}

/* The same folder below more folders than are kept open: the keys are as they were, behind its longer path. */
static void far_down(const struct place *place, const struct gm_buf *before)
{
	char from[1024], to[128] = "", path[1024];
	struct gm_buf keys;
	for (int i = 0; i < 40; i++) strcat(to, "m/");
	(void)snprintf(from, sizeof from, "%s/m", place->folder);
	(void)snprintf(path, sizeof path, "%s/x", place->folder);
	assert_int_equal(rename(from, path), 0);
	touch(place->folder, to);
	(void)snprintf(from, sizeof from, "%s/%sm", place->folder, to);
	assert_int_equal(rename(path, from), 0);
	gm_buf_init(&keys, 64 << 20);
	must(gm_store_list(place->store, "", join_keys, &keys, &failure));
	const char *was = (const char *)before->data, *is = (const char *)keys.data;
	/* By memchr(): a sanitizer's strchr() measures all that follows, each time. */
	const char *was_end = was + before->len, *is_end = is + keys.len;
	while (*was == *is && *was != 'z') {
		size_t n = (size_t)((const char *)memchr(was, '|', (size_t)(was_end - was)) + 1 - was);
		if (*was == 'm') {
			assert_memory_equal(is, to, strlen(to));
			is += strlen(to);
		}
		assert_true((size_t)(is_end - is) > n);
		assert_memory_equal(was, is, n);
		was += n;
		is += n;
	}
	assert_memory_equal(is, "z", 1);
	gm_buf_release(&keys);
}

/* More names in one folder than are held at a time, in between two small folders. */
static void crowded_folders_are_listed_in_pieces(void **state)
{
	struct place *place = *state;
	enum { FILES = 70000, LONG = 240 };
	char path[512];
	(void)snprintf(path, sizeof path, "%s/m", place->folder);
	assert_int_equal(mkdir(path, 0777), 0);
	int folder = open(path, O_RDONLY | O_DIRECTORY);
	assert_true(folder >= 0);
	char name[LONG + 1];
	memset(name, 'x', LONG);
	name[LONG] = '\0';
	for (unsigned i = 0; i < FILES; i++) {
		char digits[8];
		(void)snprintf(digits, sizeof digits, "%06u", i * 7919U % FILES);
		memcpy(name, digits, 6);
		if (i % 10000 == 0) {
			assert_int_equal(mkdirat(folder, name, 0777), 0);
			int inner = openat(folder, name, O_RDONLY | O_DIRECTORY);
			assert_true(inner >= 0);
			int fd = openat(inner, "f", O_CREAT | O_WRONLY, 0666);
			assert_true(fd >= 0);
			(void)close(fd);
			(void)close(inner);
		} else {
			assert_int_equal(mknodat(folder, name, S_IFREG | 0666, 0), 0);
		}
	}
	(void)close(folder);
	put_text(place->store, "a", "");
	put_text(place->store, "z", "");
	struct gm_buf keys;
	gm_buf_init(&keys, 64 << 20);
	struct timespec from, to;
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	must(gm_store_list(place->store, "", join_keys, &keys, &failure));
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("%d long names listed in %ld ms\n", FILES,
	              (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	const char *at = (const char *)keys.data;
	unsigned seen = 0, folders = 0;
	char want[8];
	assert_memory_equal(at, "a|", 2);
	for (at += 2; *at == 'm'; seen++) {
		(void)snprintf(want, sizeof want, "%06u", seen);
		assert_memory_equal(at + 2, want, 6);
		at += 2 + LONG;
		if (*at == '/') {
			folders++;
			at += 2;
		}
		assert_int_equal(*at, '|');
		at++;
	}
	assert_string_equal(at, "z");
	assert_int_equal(seen, FILES);
	assert_int_equal(folders, FILES / 10000);
	far_down(place, &keys);
	gm_buf_release(&keys);
	must(gm_store_remove_tree(place->store, "m/", &failure));
	assert_string_equal(list_text(place->store, ""), "a|z");
}

static void deep_trees_are_removed(void **state)
{
	struct place *place = *state;
	put_text(place->store, "w/1/f", "");
	shell("cd '%s/w/1' && i=0 && while [ $i -lt 600 ]; do mkdir d && touch d/f .x.tmp && cd d && i=$((i+1)); done",
	      place->folder);
	struct gm_buf keys;
	gm_buf_init(&keys, 1 << 20);
	/* A key of 1,023 bytes ends this listing; that is an error, not a silent omission. */
	assert_int_equal(gm_store_list(place->store, "", join_keys, &keys, &failure), GM_IO);
	gm_buf_release(&keys);
	must(gm_store_remove_tree(place->store, "w/1/", &failure));
	assert_string_equal(list_text(place->store, ""), "");
	shell("test ! -e '%s/w/1' && test -d '%s/w'", place->folder);
}

static void handle_signal(int number)
{
	(void)number;
}

/* Signals without SA_RESTART arrive all the time: nothing fails because of them. */
static void signals_do_not_disturb(void **state)
{
	struct place *place = *state;
	struct sigaction action = {.sa_handler = handle_signal};
	struct itimerval often = {.it_interval = {0, 200}, .it_value = {0, 200}}, never = {0};
	enum { BYTES = 3 << 20 };
	char *data = malloc(BYTES), token[GM_TOKEN_BYTES];
	assert_non_null(data);
	memset(data, 'x', BYTES);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (int i = 0; i < 20; i++) {
		char key[32];
		struct gm_staged *staged;
		struct gm_buf buf;
		(void)snprintf(key, sizeof key, "k%d/k", i);
		must(gm_store_put(place->store, key, data, BYTES, true, &failure));
		gm_buf_init(&buf, BYTES);
		must(gm_store_get(place->store, key, &buf, &failure));
		assert_int_equal(buf.len, BYTES);
		gm_buf_release(&buf);
		(void)snprintf(key, sizeof key, "s%d", i);
		must(gm_store_stage_open(place->store, key, "w/", &staged, &failure));
		must(gm_store_stage_append(place->store, staged, data, BYTES, &failure));
		must(gm_store_stage_finish(place->store, staged, token, &failure));
		must(gm_store_publish(place->store, token, key, &failure));
		must(gm_store_discard(place->store, token, &failure));
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	free(data);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_PLACE(opening_tells_what_is_wrong),
	    IN_PLACE(a_place_has_one_canonical_name),
	    IN_PLACE(reading_follows_links),
	    IN_PLACE(writing_does_not_follow_links),
	    IN_PLACE(strange_files_do_no_harm),
	    IN_PLACE(changes_while_reading_are_seen),
	    IN_PLACE(a_full_disk_is_told_and_leaves_nothing),
	    IN_PLACE(denial_is_told),
	    IN_PLACE(tokens_are_checked),
	    IN_PLACE(random_trees_are_listed_in_order),
	    IN_PLACE(crowded_folders_are_listed_in_pieces),
	    IN_PLACE(deep_trees_are_removed),
	    IN_PLACE(signals_do_not_disturb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
