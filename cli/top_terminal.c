#include "cli/top_terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/say.h"

#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT    24

bool top_terminal_is_there(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDOUT_FILENO) && (kind == NULL || strcmp(kind, "dumb") != 0);
}

static void terminal_write(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, at, n);
        if (done < 0 && errno != EINTR) {
            return; /* it is gone, and SIGHUP or the next key will say so */
        }
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

static void terminal_say(const char *text)
{
    terminal_write(text, strlen(text));
}

void top_terminal_enter(struct top_terminal *t)
{
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0) {
        struct termios raw = t->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    t->is_entered = true;
    terminal_say("\033[?1049h\033[?25l\033[2J");
}

void top_terminal_leave(struct top_terminal *t)
{
    if (!t->is_entered) {
        return;
    }
    t->is_entered = false;
    terminal_say("\033[?25h\033[?1049l");
    if (isatty(STDIN_FILENO)) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
    }
}

struct top_shape top_terminal_shape(void)
{
    struct winsize size = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return (struct top_shape){
        .columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT,
        .rows = (size.ws_row > 1 ? size.ws_row : ROWS_DEFAULT) - 1U,
        .has_colour = getenv("NO_COLOR") == NULL,
    };
}

void top_terminal_show(struct bytes frame)
{
    struct buf b;
    buf_init(&b);
    say(&b, "\033[H");
    for (size_t i = 0; i < frame.len; i++) {
        if (frame.data[i] == '\n') {
            say(&b, "\033[K"); /* what was there before ends here */
        }
        buf_put(&b, &frame.data[i], 1);
    }
    say(&b, "\033[J");
    terminal_write(b.data, b.len);
    buf_deinit(&b);
}
