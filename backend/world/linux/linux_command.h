/*
 * Commands of core/world/world.h on Linux: programs that are run to their end, with a deadline.
 *
 * Who may call it: the world's table, which has a set of its own, and drivers whose programs may
 * not wait behind anybody else's. A set of commands has a thread, since starting a program can
 * block: it is read from a disk, perhaps of another host. Everything else happens on the loop.
 *
 *     QUEUED --started--> RUNNING --its process ended--> ENDED
 *        `------------not started, or canceled------------^
 *
 * QUEUED: it waits for the thread, or is with it. RUNNING: its process is watched by a pidfd, its
 * outputs by polls. At its deadline its request is answered in any state; its group is killed then,
 * or when the thread gives it back. ENDED: its process is a zombie, which is reaped when nothing of
 * it is hunted any more: until then its number, which names its group and its session, cannot come
 * to mean others.
 *
 * WHO LEFT THE GROUP, and how it is found: by its session; or by a variable of the environment that
 * each command has, NOVACRON_COMMAND, and its children inherit. Who did both, changed the session
 * and the environment, escapes. It is looked for after a deadline, and where somebody still holds
 * one of the outputs when the program has ended; and on a thread of libuv's, for reading another
 * process's environment can block. A process with a subreaper would find all of them, but it would
 * have to be one of its own: the setting is a process's, and would make this one the parent of what
 * drivers have deliberately let go.
 *
 * A program is as nice as anybody, and the kernel may kill it when memory runs out, also where this
 * process is spared.
 *
 * SIGCHLD is nobody's business here: each process is waited for by its number, so other parts of
 * the program may have children too.
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_COMMAND_H
#define NOVACRON_WORLD_LINUX_LINUX_COMMAND_H

#include "core/world/world.h"

/* Under way in one set, those counted that do not die: at most. */
#define LINUX_COMMANDS_MAX 64

struct linux_commands; /* opaque */
struct linux_world;    /* linux_world.h */

/* Never NULL. Must be closed before the world is. */
struct linux_commands *linux_commands_open(struct linux_world *lw);

/* Kills what runs, and forgets all requests. Waits while a program is being started. What it leaves
 * to the loop is over before linux_world_close returns. */
void linux_commands_close(struct linux_commands *commands);

/* As world_command_ops.submit. */
void linux_commands_submit(struct linux_commands *commands, struct world_command_request *request);

/* How many are under way, those that do not die among them. */
uint32_t linux_commands_count(const struct linux_commands *commands);

/* With a struct linux_commands as `self`. */
extern const struct world_command_ops linux_command_ops;

#endif
