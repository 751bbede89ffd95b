/*
 * world/linux: the real world. The only code, with the drivers behind it, that makes system calls.
 *
 * What lives here so far: files, time, timers and randomness of core/world/world.h. The network
 * part of the table is NULL: it comes with the event loop; so are those of power and of virtual
 * machines: they come with their drivers. Who may call it: the programs that are put together from
 * cores (the daemon, the CLI, benches and tests).
 *
 * Files are blocking on Linux, so each lane has a thread that executes its requests in order; they
 * exchange requests through queues, and wake the loop by an eventfd. Everything else, completions
 * included, happens on the thread that calls linux_world_poll.
 *
 * An errno becomes an `enum err` here and nowhere else.
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_WORLD_H
#define NOVACRON_WORLD_LINUX_LINUX_WORLD_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

struct linux_world; /* opaque */

/* A world whose files are below the directory `root`. */
MUST_USE enum err linux_world_open(const char *root, struct linux_world **ret);

/* Waits for what the threads are executing; requests behind that, and all completions, are
 * forgotten. Closes no file: the caller's end is the process's. */
void linux_world_close(struct linux_world *lw);

/* The table. Valid until the world is closed. */
const struct world *linux_world_table(const struct linux_world *lw);

/* Waits up to `timeout` for a completion or a timer, and runs all that are due. Returns how many
 * ran. NANOS_FOREVER waits for the first. */
size_t linux_world_poll(struct linux_world *lw, nanos timeout);

/* Readable when linux_world_poll has completions to run: for other event loops. */
int linux_world_event_fd(const struct linux_world *lw);

/* ERR_IO where nothing fits better. */
enum err linux_err(int error);

#endif
