#include "tests/support/raft_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"

#define CLUSTER_RUN_EVENTS_MAX 20000000

struct cluster_node *cluster_node(struct cluster *c, node_id id)
{
    CHECK(id >= 1 && id <= CLUSTER_NODES_MAX);
    return &c->node[id - 1];
}

nanos cluster_clock(const struct cluster *c, const struct cluster_node *node)
{
    int64_t drift = (int64_t)(c->now / 1000000) * node->clock_ppm;
    return (nanos)((int64_t)c->now + drift) + node->clock_offset;
}

/* When, by the world's clock, a node's clock will show `at`. */
static nanos cluster_world_time(const struct cluster *c, const struct cluster_node *node, nanos at)
{
    nanos clock = cluster_clock(c, node);
    if (at <= clock) {
        return c->now;
    }
    nanos left = u64_min(at - clock, 3600 * NANOS_PER_S);
    /* A little late rather than early: the node would be asked in vain. */
    return c->now + left + left / 500 + 1;
}

/* --- entries --------------------------------------------------------------------------------- */

static struct cluster_entry entry_copy(const struct raft_entry *e)
{
    struct cluster_entry copy = {.term = e->term, .type = e->type, .len = e->payload.len};
    copy.payload = mem_alloc(e->payload.len);
    if (e->payload.len > 0) {
        memcpy(copy.payload, e->payload.data, e->payload.len);
    }
    return copy;
}

static void entries_free(struct cluster_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(entries[i].payload);
    }
}

static struct raft_entry entry_view(const struct cluster_entry *e, raft_index index)
{
    return (struct raft_entry){.index = index,
                               .term = e->term,
                               .type = e->type,
                               .payload = {e->len > 0 ? e->payload : NULL, e->len}};
}

static bool entry_equal(const struct cluster_entry *a, const struct raft_entry *b)
{
    return a->term == b->term && a->type == b->type && a->len == b->payload.len &&
           (a->len == 0 || memcmp(a->payload, b->payload.data, a->len) == 0);
}

/* --- the disk -------------------------------------------------------------------------------- */

static void disk_truncate(struct cluster_disk *d, raft_index from)
{
    size_t keep = (size_t)(from - d->snapshot.index - 1);
    while (d->len > keep) {
        mem_free(d->log[--d->len].payload);
    }
}

static void disk_append(struct cluster_disk *d, struct cluster_entry e)
{
    mem_grow((void **)&d->log, &d->cap, d->len + 1, sizeof(d->log[0]));
    d->log[d->len++] = e;
}

static void disk_drop_head(struct cluster_disk *d, raft_index to)
{
    if (to <= d->snapshot.index) {
        return;
    }
    size_t n = (size_t)u64_min(to - d->snapshot.index, d->len);
    entries_free(d->log, n);
    memmove(d->log, d->log + n, (d->len - n) * sizeof(d->log[0]));
    d->len -= n;
}

static void disk_install(struct cluster_disk *d, const struct cluster_write *w)
{
    if (w->install_keeps_log) {
        disk_drop_head(d, w->snapshot.index);
    } else {
        disk_truncate(d, d->snapshot.index + 1);
    }
    d->snapshot = w->snapshot;
}

/* What a write does to the disk once it is durable. */
static void disk_perform(struct cluster_disk *d, struct cluster_write *w)
{
    if (w->install) {
        disk_install(d, w);
    }
    if (w->has_hard_state) {
        d->hard_state = w->hard_state;
    }
    for (uint32_t i = 0; i < w->n; i++) {
        raft_index index = w->first + i;
        if (index <= d->snapshot.index) {
            mem_free(w->entries[i].payload);
            continue;
        }
        CHECK(index <= d->snapshot.index + d->len + 1);
        if (index <= d->snapshot.index + d->len) {
            disk_truncate(d, index);
        }
        disk_append(d, w->entries[i]);
    }
    w->n = 0;
    for (uint32_t i = 0; i < w->repair_count; i++) {
        raft_index index = w->repair_index[i];
        bool here = index > d->snapshot.index && index <= d->snapshot.index + d->len;
        struct cluster_entry *e = here ? &d->log[index - d->snapshot.index - 1] : NULL;
        if (e && e->term == w->repairs[i].term) {
            mem_free(e->payload);
            *e = w->repairs[i];
        } else {
            mem_free(w->repairs[i].payload);
        }
    }
    w->repair_count = 0;
}

static void write_free(struct cluster_write *w)
{
    entries_free(w->entries, w->n);
    entries_free(w->repairs, w->repair_count);
    for (uint32_t i = 0; i < w->message_count; i++) {
        buf_deinit(&w->messages[i]);
    }
    mem_free(w->entries);
    mem_free(w->repairs);
    mem_free(w->repair_index);
    mem_free(w->messages);
    mem_free(w);
}

