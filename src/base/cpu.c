#include "base/cpu.h"

#include <stdio.h>
#include <string.h>

static const char *const names[GM_CPU_COUNT] = {
#define NAME(symbol, name) name,
    GM_CPU_LEVELS(NAME)
#undef NAME
};

/* A fact about the machine, found out at the first look (by several threads at once, if it comes to that, with the same
 * answer); no result depends on it. */
static int level_in_use = -1;

bool gm_cpu_supports(enum gm_cpu_level level)
{
#if defined(__x86_64__)
	/* These also look whether the system saves the wide registers. */
	if (level == GM_CPU_sse42) return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
	if (level == GM_CPU_avx2)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
		       __builtin_cpu_supports("popcnt");
#endif
	return level < GM_CPU_COUNT;
}

static enum gm_cpu_level best_level(void)
{
	enum gm_cpu_level level = GM_CPU_COUNT - 1;
	while (level > GM_CPU_scalar && !gm_cpu_supports(level)) level--;
	return level;
}

enum gm_cpu_level gm_cpu_level(void)
{
	int level = __atomic_load_n(&level_in_use, __ATOMIC_RELAXED);
	if (level < 0) {
		level = (int)best_level();
		__atomic_store_n(&level_in_use, level, __ATOMIC_RELAXED);
	}
	return (enum gm_cpu_level)level;
}

void gm_cpu_force(enum gm_cpu_level level)
{
	__atomic_store_n(&level_in_use, (int)level, __ATOMIC_RELAXED);
}

const char *gm_cpu_level_name(enum gm_cpu_level level)
{
	return names[level];
}

const char *gm_cpu(void)
{
	return names[gm_cpu_level()];
}

/* "scalar, sse4.2 or avx2" */
static void list_names(char *out, size_t max)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < GM_CPU_COUNT && n < max; i++) {
		const char *between = i == 0 ? "" : i + 1 < GM_CPU_COUNT ? ", " : " or ";
		n += (size_t)snprintf(out + n, max - n, "%s%s", between, names[i]);
	}
}

enum gm_code gm_set_cpu(const char *name, struct gm_error *err)
{
	char known[64];
	if (name == NULL || *name == '\0') {
		gm_cpu_force(best_level());
		return GM_OK;
	}
	for (enum gm_cpu_level level = 0; level < GM_CPU_COUNT; level++) {
		if (strcmp(name, names[level]) != 0) continue;
		if (!gm_cpu_supports(level)) {
			enum gm_code rc = gm_error_set(err, GM_UNSUPPORTED, "this processor has no %s", name);
			return gm_error_hint(err, rc, "%s is what it has", names[best_level()]);
		}
		gm_cpu_force(level);
		return GM_OK;
	}
	list_names(known, sizeof known);
	enum gm_code rc = gm_error_set(err, GM_USAGE, "no level of processors is named '%.40s'", name);
	return gm_error_hint(err, rc, "use %s", known);
}
