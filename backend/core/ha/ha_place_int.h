/*
 * What a ledger holds of hosts and machines. Both are arrays in the order of the view, and refer to
 * each other by index, so that a ledger can be copied to try something out (ha_ledger_copy).
 */
#ifndef NOVACRON_HA_PLACE_INT_H
#define NOVACRON_HA_PLACE_INT_H

#include "core/ha/ha_place.h"

/* No index. */
#define HA_NOBODY UINT32_MAX

struct ha_room {
    const char *name;
    const struct ha_host *host;          /* NULL: unreadable */
    const struct ha_agent_record *agent; /* NULL: none */
    bool is_up;
    bool is_degraded;
    bool is_tripped;
    bool is_fence_tested;
    bool is_quarantined;
    uint64_t memory_mib;
    uint64_t cpus;
    uint64_t memory_taken;
    uint64_t cpus_taken;
    uint32_t machines;
    uint32_t starting;
    uint32_t coming;       /* guests of live moves, from the first on until they run here */
    uint32_t first;        /* of the seats here */
    uint32_t first_coming; /* of the seats whose guest is being moved here */
};

struct ha_seat {
    const char *name;
    const struct ha_vm *vm; /* NULL: unreadable */
    enum ha_phase phase;    /* WAITING where there is no owner's record */
    bool is_unknown;        /* its owner's record cannot be read: nobody knows where it is */
    bool is_placed;
    bool is_moved;        /* STARTING: its guest goes on where it was moved to */
    bool has_apart;       /* its record names machines that it must be apart from */
    uint32_t room;        /* NOBODY: it is not placed, or on a host without a record */
    uint32_t next;        /* in that room */
    uint32_t to_room;     /* MOVING: where it goes, and has a place, too; else NOBODY */
    uint32_t next_coming; /* in that room */
    uint32_t group; /* those that must be together: the index of one of them, the same for all */
    uint32_t next_in_group;
    uint32_t first_in_group; /* at `group`: the first of the chain */
};

/* The place of a name; NOBODY: there is none. */
uint32_t ha_room_index(const struct ha_ledger *l, const char *host);
uint32_t ha_seat_index(const struct ha_ledger *l, const char *vm);

/* Gives the seat a place, as STARTING; takes it away. */
void ha_seat_take(struct ha_ledger *l, uint32_t seat, uint32_t room);
void ha_seat_release(struct ha_ledger *l, uint32_t seat);

/* Wanted, and without a place that it has or may have. */
bool ha_seat_waits(const struct ha_seat *seat);

/* What is asked of each host, beyond struct ha_place_ask. */
struct ha_look {
    struct ha_place_ask ask;
    bool ignores_room; /* memory and processors suffice */
};

struct ha_verdict ha_room_look(const struct ha_ledger *l, uint32_t room, const struct ha_vm *vm,
                               const struct ha_look *look);

/* The best room that fits, or NOBODY. */
uint32_t ha_room_find(const struct ha_ledger *l, const struct ha_vm *vm, const struct ha_look *look,
                      struct ha_verdict *verdicts);

/* Do `need` fit into the room beside what is taken? */
bool ha_room_has_memory(const struct ha_room *room, uint64_t taken, uint64_t need);
bool ha_room_has_cpus(const struct ha_ledger *l, const struct ha_room *room, uint64_t taken,
                      uint64_t need);

void ha_ledger_copy(struct ha_ledger *to, const struct ha_ledger *from);

#endif