/* --- the network ----------------------------------------------------------------------------- */

static bool queue_before(const struct cluster_message *a, const struct cluster_message *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void queue_push(struct cluster *c, struct cluster_message m)
{
    mem_grow((void **)&c->queue, &c->queue_cap, c->queue_len + 1, sizeof(c->queue[0]));
    size_t i = c->queue_len++;
    while (i > 0 && queue_before(&m, &c->queue[(i - 1) / 2])) {
        c->queue[i] = c->queue[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->queue[i] = m;
}

static struct cluster_message queue_pop(struct cluster *c)
{
    struct cluster_message top = c->queue[0];
    struct cluster_message last = c->queue[--c->queue_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= c->queue_len) {
            break;
        }
        if (child + 1 < c->queue_len && queue_before(&c->queue[child + 1], &c->queue[child])) {
            child++;
        }
        if (!queue_before(&c->queue[child], &last)) {
            break;
        }
        c->queue[i] = c->queue[child];
        i = child;
    }
    if (c->queue_len > 0) {
        c->queue[i] = last;
    }
    return top;
}

static void network_put(struct cluster *c, node_id from, node_id to, struct bytes b)
{
    nanos delay = prng_range(&c->prng, c->faults.latency_min, c->faults.latency_max);
    if (prng_chance(&c->prng, c->faults.late, 1000)) {
        delay += prng_below(&c->prng, 10 * NANOS_PER_S);
    }
    struct cluster_message m = {.at = c->now + delay, .order = c->order++, .from = from, .to = to};
    buf_init(&m.bytes);
    buf_put(&m.bytes, b.data, b.len);
    queue_push(c, m);
}

static void network_send(struct cluster *c, node_id from, node_id to, struct bytes b)
{
    if (to < 1 || to > CLUSTER_NODES_MAX || prng_chance(&c->prng, c->faults.loss, 1000)) {
        return;
    }
    network_put(c, from, to, b);
    if (prng_chance(&c->prng, c->faults.duplicate, 1000)) {
        network_put(c, from, to, b);
    }
}

/* --- the oracle ------------------------------------------------------------------------------ */

raft_index cluster_committed(const struct cluster *c)
{
    return c->truth_len;
}

static void oracle_applied(struct cluster *c, struct cluster_node *node, const struct raft_entry *e)
{
    const struct raft_member *own = raft_membership_lookup(&node->membership, node->id);
    node->witness = node->witness || (own && (own->roles & RAFT_WITNESS));
    bool witness = node->witness;
    if (e->index <= c->truth_len) {
        const struct cluster_entry *t = &c->truth[e->index - 1];
        CHECK(t->term == e->term && t->type == e->type); /* State Machine Safety */
        if (t->damaged && !witness) {                    /* only its head was known so far */
            raft_term known_in = t->known_in;
            mem_free(t->payload);
            c->truth[e->index - 1] = entry_copy(e);
            c->truth[e->index - 1].known_in = known_in;
        } else if (!witness || e->type != RAFT_ENTRY_NORMAL) {
            CHECK(entry_equal(t, e));
        }
        return;
    }
    CHECK(e->index == c->truth_len + 1);
    mem_grow((void **)&c->truth, &c->truth_cap, c->truth_len + 1, sizeof(c->truth[0]));
    c->truth[c->truth_len] = entry_copy(e);
    c->truth[c->truth_len].damaged = witness && e->type == RAFT_ENTRY_NORMAL;
    c->truth[c->truth_len].known_in = raft_status(node->raft).term;
    c->truth_len++;
}

/* A node that became leader has every entry that anybody committed. */
static void oracle_led(struct cluster *c, struct cluster_node *node)
{
    struct raft_status s = raft_status(node->raft);
    if (s.role != RAFT_LEADER || node->led_term == s.term) {
        return;
    }
    node->led_term = s.term;
    c->elections++;
    if (s.term >= c->leader_cap) {
        size_t cap = (size_t)s.term * 2 + 16;
        if (cap < ((size_t)1 << 24)) {
            c->leader_of = mem_realloc_array(c->leader_of, cap, sizeof(node_id));
            memset(c->leader_of + c->leader_cap, 0, (cap - c->leader_cap) * sizeof(node_id));
            c->leader_cap = cap;
        }
    }
    if (s.term < c->leader_cap) {
        CHECK(c->leader_of[s.term] == NODE_NONE || c->leader_of[s.term] == node->id);
        c->leader_of[s.term] = node->id; /* Election Safety */
    }
    const struct raft_log *log = &node->raft->log;
    /* Leader Completeness: of what was committed before its term began. A candidate of an old term
     * may still win it, late, and knows nothing of what newer terms committed. */
    for (raft_index i = 1; i <= c->truth_len && c->truth[i - 1].known_in < s.term; i++) {
        CHECK(i <= log->last);
        CHECK(i < raft_log_first(log) || raft_log_term(log, i) == c->truth[i - 1].term);
    }
}

static void oracle_voted(struct cluster *c, const struct raft_message *m)
{
    if (m->type != RAFT_MSG_VOTE_RESP || m->reject) {
        return;
    }
    for (size_t i = 0; i < c->vote_count; i++) {
        struct cluster_vote *v = &c->votes[i];
        if (v->voter == m->from && v->term == m->term) {
            CHECK(v->candidate == m->to);
            return;
        }
    }
    mem_grow((void **)&c->votes, &c->vote_cap, c->vote_count + 1, sizeof(c->votes[0]));
    c->votes[c->vote_count++] = (struct cluster_vote){m->from, m->term, m->to};
    if (c->vote_count > 400) {
        memmove(c->votes, c->votes + 200, 200 * sizeof(c->votes[0]));
        c->vote_count -= 200;
    }
}

/* --- driving one node ------------------------------------------------------------------------ */

static void node_drive(struct cluster *c, struct cluster_node *node);

static void trace_message(const struct raft_message *m)
{
    fprintf(stderr, " %s %" PRIu64 "->%" PRIu64 " t%" PRIu64 " %" PRIu64 "/%" PRIu64 " c%" PRIu64,
            raft_message_name(m->type), m->from, m->to, m->term, m->log_term, m->index, m->commit);
    fprintf(stderr, " n%u h%" PRIu64 "%s", m->entry_count, m->hint, m->reject ? " reject" : "");
}

static void trace_step(const struct cluster *c, const struct cluster_node *node,
                       const struct raft_event *e, enum err result)
{
    static const char *const names[RAFT_EVENT_TYPES] = {
        [RAFT_EVENT_MESSAGE] = "message",   [RAFT_EVENT_PROPOSE] = "propose",
        [RAFT_EVENT_CHANGE] = "change",     [RAFT_EVENT_READ] = "read",
        [RAFT_EVENT_DURABLE] = "durable",   [RAFT_EVENT_APPLIED] = "applied",
        [RAFT_EVENT_TRANSFER] = "transfer", [RAFT_EVENT_COMPACT] = "compact"};
    const struct raft *r = node->raft;
    fprintf(stderr, "%10.3f n%" PRIu64 " %-8s", (double)c->now / 1e6, node->id,
            names[e->type] ? names[e->type] : "event");
    if (e->type == RAFT_EVENT_MESSAGE) {
        trace_message(e->message);
    }
    fprintf(stderr,
            " => %s %s t%" PRIu64 " v%" PRIu64 " l%" PRIu64 " log %" PRIu64 "..%" PRIu64
            " d%" PRIu64 " c%" PRIu64 " a%" PRIu64 "%s%s\n",
            err_name(result), raft_role_name(r->role), r->term, r->vote, r->leader,
            r->log.snapshot_index, r->log.last, r->log.durable, r->log.committed, r->log.applied,
            raft_is_impaired(r) ? " impaired" : "", r->installing ? " installing" : "");
    if (e->type == RAFT_EVENT_APPLIED || e->type == RAFT_EVENT_CHANGE) {
        for (uint32_t i = 0; i < r->membership.n; i++) {
            const struct raft_member *m = &r->membership.member[i];
            fprintf(stderr, "%s%" PRIu64 ":%x", i == 0 ? "           members " : " ", m->id,
                    m->roles);
        }
        fprintf(stderr, "\n");
    }
}

enum err cluster_step(struct cluster *c, node_id id, const struct raft_event *e)
{
    struct cluster_node *node = cluster_node(c, id);
    CHECK(node->up);
    struct raft_event copy = *e;
    copy.now = u64_max(cluster_clock(c, node), node->raft->now);
    enum err result = raft_step(node->raft, &copy);
    if (c->trace) {
        trace_step(c, node, &copy, result);
    }
    if (!raft_status(node->raft).impaired) {
        node->disk.lost_vote = false;
        node->disk.lost_from = 0;
    }
    raft_check(node->raft);
    oracle_led(c, node);
    c->events++;
    return result;
}

static void node_tell(struct cluster *c, struct cluster_node *node, const struct raft_event *e)
{
    enum err ignored = cluster_step(c, node->id, e);
    (void)ignored;
}

static struct cluster_write *write_of(struct cluster *c, const struct raft_update *u)
{
    struct cluster_write *w = mem_alloc_zero(sizeof(*w));
    w->seq = u->persist_seq;
    w->done = c->now + prng_range(&c->prng, c->faults.disk_min, c->faults.disk_max);
    w->has_hard_state = u->has_hard_state;
    w->hard_state = u->hard_state;
    if (u->install) {
        w->install = true;
        w->install_keeps_log = u->install_keeps_log;
        w->snapshot = *u->install;
    }
    w->n = u->entry_count;
    w->entries = mem_realloc_array(NULL, u->entry_count + 1, sizeof(w->entries[0]));
    for (uint32_t i = 0; i < u->entry_count; i++) {
        w->entries[i] = entry_copy(&u->entries[i]);
    }
    w->first = u->entry_count > 0 ? u->entries[0].index : 0;
    w->repair_count = u->repair_count;
    w->repairs = mem_realloc_array(NULL, u->repair_count + 1, sizeof(w->repairs[0]));
    w->repair_index = mem_realloc_array(NULL, u->repair_count + 1, sizeof(raft_index));
    for (uint32_t i = 0; i < u->repair_count; i++) {
        w->repairs[i] = entry_copy(&u->repairs[i]);
        w->repair_index[i] = u->repairs[i].index;
    }
    w->message_count = u->message_durable_count;
    w->messages = mem_realloc_array(NULL, w->message_count + 1, sizeof(struct buf));
    for (uint32_t i = 0; i < w->message_count; i++) {
        buf_init(&w->messages[i]);
        raft_message_encode(&u->messages_durable[i], &w->messages[i]);
    }
    return w;
}

static void node_persist(struct cluster *c, struct cluster_node *node, const struct raft_update *u)
{
    if (u->persist_seq == 0) {
        return;
    }
    if (u->install) {
        c->snapshots_installed++;
        node->applied = u->install->index;
        node->membership = u->install->membership;
    }
    c->repairs += u->repair_count;
    struct cluster_write *w = write_of(c, u);
    struct cluster_write **end = &node->writes;
    while (*end) {
        w->done = u64_max(w->done, (*end)->done); /* in order */
        end = &(*end)->next;
    }
    *end = w;
}

static void node_apply(struct cluster *c, struct cluster_node *node, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->committed_count; i++) {
        const struct raft_entry *e = &u->committed[i];
        CHECK(e->index == node->applied + 1);
        oracle_applied(c, node, e);
        node->applied = e->index;
    }
    if (u->committed_count > 0) {
        struct raft_event e = {.type = RAFT_EVENT_APPLIED, .index = node->applied};
        node_tell(c, node, &e);
        node->membership = *raft_status(node->raft).membership;
    }
}

static void node_answer_reads(struct cluster *c, struct cluster_node *node,
                              const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->read_count; i++) {
        struct cluster_read **at = &node->reads;
        while (*at && (*at)->id != u->reads[i].id) {
            at = &(*at)->next;
        }
        if (!*at) {
            continue; /* a duplicated answer */
        }
        struct cluster_read *read = *at;
        CHECK(u->reads[i].index >= read->floor); /* Linearizable reads */
        *at = read->next;
        mem_free(read);
        node->reads_done++;
        c->reads++;
    }
}

