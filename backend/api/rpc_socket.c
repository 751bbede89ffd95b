#include "api/rpc_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/rpc_tls_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* Clients' input of one turn: so long it may take, and whoever has his turn is served to its end.
 * The same for output. Both together are a fraction of a heartbeat's interval. */
#define INPUT_TURN_NS  (5 * NANOS_PER_MS)
#define OUTPUT_TURN_NS (5 * NANOS_PER_MS)

/* One read: what a loopback connection holds ready after one write of the other side. */
#define READ_BYTES ((size_t)64 << 10)

/* What one pull asks for, and how often a turn pulls: one connection's share of a turn. */
#define PULL_BYTES     ((size_t)256 << 10)
#define PULLS_PER_TURN 4

/* The same for input. */
#define READS_PER_TURN 4

/* Shared buffers that grew beyond this for one large message are given back. */
#define SHARED_BUFFER_KEPT ((size_t)1 << 20)

/* How long a socket that has said all waits for the other side to close, and how many may. */
#define LINGER_MS     1000
#define LINGERING_MAX 1024

/* Between two probes of TCP on a silent connection, so that a peer which lost its power is found.
 */
#define KEEPALIVE_SECONDS 60

/* What a socket waits for its share of. */
enum socket_list { LIST_READY, LIST_DIRTY, SOCKET_LISTS };

_Static_assert(COUNT_OF(((struct rpc_io *)0)->lists) == SOCKET_LISTS, "one each");

struct rpc_socket {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct rpc_io *io;
    const struct rpc_socket_owner *ops;
    void *owner; /* borrowed; NULL once it was told that the socket is lost, or closed it */
    struct tls_stream *tls; /* NULL: plain */
    struct buf
        unsent; /* what the kernel did not take; `write` is under way while it is not empty */
    struct {
        struct rpc_socket *next, **link; /* link NULL: not in the list */
    } place[SOCKET_LISTS];
    struct rpc_socket *next_linger, **linger_link; /* NULL: does not linger */
    uv_shutdown_t shutdown;
    uint64_t linger_until_ms;
    bool connected;
    bool ready; /* the owner may produce */
    bool reading;
    bool pauses;
    bool finishing;
};

static void socket_read_start(struct rpc_socket *s);
static void socket_receive(struct rpc_socket *s);
static void socket_flush(struct rpc_socket *s);

/* --- The shared part -------------------------------------------------------------------------- */

static void io_on_idle(uv_idle_t *handle)
{
    (void)handle; /* being active is its work: the loop polls without waiting */
}

static void io_put(struct rpc_socket *s, enum socket_list which)
{
    struct rpc_socket_list *list = &s->io->lists[which];
    if (s->place[which].link != NULL) {
        return;
    }
    s->place[which].next = NULL;
    s->place[which].link = list->end;
    *list->end = s;
    list->end = &s->place[which].next;
    list->count++;
    (void)uv_idle_start(&s->io->idle, io_on_idle);
}

static void io_unlink(struct rpc_socket *s, enum socket_list which)
{
    struct rpc_socket_list *list = &s->io->lists[which];
    struct rpc_socket *next = s->place[which].next;
    if (s->place[which].link == NULL) {
        return;
    }
    *s->place[which].link = next;
    if (next != NULL) {
        next->place[which].link = s->place[which].link;
    } else {
        list->end = s->place[which].link;
    }
    s->place[which].link = NULL;
    list->count--;
}

/* Serves those that are there now; who comes meanwhile, and who did not fit, waits for the next
 * turn. */
static void io_serve(struct rpc_io *io, enum socket_list which, uint64_t span,
                     void (*serve)(struct rpc_socket *s))
{
    struct rpc_socket_list *list = &io->lists[which];
    size_t count = list->count;
    uint64_t end = count > 0 ? uv_hrtime() + span : 0;
    for (size_t i = 0; i < count && list->first != NULL; i++) {
        struct rpc_socket *s = list->first;
        io_unlink(s, which);
        serve(s);
        if (uv_hrtime() >= end) {
            break;
        }
    }
}

static void io_trim(struct buf *b)
{
    if (b->cap > SHARED_BUFFER_KEPT) {
        buf_deinit(b);
    }
}

static void io_on_prepare(uv_prepare_t *handle)
{
    struct rpc_io *io = handle->data;
    bool is_quiet = io->lists[LIST_READY].count == 0 && io->lists[LIST_DIRTY].count == 0;
    io_serve(io, LIST_READY, INPUT_TURN_NS, socket_receive);
    io_serve(io, LIST_DIRTY, OUTPUT_TURN_NS, socket_flush);
    if (is_quiet) {
        /* Not right after input: others on the loop, whose turn may have been before, must be asked
         * once more what came of it before the loop may wait. */
        (void)uv_idle_stop(&io->idle);
    }
    io_trim(&io->produced);
    io_trim(&io->cipher);
    io_trim(&io->plain);
}

