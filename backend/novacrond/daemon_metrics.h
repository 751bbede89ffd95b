/*
 * What the files of /metrics share: lines of Prometheus' text format, version 0.0.4.
 *
 * A metric is its head (HELP and TYPE), once, and then its samples, all of them together. Values of
 * labels are static strings, names of methods and hexadecimal ids: nothing that would have to be
 * escaped.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_METRICS_H
#define NOVACRON_NOVACROND_DAEMON_METRICS_H

#include "core/base/buf.h"
#include "novacrond/daemon.h"

/* The longest line, with its final zero. */
#define METRIC_LINE_BYTES 512

void metric_head(struct buf *b, const char *name, const char *type, const char *help);

__attribute__((format(printf, 2, 3))) void metric_line(struct buf *b, const char *format, ...);

/* A metric without labels. */
void metric_one(struct buf *b, const char *name, const char *type, const char *help,
                uint64_t value);

#define GAUGE(name, help, value)   metric_one(b, name, "gauge", help, value)
#define COUNTER(name, help, value) metric_one(b, name, "counter", help, value)

/* Samples of a histogram: first * 2^i and less in counts[i], more in the last of them. `labels`
 * may be empty. */
struct metric_times {
    const char *name;
    const char *labels;
    const uint64_t *counts;
    size_t n;
    nanos first;
    nanos sum;
};

void metric_histogram(struct buf *b, const struct metric_times *times);

/* The calls of clients (daemon_metrics_calls.c), and the process (daemon_metrics_process.c). */
void metrics_put_calls(struct buf *b, const struct daemon *d);
void metrics_put_process(struct buf *b, const struct daemon *d);

#endif
