/*
 * swim: who is a member of the cluster, and who lives: membership by gossip, as a step function.
 *
 * Three protocols in one, chosen by the configuration's presets, so that they can be compared:
 * swim_config_plain is SWIM with suspicion [Das02]; swim_config_lifeguard adds all of Lifeguard
 * [Dadgar17]; swim_config_shipped replaces random probing by fixed observers on rings, as in Rapid
 * [Suresh18], who must agree before anybody is called dead. docs/membership.md is the guided tour.
 *
 * DRIVING. swim_step takes one event and fills an update. The driver then
 *   1. sends update.sends, in their order: datagrams, new streams, answers on streams;
 *   2. tells whoever watches of update.changes and update.reports;
 *   3. steps SWIM_EVENT_TIME at update.deadline, or soon after, unless another event came first.
 * Time never goes back. The update is the caller's, is cleared by each step, and keeps its memory,
 * so that a loop over one update does not allocate.
 *
 * STATES of a member, as seen by one host:
 *
 *     (unknown) --alive--> ALIVE --suspect--> SUSPECT --expired, quorum--> DEAD
 *                            ^                   |                           |
 *                            +----- refuted -----+                           |
 *                            +----- alive, of a higher incarnation ----------+
 *     ALIVE, SUSPECT, DEAD --left--> LEFT --alive, of a higher incarnation--> ALIVE
 *
 * Of two statements on a member the one of the higher incarnation holds; of one incarnation the
 * later state in this list. Only the member itself raises its incarnation, to contradict: its upper
 * 48 bits are the instance, the lower 16 count contradictions, so a restart is news at once. DEAD
 * and LEFT members are kept as tombstones, so that an old statement cannot revive them; the oldest
 * give way where the table is full. They are still asked from time to time, for ever, so that the
 * halves of a cluster find each other again however long they were apart.
 *
 * IDENTITY. A member is its `node_id`; an address is only where it is at present. Each start of it
 * is an instance. Where two instances claim one id, the younger one (the larger number) holds it,
 * and the other one is displaced: it falls silent, and says so.
 *
 * SECURITY. Every message travels in an envelope (seal.h). What does not open is dropped
 * unanswered. What does is decoded with all lengths bounded; nothing is ever decompressed.
 */
#ifndef NOVACRON_HEALTH_SWIM_H
#define NOVACRON_HEALTH_SWIM_H

#include "core/base/buf.h"
#include "core/base/prng.h"
#include "core/base/types.h"
#include "core/monitoring/health/seal.h"
#include "core/world/world.h"

/* The most members, tombstones included, that a table may be configured for. */
#define SWIM_MEMBERS_MAX 65536

/* The longest metadata of a member, and the longest site label, in bytes. */
#define SWIM_META_MAX_BYTES 256
#define SWIM_SITE_MAX_BYTES 8

/* The largest message on a stream: a full state. */
#define SWIM_STREAM_MAX_BYTES (4 * 1024 * 1024)

/* Most members whose independent word shortens a suspicion. */
#define SWIM_ACCUSERS_MAX 16

/* Most rings of observers; each gives a member two. */
#define SWIM_RINGS_MAX     8
#define SWIM_OBSERVERS_MAX (2 * SWIM_RINGS_MAX)

/* Up to this size, traffic is no matter, and detection is faster. */
#define SWIM_SMALL_CLUSTER 16

/* The longest interval that a beat may promise, in milliseconds. */
#define SWIM_PROMISE_MAX_MS 60000

/* Accusations that are told to the leader once more after the accused is gone: of a rack's hosts
 * one has observed several. */
#define SWIM_DEPARTED_MAX 64

/* The longest note to another member, and how many come out of one datagram at most. */
#define SWIM_NOTE_MAX_BYTES 64
#define SWIM_NOTES_MAX      4

/* Answers to one message's questions: pings and the like. A sender has no need of more. */
#define SWIM_ANSWERS_MAX 4

/* Most parts into which a table is cut for comparison. */
#define SWIM_BUCKETS_MAX 256

/* Indirect probes that are under way for others; further requests are dropped. */
#define SWIM_RELAYS_MAX 64

