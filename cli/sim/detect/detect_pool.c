#include "cli/sim/detect/detect_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/sim/sim_pool.h"
#include "core/base/check.h"

/* In memory that all share: which run is the next, and which one each worker has. */
struct pool_desk {
    _Atomic size_t next;
    _Atomic size_t taken[SIM_JOBS_MAX];
};

static void *map_shared(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static size_t results_bytes(const struct detect_work *work)
{
    return work->runs * work->result_bytes + 1; /* never empty */
}

static void pool_work(const struct detect_work *work, struct pool_desk *desk, uint32_t worker,
                      uint8_t *results)
{
    for (;;) {
        size_t index = atomic_fetch_add(&desk->next, 1);
        if (index >= work->runs) {
            return;
        }
        atomic_store(&desk->taken[worker], index);
        work->run(work->ctx, index, results + index * work->result_bytes);
    }
}

/* Waits for one of the workers; says what became of it if that was not good. */
static bool pool_wait_one(const struct pool_desk *desk, const pid_t *pids, uint32_t count)
{
    int status = 0;
    pid_t pid;

    do {
        pid = wait(&status);
    } while (pid < 0 && errno == EINTR);
    CHECK(pid > 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (pids[i] == pid) {
            (void)fprintf(stderr, "novacron-sim detect: run %zu died (status 0x%x)\n",
                          (size_t)atomic_load(&desk->taken[i]), (unsigned)status);
        }
    }
    return false;
}

void *detect_pool_run(const struct detect_work *work)
{
    uint32_t jobs = work->jobs < 1 ? 1 : work->jobs > SIM_JOBS_MAX ? SIM_JOBS_MAX : work->jobs;
    struct pool_desk *desk = map_shared(sizeof *desk);
    uint8_t *results = map_shared(results_bytes(work));
    pid_t pids[SIM_JOBS_MAX];
    bool is_good = true;

    (void)fflush(NULL); /* or each worker would print it again */
    for (uint32_t i = 0; i < jobs; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            pool_work(work, desk, i, results);
            _exit(0);
        }
    }
    for (uint32_t i = 0; i < jobs; i++) {
        is_good = pool_wait_one(desk, pids, jobs) && is_good;
    }
    (void)munmap(desk, sizeof *desk);
    if (!is_good) {
        detect_pool_free(results, work);
        return NULL;
    }
    return results;
}

void detect_pool_free(void *results, const struct detect_work *work)
{
    (void)munmap(results, results_bytes(work));
}
