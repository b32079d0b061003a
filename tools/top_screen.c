/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A reading on a screen, taken anew every second: the lines of top_print(), as far as there is
 * room.
 */
#include "top.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

enum {
	ESCAPE = 27,
};

static const uint64_t refresh_ns = NS_PER_S;

struct screen {
	struct reading now;
	struct reading before;
	char **line; /* of the text that is shown */
	int lines;
	int top; /* the first line that is shown */
};

static void cut_lines(struct screen *screen, char *text)
{
	char *rest = text;

	screen->lines = 0;
	screen->line = zeroed(strlen(text) + 1, sizeof(*screen->line), "the screen");
	for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
		screen->line[screen->lines++] = line;
}

/* The reading as text; the caller free()s it. */
static char *write_text(const struct screen *screen)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		fail("no memory for the screen");
	top_print(&screen->now, screen->before.programs ? &screen->before : NULL, out);
	if (fclose(out) != 0)
		fail("no memory for the screen");
	return text;
}

/* Return: 0, or the error of reading_take(). */
static int read_again(struct screen *screen, pid_t pid)
{
	struct reading next;
	int error = reading_take(&next, pid);

	if (error)
		return error;
	reading_free(&screen->before);
	screen->before = screen->now;
	screen->now = next;
	return 0;
}

static void draw_head(const struct screen *screen)
{
	size_t pools = 0;

	for (size_t i = 0; i < screen->now.programs; i++)
		pools += screen->now.program[i].pools;
	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	mvprintw(0, 0, "zsmalloc top: %zu program%s, %zu pool%s; q quits, arrows scroll",
		 screen->now.programs, screen->now.programs == 1 ? "" : "s", pools,
		 pools == 1 ? "" : "s");
	attroff(A_REVERSE);
}

/* Lines of text that the screen has room for. */
static int rows(void)
{
	return LINES > 1 ? LINES - 1 : 0;
}

static void draw(struct screen *screen)
{
	int last = screen->lines > rows() ? screen->lines - rows() : 0;

	if (screen->top > last)
		screen->top = last;
	if (screen->top < 0)
		screen->top = 0;
	erase();
	draw_head(screen);
	for (int row = 0; row < rows() && screen->top + row < screen->lines; row++)
		mvaddnstr(row + 1, 0, screen->line[screen->top + row], COLS);
	refresh();
}

/* Does what a key asks for. Returns false if that is the end. */
static bool obey(struct screen *screen, int key)
{
	switch (key) {
	case 'q':
	case ESCAPE:
		return false;
	case KEY_UP:
		screen->top--;
		break;
	case KEY_DOWN:
		screen->top++;
		break;
	case KEY_PPAGE:
		screen->top -= rows();
		break;
	case KEY_NPAGE:
		screen->top += rows();
		break;
	case KEY_HOME:
		screen->top = 0;
		break;
	case KEY_END:
		screen->top = screen->lines;
		break;
	default:
		break;
	}
	return true;
}

/* Draws, and does what the keys ask for, until it is time for the next reading. */
static bool show_lines(struct screen *screen)
{
	uint64_t end = now_ns() + refresh_ns;
	uint64_t now;

	do {
		draw(screen);
		now = now_ns();
		timeout(now < end ? (int)((end - now) / 1000000) : 0);
		if (!obey(screen, getch()))
			return false;
	} while (now < end);
	return true;
}

/* Shows a reading. False if the user has had enough. */
static bool show(struct screen *screen)
{
	char *text = write_text(screen);
	bool go_on;

	cut_lines(screen, text);
	go_on = show_lines(screen);
	free(screen->line);
	free(text);
	return go_on;
}

/* Whatever ends the command must leave the terminal as it was. */
static void screen_close(void)
{
	if (!isendwin())
		endwin();
}

static void screen_open(void)
{
	if (!newterm(NULL, stdout, stdin) || atexit(screen_close) != 0)
		fail("this terminal is of a kind that is not known; use --once");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
}

int top_screen(struct reading *first, pid_t pid)
{
	struct screen screen = { .now = *first };
	int error = 0;

	screen_open();
	while (!error && show(&screen))
		error = read_again(&screen, pid);
	screen_close();
	reading_free(&screen.now);
	reading_free(&screen.before);
	return error;
}