/* An incarnation: the instance above, contradictions below. */
#define SWIM_REFUTATION_BITS 16

static inline uint64_t swim_instance_of(uint64_t incarnation)
{
    return incarnation >> SWIM_REFUTATION_BITS;
}

/* The youngest instance that is believed. Nobody can push a member to where it could not rise
 * above what is claimed of it. */
#define SWIM_INSTANCE_MAX (SEAL_NUMBER_MAX - UINT64_C(0xFFFFFFFF))

/* The protocol's versions that this code speaks. */
#define SWIM_VERSION_MIN 1
#define SWIM_VERSION_MAX 1

struct swim_config {
    node_id self;
    uint64_t instance;        /* of this start: larger than any earlier one's (seal.h) */
    uint64_t seed;            /* of all randomness */
    struct world_endpoint at; /* where others reach us */
    struct seal_label label;  /* the cluster's: others are refused */
    char site[SWIM_SITE_MAX_BYTES];
    uint32_t members_max;

    /* SWIM. */
    nanos probe_interval;
    nanos probe_timeout;
    uint32_t indirect_probes; /* k */
    uint32_t suspicion_alpha; /* shortest suspicion: alpha * max(1, log10 N) * probe_interval */
    uint32_t suspicion_beta;  /* longest: beta times the shortest */
    uint32_t confirmations;   /* K: independent ones that bring it down to the shortest */
    nanos gossip_interval;
    uint32_t gossip_fanout;
    uint32_t retransmit_mult; /* each rumor: this * ceil(log10(N + 1)) times */
    nanos sync_interval;      /* of the full-state exchange, or of digests */
    nanos heal_interval;      /* one member that is dead is asked */
    bool stream_fallback;

    /* Lifeguard. */
    uint32_t awareness_max; /* the score stays below; 0 switches it off */
    bool scale_timeout;     /* by the score: the timeout too, not only the interval */
    bool nack;              /* helpers say that they tried */
    bool buddy;             /* a suspect hears of it with the next probe */

    /* Observers on rings (swim_watch.c); 0: none, and all of the above instead. A cluster of at
     * most SWIM_SMALL_CLUSTER has figures of its own. */
    uint32_t rings;
    nanos beat_spacing; /* a host sends a beat so often, to each of its neighbours in turn */
    nanos beat_spacing_small;
    nanos watch_margin;  /* what a beat may be late, besides its usual jitter */
    nanos check_timeout; /* what a silent member has to answer, once all its observers ask */
    nanos check_timeout_small;
    bool digest_sync; /* differences are found by digests, and only they are sent */
};

/* The presets. They fill in everything but self, instance, seed, at, label and site. */
void swim_config_plain(struct swim_config *config);
void swim_config_lifeguard(struct swim_config *config);
void swim_config_shipped(struct swim_config *config);

enum swim_state { SWIM_ALIVE, SWIM_SUSPECT, SWIM_DEAD, SWIM_LEFT, SWIM_STATES };

/* "alive", and so on. */
const char *swim_state_name(enum swim_state state);

struct swim_member {
    node_id id;
    uint64_t incarnation;
    nanos since; /* of this state, on our clock */
    struct seal_window window;
    uint8_t *meta; /* owned; NULL where there is none */
    char site[SWIM_SITE_MAX_BYTES];
    struct world_endpoint at;
    uint16_t meta_len;
    uint8_t state; /* enum swim_state */
    uint8_t version;
    bool by_stream; /* it says that datagrams hardly reach it */
    uint8_t flaps;  /* how often it was called dead and lived; swim_flaps lets it fade */
    uint16_t place; /* of its suspicion, plus one; 0: none */
};

enum swim_change_kind {
    SWIM_JOINED,    /* was unknown, dead or gone */
    SWIM_SUSPECTED, /* is suspected by somebody */
    SWIM_REFUTED,   /* is alive after all */
    SWIM_DIED,      /* is called dead */
    SWIM_WENT,      /* has left in good order */
    SWIM_RESTARTED, /* another instance of it is alive */
    SWIM_UPDATED,   /* has another address or other metadata */
    SWIM_DISPLACED, /* `id` is ourselves: a younger instance claims our id; we are silent now */
    SWIM_BY_STREAM, /* a neighbour is reached by streams alone: datagrams are blocked between us */
    SWIM_BY_DATAGRAM, /* datagrams get through again */
    SWIM_CHANGES
};

