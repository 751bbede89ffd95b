/*
 * Three cores and a liar. The bytes are a program: which node is stepped, with what event, when its
 * updates are taken and its disk, state machine and snapshots answer; which message under way is
 * delivered, repeated or lost; and what node 4, a member that may say anything well-formed, sends.
 *
 * After every step raft_check holds on the node that was stepped, and memory stays under its bound.
 * Whether the three still agree is not asked: a member that lies may break that, and must not be
 * able to break the node that listens.
 *
 * The bytes run out: the input ends. Each operation is one byte and then its operands, each one
 * byte; numbers that matter are small, or near the log's ends, or huge.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"

#define FUZZ_NODES    3
#define FUZZ_LIAR     4
#define FUZZ_QUEUE    64
#define FUZZ_OPS_MAX  4000
#define FUZZ_PENDING  32
#define FUZZ_CACHED   (1 << 16)
#define FUZZ_SNAPSHOT 900

/* Requests of an update that the world has not answered yet. */
struct fuzz_node {
    struct raft *raft;
    uint64_t seq;      /* the newest batch */
    uint64_t told_seq; /* reported durable */
    raft_index applying;
    struct raft_load loads[FUZZ_PENDING];
    uint32_t load_count;
    struct raft_chunk reads[FUZZ_PENDING];
    uint32_t read_count;
    struct raft_chunk writes[FUZZ_PENDING];
    uint32_t write_count;
    struct raft_entry *borrowed; /* entries that the core applies from */
};

struct fuzz_world {
    const uint8_t *bytes;
    size_t left;
    nanos now;
    struct fuzz_node node[FUZZ_NODES];
    struct buf queue[FUZZ_QUEUE]; /* a ring of messages under way */
    uint32_t head;
    struct raft_message_space space;
    uint64_t reads;
};

static uint8_t fuzz_byte(struct fuzz_world *w)
{
    if (w->left == 0) {
        return 0;
    }
    w->left--;
    return *w->bytes++;
}

/* A number that means something to this node: near 0, near a mark of its log, or huge. */
static uint64_t fuzz_number(struct fuzz_world *w, const struct raft *r)
{
    uint8_t b = fuzz_byte(w);
    const uint64_t marks[8] = {0,       r->log.snapshot_index, r->log.committed,  r->log.last,
                               r->term, r->log.applied,        r->snapshot.index, UINT64_MAX - 7};
    return marks[b >> 5] + (b & 7) - (b & 8 ? 4 : 0);
}

static raft_term fuzz_term(struct fuzz_world *w, const struct raft *r)
{
    uint8_t b = fuzz_byte(w);
    return b >= 250 ? fuzz_number(w, r) : r->term + (b & 3) - (b & 4 ? 2 : 0);
}

static struct fuzz_node *fuzz_pick(struct fuzz_world *w)
{
    return &w->node[fuzz_byte(w) % FUZZ_NODES];
}

static void fuzz_step(struct fuzz_world *w, struct fuzz_node *n, struct raft_event e)
{
    e.now = w->now;
    enum err ignored = raft_step(n->raft, &e);
    (void)ignored;
    raft_check(n->raft);
    /* Without validation nothing bounds the changes that are under way. */
    CHECK(!n->raft->cfg.validate_changes || n->raft->log.cached_bytes <= 2 * FUZZ_CACHED);
}

static void fuzz_send(struct fuzz_world *w, const struct raft_message *m)
{
    struct buf *b = &w->queue[w->head++ % FUZZ_QUEUE]; /* the oldest is lost */
    buf_clear(b);
    raft_message_encode(m, b);
}

/* --- the world's part ------------------------------------------------------------------------ */

