/* json_load.c - json_loadb, for when memory ends.
 *
 * jansson (2.14, and before) does not notice when it has no memory for the next byte of a number or a string (its issue
 * 362): the byte is left out, an assertion ends the process, or it writes beyond what it has. So an allocation that
 * fails while it parses does not return to it: the parse is left by a long jump, and what it had allocated is freed.
 *
 * jansson knows one pair of allocators for the process. It is replaced once, by a pair that hands everything on to the
 * one before, and keeps a list while its own thread parses here. */
#include "base/json_text.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct parse {
	jmp_buf out_of_memory;
	void **blocks; /* allocated, and not freed yet */
	size_t count, room;
};

static _Thread_local struct parse *parsing; /* NULL: this thread is not in gm_json_load */
static json_malloc_t next_malloc;
static json_free_t next_free;

static void make_room(struct parse *parse)
{
	size_t room = parse->room == 0 ? 64 : parse->room * 2;
	void **grown = realloc(parse->blocks, room * sizeof *grown);
	if (grown == NULL) longjmp(parse->out_of_memory, 1);
	parse->blocks = grown;
	parse->room = room;
}

static void *allocate(size_t bytes)
{
	struct parse *parse = parsing;
	if (parse == NULL) return next_malloc(bytes);
	if (parse->count == parse->room) make_room(parse);
	void *block = next_malloc(bytes);
	if (block == NULL) longjmp(parse->out_of_memory, 1);
	parse->blocks[parse->count++] = block;
	return block;
}

/* What is freed is nearly always among the last. */
static void release(void *block)
{
	struct parse *parse = parsing;
	for (size_t i = parse != NULL ? parse->count : 0; i > 0; i--) {
		if (parse->blocks[i - 1] != block) continue;
		parse->blocks[i - 1] = parse->blocks[--parse->count];
		break;
	}
	next_free(block);
}

static void replace_allocators(void)
{
	json_get_alloc_funcs(&next_malloc, &next_free);
	json_set_alloc_funcs(allocate, release);
}

json_t *gm_json_load(const char *text, size_t bytes, size_t flags, json_error_t *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct parse parse = {.blocks = NULL};
	(void)pthread_once(&once, replace_allocators);
	if (setjmp(parse.out_of_memory) == 0) {
		parsing = &parse;
		json_t *value = json_loadb(text, bytes, flags, why);
		parsing = NULL;
		free(parse.blocks);
		return value;
	}
	parsing = NULL;
	while (parse.count > 0) next_free(parse.blocks[--parse.count]);
	free(parse.blocks);
	*why = (json_error_t){.line = -1, .column = -1, .text = "out of memory"};
	why->text[sizeof why->text - 1] = (char)json_error_out_of_memory; /* where json_error_code looks */
	return NULL;
}
