#include "drivers/guard/guard_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "guard/guard_wire.h"

/* What one turn of the loop takes in. */
#define ANSWERS_PER_TURN 64

/* Sent and unanswered, at most: what the guard's answers have room for, so that a crowd of machines
 * that is adopted at once does not look to it like a daemon that does not read. */
#define SENT_MAX 64

/* A message that is to be sent, or waits for its answer. Of its request or hold, or, with neither,
 * one of those that say again what is kept. */
struct guard_call {
    struct guard_call *next;
    struct guard_client *client;
    struct guard_message message;
    struct world_guard_request *request; /* borrowed */
    struct guard_hold *hold;             /* borrowed */
    int fds[GUARD_FDS_MAX];              /* of the hold; else owned; -1: none */
    bool is_sent;
    enum err failed; /* answered by the timer, since it could not even wait */
    struct world_timer deadline;
};

/* A machine that the guard took. */
struct kept {
    struct kept *next;
    char name[WORLD_NAME_MAX_BYTES];
    uint64_t epoch;
    uint32_t pid;
    enum err said;          /* the guard, when it was told last; ERR_PENDING: it is being told */
    bool is_refused;        /* by this guard or the one before, and that was told of */
    int fds[GUARD_FDS_MAX]; /* owned */
};

/* Freed once libuv has let go of it. */
struct guard_socket {
    uv_poll_t poll; /* data: the socket */
    struct guard_client *client;
    int fd;
    bool waits_for_room;
};

struct guard_client {
    uv_loop_t *loop;
    const struct world *world;
    struct sockaddr_un at;
    struct guard_socket *socket; /* NULL: closed */
    struct guard_call *calls;    /* in the order in which they are sent */
    struct guard_call **calls_end;
    uint32_t call_count;
    uint64_t number;
    nanos lease_until;
    struct kept *kept;
    struct world_timer retry;
    struct world_timer hold_again;                                 /* what was not taken */
    void (*told)(void *ctx, const char *machine, enum err result); /* NULL: nobody listens */
    void *told_ctx;
};

static void guard_client_flush(struct guard_client *c);
static void guard_client_lost(struct guard_client *c);
static bool guard_client_connect(struct guard_client *c);

/* --- what is kept -------------------------------------------------------------------------------
 */

static bool process_has_ended(int pidfd)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void kept_free(struct kept *kept)
{
    for (size_t i = 0; i < GUARD_FDS_MAX; i++) {
        if (kept->fds[i] >= 0) {
            (void)close(kept->fds[i]);
        }
    }
    mem_free(kept);
}

/* Those whose processes have ended go; and the one of that name, which another one follows. */
static void kept_prune(struct guard_client *c, const char *name)
{
    for (struct kept **at = &c->kept; *at != NULL;) {
        struct kept *kept = *at;
        if (process_has_ended(kept->fds[0]) || (name != NULL && strcmp(kept->name, name) == 0)) {
            *at = kept->next;
            kept_free(kept);
        } else {
            at = &kept->next;
        }
    }
}

static int fd_copy(int fd)
{
    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
}

static void kept_add(struct guard_client *c, const struct guard_call *call)
{
    kept_prune(c, call->message.name);
    struct kept *kept = mem_alloc_zero(sizeof *kept);
    memcpy(kept->name, call->message.name, sizeof kept->name);
    kept->epoch = call->message.epoch;
    kept->pid = call->message.pid;
    kept->fds[0] = fd_copy(call->fds[0]);
    kept->fds[1] = fd_copy(call->fds[1]);
    if (kept->fds[0] < 0) { /* no descriptor is left: the guard has it, and that counts */
        kept_free(kept);
        return;
    }
    kept->next = c->kept;
    c->kept = kept;
}

static struct kept *kept_find(const struct guard_client *c, const struct guard_message *m)
{
    struct kept *kept = c->kept;

    while (kept != NULL &&
           (kept->epoch != m->epoch || kept->pid != m->pid || strcmp(kept->name, m->name) != 0)) {
        kept = kept->next;
    }
    return kept;
}

/* What came of saying it again. A connection that was lost says nothing, and with the next one all
 * is said again. */
