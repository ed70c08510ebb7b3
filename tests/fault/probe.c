/* probe.c - a program for the shims to disturb: prints which of its steps failed, with what. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void step(const char *name, long result)
{
	if (result >= 0) return;
	failures++;
	(void)printf("%s: %s\n", name, strerrorname_np(errno));
}

static void allocate(void)
{
	void *volatile kept[5] = {malloc(100), calloc(3, 100), NULL, aligned_alloc(64, 128), NULL};
	kept[2] = realloc(kept[0], 200);
	if (kept[2] != NULL) kept[0] = NULL;
	void *block = NULL;
	step("malloc", kept[0] != NULL || kept[2] != NULL ? 0 : -1);
	step("calloc", kept[1] != NULL ? 0 : -1);
	step("realloc", kept[2] != NULL ? 0 : -1);
	step("aligned_alloc", kept[3] != NULL ? 0 : -1);
	int rc = posix_memalign(&block, 4096, 4096);
	errno = rc;
	step("posix_memalign", rc == 0 ? 0 : -1);
	void *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	step("mmap", pages != MAP_FAILED ? 0 : -1);
	if (pages != MAP_FAILED) (void)munmap(pages, 8192);
	for (int i = 0; i < 5; i++) free(kept[i]);
	free(block);
}

static void use_files(const char *folder)
{
	char text[4] = "abc";
	step("chdir", chdir(folder));
	step("mkdir", mkdir("d", 0777));
	int fd = open("d/f", O_RDWR | O_CREAT, 0666);
	step("open", fd);
	ssize_t written = write(fd, text, 3);
	step("write", written);
	if (written == 1) (void)printf("write: short\n");
	step("pwrite", pwrite(fd, text, 3, 0));
	step("read", pread(fd, text, 3, 0));
	step("sync", fsync(fd));
	step("truncate", ftruncate(fd, 2));
	step("link", link("d/f", "d/g"));
	step("rename", rename("d/g", "d/h"));
	step("unlink", unlink("d/h"));
	if (fd >= 0) (void)close(fd);
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	(void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer); /* so that printing allocates nothing */
	if (argc > 1)
		use_files(argv[1]);
	else
		allocate();
	return failures;
}
