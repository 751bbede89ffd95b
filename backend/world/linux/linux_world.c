#include "world/linux/linux_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

enum err linux_err(int error)
{
    switch (error) {
    case 0:
        return OK;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static nanos clock_now(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

static nanos monotonic_now(void)
{
    return clock_now(CLOCK_BOOTTIME);
}

static void requests_push(struct linux_queue *queue, struct world_file_request *request)
{
    request->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = request;
    } else {
        queue->first = request;
    }
    queue->last = request;
}

static struct world_file_request *requests_pop(struct linux_queue *queue)
{
    struct world_file_request *request = queue->first;

    if (request != NULL) {
        queue->first = request->next;
        queue->last = queue->first == NULL ? NULL : queue->last;
    }
    return request;
}

/* Hands a request back to the loop. */
static void complete(struct linux_world *lw, struct world_file_request *request)
{
    const uint64_t one = 1;

    CHECK(pthread_mutex_lock(&lw->done_lock) == 0);
    bool was_empty = lw->done.first == NULL;
    requests_push(&lw->done, request);
    CHECK(pthread_mutex_unlock(&lw->done_lock) == 0);
    if (was_empty) {
        CHECK(write(lw->event_fd, &one, sizeof one) == sizeof one);
    }
}

static void *lane_main(void *arg)
{
    struct linux_lane *lane = arg;

    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    while (!lane->ends) {
        struct world_file_request *request = requests_pop(&lane->queue);
        if (request == NULL) {
            CHECK(pthread_cond_wait(&lane->wake, &lane->lock) == 0);
            continue;
        }
        CHECK(pthread_mutex_unlock(&lane->lock) == 0);
        linux_file_execute(lane->lw->root, request);
        complete(lane->lw, request);
        CHECK(pthread_mutex_lock(&lane->lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    return NULL;
}

static void lane_begin(struct linux_world *lw, struct linux_lane *lane)
{
    lane->lw = lw;
    CHECK(pthread_mutex_init(&lane->lock, NULL) == 0);
    CHECK(pthread_cond_init(&lane->wake, NULL) == 0);
    CHECK(pthread_create(&lane->thread, NULL, lane_main, lane) == 0);
}

static void lane_end(struct linux_lane *lane)
{
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    lane->ends = true;
    CHECK(pthread_cond_signal(&lane->wake) == 0);
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    CHECK(pthread_join(lane->thread, NULL) == 0);
    (void)pthread_cond_destroy(&lane->wake);
    (void)pthread_mutex_destroy(&lane->lock);
}

static void linux_submit(void *self, struct world_file_request *request)
{
    struct linux_world *lw = self;
    struct linux_lane *lane = &lw->lanes[request->lane];

    CHECK(request->lane < WORLD_LANES && request->done != NULL);
    request->world = NULL;
    request->count = 0;
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    bool was_empty = lane->queue.first == NULL;
    requests_push(&lane->queue, request);
    if (was_empty) {
        CHECK(pthread_cond_signal(&lane->wake) == 0);
    }
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
}

static nanos linux_now(void *self)
{
    (void)self;
    return monotonic_now();
}

static void linux_timer_cancel(void *self, struct world_timer *timer)
{
    struct linux_world *lw = self;

    if (!timer->is_set) {
        return;
    }
    struct world_timer **at = &lw->timers;
    while (*at != timer) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = timer->next;
    timer->is_set = false;
}

static void linux_timer_set(void *self, struct world_timer *timer, nanos due)
{
    struct linux_world *lw = self;

    linux_timer_cancel(self, timer);
    timer->at = due;
    timer->is_set = true;
    struct world_timer **at = &lw->timers;
    while (*at != NULL && (*at)->at <= due) {
        at = &(*at)->next;
    }
    timer->next = *at;
    *at = timer;
}

static void linux_random(void *self, uint8_t *bytes, size_t n)
{
    (void)self;
    while (n > 0) {
        ssize_t got = getrandom(bytes, n, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            bytes += got;
            n -= (size_t)got;
        }
    }
}

static nanos linux_awake(void *self)
{
    (void)self;
    return clock_now(CLOCK_MONOTONIC);
}

static const struct world_time_ops linux_time_ops = {
    .now = linux_now,
    .timer_set = linux_timer_set,
    .timer_cancel = linux_timer_cancel,
    .awake = linux_awake,
};
static const struct world_file_ops linux_file_ops = {linux_submit};
static const struct world_random_ops linux_random_ops = {linux_random};

enum err linux_world_open(const char *root, struct linux_world **ret)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return linux_err(errno);
    }
    struct linux_world *lw = mem_alloc_zero(sizeof *lw);
    lw->root = fd;
    lw->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(lw->event_fd >= 0);
    CHECK(pthread_mutex_init(&lw->done_lock, NULL) == 0);
    lw->table = (struct world){
        .self = lw,
        .time = &linux_time_ops,
        .file = &linux_file_ops,
        .net = NULL,
        .random = &linux_random_ops,
        .power = NULL,
        .vm = NULL,
    };
    for (size_t i = 0; i < WORLD_LANES; i++) {
        lane_begin(lw, &lw->lanes[i]);
    }
    *ret = lw;
    return OK;
}

void linux_world_close(struct linux_world *lw)
{
    for (size_t i = 0; i < WORLD_LANES; i++) {
        lane_end(&lw->lanes[i]);
    }
    for (struct world_file_request *r = requests_pop(&lw->done); r != NULL;
         r = requests_pop(&lw->done)) {
        linux_file_forget(r);
    }
    for (; lw->timers != NULL; lw->timers = lw->timers->next) {
        lw->timers->is_set = false;
    }
    (void)pthread_mutex_destroy(&lw->done_lock);
    (void)close(lw->event_fd);
    (void)close(lw->root);
    mem_free(lw);
}

const struct world *linux_world_table(const struct linux_world *lw)
{
    return &lw->table;
}

int linux_world_event_fd(const struct linux_world *lw)
{
    return lw->event_fd;
}

static size_t run_completions(struct linux_world *lw)
{
    uint64_t wakes = 0;
    size_t count = 0;

    (void)!read(lw->event_fd, &wakes, sizeof wakes);
    CHECK(pthread_mutex_lock(&lw->done_lock) == 0);
    struct linux_queue done = lw->done;
    lw->done = (struct linux_queue){NULL, NULL};
    CHECK(pthread_mutex_unlock(&lw->done_lock) == 0);
    for (struct world_file_request *r = requests_pop(&done); r != NULL; r = requests_pop(&done)) {
        linux_file_finish(r);
        r->done(r);
        count++;
    }
    return count;
}

static size_t run_timers(struct linux_world *lw)
{
    nanos now = monotonic_now();
    size_t count = 0;

    while (lw->timers != NULL && lw->timers->at <= now) {
        struct world_timer *timer = lw->timers;
        lw->timers = timer->next;
        timer->is_set = false;
        timer->fire(timer);
        count++;
    }
    return count;
}

size_t linux_world_poll(struct linux_world *lw, nanos timeout)
{
    struct pollfd wait = {.fd = lw->event_fd, .events = POLLIN};
    nanos due = u64_add_sat(monotonic_now(), timeout);

    due = lw->timers != NULL ? u64_min(due, lw->timers->at) : due;
    nanos left = u64_sub_sat(due, monotonic_now());
    const struct timespec t = {(time_t)(left / NANOS_PER_S), (long)(left % NANOS_PER_S)};
    int ready = ppoll(&wait, 1, due == NANOS_FOREVER ? NULL : &t, NULL);
    CHECK(ready >= 0 || errno == EINTR);
    size_t count = ready > 0 ? run_completions(lw) : 0;
    return count + run_timers(lw);
}