static void kept_said(struct guard_client *c, struct kept *kept, enum err result)
{
    const bool is_refused = result != OK;

    kept->said = result;
    if (result == ERR_CLOSED || process_has_ended(kept->fds[0])) {
        return;
    }
    if (is_refused && !c->hold_again.is_set) {
        world_timer_set(c->world, &c->hold_again,
                        u64_add_sat(world_now(c->world), GUARD_CLIENT_HOLD_AGAIN));
    }
    if (is_refused != kept->is_refused) {
        kept->is_refused = is_refused;
        if (c->told != NULL) {
            c->told(c->told_ctx, kept->name, result);
        }
    }
}

uint32_t guard_client_kept(const struct guard_client *c)
{
    uint32_t count = 0;

    for (const struct kept *at = c->kept; at != NULL; at = at->next) {
        count += !process_has_ended(at->fds[0]);
    }
    return count;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static struct guard_call *guard_call_new(struct guard_client *c, enum guard_kind kind)
{
    struct guard_call *call = mem_alloc_zero(sizeof *call);

    call->client = c;
    call->message.kind = kind;
    call->message.number = ++c->number;
    call->fds[0] = -1;
    call->fds[1] = -1;
    return call;
}

static void guard_call_queue(struct guard_client *c, struct guard_call *call)
{
    *c->calls_end = call;
    c->calls_end = &call->next;
    c->call_count++;
}

static void guard_call_free(struct guard_call *call)
{
    for (size_t i = 0; call->hold == NULL && i < GUARD_FDS_MAX; i++) {
        if (call->fds[i] >= 0) {
            (void)close(call->fds[i]);
        }
    }
    mem_free(call);
}

/* Out of the queue, told, and freed. */
static void guard_call_answer(struct guard_call *call, enum err result,
                              const struct guard_answer *answer)
{
    struct guard_client *c = call->client;
    struct guard_call **at = &c->calls;

    while (*at != NULL && *at != call) {
        at = &(*at)->next;
    }
    if (*at == call) {
        *at = call->next;
        c->calls_end = *at == NULL ? at : c->calls_end;
        c->call_count--;
    }
    world_timer_cancel(c->world, &call->deadline);
    if (call->message.kind == GUARD_HOLD && result == OK && call->hold != NULL) {
        kept_add(c, call);
    } else if (call->message.kind == GUARD_HOLD && call->hold == NULL) {
        struct kept *kept = kept_find(c, &call->message);
        if (kept != NULL) {
            kept_said(c, kept, result);
        }
    }
    if (call->message.kind == GUARD_LEASE && result == OK) {
        c->lease_until = u64_max(c->lease_until, call->message.until);
    }
    struct guard_hold *hold = call->hold;
    struct world_guard_request *request = call->request;
    guard_call_free(call);
    if (hold != NULL) {
        hold->held(hold, result);
    }
    if (request != NULL) {
        request->result = result;
        request->watchdog = answer != NULL ? answer->watchdog : WORLD_WATCHDOG_NONE;
        request->watchdog_timeout = answer != NULL ? answer->watchdog_timeout : 0;
        request->lease_until = answer != NULL ? answer->lease_until : 0;
        request->machines = answer != NULL ? answer->machines : 0;
        request->done(request);
    }
}

static void guard_call_late(struct world_timer *timer)
{
    struct guard_call *call = timer->owner;

    guard_call_answer(call, call->failed != OK ? call->failed : ERR_TIMEOUT, NULL);
}

/* Sends it, now or once it can be, or sees to it that its failure is told. */
static void guard_call_begin(struct guard_call *call, nanos deadline)
{
    struct guard_client *c = call->client;
    nanos due = deadline;

    call->deadline = (struct world_timer){.fire = guard_call_late, .owner = call};
    if (c->call_count >= GUARD_CLIENT_CALLS_MAX || !guard_client_connect(c)) {
        call->failed = ERR_CLOSED;
        due = world_now(c->world);
    }
    guard_call_queue(c, call);
    if (due != NANOS_FOREVER) {
        world_timer_set(c->world, &call->deadline, due);
    }
    guard_client_flush(c);
}

/* --- the connection -----------------------------------------------------------------------------
 */

static void guard_socket_let_go(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void guard_socket_close(struct guard_client *c)
{
    struct guard_socket *s = c->socket;

    if (s != NULL) {
        c->socket = NULL;
        uv_close((uv_handle_t *)&s->poll, guard_socket_let_go);
        (void)close(s->fd);
    }
}

static void guard_retry_later(struct guard_client *c)
{
    kept_prune(c, NULL);
    if (c->kept != NULL && !c->retry.is_set) {
        world_timer_set(c->world, &c->retry, u64_add_sat(world_now(c->world), GUARD_CLIENT_RETRY));
    }
}

/* What waits is answered; what that submits is none of it. */
static void guard_client_lost(struct guard_client *c)
{
    uint64_t last = c->number;

    guard_socket_close(c);
    while (c->calls != NULL && c->calls->message.number <= last) {
        guard_call_answer(c->calls, ERR_CLOSED, NULL);
    }
    guard_retry_later(c);
}

static bool guard_socket_send(const struct guard_socket *s, const struct guard_call *call)
{
    uint8_t bytes[GUARD_MESSAGE_BYTES];
    struct iovec iov = {bytes, sizeof bytes};
    size_t fds = call->fds[0] < 0 ? 0 : call->fds[1] < 0 ? 1 : 2;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(GUARD_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    guard_message_encode(&call->message, bytes);
    if (fds > 0) {
        memset(&control, 0, sizeof control);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(c), call->fds, fds * sizeof(int));
    }
    return sendmsg(s->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof bytes;
}

static struct guard_call *guard_find_call(const struct guard_client *c, uint64_t number)
{
    struct guard_call *call = c->calls;

    while (call != NULL && call->message.number != number) {
        call = call->next;
    }
    return call;
}

static void guard_take_answer(struct guard_client *c, const struct guard_answer *answer)
{
    struct guard_call *call = guard_find_call(c, answer->number);

    if (call != NULL) { /* else its deadline has come */
        guard_call_answer(call, answer->result, answer);
    }
}

/* Takes in what there is. A callback may have closed the connection, or opened another. */
static void guard_socket_hear(struct guard_client *c)
{
    const struct guard_socket *s = c->socket;

    for (int i = 0; i < ANSWERS_PER_TURN && c->socket == s; i++) {
        uint8_t bytes[GUARD_ANSWER_BYTES + 1];
        struct guard_answer answer;
        ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0 || guard_answer_decode((struct bytes){bytes, (size_t)n}, &answer) != OK) {
            guard_client_lost(c);
            return;
        }
        guard_take_answer(c, &answer);
    }
}

static void kept_say(struct guard_client *c, struct kept *kept)
{
    const int pidfd = fd_copy(kept->fds[0]);

    if (pidfd < 0) { /* no descriptor is left: without one the guard would hang up */
        kept_said(c, kept, ERR_BUSY);
        return;
    }
    struct guard_call *hold = guard_call_new(c, GUARD_HOLD);
    memcpy(hold->message.name, kept->name, sizeof hold->message.name);
    hold->fds[0] = pidfd;
    hold->fds[1] = fd_copy(kept->fds[1]);
    hold->message.epoch = kept->epoch;
    hold->message.pid = kept->pid;
    kept->said = ERR_PENDING;
    guard_call_queue(c, hold);
}

/* Says again what a guard that was started anew does not know. */
static void guard_say_again(struct guard_client *c)
{
    kept_prune(c, NULL);
    if (c->lease_until > world_now(c->world)) {
        struct guard_call *lease = guard_call_new(c, GUARD_LEASE);
        lease->message.until = c->lease_until;
        guard_call_queue(c, lease);
    }
    for (struct kept *at = c->kept; at != NULL; at = at->next) {
        kept_say(c, at);
    }
}

/* What it did not take: it had no lease yet, no room, or another machine of that name. */
static void guard_say_refused(struct world_timer *timer)
{
    struct guard_client *c = timer->owner;

    kept_prune(c, NULL);
    for (struct kept *at = c->kept; c->socket != NULL && at != NULL; at = at->next) {
        if (at->said != OK && at->said != ERR_PENDING) {
            kept_say(c, at);
        }
    }
    guard_client_flush(c);
}

/* Whom the kernel says it is: of root, or of our own user, as in tests. */
static bool is_guard(int fd)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t n = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void guard_socket_ready(uv_poll_t *poll, int status, int events)
{
    const struct guard_socket *s = poll->data;
    struct guard_client *c = s->client;

    if (status != 0) {
        guard_client_lost(c);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        guard_socket_hear(c);
    }
    guard_client_flush(c);
}

/* True: it is connected. A unix socket connects at once, or not at all. */
static bool guard_client_connect(struct guard_client *c)
{
    if (c->socket != NULL) {
        return true;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&c->at, sizeof c->at) != 0 ||
        !is_guard(fd)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        guard_retry_later(c);
        return false;
    }
    struct guard_socket *s = mem_alloc_zero(sizeof *s);
    s->client = c;
    s->fd = fd;
    CHECK(uv_poll_init(c->loop, &s->poll, fd) == 0);
    s->poll.data = s;
    CHECK(uv_poll_start(&s->poll, UV_READABLE, guard_socket_ready) == 0);
    c->socket = s;
    guard_say_again(c);
    return true;
}

/* Sends what has not been sent, in order, until the socket is full or enough is under way. */
static void guard_client_flush(struct guard_client *c)
{
    struct guard_socket *s = c->socket;
    uint32_t sent = 0;
    bool is_full = false;

    for (struct guard_call *call = c->calls;
         s != NULL && call != NULL && sent < SENT_MAX && !is_full; call = call->next) {
        if (!call->is_sent && call->failed == OK) {
            call->is_sent = guard_socket_send(s, call);
            is_full = !call->is_sent; /* or broken, which is heard */
        }
        sent += call->is_sent;
    }
    if (s != NULL && s->waits_for_room != is_full) {
        s->waits_for_room = is_full;
        CHECK(uv_poll_start(&s->poll, UV_READABLE | (is_full ? UV_WRITABLE : 0),
                            guard_socket_ready) == 0);
    }
}

static void guard_client_retry(struct world_timer *timer)
{
    struct guard_client *c = timer->owner;

    kept_prune(c, NULL);
    if (c->kept != NULL && guard_client_connect(c)) {
        guard_client_flush(c);
    }
}

/* --- what callers see ---------------------------------------------------------------------------
 */

struct guard_client *guard_client_open(struct uv_loop_s *loop, const struct world *w,
                                       const char *path)
{
    struct guard_client *c = mem_alloc_zero(sizeof *c);

    c->loop = loop;
    c->world = w;
    c->at.sun_family = AF_UNIX;
    (void)snprintf(c->at.sun_path, sizeof c->at.sun_path, "%s", path);
    c->calls_end = &c->calls;
    c->retry = (struct world_timer){.fire = guard_client_retry, .owner = c};
    c->hold_again = (struct world_timer){.fire = guard_say_refused, .owner = c};
    return c;
}

void guard_client_listen(struct guard_client *c,
                         void (*told)(void *ctx, const char *machine, enum err result), void *ctx)
{
    c->told = told;
    c->told_ctx = ctx;
}

void guard_client_close(struct guard_client *c)
{
    guard_socket_close(c);
    world_timer_cancel(c->world, &c->retry);
    world_timer_cancel(c->world, &c->hold_again);
    while (c->calls != NULL) {
        struct guard_call *call = c->calls;
        c->calls = call->next;
        world_timer_cancel(c->world, &call->deadline);
        guard_call_free(call);
    }
    while (c->kept != NULL) {
        struct kept *kept = c->kept;
        c->kept = kept->next;
        kept_free(kept);
    }
    mem_free(c);
}

/* The number of the process that a pidfd refers to, as the kernel tells it; 0: it is none. */
static uint32_t pid_of(int pidfd)
{
    char path[64];
    char text[512];

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, "\nPid:");
    long pid = at != NULL ? strtol(at + 5, NULL, 10) : 0;
    return pid > 0 ? (uint32_t)pid : 0;
}

void guard_client_hold(struct guard_client *c, struct guard_hold *hold)
{
    struct guard_call *call = guard_call_new(c, GUARD_HOLD);
    size_t n = strlen(hold->name);

    CHECK(n > 0 && n < WORLD_NAME_MAX_BYTES && hold->held != NULL);
    call->hold = hold;
    call->message.epoch = hold->epoch;
    call->message.pid = pid_of(hold->pidfd);
    memcpy(call->message.name, hold->name, n);
    call->fds[0] = hold->pidfd;
    call->fds[1] = hold->cgroup_kill;
    guard_call_begin(call, hold->deadline);
}

static void guard_client_submit(void *self, struct world_guard_request *request)
{
    struct guard_client *c = self;
    bool is_lease = request->op == WORLD_GUARD_LEASE;

    CHECK(request->op < WORLD_GUARD_OPS && request->done != NULL);
    struct guard_call *call = guard_call_new(c, is_lease ? GUARD_LEASE : GUARD_STATUS);
    call->request = request;
    call->message.until = is_lease ? request->until : 0;
    guard_call_begin(call, request->deadline);
}

const struct world_guard_ops guard_client_ops = {.submit = guard_client_submit};