static void io_on_linger(uv_timer_t *timer)
{
    struct rpc_io *io = timer->data;
    struct rpc_socket *next = NULL;
    for (struct rpc_socket *s = io->lingering; s != NULL; s = next) {
        next = s->next_linger;
        if (s->linger_until_ms <= uv_now(io->loop)) {
            rpc_socket_close(s);
        }
    }
    if (io->lingering == NULL) {
        (void)uv_timer_stop(&io->linger);
    }
}

void rpc_io_open(struct rpc_io *io, uv_loop_t *loop)
{
    memset(io, 0, sizeof *io);
    io->loop = loop;
    for (size_t i = 0; i < SOCKET_LISTS; i++) {
        io->lists[i].end = &io->lists[i].first;
    }
    io->read_buffer = mem_alloc(READ_BYTES);
    CHECK(uv_prepare_init(loop, &io->prepare) == 0 && uv_idle_init(loop, &io->idle) == 0 &&
          uv_timer_init(loop, &io->linger) == 0);
    io->prepare.data = io;
    io->idle.data = io;
    io->linger.data = io;
    io->handles = 3;
    CHECK(uv_prepare_start(&io->prepare, io_on_prepare) == 0);
    uv_unref((uv_handle_t *)&io->prepare);
    uv_unref((uv_handle_t *)&io->idle);
    uv_unref((uv_handle_t *)&io->linger);
}

void rpc_io_count(struct rpc_io *io)
{
    io->handles++;
}

void rpc_io_uncount(uv_handle_t *handle)
{
    struct rpc_io *io = handle->data;
    CHECK(io->handles > 0);
    if (--io->handles == 0 && io->closing) {
        mem_free(io->read_buffer);
        buf_deinit(&io->plain);
        buf_deinit(&io->produced);
        buf_deinit(&io->cipher);
        if (io->closed != NULL) {
            io->closed(io->arg);
        }
    }
}

void rpc_io_close(struct rpc_io *io, void (*closed)(void *arg), void *arg)
{
    CHECK(!io->closing);
    io->closing = true;
    io->closed = closed;
    io->arg = arg;
    while (io->lingering != NULL) {
        rpc_socket_close(io->lingering);
    }
    uv_close((uv_handle_t *)&io->linger, rpc_io_uncount);
    uv_close((uv_handle_t *)&io->prepare, rpc_io_uncount);
    uv_close((uv_handle_t *)&io->idle, rpc_io_uncount);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void socket_on_closed(uv_handle_t *handle)
{
    struct rpc_socket *s = (struct rpc_socket *)handle;
    struct rpc_io *io = s->io;
    if (s->tls != NULL) {
        tls_stream_close(s->tls);
    }
    buf_deinit(&s->unsent);
    handle->data = io;
    rpc_io_uncount(handle);
    mem_free(s);
}

void rpc_socket_close(struct rpc_socket *s)
{
    s->owner = NULL;
    io_unlink(s, LIST_READY);
    io_unlink(s, LIST_DIRTY);
    if (s->linger_link != NULL) {
        *s->linger_link = s->next_linger;
        if (s->next_linger != NULL) {
            s->next_linger->linger_link = s->linger_link;
        }
        s->linger_link = NULL;
        s->io->lingering_count--;
    }
    if (!uv_is_closing((uv_handle_t *)&s->tcp)) {
        uv_close((uv_handle_t *)&s->tcp, socket_on_closed);
    }
}

static void socket_lose(struct rpc_socket *s, enum err why)
{
    void *owner = s->owner;
    rpc_socket_close(s);
    if (owner != NULL) {
        s->ops->lost(owner, why);
    }
}

static void socket_on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status; /* what follows is the same: wait for the other side, or for the timer */
}

/* All is said. */
static void socket_linger(struct rpc_socket *s)
{
    struct rpc_io *io = s->io;
    void *owner = s->owner;
    s->owner = NULL;
    io_unlink(s, LIST_DIRTY);
    if (io->lingering_count >= LINGERING_MAX ||
        uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, socket_on_shutdown) != 0) {
        rpc_socket_close(s);
    } else {
        socket_read_start(s);
        s->linger_until_ms = uv_now(io->loop) + LINGER_MS;
        s->next_linger = io->lingering;
        s->linger_link = &io->lingering;
        if (s->next_linger != NULL) {
            s->next_linger->linger_link = &s->next_linger;
        }
        if (io->lingering == NULL) {
            CHECK(uv_timer_start(&io->linger, io_on_linger, LINGER_MS, LINGER_MS) == 0);
        }
        io->lingering = s;
        io->lingering_count++;
    }
    s->ops->lost(owner, ERR_CLOSED);
}

