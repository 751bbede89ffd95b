/* How streams come to be: listeners, lookups, connections. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Connections that wait to be accepted, at most. */
#define BACKLOG 128

/* Accepted in one turn, so that others get theirs. */
#define ACCEPTS_PER_TURN 64

/* Without file descriptors, accepting pauses. */
#define ACCEPT_PAUSE (100 * NANOS_PER_MS)

struct linux_net_config linux_net_config_default(void)
{
    return (struct linux_net_config){
        .bind = "127.0.0.1",
        .stream_timeout = LINUX_STREAM_TIMEOUT,
        .connect_timeout = LINUX_CONNECT_TIMEOUT,
    };
}

enum err linux_world_configure_net(struct linux_world *lw, const struct linux_net_config *config)
{
    union linux_address bind_to;

    if (!linux_address_parse(config->bind, 0, &bind_to)) {
        return ERR_INVALID;
    }
    lw->net = *config;
    lw->bind = bind_to;
    return OK;
}

uint8_t *linux_net_buffer(struct linux_world *lw)
{
    if (lw->read_buffer == NULL) {
        lw->read_buffer = mem_alloc(2 * LINUX_READ_BYTES);
    }
    return lw->read_buffer;
}

void linux_net_tell_refused(struct linux_world *lw, const struct world_endpoint *peer, enum err e,
                            const char *why)
{
    if (lw->net.refused != NULL) {
        lw->net.refused(lw->net.ctx, peer, e, why);
    }
}

/* Is what goes to or comes from this address encrypted and authenticated, or need not be? */
static bool net_is_safe(const struct linux_world *lw, const union linux_address *address)
{
    return lw->net.tls != NULL || lw->net.allow_plaintext || linux_address_is_loopback(address);
}

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* Small messages leave at once, and a dead host's stream ends: one that owes us an acknowledgement
 * by the timeout for data, one that is silent by keepalives. */
static void set_stream_options(const struct linux_world *lw, int fd)
{
    nanos timeout = lw->net.stream_timeout;
    int seconds = (int)u64_max(timeout / (2 * NANOS_PER_S), 1);

    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(timeout / NANOS_PER_MS));
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, seconds);
}

/* --- listening ------------------------------------------------------------------------------- */

void linux_net_offer(struct world_stream *s)
{
    struct world_listener *accepter = s->listener->accepter;

    linux_stream_admit(s);
    linux_stream_open(s);
    s->lw->ran++;
    s->sink = accepter->accepted(accepter, s, &s->far);
    if (s->sink == NULL) {
        linux_stream_retire(s);
    }
}

/* Whoever has been shaking hands for longest makes room, or whose last words are still leaving:
 * honest peers take milliseconds for either, and those who take all the time keep nobody out.
 * False: all are in use. */
static bool net_make_room(struct linux_world *lw)
{
    bool is_full = lw->stream_count >= LINUX_STREAMS_MAX;
    struct world_stream *oldest = NULL;

    if (!is_full && lw->handshake_count < LINUX_HANDSHAKES_MAX) {
        return true;
    }
    for (struct world_stream *s = lw->streams; s != NULL; s = s->next) {
        bool lingers = is_full && s->state == STREAM_LINGERING;
        oldest = s->listener != NULL || lingers ? s : oldest; /* the newest come first */
    }
    if (oldest != NULL) {
        linux_net_tell_refused(lw, &oldest->far, ERR_BUSY, "it was slow, and others came");
        linux_stream_retire(oldest);
    }
    return oldest != NULL;
}

static void net_welcome(struct linux_listener *listener, int fd, const union linux_address *from)
{
    struct linux_world *lw = listener->lw;
    struct world_endpoint far;

    linux_address_print(from, &far);
    if (!net_make_room(lw)) {
        (void)close(fd);
        linux_net_tell_refused(lw, &far, ERR_BUSY, "there are too many streams");
        return;
    }
    set_stream_options(lw, fd);
    struct world_stream *s = linux_stream_new(lw, STREAM_HANDSHAKING);
    s->far = far;
    s->listener = listener;
    lw->handshake_count++;
    linux_stream_hold(s);
    if (!linux_stream_adopt(s, fd)) {
        linux_stream_retire(s);
    } else if (lw->net.tls != NULL) {
        linux_time_ops.timer_set(lw, &s->deadline, linux_boottime() + lw->net.connect_timeout);
        linux_stream_secure(s);
    } else {
        linux_net_offer(s);
    }
    linux_stream_release(s);
}

static void listener_ready(uv_poll_t *poll, int status, int events);

static void listener_resumes(struct world_timer *timer)
{
    struct linux_listener *listener = timer->owner;

    CHECK(uv_poll_start(&listener->poll, UV_READABLE, listener_ready) == 0);
}

