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

/* The longest name of a fence device, of a virtual machine and of its volume, with the final zero.
 */
#define WORLD_NAME_MAX_BYTES 64

_Static_assert(WORLD_STREAM_QUEUE_MAX_BYTES > WORLD_DATAGRAM_MAX_BYTES, "a message must fit");

/* An open file. Negative: none. */
typedef int32_t world_fd;
#define WORLD_FD_NONE ((world_fd)-1)

enum world_lane {
    WORLD_LANE_LOG,   /* latency counts: the log */
    WORLD_LANE_BULK,  /* throughput counts: snapshots, preallocation, reading back, scrubbing */
    WORLD_LANE_PROBE, /* one small request, to see how long it takes: it waits behind nothing */
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
    uint32_t place;
    bool is_set;
};

struct world_time_ops {
    /* Monotonic, counting also while the machine is suspended. */
    nanos (*now)(void *self);
    /* Sets it, or moves it if it is set. */
    void (*timer_set)(void *self, struct world_timer *timer, nanos at);
    /* Nothing happens if it is not set. */
    void (*timer_cancel)(void *self, struct world_timer *timer);
    /* Monotonic, and standing still while the machine is suspended; its origin is its own. Where
     * `now` has gained on it, the machine slept, or its clock was stepped, in between. */
    nanos (*awake)(void *self);
    /* Nanoseconds of the Unix epoch, as this host's wall clock is set: it may be wrong, and jumps
     * either way. To be told to people and to peers; nothing is decided by it. */
    nanos (*wall)(void *self);
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
    /* Of a stream that is open: what it brings from now on, and its end, are told to this sink and
     * not to the one it had. May be called from within `received`. */
    void (*stream_hand_over)(void *self, struct world_stream *stream,
                             struct world_stream_sink *sink);
};

struct world_random_ops {
    /* Fit for keys and seeds. */
    void (*fill)(void *self, uint8_t *bytes, size_t n);
};

/*
 * Memory, for much that is written once and read seldom. It may outlive the world that it was taken
 * from: state that lies there is freed after it.
 *
 *   take     `bytes` of zeros, aligned to 16, at `*ret`. Never NULL.
 *   settle   what was written there will not change any more, and is read only from now on: the
 *            world may keep it on a disk. It stays readable where it is; but a read may take as
 *            long as one of the disk, and what the disk gives may be damaged, like a file's bytes:
 *            whoever reads it checks it. A disk that gives nothing ends the process.
 *   rest     what was read of settled memory need not stay at hand.
 *   give     gives it back.
 *
 * Nothing of it outlives the process. A disk that is full, or fails to take it, costs memory only.
 */
struct world_memory; /* the world's */

struct world_memory_ops {
    struct world_memory *(*take)(void *self, size_t bytes, uint8_t **ret);
    void (*settle)(struct world_memory *memory);
    void (*rest)(struct world_memory *memory); /* which was settled */
    void (*give)(struct world_memory *memory);
};

/*
 * The power of other machines, through fence devices that the world's configuration names: a
 * management controller, a switched outlet. One machine may have several.
 *
 *   STATUS  -> state, as the device tells it: now, or, for whoever asks at once after an OFF that
 *           was OK, when it was read back to prove that OFF.
 *   OFF     cuts the power at once. OK: the device says that it is off.
 *   ON      OK: the device says that it is on.
 *
 * An answer is what a device claims, and devices have claimed to have switched off what ran on. So
 * whoever needs a proof reads the power back with STATUS after an OFF, through another device where
 * there is one. An error of OFF or ON says nothing about the power: the command may have been
 * carried out, or may be carried out yet, also after `done`. State UNKNOWN is never "off".
 *
 * `deadline` is a point on this world's clock, and bounds the request whatever the device or its
 * driver does: at it, or soon after, `done` is entered with ERR_TIMEOUT. Requests for one device
 * are carried out one at a time, in the order in which they were submitted, and what a request
 * waits counts against its deadline. Devices are independent of each other. The rules of ownership
 * are those of file requests.
 *
 * Other errors: ERR_NOT_FOUND (no such device is configured), ERR_INVALID (its configuration is
 * malformed), ERR_UNSUPPORTED (it has no such operation), ERR_DENIED, ERR_CLOSED (not reachable, or
 * the connection was lost), ERR_IO (it, or its driver, reports a failure).
 */
