/*
 * The shorter way of the log: a write, and the sync of the same file behind it, become one direct
 * write that is durable when it completes (O_DIRECT, O_DSYNC), given to the kernel through
 * io_uring. The kernel says through the ring's descriptor when it is done; no thread of ours takes
 * part.
 *
 * One is under way at a time: the log has no more, and so the lane's order needs no care. Whatever
 * is not of this shape goes to the lane's thread: a write without a sync, one that is not aligned
 * or too large, one to a file that holds something which is not durable. So does a write that the
 * kernel or the file system refuses to do this way: the same bytes are written again, plainly.
 */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Memory and offsets of direct writes; a disk that wants more refuses, and gets plain ones. */
#define DIRECT_ALIGN WORLD_SECTOR_BYTES

/* What is aligned here before it is written, at most: more than one batch of a busy log. */
#define DIRECT_BYTES_MAX (1024 * 1024)

/* Requests in the ring. */
#define RING_ENTRIES 4

struct linux_ring {
    struct io_uring uring;
    bool is_there;
    bool is_unwanted;
    char words[128];
    uv_poll_t poll;
    uint8_t *memory;
    uint8_t *bounce;                  /* in it, aligned */
    struct world_file_request *write; /* under way, with its sync; NULL: none */
    struct world_file_request *sync;
};

const char *linux_world_log_path(const struct linux_world *lw)
{
    return lw->ring->words;
}

void linux_world_use_threads(struct linux_world *lw)
{
    lw->ring->is_unwanted = true;
    (void)snprintf(lw->ring->words, sizeof lw->ring->words, "a thread, as was asked for");
}

bool linux_ring_is_busy(const struct linux_world *lw)
{
    return lw->ring->write != NULL;
}

bool linux_ring_wants(struct linux_world *lw, const struct world_file_request *write)
{
    const struct linux_ring *ring = lw->ring;

    return ring->is_there && !ring->is_unwanted && write->op == WORLD_WRITE && write->length > 0 &&
           write->length <= DIRECT_BYTES_MAX && write->length % DIRECT_ALIGN == 0 &&
           write->offset % DIRECT_ALIGN == 0 && linux_opens_direct(lw, write->fd) >= 0;
}

void linux_ring_submit(struct linux_world *lw, struct world_file_request *write,
                       struct world_file_request *sync)
{
    struct linux_ring *ring = lw->ring;
    const uint8_t *bytes = write->buffer;

    CHECK(ring->write == NULL);
    if ((uintptr_t)bytes % DIRECT_ALIGN != 0) {
        memcpy(ring->bounce, bytes, (size_t)write->length);
        bytes = ring->bounce;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    CHECK(sqe != NULL);
    io_uring_prep_write(sqe, linux_opens_direct(lw, write->fd), bytes, (unsigned)write->length,
                        write->offset);
    ring->write = write;
    ring->sync = sync;
    int submitted = 0;
    do {
        submitted = io_uring_submit(&ring->uring);
    } while (submitted == -EINTR || submitted == -EAGAIN);
    CHECK(submitted == 1);
}

/* Nobody has written yet, or not all, and a thread can. */
static bool falls_back(int result, uint64_t length)
{
    return result == -EINVAL || result == -EOPNOTSUPP || result == -EAGAIN || result == -EINTR ||
           result == -ECANCELED || (result >= 0 && (uint64_t)result < length);
}

static void ring_complete(struct linux_world *lw, int result)
{
    struct world_file_request *write = lw->ring->write;
    struct world_file_request *sync = lw->ring->sync;

    lw->ring->write = NULL;
    lw->ring->sync = NULL;
    if (falls_back(result, write->length)) {
        linux_opens_spoil(lw, write->fd, result == -EINVAL || result == -EOPNOTSUPP);
        linux_lane_dispatch(lw, write);
        linux_lane_dispatch(lw, sync);
        return;
    }
    if (result < 0) {
        linux_opens_spoil(lw, write->fd, false);
    }
    write->result = result < 0 ? linux_err(-result) : OK;
    write->count = result < 0 ? 0 : write->length;
    sync->result = write->result;
    sync->ticket = 0; /* it says nothing of other changes */
    linux_lane_finish(lw, write);
    linux_lane_finish(lw, sync);
}

static void ring_ready(uv_poll_t *poll, int status, int events)
{
    struct linux_world *lw = poll->data;
    struct linux_ring *ring = lw->ring;
    struct io_uring_cqe *cqe = NULL;

    (void)events;
    CHECK(status == 0);
    while (ring->write != NULL && io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
        int result = cqe->res;
        io_uring_cqe_seen(&ring->uring, cqe);
        ring_complete(lw, result);
        linux_lanes_resume(lw);
    }
}

void linux_ring_open(struct linux_world *lw)
{
    struct linux_ring *ring = mem_alloc_zero(sizeof *ring);

    lw->ring = ring;
    int error = io_uring_queue_init(RING_ENTRIES, &ring->uring,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
    if (error == -EINVAL) { /* before Linux 6.0 */
        error = io_uring_queue_init(RING_ENTRIES, &ring->uring, 0);
    }
    if (error != 0) {
        (void)snprintf(ring->words, sizeof ring->words,
                       "a thread, as io_uring is not to be had: %s", strerror(-error));
        return;
    }
    (void)snprintf(ring->words, sizeof ring->words, "io_uring, where files take direct writes");
    ring->is_there = true;
    ring->memory = mem_alloc(DIRECT_BYTES_MAX + DIRECT_ALIGN);
    ring->bounce = ring->memory + (DIRECT_ALIGN - (uintptr_t)ring->memory % DIRECT_ALIGN);
    CHECK(uv_poll_init(&lw->loop, &ring->poll, ring->uring.ring_fd) == 0);
    ring->poll.data = lw;
    CHECK(uv_poll_start(&ring->poll, UV_READABLE, ring_ready) == 0);
}

static void ring_let_go(uv_handle_t *handle)
{
    struct linux_world *lw = handle->data;

    mem_free(lw->ring);
    lw->ring = NULL;
}

void linux_ring_close(struct linux_world *lw)
{
    struct linux_ring *ring = lw->ring;
    struct io_uring_cqe *cqe = NULL;

    if (!ring->is_there) {
        mem_free(ring);
        lw->ring = NULL;
        return;
    }
    while (ring->write != NULL && io_uring_wait_cqe(&ring->uring, &cqe) == -EINTR) {
    }
    uv_close((uv_handle_t *)&ring->poll, ring_let_go);
    io_uring_queue_exit(&ring->uring);
    mem_free(ring->memory);
}
