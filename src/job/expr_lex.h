/* expr_lex.h - the words of an expression, for expr_parse.c. */
#ifndef GM_JOB_EXPR_LEX_H
#define GM_JOB_EXPR_LEX_H

#include "job/expr.h"

enum gm_token_kind {
	GM_TOKEN_END,
	GM_TOKEN_WORD,   /* a name or keyword */
	GM_TOKEN_QUOTED, /* "name" */
	GM_TOKEN_STRING,
	GM_TOKEN_INTEGER,
	GM_TOKEN_DOUBLE,
	GM_TOKEN_SYMBOL, /* text is one of ( ) , . + - * / % = <> < <= > >= ||  ("!=" is given as "<>") */
};
struct gm_token {
	enum gm_token_kind kind;
	size_t offset, end;
	const char *text; /* of QUOTED and STRING what is meant, of the others what is written; NUL-terminated */
	size_t bytes;
};

/* The token that begins at or after source->text[offset]. */
enum gm_code gm_expr_lex(const struct gm_expr_source *source, size_t offset, struct gm_arena *arena,
                         struct gm_token *token, struct gm_error *err) GM_CHECK;
bool gm_token_is_word(const struct gm_token *token, const char *word);
bool gm_token_is_symbol(const struct gm_token *token, const char *symbol);

#endif
