/*
 * The part of the stage that is about live moves: the phases of one, from outside. Each is left
 * within the event that ends it, so a script that stops in one can strike before anything else
 * happens.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_STAGE_MOVE_H
#define NOVACRON_CHAOS_SCENARIO_STAGE_MOVE_H

#include "core/chaos/scenario/stage_machines.h"

enum stage_move_phase {
    MOVE_BEGUN,   /* MOVING, and no machine is known to wait */
    MOVE_SENDING, /* the source has been told where, and its guest runs there */
    MOVE_SENT,    /* all of it is at the target, and the record knows nothing of it */
    MOVE_DECIDED, /* the record says that it goes on at the target, where it has not */
    MOVE_PHASES
};

#define STAGE_MOVED_WITHIN (10 * NANOS_PER_S)

/* A machine that is to move: where it is, where it goes, and as its record was before. */
struct stage_move {
    uint32_t machine;
    struct simmember *from;
    struct simmember *to;
    struct ha_owner before;
};

/* An operator wishes it from a host that does not lead to another, `to_leader`: the leader; else
 * one that does not lead either. Returns at once. */
struct stage_move stage_move_begin(struct stage *st, uint32_t machine, bool to_leader);

/* The move is in that phase, which must happen within STAGE_MOVED_WITHIN. */
void stage_move_await(struct stage *st, const struct stage_move *move, enum stage_move_phase phase);

/* Its guest runs on: nobody has started it since the move began. */
bool stage_runs_on(struct stage *st, const struct stage_move *move);

/* Its true state on a host; UNKNOWN: it is not there. */
enum world_vm_state stage_state_at(const struct simmember *m, uint32_t machine);

#endif
