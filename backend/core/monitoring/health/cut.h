/*
 * cut: agreement on who is lost, before anything is done that cannot be undone.
 *
 * Observers report edges that are down to the leader (swim.h, struct swim_report). Here, at the
 * leader, their reports become cuts: sets of members that are lost together, as in Rapid
 * [Suresh18]. A cut is what the HA manager will hear; it will never hear of suspicions.
 *
 * COUNTING. A subject's count is the number of its observers that report it, each at most once,
 * plus those of its observers that are reported themselves, for they can report nobody. Of K
 * observers,
 *
 *     below L   noise: one observer that is ill, or one cut cable
 *     [L, H)    unstable: something is under way, and no cut is made before it is clear
 *     from H on stable: it is lost
 *
 * Whom gossip holds for dead as well, by the verdict of a quorum of its observers, is stable from L
 * on.
 *
 * A cut is all that is stable, once nothing is unstable and nothing new came for `settle`: so the
 * hosts of a rack that fell make one cut, though they were noticed one by one. A subject that stays
 * unstable for `patience` blocks nobody any longer: it is gray, reachable by some and not by
 * others, and told as such. H is never below 2: no one is condemned on one word.
 *
 * WHOLE. Where nothing more can come there is nothing to wait for: nobody is unstable, and each
 * that is stable is reported by all others in the view that are not. Of three hosts it is so with
 * the second report. What is left of the time is a `hold`, in which gossip must have held it for
 * dead without being contradicted: who only stood still says so as soon as it runs again.
 *
 * ALONE. Of two hosts each has one observer, and one is all there can be: whoever leads the other.
 * No count comes to H then. The one that is gone is lost all the same, in a cut of itself alone,
 * once its observer has reported it for `alone_span` without a pause, while gossip held it for dead
 * and nothing else here heard from it (CUT_EVENT_HEARD: the replicated log, say). Such a cut has
 * `observers` 1, and is worth less than any other: it may be the path between the two that failed.
 * With three in the view or more there is none.
 *
 * THE BRAKE. A leader that would cut half of its view or more does nothing, and says `is_braked`:
 * it is more likely that it is the one who is lost. (Alone, half is what there is.) Those who are
 * OUT, but alive and unreported, are weighed as if they were IN: a leader that hears them is not.
 *
 *     OUT --alive, and quiet for `probation`--> IN --cut--> OUT
 *     IN --left--> (forgotten)
 *
 * A member that was cut is IN again only after it has been alive and unreported for `probation`,
 * twice as long each time it is cut within an hour: one that comes and goes stays out. One that was
 * started anew since, as after a power cut, and was cut once within the hour, waits for
 * `probation_reborn` alone.
 */
#ifndef NOVACRON_HEALTH_CUT_H
#define NOVACRON_HEALTH_CUT_H

#include "core/base/types.h"
#include "core/monitoring/health/swim.h"

struct cut_config {
    uint32_t high_percent; /* H, of a subject's observers, rounded up; at least 2 */
    uint32_t low_percent;  /* L, likewise; at least 2, at most H */
    nanos settle;
    nanos hold;        /* see WHOLE */
    nanos settle_max;  /* however much comes, a stable subject waits no longer for company */
    nanos patience;    /* with what is unstable */
    nanos report_span; /* a report counts so long after it was last so */
    nanos alive_span;  /* but of one that is alive only so long */
    nanos probation;
    nanos probation_reborn; /* of a member that was started anew, after its first cut */
    nanos alone_span;       /* see ALONE */
};

/* Three in four of eight observers, and one in four. */
void cut_config_default(struct cut_config *config);

struct cut_reporter {
    node_id observer;
    nanos said_at;
};

struct cut_member {
    node_id id;
    uint64_t incarnation;
    bool is_in;      /* in the view */
    bool is_alive;   /* as the leader's gossip has it */
    bool is_gray;    /* told as such */
    uint8_t cuts;    /* of late */
    nanos quiet_at;  /* since when it is alive and unreported; NANOS_FOREVER: it is not */
    nanos stable_at; /* when its count came to H; NANOS_FOREVER: it has not */
    nanos low_at;    /* when its count came to L; NANOS_FOREVER */
    nanos cut_at;
    uint64_t cut_incarnation; /* as it was then */
    nanos dead_at;            /* since when gossip holds it for dead; NANOS_FOREVER: it does not */
    nanos alone_at; /* since when its one observer reports it; NANOS_FOREVER: it does not */
    nanos alone_said_at;
    uint32_t n_reporters;
    uint32_t n_observers;
    struct cut_reporter reporters[SWIM_OBSERVERS_MAX];
    node_id observers[SWIM_OBSERVERS_MAX];
};

enum cut_event_kind {
    CUT_EVENT_TIME,
    CUT_EVENT_ALIVE, /* id, incarnation: a member is alive; a new one is IN at once */
    CUT_EVENT_DEAD,  /* id: gossip holds it for dead, since `since`; by itself that cuts nobody */
    CUT_EVENT_LEFT,  /* id: it left in good order */
    CUT_EVENT_HEARD, /* id: something else than gossip hears from it */
    CUT_EVENT_REPORT /* report */
};

struct cut_event {
    enum cut_event_kind kind;
    nanos now;
    node_id id;
    uint64_t incarnation;
    nanos since;
    struct swim_report report;
};

enum cut_change_kind { CUT_LOST, CUT_BACK, CUT_GRAY, CUT_NOT_GRAY };

struct cut_change {
    enum cut_change_kind kind;
    node_id id;
    uint64_t incarnation;
    uint32_t reports;   /* evidence: how many of its observers */
    uint32_t observers; /* it has; LOST: 1: on one word, see ALONE */
};

/* What is LOST in one update is one cut, and one change of the view. */
struct cut_update {
    struct cut_change *changes; /* owned; keeps its memory from step to step */
    size_t n_changes;
    size_t changes_cap;
    uint64_t view; /* counts changes of the view */
    bool is_braked;
    nanos deadline;
};

struct cut {
    struct cut_config config;
    nanos now;
    struct cut_member *members; /* owned, in ascending order of ids */
    size_t n_members;
    size_t members_cap;
    uint32_t n_in;
    uint64_t view;
    nanos news_at; /* when a count grew last */
    bool is_braked;
};

void cut_init(struct cut *c, const struct cut_config *config, nanos now);
void cut_deinit(struct cut *c);
void cut_update_init(struct cut_update *u);
void cut_update_deinit(struct cut_update *u);

/* Reports on who is not known, from who is not among the observers that the report itself names,
 * and on earlier incarnations than the known one count for nothing. */
void cut_step(struct cut *c, const struct cut_event *event, struct cut_update *u);

/* NULL: not known. */
const struct cut_member *cut_find(const struct cut *c, node_id id);

/* CHECKs what must hold between steps. */
void cut_check(const struct cut *c);

#endif
