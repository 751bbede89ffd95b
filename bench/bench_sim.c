/*
 * The simulator against the clock: how much faster than real time five nodes under faults live on
 * one core, with every check on, and how many seeds of the default profile two processes run in a
 * minute.
 *
 * The first figure counts processor time, so that a busy machine does not lower it; the second is
 * by the wall, as a campaign is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "core/chaos/sim/sim.h"

#define FIVE_SEEDS    60
#define DEFAULT_SEEDS 150 /* of each process */
#define PROCESSES     2

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sim_result bench_seed(uint64_t seed, enum sim_profile profile)
{
    const struct sim_options options = {.seed = seed, .profile = profile};
    struct sim_result result;
    sim_run(&options, &result);
    return result;
}

static void bench_speedup(void)
{
    double simulated = 0;
    uint64_t events = 0;
    uint64_t calls = 0;
    unsigned failed = 0;
    double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);

    for (uint64_t seed = 1; seed <= FIVE_SEEDS; seed++) {
        struct sim_result result = bench_seed(seed, PROFILE_FIVE);
        simulated += (double)result.fault_time / 1e9;
        events += result.events;
        calls += result.calls;
        failed += result.verdict != SIM_PASSED;
    }
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before;
    printf("# five nodes, light faults: %.0f s of faults simulated, %.1f operations a second, "
           "%.0f events a second, %u failed\n",
           simulated, (double)calls / simulated, (double)events / simulated, failed);
    bench_report("sim_speedup", simulated / cpu, "x");
}

static void bench_campaign(void)
{
    double before = seconds_of(CLOCK_MONOTONIC);

    (void)fflush(stdout);
    for (uint64_t process = 0; process < PROCESSES; process++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            for (uint64_t i = 0; i < DEFAULT_SEEDS; i++) {
                (void)bench_seed(1 + process * DEFAULT_SEEDS + i, PROFILE_DEFAULT);
            }
            _exit(0);
        }
    }
    for (uint64_t process = 0; process < PROCESSES; process++) {
        int status;
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    double seconds = seconds_of(CLOCK_MONOTONIC) - before;
    bench_report("sim_seeds_per_minute", 60.0 * PROCESSES * DEFAULT_SEEDS / seconds, "1/min");
}

int main(void)
{
    printf("# %d seeds of profile five in one process; %d of the default profile in %d\n",
           FIVE_SEEDS, PROCESSES * DEFAULT_SEEDS, PROCESSES);
    bench_speedup();
    bench_campaign();
    return 0;
}