/* Old entries, read back from the disk. */
static void node_load(struct cluster *c, struct cluster_node *node, const struct raft_load *load,
                      struct raft_entry **ret, uint32_t *ret_n)
{
    const struct cluster_disk *d = &node->disk;
    uint32_t n = 0;
    uint64_t bytes = 0;
    struct raft_entry *out = mem_realloc_array(NULL, 4096, sizeof(*out));
    for (raft_index i = load->first; i <= load->last && n < 4096; i++) {
        if (i <= d->snapshot.index || i > d->snapshot.index + d->len) {
            break;
        }
        const struct cluster_entry *e = &d->log[i - d->snapshot.index - 1];
        bytes += e->len;
        if (e->damaged || (n > 0 && bytes > load->max_bytes)) {
            break;
        }
        out[n++] = entry_view(e, i);
    }
    (void)c;
    *ret = out;
    *ret_n = n;
}

static void node_serve_loads(struct cluster *c, struct cluster_node *node,
                             const struct raft_load *loads, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct raft_entry *entries;
        uint32_t count;
        node_load(c, node, &loads[i], &entries, &count);
        struct raft_event e = {.type = RAFT_EVENT_LOADED};
        e.loaded.peer = loads[i].peer;
        e.loaded.first = loads[i].first;
        e.loaded.entries = entries;
        e.loaded.n = count;
        e.loaded.repair = loads[i].repair;
        node_tell(c, node, &e);
        if (loads[i].peer == node->id && loads[i].repair == 0) {
            /* They must live until they are applied. */
            struct raft_update u;
            raft_take_update(node->raft, &u);
            node_persist(c, node, &u);
            for (uint32_t k = 0; k < u.message_count; k++) {
                struct buf b;
                buf_init(&b);
                raft_message_encode(&u.messages[k], &b);
                network_send(c, node->id, u.messages[k].to, buf_view(&b));
                buf_deinit(&b);
            }
            node_answer_reads(c, node, &u);
            node->deadline = u.deadline;
            CHECK(u.load_count == 0 && u.chunk_read_count == 0 && u.chunk_write_count == 0);
            node_apply(c, node, &u);
        }
        mem_free(entries);
    }
}

