/*
 * swim_int: what the files of swim share. swim.h has the state; here are the functions, by file.
 * An index into s->members is a `uint32_t at`; the member at 0 is ourselves.
 */
#ifndef NOVACRON_HEALTH_SWIM_INT_H
#define NOVACRON_HEALTH_SWIM_INT_H

#include "core/monitoring/health/swim.h"
#include "core/monitoring/health/swim_wire.h"

#define SWIM_NOBODY UINT32_MAX

/* So many beats in a row that came by stream, and not as datagrams: then those are blocked, for all
 * that is done about it; at a loss of 30 % it happens by chance once in 1400 beats that go both
 * ways. So many more, and it is said aloud: once in two million. */
#define SWIM_BLOCKED_BEATS      6
#define SWIM_BLOCKED_SURE_BEATS 12

/* --- swim_table.c: who is known ----------------------------------------------------------------
 */

uint32_t swim_index(const struct swim *s, node_id id);

/* SWIM_NOBODY: full of members that are no tombstones. The new one is a tombstone of incarnation 0,
 * for the caller to fill. */
uint32_t swim_table_add(struct swim *s, node_id id);

/* Keeps the count of the living. */
void swim_table_set_state(struct swim *s, uint32_t at, enum swim_state state);

static inline bool swim_is_live(const struct swim_member *m)
{
    return m->state == SWIM_ALIVE || m->state == SWIM_SUSPECT;
}

/* Up to `n` different living members, neither ourselves nor `except`, at random. */
uint32_t swim_pick(struct swim *s, uint32_t n, uint32_t except, uint32_t *ret);

/* The next one to be probed, or SWIM_NOBODY. */
uint32_t swim_next_in_order(struct swim *s);

/* --- swim_state.c: what is said of members -----------------------------------------------------
 */

/* A statement of ours that goes before all others, and before `above`: it is told on. */
void swim_incarnation_raise(struct swim *s, uint64_t above);

void swim_hear_member(struct swim *s, const struct swim_message *m, struct swim_update *u);
void swim_hear_suspect(struct swim *s, node_id id, uint64_t incarnation, node_id by,
                       struct swim_update *u);
void swim_hear_dead(struct swim *s, node_id id, uint64_t incarnation, node_id by,
                    struct swim_update *u);
void swim_expire_suspicions(struct swim *s, struct swim_update *u);
/* The tally of accusations against a living member, which is suspect from now on; NULL: no room. */
struct swim_suspicion *swim_accused(struct swim *s, uint32_t at, node_id by, struct swim_update *u);

/* How often a member was called dead of late, and lived: one fades each minute. */
uint32_t swim_flaps(const struct swim *s, uint32_t at);

/* No accusation is left. */
void swim_acquit(struct swim *s, uint32_t at, struct swim_update *u);
void swim_drop_suspicion(struct swim *s, uint32_t at);
nanos swim_suspicions_due(const struct swim *s);
void swim_describe(const struct swim *s, uint32_t at, struct swim_message *ret);
void swim_change_push(struct swim_update *u, enum swim_change_kind kind,
                      const struct swim_member *m, node_id by, bool originated);

/* --- swim_gossip.c: rumors ---------------------------------------------------------------------
 */

/* What is now known of a member shall be told on; it replaces what was to be told before. */
void swim_rumor_put(struct swim *s, uint32_t at, node_id by);
void swim_rumor_drop(struct swim *s, uint32_t at);

/* Adds rumors to the text under construction, up to `max` bytes of it. */
void swim_rumors_fill(struct swim *s, size_t max);

/* Tells them to some at random, when it is time. */
void swim_gossip_tick(struct swim *s, struct swim_update *u);

uint32_t swim_transmit_limit(const struct swim *s);

/* --- swim_send.c: messages out -----------------------------------------------------------------
 */

void swim_text_begin(struct swim *s);
void swim_text_put(struct swim *s, const struct swim_message *m);

/* Fills up with rumors and sends to a member. */
void swim_text_send(struct swim *s, uint32_t to, struct swim_update *u);

/* As it is: to an address, on a new stream, on a stream that waits. */
void swim_text_send_bare(struct swim *s, enum swim_send_how how, node_id to,
                         const struct world_endpoint *at, uint64_t stream, struct swim_update *u);

/* --- swim_probe.c: SWIM's probes ---------------------------------------------------------------
 */

