/*
 * Members that join one after another while receivers lose datagrams (DETECTION P8; [Das02 §5.4]):
 * how many see, at the end, exactly the members that there are.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABJOIN_H
#define NOVACRON_CHAOS_DETECT_LABJOIN_H

#include "core/chaos/detect/labswim.h"

struct labjoin_cell {
    enum labswim_protocol protocol;
    uint32_t hosts;
    nanos every;      /* between two joins */
    uint32_t loss_in; /* of LABNET_CERTAIN, at every host */
    nanos at;         /* when it is looked at, from the first join */
    uint64_t seed;
    void (*tune)(void *ctx, struct swim_config *config); /* NULL: the preset */
};

struct labjoin_result {
    uint32_t sees_min; /* live members in the view that has the fewest */
    uint32_t whole;    /* members that see all */
    uint64_t deaths;   /* events on the way, all false */
};

void labjoin_run(const struct labjoin_cell *cell, struct labjoin_result *ret);

#endif