static void node_serve_chunks(struct cluster *c, struct cluster_node *node,
                              const struct raft_chunk *reads, uint32_t read_count,
                              const struct raft_chunk *writes, uint32_t write_count)
{
    for (uint32_t i = 0; i < read_count; i++) {
        uint8_t *data = mem_alloc(reads[i].len);
        for (uint64_t k = 0; k < reads[i].len; k++) {
            data[k] = (uint8_t)((reads[i].offset + k) * 7 + reads[i].snapshot);
        }
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_READ};
        e.chunk.peer = reads[i].peer;
        e.chunk.snapshot = reads[i].snapshot;
        e.chunk.offset = reads[i].offset;
        e.chunk.data = (struct bytes){data, reads[i].len};
        node_tell(c, node, &e);
        mem_free(data);
    }
    for (uint32_t i = 0; i < write_count; i++) {
        struct cluster_disk *d = &node->disk;
        bool same = d->partial.index == writes[i].snapshot && d->partial.digest == writes[i].digest;
        if (writes[i].len == 0) {
            d->partial_bytes = same ? d->partial_bytes : 0;
            d->partial.index = writes[i].snapshot;
            d->partial.digest = writes[i].digest;
        } else if (same && writes[i].offset == d->partial_bytes) {
            for (uint64_t k = 0; k < writes[i].len; k++) {
                CHECK(writes[i].data.data[k] ==
                      (uint8_t)((writes[i].offset + k) * 7 + writes[i].snapshot));
            }
            d->partial_bytes += writes[i].len;
        }
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_WRITTEN};
        e.chunk.snapshot = writes[i].snapshot;
        e.chunk.offset = d->partial_bytes;
        node_tell(c, node, &e);
    }
}

