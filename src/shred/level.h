/* level.h - what is compiled once for each level of processor (base/cpu.h): json.c, record.c and value.c. Their
 * functions end in the level's name there. json.c is also compiled without a level, for those who are in no hurry. */
#ifndef GM_SHRED_LEVEL_H
#define GM_SHRED_LEVEL_H

#include "base/cpu.h"

#ifdef GM_CPU_LEVEL
#define gm_json_init        GM_AT_LEVEL(gm_json_init)
#define gm_json_release     GM_AT_LEVEL(gm_json_release)
#define gm_json_string_slow GM_AT_LEVEL(gm_json_string_slow)
#define gm_json_number      GM_AT_LEVEL(gm_json_number)
#define gm_json_literal     GM_AT_LEVEL(gm_json_literal)
#define gm_json_skip        GM_AT_LEVEL(gm_json_skip)
#define gm_json_decode      GM_AT_LEVEL(gm_json_decode)
#define gm_json_compact     GM_AT_LEVEL(gm_json_compact)
#define gm_parser_read      GM_AT_LEVEL(gm_parser_read)
#define gm_parser_store     GM_AT_LEVEL(gm_parser_store)
#define gm_parser_text      GM_AT_LEVEL(gm_parser_text)
#endif

#endif