static void fuzz_take(struct fuzz_world *w, struct fuzz_node *n)
{
    struct raft_update u;
    raft_take_update(n->raft, &u);
    n->seq = u64_max(n->seq, u.persist_seq);
    for (uint32_t i = 0; i < u.message_count; i++) {
        fuzz_send(w, &u.messages[i]);
    }
    struct raft_message own[3]; /* the newest of each type to itself */
    memset(own, 0, sizeof(own));
    for (uint32_t i = 0; i < u.message_durable_count; i++) {
        const struct raft_message *m = &u.messages_durable[i];
        if (m->to != n->raft->cfg.id) {
            fuzz_send(w, m);
            continue;
        }
        own[m->type == RAFT_MSG_APP_RESP ? 0 : m->type == RAFT_MSG_VOTE_RESP ? 1 : 2] = *m;
    }
    n->applying += u.committed_count;
    if (u.install) {
        n->applying = u64_max(n->applying, u.install->index);
    }
    for (uint32_t i = 0; i < u.load_count && n->load_count < FUZZ_PENDING; i++) {
        n->loads[n->load_count++] = u.loads[i];
    }
    for (uint32_t i = 0; i < u.chunk_read_count && n->read_count < FUZZ_PENDING; i++) {
        n->reads[n->read_count++] = u.chunk_reads[i];
    }
    for (uint32_t i = 0; i < u.chunk_write_count && n->write_count < FUZZ_PENDING; i++) {
        n->writes[n->write_count++] = u.chunk_writes[i];
    }
    for (int i = 0; i < 3; i++) {
        if (own[i].to != NODE_NONE) {
            fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &own[i]});
        }
    }
}

static void fuzz_load(struct fuzz_world *w, struct fuzz_node *n)
{
    if (n->load_count == 0) {
        return;
    }
    struct raft_load load = n->loads[--n->load_count];
    bool own = load.peer == n->raft->cfg.id && load.repair == 0;
    uint32_t limit = fuzz_byte(w) % 8;
    uint32_t count = 0;
    struct raft_entry *entries = mem_realloc_array(NULL, 8, sizeof(*entries));
    for (raft_index i = load.first; i <= load.last && count < limit; i++) {
        raft_term term = raft_log_term(&n->raft->log, i);
        if (i <= n->raft->log.snapshot_index || term == 0) {
            break;
        }
        entries[count++] = (struct raft_entry){
            .index = i, .term = term, .payload = {(const uint8_t *)"loaded", 6}};
    }
    struct raft_event e = {.type = RAFT_EVENT_LOADED};
    e.loaded.peer = load.peer;
    e.loaded.first = load.first;
    e.loaded.entries = entries;
    e.loaded.n = count;
    e.loaded.repair = load.repair;
    fuzz_step(w, n, e);
    if (own) {
        mem_free(n->borrowed);
        n->borrowed = entries;
        if (n->raft->apply_loaded_count == 0) {
            return;
        }
        fuzz_take(w, n);
        fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = n->applying});
        return;
    }
    mem_free(entries);
}

static void fuzz_chunk(struct fuzz_world *w, struct fuzz_node *n)
{
    static const uint8_t body[FUZZ_SNAPSHOT];
    uint8_t how = fuzz_byte(w);
    if ((how & 1) && n->read_count > 0) {
        struct raft_chunk c = n->reads[--n->read_count];
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_READ};
        e.chunk.peer = c.peer;
        e.chunk.snapshot = c.snapshot;
        e.chunk.offset = c.offset;
        e.chunk.data = (struct bytes){body, u64_min(c.len, sizeof(body))};
        e.chunk.error = how & 2 ? ERR_IO : OK;
        fuzz_step(w, n, e);
    } else if (n->write_count > 0) {
        struct raft_chunk c = n->writes[0];
        n->write_count--;
        memmove(n->writes, n->writes + 1, n->write_count * sizeof(c));
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_WRITTEN};
        e.chunk.snapshot = c.snapshot;
        e.chunk.offset = c.len == 0 && (how & 4) ? c.size / 2 : c.offset + c.len;
        e.chunk.error = how & 2 ? ERR_NO_SPACE : OK;
        fuzz_step(w, n, e);
    }
}

/* --- the liar's part ------------------------------------------------------------------------- */