/* Takes one update and carries it out; asynchronous parts go on their way. */
static void node_take(struct cluster *c, struct cluster_node *node)
{
    struct raft_update u;
    raft_take_update(node->raft, &u);
    node->deadline = u.deadline;
    node_persist(c, node, &u);
    for (uint32_t i = 0; i < u.message_count; i++) {
        struct buf b;
        buf_init(&b);
        raft_message_encode(&u.messages[i], &b);
        network_send(c, node->id, u.messages[i].to, buf_view(&b));
        buf_deinit(&b);
    }
    node_answer_reads(c, node, &u);
    /* What follows steps the core again, which ends the life of what the update points to. */
    struct raft_load *loads = mem_realloc_array(NULL, u.load_count + 1, sizeof(*loads));
    struct raft_chunk *reads = mem_realloc_array(NULL, u.chunk_read_count + 1, sizeof(*reads));
    struct raft_chunk *writes = mem_realloc_array(NULL, u.chunk_write_count + 1, sizeof(*writes));
    memcpy(loads, u.loads ? u.loads : loads, u.load_count * sizeof(*loads));
    memcpy(reads, u.chunk_reads ? u.chunk_reads : reads, u.chunk_read_count * sizeof(*reads));
    for (uint32_t i = 0; i < u.chunk_write_count; i++) {
        writes[i] = u.chunk_writes[i];
        uint8_t *copy = mem_alloc(writes[i].data.len);
        memcpy(copy, writes[i].data.len > 0 ? writes[i].data.data : copy, writes[i].data.len);
        writes[i].data.data = copy;
    }
    node_apply(c, node, &u);
    uint32_t load_count = u.load_count;
    uint32_t read_count = u.chunk_read_count;
    uint32_t write_count = u.chunk_write_count;
    node_serve_loads(c, node, loads, load_count);
    node_serve_chunks(c, node, reads, read_count, writes, write_count);
    for (uint32_t i = 0; i < write_count; i++) {
        mem_free((void *)(uintptr_t)writes[i].data.data);
    }
    mem_free(loads);
    mem_free(reads);
    mem_free(writes);
}

static void node_drive(struct cluster *c, struct cluster_node *node)
{
    for (int i = 0; node->up && raft_has_update(node->raft); i++) {
        CHECK(i < 100000);
        node_take(c, node);
    }
}

