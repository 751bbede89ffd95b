/*
 * world: everything that a node can do to the outside, as one table of asynchronous operations.
 *
 * What lives here: the table, its request structs, and nothing that does anything. Who may call it:
 * core/recovery, core/node and what is glued there. Exactly two worlds fill it: backend/world/linux
 * (system calls) and core/chaos (virtual time, and disks, networks and clocks that misbehave). Both
 * are held to the same contract tests (tests/world).
 *
 * THREAD. A world and all that calls it live on one thread. No call blocks, and no completion runs
 * inside the call that asked for it: it runs later, from the world's loop, once for each request.
 *
 * OWNERSHIP. A request struct, and every buffer and string it points to, belongs to the caller and
 * stays in place, untouched, from submission until its `done` has been entered. Inside `done` the
 * request may be submitted again. Requests cannot be canceled; a world that is torn down forgets
 * them without calling `done`.
 *
 * ORDER. Each file request names a lane. Requests of one lane take effect, and complete, in the
 * order in which they were submitted, whether or not earlier ones failed; so a write followed by a
 * sync on one lane is a durable write. Lanes are independent of each other: no order holds between
 * them, so a slow copy in WORLD_LANE_BULK does not delay the log in WORLD_LANE_LOG.
 *
 * WHAT POWER LOSS TAKES. The bytes of a file are durable once a sync of that file completed with OK
 * that was submitted after the write (on the same lane, or after the write's completion). Until
 * then, at power loss, each 512-byte sector of each write survives or vanishes on its own: writes
 * may be lost, torn at sector boundaries, and reordered. A sector is never a mix of two writes. A
 * file's size and its preallocated blocks are durable after that same sync; before it each change
 * survives or vanishes. Names are separate: a creation, link, unlink, rename or mkdir is atomic,
 * becomes durable once WORLD_SYNC_DIR of the directory completed that was submitted after it (for a
 * rename across directories: of both), and may vanish before that, in any subset. Syncing a file
 * does not make its name durable, and syncing a directory does not make a file's bytes durable.
 *
 * The death of the process alone takes nothing that completed.
 *
 * A FAILED SYNC says nothing about which bytes are durable, and a later sync that succeeds does not
 * heal that [Rebello20]. The caller must treat it as the end of that file.
 */
#ifndef NOVACRON_WORLD_WORLD_H
#define NOVACRON_WORLD_WORLD_H

#include "core/base/err.h"
#include "core/base/types.h"

/* The unit in which a disk tears a write, in bytes. */
#define WORLD_SECTOR_BYTES 512

/* The longest path, with its final zero, and the longest name of a host, likewise. */
#define WORLD_PATH_MAX_BYTES 256
#define WORLD_HOST_MAX_BYTES 64

/* The largest datagram, in bytes: fits one Ethernet frame below IPv6 and UDP. */
#define WORLD_DATAGRAM_MAX_BYTES 1400

/* What may wait in one stream to be sent, in bytes; above it world_stream_send says ERR_BUSY. */
#define WORLD_STREAM_QUEUE_MAX_BYTES (8 * 1024 * 1024)

_Static_assert(WORLD_STREAM_QUEUE_MAX_BYTES > WORLD_DATAGRAM_MAX_BYTES, "a message must fit");

/* An open file. Negative: none. */
typedef int32_t world_fd;
#define WORLD_FD_NONE ((world_fd)-1)

enum world_lane {
    WORLD_LANE_LOG,  /* latency counts: the log */
    WORLD_LANE_BULK, /* throughput counts: snapshots, preallocation, reading back, scrubbing */
    WORLD_LANES
};