/* Entries as the codec lets them through: in a row, with terms that do not fall. */
static void fuzz_fill_entries(struct fuzz_world *w, struct raft_message *m,
                              struct raft_entry *entries, uint32_t max, struct buf *payload)
{
    bool placed = m->type != RAFT_MSG_PROP;
    uint8_t shape = fuzz_byte(w);
    size_t len = fuzz_byte(w) % 40;
    for (size_t i = 0; i < len; i++) {
        buf_put_u8(payload, fuzz_byte(w));
    }
    raft_term term = m->type == RAFT_MSG_APP ? m->log_term : 0;
    if (placed && (term > m->term || m->index > UINT64_MAX - max - 2)) {
        return;
    }
    m->entry_count = fuzz_byte(w) % (max + 1);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        uint8_t b = fuzz_byte(w);
        term = b & 64 ? m->term : u64_min(m->term, term + (b & 3));
        entries[i] =
            (struct raft_entry){.index = m->index + i + (m->type == RAFT_MSG_APP),
                                .term = term,
                                .type = (enum raft_entry_type)((shape >> 2) % RAFT_ENTRY_TYPES),
                                .payload = buf_view(payload)};
        if (!placed) {
            entries[i].index = 0;
            entries[i].term = 0;
        }
    }
    m->entries = entries;
}

static void fuzz_fill_snapshot(struct fuzz_world *w, const struct raft *r, struct raft_snapshot *s)
{
    uint8_t shape = fuzz_byte(w);
    *s = r->snapshot;
    if (shape & 1) {
        s->index = fuzz_number(w, r);
        s->term = fuzz_number(w, r);
    }
    if (shape & 2) {
        s->size = shape & 4 ? UINT64_MAX : fuzz_byte(w) * 9;
        s->digest = fuzz_byte(w);
    }
    if (shape & 8) {
        memset(&s->membership, 0, sizeof(s->membership));
        for (uint32_t i = 0; i < 5; i++) {
            uint8_t roles = fuzz_byte(w);
            if (roles != 0) {
                struct raft_member *m = raft_membership_insert(&s->membership, i + 1, roles & 0x7f);
                m->priority = roles;
            }
        }
        s->membership.auto_leave = shape & 16;
        s->membership.in_sync_since = shape & 32 ? s->index : 0;
        if (!raft_membership_valid(&s->membership)) {
            s->membership = r->membership; /* the decoder refuses it */
        }
    }
}

/* Well-formed, and without sense. What a type does not carry on the wire the codec leaves out. */
static void fuzz_lie(struct fuzz_world *w)
{
    struct fuzz_node *n = fuzz_pick(w);
    const struct raft *r = n->raft;
    struct raft_entry entries[6];
    struct raft_snapshot snapshot;
    struct buf payload;
    buf_init(&payload);
    uint8_t who = fuzz_byte(w);
    struct raft_message m = {.type = (enum raft_message_type)(fuzz_byte(w) % RAFT_MSG_TYPES)};
    m.to = r->cfg.id;
    m.from = 1 + (m.to - 1 + 1 + who % 4) % 5; /* any member but the node itself, or a stranger */
    m.term = fuzz_term(w, r);
    m.index = fuzz_number(w, r);
    m.log_term = who & 8 ? raft_log_term(&r->log, m.index) : fuzz_number(w, r);
    m.commit = fuzz_number(w, r);
    m.hint = fuzz_number(w, r);
    m.context = who & 16 ? r->repair.nonce : fuzz_byte(w);
    m.sent_at = who & 32 ? UINT64_MAX : r->now - fuzz_byte(w);
    m.source = fuzz_byte(w) % 6;
    m.offset = who & 64 ? UINT64_MAX : (uint64_t)fuzz_byte(w) * 100;
    uint8_t flags = fuzz_byte(w);
    m.reject = flags & 1;
    m.transfer = flags & 2;
    m.lost_log = flags & 4;
    m.lost_vote = flags & 8;
    if (flags & 16) {
        m.term = 0;
    }
    if (m.type == RAFT_MSG_APP || m.type == RAFT_MSG_PROP || m.type == RAFT_MSG_REPAIR_RESP) {
        fuzz_fill_entries(w, &m, entries, COUNT_OF(entries), &payload);
    }
    if (m.type == RAFT_MSG_SNAP || m.type == RAFT_MSG_SNAP_FETCH || m.type == RAFT_MSG_SNAP_CHUNK) {
        fuzz_fill_snapshot(w, r, &snapshot);
        m.snapshot = &snapshot;
    }
    if (m.type == RAFT_MSG_SNAP_CHUNK) {
        static const uint8_t body[FUZZ_SNAPSHOT];
        m.chunk = (struct bytes){body, (size_t)flags};
    }
    fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
    buf_deinit(&payload);
}

