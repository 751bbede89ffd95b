/*
 * The lanes. Each has a thread which executes file requests in order. What the log does all the
 * time, a write and a sync of it, is a commit: one direct write that is durable when it returns,
 * where the file allows that (linux_open.c). So requests of the log's lane wait here, on the loop's
 * thread, until the next request or the end of the turn says whether a sync follows a write.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

void linux_requests_push(struct linux_queue *queue, struct world_file_request *request)
{
    request->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = request;
    } else {
        queue->first = request;
    }
    queue->last = request;
}

struct world_file_request *linux_requests_pop(struct linux_queue *queue)
{
    struct world_file_request *request = queue->first;

    if (request != NULL) {
        queue->first = request->next;
        queue->last = queue->first == NULL ? NULL : queue->last;
    }
    return request;
}

static void requests_append(struct linux_queue *queue, struct linux_queue *more)
{
    if (more->first == NULL) {
        return;
    }
    if (queue->last != NULL) {
        queue->last->next = more->first;
    } else {
        queue->first = more->first;
    }
    queue->last = more->last;
    *more = (struct linux_queue){NULL, NULL};
}

/* Hands requests back to the loop. */
static void lane_complete(struct linux_world *lw, struct linux_queue *executed)
{
    const uint64_t one = 1;

    CHECK(pthread_mutex_lock(&lw->done_lock) == 0);
    bool was_empty = lw->done.first == NULL;
    requests_append(&lw->done, executed);
    CHECK(pthread_mutex_unlock(&lw->done_lock) == 0);
    if (was_empty) {
        CHECK(write(lw->event_fd, &one, sizeof one) == sizeof one);
    }
}

