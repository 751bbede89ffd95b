#include "cli/sim/sim_pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"

#define TICK_MS 100

/* What a worker and its parent share. */
struct slot {
    struct sim_job job;
    struct sim_outcome outcome;
};

struct worker {
    pid_t pid; /* 0: none */
    int order; /* the parent writes a byte: run what is in the slot */
    int answer;
    struct slot *slot;
    bool is_busy;
    struct timespec since;
};

/* Of this process, if it is a worker: where its last words go. */
static struct slot *own_slot;

bool sim_outcome_is_good(const struct sim_outcome *outcome)
{
    return outcome->ending == SIM_ENDED && outcome->result.verdict == SIM_PASSED;
}

void sim_outcome_signature(const struct sim_outcome *outcome, char *out, size_t room)
{
    switch (outcome->ending) {
    case SIM_ENDED:
        (void)snprintf(out, room, "%s %s", sim_verdict_name(outcome->result.verdict),
                       outcome->result.invariant);
        break;
    case SIM_CRASHED:
        (void)snprintf(out, room, "crashed %s", outcome->crash);
        break;
    case SIM_HUNG:
        (void)snprintf(out, room, "hung");
        break;
    case SIM_UNSTABLE:
        (void)snprintf(out, room, "unstable: the same seed gave two hashes");
        break;
    }
}

bool sim_pool_report(const char *text)
{
    if (own_slot != NULL) {
        (void)snprintf(own_slot->outcome.crash, sizeof own_slot->outcome.crash, "%s", text);
    }
    return own_slot == NULL || own_slot->job.mutant == MUTANT_NONE;
}

static void job_run(const struct sim_job *job, struct sim_result *ret)
{
    if (job->scenario != NULL) {
        scenario_run(job->scenario, &job->options, ret);
    } else {
        sim_run(&job->options, ret);
    }
}

static void worker_runs(struct slot *slot)
{
    struct sim_outcome *outcome = &slot->outcome;

    sim_switches_set(slot->job.mutant);
    job_run(&slot->job, &outcome->result);
    sim_switches_read(outcome->probes);
    outcome->ending = SIM_ENDED;
    if (slot->job.runs_twice) {
        struct sim_result again;
        job_run(&slot->job, &again);
        if (again.hash != outcome->result.hash) {
            outcome->ending = SIM_UNSTABLE;
        }
    }
}

__attribute__((noreturn)) static void worker_main(struct worker *w, int order, int answer)
{
    char byte;

    own_slot = w->slot;
    while (read(order, &byte, 1) == 1) {
        worker_runs(w->slot);
        if (write(answer, &byte, 1) != 1) {
            break;
        }
    }
    _exit(0);
}

static void worker_begin(struct worker *w)
{
    int order[2];
    int answer[2];

    CHECK(pipe(order) == 0 && pipe(answer) == 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)close(order[1]);
        (void)close(answer[0]);
        worker_main(w, order[0], answer[1]);
    }
    (void)close(order[0]);
    (void)close(answer[1]);
    w->pid = pid;
    w->order = order[1];
    w->answer = answer[0];
    w->is_busy = false;
}

/* A worker has nothing to tidy up; one that died by itself keeps its status. */
static int worker_end(struct worker *w)
{
    int status = 0;

    (void)close(w->order);
    (void)close(w->answer);
    (void)kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    w->pid = 0;
    w->is_busy = false;
    return status;
}

static void worker_orders(struct worker *w, const struct sim_job *job)
{
    const char byte = 0;

    w->slot->job = *job;
    memset(&w->slot->outcome, 0, sizeof w->slot->outcome);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &w->since) == 0);
    w->is_busy = true;
    CHECK(write(w->order, &byte, 1) == 1);
}

static bool took_too_long(const struct worker *w, const struct sim_pool_work *work)
{
    time_t most = work->seconds_max != 0 ? work->seconds_max : SIM_RUN_SECONDS_MAX;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec - w->since.tv_sec > most;
}

/* It answered, or died; true: it may take another run. */
static bool worker_answered(struct worker *w, const struct sim_pool_work *work)
{
    struct sim_outcome *outcome = &w->slot->outcome;
    char byte;
    bool lives = read(w->answer, &byte, 1) == 1;

    w->is_busy = false;
    if (!lives) {
        int status = worker_end(w);
        outcome->ending = SIM_CRASHED;
        if (outcome->crash[0] == '\0') {
            (void)snprintf(outcome->crash, sizeof outcome->crash, "signal %d",
                           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        }
    }
    work->done(work->ctx, &w->slot->job, outcome);
    return lives && !work->forks_each;
}

static bool worker_feed(struct worker *w, const struct sim_pool_work *work)
{
    struct sim_job job;

    memset(&job, 0, sizeof job);
    if (!work->next(work->ctx, &job)) {
        return false;
    }
    if (w->pid == 0) {
        worker_begin(w);
    }
    worker_orders(w, &job);
    return true;
}

static void pool_wait(struct worker *workers, const struct sim_pool_work *work)
{
    struct pollfd polls[SIM_JOBS_MAX];

    for (uint32_t i = 0; i < work->jobs; i++) {
        polls[i] =
            (struct pollfd){.fd = workers[i].is_busy ? workers[i].answer : -1, .events = POLLIN};
    }
    int ready = poll(polls, work->jobs, TICK_MS);
    for (uint32_t i = 0; i < work->jobs; i++) {
        struct worker *w = &workers[i];
        if (ready > 0 && polls[i].revents != 0) {
            if (!worker_answered(w, work) && w->pid != 0) {
                (void)worker_end(w);
            }
        } else if (w->is_busy && took_too_long(w, work)) {
            (void)worker_end(w);
            w->slot->outcome.ending = SIM_HUNG;
            work->done(work->ctx, &w->slot->job, &w->slot->outcome);
        }
    }
}

void sim_pool_run(const struct sim_pool_work *work)
{
    struct worker workers[SIM_JOBS_MAX];
    size_t bytes = work->jobs * sizeof(struct slot);
    bool stops = false;
    bool is_busy = true;

    CHECK(work->jobs > 0 && work->jobs <= SIM_JOBS_MAX);
    struct slot *slots =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(slots != MAP_FAILED);
    memset(workers, 0, sizeof workers);
    for (uint32_t i = 0; i < work->jobs; i++) {
        workers[i].slot = &slots[i];
    }
    while (is_busy) {
        is_busy = false;
        for (uint32_t i = 0; i < work->jobs; i++) {
            is_busy = is_busy || workers[i].is_busy || (!stops && worker_feed(&workers[i], work));
        }
        if (is_busy) {
            pool_wait(workers, work);
        }
        if (work->tick != NULL && work->tick(work->ctx)) {
            stops = true;
        }
    }
    for (uint32_t i = 0; i < work->jobs; i++) {
        if (workers[i].pid != 0) {
            (void)worker_end(&workers[i]);
        }
    }
    (void)munmap(slots, bytes);
}

struct single {
    const struct sim_job *job;
    struct sim_outcome *outcome;
    bool is_given;
};

static bool single_next(void *ctx, struct sim_job *ret)
{
    struct single *single = ctx;

    if (single->is_given) {
        return false;
    }
    single->is_given = true;
    *ret = *single->job;
    return true;
}

static void single_done(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome)
{
    struct single *single = ctx;
    (void)job;
    *single->outcome = *outcome;
}

void sim_pool_one(const struct sim_job *job, struct sim_outcome *ret)
{
    struct single single = {job, ret, false};
    const struct sim_pool_work work = {
        .next = single_next, .done = single_done, .ctx = &single, .jobs = 1};
    sim_pool_run(&work);
}
