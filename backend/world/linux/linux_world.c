#include "world/linux/linux_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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
    case EADDRINUSE:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EMFILE: /* no descriptor is left: as with a full disk, nothing is broken, and it may pass
                  */
    case ENFILE:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case EADDRNOTAVAIL:
        return ERR_INVALID;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
        return ERR_CLOSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_IO;
    }
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

static const struct world_random_ops linux_random_ops = {linux_random};

static void loop_goes_on(uv_idle_t *idle)
{
    (void)idle; /* that it is active keeps the loop from waiting */
}

/* Before and after each wait: whatever is due, and whatever that wants to send. */
static void turn_end(struct linux_world *lw)
{
    linux_timers_run(lw);
    linux_streams_flush(lw);
    linux_lanes_kick(lw);
}

static void turn_before_wait(uv_prepare_t *prepare)
{
    struct linux_world *lw = prepare->data;

    turn_end(lw);
    /* A flush tells sinks, which may send again. */
    if (linux_timers_arm(lw) || lw->dirty != NULL) {
        CHECK(uv_idle_start(&lw->eager, loop_goes_on) == 0);
    } else {
        (void)uv_idle_stop(&lw->eager);
    }
}

static void turn_after_wait(uv_check_t *check)
{
    turn_end(check->data);
}

enum err linux_world_open(const char *root, struct linux_world **ret)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return linux_err(errno);
    }
    struct linux_world *lw = mem_alloc_zero(sizeof *lw);
    lw->root = fd;
    CHECK(uv_loop_init(&lw->loop) == 0);
    CHECK(uv_prepare_init(&lw->loop, &lw->before_wait) == 0);
    CHECK(uv_check_init(&lw->loop, &lw->after_wait) == 0);
    CHECK(uv_idle_init(&lw->loop, &lw->eager) == 0);
    lw->before_wait.data = lw;
    lw->after_wait.data = lw;
    CHECK(uv_prepare_start(&lw->before_wait, turn_before_wait) == 0);
    CHECK(uv_check_start(&lw->after_wait, turn_after_wait) == 0);
    linux_timers_open(lw);
    linux_lanes_open(lw);
    lw->dirty_end = &lw->dirty;
    const struct linux_net_config config = linux_net_config_default();
    CHECK(linux_world_configure_net(lw, &config) == OK);
    lw->table = (struct world){
        .self = lw,
        .time = &linux_time_ops,
        .file = &linux_file_ops,
        .net = &linux_net_ops,
        .random = &linux_random_ops,
        .memory = &linux_memory_ops,
        .plain = &linux_plain_ops,
        .command = &linux_world_command_ops,
    };
    *ret = lw;
    return OK;
}

void linux_world_close(struct linux_world *lw)
{
    linux_plug_close(lw);
    linux_plains_close(lw);
    linux_net_close(lw);
    linux_lanes_close(lw);
    linux_memory_close(lw);
    linux_timers_close(lw);
    uv_close((uv_handle_t *)&lw->before_wait, NULL);
    uv_close((uv_handle_t *)&lw->after_wait, NULL);
    uv_close((uv_handle_t *)&lw->eager, NULL);
    /* Only endings are left: of handles, and of names that are being looked up. */
    (void)uv_run(&lw->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&lw->loop) == 0);
    linux_names_close(lw);
    mem_free(lw->read_buffer);
    (void)close(lw->root);
    mem_free(lw);
}

const struct world *linux_world_table(const struct linux_world *lw)
{
    return &lw->table;
}

struct uv_loop_s *linux_world_loop(struct linux_world *lw)
{
    return &lw->loop;
}

void linux_world_run(struct linux_world *lw)
{
    (void)uv_run(&lw->loop, UV_RUN_DEFAULT);
}

void linux_world_stop(struct linux_world *lw)
{
    uv_stop(&lw->loop);
}

static void poll_gave_up(struct world_timer *timer)
{
    *(bool *)timer->owner = true;
}

size_t linux_world_poll(struct linux_world *lw, nanos timeout)
{
    bool is_late = timeout == 0;
    struct world_timer limit = {.fire = poll_gave_up, .owner = &is_late};
    const size_t before = lw->ran;

    if (timeout == 0) {
        (void)uv_run(&lw->loop, UV_RUN_NOWAIT);
        return lw->ran - before;
    }
    if (timeout != NANOS_FOREVER) {
        linux_time_ops.timer_set(lw, &limit, u64_add_sat(linux_boottime(), timeout));
    }
    while (lw->ran == before) {
        (void)uv_run(&lw->loop, UV_RUN_ONCE);
    }
    linux_time_ops.timer_cancel(lw, &limit);
    return lw->ran - before - (is_late ? 1 : 0);
}