/* --- operations ------------------------------------------------------------------------------ */

static void fuzz_deliver(struct fuzz_world *w)
{
    uint8_t which = fuzz_byte(w);
    struct buf *b = &w->queue[(w->head - 1 - which % FUZZ_QUEUE) % FUZZ_QUEUE];
    struct raft_message m;
    if (b->len == 0 || raft_message_decode(buf_view(b), &w->space, &m) != OK || m.to < 1 ||
        m.to > FUZZ_NODES) {
        return;
    }
    fuzz_step(w, &w->node[m.to - 1],
              (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
    if (which < 128) {
        buf_clear(b); /* else it will come again */
    }
}

static void fuzz_propose(struct fuzz_world *w, struct fuzz_node *n)
{
    static const uint8_t bytes[2048];
    struct bytes payloads[4];
    struct raft_event e = {.type = RAFT_EVENT_PROPOSE};
    e.propose.n = 1 + fuzz_byte(w) % 4;
    for (uint32_t i = 0; i < e.propose.n; i++) {
        payloads[i] = (struct bytes){bytes, (size_t)fuzz_byte(w) * 8};
    }
    e.propose.payloads = payloads;
    fuzz_step(w, n, e);
}

static void fuzz_change(struct fuzz_world *w, struct fuzz_node *n)
{
    struct raft_conf_change change = {.n = fuzz_byte(w) % 4};
    change.transition = (enum raft_transition)(fuzz_byte(w) % RAFT_TRANSITIONS);
    for (uint32_t i = 0; i < change.n; i++) {
        uint8_t b = fuzz_byte(w);
        change.single[i] = (struct raft_conf_single){.op = (enum raft_conf_op)(b % RAFT_CONF_OPS),
                                                     .node = 1 + (b >> 4) % 6,
                                                     .priority = (uint8_t)(b >> 1),
                                                     .auto_promote = (b & 8) != 0};
    }
    fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change});
}

static void fuzz_snapshot(struct fuzz_world *w, struct fuzz_node *n)
{
    struct raft *r = n->raft;
    if (r->log.applied <= r->log.snapshot_index || r->installing) {
        return;
    }
    struct raft_snapshot s = {.index = r->log.applied, .membership = r->membership};
    s.term = raft_log_term(&r->log, s.index);
    s.size = fuzz_byte(w) % 2 ? FUZZ_SNAPSHOT : 0;
    s.digest = s.index;
    fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &s});
    raft_index to = raft_compactable(r, fuzz_byte(w) % 4);
    fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_COMPACT, .index = to});
}

static void fuzz_simple_event(struct fuzz_world *w, struct fuzz_node *n)
{
    static const enum raft_event_type types[] = {
        RAFT_EVENT_CAMPAIGN,     RAFT_EVENT_TRANSFER,       RAFT_EVENT_FORGET_LEADER,
        RAFT_EVENT_UNREACHABLE,  RAFT_EVENT_STREAM_RESET,   RAFT_EVENT_SNAPSHOT_FAILED,
        RAFT_EVENT_SUSPENDED,    RAFT_EVENT_DISK,           RAFT_EVENT_DAMAGED,
        RAFT_EVENT_READ,         RAFT_EVENT_RECOVER_QUORUM, RAFT_EVENT_CAMPAIGN,
        RAFT_EVENT_STREAM_RESET, RAFT_EVENT_CAMPAIGN};
    uint8_t b = fuzz_byte(w);
    struct raft_event e = {.type = types[b % COUNT_OF(types)]};
    uint8_t operand = fuzz_byte(w);
    if (e.type == RAFT_EVENT_READ) {
        e.read.id = ++w->reads;
    } else if (e.type == RAFT_EVENT_DISK) {
        e.stalled = operand * 20 * NANOS_PER_MS;
    } else if (e.type == RAFT_EVENT_DAMAGED) {
        e.damaged.first = u64_sub_sat(n->raft->log.last, operand % 16);
        e.damaged.last = e.damaged.first + operand / 16;
    } else if (e.type == RAFT_EVENT_RECOVER_QUORUM) {
        e.recover.consent = operand == 1 ? RAFT_RECOVER_CONSENT : 0;
    } else {
        e.node = operand % 6;
    }
    fuzz_step(w, n, e);
}