static struct rpc_socket *socket_create(struct rpc_io *io, const struct rpc_socket_owner *ops,
                                        void *owner)
{
    struct rpc_socket *s = mem_alloc_zero(sizeof *s);
    s->io = io;
    s->ops = ops;
    s->owner = owner;
    CHECK(uv_tcp_init(io->loop, &s->tcp) == 0);
    rpc_io_count(io);
    return s;
}

enum err rpc_socket_accept(struct rpc_io *io, uv_stream_t *listener, const struct rpc_tls *tls,
                           const struct rpc_socket_owner *ops, void *owner, struct rpc_socket **ret)
{
    struct rpc_socket *s = socket_create(io, ops, owner);
    if (uv_accept(listener, (uv_stream_t *)&s->tcp) != 0) {
        rpc_socket_close(s);
        return ERR_IO;
    }
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_SECONDS);
    s->connected = true;
    if (tls != NULL) {
        s->tls = tls_stream_open(tls, NULL);
    } else {
        s->ready = true;
    }
    socket_read_start(s);
    *ret = s;
    return OK;
}

static void socket_on_connected(uv_connect_t *request, int status)
{
    struct rpc_socket *s = request->data;
    if (s->owner == NULL) {
        return;
    }
    if (status != 0) {
        socket_lose(s, ERR_CLOSED);
        return;
    }
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_SECONDS);
    s->connected = true;
    socket_read_start(s);
    if (s->tls == NULL) {
        s->ready = true;
        if (s->ops->ready != NULL) {
            s->ops->ready(s->owner);
        }
    }
    rpc_socket_wake(s);
}

enum err rpc_socket_connect(struct rpc_io *io, const struct sockaddr *address,
                            const struct rpc_tls *tls, const char *host,
                            const struct rpc_socket_owner *ops, void *owner,
                            struct rpc_socket **ret)
{
    struct rpc_socket *s = socket_create(io, ops, owner);
    s->tls = tls == NULL ? NULL : tls_stream_open(tls, host);
    s->connect.data = s;
    if (uv_tcp_connect(&s->connect, &s->tcp, address, socket_on_connected) != 0) {
        rpc_socket_close(s);
        return ERR_IO;
    }
    *ret = s;
    return OK;
}

void rpc_socket_wake(struct rpc_socket *s)
{
    if (s->owner != NULL) {
        io_put(s, LIST_DIRTY);
    }
}

bool rpc_socket_is_blocked(const struct rpc_socket *s)
{
    return s->unsent.len > 0;
}

void rpc_socket_pause_when_blocked(struct rpc_socket *s)
{
    s->pauses = true;
}

void rpc_socket_finish(struct rpc_socket *s)
{
    s->finishing = true;
    rpc_socket_wake(s);
}

/* --- Input ------------------------------------------------------------------------------------ */

/* Nothing is read here: the socket is noted, and libuv, which is given no buffer, asks again in
 * each turn in which there is input. */
static void socket_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    io_put((struct rpc_socket *)handle, LIST_READY);
    *buffer = uv_buf_init(NULL, 0);
}

static void socket_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    (void)buffer;
    CHECK(count == UV_ENOBUFS || count == 0);
    (void)stream;
}

static void socket_decrypt(struct rpc_socket *s, struct bytes cipher)
{
    struct buf *plain = &s->io->plain;
    buf_clear(plain);
    enum err e = tls_stream_receive(s->tls, cipher, plain);
    rpc_socket_wake(s); /* the handshake may have something to say, alerts too */
    if (!s->ready && tls_stream_ready(s->tls)) {
        s->ready = true;
        if (s->ops->ready != NULL) {
            s->ops->ready(s->owner);
        }
    }
    if (plain->len > 0 && s->owner != NULL) {
        s->ops->input(s->owner, buf_view(plain));
    }
    if (e != OK && s->owner != NULL) {
        socket_flush(s);
        socket_lose(s, e);
    }
}

/* The other side has ended, or the connection has. */
static void socket_hear_end(struct rpc_socket *s)
{
    if (s->linger_link != NULL) {
        rpc_socket_close(s);
        return;
    }
    /* What was answered already may still reach who closed only one direction. */
    socket_flush(s);
    if (s->owner != NULL) {
        socket_lose(s, ERR_CLOSED);
    }
}