static void node_finish_write(struct cluster *c, struct cluster_node *node)
{
    struct cluster_write *w = node->writes;
    node->writes = w->next;
    disk_perform(&node->disk, w);
    struct raft_message_space space = {0};
    for (uint32_t i = 0; i < w->message_count; i++) {
        struct raft_message m;
        CHECK(raft_message_decode(buf_view(&w->messages[i]), &space, &m) == OK);
        oracle_voted(c, &m);
        if (m.to != node->id) {
            network_send(c, node->id, m.to, buf_view(&w->messages[i]));
            continue;
        }
        struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &m};
        node_tell(c, node, &e);
    }
    raft_message_space_deinit(&space);
    struct raft_event e = {.type = RAFT_EVENT_DURABLE, .seq = w->seq};
    node_tell(c, node, &e);
    write_free(w);
    node_drive(c, node);
}

/* --- life ------------------------------------------------------------------------------------ */

void cluster_init(struct cluster *c, uint64_t seed, uint32_t n)
{
    memset(c, 0, sizeof(*c));
    CHECK(n <= CLUSTER_NODES_MAX);
    prng_init(&c->prng, seed);
    c->n = n;
    c->now = NANOS_PER_S;
    c->snapshot_bytes = 3000;
    c->faults = (struct cluster_faults){.latency_min = 100 * NANOS_PER_US,
                                        .latency_max = 2 * NANOS_PER_MS,
                                        .disk_min = 50 * NANOS_PER_US,
                                        .disk_max = 1 * NANOS_PER_MS};
    for (uint32_t i = 0; i < CLUSTER_NODES_MAX; i++) {
        c->node[i].id = i + 1;
    }
}

static void node_start(struct cluster *c, struct cluster_node *node)
{
    struct cluster_disk *d = &node->disk;
    node->cfg = raft_config_default(node->id, prng_u64(&c->prng));
    node->cfg.chunk_bytes = 700;
    if (c->configure) {
        c->configure(&node->cfg);
    }
    if (c->faults.clock_ppm > 0) {
        node->clock_ppm = (int64_t)prng_below(&c->prng, 2 * c->faults.clock_ppm + 1) -
                          (int64_t)c->faults.clock_ppm;
        node->clock_offset = prng_below(&c->prng, 1000) * NANOS_PER_S;
    }
    struct raft_saved saved = {.hard_state = d->hard_state,
                               .snapshot = d->snapshot,
                               .applied = d->snapshot.index,
                               .lost_vote = d->lost_vote,
                               .lost_from = d->lost_from};
    node->raft = raft_new(&node->cfg, &saved, cluster_clock(c, node));
    for (size_t i = 0; i < d->len; i++) {
        struct raft_entry e = entry_view(&d->log[i], d->snapshot.index + 1 + i);
        CHECK(raft_load_entry(node->raft, &e, d->log[i].damaged) == OK);
    }
    CHECK(raft_load_done(node->raft) == OK);
    node->applied = d->snapshot.index;
    node->membership = d->snapshot.membership;
    if (c->trace) {
        fprintf(stderr, "%10.3f n%" PRIu64 " starts: log %" PRIu64 " + %zu, lost %d %" PRIu64 "\n",
                (double)c->now / 1e6, node->id, d->snapshot.index, d->len, d->lost_vote,
                d->lost_from);
    }
    node->up = true;
    node->frozen = false;
    node->disk_stuck = false;
    node->led_term = 0;
    node->boots++;
    node->deadline = 0;
    struct raft_event e = {.type = RAFT_EVENT_TICK};
    node_tell(c, node, &e);
    node_drive(c, node);
}

void cluster_boot(struct cluster *c, const struct raft_membership *ms)
{
    mem_grow((void **)&c->truth, &c->truth_cap, 1, sizeof(c->truth[0]));
    c->truth[0] = (struct cluster_entry){.term = 1}; /* the snapshot that founds the group */
    c->truth_len = 1;
    for (uint32_t i = 0; i < ms->n; i++) {
        struct cluster_node *node = cluster_node(c, ms->member[i].id);
        node->disk.snapshot = (struct raft_snapshot){.index = 1, .term = 1, .membership = *ms};
        node_start(c, node);
    }
}

void cluster_boot_blank(struct cluster *c, node_id id)
{
    node_start(c, cluster_node(c, id));
}

static void node_forget(struct cluster_node *node)
{
    while (node->writes) {
        struct cluster_write *w = node->writes;
        node->writes = w->next;
        write_free(w);
    }
    while (node->reads) {
        struct cluster_read *read = node->reads;
        node->reads = read->next;
        mem_free(read);
    }
    raft_free(node->raft);
    node->raft = NULL;
    node->up = false;
}

