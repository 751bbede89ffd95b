/*
 * One message of each type, the same on every run: for golden bytes, and as seeds of the fuzz
 * corpus. What they point to is static.
 */
#ifndef NOVACRON_TESTS_MESSAGE_SAMPLES_H
#define NOVACRON_TESTS_MESSAGE_SAMPLES_H

#include "core/consensus/raft/raft_message.h"

/* The sample of `type`; every field that the type names is set. */
struct raft_message message_sample(enum raft_message_type type);

/* A joint membership with a witness, a learner and each role bit somewhere. */
const struct raft_snapshot *snapshot_sample(void);

/* A change that uses every operation, with a context. */
struct raft_conf_change conf_change_sample(void);

#endif
