/*
 * Streams that have, or had, a socket.
 *
 *     RESOLVING --> CONNECTING --> HANDSHAKING --> OPEN --close--> LINGERING --> GONE
 *         |             |               |           |                  ^          ^
 *         `-------------`---------------`-----------`---> FAILED ------`----------`
 *
 * Without TLS nothing shakes hands. A FAILED stream's sink is told at the end of the turn.
 * LINGERING is over once all that was sent has left and the other end is gone too, or
 * LINUX_STREAM_TIMEOUT is over: a socket that is closed while bytes arrive takes back what it sent.
 * One on which nothing was sent has nothing to take back, and goes at once.
 *
 * What is sent is copied into a queue, and leaves at the end of the turn in one system call, or
 * when the socket has room again. With TLS it is encrypted then, a little ahead of what the socket
 * takes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_tls_int.h"
#include "world/linux/linux_world_int.h"

/* An empty queue keeps at most so much memory. */
#define QUEUE_KEPT_BYTES (256 * 1024)

/* Bytes that have left are closed up once they are so many, and most of the queue. */
#define QUEUE_SLACK_BYTES (1024 * 1024)

/* So much is encrypted ahead of the socket, at least: what one write takes, mostly. */
#define CIPHER_AHEAD_BYTES (256 * 1024)

/* The plaintext of one TLS record, at most. */
#define RECORD_BYTES 16384

void linux_stream_hold(struct world_stream *s)
{
    s->references++;
}

void linux_stream_release(struct world_stream *s)
{
    CHECK(s->references > 0);
    if (--s->references == 0) {
        CHECK(s->state == STREAM_GONE && s->socket == NULL && !s->deadline.is_set);
        buf_deinit(&s->out);
        if (s->tls != NULL) {
            linux_tls_end_free(s->tls);
        }
        mem_free(s);
    }
}

static void stream_mark(struct world_stream *s)
{
    if (s->is_dirty) {
        return;
    }
    s->is_dirty = true;
    s->next_dirty = NULL;
    *s->lw->dirty_end = s;
    s->lw->dirty_end = &s->next_dirty;
    linux_stream_hold(s);
}

static void stream_late(struct world_timer *timer)
{
    struct world_stream *s = timer->owner;

    if (s->state == STREAM_LINGERING) {
        linux_stream_retire(s);
    } else {
        linux_net_tell_refused(s->lw, &s->far, ERR_TIMEOUT, "it did not answer in time");
        linux_stream_fail(s, ERR_TIMEOUT);
    }
}

struct world_stream *linux_stream_new(struct linux_world *lw, enum linux_stream_state state)
{
    struct world_stream *s = mem_alloc_zero(sizeof *s);

    s->lw = lw;
    s->state = state;
    s->references = 1;
    s->deadline = (struct world_timer){.fire = stream_late, .owner = s};
    buf_init(&s->out);
    s->next = lw->streams;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    lw->streams = s;
    lw->stream_count++;
    return s;
}

static void socket_let_go(uv_handle_t *handle)
{
    mem_free(handle); /* the poll handle is the first of its struct */
}

void linux_stream_drop_socket(struct world_stream *s)
{
    _Static_assert(offsetof(struct linux_socket, poll) == 0, "freed by its handle");
    if (s->socket != NULL) {
        uv_close((uv_handle_t *)&s->socket->poll, socket_let_go);
        (void)close(s->socket->fd);
        s->socket = NULL;
        s->is_blocked = false;
    }
}

void linux_stream_retire(struct world_stream *s)
{
    CHECK(s->state != STREAM_GONE);
    linux_stream_drop_socket(s);
    linux_time_ops.timer_cancel(s->lw, &s->deadline);
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        s->lw->streams = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    s->lw->stream_count--;
    linux_stream_admit(s);
    s->state = STREAM_GONE;
    s->sink = NULL;
    linux_stream_release(s);
}

void linux_stream_admit(struct world_stream *s)
{
    if (s->listener != NULL) {
        s->listener = NULL;
        s->lw->handshake_count--;
    }
}

static void stream_watch(struct world_stream *s);

static void stream_linger(struct world_stream *s)
{
    s->sink = NULL;
    s->state = STREAM_LINGERING;
    linux_stream_admit(s);
    linux_time_ops.timer_set(s->lw, &s->deadline, linux_boottime() + s->lw->net.stream_timeout);
    stream_mark(s);
}

