/* progress.c - how far a command is: a bar on a terminal, plain lines in a pipe or a log. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double bar_seconds = 0.1;  /* between two drawings */
static const double line_seconds = 10;  /* between two lines */
static const double settle_seconds = 1; /* before a rate or a rest of time is told */

enum { BAR_MAX = 40, BAR_MIN = 8, LINE_BYTES = 512 };

static double now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

unsigned gm_cli_width(int fd, unsigned otherwise)
{
	struct winsize size;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);
	return value != NULL && value[0] != '\0';
}

static bool speaks_utf8(void)
{
	const char *value = is_set("LC_ALL") ? getenv("LC_ALL") : is_set("LC_CTYPE") ? getenv("LC_CTYPE") : getenv("LANG");
	return value != NULL && (strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL);
}

void gm_cli_progress_init(struct gm_cli_progress *p, bool quiet)
{
	const char *term = getenv("TERM");
	*p = (struct gm_cli_progress){.quiet = quiet, .terminal = isatty(STDERR_FILENO) == 1};
	p->bar = p->terminal && term != NULL && strcmp(term, "dumb") != 0;
	p->color = p->bar && !is_set("NO_COLOR");
	p->blocks = p->bar && speaks_utf8();
	p->started = now();
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

struct rate {
	double seconds, raw_per_second, rest; /* rest: seconds to go, < 0 if unknown */
	double done;                          /* 0 .. 1 */
};

static struct rate rate_of(const struct gm_cli_progress *p, double time)
{
	const struct gm_progress *at = &p->last;
	struct rate rate = {.seconds = time - p->started, .rest = -1};
	double phase_seconds = time - p->phase_started;
	if (at->bytes > 0) rate.done = (double)at->bytes_done / (double)at->bytes;
	if (rate.done > 1) rate.done = 1;
	if (rate.seconds > 0) rate.raw_per_second = (double)at->bytes_raw / rate.seconds;
	if (phase_seconds > settle_seconds && at->bytes_done > p->phase_bytes && at->bytes >= at->bytes_done)
		rate.rest = phase_seconds * (double)(at->bytes - at->bytes_done) / (double)(at->bytes_done - p->phase_bytes);
	return rate;
}

/* Text that grows by pieces and never past its end. */
struct line {
	char text[LINE_BYTES];
	size_t bytes;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line->text + line->bytes, LINE_BYTES - line->bytes, format, args);
	va_end(args);
	if (n > 0) line->bytes += (size_t)n < LINE_BYTES - line->bytes ? (size_t)n : LINE_BYTES - line->bytes - 1;
}

/* One write, so that lines of several processes in one log stay whole. */
static void print_line(const struct line *line)
{
	fwrite(line->text, 1, line->bytes, stderr);
	fflush(stderr);
}

static void plain_line(const struct gm_cli_progress *p, double time)
{
	char number[GM_CLI_NUMBER_BYTES];
	const struct gm_progress *at = &p->last;
	struct rate rate = rate_of(p, time);
	struct line line = {.bytes = 0};
	add(&line, "gristmill: %s", at->phase);
	if (at->objects > 0)
		add(&line, ": %llu/%llu objects", (unsigned long long)at->objects_done, (unsigned long long)at->objects);
	if (at->objects > 0 && at->bytes > 0) add(&line, ", %.0f %%", rate.done * 100);
	if (at->records > 0) add(&line, ", %s records", gm_cli_count(number, at->records));
	if (at->bytes_raw > 0 && rate.seconds > settle_seconds)
		add(&line, ", %s/s", gm_cli_bytes(number, rate.raw_per_second));
	if (rate.rest >= 0 && rate.done < 1) add(&line, ", %s left", gm_cli_duration(number, rate.rest));
	add(&line, "\n");
	print_line(&line);
}

static void add_clock(struct line *line, double seconds)
{
	unsigned long long whole = seconds < 1e9 ? (unsigned long long)(seconds + 0.5) : 999999999;
	if (whole >= 3600)
		add(line, "%llu:%02llu:%02llu", whole / 3600, whole / 60 % 60, whole % 60);
	else
		add(line, "%llu:%02llu", whole / 60, whole % 60);
}

/* Planning and publishing count nothing. */
static bool has_figures(const struct gm_progress *at)
{
	return at->objects_done > 0 || at->bytes_done > 0 || at->records > 0;
}

/* What stands right of the bar, most important first, as much as fits into `columns`. */
static void add_figures(struct line *line, const struct gm_cli_progress *p, double time, size_t columns)
{
	char number[GM_CLI_NUMBER_BYTES];
	const struct gm_progress *at = &p->last;
	struct rate rate = rate_of(p, time);
	for (int figure = 0; figure < 5; figure++) {
		struct line part = {.bytes = 0};
		if (figure == 0) add(&part, " %3.0f%%", rate.done * 100);
		if (figure == 1)
			add(&part, "  %llu/%llu objects", (unsigned long long)at->objects_done, (unsigned long long)at->objects);
		if (figure == 2 && rate.seconds > settle_seconds && at->bytes_raw > 0)
			add(&part, "  %s/s", gm_cli_bytes(number, rate.raw_per_second));
		if (figure == 3 && at->records > 0) add(&part, "  %s records", gm_cli_count(number, at->records));
		if (figure == 4 && rate.rest >= 0) {
			add(&part, "  ETA ");
			add_clock(&part, rate.rest);
		}
		if (line->bytes + part.bytes > columns) return;
		add(line, "%s", part.text);
	}
}

