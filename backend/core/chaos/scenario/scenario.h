/*
 * scenario: the failures that real systems met, each as a script that anybody can run again.
 *
 * What lives here: a table of named scenarios, and the scripts, a file a topic, on a stage
 * (stage.h) made of the simulator's parts: whole nodes on simulated hosts, with every byte of their
 * logs. Who may call it: cli/sim and tests. What it includes: everything of core below it, private
 * headers too, for a script must be able to say "when this node's vote is on its disk".
 *
 * A scenario has a bound, and it fails where what it expects does not come within it, where an
 * invariant is violated after any event (core/chaos/oracle), where at its end the cluster does not
 * heal, and where what its clients saw is not linearizable. The seed decides what the script leaves
 * open: who leads first, how long a packet takes.
 *
 * docs/scenarios.md is printed from the table.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_H
#define NOVACRON_CHAOS_SCENARIO_H

#include "core/chaos/sim/sim.h"

struct stage;

/* The election timeout of every member of a scenario: the unit of most bounds. */
#define SCENARIO_TIMEOUT NANOS_PER_S

/* function (scenario_...), name, the bound in words, virtual seconds that it may take with the
 * healing at its end, the known bug of core/base/mutant.h that it must find ("": there is none),
 * source, story. A name is one line, and stays. */
#define SCENARIO_TABLE(X)                                                                          \
    X(all_start_together, "all-start-together", "a write is committed within 4 T of the start",    \
      12, "", "etcd-io/raft#48", "all members of a group start at the same instant")               \
    X(full_omission_5, "full-omission-5",                                                          \
      "a write is committed within 6 T; then nobody is elected for 20 T", 45,                      \
      "joint-2014-liveness", "Cloudflare 2020; decentralizedthoughts 2020-12-12",                  \
      "of five members the leader reaches only S2, and another one only S3, which reach S1 and "   \
      "each other")                                                                                \
    X(omni_quorum_loss, "omni-quorum-loss", "the hub leads, and a write is committed within 4 T",  \
      20, "", "omnipaxos.com 2023-05",                                                             \
      "the leader keeps one link, to the only member that still reaches everybody")                \
    X(constrained_election, "constrained-election",                                                \
      "the hub leads, and a write is committed within 4 T", 20, "", "omnipaxos.com 2023-05",       \
      "the only member that reaches a majority lacks entries that a minority has")                 \
    X(chained, "chained", "a write is committed within 6 T; then nobody is elected for 20 T", 45,  \
      "joint-2014-liveness", "omnipaxos.com 2023-05",                                              \
      "every member reaches only its neighbours in a chain, and the leader is at its end")         \
    X(prevote_two_alive_deadlock, "prevote-two-alive-deadlock",                                    \
      "a write is committed within 6 T of the return", 35, "prevote-two-alive-deadlock",           \
      "hashicorp/raft#605, #606",                                                                  \
      "a leader was alone and comes back to one of two, whose term is newer")                      \
    X(leader_grants_prevote, "leader-grants-prevote",                                              \
      "for 10 T the leader and its term stay, and each write takes less than T / 2", 30, "",       \
      "daos-stack/raft#70", "a follower that hears nobody asks its leader for a pre-vote")         \
    X(double_vote_after_stepdown, "double-vote-after-stepdown",                                    \
      "the late question gets no vote; a write is committed within 6 T of the return", 25,         \
      "double-vote-after-stepdown", "microsoft/CCF#5891; hazelcast#16643",                         \
      "a leader steps down in its term, and hears, late, a rival of that term")

struct scenario {
    const char *name;
    const char *bound;
    nanos within;       /* virtual time, from beginning to end */
    const char *mutant; /* by its name; "": none */
    const char *source;
    const char *story;
    void (*run)(struct stage *st);
};

/* All of them, in the order of the table. */
const struct scenario *scenario_rows(size_t *ret_count);

/* By its name; NULL. */
const struct scenario *scenario_find(const char *name);

/* The scripts: what `run` of each row calls. */
#define SCENARIO_DECLARE(function, name, bound, seconds, mutant, source, story)                    \
    void scenario_##function(struct stage *st);
SCENARIO_TABLE(SCENARIO_DECLARE)
#undef SCENARIO_DECLARE

/* Runs it. Of the options the plan and the profile are not looked at. */
void scenario_run(const struct scenario *scenario, const struct sim_options *options,
                  struct sim_result *ret);

#endif
