/* The commands of etcd-raft's interaction scripts. */
#ifndef NOVACRON_TESTS_ETCD_VERBS_H
#define NOVACRON_TESTS_ETCD_VERBS_H

#include "tests/core/consensus/script_env.h"

extern const struct script_verb etcd_verbs[];
extern const size_t etcd_verb_count;

/* What that project's tests run nodes with, as far as it has a counterpart here: ticks of 100 ms,
 * a heartbeat each tick, elections after three, no limits, and nothing that it does not have. */
struct raft_config etcd_config(node_id id);

#endif