/* Eighths of a character, for terminals that speak UTF-8. */
static void add_bar(struct line *line, const struct gm_cli_progress *p, double done, size_t width)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	size_t filled = (size_t)(done * (double)width * 8), whole = filled / 8, part = p->blocks ? filled % 8 : 0;
	add(line, "[%s", p->color ? "\033[32m" : "");
	for (size_t i = 0; i < whole; i++) add(line, "%s", p->blocks ? "█" : "=");
	add(line, "%s%s", eighths[part], p->color ? "\033[0m" : "");
	for (size_t i = whole + (part > 0); i < width; i++) add(line, "%s", p->blocks ? " " : "-");
	add(line, "]");
}

/* One line, redrawn in place; the width is asked for each time, so a resized window is no event. The last column stays
 * free: some terminals wrap there. */
static void draw(struct gm_cli_progress *p, double time)
{
	enum { BRACKETS = 2, PHASE = 9 };
	const size_t least = PHASE + BRACKETS + BAR_MIN;
	size_t columns = gm_cli_width(STDERR_FILENO, 80) - 1;
	struct line figures = {.bytes = 0}, line = {.bytes = 0};
	if (!has_figures(&p->last)) {
		add(&line, "\r\033[K%.*s", (int)columns, p->last.phase);
		print_line(&line);
		p->shown = true;
		return;
	}
	add_figures(&figures, p, time, columns > least ? columns - least : columns);
	size_t room = columns > figures.bytes ? columns - figures.bytes : 0;
	add(&line, "\r\033[K");
	if (room >= PHASE) {
		add(&line, "%-*.*s", PHASE, PHASE - 1, p->last.phase);
		room -= PHASE;
	}
	if (room >= BRACKETS + BAR_MIN)
		add_bar(&line, p, rate_of(p, time).done, room - BRACKETS < BAR_MAX ? room - BRACKETS : BAR_MAX);
	add(&line, "%s", figures.text);
	print_line(&line);
	p->shown = true;
}

static void clear_bar(struct gm_cli_progress *p)
{
	if (p->bar && p->shown) fputs("\r\033[K", stderr);
	if (p->bar) p->shown = false;
}

/* --- Calls of the library ----------------------------------------------------------------------------------------- */

static void tell_stopping(struct gm_cli_progress *p)
{
	if (gm_cli_signal() == 0 || p->stopping) return;
	p->stopping = true;
	clear_bar(p);
	fputs("gristmill: stopping; once more to kill\n", stderr);
}

/* Plain lines: the start, what a phase had done when it ended, and every ten seconds in between. Phases that are over
 * at once and have nothing to count are not worth a line. */
static void show_line(struct gm_cli_progress *p, double time, bool new_phase)
{
	bool first = new_phase && !p->shown;
	if (new_phase) p->drawn = time - line_seconds + settle_seconds;
	if (!first && time - p->drawn < line_seconds) return;
	plain_line(p, time);
	p->shown = true;
	p->drawn = time;
	p->untold = false;
}

static void tell_rest(struct gm_cli_progress *p, double time)
{
	if (p->untold && !p->quiet && !p->bar) plain_line(p, time);
	p->untold = false;
}

void gm_cli_progress_show(void *context, const struct gm_progress *progress)
{
	struct gm_cli_progress *p = context;
	double time = now();
	bool new_phase = p->phase == NULL || strcmp(p->phase, progress->phase) != 0;
	if (new_phase) {
		tell_rest(p, time);
		p->phase = progress->phase;
		p->phase_started = time;
		p->phase_bytes = progress->bytes_done;
	}
	p->last = *progress;
	p->untold = has_figures(progress);
	tell_stopping(p);
	if (p->quiet) return;
	if (!p->bar) {
		show_line(p, time, new_phase);
	} else if (new_phase || time - p->drawn >= bar_seconds) {
		p->drawn = time;
		draw(p, time);
	}
}

void gm_cli_progress_notice(void *context, const char *line)
{
	struct gm_cli_progress *p = context;
	if (p->quiet) return;
	clear_bar(p);
	fputs("gristmill: ", stderr);
	gm_cli_print_safe(stderr, line, strlen(line));
	fputc('\n', stderr);
}

void gm_cli_progress_pause(struct gm_cli_progress *p)
{
	clear_bar(p);
	fflush(stderr);
}

void gm_cli_progress_end(struct gm_cli_progress *p)
{
	if (p->bar) clear_bar(p);
	tell_rest(p, now());
	fflush(stderr);
}
