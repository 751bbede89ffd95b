/*
 * The observer's own pauses. Who was stalled (SIGSTOP, a starved processor, a page fault that took
 * seconds), suspended with its machine, or whose clock was stepped, did not listen: heartbeats wait
 * in a queue or are lost, and every peer looks dead at the moment of waking. Such an observer
 * judges nobody until it has listened again for long enough.
 *
 * HOW IT KNOWS
 *   stalled    a turn of its loop comes much later than it was due;
 *   suspended  `now` (which counts while the machine sleeps) has gained on `awake` (which does not)
 *   stepped    `now` went backwards, or fell behind `awake`: a machine that was restored from a
 *              snapshot or migrated, a clock that was set
 *
 * Whoever watches calls pause_turn at each turn of its loop, before it looks at what has arrived
 * and at what is due; and where that returns true, detector_excuse(d, pause_judges_from(p)) for
 * each of its detectors.
 */
#ifndef NOVACRON_HEALTH_PAUSE_H
#define NOVACRON_HEALTH_PAUSE_H

#include "core/base/types.h"

/* kind, text for people: "this host was ...". */
#define PAUSE_TABLE(X)                                                                             \
    X(PAUSE_STALLED, "stalled")                                                                    \
    X(PAUSE_SUSPENDED, "suspended")                                                                \
    X(PAUSE_STEPPED, "put onto another time")

enum pause_kind {
#define PAUSE_ENUM(kind, text) kind,
    PAUSE_TABLE(PAUSE_ENUM)
#undef PAUSE_ENUM
        PAUSE_KINDS
};

struct pause_config {
    nanos late_max;  /* a turn that is later than this is a pause; > 0 */
    nanos drift_max; /* likewise, `now` and `awake` apart between two turns; > 0 */
    nanos settle;    /* listen for this long after a pause before judging: some heartbeats' worth */
};

struct pause {
    struct pause_config config;
    nanos now; /* at the last turn */
    nanos awake;
    nanos due; /* when the next turn is due; NANOS_FOREVER: by an event alone */
    nanos judges_from;
    nanos lasted; /* the last pause, and the longest */
    nanos longest;
    enum pause_kind kind; /* of the last pause */
    uint64_t counts[PAUSE_KINDS];
};

/* The defaults for heartbeats every `interval`: a turn two intervals late, and three of listening.
 */
struct pause_config pause_config_of(nanos interval);

void pause_init(struct pause *p, const struct pause_config *config, nanos now, nanos awake);

/* A turn of the loop. `due` is when its next one is due at the latest: the earliest timer. Returns
 * true where the observer was not itself since the last turn. */
bool pause_turn(struct pause *p, nanos now, nanos awake, nanos due);

/* The next turn is due then: what pause_turn was told, where that is known only once the turn has
 * ended. */
void pause_expect(struct pause *p, nanos due);

/* Judges nobody before this. */
nanos pause_judges_from(const struct pause *p);
bool pause_judges(const struct pause *p, nanos now);

const char *pause_kind_text(enum pause_kind kind);

#endif
