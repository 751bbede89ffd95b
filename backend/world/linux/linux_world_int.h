/*
 * Private to the Linux world.
 *
 *     linux_world.c     life, the turn of the loop, the clock, randomness
 *     linux_timer.c     timers: a heap and a timerfd
 *     linux_lane.c      the lanes of file requests, and their threads
 *     linux_file.c      what they execute
 *     linux_open.c      which files are open, and what of them is durable
 *     linux_ring.c      the shorter way of the log
 *     linux_memory.c    memory that settles on the disk
 *     linux_net.c       listeners, connecting: how streams come to be
 *     linux_stream.c    streams that are there
 *     linux_tls.c       what encrypts them
 *     linux_plain.c     connections of probes
 *     linux_datagram.c  datagrams
 *     linux_address.c   names and addresses
 *     linux_command.c   programs that are run, with a deadline
 *     linux_hunt.c      those of their children that have left
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_WORLD_INT_H
#define NOVACRON_WORLD_LINUX_LINUX_WORLD_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <uv.h>

#include "core/base/buf.h"
#include "world/linux/linux_world.h"

/* What one read takes from a socket, at most, in bytes: a burst of a peer's in few calls. */
#define LINUX_READ_BYTES (256 * 1024)

/* Streams of one world, at most; further incoming ones are refused. */
#define LINUX_STREAMS_MAX 4096

/* Incoming streams that have not proven who they are, at most: they cost memory and work. */
#define LINUX_HANDSHAKES_MAX 256

/* Addresses that a name is tried at. */
#define LINUX_ADDRESSES_MAX 4

/* Memory, length and offset of direct writes are multiples of it; a disk that wants more refuses
 * them, and gets plain ones. */
#define LINUX_COMMIT_ALIGN WORLD_SECTOR_BYTES

/* The largest direct write, in bytes: more than what gathers in a busy log during one. */
#define LINUX_COMMIT_BYTES_MAX (1024 * 1024)

/* A lane of our own, behind the world's: a snapshot's syncs must not keep settled memory waiting.
 */
#define LINUX_LANE_MEMORY ((enum world_lane)WORLD_LANES)
#define LINUX_LANES       (WORLD_LANES + 1)

struct linux_queue {
    struct world_file_request *first;
    struct world_file_request *last;
};

/* Guarded by `lock`: all from there on. What is before it is the loop's alone. */
struct linux_lane {
    struct linux_world *lw;
    pthread_t thread;
    struct linux_queue waiting; /* the log's lane: not given to the thread yet */
    size_t under_way;           /* given to the thread, and not completed */
    bool wakes;                 /* at the end of the turn */
    uint8_t *bounce_memory;     /* owned; NULL before the first commit */
    uint8_t *bounce;            /* in it, aligned: LINUX_COMMIT_BYTES_MAX; the thread's */
    pthread_mutex_t lock;
    sem_t wake; /* posted when the queue was empty, and at the end */
    struct linux_queue queue;
    struct linux_sync_times sync_times; /* its thread adds, atomically */
    bool joins; /* completions of a run of requests are handed back together */
    bool ends;
};

/* A socket's address of either family. */
union linux_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct linux_listener {
    struct linux_listener *next;
    struct linux_world *lw;
    uv_poll_t poll;
    int fd;
    uint16_t port;                   /* as the caller named it */
    uint16_t real_port;              /* where it was 0 */
    struct world_listener *accepter; /* borrowed */
    struct world_timer pause;        /* no file descriptor is left: tried again then */
};

enum linux_stream_state {
    STREAM_RESOLVING,  /* a name is being looked up */
    STREAM_CONNECTING, /* a socket is */
    STREAM_HANDSHAKING,
    STREAM_OPEN,
    STREAM_FAILED,    /* its sink is told at the end of the turn */
    STREAM_LINGERING, /* ended, and what was sent is still leaving */
    STREAM_GONE       /* out of its world's list */
};