static void fuzz_operation(struct fuzz_world *w)
{
    uint8_t op = fuzz_byte(w) % 16;
    if (op <= 3) {
        fuzz_deliver(w);
        return;
    }
    if (op == 4) {
        fuzz_lie(w);
        return;
    }
    struct fuzz_node *n = fuzz_pick(w);
    if (op <= 6) {
        fuzz_take(w, n);
    } else if (op == 7) {
        n->told_seq = n->seq - (fuzz_byte(w) % 4) * (n->seq - n->told_seq) / 4;
        fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = n->told_seq});
    } else if (op == 8) {
        raft_index back = fuzz_byte(w) % 4;
        fuzz_step(w, n,
                  (struct raft_event){.type = RAFT_EVENT_APPLIED,
                                      .index = u64_sub_sat(n->applying, back)});
    } else if (op == 9) {
        fuzz_propose(w, n);
    } else if (op == 10) {
        fuzz_change(w, n);
    } else if (op == 11) {
        w->now += (nanos)fuzz_byte(w) * 10 * NANOS_PER_MS;
        fuzz_step(w, n, (struct raft_event){.type = RAFT_EVENT_TICK});
    } else if (op == 12) {
        fuzz_snapshot(w, n);
    } else if (op == 13) {
        fuzz_load(w, n);
    } else if (op == 14) {
        fuzz_chunk(w, n);
    } else {
        fuzz_simple_event(w, n);
    }
}

static void fuzz_boot(struct fuzz_world *w)
{
    uint8_t shape = fuzz_byte(w);
    struct raft_membership ms = {0};
    for (node_id id = 1; id <= FUZZ_NODES; id++) {
        bool witness = (shape & 1) && id == FUZZ_NODES;
        raft_membership_insert(&ms, id, RAFT_VOTER | (witness ? RAFT_WITNESS : 0))->priority =
            (uint8_t)(100 + (shape & 2) * id);
    }
    raft_membership_insert(&ms, FUZZ_LIAR, shape & 4 ? RAFT_VOTER : RAFT_LEARNER);
    for (node_id id = 1; id <= FUZZ_NODES; id++) {
        struct raft_config cfg = raft_config_default(id, shape + id);
        cfg.lease_reads = shape & 8;
        cfg.pre_vote = !(shape & 16);
        cfg.validate_changes = !(shape & 32);
        cfg.strict_changes = !(shape & 64);
        cfg.max_append_bytes = 1000;
        cfg.max_inflight_messages = 3;
        cfg.max_inflight_bytes = 2000;
        cfg.max_cached_bytes = FUZZ_CACHED;
        cfg.max_uncommitted_bytes = FUZZ_CACHED / 2;
        cfg.max_applying_bytes = 2000;
        cfg.chunk_bytes = 200;
        cfg.max_reads = 4;
        cfg.removal = (enum raft_removal)(shape % 3);
        struct raft_saved saved = {.snapshot = {.index = 1, .term = 1, .membership = ms},
                                   .applied = 1};
        saved.lost_vote = (shape & 128) && id == 1;
        saved.lost_from = (shape & 128) && id == 1 ? 2 : 0;
        struct fuzz_node *n = &w->node[id - 1];
        n->raft = raft_new(&cfg, &saved, w->now);
        CHECK(raft_load_done(n->raft) == OK);
        n->applying = 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct fuzz_world *w = mem_alloc_zero(sizeof(*w));
    w->bytes = bytes;
    w->left = n;
    w->now = NANOS_PER_S;
    for (uint32_t i = 0; i < FUZZ_QUEUE; i++) {
        buf_init(&w->queue[i]);
    }
    fuzz_boot(w);
    for (int i = 0; i < FUZZ_OPS_MAX && w->left > 0; i++) {
        fuzz_operation(w);
    }
    for (uint32_t i = 0; i < FUZZ_NODES; i++) {
        raft_free(w->node[i].raft);
        mem_free(w->node[i].borrowed);
    }
    for (uint32_t i = 0; i < FUZZ_QUEUE; i++) {
        buf_deinit(&w->queue[i]);
    }
    raft_message_space_deinit(&w->space);
    mem_free(w);
    return 0;
}