void cluster_crash(struct cluster *c, node_id id)
{
    struct cluster_node *node = cluster_node(c, id);
    CHECK(node->up);
    while (node->writes && prng_chance(&c->prng, 1, 2)) {
        struct cluster_write *w = node->writes;
        node->writes = w->next;
        disk_perform(&node->disk, w);
        write_free(w);
    }
    /* A loss that the core has not healed yet is found again at the next start. */
    node->disk.lost_vote = node->raft->repair.lost_vote;
    node->disk.lost_from = node->raft->repair.lost_from;
    if (node->disk.lost_from != 0) {
        node->disk.lost_from = node->disk.snapshot.index + node->disk.len + 1;
    }
    node_forget(node);
}

void cluster_restart(struct cluster *c, node_id id)
{
    struct cluster_node *node = cluster_node(c, id);
    CHECK(!node->up);
    node_start(c, node);
}

void cluster_wipe(struct cluster *c, node_id id)
{
    struct cluster_node *node = cluster_node(c, id);
    CHECK(!node->up);
    struct cluster_disk *d = &node->disk;
    disk_truncate(d, d->snapshot.index + 1);
    memset(&d->snapshot, 0, sizeof(d->snapshot));
    memset(&d->hard_state, 0, sizeof(d->hard_state));
    d->lost_vote = true;
    d->lost_from = 1;
    d->partial_bytes = 0;
    memset(&d->partial, 0, sizeof(d->partial));
}

void cluster_damage(struct cluster *c, node_id id, raft_index first, raft_index last)
{
    struct cluster_disk *d = &cluster_node(c, id)->disk;
    CHECK(!cluster_node(c, id)->up);
    for (raft_index i = first; i <= last; i++) {
        if (i > d->snapshot.index && i <= d->snapshot.index + d->len) {
            d->log[i - d->snapshot.index - 1].damaged = true;
        }
    }
}

void cluster_lose_log(struct cluster *c, node_id id, raft_index from)
{
    struct cluster_disk *d = &cluster_node(c, id)->disk;
    CHECK(!cluster_node(c, id)->up);
    from = u64_max(from, d->snapshot.index + 1);
    if (from <= d->snapshot.index + d->len) {
        disk_truncate(d, from);
        d->lost_from = from;
    }
}

void cluster_deinit(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &c->node[i];
        node_forget(node);
        disk_truncate(&node->disk, node->disk.snapshot.index + 1);
        mem_free(node->disk.log);
    }
    while (c->queue_len > 0) {
        struct cluster_message m = queue_pop(c);
        buf_deinit(&m.bytes);
    }
    entries_free(c->truth, c->truth_len);
    mem_free(c->truth);
    mem_free(c->queue);
    mem_free(c->leader_of);
    mem_free(c->votes);
}

/* --- time ------------------------------------------------------------------------------------ */

static void deliver(struct cluster *c, struct cluster_message *m)
{
    struct cluster_node *to = cluster_node(c, m->to);
    if (!to->up || c->cut[m->from][m->to]) {
        return;
    }
    struct raft_message_space space = {0};
    struct raft_message message;
    CHECK(raft_message_decode(buf_view(&m->bytes), &space, &message) == OK);
    struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &message};
    enum err result = cluster_step(c, m->to, &e);
    CHECK(result != ERR_PROTOCOL);
    raft_message_space_deinit(&space);
    node_drive(c, to);
}

/* The next thing that happens, if it does before `until`. */
static bool cluster_next(struct cluster *c, nanos until)
{
    nanos at = until;
    struct cluster_node *who = NULL;
    bool write = false;
    bool message = false;
    for (uint32_t i = 0; i < c->n; i++) {
        struct cluster_node *node = &c->node[i];
        if (!node->up || node->frozen) {
            continue;
        }
        nanos tick = cluster_world_time(c, node, node->deadline);
        if (tick < at) {
            at = tick;
            who = node;
            write = false;
        }
        if (node->writes && !node->disk_stuck && u64_max(node->writes->done, c->now) < at) {
            at = u64_max(node->writes->done, c->now);
            who = node;
            write = true;
        }
    }
    if (c->queue_len > 0 && u64_max(c->queue[0].at, c->now) < at) {
        at = u64_max(c->queue[0].at, c->now);
        message = true;
    }
    if (!message && !who) {
        c->now = u64_max(c->now, until);
        return false;
    }
    c->now = at;
    if (message) {
        struct cluster_message m = queue_pop(c);
        if (cluster_node(c, m.to)->frozen) {
            m.at = c->now + 10 * NANOS_PER_MS; /* waits in the socket */
            queue_push(c, m);
            return true;
        }
        deliver(c, &m);
        buf_deinit(&m.bytes);
    } else if (write) {
        node_finish_write(c, who);
    } else {
        struct raft_event e = {.type = RAFT_EVENT_TICK};
        node_tell(c, who, &e);
        node_take(c, who);
        node_drive(c, who);
    }
    return true;
}