/* One read. True: there may be more. */
static bool socket_read(struct rpc_socket *s)
{
    uv_os_fd_t fd = -1;
    ssize_t count = 0;
    CHECK(uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0);
    do {
        count = recv(fd, s->io->read_buffer, READ_BYTES, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        socket_hear_end(s);
        return false;
    }
    if (count < 0) {
        return false;
    }
    if (s->owner == NULL) {
        return true; /* it lingers, and nobody wants it */
    }
    s->io->bytes_in += (uint64_t)count;
    struct bytes input = {s->io->read_buffer, (size_t)count};
    if (s->tls != NULL) {
        socket_decrypt(s, input);
    } else {
        s->ops->input(s->owner, input);
    }
    return count == (ssize_t)READ_BYTES;
}

/* Its share of a turn; what is left then is noted again by libuv. */
static void socket_receive(struct rpc_socket *s)
{
    bool more = s->reading;
    for (int i = 0; more && i < READS_PER_TURN; i++) {
        more = socket_read(s) && s->reading && !uv_is_closing((uv_handle_t *)&s->tcp);
    }
}

static void socket_read_start(struct rpc_socket *s)
{
    if (!s->reading) {
        s->reading = uv_read_start((uv_stream_t *)&s->tcp, socket_on_alloc, socket_on_read) == 0;
    }
}

/* --- Output ----------------------------------------------------------------------------------- */

static void socket_on_written(uv_write_t *request, int status)
{
    struct rpc_socket *s = request->data;
    if (s->owner == NULL) {
        return;
    }
    if (status != 0) {
        socket_lose(s, ERR_CLOSED);
        return;
    }
    buf_deinit(&s->unsent);
    socket_read_start(s);
    rpc_socket_wake(s);
}

/* Keeps what the kernel did not take, and waits until it does. */
static void socket_write_rest(struct rpc_socket *s, struct bytes rest)
{
    buf_put(&s->unsent, rest.data, rest.len);
    uv_buf_t view = uv_buf_init((char *)s->unsent.data, (unsigned)s->unsent.len);
    s->write.data = s;
    if (uv_write(&s->write, (uv_stream_t *)&s->tcp, &view, 1, socket_on_written) != 0) {
        socket_lose(s, ERR_CLOSED);
        return;
    }
    if (s->pauses && s->reading) {
        (void)uv_read_stop((uv_stream_t *)&s->tcp);
        s->reading = false;
        io_unlink(s, LIST_READY);
    }
}

/* False: the socket is blocked or lost. */
static bool socket_write(struct rpc_socket *s, struct bytes output)
{
    uv_buf_t view = uv_buf_init((char *)(uintptr_t)output.data, (unsigned)output.len);
    int written = uv_try_write((uv_stream_t *)&s->tcp, &view, 1);
    if (written < 0 && written != UV_EAGAIN) {
        socket_lose(s, ERR_CLOSED);
        return false;
    }
    size_t taken = written < 0 ? 0 : (size_t)written;
    s->io->bytes_out += output.len;
    if (taken < output.len) {
        socket_write_rest(s, (struct bytes){output.data + taken, output.len - taken});
        return false;
    }
    return true;
}

/* One pull. True: it produced, all was taken, and there is more. */
static bool socket_pull(struct rpc_socket *s)
{
    struct rpc_io *io = s->io;
    bool more = false;
    buf_clear(&io->produced);
    if (s->ready) {
        more = s->ops->produce(s->owner, &io->produced, PULL_BYTES);
        if (s->owner == NULL) {
            return false;
        }
    }
    struct buf *output = &io->produced;
    if (s->tls != NULL) {
        buf_clear(&io->cipher);
        tls_stream_send(s->tls, buf_view(&io->produced), s->finishing && !more, &io->cipher);
        output = &io->cipher;
    }
    if (output->len > 0 && !socket_write(s, buf_view(output))) {
        return false;
    }
    return more;
}

static void socket_flush(struct rpc_socket *s)
{
    if (s->owner == NULL || !s->connected || s->unsent.len > 0) {
        return;
    }
    bool more = true;
    for (int pull = 0; more && pull < PULLS_PER_TURN; pull++) {
        more = socket_pull(s);
    }
    if (s->owner == NULL || s->unsent.len > 0) {
        return;
    }
    if (more) {
        rpc_socket_wake(s);
    } else if (s->finishing) {
        socket_linger(s);
    }
}

/* --- Who is there ----------------------------------------------------------------------------- */

void rpc_socket_peer(const struct rpc_socket *s, char text[RPC_PEER_BYTES])
{
    struct sockaddr_storage address;
    int length = sizeof address;
    char name[46] = "";
    text[0] = '\0';
    if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&address, &length) != 0) {
        return;
    }
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        (void)uv_ip6_name(in6, name, sizeof name);
        snprintf(text, RPC_PEER_BYTES, "[%s]:%u", name, (unsigned)ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        (void)uv_ip4_name(in, name, sizeof name);
        snprintf(text, RPC_PEER_BYTES, "%s:%u", name, (unsigned)ntohs(in->sin_port));
    }
}

const char *rpc_socket_why(const struct rpc_socket *s)
{
    return s->tls != NULL ? tls_stream_why(s->tls) : "";
}

bool rpc_socket_certificate_name(const struct rpc_socket *s, char *text, size_t cap)
{
    return s->tls != NULL && tls_stream_peer_name(s->tls, text, cap);
}