enum world_power_op { WORLD_POWER_STATUS, WORLD_POWER_OFF, WORLD_POWER_ON, WORLD_POWER_OPS };

enum world_power_state { WORLD_POWER_UNKNOWN, WORLD_POWER_IS_OFF, WORLD_POWER_IS_ON };

struct world_power_request {
    /* The caller's. */
    enum world_power_op op;
    const char *device;
    nanos deadline;
    void (*done)(struct world_power_request *request);
    void *owner; /* for `done`; the world does not look at it */

    /* The world's answer, valid in `done`. */
    enum err result;
    enum world_power_state state; /* of STATUS; UNKNOWN with any error */

    /* The world's own, while the request is under way. */
    struct world_power_request *next;
    void *world;
    uint64_t ticket;
};

struct world_power_ops {
    void (*submit)(void *self, struct world_power_request *request);
};

/*
 * The virtual machines of this host. A machine is a process of its own, which lives on when the
 * process that started it dies, and holds its image's lock for writing while it lives.
 *
 *   START   spec. OK: the process lives and its guest runs. ERR_EXISTS: a machine of that name is
 *           here already, of whatever epoch. ERR_REFUSED: its volume is locked, here or elsewhere.
 *           ERR_NOT_FOUND: there is no such volume. ERR_TIMEOUT: perhaps; LIST tells.
 *   STOP    presses the guest's power button. OK: it was pressed. Whether the guest obeys is told
 *           by its exit. One that is still booting does not notice, and nothing says so: whoever
 *           wants it to end presses again.
 *   KILL    ends the process. OK: it is gone, and so is its lock.
 *   PAUSE   the guest's processors stand still; process and lock stay.
 *   RESUME  they run again. ERR_REFUSED: the machine has no guest, or another holds the lock.
 *   MIGRATE to, pause_max. Moves the guest, while it runs, to the machine that waits for it there.
 *           OK: all of it is over there, PAUSED, and here it stands still, MOVED, without the lock,
 *           and `moved` says what it took. It goes on where it is RESUMEd first, which takes the
 *           lock. What a process has begun goes on when it dies; another MIGRATE meanwhile is
 *           ERR_CLOSED. ERR_TIMEOUT: the move was called off,
 *           perhaps too late; QUERY tells. Any other error: it was not moved, and is as it was.
 *   PING    the agent within the guest answers. ERR_UNSUPPORTED: the machine has none.
 *   EXEC    has the agent run `command` within the guest to its end, and takes in what it says; of
 *           `command`, its deadline and its `done` are not looked at. ERR_TIMEOUT, ERR_CLOSED: the
 *           program may have run, and may run on. Other errors of PING and EXEC are those of QUERY.
 *   QUERY   -> state. ERR_TIMEOUT with state UNKNOWN: it lives, and does not answer.
 *   LIST    calls `entry` for each machine that lives here, whoever started it, before `done`, in
 *           the order in which they were started. From then on their exits are told too: this is
 *           how a process that starts adopts what it finds. Asks processes, not guests: a machine
 *           that does not answer is listed, as UNKNOWN. What ended while nobody was there to see it
 *           is told as an exit by the first LIST, before its `done`; the loss of the host's power
 *           is nobody's exit.
 *
 * A machine that waits (START with spec.is_incoming) has a process and no guest, and does not hold
 * its lock. Where a move to it fails, its process ends, or waits for nothing any more, and is to be
 * KILLed. Nothing but RESUME makes a guest run that was moved: who resumes it at one end only, and
 * at the other only after the first has ended, has one copy of it, whatever fails; and where it
 * does not, the lock has the last word.
 *
 * STOP, KILL, PAUSE, RESUME, MIGRATE, PING, EXEC and QUERY go to the machine called spec.name, if
 * its epoch is spec.epoch; with another one they are ERR_REFUSED and do nothing, without a machine
 * ERR_NOT_FOUND. ERR_CLOSED: it ended before it answered, and its exit was told. Epoch 0 is none,
 * and fits any.
 *
 * The deadline bounds every request, as it does those for power. Requests for one machine are
 * carried out one at a time in the order in which they were submitted, except that KILL, LIST, PING
 * and EXEC wait for nothing and nothing waits for them. The rules of ownership are those of file
 * requests.
 */