/* Its sink is told at the end of the turn. */
static void stream_end_later(struct world_stream *s, enum err why)
{
    linux_time_ops.timer_cancel(s->lw, &s->deadline);
    s->state = STREAM_FAILED;
    s->why = why;
    stream_mark(s);
}

void linux_stream_fail(struct world_stream *s, enum err why)
{
    linux_stream_drop_socket(s);
    if (s->sink == NULL) {
        linux_stream_retire(s);
    } else {
        stream_end_later(s, why);
    }
}

/* The other end is refused, or refuses us: it shall hear why. */
static void stream_fail_tls(struct world_stream *s)
{
    enum err e = linux_tls_end_error(s->tls);

    linux_net_tell_refused(s->lw, &s->far, e, linux_tls_end_why(s->tls));
    buf_clear(&s->out);
    s->out_at = 0;
    s->is_broken = true;
    if (s->sink == NULL) {
        stream_linger(s);
    } else {
        stream_end_later(s, e);
        stream_watch(s);
    }
}

static size_t stream_unsent(const struct world_stream *s)
{
    return s->out.len - s->out_at;
}

static void stream_took(struct world_stream *s, size_t n)
{
    s->out_at += n;
    if (s->out_at == s->out.len) {
        s->out_at = 0;
        buf_clear(&s->out);
        if (s->out.cap > QUEUE_KEPT_BYTES) {
            buf_deinit(&s->out);
            buf_init(&s->out);
        }
    } else if (s->out_at >= QUEUE_SLACK_BYTES && s->out_at >= s->out.len / 2) {
        memmove(s->out.data, s->out.data + s->out_at, stream_unsent(s));
        s->out.len -= s->out_at;
        s->out_at = 0;
    }
}

/* The error that a socket or the last call reports. */
static enum err socket_error(const struct linux_socket *socket, int error)
{
    socklen_t n = sizeof error;

    if (error == 0) {
        (void)getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    }
    return error == 0 ? ERR_CLOSED : linux_err(error);
}

/* --- in -------------------------------------------------------------------------------------- */

static void stream_deliver(struct world_stream *s, const uint8_t *bytes, size_t n)
{
    s->lw->ran++;
    s->sink->received(s->sink, (struct bytes){bytes, n});
}

/* Goes on with a handshake. True: it is over, and the stream is open. */
static bool stream_shake(struct world_stream *s)
{
    enum linux_tls_result result = linux_tls_handshake(s->tls);

    stream_mark(s);
    if (result == TLS_DONE && s->listener != NULL) {
        linux_net_offer(s);
    } else if (result == TLS_DONE) {
        linux_stream_begin(s);
    } else if (result != TLS_WANTS_MORE) {
        stream_fail_tls(s);
    }
    return s->state == STREAM_OPEN;
}

static void stream_decrypt(struct world_stream *s, struct bytes bytes)
{
    uint8_t *plain = linux_net_buffer(s->lw) + LINUX_READ_BYTES;
    enum linux_tls_result result = TLS_DONE;

    linux_tls_feed(s->tls, bytes);
    if (s->state == STREAM_HANDSHAKING && !stream_shake(s)) {
        return;
    }
    while (result == TLS_DONE && s->state == STREAM_OPEN) {
        size_t n = 0;
        result = linux_tls_read(s->tls, plain, LINUX_READ_BYTES, &n);
        if (n > 0) {
            stream_deliver(s, plain, n);
        }
    }
    if (s->state == STREAM_OPEN && result == TLS_ENDED) {
        linux_stream_fail(s, ERR_CLOSED);
    } else if (s->state == STREAM_OPEN && result == TLS_FAILED) {
        stream_fail_tls(s);
    }
}

