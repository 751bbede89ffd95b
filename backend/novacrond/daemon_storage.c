/* Can this host use a storage? A file is written there, synced, read back and removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_ha.h"

struct storage_probe {
    uv_work_t work;
    struct daemon *daemon;
    struct ha_probe *probe;
    char path[WORLD_PATH_MAX_BYTES + 2 * HA_NAME_BYTES];
    enum err result;
};

static bool write_and_read_back(int fd)
{
    static const char mark[] = "novacron";
    char back[sizeof mark] = "";

    return pwrite(fd, mark, sizeof mark, 0) == (ssize_t)sizeof mark && fsync(fd) == 0 &&
           pread(fd, back, sizeof back, 0) == (ssize_t)sizeof back &&
           memcmp(mark, back, sizeof mark) == 0;
}

static void storage_try(uv_work_t *work)
{
    struct storage_probe *p = work->data;
    const int fd = open(p->path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        p->result = linux_err(errno);
        return;
    }
    p->result = write_and_read_back(fd) ? OK : ERR_IO;
    (void)close(fd);
    (void)unlink(p->path);
}

static void storage_tried(uv_work_t *work, int status)
{
    struct storage_probe *p = work->data;
    struct ha_probe *probe = p->probe;
    (void)status; /* nothing cancels it */

    p->daemon->ha.probes--;
    probe->result = p->result;
    mem_free(p);
    probe->done(probe);
}

static void storage_probe_begin(void *self, struct ha_probe *probe)
{
    struct daemon *d = self;
    struct storage_probe *p = mem_alloc_zero(sizeof *p);

    p->daemon = d;
    p->probe = probe;
    p->work.data = p;
    (void)snprintf(p->path, sizeof p->path, "%s/.novacron-%s", probe->storage->path,
                   d->config->settings->name);
    d->ha.probes++;
    CHECK(uv_queue_work(linux_world_loop(d->lw), &p->work, storage_try, storage_tried) == 0);
}

const struct ha_probe_ops daemon_probe_ops = {.probe = storage_probe_begin};