enum world_vm_op {
    WORLD_VM_START,
    WORLD_VM_STOP,
    WORLD_VM_KILL,
    WORLD_VM_PAUSE,
    WORLD_VM_RESUME,
    WORLD_VM_QUERY,
    WORLD_VM_LIST,
    WORLD_VM_MIGRATE,
    WORLD_VM_PING,
    WORLD_VM_EXEC,
    WORLD_VM_OPS
};

enum world_vm_state {
    WORLD_VM_UNKNOWN,
    WORLD_VM_RUNNING,
    WORLD_VM_PAUSED,
    WORLD_VM_WAITING, /* for a guest to be moved to it */
    WORLD_VM_MOVED    /* its guest is elsewhere */
};

struct world_vm_spec {
    const char *name;
    const char *volume;      /* START: where its disk is, and what it locks */
    uint64_t epoch;          /* of the ownership under which it runs */
    bool is_guarded;         /* START: the guard holds it before its guest runs; ERR_DENIED if there
                                is none, or its lease does not hold */
    bool is_incoming;        /* START: it waits for a guest; OK: it does, at the request's `port` */
    uint32_t memory_mib;     /* START: what the machine has of its host; 0: the definition says */
    uint32_t cpus;           /* likewise */
    const char *image;       /* START: the path of its volume; NULL: the driver finds it */
    struct bytes definition; /* START: the rest of the machine; the driver's to understand */
};

struct world_vm_found {
    char name[WORLD_NAME_MAX_BYTES];
    char volume[WORLD_NAME_MAX_BYTES];
    uint64_t epoch;
    enum world_vm_state state;
    bool is_guarded; /* it was started so */
};

/* What a move took. */
struct world_vm_moved {
    nanos span;
    nanos pause; /* for which the guest stood still, as far as the machine that sent it knows */
};

struct world_command_request; /* below */

/* What a driver has to say to a person about one request; longer texts are cut. */
#define WORLD_WHY_BYTES 256

struct world_vm_request {
    /* The caller's. */
    enum world_vm_op op;
    struct world_vm_spec spec;
    struct world_endpoint to; /* MIGRATE: a host, and the port at which a machine waits there */
    nanos pause_max; /* MIGRATE: what is left of the guest is sent at once, while it stands still,
                        when that takes no longer by what was measured; 0: the driver's own */
    struct world_command_request *command; /* EXEC; its answer is the world's */
    nanos deadline;
    /* LIST only; borrowed for the call. */
    void (*entry)(struct world_vm_request *request, const struct world_vm_found *found);
    void (*done)(struct world_vm_request *request);
    void *owner; /* for `entry` and `done`; the world does not look at it */

    /* The world's answer, valid in `done`. */
    enum err result;
    enum world_vm_state state; /* of QUERY */
    uint16_t port;             /* of START with is_incoming */
    bool is_disk_lost;         /* of QUERY: its guest stands still since its disk has failed, and
                                  not for want of room */
    char why[WORLD_WHY_BYTES]; /* why it failed, which file or whose word it was; of a QUERY that is
                                  OK: what keeps its guest from running, such as a disk without
                                  room, and RESUME may try again. "": no more than `result` says */
    struct world_vm_moved moved; /* of MIGRATE */

    /* The world's own, while the request is under way. */
    struct world_vm_request *next;
    void *world;
    uint64_t ticket;
};

enum world_vm_end {
    WORLD_VM_SHUT_DOWN, /* by its guest, asked to or not */
    WORLD_VM_KILLED,    /* by a KILL */
    WORLD_VM_CRASHED    /* anything else */
};

struct world_vm_exit {
    char name[WORLD_NAME_MAX_BYTES];
    uint64_t epoch;
    enum world_vm_end end;
};

/* Is told when the process of a machine has ended that was started or listed through this world, by
 * this process or an earlier one: once, and before the `done` of the KILL that ended it. The
 * caller's, in place while it is set. */
struct world_vm_sink {
    void (*exited)(struct world_vm_sink *sink, const struct world_vm_exit *exit);
    void *owner;
};

struct world_vm_ops {
    void (*submit)(void *self, struct world_vm_request *request);
    /* Replaces the sink; NULL: nobody is told. */
    void (*watch)(void *self, struct world_vm_sink *sink);
};