/* A socket and what libuv knows of it, which it keeps a little longer than we do. */
struct linux_socket {
    uv_poll_t poll; /* data: the stream */
    int fd;
    int watched; /* UV_READABLE, UV_WRITABLE */
};

/* One end of a stream. Freed with its last reference: those of the world's list, of the list of
 * dirty ones, of a lookup, and of a callback that is running. */
struct world_stream {
    struct linux_world *lw;
    struct world_stream *next;
    struct world_stream *prev;
    struct world_stream *next_dirty; /* this turn has to look after it */
    struct world_stream_sink *sink;  /* borrowed; NULL: nobody listens any more */
    enum linux_stream_state state;
    uint32_t references;
    bool is_plain; /* linux_plain.c's: never encrypted, and with its deadline */
    bool is_dirty;
    bool wants_room;                 /* a send found the queue full */
    bool is_blocked;                 /* the socket takes no more at the moment */
    bool is_broken;                  /* nothing is encrypted any more */
    bool has_sent;                   /* anything, ever */
    bool is_shut;                    /* all that was sent has left, and the other end knows */
    enum err why;                    /* of FAILED */
    struct linux_socket *socket;     /* NULL: none */
    struct linux_tls_end *tls;       /* NULL: plaintext */
    struct linux_listener *listener; /* while an incoming one shakes hands; it counts as such */
    uv_getaddrinfo_t resolve;
    struct world_endpoint far;
    union linux_address addresses[LINUX_ADDRESSES_MAX];
    size_t address_count;
    size_t address_at;
    struct world_timer deadline; /* of connecting, then of lingering */
    struct buf out; /* sent, and taken neither by the socket nor by TLS: from out_at on */
    size_t out_at;
    size_t cipher_at; /* likewise, what TLS made of it */
};

/* A datagram port. */
struct linux_port {
    struct linux_port *next;
    struct linux_world *lw;
    uv_poll_t poll;
    int fd;
    sa_family_t family;
    uint16_t number;
    struct world_datagram_sink *sink; /* borrowed */
};

struct linux_commands;    /* linux_command.h */
struct linux_names;       /* linux_address.c */
struct linux_opens;       /* linux_open.c */
struct linux_ring;        /* linux_ring.c */
struct linux_memory_file; /* linux_memory.c */

struct linux_world {
    struct world table;
    uv_loop_t loop;
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    uv_idle_t eager; /* active: something is due, so the loop must not wait */
    size_t ran;      /* callbacks of the world's, for linux_world_poll */

    int timer_fd;
    uv_poll_t timer_poll;
    nanos armed_at; /* when the timerfd fires; NANOS_FOREVER: never */
    struct world_timer **timers;
    size_t timer_count;
    size_t timer_cap;
    uint64_t timer_ticket;

    int root;
    int event_fd;
    uv_poll_t event_poll;
    struct linux_lane lanes[LINUX_LANES];
    pthread_mutex_t done_lock;
    struct linux_queue done; /* guarded by done_lock */
    struct linux_opens *opens;
    uint64_t commits;
    struct linux_ring *ring; /* NULL: not asked for, or not to be had */

    struct world_memory *memory;           /* all of it */
    struct linux_memory_file *memory_file; /* NULL before the first use */

    /* The drivers that were plugged in, and what to call them with. */
    const struct world_power_ops *power_driver;
    const struct world_vm_ops *vm_driver;
    const struct world_guard_ops *guard_driver;
    void *power_self;
    void *vm_self;
    void *guard_self;

    struct linux_commands *commands; /* NULL before the first */
    struct world_plain *plains;

    struct linux_net_config net;
    union linux_address bind;
    struct linux_listener *listeners;
    struct world_stream *streams;
    size_t stream_count;
    size_t handshake_count;
    struct world_stream *dirty;
    struct world_stream **dirty_end;
    struct linux_port *ports;
    struct linux_names *names;
    uint8_t
        *read_buffer; /* LINUX_READ_BYTES twice: as read, and decrypted; NULL before the first */
};

