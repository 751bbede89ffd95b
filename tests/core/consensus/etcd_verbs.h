/* The commands of etcd-raft's interaction scripts. */
#ifndef NOVACRON_TESTS_ETCD_VERBS_H
#define NOVACRON_TESTS_ETCD_VERBS_H

#include "tests/core/consensus/script_env.h"

extern const struct script_verb etcd_verbs[];
extern const size_t etcd_verb_count;

/* The change that propose-conf-change spells. False fails the command. */
bool etcd_parse_change(struct script_env *env, const struct script_command *c,
                       struct raft_conf_change *ret);

#endif
