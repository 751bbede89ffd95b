/*
 * The stage of a scenario: a cluster of whole nodes on the simulated world, and what a script does
 * to it and expects of it.
 *
 * A script is a straight line of calls. The first expectation that does not hold ends the run: from
 * then on every call returns at once, with something harmless, so no script looks at errors. The
 * oracle looks after every event, as in a drawn run (core/chaos/sim).
 *
 * Members are struct simmember of core/chaos/sim/simcluster.h; whoever is called m below may be in
 * any state. Time is virtual. A span called `bound` is the longest that the call may wait; where
 * what it waits for does not come, the scenario has failed.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_STAGE_H
#define NOVACRON_CHAOS_SCENARIO_STAGE_H

#include "core/chaos/scenario/scenario.h"
#include "core/chaos/sim/sim_int.h"

/* Copies of messages that were caught, at most; then the oldest goes. */
#define STAGE_CAUGHT_MAX 64

/* A call that the member did not take. */
#define STAGE_NO_CALL SIZE_MAX

/* The keys that stage_write uses begin here; a script's own are below. */
#define STAGE_WRITE_KEY 32

struct stage_caught {
    struct buf bytes; /* owned: the message, encoded */
    node_id from;
    node_id to;
    enum raft_message_type type;
    nanos at;
};

struct stage {
    struct sim sim; /* first: the simulator's events name it */
    struct simcluster_events heard;
    struct {
        bool is_on;
        node_id from; /* NODE_NONE: anybody's */
        node_id to;   /* likewise */
        enum raft_message_type type;
    } catching;
    struct stage_caught caught[STAGE_CAUGHT_MAX]; /* a ring */
    uint64_t caught_count;                        /* since catching began */
    uint32_t write_key;
    uint64_t leaders_before; /* of stage_leaders_begin */
};

/* --- life ------------------------------------------------------------------------------------ */

/* Settings without chance: so many founders, default nodes with small snapshots, no clients. */
struct sim_settings stage_plain(uint32_t founders);

/* The hosts are there, and nothing runs. */
void stage_raise(struct stage *st, const struct sim_settings *settings);

/* The same; then the founders start, and one of them leads, and all follow it. */
void stage_found(struct stage *st, const struct sim_settings *settings);

/* The links are whole, everybody runs; the cluster must converge and serve every member (I16). The
 * end of every scenario; in the middle it may not come. */
void stage_heal(struct stage *st);

bool stage_is_over(const struct stage *st);

/* --- time and expectations ------------------------------------------------------------------- */

nanos stage_now(const struct stage *st);
void stage_pass(struct stage *st, nanos span);

/* One event; false: time has come to `until`, or it is over. */
bool stage_step(struct stage *st, nanos until);

/* A line of the timeline: what the script does, or means. */
void stage_say(struct stage *st, const char *text);

/* `text` says what should be true. */
void stage_expect(struct stage *st, bool is_so, const char *text);

/* Events happen, one by one, until the condition is true, which is within `bound`. */
#define STAGE_UNTIL(st, bound, is_so, text)                                                        \
    do {                                                                                           \
        nanos stage_until_ = stage_now(st) + (bound);                                              \
        while (!(is_so) && stage_step(st, stage_until_)) {                                         \
        }                                                                                          \
        stage_expect(st, is_so, text);                                                             \
    } while (0)

/* --- members --------------------------------------------------------------------------------- */

struct simmember *stage_member(struct stage *st, uint32_t i);

/* All zero where it does not serve. */
struct raft_status stage_status(const struct simmember *m);
bool stage_leads(const struct simmember *m);

/* 0 where it does not serve. */
raft_index stage_applied(const struct simmember *m);

/* Does it lead, and has committed an entry of its term? */
bool stage_leads_firmly(const struct simmember *m);

/* Has `voter` heard of the term in which `candidate` asks for votes? Its answer waits for its disk.
 */
bool stage_is_asked(const struct simmember *voter, const struct simmember *candidate);

/* Who leads, in the newest term; somebody must. */
struct simmember *stage_leader(struct stage *st);

/* The k-th of those that serve and do not lead; there must be one. */
struct simmember *stage_follower(struct stage *st, uint32_t k);

/* Until somebody, other than `but` (NULL: anybody), leads firmly. */
struct simmember *stage_await_leader(struct stage *st, const struct simmember *but, nanos bound);

/* Until `m` has applied everything that the leader has committed. */
void stage_await_caught_up(struct stage *st, const struct simmember *m, nanos bound);

