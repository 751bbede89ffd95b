/*
 * How long a datagram is under way, and the measured round-trip times of real hosts.
 *
 * A measurement is a text: one line a host, one number a column, the round-trip time from the host
 * of the line to that of the column in seconds, separated by spaces or tabs. Several of one set of
 * hosts, taken at different times, make a trace: a datagram between two hosts is given half the
 * round-trip time that they had at one of these times. There are more hosts in the laboratory than
 * were measured; host i stands where the measured host i modulo their number stood.
 *
 * What is read is untrusted: lablatency_add takes a slice whole or refuses it.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABLATENCY_H
#define NOVACRON_CHAOS_DETECT_LABLATENCY_H

#include "core/base/err.h"
#include "core/base/prng.h"

/* The most that is measured and kept. */
#define LABLATENCY_HOSTS_MAX  128
#define LABLATENCY_SLICES_MAX 1024

/* A round-trip time above this is no measurement but a mistake; in seconds. */
#define LABLATENCY_RTT_MAX_S 600.0

struct lablatency {
    size_t hosts;     /* 0: nothing was measured */
    size_t slices;    /* of hosts x hosts each */
    uint32_t *rtt_us; /* owned; slice by slice, line by line */
    size_t cap;
};

void lablatency_deinit(struct lablatency *l);

/* One more slice, parsed from `text`. ERR_CORRUPT: it is no square of numbers, or of another size
 * than those before it; nothing changed then. ERR_TOO_LARGE: there are LABLATENCY_SLICES_MAX. */
MUST_USE enum err lablatency_add(struct lablatency *l, struct bytes text);

/* The round-trip time between two hosts in one slice. */
nanos lablatency_rtt(const struct lablatency *l, size_t slice, size_t from, size_t to);

/* A delay in one direction between two hosts of the laboratory: of the measurement, at a time that
 * is drawn, or, where there is none, of a quiet Ethernet: 100 to 300 us, and once in 1000 up to 5
 * ms, when a queue or a processor was busy. */
nanos lablatency_draw(const struct lablatency *l, struct prng *p, size_t from, size_t to);

#endif