/*
 * The guard of this host: what ends the machines that it holds when the host's lease ends, whatever
 * has become of this process; and feeds the watchdog for as long as the lease holds. It outlives
 * this process, and keeps its lease and its machines while this one is started anew.
 *
 *   LEASE   until: the host's lease ends at `until`, on the clock of `now`. OK: the guard has it.
 *           Only ever later than before; ERR_INVALID: that was earlier, or is past. At the end it
 *           kills what it still holds, and lets the watchdog run out if one of them lives on.
 *   STATUS  asks, and changes nothing.
 *
 * Both tell what the guard is. It takes machines by START (spec.is_guarded), and by LIST those that
 * it holds are as they were; it lets go of a machine when its process has ended. While it holds
 * none, the watchdog is disarmed, so that an empty host is never reset. ERR_CLOSED: there is no
 * guard, or it does not answer; nothing is known then. The rules of ownership and of deadlines are
 * those of requests for power.
 */
enum world_guard_op { WORLD_GUARD_LEASE, WORLD_GUARD_STATUS, WORLD_GUARD_OPS };

enum world_watchdog {
    WORLD_WATCHDOG_NONE,  /* there is none, or it could not be opened, or is not one */
    WORLD_WATCHDOG_SOFT,  /* a stand-in for tests: it proves nothing */
    WORLD_WATCHDOG_READY, /* a hardware watchdog, disarmed, since the guard holds nothing */
    WORLD_WATCHDOG_ARMED, /* a hardware watchdog, armed: it resets this host by itself */
    WORLD_WATCHDOG_STATES
};

struct world_guard_request {
    /* The caller's. */
    enum world_guard_op op;
    nanos until; /* LEASE */
    nanos deadline;
    void (*done)(struct world_guard_request *request);
    void *owner; /* for `done`; the world does not look at it */

    /* The world's answer, valid in `done`. */
    enum err result;
    enum world_watchdog watchdog;
    nanos watchdog_timeout; /* from its last feeding to the reset, with its tolerance; 0: none */
    nanos lease_until;      /* what the guard has; 0: none yet */
    uint32_t machines;      /* that it holds */

    /* The world's own, while the request is under way. */
    struct world_guard_request *next;
    void *world;
    uint64_t ticket;
};

struct world_guard_ops {
    void (*submit)(void *self, struct world_guard_request *request);
};

/*
 * Plain connections: TCP in clear text, to whatever listens at an endpoint, for probes. Nobody
 * proves who they are on them, and nothing that they bring is trusted; nobody may listen for them
 * through this table.
 *
 * `deadline` is a point on this world's clock and bounds the whole connection: at it, or soon
 * after, it is closed with ERR_TIMEOUT, open or not. Until then the sink is told, at most once
 * each, in this order: `opened`; `received`, as often as bytes come, in order, cut at any place,
 * borrowed for the call; `closed`, after which the connection is gone:
 *
 *   ERR_REFUSED    before `opened`: the host is there, and nobody listens.
 *   ERR_NOT_FOUND  before `opened`: nobody has this name.
 *   ERR_CLOSED     before `opened`: there is no way to it. After: the other side ended it.
 *   ERR_NO_SPACE   before `opened`: this host has no room for another connection.
 *   ERR_IO         anything else.
 *
 * The sink is the caller's, in place until `closed` was entered or the connection was closed by us,
 * which may be done within any of its calls.
 */
struct world_plain; /* one connection; the world's */

/* What may wait in one to be sent, in bytes; above it a send says ERR_BUSY, and takes nothing. */
#define WORLD_PLAIN_QUEUE_MAX_BYTES (64 * 1024)

struct world_plain_sink {
    void (*opened)(struct world_plain_sink *sink);
    void (*received)(struct world_plain_sink *sink, struct bytes bytes);
    void (*closed)(struct world_plain_sink *sink, enum err why);
    void *owner;
};

struct world_plain_ops {
    /* Never NULL: a failure is told by `closed`. The endpoint need not stay. */
    struct world_plain *(*connect)(void *self, const struct world_endpoint *to, nanos deadline,
                                   struct world_plain_sink *sink);
    /* Copies the bytes. Before `opened` they wait. */
    enum err (*send)(void *self, struct world_plain *plain, struct bytes bytes);
    /* At once: what was sent may be lost. Our sink hears nothing more. */
    void (*close)(void *self, struct world_plain *plain);
};

