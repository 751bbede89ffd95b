/*
 * One Raft core with a scripted world around it: every other member is the test, which says what
 * arrives and looks at what left. Time is virtual and moves only where the test says so.
 *
 *     struct solo s;
 *     solo_start(&s, &cfg, &members);       node cfg.id, with an empty log behind entry 1
 *     solo_elect(&s);                       it leads: everybody else voted for it
 *     assert_int_equal(solo_propose(&s, 10), OK);
 *     solo_ack(&s, 2, solo_status(&s).last);
 *     solo_stop(&s);
 *
 * The disk, the state machine, loads and chunks answer at once, unless the test holds them. All
 * messages pass through the codec, raft_check runs after every step, and the world checks what
 * raft.h promises to a driver: batches continue the log, entries are applied in order, a message
 * of messages_durable leaves only behind its batch.
 */
#ifndef NOVACRON_TESTS_SUPPORT_RAFT_SOLO_H
#define NOVACRON_TESTS_SUPPORT_RAFT_SOLO_H

#include "core/base/buf.h"
#include "core/consensus/raft/raft.h"

#define SOLO_BATCHES_MAX 128
#define SOLO_KEPT_MAX    512

/* A message that left, kept until solo_forget. */
struct solo_message {
    struct raft_message m;
    struct raft_message_space space;
    struct buf bytes;
    nanos at;
};

/* An entry as the disk holds it. */
struct solo_entry {
    raft_term term;
    enum raft_entry_type type;
    struct buf payload;
};

/* A batch on its way to the disk. */
struct solo_batch {
    uint64_t seq;
    bool has_hard_state;
    struct raft_hard_state hard_state;
    raft_index last; /* of the log, as the driver wrote it */
    struct solo_message **messages;
    uint32_t message_count;
};

struct solo {
    struct raft *raft;
    struct raft_config cfg;
    nanos now;
    nanos deadline;

    bool hold_disk;   /* batches wait for solo_sync */
    bool hold_apply;  /* committed entries wait for solo_apply */
    bool hold_loads;  /* loads wait for solo_serve_loads */
    bool hold_chunks; /* chunk reads and writes are only noted */

    struct solo_message **sent; /* owned */
    size_t sent_count, sent_cap;
    struct solo_batch batch[SOLO_BATCHES_MAX];
    uint32_t batch_count;

    raft_index disk_base; /* the disk's log is (disk_base, disk_base + disk_len] */
    struct solo_entry *disk;
    size_t disk_len, disk_cap;
    struct raft_hard_state durable_hard_state;
    struct raft_snapshot founded;

    raft_index applying; /* handed out */
    uint64_t applied_bytes;
    uint32_t most_committed; /* entries in one update */
    struct raft_read_ready reads[SOLO_KEPT_MAX];
    uint32_t read_count;
    uint64_t lost[SOLO_KEPT_MAX];
    uint32_t lost_count;
    struct raft_load loads[SOLO_KEPT_MAX];
    uint32_t load_count;
    struct raft_chunk chunk_reads[SOLO_KEPT_MAX];
    uint32_t chunk_read_count;
    struct raft_chunk chunk_writes[SOLO_KEPT_MAX]; /* without the bytes */
    uint32_t chunk_write_count;
    uint32_t repairs;
    uint32_t installs;
    struct raft_snapshot installed;
    uint32_t alarms;
};

/* Members 1..n, all voters of the default priority. */
struct raft_membership solo_voters(uint32_t n);

/* A fresh node in a group that begins with entry 1 of term 1. */
void solo_start(struct solo *s, const struct raft_config *cfg, const struct raft_membership *ms);

/* The same with a saved state: `terms` are those of the `n` entries behind the snapshot. */
void solo_start_saved(struct solo *s, const struct raft_config *cfg, const struct raft_saved *saved,
                      const raft_term *terms, uint32_t n);
void solo_stop(struct solo *s);

/* What `solo_start` saves; to be changed and given to solo_start_saved. */
struct raft_saved solo_founding(const struct raft_membership *ms);

/* Stops the node and starts it again with what its disk holds; what is not durable is gone. */
void solo_restart(struct solo *s, uint64_t seed);

/* Steps an event at the present time, and carries out what came of it. */
enum err solo_step(struct solo *s, struct raft_event e);
enum err solo_event(struct solo *s, enum raft_event_type type, uint64_t argument);

/* A message to this node; `to` and, where it is 0, the term of the node are filled in. */
enum err solo_receive(struct solo *s, struct raft_message m);

/* Time passes; the node is ticked at its deadlines. */
void solo_wait(struct solo *s, nanos span);

enum err solo_propose(struct solo *s, size_t len);
enum err solo_read(struct solo *s, uint64_t id);
enum err solo_change(struct solo *s, enum raft_conf_op op, node_id node);

/* Makes it campaign, and grants every vote that it asks for. */
void solo_elect(struct solo *s);
/* `from` acknowledges everything up to `index`. */
void solo_ack(struct solo *s, node_id from, raft_index index);
/* Every voter acknowledges everything. */
void solo_ack_all(struct solo *s);
/* `from` answers the newest heartbeat that it was sent. */
void solo_pulse(struct solo *s, node_id from);
/* The same for everybody, every heartbeat interval, for `span`. */
void solo_wait_in_touch(struct solo *s, nanos span);

/* Completes the oldest `n` held batches, in one completion. */
void solo_sync(struct solo *s, uint32_t n);
void solo_apply(struct solo *s, raft_index index);
void solo_serve_loads(struct solo *s);

void solo_forget(struct solo *s);
/* Delivers what `from` has sent to `to`, in order, and forgets all that `from` has sent. Returns
 * how many messages of `type` were among them. */
uint32_t solo_relay(struct solo *from, struct solo *to, enum raft_message_type type);
/* The newest message of a type to a node (NODE_NONE: to anybody) that left since solo_forget, or
 * NULL. Valid until solo_forget. */
const struct raft_message *solo_sent(const struct solo *s, enum raft_message_type type, node_id to);
uint32_t solo_count(const struct solo *s, enum raft_message_type type, node_id to);

struct raft_status solo_status(const struct solo *s);
/* What a leader knows of a member. */
const struct raft_progress *solo_progress(const struct solo *s, node_id id);

#endif
