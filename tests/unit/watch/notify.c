/* The protocol of sd_notify(3): a socket of the test's own stands for the service manager. */
#include "../must.h"

#include "watch/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char received[2048];

/* A datagram socket at a path, or '@' and a name in the abstract namespace. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t n = strlen(name);
	memcpy(address.sun_path, name, n);
	if (name[0] == '@') address.sun_path[0] = '\0';
	socklen_t bytes = name[0] == '@' ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n) : sizeof address;
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, bytes), 0);
	return fd;
}

static const char *receive(int fd)
{
	ssize_t n = recv(fd, received, sizeof received - 1, MSG_DONTWAIT);
	if (n < 0) return NULL;
	received[n] = '\0';
	return received;
}

static void talk(const char *name)
{
	struct gm_notify notify;
	int manager = listen_at(name);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	must(gm_notify_open(&notify, &failure));
	assert_null(receive(manager)); /* opening says nothing yet */
	gm_notify_extend(&notify, 60000000);
	assert_string_equal(receive(manager), "EXTEND_TIMEOUT_USEC=60000000");
	gm_notify_ready(&notify);
	assert_string_equal(receive(manager), "READY=1");
	gm_notify_status(&notify, "%d objects\nREADY=0 %s", 5, "wait");
	assert_string_equal(receive(manager), "STATUS=5 objects READY=0 wait");
	gm_notify_watchdog(&notify);
	assert_string_equal(receive(manager), "WATCHDOG=1");
	gm_notify_stopping(&notify);
	assert_string_equal(receive(manager), "STOPPING=1");
	assert_null(receive(manager));
	/* A long status is cut, and still one message. */
	char *longest = malloc(5000);
	memset(longest, 'x', 4999);
	longest[4999] = '\0';
	gm_notify_status(&notify, "%s", longest);
	free(longest);
	assert_non_null(receive(manager));
	assert_int_equal(strlen(received), 1023);
	(void)close(manager);
	gm_notify_ready(&notify); /* a manager that is gone is no failure */
	gm_notify_close(&notify);
	gm_notify_ready(&notify);
	gm_notify_close(&notify);
}

static void test_a_path(void **state)
{
	char folder[] = "/tmp/gm-notify-XXXXXX", path[64];
	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/socket", folder);
	talk(path);
	assert_int_equal(unlink(path), 0);
	/* A manager that was started anew has another socket at the same place. */
	struct gm_notify notify;
	int first = listen_at(path);
	must(gm_notify_open(&notify, &failure));
	gm_notify_ready(&notify);
	assert_string_equal(receive(first), "READY=1");
	(void)close(first);
	assert_int_equal(unlink(path), 0);
	int second = listen_at(path);
	gm_notify_watchdog(&notify);
	assert_string_equal(receive(second), "WATCHDOG=1");
	gm_notify_close(&notify);
	(void)close(second);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_an_abstract_name(void **state)
{
	char name[64], longest[108];
	(void)state;
	(void)snprintf(name, sizeof name, "@gm-notify-%d", (int)getpid());
	talk(name);
	/* As long as an address can be, without a NUL at its end. */
	memset(longest, 'n', sizeof longest - 1);
	(void)snprintf(longest, sizeof longest, "@%d", (int)getpid());
	longest[strlen(longest)] = 'n';
	longest[sizeof longest - 1] = '\0';
	talk(longest);
}

static void test_without_a_manager(void **state)
{
	struct gm_notify notify;
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)setenv("WATCHDOG_USEC", "1000", 1);
	must(gm_notify_open(&notify, &failure));
	assert_int_equal(notify.socket, -1);
	assert_int_equal(notify.watchdog_us, 0); /* to whom should it be told? */
	gm_notify_ready(&notify);
	gm_notify_status(&notify, "fine");
	gm_notify_close(&notify);
	(void)setenv("NOTIFY_SOCKET", "", 1);
	must(gm_notify_open(&notify, &failure));
	assert_int_equal(notify.socket, -1);
	gm_notify_close(&notify);
	/* Nobody listens there: nothing fails. */
	(void)setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	must(gm_notify_open(&notify, &failure));
	gm_notify_ready(&notify);
	gm_notify_close(&notify);
}

static void test_wrong_addresses(void **state)
{
	struct gm_notify notify;
	char longest[200];
	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	const char *const wrong[] = {"relative/path", "/", "@", "vsock:2:1234", longest};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		(void)setenv("NOTIFY_SOCKET", wrong[i], 1);
		assert_int_equal(gm_notify_open(&notify, &failure), GM_USAGE);
		gm_notify_ready(&notify);
		gm_notify_close(&notify);
	}
	/* A path needs room for its NUL: 107 characters are the longest. */
	longest[0] = '/';
	longest[108] = '\0';
	(void)setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(gm_notify_open(&notify, &failure), GM_USAGE);
	longest[107] = '\0';
	(void)setenv("NOTIFY_SOCKET", longest, 1);
	must(gm_notify_open(&notify, &failure));
	gm_notify_close(&notify);
}

static int64_t watchdog(const char *usec, const char *pid)
{
	struct gm_notify notify;
	(void)setenv("NOTIFY_SOCKET", "@x", 1);
	usec != NULL ? (void)setenv("WATCHDOG_USEC", usec, 1) : (void)unsetenv("WATCHDOG_USEC");
	pid != NULL ? (void)setenv("WATCHDOG_PID", pid, 1) : (void)unsetenv("WATCHDOG_PID");
	must(gm_notify_open(&notify, &failure));
	int64_t us = notify.watchdog_us;
	gm_notify_close(&notify);
	return us;
}

static void test_the_watchdog(void **state)
{
	char mine[32], other[32];
	(void)state;
	(void)snprintf(mine, sizeof mine, "%d", (int)getpid());
	(void)snprintf(other, sizeof other, "%d", (int)getppid());
	assert_int_equal(watchdog("30000000", NULL), 30000000);
	assert_int_equal(watchdog("30000000", mine), 30000000);
	assert_int_equal(watchdog("30000000", other), 0); /* meant for who started us */
	assert_int_equal(watchdog(NULL, mine), 0);
	assert_int_equal(watchdog("0", mine), 0);
	assert_int_equal(watchdog("", mine), 0);
	assert_int_equal(watchdog("-5", mine), 0);
	assert_int_equal(watchdog("12x", mine), 0);
	assert_int_equal(watchdog("99999999999999999999999", mine), 0);
	assert_int_equal(watchdog("30000000", "x"), 0);
}

/* A manager that does not read fills its queue: who tells it goes on all the same, within seconds. */
static void test_a_manager_that_does_not_read(void **state)
{
	struct gm_notify notify;
	char name[64];
	struct timespec before, after;
	(void)state;
	(void)snprintf(name, sizeof name, "@gm-notify-deaf-%d", (int)getpid());
	int manager = listen_at(name), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	must(gm_notify_open(&notify, &failure));
	while (sendto(sender, "x", 1, MSG_DONTWAIT, (const struct sockaddr *)&notify.address, notify.address_bytes) == 1)
		continue;
	assert_int_equal(errno, EAGAIN);
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	gm_notify_watchdog(&notify);
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec <= 3);
	gm_notify_close(&notify);
	(void)close(manager);
	(void)close(sender);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_path),
	    cmocka_unit_test(test_an_abstract_name),
	    cmocka_unit_test(test_without_a_manager),
	    cmocka_unit_test(test_wrong_addresses),
	    cmocka_unit_test(test_the_watchdog),
	    cmocka_unit_test(test_a_manager_that_does_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
