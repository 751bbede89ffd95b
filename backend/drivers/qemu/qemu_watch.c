#include "drivers/qemu/qemu_watch.h"

#include <unistd.h>
#include <uv.h>

#include "core/base/check.h"
#include "core/base/mem.h"

struct qemu_watch {
    uv_poll_t poll;
    int fd;
    void (*ready)(void *owner);
    void *owner;
};

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    struct qemu_watch *watch = poll->data;

    /* An error of the descriptor is found by whoever reads it. */
    (void)status;
    (void)events;
    watch->ready(watch->owner);
}

struct qemu_watch *qemu_watch_open(struct uv_loop_s *loop, int fd, void (*ready)(void *owner),
                                   void *owner)
{
    struct qemu_watch *watch = mem_alloc_zero(sizeof *watch);

    watch->fd = fd;
    watch->ready = ready;
    watch->owner = owner;
    watch->poll.data = watch;
    CHECK(uv_poll_init(loop, &watch->poll, fd) == 0);
    qemu_watch_want_write(watch, 0);
    return watch;
}

void qemu_watch_want_write(struct qemu_watch *watch, int wants)
{
    const int events = UV_READABLE | (wants != 0 ? UV_WRITABLE : 0);
    CHECK(uv_poll_start(&watch->poll, events, watch_ready) == 0);
}

static void watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void qemu_watch_close(struct qemu_watch *watch)
{
    if (watch != NULL) {
        uv_close((uv_handle_t *)&watch->poll, watch_closed);
        (void)close(watch->fd);
    }
}