/* "joined", and so on. */
const char *swim_change_name(enum swim_change_kind kind);

struct swim_change {
    enum swim_change_kind kind;
    node_id id;
    node_id by;      /* SUSPECTED, DIED: who said so */
    bool originated; /* SUSPECTED, DIED: we found it ourselves, by our own timers */
    uint64_t incarnation;
};

/* What an observer holds of the member that it observes: for cut.h, at the leader. */
struct swim_report {
    node_id observer;
    node_id subject;
    uint64_t incarnation; /* of the subject */
    bool down;            /* false: taken back */
    nanos age;            /* since it was last so */
    uint32_t n_observers; /* of the subject, as the leader sees the rings */
    node_id observers[SWIM_OBSERVERS_MAX];
};

/* What another member sent to whatever stands on this membership. Borrowed until the next step. */
struct swim_note {
    node_id from;
    struct bytes bytes;
};

enum swim_send_how {
    SWIM_SEND_DATAGRAM,
    SWIM_SEND_STREAM, /* on a stream to `at`, new or kept; hand back what comes back on it */
    SWIM_SEND_REPLY   /* on the stream that the event named */
};

struct swim_send {
    enum swim_send_how how;
    node_id to; /* NODE_NONE: not known; whoever is at `at` */
    struct world_endpoint at;
    uint64_t stream; /* REPLY */
    bool asks;       /* STREAM: something is to come back, if the other side lives */
    size_t offset;   /* into update.bytes */
    size_t len;
};

struct swim_update {
    struct buf bytes;
    struct swim_send *sends;
    size_t n_sends;
    size_t sends_cap;
    struct swim_change *changes;
    size_t n_changes;
    size_t changes_cap;
    struct swim_report *reports;
    size_t n_reports;
    size_t reports_cap;
    node_id
        heard; /* the member whose message came, and was new and authentic; NODE_NONE: nobody's */
    struct swim_note notes[SWIM_NOTES_MAX];
    size_t n_notes;
    nanos deadline;
};

void swim_update_init(struct swim_update *update);
void swim_update_deinit(struct swim_update *update);

enum swim_event_kind {
    SWIM_EVENT_TIME,
    SWIM_EVENT_DATAGRAM, /* bytes, at: where it came from */
    SWIM_EVENT_STREAM, /* bytes: one whole message; stream: to answer on, or 0 if it is an answer */
    SWIM_EVENT_JOIN,   /* at: of somebody who may be a member */
    SWIM_EVENT_LEAVE,  /* say good-bye; swim_has_left tells when that is done */
    SWIM_EVENT_META,   /* bytes: our new metadata, at most SWIM_META_MAX_BYTES */
    SWIM_EVENT_LEADER, /* id: whom we report to; NODE_NONE: nobody */
    SWIM_EVENT_WOKE,   /* we were stalled or suspended, and judge nobody on what we missed */
    SWIM_EVENT_NOTE    /* bytes, at most SWIM_NOTE_MAX_BYTES, for the member `id`, if it lives */
};

struct swim_event {
    enum swim_event_kind kind;
    nanos now;
    node_id id;
    uint64_t stream;
    struct world_endpoint at;
    struct bytes bytes; /* borrowed for the step */
};

/* Why what came was dropped, and what was sent: for metrics. */
enum swim_counter {
    SWIM_SENT_DATAGRAMS,
    SWIM_SENT_BYTES, /* datagrams */
    SWIM_SENT_STREAMS,
    SWIM_SENT_STREAM_BYTES,
    SWIM_RECEIVED,
    SWIM_REFUSED_FORMAT,
    SWIM_REFUSED_LABEL,
    SWIM_REFUSED_KEY,
    SWIM_REFUSED_REPLAY,
    SWIM_REFUSED_VERSION,
    SWIM_REFUSED_STRANGER, /* from nobody that is a member */
    SWIM_REFUSED_FULL,     /* a member too many */
    SWIM_PROBES,
    SWIM_PROBES_FAILED,
    SWIM_REFUTATIONS,
    SWIM_COUNTERS
};