static nanos lane_clock(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

static void lane_count_sync(struct linux_lane *lane, nanos began)
{
    nanos spent = lane_clock() - began;
    size_t bucket = 0;
    while (bucket + 1 < LINUX_SYNC_BUCKETS && spent > (LINUX_SYNC_FIRST << bucket)) {
        bucket++;
    }
    (void)__atomic_add_fetch(&lane->sync_times.buckets[bucket], 1, __ATOMIC_RELAXED);
    (void)__atomic_add_fetch(&lane->sync_times.sum, spent, __ATOMIC_RELAXED);
}

struct linux_sync_times linux_world_sync_times(struct linux_world *lw)
{
    struct linux_sync_times *times = &lw->lanes[WORLD_LANE_LOG].sync_times;
    struct linux_sync_times ret;
    for (size_t i = 0; i < LINUX_SYNC_BUCKETS; i++) {
        ret.buckets[i] = __atomic_load_n(&times->buckets[i], __ATOMIC_RELAXED);
    }
    ret.sum = __atomic_load_n(&times->sum, __ATOMIC_RELAXED);
    return ret;
}

/* Executes what was taken. A write and the sync behind it are one to those who wait: waking the
 * loop between them would cost a turn of it for nothing. */
static void lane_execute(struct linux_lane *lane, struct linux_queue *taken)
{
    struct linux_queue executed = {NULL, NULL};

    for (struct world_file_request *r = linux_requests_pop(taken); r != NULL;
         r = linux_requests_pop(taken)) {
        struct world_file_request *sync = r->op == WORLD_WRITE ? r->world : NULL;
        bool is_sync = sync != NULL || r->op == WORLD_SYNC;
        nanos began = is_sync ? lane_clock() : 0;
        if (sync != NULL) {
            linux_file_commit(lane->bounce, r, sync);
        } else {
            linux_file_execute(lane->lw->root, r);
        }
        if (is_sync) {
            lane_count_sync(lane, began);
        }
        linux_requests_push(&executed, r);
        if (sync != NULL) {
            linux_requests_push(&executed, sync);
        }
        if (!lane->joins) {
            lane_complete(lane->lw, &executed);
        }
    }
    if (executed.first != NULL) {
        lane_complete(lane->lw, &executed);
    }
}

/* Waits for work; nothing where the lane ends. */
static struct linux_queue lane_take(struct linux_lane *lane, bool *ret_ends)
{
    struct linux_queue taken = {NULL, NULL};

    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    while (lane->queue.first == NULL && !lane->ends) {
        CHECK(pthread_mutex_unlock(&lane->lock) == 0);
        while (sem_wait(&lane->wake) != 0) {
            CHECK(errno == EINTR);
        }
        CHECK(pthread_mutex_lock(&lane->lock) == 0);
    }
    *ret_ends = lane->ends;
    if (lane->joins) {
        requests_append(&taken, &lane->queue);
    } else if (!lane->ends) {
        linux_requests_push(&taken, linux_requests_pop(&lane->queue));
    }
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    return taken;
}

static void *lane_main(void *arg)
{
    struct linux_lane *lane = arg;
    bool ends = false;

    for (;;) {
        struct linux_queue taken = lane_take(lane, &ends);
        if (ends) {
            return NULL;
        }
        lane_execute(lane, &taken);
    }
}

static void lane_begin(struct linux_world *lw, struct linux_lane *lane)
{
    lane->lw = lw;
    CHECK(pthread_mutex_init(&lane->lock, NULL) == 0);
    CHECK(sem_init(&lane->wake, 0, 0) == 0);
    CHECK(pthread_create(&lane->thread, NULL, lane_main, lane) == 0);
}

static void lane_end(struct linux_lane *lane)
{
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    lane->ends = true;
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    CHECK(sem_post(&lane->wake) == 0);
    CHECK(pthread_join(lane->thread, NULL) == 0);
    (void)sem_destroy(&lane->wake);
    (void)pthread_mutex_destroy(&lane->lock);
}

/* Not under the lock, which is the first thing that the thread wants. */
static void lane_wake(struct linux_lane *lane)
{
    if (lane->wakes) {
        lane->wakes = false;
        CHECK(sem_post(&lane->wake) == 0);
    }
}

/* The log's thread is woken at the end of the turn: what goes to others goes before, as they have
 * it to write, too, and the farther way. */
static void lane_give(struct linux_lane *lane, struct world_file_request *request)
{
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    bool was_empty = lane->queue.first == NULL;
    linux_requests_push(&lane->queue, request);
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    lane->wakes = lane->wakes || was_empty;
    if (lane != &lane->lw->lanes[WORLD_LANE_LOG]) {
        lane_wake(lane);
    }
}

void linux_lane_dispatch(struct linux_world *lw, struct world_file_request *request)
{
    struct linux_lane *lane = &lw->lanes[request->lane];

    linux_opens_note(lw, request);
    lane->under_way++;
    lane_give(lane, request);
}

/* A commit is one in the thread's queue; the write knows its sync, and the descriptor. */
static void lane_dispatch_commit(struct linux_world *lw, struct world_file_request *write,
                                 struct world_file_request *sync)
{
    struct linux_lane *lane = &lw->lanes[WORLD_LANE_LOG];

    if (lane->bounce == NULL) {
        lane->bounce_memory = mem_alloc(LINUX_COMMIT_BYTES_MAX + LINUX_COMMIT_ALIGN);
        lane->bounce = linux_commit_align(lane->bounce_memory);
    }
    write->world = sync;
    write->ticket = (uint64_t)linux_opens_direct(lw, write->fd);
    sync->ticket = 0; /* it says nothing of other changes */
    lane->under_way += 2;
    lane_give(lane, write);
}

uint8_t *linux_commit_align(uint8_t *memory)
{
    return memory + (LINUX_COMMIT_ALIGN - (uintptr_t)memory % LINUX_COMMIT_ALIGN);
}

/* Could this write, if a sync follows it, be a commit? */
static bool may_commit(struct linux_world *lw, const struct world_file_request *write)
{
    return write->op == WORLD_WRITE && write->length > 0 &&
           write->length <= LINUX_COMMIT_BYTES_MAX && write->length % LINUX_COMMIT_ALIGN == 0 &&
           write->offset % LINUX_COMMIT_ALIGN == 0 && linux_opens_direct(lw, write->fd) >= 0;
}

/* Lets go what waits in the log's lane, and may. */
static void lane_advance(struct linux_world *lw, bool turn_ends)
{
    struct linux_lane *lane = &lw->lanes[WORLD_LANE_LOG];

    while (lane->waiting.first != NULL && !linux_ring_is_busy(lw)) {
        struct world_file_request *request = lane->waiting.first;
        struct world_file_request *next = request->next;
        bool commits = may_commit(lw, request);
        if (commits && next == NULL && !turn_ends) {
            return;
        }
        if (!commits || next == NULL || next->op != WORLD_SYNC || next->fd != request->fd) {
            linux_lane_dispatch(lw, linux_requests_pop(&lane->waiting));
            continue;
        }
        bool takes_ring = linux_ring_is_wanted(lw);
        if (takes_ring && lane->under_way > 0) {
            return; /* the lane's order */
        }
        (void)linux_requests_pop(&lane->waiting);
        (void)linux_requests_pop(&lane->waiting);
        lw->commits++;
        if (takes_ring) {
            linux_ring_submit(lw, request, next);
        } else {
            lane_dispatch_commit(lw, request, next);
        }
    }
}

uint64_t linux_world_commits(const struct linux_world *lw)
{
    return lw->commits;
}

void linux_lanes_resume(struct linux_world *lw)
{
    lane_advance(lw, false);
}

void linux_lanes_kick(struct linux_world *lw)
{
    lane_advance(lw, true);
    lane_wake(&lw->lanes[WORLD_LANE_LOG]);
}

static void linux_submit(void *self, struct world_file_request *request)
{
    struct linux_world *lw = self;

    CHECK(request->lane < WORLD_LANES && request->done != NULL);
    request->world = NULL;
    request->count = 0;
    if (request->op == WORLD_CLOSE) {
        linux_opens_remove(lw, request->fd);
    }
    if (request->lane == WORLD_LANE_LOG) {
        linux_requests_push(&lw->lanes[WORLD_LANE_LOG].waiting, request);
        lane_advance(lw, false);
    } else {
        linux_lane_dispatch(lw, request);
    }
}

const struct world_file_ops linux_file_ops = {linux_submit};

void linux_lane_finish(struct linux_world *lw, struct world_file_request *request)
{
    linux_opens_learn(lw, request);
    linux_file_finish(request);
    lw->ran++;
    request->done(request);
}

static void completions_run(uv_poll_t *poll, int status, int events)
{
    struct linux_world *lw = poll->data;
    uint64_t wakes = 0;

    (void)events;
    CHECK(status == 0);
    (void)!read(lw->event_fd, &wakes, sizeof wakes);
    CHECK(pthread_mutex_lock(&lw->done_lock) == 0);
    struct linux_queue done = lw->done;
    lw->done = (struct linux_queue){NULL, NULL};
    CHECK(pthread_mutex_unlock(&lw->done_lock) == 0);
    for (struct world_file_request *r = linux_requests_pop(&done); r != NULL;
         r = linux_requests_pop(&done)) {
        lw->lanes[r->lane].under_way--;
        linux_lane_finish(lw, r);
    }
    lane_advance(lw, false);
}

void linux_lanes_open(struct linux_world *lw)
{
    lw->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(lw->event_fd >= 0);
    CHECK(pthread_mutex_init(&lw->done_lock, NULL) == 0);
    CHECK(uv_poll_init(&lw->loop, &lw->event_poll, lw->event_fd) == 0);
    lw->event_poll.data = lw;
    CHECK(uv_poll_start(&lw->event_poll, UV_READABLE, completions_run) == 0);
    lw->lanes[WORLD_LANE_LOG].joins = true;
    for (size_t i = 0; i < LINUX_LANES; i++) {
        lane_begin(lw, &lw->lanes[i]);
    }
}

void linux_lanes_close(struct linux_world *lw)
{
    linux_ring_close(lw);
    for (size_t i = 0; i < LINUX_LANES; i++) {
        lane_end(&lw->lanes[i]);
    }
    for (struct world_file_request *r = linux_requests_pop(&lw->done); r != NULL;
         r = linux_requests_pop(&lw->done)) {
        linux_file_forget(r);
    }
    linux_opens_close(lw);
    mem_free(lw->lanes[WORLD_LANE_LOG].bounce_memory);
    (void)pthread_mutex_destroy(&lw->done_lock);
    uv_close((uv_handle_t *)&lw->event_poll, NULL);
    (void)close(lw->event_fd);
}