static void stream_read(struct world_stream *s)
{
    uint8_t *buffer = linux_net_buffer(s->lw);
    ssize_t n = recv(s->socket->fd, buffer, LINUX_READ_BYTES, MSG_DONTWAIT);

    if (n > 0 && s->state == STREAM_LINGERING) {
        return; /* nobody wants it */
    }
    if (n > 0 && s->tls != NULL) {
        stream_decrypt(s, (struct bytes){buffer, (size_t)n});
    } else if (n > 0) {
        stream_deliver(s, buffer, (size_t)n);
    } else if (n == 0) {
        linux_stream_fail(s, ERR_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        linux_stream_fail(s, socket_error(s->socket, errno));
    }
}

/* --- out ------------------------------------------------------------------------------------- */

/* Encrypts what is ahead. False: it failed. */
static bool stream_encrypt(struct world_stream *s)
{
    const struct buf *cipher = linux_tls_cipher(s->tls);

    while (stream_unsent(s) > 0 && cipher->len - s->cipher_at < CIPHER_AHEAD_BYTES) {
        size_t n = u64_min(stream_unsent(s), RECORD_BYTES);
        if (!linux_tls_write(s->tls, (struct bytes){s->out.data + s->out_at, n})) {
            return false;
        }
        stream_took(s, n);
    }
    return true;
}

/* What the socket shall take next. */
static struct bytes stream_front(struct world_stream *s)
{
    const struct buf *from = s->tls != NULL ? linux_tls_cipher(s->tls) : &s->out;
    size_t at = s->tls != NULL ? s->cipher_at : s->out_at;

    return from->len == at ? (struct bytes){NULL, 0}
                           : (struct bytes){from->data + at, from->len - at};
}

static void stream_front_took(struct world_stream *s, size_t n)
{
    if (s->tls == NULL) {
        stream_took(s, n);
        return;
    }
    struct buf *cipher = linux_tls_cipher(s->tls);
    s->cipher_at += n;
    if (s->cipher_at == cipher->len) {
        s->cipher_at = 0;
        buf_clear(cipher);
    }
}

/* As much as the socket takes. False: the stream failed. */
static bool stream_push(struct world_stream *s)
{
    while (!s->is_blocked) {
        if (s->tls != NULL && s->state != STREAM_HANDSHAKING && !s->is_broken &&
            !stream_encrypt(s)) {
            stream_fail_tls(s);
            return false;
        }
        struct bytes front = stream_front(s);
        if (front.len == 0) {
            break;
        }
        ssize_t n = send(s->socket->fd, front.data, front.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            stream_front_took(s, (size_t)n);
        } else if (errno == EAGAIN) {
            s->is_blocked = true;
        } else if (errno != EINTR) {
            linux_stream_fail(s, socket_error(s->socket, errno));
            return false;
        }
    }
    return true;
}

static void stream_write(struct world_stream *s)
{
    if (!stream_push(s)) {
        return;
    }
    if (s->state == STREAM_LINGERING && !s->is_blocked && !s->is_shut) {
        if (s->tls != NULL && !s->is_broken) {
            s->is_broken = true;
            linux_tls_goodbye(s->tls);
            if (!stream_push(s)) {
                return;
            }
        }
        s->is_shut = true;
        (void)shutdown(s->socket->fd, SHUT_WR);
    }
    stream_watch(s);
}

static void stream_tell_room(struct world_stream *s)
{
    if (s->state == STREAM_OPEN && s->wants_room &&
        stream_unsent(s) <= WORLD_STREAM_QUEUE_MAX_BYTES / 2) {
        s->wants_room = false;
        s->lw->ran++;
        if (s->sink->writable != NULL) {
            s->sink->writable(s->sink);
        }
    }
}

static bool stream_reads(const struct world_stream *s)
{
    return s->state == STREAM_HANDSHAKING || s->state == STREAM_OPEN ||
           s->state == STREAM_LINGERING;
}

/* libuv stopped the watch, as it does where the kernel reports an error: what arrived before it is
 * still to be had. */
static void stream_drain(struct world_stream *s)
{
    struct linux_socket *socket = s->socket;
    ssize_t n = 1;
    uint8_t byte;

    socket->watched = 0;
    while (n > 0 && stream_reads(s) && s->socket == socket) {
        n = recv(socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n > 0) {
            stream_read(s);
        }
    }
    if (stream_reads(s) && s->socket == socket) {
        /* The call that met the error took it off the socket. */
        bool is_told = n < 0 && errno != EAGAIN && errno != EINTR;
        linux_stream_fail(s, socket_error(socket, is_told ? errno : 0));
    }
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct world_stream *s = poll->data;

    linux_stream_hold(s);
    if (s->state == STREAM_CONNECTING) {
        linux_net_connected(s);
    } else if (status != 0) {
        stream_drain(s);
    } else {
        if ((events & UV_WRITABLE) != 0) {
            s->is_blocked = false;
            stream_write(s);
            stream_tell_room(s);
        }
        if ((events & UV_READABLE) != 0 && stream_reads(s)) {
            stream_read(s);
        }
    }
    linux_stream_release(s);
}

static void stream_watch(struct world_stream *s)
{
    int wanted = s->state == STREAM_CONNECTING || s->is_blocked ? UV_WRITABLE : 0;

    wanted |= stream_reads(s) ? UV_READABLE : 0;
    if (s->socket->watched != wanted) {
        s->socket->watched = wanted;
        CHECK(uv_poll_start(&s->socket->poll, wanted, socket_ready) == 0);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

bool linux_stream_adopt(struct world_stream *s, int fd)
{
    CHECK(s->socket == NULL);
    struct linux_socket *socket = mem_alloc_zero(sizeof *socket);
    if (uv_poll_init(&s->lw->loop, &socket->poll, fd) != 0) { /* epoll has no room */
        mem_free(socket);
        (void)close(fd);
        return false;
    }
    socket->fd = fd;
    socket->poll.data = s;
    s->socket = socket;
    stream_watch(s);
    return true;
}

void linux_stream_secure(struct world_stream *s)
{
    s->state = STREAM_HANDSHAKING;
    s->tls = linux_tls_end_new(s->lw->net.tls, s->listener != NULL);
    stream_watch(s);
    (void)stream_shake(s);
}

void linux_stream_open(struct world_stream *s)
{
    s->state = STREAM_OPEN;
    linux_time_ops.timer_cancel(s->lw, &s->deadline);
    stream_watch(s);
    stream_mark(s);
}

void linux_stream_begin(struct world_stream *s)
{
    linux_stream_open(s);
    s->lw->ran++;
    s->sink->opened(s->sink);
}

/* A FAILED stream, at the end of the turn. */
static void stream_tell_end(struct world_stream *s)
{
    struct world_stream_sink *sink = s->sink;
    enum err why = s->why;

    if (s->socket == NULL) {
        linux_stream_retire(s);
    } else {
        stream_linger(s);
    }
    s->lw->ran++;
    sink->closed(sink, why);
}

void linux_streams_flush(struct linux_world *lw)
{
    struct world_stream *s = lw->dirty;

    lw->dirty = NULL;
    lw->dirty_end = &lw->dirty;
    while (s != NULL) {
        struct world_stream *next = s->next_dirty;
        s->is_dirty = false;
        if (s->state == STREAM_FAILED) {
            stream_tell_end(s);
        } else if (s->socket != NULL && stream_reads(s)) {
            stream_write(s);
            stream_tell_room(s);
        }
        linux_stream_release(s);
        s = next;
    }
}

enum err linux_stream_send(void *self, struct world_stream *s, struct bytes bytes)
{
    CHECK(s->lw == self && s->state != STREAM_GONE && s->state != STREAM_LINGERING);
    if (s->state == STREAM_FAILED) {
        return OK; /* the sink is about to hear of it */
    }
    if (stream_unsent(s) + bytes.len > WORLD_STREAM_QUEUE_MAX_BYTES) {
        s->wants_room = true;
        return ERR_BUSY;
    }
    s->has_sent = true;
    buf_put(&s->out, bytes.data, bytes.len);
    if (s->state == STREAM_OPEN && !s->is_blocked) {
        stream_mark(s);
    }
    return OK;
}

void linux_stream_close(void *self, struct world_stream *s)
{
    CHECK(s->lw == self && s->state != STREAM_GONE && s->state != STREAM_LINGERING);
    if (s->state == STREAM_OPEN && s->has_sent) {
        stream_linger(s);
    } else {
        linux_stream_retire(s);
    }
}

bool linux_stream_may_be(void *self, const struct world_stream *s, const char *name)
{
    CHECK(s->lw == self);
    return s->tls == NULL || linux_tls_end_bears(s->tls, name);
}

void linux_stream_hand_over(void *self, struct world_stream *s, struct world_stream_sink *sink)
{
    CHECK(s->lw == self && s->state == STREAM_OPEN);
    s->sink = sink;
}

void linux_streams_close(struct linux_world *lw)
{
    while (lw->streams != NULL) {
        linux_stream_retire(lw->streams);
    }
    linux_streams_flush(lw); /* only lets go of them */
}
