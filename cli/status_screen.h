/*
 * What `novacron status` shows: a screen of 80 columns, for a person who was woken by it. First
 * what holds for all, then a line for each thing that is not as it should be, then what to do next.
 * Where it goes to a terminal, long lines are folded to its width; elsewhere each thing is one
 * line.
 */
#ifndef NOVACRON_CLI_STATUS_SCREEN_H
#define NOVACRON_CLI_STATUS_SCREEN_H

#include "cli/records.h"
#include "core/ha/ha_place.h"

struct situation {
    struct records_head head;
    bool has_quorum;             /* else all of it is what one member knew last */
    bool is_managed;             /* the newest manager is of the term that is */
    char manager[HA_NAME_BYTES]; /* the name of its member; "": not known */
    uint32_t hosts;
    uint32_t hosts_up;
    uint32_t agents;    /* hosts that do not vote */
    uint32_t agents_up; /* of those */
    uint32_t avoided;   /* quarantined, or tripped: they get no machines */
    uint32_t machines;
    uint32_t unknown; /* of those, whose records cannot be read */
    uint32_t wanted;
    uint32_t running; /* of those that are wanted */
    uint32_t impeded; /* of those that run: and do nothing */
    uint32_t incidents;
    size_t unreadable;
    struct buf notes;        /* owned; a line each: what cannot be read, or kept, or is not there */
    struct ha_losses losses; /* for which there is room */
    uint32_t spare_voters;   /* that may still be lost, and there is a quorum */
    uint32_t survived;       /* losses of hosts: the smaller of the two */
    bool has_troubles;       /* there is a line for each */
    bool is_well;
};

/* While it is moved it runs on. */
static inline bool status_is_running(const struct ha_owner *owner)
{
    return owner->phase == HA_RUNNING || owner->phase == HA_MOVING;
}

#define STATUS_WHY_BYTES (HA_TEXT_BYTES + 64)

/* Is the machine one that runs, and is not well? What its agent says of it, or the first rung of
 * its ladder that is bad. */
bool status_impediment(const struct ha_view *view, const struct ha_vm *vm,
                       const struct ha_owner *owner, char ret_why[STATUS_WHY_BYTES]);

/* Fence devices of hosts whose "off" would prove nothing, since they never said "on"; a line each.
 */
void status_explain_devices(const struct ha_view *view, struct buf *text);

void status_show(const struct ha_view *view, struct situation *s);

#endif