/* Elections that were won since stage_leaders_begin. */
void stage_leaders_begin(struct stage *st);
uint64_t stage_leaders(const struct stage *st);

void stage_start(struct stage *st, struct simmember *m);
void stage_kill(struct stage *st, struct simmember *m);

/* Power is lost; what was not durable survives in `num` of 4 cases each. */
void stage_cut_power(struct stage *st, struct simmember *m, uint64_t num);

/* Its process stands still for so long. */
void stage_freeze(struct stage *st, struct simmember *m, nanos span);

/* Its log's disk completes nothing for so long. */
void stage_stall_disk(struct stage *st, struct simmember *m, nanos span);

/* Every operation of its disk, and every sync, takes so much longer; 0: no more. */
void stage_slow_disk(struct stage *st, struct simmember *m, nanos operation, nanos sync);

/* Its disk was, or is about to be, damaged: what its next life may lack (oracle.h). */
void stage_damaged(struct stage *st, struct simmember *m, enum oracle_lost lost);

/* It takes a snapshot, which ends beyond `index` within the bound. */
void stage_snapshot(struct stage *st, struct simmember *m, nanos bound);

/* Asks for a change of the members; whether it is refused. */
enum err stage_change(struct stage *st, struct simmember *at,
                      const struct raft_conf_change *change);
struct raft_conf_change stage_one_change(enum raft_conf_op op, const struct simmember *m);

enum err stage_transfer(struct stage *st, struct simmember *at, const struct simmember *to);
/* It leads firmly, by an operator's wish, which is repeated where it came to nothing. */
void stage_make_leader(struct stage *st, struct simmember *m, nanos bound);
enum err stage_campaign(struct stage *st, struct simmember *m);

/* --- links ----------------------------------------------------------------------------------- */

/* What the one sends does not reach the other; the acknowledgements of TCP pass. */
void stage_cut(struct stage *st, struct simmember *from, struct simmember *to, bool is_cut);

/* Do the two reach each other at all? */
void stage_link(struct stage *st, struct simmember *a, struct simmember *b, bool works);
void stage_isolate(struct stage *st, struct simmember *m, bool is_alone);
void stage_link_all(struct stage *st, bool work);

/* Its streams break, and what they carried is lost. */
void stage_lose_streams(struct stage *st, struct simmember *m);

/* Copies of such messages are kept from now on, also where the network loses them. NODE_NONE:
 * whoever. */
void stage_catch(struct stage *st, const struct simmember *from, const struct simmember *to,
                 enum raft_message_type type);
void stage_catch_end(struct stage *st);

/* The first that was caught between the two, for stage_deliver; it must be there. */
uint64_t stage_find_caught(struct stage *st, const struct simmember *from,
                           const struct simmember *to);

/* The n-th that was caught, from 0, arrives (once more) at whom it was sent to, as if the network
 * had kept it until now. */
void stage_deliver(struct stage *st, uint64_t n);

/* A message that a correct member may send in its state, made by the script, arrives: encoded and
 * decoded as from the network. stage_message fills in who, to whom, and the sender's term. */
struct raft_message stage_message(enum raft_message_type type, const struct simmember *from,
                                  const struct simmember *to);
void stage_forge(struct stage *st, const struct raft_message *message);

/* --- clients --------------------------------------------------------------------------------- */

/* A client asks member `m`; STAGE_NO_CALL: it does not take the request. */
size_t stage_ask(struct stage *st, struct simmember *m, enum simcall_kind kind, uint32_t key);
bool stage_is_pending(const struct stage *st, size_t call);
bool stage_is_ok(const struct stage *st, size_t call);

/* What a read that succeeded saw, or a write wrote. */
uint64_t stage_value(const struct stage *st, size_t call);

/* It succeeds within the bound; the value. */
uint64_t stage_put(struct stage *st, struct simmember *m, uint32_t key, nanos bound);
uint64_t stage_get(struct stage *st, struct simmember *m, uint32_t key, nanos bound);

/* So many writes at `m`, one after another. */
void stage_put_many(struct stage *st, struct simmember *m, uint32_t count);

/* Clients ask every member again and again, until one write has succeeded. */
void stage_write(struct stage *st, nanos bound);

/* The clients of the settings begin to work; they do so until the end. */
void stage_load(struct stage *st);

/* Writes of theirs that have succeeded so far. */
uint64_t stage_written(const struct stage *st);

#endif