/* --- State, transparent so that a simulator can look, and nobody else's to change ---------------
 */

struct swim_suspicion {
    uint32_t member;
    uint32_t n_accusers;
    nanos began;
    nanos deadline; /* NANOS_FOREVER: only the accusers' number decides */
    node_id accusers[SWIM_ACCUSERS_MAX];
    nanos said_at[SWIM_ACCUSERS_MAX]; /* with observers: when each said so last */
};

struct swim_rumor {
    uint32_t member;
    uint16_t transmits;
    uint8_t is_about_self;
    node_id by;
    uint64_t sequence;
};

struct swim_relay {
    uint32_t sequence; /* of our own probe */
    uint32_t asked;    /* sequence of the one who asked */
    node_id asker;
    nanos nack_at; /* NANOS_FOREVER: none is wanted, or it is sent */
    nanos deadline;
};

struct swim_probe {
    uint32_t sequence; /* 0: none is under way */
    node_id target;
    nanos ask_helpers_at; /* NANOS_FOREVER: done */
    nanos deadline;
    uint32_t nacks_expected;
    uint32_t nacks;
    bool acked;
};

enum swim_edge_stage { SWIM_EDGE_QUIET, SWIM_EDGE_ASKING, SWIM_EDGE_CHECKING, SWIM_EDGE_ACCUSING };

/* One who observes us, and whom we observe: swim_watch.c. */
struct swim_edge {
    node_id peer;
    nanos heard_at;
    nanos answered_at; /* a ping of ours */
    nanos due;         /* silent if nothing came by then */
    nanos beat_at;
    nanos beat_sent_at;
    nanos theirs_at; /* when its last beat came */
    nanos bad_at;
    nanos report_at;
    uint32_t beat;       /* number of our last beat */
    uint32_t theirs;     /* number of its last beat */
    uint32_t promise_ms; /* when it will send the next one */
    uint32_t jitter_us;
    uint32_t history; /* bit i: its beat `theirs - i` came, as a datagram */
    uint32_t beats_heard;
    uint32_t lag_asked; /* the beat for whose echo we asked already */
    uint8_t received;   /* how many of our last sixteen it had */
    bool is_down;       /* reported to the leader */
    /* Where datagrams do not get through: swim_stream.c. */
    nanos stream_until;    /* streams carry what goes to it, too; 0: no */
    nanos wanted_until;    /* so long for reasons of our own, and not because it asked for it */
    bool stream_answered;  /* our last check, and no datagram did */
    uint32_t streamed;     /* beats in a row that came by stream, and not as datagrams */
    uint32_t told_blocked; /* beats in a row that say the same of ours */
    bool is_stream_only;   /* told as SWIM_BY_STREAM */

    enum swim_edge_stage stage;
    bool only_answer_counts; /* it does not help that it is heard: it must hear us */
    bool was_told;           /* to look, by another observer */
    bool is_waiting;         /* for fellows who have not answered */
    uint32_t pings;          /* of this check */
    uint32_t answer_pings;   /* that it took for the answers of fellows, together */
    uint32_t answers;        /* of theirs, in all: one that was stalled answers every ping */
    uint32_t sequence;
    nanos ping_at;
    nanos deadline;
    uint32_t n_fellows;
    uint32_t fellows_heard; /* bit i: fellows[i] answered */
    node_id fellows[SWIM_OBSERVERS_MAX];
};

/* An accusation of ours whose edge is gone with the accused: the leader may not have heard of it.
 */
struct swim_departed {
    node_id subject; /* NODE_NONE: free */
    uint64_t incarnation;
    nanos bad_at;
    nanos report_at;
    nanos until;
};

struct swim {
    struct swim_config config;
    struct seal_cipher cipher; /* borrows its `self` */
    struct seal_ring ring;
    struct seal_sender sender;
    struct prng prng;
    nanos now;

