#include "run/version.h"

#include "gristmill.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <zstd.h>

/* The engine id goes into the hash that names data files: whatever can change their bytes or their values belongs in
 * it, in the version that is running and not the one compiled against. Snappy does not tell at run time; its build
 * version has to do. */
static char engine_id[256]; /* written once, under the flag below */
static pthread_once_t engine_id_once = PTHREAD_ONCE_INIT;

static void make_engine_id(void)
{
	char pcre2[64] = "unknown";
	int n = pcre2_config(PCRE2_CONFIG_VERSION, NULL);
	if (n > 0 && (size_t)n <= sizeof pcre2) (void)pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
	(void)snprintf(engine_id, sizeof engine_id, "gristmill %s; zstd %s; snappy %s; pcre2 %s; sqlite %s", GM_VERSION,
	               ZSTD_versionString(), GM_SNAPPY_VERSION, pcre2, sqlite3_libversion());
}

const char *gm_version(void)
{
	return GM_VERSION;
}

const char *gm_engine_id(void)
{
	(void)pthread_once(&engine_id_once, make_engine_id);
	return engine_id;
}

const char *gm_created_by(void)
{
	return "gristmill version " GM_VERSION " (build " GM_VERSION ")";
}