/* --- linux_timer.c --------------------------------------------------------------------------- */

void linux_timers_open(struct linux_world *lw);
void linux_timers_close(struct linux_world *lw);
extern const struct world_time_ops linux_time_ops;
nanos linux_boottime(void);
/* Fires what is due, but not what that sets anew. */
void linux_timers_run(struct linux_world *lw);
/* Sees to it that the loop wakes for the earliest timer. True: it is due already. */
bool linux_timers_arm(struct linux_world *lw);

/* --- linux_lane.c ---------------------------------------------------------------------------- */

void linux_lanes_open(struct linux_world *lw);
void linux_lanes_close(struct linux_world *lw);
extern const struct world_file_ops linux_file_ops;

void linux_requests_push(struct linux_queue *queue, struct world_file_request *request);
struct world_file_request *linux_requests_pop(struct linux_queue *queue);
/* At the end of a turn: no sync follows what waits, and the log's thread is woken. */
void linux_lanes_kick(struct linux_world *lw);
/* The log's lane has one request less. */
void linux_lanes_resume(struct linux_world *lw);
/* Gives it to its lane's thread. */
void linux_lane_dispatch(struct linux_world *lw, struct world_file_request *request);
/* The first aligned place in LINUX_COMMIT_ALIGN more bytes than are wanted. */
uint8_t *linux_commit_align(uint8_t *memory);
/* Tells whoever asked. */
void linux_lane_finish(struct linux_world *lw, struct world_file_request *request);

/* --- linux_open.c ---------------------------------------------------------------------------- */

/* A request goes to a thread: what it changes is not durable. */
void linux_opens_note(struct linux_world *lw, struct world_file_request *request);
/* It is back. */
void linux_opens_learn(struct linux_world *lw, const struct world_file_request *request);
void linux_opens_remove(struct linux_world *lw, world_fd fd);
/* A descriptor of the same file for direct, durable writes; -1: there is none, or something in the
 * file is not durable, so that a sync has to be a real one. */
int linux_opens_direct(struct linux_world *lw, world_fd fd);
void linux_opens_close(struct linux_world *lw);

/* --- linux_ring.c ---------------------------------------------------------------------------- */

void linux_ring_close(struct linux_world *lw);
bool linux_ring_is_wanted(const struct linux_world *lw);
bool linux_ring_is_busy(const struct linux_world *lw);
/* A commit; nothing else of the lane is under way. */
void linux_ring_submit(struct linux_world *lw, struct world_file_request *write,
                       struct world_file_request *sync);

/* --- linux_file.c ---------------------------------------------------------------------------- */

/* On a lane's thread: the system calls. */
void linux_file_execute(int root, struct world_file_request *request);

/* On a lane's thread: a direct write that is durable when it returns, on the descriptor in the
 * write's ticket; or a plain one and a sync, where there are no direct ones: then sync->count is 1.
 * `bounce` is aligned. */
void linux_file_commit(uint8_t *bounce, struct world_file_request *write,
                       struct world_file_request *sync);

/* On the loop's thread: tells the names that LIST found, in order. */
void linux_file_finish(struct world_file_request *request);

/* Frees what a request that will not be finished has. */
void linux_file_forget(struct world_file_request *request);

/* --- linux_memory.c -------------------------------------------------------------------------- */

extern const struct world_memory_ops linux_memory_ops;
void linux_memory_close(struct linux_world *lw);

/* --- linux_net.c ----------------------------------------------------------------------------- */

void linux_net_close(struct linux_world *lw);
extern const struct world_net_ops linux_net_ops;
void linux_net_tell_refused(struct linux_world *lw, const struct world_endpoint *peer, enum err e,
                            const char *why);
uint8_t *linux_net_buffer(struct linux_world *lw);
/* A datagram socket that is bound to the port, or -1 and an errno. */
int linux_net_bind_datagrams(const struct linux_world *lw, uint16_t port);
/* A socket that was connecting can tell how it went. */
void linux_net_connected(struct world_stream *s);
/* A stream that is not encrypted, whatever the configuration says, and has no deadline here. Nobody
 * listening is told as ERR_REFUSED. */
