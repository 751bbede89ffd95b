/*
 * The history of what the manager writes of machines and hosts, held against the rules that say
 * which record may follow which (ha_restart.h, ha_proof.h). It is fed with every change that was
 * committed, in the order of the store, whoever wrote it and whichever leader's it was: so a rule
 * that two leaders break together, each of them right by itself, is broken here.
 *
 *     I45  no host's fence is begun beyond the cap against storms, but those that an operator asks
 *          for
 *     I46  an owner's record follows the one before it, and an epoch was never used before, by an
 *          earlier machine of the name either
 *     I47  a host's fate follows the one before it
 *
 * Of the records alone: whether what they say is true is for simvm.h to judge, and for sim_ha.c.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMRECORDS_H
#define NOVACRON_CHAOS_SIM_SIMRECORDS_H

#include "core/ha/ha_view.h"

/* The newest epoch that a machine of the name was ever given. */
struct simrecords_epoch {
    char vm[HA_NAME_BYTES];
    uint64_t epoch;
};

struct simrecords {
    struct ha_view view; /* of what the rules look at; an entry's mark: since when its fate is in
                            its phase */
    struct simrecords_epoch *epochs; /* owned; in the order of their first start */
    size_t n_epochs;
    size_t cap;
    uint32_t storm_cap; /* the highest cap against storms of late, and when it was that */
    nanos storm_at;
    uint64_t judged; /* changes of records that have rules */
    char text[4 * HA_TEXT_BYTES];
};

void simrecords_init(struct simrecords *r);
void simrecords_deinit(struct simrecords *r);

/* One change, which was committed. `value` says nothing of a delete. */
struct simrecords_change {
    struct bytes key;
    struct bytes value;
    bool is_delete;
    uint64_t revision;
    nanos now;
};

/* Changes of keys that have no rule are passed over. The invariant that it broke ("I46"), with
 * `text` saying how; NULL: none. */
const char *simrecords_changed(struct simrecords *r, const struct simrecords_change *change);

#endif