/*
 * File operations. `path` and `path_to` are relative to the root that the world was opened on, use
 * '/', and contain neither "." nor "..".
 *
 *   OPEN        path, flags -> fd. Without CREATE a missing file is ERR_NOT_FOUND; with CREATE an
 *               existing one is ERR_EXISTS.
 *   CLOSE       fd. Always OK. Says nothing about durability.
 *   READ        fd, offset, buffer, length -> count. Short only at the end of the file.
 *   WRITE       fd, offset, buffer, length. All or an error; the file grows as needed.
 *   SYNC        fd. See above.
 *   PREALLOCATE fd, length: blocks for the bytes [0, length) are taken and read as zeros where
 *               nothing was written; the size becomes at least `length`. After a sync, overwriting
 *               them needs no space and no further metadata. ERR_NO_SPACE leaves the file usable,
 *               of whatever size it got to.
 *   TRUNCATE    fd, length: cuts or extends (with zeros) to `length`.
 *   RENAME      path, path_to: replaces path_to.
 *   LINK        path, path_to: a second name; ERR_EXISTS if taken.
 *   UNLINK      path (a file).
 *   MKDIR       path; ERR_EXISTS if taken.
 *   LIST        path: calls `entry` for each name in it, before `done`, in ascending byte order.
 *   SYNC_DIR    path.
 *   STAT        path -> size.
 *   SPACE       path -> size (of the file system), count (bytes free for us).
 *
 * "" is the root directory. Errors are those of the world's edge (base/err.h): ERR_IO,
 * ERR_NO_SPACE, ERR_NOT_FOUND, ERR_EXISTS, ERR_DENIED, ERR_INVALID.
 */
enum world_file_op {
    WORLD_OPEN,
    WORLD_CLOSE,
    WORLD_READ,
    WORLD_WRITE,
    WORLD_SYNC,
    WORLD_PREALLOCATE,
    WORLD_TRUNCATE,
    WORLD_RENAME,
    WORLD_LINK,
    WORLD_UNLINK,
    WORLD_MKDIR,
    WORLD_LIST,
    WORLD_SYNC_DIR,
    WORLD_STAT,
    WORLD_SPACE,
    WORLD_FILE_OPS
};

#define WORLD_OPEN_WRITE  0x1U /* for reading and writing; otherwise for reading */
#define WORLD_OPEN_CREATE 0x2U /* must not exist; implies WORLD_OPEN_WRITE */

struct world_file_request {
    /* The caller's. */
    enum world_file_op op;
    enum world_lane lane;
    uint32_t flags;
    world_fd fd; /* also the result of OPEN */
    const char *path;
    const char *path_to;
    uint8_t *buffer; /* READ fills it, WRITE reads it */
    uint64_t length;
    uint64_t offset;
    void (*entry)(struct world_file_request *request, const char *name); /* LIST only */
    void (*done)(struct world_file_request *request);
    void *owner; /* for `done`; the world does not look at it */

    /* The world's answer, valid in `done`. */
    enum err result;
    uint64_t count;
    uint64_t size;

    /* The world's own, while the request is under way. */
    struct world_file_request *next;
    void *world;
    uint64_t ticket;
};

struct world_file_ops {
    void (*submit)(void *self, struct world_file_request *request);
};

/* A timer, owned by the caller. Zeroed: not set. `fire` runs once, at `at` or soon after; timers
 * for equal times fire in the order in which they were set. */
struct world_timer {
    void (*fire)(struct world_timer *timer);
    void *owner;
    nanos at; /* the world's from here on */
    struct world_timer *next;
    uint64_t ticket;
    size_t slot;
    bool is_set;
};

struct world_time_ops {
    /* Monotonic, counting also while the machine is suspended. */
    nanos (*now)(void *self);
    /* Sets it, or moves it if it is set. */
    void (*timer_set)(void *self, struct world_timer *timer, nanos at);
    /* Nothing happens if it is not set. */
    void (*timer_cancel)(void *self, struct world_timer *timer);
};

/* Where to reach a peer: a name or address, and a port. */
struct world_endpoint {
    char host[WORLD_HOST_MAX_BYTES];
    uint16_t port;
};

