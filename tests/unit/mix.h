/* mix.h - numbers that look random, and are the same each time: the n-th one by n (splitmix64). */
#ifndef GM_TEST_MIX_H
#define GM_TEST_MIX_H

#include <stdint.h>

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

#endif
