/*
 * Commits of the log through io_uring, for whoever asks for it (linux_world_use_ring): the direct
 * write is given to the kernel from the loop, and the ring's descriptor says when it is done. No
 * thread of ours takes part; but where the disk has a volatile cache and no forced writes, one of
 * the kernel's does, and that one has no priority. docs/decisions/0010-the-logs-way.md has figures.
 *
 * One commit is under way at a time, and nothing else of the lane: the log has no more, and so the
 * lane's order needs no care. What the kernel or the file system refuses to do this way is written
 * again, plainly, by the lane's thread.
 */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Requests in the ring. */
#define RING_ENTRIES 4

struct linux_ring {
    struct io_uring uring;
    uv_poll_t poll; /* data: the world */
    uint8_t *memory;
    uint8_t *bounce;                  /* in it, aligned */
    struct world_file_request *write; /* under way, with its sync; NULL: none */
    struct world_file_request *sync;
};

bool linux_ring_is_wanted(const struct linux_world *lw)
{
    return lw->ring != NULL;
}

bool linux_ring_is_busy(const struct linux_world *lw)
{
    return lw->ring != NULL && lw->ring->write != NULL;
}

void linux_ring_submit(struct linux_world *lw, struct world_file_request *write,
                       struct world_file_request *sync)
{
    struct linux_ring *ring = lw->ring;
    const uint8_t *bytes = write->buffer;
    int submitted = 0;

    CHECK(ring->write == NULL);
    if ((uintptr_t)bytes % LINUX_COMMIT_ALIGN != 0) {
        memcpy(ring->bounce, bytes, (size_t)write->length);
        bytes = ring->bounce;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    CHECK(sqe != NULL);
    io_uring_prep_write(sqe, linux_opens_direct(lw, write->fd), bytes, (unsigned)write->length,
                        write->offset);
    ring->write = write;
    ring->sync = sync;
    do {
        submitted = io_uring_submit(&ring->uring);
    } while (submitted == -EINTR || submitted == -EAGAIN);
    CHECK(submitted == 1);
}

/* Nothing was written yet, or not all, and a thread can. */
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
        linux_lane_dispatch(lw, write);
        linux_lane_dispatch(lw, sync);
        return;
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

enum err linux_world_use_ring(struct linux_world *lw)
{
    struct linux_ring *ring = mem_alloc_zero(sizeof *ring);

    CHECK(lw->ring == NULL);
    int error = io_uring_queue_init(RING_ENTRIES, &ring->uring,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
    if (error == -EINVAL) { /* before Linux 6.0 */
        error = io_uring_queue_init(RING_ENTRIES, &ring->uring, 0);
    }
    if (error != 0) {
        mem_free(ring);
        return error == -EPERM || error == -EACCES ? ERR_DENIED : ERR_UNSUPPORTED;
    }
    ring->memory = mem_alloc(LINUX_COMMIT_BYTES_MAX + LINUX_COMMIT_ALIGN);
    ring->bounce = linux_commit_align(ring->memory);
    lw->ring = ring;
    CHECK(uv_poll_init(&lw->loop, &ring->poll, ring->uring.ring_fd) == 0);
    ring->poll.data = lw;
    CHECK(uv_poll_start(&ring->poll, UV_READABLE, ring_ready) == 0);
    return OK;
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

    if (ring == NULL) {
        return;
    }
    while (ring->write != NULL && io_uring_wait_cqe(&ring->uring, &cqe) == -EINTR) {
    }
    uv_close((uv_handle_t *)&ring->poll, ring_let_go);
    io_uring_queue_exit(&ring->uring);
    mem_free(ring->memory);
}