/* Receives datagrams; the caller's, in place while the port is open. The bytes are borrowed for the
 * call. Datagrams are lost, doubled and reordered, never altered (checksums of their own included).
 */
struct world_datagram_sink {
    void (*received)(struct world_datagram_sink *sink, const struct world_endpoint *from,
                     struct bytes datagram);
    void *owner;
};

struct world_stream; /* one end of a byte stream; the world's */

/* Receives what a stream brings; the caller's, in place until `closed` was entered or the stream
 * was closed by us. Bytes arrive in order, complete, cut at any place; they are borrowed for the
 * call. */
struct world_stream_sink {
    void (*opened)(struct world_stream_sink *sink);
    void (*received)(struct world_stream_sink *sink, struct bytes bytes);
    /* After a send said ERR_BUSY: at least half of the queue is free again. */
    void (*writable)(struct world_stream_sink *sink);
    /* The other side, or the network, ended it; nothing follows, and the stream is gone. */
    void (*closed)(struct world_stream_sink *sink, enum err why);
    void *owner;
};

/* Is offered incoming streams; the caller's, in place while the port is open. Returns the sink that
 * the stream shall have, which is open then (`opened` is not called); or NULL to refuse it, which
 * is the only way to end it within the call. */
struct world_listener {
    struct world_stream_sink *(*accepted)(struct world_listener *listener,
                                          struct world_stream *stream,
                                          const struct world_endpoint *from);
    void *owner;
};

struct world_net_ops {
    enum err (*datagram_open)(void *self, uint16_t port, struct world_datagram_sink *sink);
    void (*datagram_close)(void *self, uint16_t port);
    /* Copies the bytes. Without promise: a full queue drops. At most WORLD_DATAGRAM_MAX_BYTES. */
    void (*datagram_send)(void *self, uint16_t from_port, const struct world_endpoint *to,
                          struct bytes datagram);
    enum err (*listen)(void *self, uint16_t port, struct world_listener *listener);
    void (*listen_close)(void *self, uint16_t port);
    /* Never NULL: a failure is told by `closed`. */
    struct world_stream *(*connect)(void *self, const struct world_endpoint *to,
                                    struct world_stream_sink *sink);
    /* Copies the bytes: all of them, or ERR_BUSY and none. Before `opened` they wait. */
    enum err (*stream_send)(void *self, struct world_stream *stream, struct bytes bytes);
    /* Bytes that were sent before may still arrive. Our sink hears nothing more. */
    void (*stream_close)(void *self, struct world_stream *stream);
    /* Of a stream that is open: may its other end bear this name? False where it proved who it is,
     * and is somebody else. NULL: nobody proves anything in this world. */
    bool (*stream_may_be)(void *self, const struct world_stream *stream, const char *name);
};

struct world_random_ops {
    /* Fit for keys and seeds. */
    void (*fill)(void *self, uint8_t *bytes, size_t n);
};

/* The table. A world that lacks a part leaves its pointer NULL, and says so in its header. */
struct world {
    void *self;
    const struct world_time_ops *time;
    const struct world_file_ops *file;
    const struct world_net_ops *net;
    const struct world_random_ops *random;
};

static inline nanos world_now(const struct world *w)
{
    return w->time->now(w->self);
}

static inline void world_timer_set(const struct world *w, struct world_timer *timer, nanos at)
{
    w->time->timer_set(w->self, timer, at);
}

static inline void world_timer_cancel(const struct world *w, struct world_timer *timer)
{
    w->time->timer_cancel(w->self, timer);
}

static inline void world_submit(const struct world *w, struct world_file_request *request)
{
    w->file->submit(w->self, request);
}

/* The length of the path of the directory that `path` is in: 0 for the root. */
static inline size_t world_parent_length(const char *path)
{
    size_t slash = 0;

    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            slash = i;
        }
    }
    return slash;
}

#endif
