/*
 * Many faults at once, and what the members' views of the cluster go through (DETECTION P5, P6, P7;
 * [Suresh18 §7]).
 *
 * A view is what one healthy member holds to be alive. Told are: whether in the end every healthy
 * member holds exactly the faulty ones dead, how often healthy ones were held dead on the way, how
 * many sizes of views anybody saw, and when the views last agreed.
 *
 * Faulty members of P6 and P7 are not dead: they live, and lose what comes in or goes out. Whoever
 * removes them by rumor alone takes them back with their next refutation. Ours as shipped has a
 * leader, a healthy member, whom observers report to (core/monitoring/health/cut.h): the cuts that
 * it makes are what the HA manager will hear, and they are told beside the views.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABVIEW_H
#define NOVACRON_CHAOS_DETECT_LABVIEW_H

#include "core/chaos/detect/labswim.h"

enum labview_fault {
    LABVIEW_CRASH,    /* at once */
    LABVIEW_FLIP_IN,  /* all that comes in is lost for 20 s, then nothing for 20 s, and again */
    LABVIEW_LOSS_OUT, /* 80 % of what goes out */
    LABVIEW_LOSS_IN,  /* 80 % of what comes in */
};

struct labview_cell {
    enum labswim_protocol protocol;
    enum labview_fault fault;
    uint32_t hosts;
    uint32_t faulty;
    nanos quiet;
    nanos span; /* from the fault on */
    uint64_t seed;
    const struct lablatency *latency;
};

struct labview_result {
    uint32_t missed;       /* faulty ones that some healthy member held alive at the end */
    uint64_t false_deaths; /* of healthy ones, events at healthy members */
    uint32_t sizes;        /* different sizes of views that healthy members had */
    uint32_t changes_most; /* of one member's view */
    double agreed_s;       /* last change of any view, from the fault on; 0: there was none */
    uint32_t cuts;         /* of the leader; 0 for protocols without one */
    uint32_t cut_faulty;   /* different faulty members lost by them */
    uint32_t cut_healthy;  /* healthy ones, each time */
    uint32_t cut_back;     /* lost ones that came back, each time */
    double cut_first_s;    /* from the fault on */
    double cut_last_s;
};

void labview_run(const struct labview_cell *cell, struct labview_result *ret);

#endif