static void listener_ready(uv_poll_t *poll, int status, int events)
{
    struct linux_listener *listener = poll->data;
    struct linux_world *lw = listener->lw;

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->fd >= 0; i++) {
        union linux_address from;
        socklen_t n = sizeof from;
        int fd = accept4(listener->fd, &from.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            net_welcome(listener, fd, &from);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            struct world_endpoint at;
            linux_address_print(&lw->bind, &at);
            at.port = listener->real_port;
            linux_net_tell_refused(lw, &at, ERR_BUSY,
                                   "no file descriptor is left for incoming streams; raise the "
                                   "limit of open files");
            (void)uv_poll_stop(&listener->poll);
            linux_time_ops.timer_set(lw, &listener->pause, linux_boottime() + ACCEPT_PAUSE);
            return;
        }
    }
    if (status != 0 && listener->fd >= 0) {
        listener_resumes(&listener->pause);
    }
}

/* A socket of this kind that is bound to the port; -1 and an errno otherwise. */
static int net_bind(const struct linux_world *lw, int type, uint16_t port)
{
    union linux_address at = lw->bind;

    linux_address_set_port(&at, port);
    int fd = socket(at.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (type == SOCK_STREAM) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (at.any.sa_family == AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (bind(fd, &at.any, linux_address_length(&at)) != 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int linux_net_bind_datagrams(const struct linux_world *lw, uint16_t port)
{
    return net_bind(lw, SOCK_DGRAM, port);
}

static enum err linux_listen(void *self, uint16_t port, struct world_listener *accepter)
{
    struct linux_world *lw = self;
    union linux_address at;
    socklen_t n = sizeof at;

    for (struct linux_listener *l = lw->listeners; l != NULL; l = l->next) {
        if (l->port == port && port != 0) {
            return ERR_EXISTS;
        }
    }
    if (!net_is_safe(lw, &lw->bind)) {
        struct world_endpoint where;
        linux_address_print(&lw->bind, &where);
        linux_net_tell_refused(lw, &where, ERR_DENIED,
                               "this address is not a loopback one, so its streams must be "
                               "encrypted: give certificates, or allow plaintext explicitly");
        return ERR_DENIED;
    }
    int fd = net_bind(lw, SOCK_STREAM, port);
    if (fd < 0) {
        return linux_err(errno);
    }
    CHECK(getsockname(fd, &at.any, &n) == 0);
    struct linux_listener *listener = mem_alloc_zero(sizeof *listener);
    listener->lw = lw;
    listener->fd = fd;
    listener->port = port;
    listener->real_port = linux_address_port(&at);
    listener->accepter = accepter;
    listener->pause = (struct world_timer){.fire = listener_resumes, .owner = listener};
    listener->next = lw->listeners;
    lw->listeners = listener;
    CHECK(uv_poll_init(&lw->loop, &listener->poll, fd) == 0);
    listener->poll.data = listener;
    CHECK(uv_poll_start(&listener->poll, UV_READABLE, listener_ready) == 0);
    return OK;
}

static void listener_let_go(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void listener_close(struct linux_listener **at)
{
    struct linux_listener *listener = *at;

    *at = listener->next;
    for (struct world_stream *s = listener->lw->streams, *next = NULL; s != NULL; s = next) {
        next = s->next;
        if (s->listener == listener) {
            linux_stream_retire(s);
        }
    }
    linux_time_ops.timer_cancel(listener->lw, &listener->pause);
    uv_close((uv_handle_t *)&listener->poll, listener_let_go);
    (void)close(listener->fd);
    listener->fd = -1;
}

static void linux_listen_close(void *self, uint16_t port)
{
    struct linux_world *lw = self;

    for (struct linux_listener **at = &lw->listeners; *at != NULL; at = &(*at)->next) {
        if ((*at)->port == port) {
            listener_close(at);
            return;
        }
    }
}

uint16_t linux_world_port_of(const struct linux_world *lw, const struct world_listener *listener)
{
    for (const struct linux_listener *l = lw->listeners; l != NULL; l = l->next) {
        if (l->accepter == listener) {
            return l->real_port;
        }
    }
    return 0;
}

/* --- connecting ------------------------------------------------------------------------------ */

/* Begins to connect to one address. Returns the socket, or -1 and an errno. */
static int net_dial(const struct linux_world *lw, const union linux_address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    set_stream_options(lw, fd);
    if (connect(fd, &to->any, linux_address_length(to)) != 0 && errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Peers are gone either way; a probe's reader wants to know whether anybody was there. */
static enum err dial_err(const struct world_stream *s, int error)
{
    return s->is_plain && error == ECONNREFUSED ? ERR_REFUSED : linux_err(error);
}

/* Tries the addresses from address_at on. */
static void net_try(struct world_stream *s, enum err so_far)
{
    for (; s->address_at < s->address_count; s->address_at++) {
        const union linux_address *to = &s->addresses[s->address_at];
        if (!s->is_plain && !net_is_safe(s->lw, to)) {
            linux_net_tell_refused(s->lw, &s->far, ERR_DENIED,
                                   "its address is not a loopback one, so the stream must be "
                                   "encrypted: give certificates, or allow plaintext explicitly");
            so_far = ERR_DENIED;
            continue;
        }
        int fd = net_dial(s->lw, to);
        s->state = STREAM_CONNECTING;
        if (fd >= 0 && linux_stream_adopt(s, fd)) {
            return;
        }
        so_far = fd < 0 ? dial_err(s, errno) : ERR_IO;
    }
    linux_stream_fail(s, so_far);
}

/* A socket that calls a port of this host which nobody listens at may, by chance, be given that
 * port itself, and reach itself. */
static bool reached_itself(int fd)
{
    union linux_address near;
    union linux_address far;
    struct world_endpoint near_at;
    struct world_endpoint far_at;
    socklen_t near_bytes = sizeof near;
    socklen_t far_bytes = sizeof far;

    if (getsockname(fd, &near.any, &near_bytes) != 0 ||
        getpeername(fd, &far.any, &far_bytes) != 0) {
        return true; /* it has just been lost */
    }
    linux_address_print(&near, &near_at);
    linux_address_print(&far, &far_at);
    return near_at.port == far_at.port && strcmp(near_at.host, far_at.host) == 0;
}

void linux_net_connected(struct world_stream *s)
{
    int error = 0;
    socklen_t n = sizeof error;

    CHECK(getsockopt(s->socket->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0);
    if (error == 0 && !reached_itself(s->socket->fd)) {
        if (s->lw->net.tls != NULL && !s->is_plain) {
            linux_stream_secure(s);
        } else {
            linux_stream_begin(s);
        }
        return;
    }
    linux_stream_drop_socket(s);
    s->address_at++;
    net_try(s, dial_err(s, error != 0 ? error : ECONNREFUSED));
}

static void net_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct world_stream *s = lookup->data;

    if (s->state == STREAM_RESOLVING) {
        if (status == 0) {
            s->address_count =
                linux_address_take(found, s->far.port, s->addresses, LINUX_ADDRESSES_MAX);
        } else if (!s->is_plain) {
            linux_net_tell_refused(s->lw, &s->far, ERR_NOT_FOUND, uv_strerror(status));
        }
        net_try(s, ERR_NOT_FOUND);
    }
    uv_freeaddrinfo(found);
    linux_stream_release(s);
}

static void net_call(struct world_stream *s)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (linux_address_parse(s->far.host, s->far.port, &s->addresses[0])) {
        s->address_count = 1;
        net_try(s, ERR_CLOSED);
        return;
    }
    s->resolve.data = s;
    if (uv_getaddrinfo(&s->lw->loop, &s->resolve, net_resolved, s->far.host, NULL, &hints) == 0) {
        linux_stream_hold(s);
    } else {
        linux_stream_fail(s, ERR_NOT_FOUND);
    }
}

static struct world_stream *linux_connect(void *self, const struct world_endpoint *to,
                                          struct world_stream_sink *sink)
{
    struct linux_world *lw = self;
    struct world_stream *s = linux_stream_new(lw, STREAM_RESOLVING);

    s->far = *to;
    s->sink = sink;
    linux_time_ops.timer_set(lw, &s->deadline, linux_boottime() + lw->net.connect_timeout);
    net_call(s);
    return s;
}

struct world_stream *linux_net_connect_plain(struct linux_world *lw,
                                             const struct world_endpoint *to,
                                             struct world_stream_sink *sink)
{
    struct world_stream *s = linux_stream_new(lw, STREAM_RESOLVING);

    s->far = *to;
    s->sink = sink;
    s->is_plain = true;
    net_call(s);
    return s;
}

const struct world_net_ops linux_net_ops = {
    .datagram_open = linux_datagram_open,
    .datagram_close = linux_datagram_close,
    .datagram_send = linux_datagram_send,
    .listen = linux_listen,
    .listen_close = linux_listen_close,
    .connect = linux_connect,
    .stream_send = linux_stream_send,
    .stream_close = linux_stream_close,
    .stream_may_be = linux_stream_may_be,
    .stream_hand_over = linux_stream_hand_over,
};

void linux_net_close(struct linux_world *lw)
{
    while (lw->listeners != NULL) {
        listener_close(&lw->listeners);
    }
    linux_datagrams_close(lw);
    linux_streams_close(lw);
}
