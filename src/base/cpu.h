/* cpu.h - which instructions the hot loops may use.
 *
 * What a profile showed to gain by wider vectors is compiled once for each *level* of this architecture, from one
 * source (cpu_levels in meson.build, with GM_CPU_LEVEL defined), and everything it exports gets the level's name at
 * its end. Whoever calls it takes the form of gm_cpu_level() out of a table. All levels give the same results; tests
 * compare them. The rest of the program is compiled for what every machine of the architecture has.
 *
 *     scalar   portable C, eight bytes at a time
 *     sse4.2   x86-64, 16 bytes at a time
 *     avx2     x86-64, 32 bytes at a time, with BMI1, BMI2 and POPCNT
 *     neon     aarch64, 16 bytes at a time; every such machine has it
 *
 * The level is the highest the machine has, unless gm_set_cpu has said otherwise. */
#ifndef GM_BASE_CPU_H
#define GM_BASE_CPU_H

#include "base/error.h"

#include <stdbool.h>

/* Lowest first: symbol, name. */
#if defined(__x86_64__)
#define GM_CPU_LEVELS(X) X(scalar, "scalar") X(sse42, "sse4.2") X(avx2, "avx2")
#elif defined(__aarch64__)
#define GM_CPU_LEVELS(X) X(scalar, "scalar") X(neon, "neon")
#else
#define GM_CPU_LEVELS(X) X(scalar, "scalar")
#endif

enum gm_cpu_level {
#define GM_CPU_ENUM(symbol, name) GM_CPU_##symbol,
	GM_CPU_LEVELS(GM_CPU_ENUM)
#undef GM_CPU_ENUM
	    GM_CPU_COUNT
};

/* The level in use. Costs a load; the first call also looks at the machine. Any thread. */
enum gm_cpu_level gm_cpu_level(void);
const char *gm_cpu_level_name(enum gm_cpu_level level);
bool gm_cpu_supports(enum gm_cpu_level level);
/* For tests: the level must be supported, and nothing that asked for the old one be in use. */
void gm_cpu_force(enum gm_cpu_level level);

/* The name of something in the file at hand, which is compiled for GM_CPU_LEVEL. */
#define GM_CPU_JOIN(name, level)   name##_##level
#define GM_CPU_EXPAND(name, level) GM_CPU_JOIN(name, level)
#define GM_AT_LEVEL(name)          GM_CPU_EXPAND(name, GM_CPU_LEVEL)

#endif