void swim_probe_tick(struct swim *s, struct swim_update *u);
nanos swim_probe_due(const struct swim *s);
void swim_hear_ping(struct swim *s, node_id from, const struct world_endpoint *at, uint64_t stream,
                    const struct swim_message *m, struct swim_update *u);
void swim_hear_ping_req(struct swim *s, uint32_t from, const struct swim_message *m,
                        struct swim_update *u);
void swim_hear_ack(struct swim *s, uint32_t from, bool by_stream, const struct swim_message *m,
                   struct swim_update *u);
void swim_hear_nack(struct swim *s, const struct swim_message *m);
void swim_awareness_add(struct swim *s, int32_t delta);
uint32_t swim_next_sequence(struct swim *s);

/* --- swim_sync.c: whole states, joining, healing -----------------------------------------------
 */

void swim_sync_tick(struct swim *s, struct swim_update *u);
void swim_send_state(struct swim *s, enum swim_send_how how, node_id to,
                     const struct world_endpoint *at, uint64_t stream, uint8_t flags,
                     struct swim_update *u);

/* Who we are, and what is held against it, to a member that is not heard by the usual ways: as a
 * datagram, or on the stream that waits for an answer. */
void swim_send_greeting(struct swim *s, uint32_t to, uint64_t stream, struct swim_update *u);

/* --- swim_digest.c: what rumors did not carry --------------------------------------------------
 */

/* Introduces us to whoever is at an address, and asks what it knows. */
void swim_join_send(struct swim *s, const struct world_endpoint *at, struct swim_update *u);
void swim_digest_send(struct swim *s, uint32_t to, struct swim_update *u);
void swim_hear_sync(struct swim *s, uint32_t from, const struct swim_message *m,
                    struct swim_update *u);
void swim_hear_buckets(struct swim *s, uint32_t from, const struct swim_message *m,
                       struct swim_update *u);

/* --- swim_ring.c: who observes whom ------------------------------------------------------------
 */

/* The living neighbours of `id`; how many. */
uint32_t swim_neighbours(const struct swim *s, node_id id, node_id ret[SWIM_OBSERVERS_MAX]);

/* --- swim_tally.c: accusations and reports -------------------------------------------------------
 */

/* How often an edge that is bad is reported to the leader. */
#define SWIM_REPORT_INTERVAL (2 * NANOS_PER_S)

/* The observers of `subject` that are alive, without ourselves. */
uint32_t swim_fellows(const struct swim *s, node_id subject, node_id ret[SWIM_OBSERVERS_MAX]);

/* One message, without rumors: these go to the same few, who would use up what all others should
 * hear. By stream too, where that is how a member is reached. */
void swim_tell(struct swim *s, node_id id, const struct swim_message *m, struct swim_update *u);

/* An accusation is taken back, is made. The latter may be the one that condemns. */
void swim_tally_drop(struct swim *s, uint32_t at, node_id by, struct swim_update *u);
void swim_tally_add(struct swim *s, uint32_t at, node_id by, struct swim_update *u);
void swim_tallies_tick(struct swim *s, struct swim_update *u);
/* When one must be said again at the latest; NANOS_FOREVER: there is none. */
nanos swim_tallies_due(const struct swim *s);

/* Ours, to all fellow observers and to the leader. */
void swim_accuse(struct swim *s, struct swim_edge *edge, bool takes_back, struct swim_update *u);

/* To the leader, which may be we; one that has come to us, as the leader. */
void swim_report(struct swim *s, const struct swim_message *m, struct swim_update *u);
void swim_report_push(struct swim *s, node_id observer, const struct swim_message *m,
                      struct swim_update *u);

/* To the leader, where that may be said at once: it answers, and is not down. */
void swim_take_back(struct swim *s, struct swim_edge *edge, struct swim_update *u);

/* --- swim_check.c: what is done about a neighbour in doubt ---------------------------------------
 */

nanos swim_check_span(const struct swim *s, const struct swim_edge *edge);
nanos swim_check_until(const struct swim *s, const struct swim_edge *edge, nanos span);

/* It is asked, as it is silent, or (`by_echo`) as it does not hear us. */
void swim_check_ask(struct swim *s, struct swim_edge *edge, bool by_echo, struct swim_update *u);

/* All observers ask. The first one tells the others to look; each that was told asks a few others
 * whether they hear it, to know what its own word is worth. */
void swim_check_begin(struct swim *s, struct swim_edge *edge, bool was_told, struct swim_update *u);

