/* The part of /metrics that is about the process, under the names of Prometheus' own clients. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "novacrond/daemon_metrics.h"

static uint64_t process_descriptors(void)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        n++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n > 3 ? n - 3 : 0; /* ".", "..", and that of the directory */
}

void metrics_put_process(struct buf *b, const struct daemon *d)
{
    struct rusage usage = {0};
    struct rlimit files = {0};
    unsigned long pages[2] = {0, 0};
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL) {
        (void)fscanf(statm, "%lu %lu", &pages[0], &pages[1]);
        (void)fclose(statm);
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    metric_head(b, "process_cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.");
    metric_line(b, "process_cpu_seconds_total %.6f\n", cpu);
    GAUGE("process_resident_memory_bytes", "Resident memory size in bytes.", pages[1] * page);
    GAUGE("process_virtual_memory_bytes", "Virtual memory size in bytes.", pages[0] * page);
    GAUGE("process_open_fds", "Number of open file descriptors.", process_descriptors());
    GAUGE("process_max_fds", "Maximum number of open file descriptors.", files.rlim_cur);
    GAUGE("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          (uint64_t)d->counts.started_at_unix);
}