    struct swim_member *members; /* owned; [0] is ourselves */
    uint32_t n_members;
    uint32_t members_cap;
    uint32_t n_live;  /* alive or suspect, ourselves included */
    uint32_t *slots;  /* owned: open addressing by id, index plus one */
    uint32_t n_slots; /* a power of two */
    uint32_t *order;  /* owned: in which members are probed */
    uint32_t order_n;
    uint32_t order_at;

    struct swim_suspicion *suspicions; /* owned */
    size_t n_suspicions;
    size_t suspicions_cap;
    struct swim_rumor *rumors; /* owned */
    size_t n_rumors;
    size_t rumors_cap;
    uint64_t rumor_sequence;
    struct swim_probe probe;
    struct swim_relay relays[SWIM_RELAYS_MAX];
    uint32_t n_relays;
    uint32_t sequence;
    uint32_t awareness;
    node_id leader;
    struct swim_edge edges[SWIM_OBSERVERS_MAX];
    uint32_t n_edges;
    struct swim_departed departed[SWIM_DEPARTED_MAX];
    uint32_t departed_next; /* the place that is taken next */
    nanos changed_at;       /* when the table changed last */
    nanos rings_at;         /* when they are drawn anew; NANOS_FOREVER: they are right */
    nanos due;              /* the deadline of the last update */
    nanos woke_at;          /* after a pause of our own; 0: never */

    nanos probe_at;
    nanos gossip_at;
    nanos sync_at;
    nanos joining_until;
    nanos heal_at;
    nanos leave_at; /* when good-bye has been said often enough */
    bool is_leaving;
    bool has_left;
    bool is_displaced;
    uint32_t lonely_joins;   /* while nobody was known */
    uint64_t displaced_by;   /* the incarnation that claims our id */
    nanos displaced_told_at; /* when an earlier instance of somebody was told last */
    bool was_accused;        /* in the message at hand */

    uint8_t *scratch; /* owned: for what is opened */
    size_t scratch_cap;
    struct buf text; /* the message under construction */
    uint64_t counters[SWIM_COUNTERS];
};

/* The ring of keys has at least one. Allocates; swim_deinit frees. The first event may come at any
 * time; `now` is the time of the start. */
void swim_init(struct swim *s, const struct swim_config *config, const struct seal_cipher *cipher,
               const struct seal_ring *ring, nanos now);
void swim_deinit(struct swim *s);

void swim_step(struct swim *s, const struct swim_event *event, struct swim_update *update);

/* Takes a member for known and alive, as if it had joined long ago: for tests and simulations that
 * begin with a whole cluster. */
void swim_assume(struct swim *s, node_id id, uint64_t instance, const struct world_endpoint *at);

/* Replaces the keys: the first one seals from now on. */
void swim_set_keys(struct swim *s, const struct seal_ring *ring);

/* NULL: unknown. Valid until the next step. */
const struct swim_member *swim_find(const struct swim *s, node_id id);

/* NULL: no neighbour of ours. Likewise. */
static inline const struct swim_edge *swim_edge_of(const struct swim *s, node_id peer)
{
    for (uint32_t i = 0; i < s->n_edges; i++) {
        if (s->edges[i].peer == peer) {
            return &s->edges[i];
        }
    }
    return NULL;
}

/* All that is known, in no particular order, tombstones included: `swim_count` members. */
static inline uint32_t swim_count(const struct swim *s)
{
    return s->n_members;
}

/* Alive or suspect, ourselves included. */
static inline uint32_t swim_live_count(const struct swim *s)
{
    return s->n_live;
}

/* How a member is reached at present. */
enum swim_reach { SWIM_REACH_UNKNOWN, SWIM_REACH_DATAGRAMS, SWIM_REACH_STREAMS };

/* UNKNOWN: it is no neighbour, or was not heard yet, and says nothing of it itself. */
enum swim_reach swim_reach(const struct swim *s, node_id id);

/* "datagrams", "streams", and "" for what is not known. */
const char *swim_reach_name(enum swim_reach reach);

static inline bool swim_has_left(const struct swim *s)
{
    return s->has_left;
}

/* CHECKs what must hold between steps. */
void swim_check(const struct swim *s);

#endif
