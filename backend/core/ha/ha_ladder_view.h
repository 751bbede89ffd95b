/*
 * The ladder of a machine for whoever looks at it: each rung from its process up, with what is
 * asked, what was answered, since when, and what follows where it fails. Made of the records alone,
 * so that every member tells the same; it is the last that the machine's host has reported.
 */
#ifndef NOVACRON_HA_LADDER_VIEW_H
#define NOVACRON_HA_LADDER_VIEW_H

#include "core/ha/ha_view.h"

/* The process, and the rungs of a report. */
#define HA_LADDER_LINES (1 + HA_RUNGS)

struct ha_ladder_line {
    const char *name; /* "process", or as ha_rung_name has it */
    enum ha_rung_state state;
    uint64_t since_ms;        /* 0: it is not known */
    char asks[HA_TEXT_BYTES]; /* "ping its guest agent, every 10 s" */
    char answer[HA_TEXT_BYTES];
    char then[HA_TEXT_BYTES]; /* where it fails: "only told" */
};

struct ha_ladder_view {
    bool is_wanted;
    const struct ha_owner *owner; /* borrowed from the view; NULL: there is none yet */
    bool is_well;                 /* as far as it is asked, or it stands still as is wanted */
    const struct ha_ladder_line *first_bad; /* one of the lines; NULL: none is bad */
    struct ha_ladder_line lines[HA_LADDER_LINES];
};

/* `vm` has a record that can be read. */
void ha_ladder_look(const struct ha_view *view, const struct ha_vm *vm, struct ha_ladder_view *ret);

#endif