/* A fellow has answered. */
void swim_check_backed(struct swim *s, struct swim_edge *edge, struct swim_update *u);

/* It lives. */
void swim_check_end(struct swim *s, struct swim_edge *edge, struct swim_update *u);
void swim_check_tick(struct swim *s, struct swim_edge *edge, struct swim_update *u);

/* --- swim_watch.c: observers -------------------------------------------------------------------
 */

void swim_rings_changed(struct swim *s);

/* Do most beats of its last sixteen get lost, here or there? */
bool swim_edge_is_lossy(const struct swim_edge *edge);

/* Where few watch, one who only stood still must not be held against anybody for long: the leader
 * hears at once that an accusation is over. Of many, one who answers now and then is told by how
 * long it was well. */
static inline bool swim_takes_back_at_once(const struct swim *s)
{
    return s->n_live <= SWIM_SMALL_CLUSTER;
}
void swim_watch_tick(struct swim *s, struct swim_update *u);
nanos swim_watch_due(const struct swim *s);
void swim_watch_wake(struct swim *s, struct swim_update *u);

/* Somebody else leads, and hears at once what the leader before was told. */
void swim_watch_led(struct swim *s, node_id leader);

/* A member that is dead was asked once more. */
void swim_watch_dead(struct swim *s, uint32_t at, struct swim_update *u);

/* Something came from a member. */
void swim_watch_heard(struct swim *s, uint32_t from, struct swim_update *u);

/* True: the answer was to one of our checks. */
bool swim_watch_ack(struct swim *s, uint32_t from, uint32_t sequence, bool by_stream,
                    struct swim_update *u);
struct swim_edge *swim_edge_find(struct swim *s, node_id peer);
nanos swim_beat_interval(const struct swim *s);

/* When its next beat must have come, if it comes `promised` from now at the latest. */
nanos swim_edge_due(const struct swim *s, const struct swim_edge *edge, nanos promised);

/* Of the last sixteen beats, as a history has them: how many came. */
static inline uint32_t swim_popcount16(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits & 0xFFFFU);
}

void swim_hear_beat(struct swim *s, uint32_t from, bool by_stream, const struct swim_message *m,
                    struct swim_update *u);
void swim_hear_look(struct swim *s, uint32_t from, const struct swim_message *m,
                    struct swim_update *u);
void swim_hear_accuse(struct swim *s, uint32_t from, const struct swim_message *m,
                      struct swim_update *u);
void swim_hear_report(struct swim *s, uint32_t from, const struct swim_message *m,
                      struct swim_update *u);

/* --- swim_stream.c: neighbours whom datagrams do not reach ---------------------------------------
 */

/* Does what goes to this member go by stream as well? */
bool swim_streams_to(struct swim *s, node_id id);

/* The text under construction, once more, by stream. */
void swim_text_stream(struct swim *s, uint32_t to, bool asks, struct swim_update *u);

/* What goes to a neighbour goes by stream as well from now on: for reasons of ours, or because it
 * wants that. */
void swim_edge_stream_on(struct swim *s, struct swim_edge *edge, bool is_ours);

/* A beat of a neighbour came, `ahead` of the last one, or the other copy of that (0). */
void swim_edge_note_beat(struct swim_edge *edge, uint32_t ahead, bool by_stream);

/* What a beat says of it. */
uint8_t swim_edge_flags(const struct swim *s, const struct swim_edge *edge);

/* A beat is about to go: does it go by stream too? Says so where that has changed. */
bool swim_edge_streams(struct swim *s, struct swim_edge *edge, struct swim_update *u);

/* Are most of our neighbours reached by streams alone? Then all others are told to use them, too.
 */
void swim_reach_tick(struct swim *s);

/* Nobody was reached by the datagrams of several joins: this one goes by stream, too. */
bool swim_joins_by_stream(struct swim *s);

/* --- swim_scale.c: what depends on the cluster's size ------------------------------------------
 */

/* A thousand times the decimal logarithm; n > 0. */
uint32_t swim_log10_milli(uint32_t n);
uint32_t swim_ceil_log10(uint32_t n);

/* How long a suspicion lasts with `confirmations` so far: [Dadgar17 §IV.B]. */
nanos swim_suspicion_span(const struct swim_config *config, uint32_t live, uint32_t confirmations);
nanos swim_sync_span(const struct swim_config *config, uint32_t live);

#endif
