/*
 * The commands of our own golden scripts, which etcd-raft lacks. Time is in milliseconds.
 *
 *     run ms=1000                   time passes on every node, in small steps, and between them the
 *                                   nodes talk; prints what an operator would hear of
 *     advance 1 2 ms=300            time passes, and nobody talks (all nodes where none is named)
 *     cut 1 2 / heal                no message passes between these nodes and the others / all do
 *     disk-stall 1 / disk-ok 1      its disk stops answering / goes on
 *     apply-stall 1 / apply-ok 1    its state machine does
 *     restart 1 [lost-vote=true] [lost-log=12]
 *                                   it starts anew; its disk lost the term and vote, or the log
 *                                   from this entry on
 *     damage 1 12-14                the bodies of these entries cannot be read any more
 *     change 1 [transition=...]     as propose-conf-change, and says when it is refused
 *     snapshot 1                    takes a snapshot of what is applied
 *     read 1                        asks for a linearizable read
 *     stop 1                        it is about to stop
 *     suspend 1                     its host slept
 *     stream-reset 1 2              its stream to the other broke
 *     recover-quorum 1              an operator gives up the others
 *     members 1                     its membership, and what is wrong with it
 *     indexes                       how far the logs of all nodes have come
 *     lease 1                       could a read be answered now, under the leader's lease?
 */
#ifndef NOVACRON_TESTS_OWN_VERBS_H
#define NOVACRON_TESTS_OWN_VERBS_H

#include "tests/core/consensus/script_env.h"

extern const struct script_verb own_verbs[];
extern const size_t own_verb_count;

#endif
