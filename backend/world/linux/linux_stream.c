/*
 * Streams that have, or had, a socket.
 *
 *     RESOLVING --> CONNECTING --> OPEN --close, all sent--------------------> GONE
 *         |             |           |`----close--> LINGERING --sent, or late--^ ^
 *         `-------------`-----------`--------> FAILED --sink told---------------'
 *
 * What is sent is copied into a queue, and leaves at the end of the turn in one system call, or
 * when the socket has room again.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* An empty queue keeps at most so much memory. */
#define QUEUE_KEPT_BYTES (256 * 1024)

/* Bytes that have left are closed up once they are so many, and most of the queue. */
#define QUEUE_SLACK_BYTES (1024 * 1024)

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
    s->state = STREAM_GONE;
    s->sink = NULL;
    linux_stream_release(s);
}

void linux_stream_fail(struct world_stream *s, enum err why)
{
    linux_stream_drop_socket(s);
    linux_time_ops.timer_cancel(s->lw, &s->deadline);
    if (s->sink == NULL) {
        linux_stream_retire(s);
        return;
    }
    s->state = STREAM_FAILED;
    s->why = why;
    stream_mark(s);
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

static void stream_read(struct world_stream *s)
{
    uint8_t *buffer = linux_net_buffer(s->lw);
    ssize_t n = recv(s->socket->fd, buffer, LINUX_READ_BYTES, MSG_DONTWAIT);

    if (n > 0) {
        s->lw->ran++;
        s->sink->received(s->sink, (struct bytes){buffer, (size_t)n});
    } else if (n == 0) {
        linux_stream_fail(s, ERR_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        linux_stream_fail(s, socket_error(s->socket, errno));
    }
}

static void stream_watch(struct world_stream *s);

static void stream_write(struct world_stream *s)
{
    while (stream_unsent(s) > 0 && !s->is_blocked) {
        ssize_t n = send(s->socket->fd, s->out.data + s->out_at, stream_unsent(s),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            stream_took(s, (size_t)n);
        } else if (errno == EAGAIN) {
            s->is_blocked = true;
        } else if (errno != EINTR) {
            linux_stream_fail(s, socket_error(s->socket, errno));
            return;
        }
    }
    if (s->state == STREAM_LINGERING && stream_unsent(s) == 0) {
        linux_stream_retire(s);
        return;
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

/* libuv stopped the watch, as it does where the kernel reports an error: what arrived before it is
 * still to be had. */
static void stream_drain(struct world_stream *s)
{
    struct linux_socket *socket = s->socket;
    uint8_t byte;

    socket->watched = 0;
    while (s->state == STREAM_OPEN && s->socket == socket &&
           recv(socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        stream_read(s);
    }
    if (s->socket == socket) {
        linux_stream_fail(s, socket_error(socket, 0));
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
        if ((events & UV_READABLE) != 0 && s->state == STREAM_OPEN) {
            stream_read(s);
        }
    }
    linux_stream_release(s);
}

static void stream_watch(struct world_stream *s)
{
    int wanted = s->state == STREAM_CONNECTING || s->is_blocked ? UV_WRITABLE : 0;

    wanted |= s->state == STREAM_OPEN ? UV_READABLE : 0;
    if (s->socket->watched != wanted) {
        s->socket->watched = wanted;
        CHECK(uv_poll_start(&s->socket->poll, wanted, socket_ready) == 0);
    }
}

void linux_stream_adopt(struct world_stream *s, int fd)
{
    CHECK(s->socket == NULL);
    s->socket = mem_alloc_zero(sizeof *s->socket);
    s->socket->fd = fd;
    CHECK(uv_poll_init(&s->lw->loop, &s->socket->poll, fd) == 0);
    s->socket->poll.data = s;
    stream_watch(s);
}

void linux_stream_begin(struct world_stream *s)
{
    s->state = STREAM_OPEN;
    linux_time_ops.timer_cancel(s->lw, &s->deadline);
    stream_watch(s);
    stream_mark(s);
    s->lw->ran++;
    s->sink->opened(s->sink);
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
            struct world_stream_sink *sink = s->sink;
            enum err why = s->why;
            linux_stream_retire(s);
            lw->ran++;
            sink->closed(sink, why);
        } else if (s->state == STREAM_OPEN) {
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
    buf_put(&s->out, bytes.data, bytes.len);
    if (s->state == STREAM_OPEN && !s->is_blocked) {
        stream_mark(s);
    }
    return OK;
}

void linux_stream_close(void *self, struct world_stream *s)
{
    CHECK(s->lw == self && s->state != STREAM_GONE && s->state != STREAM_LINGERING);
    if (s->state != STREAM_OPEN || stream_unsent(s) == 0) {
        linux_stream_retire(s);
        return;
    }
    s->sink = NULL;
    s->state = STREAM_LINGERING;
    linux_time_ops.timer_set(s->lw, &s->deadline, linux_boottime() + s->lw->net.stream_timeout);
    linux_stream_hold(s);
    stream_write(s);
    linux_stream_release(s);
}

void linux_streams_close(struct linux_world *lw)
{
    while (lw->streams != NULL) {
        linux_stream_retire(lw->streams);
    }
    linux_streams_flush(lw); /* only lets go of them */
}