void cluster_run(struct cluster *c, nanos span)
{
    nanos until = c->now + span;
    for (uint64_t i = 0; cluster_next(c, until); i++) {
        CHECK(i < CLUSTER_RUN_EVENTS_MAX);
    }
}

node_id cluster_leader(const struct cluster *c)
{
    node_id leader = NODE_NONE;
    raft_term highest = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->node[i].up) {
            struct raft_status s = raft_status(c->node[i].raft);
            if (s.role == RAFT_LEADER && s.term > highest) {
                leader = c->node[i].id;
                highest = s.term;
            }
        }
    }
    return leader;
}

node_id cluster_elect(struct cluster *c, nanos limit)
{
    nanos until = c->now + limit;
    while (c->now < until && cluster_leader(c) == NODE_NONE) {
        cluster_run(c, u64_min(10 * NANOS_PER_MS, until - c->now));
    }
    return cluster_leader(c);
}

/* --- requests -------------------------------------------------------------------------------- */

enum err cluster_propose(struct cluster *c, node_id id, uint64_t value)
{
    uint8_t bytes[64];
    size_t len = 8 + value % 56;
    memset(bytes, (int)(value & 0xff), sizeof(bytes));
    memcpy(bytes, &value, 8);
    struct bytes payload = {bytes, len};
    struct raft_event e = {.type = RAFT_EVENT_PROPOSE};
    e.propose.payloads = &payload;
    e.propose.n = 1;
    enum err result = cluster_step(c, id, &e);
    c->proposals += result == OK;
    node_drive(c, cluster_node(c, id));
    return result;
}

enum err cluster_read(struct cluster *c, node_id id)
{
    struct cluster_node *node = cluster_node(c, id);
    struct raft_event e = {.type = RAFT_EVENT_READ};
    e.read.id = prng_u64(&c->prng);
    struct cluster_read *read = mem_alloc_zero(sizeof(*read));
    read->id = e.read.id;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->node[i].up) {
            read->floor = u64_max(read->floor, raft_status(c->node[i].raft).committed);
        }
    }
    read->floor = u64_max(read->floor, c->truth_len);
    read->next = node->reads;
    node->reads = read;
    enum err result = cluster_step(c, id, &e);
    node_drive(c, node);
    return result;
}

enum err cluster_change(struct cluster *c, node_id id, enum raft_conf_op op, node_id node)
{
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO, .n = 1};
    change.single[0] =
        (struct raft_conf_single){.op = op, .node = node, .priority = RAFT_PRIORITY_DEFAULT};
    struct raft_event e = {.type = RAFT_EVENT_CHANGE, .change = &change};
    enum err result = cluster_step(c, id, &e);
    node_drive(c, cluster_node(c, id));
    return result;
}

void cluster_snapshot(struct cluster *c, node_id id, raft_index tail)
{
    struct cluster_node *node = cluster_node(c, id);
    struct cluster_disk *d = &node->disk;
    /* Taken of what is applied; in this world it is durable at once, with the log up to it. */
    raft_index index = u64_min(node->applied, d->snapshot.index + d->len);
    if (index <= d->snapshot.index || index != node->applied || node->raft->installing) {
        return;
    }
    struct raft_snapshot s = {.index = index,
                              .term = d->log[index - d->snapshot.index - 1].term,
                              .size = c->snapshot_bytes,
                              .digest = index * 31,
                              .membership = node->membership};
    if (raft_log_term(&node->raft->log, index) != s.term) {
        return; /* the disk still holds what is about to be overwritten */
    }
    struct raft_event taken = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &s};
    node_tell(c, node, &taken);
    raft_index to = raft_compactable(node->raft, tail);
    if (to > d->snapshot.index && to == index) {
        disk_drop_head(d, to);
        d->snapshot = s;
        struct raft_event compact = {.type = RAFT_EVENT_COMPACT, .index = to};
        node_tell(c, node, &compact);
    }
    node_drive(c, node);
}

void cluster_cut(struct cluster *c, node_id from, node_id to, bool cut)
{
    c->cut[from][to] = cut;
}

void cluster_heal(struct cluster *c)
{
    memset(c->cut, 0, sizeof(c->cut));
    c->faults.loss = 0;
    c->faults.duplicate = 0;
    c->faults.late = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        c->node[i].disk_stuck = false;
        c->node[i].frozen = false;
    }
}