struct world_stream *linux_net_connect_plain(struct linux_world *lw,
                                             const struct world_endpoint *to,
                                             struct world_stream_sink *sink);
/* An incoming stream may be offered to its listener. */
void linux_net_offer(struct world_stream *s);

/* --- linux_stream.c -------------------------------------------------------------------------- */

struct world_stream *linux_stream_new(struct linux_world *lw, enum linux_stream_state state);
void linux_stream_hold(struct world_stream *s);
void linux_stream_release(struct world_stream *s);
/* Takes the socket, and watches it for what the state needs. False: it cannot, and closed it. */
bool linux_stream_adopt(struct world_stream *s, int fd);
/* Drops it, to try another address. */
void linux_stream_drop_socket(struct world_stream *s);
/* Begins its handshake. */
void linux_stream_secure(struct world_stream *s);
/* It no longer counts among those that shake hands. */
void linux_stream_admit(struct world_stream *s);
/* What waited may leave. */
void linux_stream_open(struct world_stream *s);
/* It is connected: tells the sink, and sends what waited. */
void linux_stream_begin(struct world_stream *s);
/* Ends it; its sink is told `why` at the end of the turn. */
void linux_stream_fail(struct world_stream *s, enum err why);
/* Ends it; its sink hears nothing. */
void linux_stream_retire(struct world_stream *s);
/* At the end of a turn: what was sent leaves, and what failed is told. */
void linux_streams_flush(struct linux_world *lw);
void linux_streams_close(struct linux_world *lw);
enum err linux_stream_send(void *self, struct world_stream *s, struct bytes bytes);
void linux_stream_close(void *self, struct world_stream *s);
bool linux_stream_may_be(void *self, const struct world_stream *s, const char *name);
void linux_stream_hand_over(void *self, struct world_stream *s, struct world_stream_sink *sink);

/* --- linux_plain.c --------------------------------------------------------------------------- */

extern const struct world_plain_ops linux_plain_ops;
void linux_plains_close(struct linux_world *lw);

/* --- linux_datagram.c ------------------------------------------------------------------------ */

enum err linux_datagram_open(void *self, uint16_t port, struct world_datagram_sink *sink);
void linux_datagram_close(void *self, uint16_t port);
void linux_datagram_send(void *self, uint16_t from_port, const struct world_endpoint *to,
                         struct bytes datagram);
void linux_datagrams_close(struct linux_world *lw);

/* --- linux_address.c ------------------------------------------------------------------------- */

/* False: `host` is no numeric address. */
bool linux_address_parse(const char *host, uint16_t port, union linux_address *ret);
void linux_address_print(const union linux_address *a, struct world_endpoint *ret);
socklen_t linux_address_length(const union linux_address *a);
uint16_t linux_address_port(const union linux_address *a);
void linux_address_set_port(union linux_address *a, uint16_t port);
bool linux_address_is_loopback(const union linux_address *a);
/* As a socket of this family can reach it; false: it cannot. */
bool linux_address_fit(union linux_address *a, sa_family_t family);
/* What getaddrinfo found, as many as fit. Returns how many. */
size_t linux_address_take(const struct addrinfo *found, uint16_t port, union linux_address *ret,
                          size_t max);
/* The address of a name from memory; false: it is not there, and is being looked up. */
bool linux_names_find(struct linux_world *lw, const struct world_endpoint *to,
                      union linux_address *ret);
void linux_names_close(struct linux_world *lw);

/* --- linux_plug.c ---------------------------------------------------------------------------- */

extern const struct world_command_ops linux_world_command_ops;
void linux_plug_close(struct linux_world *lw);

/* --- linux_hunt.c ---------------------------------------------------------------------------- */

/* On a thread: kills what is of this session, or has the variable `mark` in its environment. */
void linux_hunt(pid_t session, const char *mark);

#endif