/*
 * Programs of this host, run to their end: the command of a probe, a fence agent. Never through a
 * shell: what an argument contains is an argument's.
 *
 * A program gets the arguments, environment and input that the request names, and nothing else of
 * ours: no descriptor, no signal that is blocked or ignored; its folder is the root. It leads a
 * session and a process group of its own. Its output and its errors are taken in apart, each into
 * the caller's buffer; what does not fit is read and dropped, so that a talkative program does not
 * stand still, but counted.
 *
 *   OK             it ended, by itself or by somebody's signal: `end` and `status` say how. What
 *                  is left of its process group is killed: a command leaves nothing running.
 *   ERR_TIMEOUT    the deadline came, on this world's clock, first: its group was sent SIGKILL,
 *                  and what has left the group is looked for and killed as well, as far as it can
 *                  be told. The buffers hold what it had written. `done` does not wait for the
 *                  death of what hangs in the kernel; that is reaped whenever it comes.
 *   ERR_NOT_FOUND  there is no such program.
 *   ERR_DENIED     it may not be executed.
 *   ERR_INVALID    it cannot be: its path is not absolute, or it is no program.
 *   ERR_TOO_LARGE  the request exceeds a limit, ours or this host's.
 *   ERR_BUSY       too many are under way, those counted that a deadline has killed and that do
 *                  not die, or this host has no room for another process.
 *   ERR_IO         anything else.
 *
 * What the program did is done, whatever the result. If this process dies, the program goes on, and
 * nobody holds it to its deadline. The rules of ownership are those of file requests; requests are
 * independent of each other, and no order holds between them.
 */

/* Arguments with the program's path, and strings of the environment: at most; and the bytes of all
 * of them together, with their final zeros. */
#define WORLD_COMMAND_STRINGS_MAX 64
#define WORLD_COMMAND_BYTES_MAX   (32 * 1024)

/* The input, and each buffer for what it says: at most, in bytes. */
#define WORLD_COMMAND_INPUT_MAX_BYTES (64 * 1024)
#define WORLD_COMMAND_SAYS_MAX_BYTES  (64 * 1024)

enum world_command_end { WORLD_COMMAND_NO_END, WORLD_COMMAND_EXITED, WORLD_COMMAND_SIGNALED };

/* What a program says on one of its two outputs. */
struct world_command_says {
    uint8_t *buffer; /* the caller's; NULL: all of it is dropped */
    size_t room;
    size_t kept;    /* the world's answer: the first so many bytes are in the buffer */
    uint64_t total; /* of how many that were read */
};

struct world_command_request {
    /* The caller's. */
    const char *const *arguments;   /* up to a NULL; the first is the program's path */
    const char *const *environment; /* "NAME=value" up to a NULL; NULL: none */
    struct bytes input;             /* what it reads, then its end */
    struct world_command_says output;
    struct world_command_says errors;
    nanos deadline;
    void (*done)(struct world_command_request *request);
    void *owner; /* for `done`; the world does not look at it */

    /* The world's answer, valid in `done`. */
    enum err result;
    enum world_command_end end; /* of OK */
    int32_t status;             /* EXITED: its status; SIGNALED: the signal */

    /* The world's own, while the request is under way. */
    struct world_command_request *next;
    void *world;
    uint64_t ticket;
};

struct world_command_ops {
    void (*submit)(void *self, struct world_command_request *request);
};

/* The table. A world that lacks a part leaves its pointer NULL, and says so in its header. */
struct world {
    void *self;
    const struct world_time_ops *time;
    const struct world_file_ops *file;
    const struct world_net_ops *net;
    const struct world_random_ops *random;
    const struct world_power_ops *power;
    const struct world_vm_ops *vm;
    const struct world_guard_ops *guard;
    const struct world_memory_ops *memory;
    const struct world_plain_ops *plain;
    const struct world_command_ops *command;
};

static inline nanos world_now(const struct world *w)
{
    return w->time->now(w->self);
}

static inline nanos world_awake(const struct world *w)
{
    return w->time->awake(w->self);
}

static inline nanos world_wall(const struct world *w)
{
    return w->time->wall(w->self);
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
