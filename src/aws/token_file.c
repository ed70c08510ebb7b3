#include "aws/providers.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_FILE_MAX = 64 << 10, READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

bool gm_token_is_plain(const char *token)
{
	if (token[0] == '\0') return false;
	for (; *token != '\0'; token++)
		if (*token < ' ' || *token > '~') return false;
	return true;
}

static enum gm_code take_token(char *text, size_t n, const char *path, const char *setting, struct gm_error *err)
{
	if (n > TOKEN_FILE_MAX) GM_FAIL(err, GM_DENIED, "the token in %s (%s) has more than 64 KiB", path, setting);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL && text[n - 1] != '\0') n--;
	bool whole = memchr(text, '\0', n) == NULL;
	text[n] = '\0';
	if (whole && gm_token_is_plain(text)) return GM_OK;
	GM_FAIL(err, GM_DENIED, "the token in %s (%s) %s", path, setting,
	        n == 0 ? "is empty" : "holds characters that no token has");
}

enum gm_code gm_token_file_read(const char *path, const char *setting, struct gm_secret_memory *memory,
                                const char **out, struct gm_error *err)
{
	char *text = gm_secret_alloc(memory, TOKEN_FILE_MAX + 2);
	if (text == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a token");
	int fd = gm_io_openat(AT_FDCWD, path, READ_FLAGS, 0);
	if (fd < 0) return gm_error_errno(err, errno, path, setting);
	size_t n = 0;
	bool read = gm_io_read(fd, text, TOKEN_FILE_MAX + 1, &n);
	int number = errno;
	(void)close(fd);
	if (!read) return gm_error_errno(err, number, path, setting);
	*out = text;
	return take_token(text, n, path, setting, err);
}
