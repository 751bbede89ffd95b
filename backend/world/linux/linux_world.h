/*
 * world/linux: the real world. The only code, with the drivers behind it, that makes system calls.
 *
 * What lives here: the event loop (linux_world.c, linux_timer.c), files (linux_lane.c,
 * linux_file.c), commands (linux_command.h) and the network (linux_net.c, linux_stream.c,
 * linux_tls.h, linux_datagram.c, linux_address.c) of core/world/world.h. The parts of power, of
 * virtual machines and of the guard are NULL until their drivers (backend/drivers) are plugged in
 * (linux_plug.c). Who may call it: the programs that are put together from cores (the daemon, the
 * CLI, benches and tests).
 *
 * THE LOOP is libuv's, one thread, and open to others: a server that wants to share it puts its
 * handles on linux_world_loop. Time, however, is CLOCK_BOOTTIME (what the contract of `now` asks
 * for, and libuv's timers do not have): all timers of the world are a heap behind one timerfd.
 *
 * A TURN of the loop: timers that are due, then one write for each stream that was sent on, then
 * waiting, then what arrived and completed, which may send and set timers again. So whatever is
 * sent on a stream within a turn leaves in one system call.
 *
 * FILES are blocking on Linux, so each lane has a thread that executes its requests in order; they
 * exchange requests through queues, and wake the loop by an eventfd, once for a write and its sync,
 * which are one direct and durable write where the file system has those. Everything else,
 * completions included, happens on the loop's thread.
 *
 * An errno becomes an `enum err` here and nowhere else.
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_WORLD_H
#define NOVACRON_WORLD_LINUX_LINUX_WORLD_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

struct linux_tls;   /* linux_tls.h */
struct linux_world; /* opaque */
struct uv_loop_s;   /* uv_loop_t, of <uv.h> */

/* A peer that acknowledges nothing for so long is gone, and its streams end. */
#define LINUX_STREAM_TIMEOUT (5 * NANOS_PER_S)

/* A stream that is not open after so long, names and handshakes included, is given up. */
#define LINUX_CONNECT_TIMEOUT (5 * NANOS_PER_S)

/* A world whose files are below the directory `root`. Its network listens on 127.0.0.1. */
MUST_USE enum err linux_world_open(const char *root, struct linux_world **ret);

/* Waits for what the threads are executing; requests behind that, all completions and all streams
 * are forgotten. Closes no file: the caller's end is the process's. Handles that others put on the
 * loop are theirs to close before; if their closing is still under way, it is finished here. */
void linux_world_close(struct linux_world *lw);

/* The table. Valid until the world is closed. */
const struct world *linux_world_table(const struct linux_world *lw);

/* Gives the table a part by a driver, whose `self` its functions are called with; the driver stays
 * in place until the world is closed, or NULL is plugged in. */
void linux_world_plug_power(struct linux_world *lw, const struct world_power_ops *ops, void *self);
void linux_world_plug_vm(struct linux_world *lw, const struct world_vm_ops *ops, void *self);
void linux_world_plug_guard(struct linux_world *lw, const struct world_guard_ops *ops, void *self);

/* How many times a write and its sync were one direct write. */
uint64_t linux_world_commits(const struct linux_world *lw);

/* How long syncs of the log took on the lane's thread: LINUX_SYNC_FIRST * 2^i and less in
 * buckets[i], each sync in one bucket, what is longer in the last. Those through io_uring are not
 * in it. The bounds from one millisecond to eight seconds are among them: etcd's. */
#define LINUX_SYNC_FIRST   (NANOS_PER_MS / 16)
#define LINUX_SYNC_BUCKETS 19

struct linux_sync_times {
    uint64_t buckets[LINUX_SYNC_BUCKETS];
    nanos sum;
};

struct linux_sync_times linux_world_sync_times(struct linux_world *lw);

/* Gives those to the kernel through io_uring, before the first file is opened: less than half of
 * the process's time for each, but on a busy host, and a disk with a volatile cache, much later
 * (docs/decisions/0010-the-logs-way.md). ERR_DENIED, ERR_UNSUPPORTED: the host does not let us, and
 * the lane's thread goes on doing it. */
MUST_USE enum err linux_world_use_ring(struct linux_world *lw);

/* The loop, for other servers of the same thread. */
struct uv_loop_s *linux_world_loop(struct linux_world *lw);

/* Turns the loop until linux_world_stop, which may be called from any callback. */
void linux_world_run(struct linux_world *lw);
void linux_world_stop(struct linux_world *lw);

/* Waits up to `timeout` for something of the world's to happen, and runs all that is due. Returns
 * how many callbacks ran. NANOS_FOREVER waits for the first. For programs that are a loop of their
 * own: tests, benches, tools. */
size_t linux_world_poll(struct linux_world *lw, nanos timeout);

/* How the network part behaves. */
struct linux_net_config {
    /* The numeric address to listen on and to receive datagrams at: "0.0.0.0", "::" (both families)
     * or one of this host's. */
    char bind[WORLD_HOST_MAX_BYTES];
    /* Encrypts and authenticates every stream; borrowed for the world's life. NULL: plaintext,
     * which is refused off the loopback addresses ... */
    struct linux_tls *tls;
    /* ... but where this allows it. */
    bool allow_plaintext;
    nanos stream_timeout;
    nanos connect_timeout;
    /* Told of each peer that was refused or lost, and why, in words for a log; may be NULL. `why`
     * is borrowed for the call. */
    void (*refused)(void *ctx, const struct world_endpoint *peer, enum err error, const char *why);
    void *ctx;
};

struct linux_net_config linux_net_config_default(void);

/* Holds for what is opened from here on. ERR_INVALID: `bind` is no numeric address. */
MUST_USE enum err linux_world_configure_net(struct linux_world *lw,
                                            const struct linux_net_config *config);

/* The port that a listener which was opened on port 0 got from the system; 0: it is not open. */
uint16_t linux_world_port_of(const struct linux_world *lw, const struct world_listener *listener);

/* ERR_IO where nothing fits better. */
enum err linux_err(int error);

#endif
