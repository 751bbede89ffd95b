/*
 * The terminal of `novacron top`: a screen of its own, keys without return, and back to what it was
 * at the end, when it is stopped (ctrl-Z), and when it is told to die. Plain ANSI sequences.
 */
#ifndef NOVACRON_CLI_TOP_TERMINAL_H
#define NOVACRON_CLI_TOP_TERMINAL_H

#include <termios.h>

#include "cli/top_frame.h"

struct top_terminal {
    struct termios before;
    bool is_entered;
};

/* Is standard output a terminal that can be drawn on? */
bool top_terminal_is_there(void);

void top_terminal_enter(struct top_terminal *t);
void top_terminal_leave(struct top_terminal *t);

/* Its size, as it is now; 80 by 24 where it does not say. A row is left for the cursor. */
struct top_shape top_terminal_shape(void);

/* Shows a frame in place of the one before. */
void top_terminal_show(struct bytes frame);

#endif
