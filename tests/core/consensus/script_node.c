#include "tests/core/consensus/script_node.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/text.h"

/* --- the disk -------------------------------------------------------------------------------- */

raft_index script_disk_last(const struct script_disk *d)
{
    return d->base + d->entries.n;
}

static void script_disk_install(struct script_disk *d, const struct raft_snapshot *s)
{
    entry_list_cut(&d->entries, 0);
    d->base = s->index;
    d->base_term = s->term;
}

/* Entries replace whatever the log held from the first one's index on. */
static void script_disk_append(struct script_disk *d, const struct raft_entry *entries, size_t n)
{
    while (n > 0 && entries->index <= d->base) {
        entries++;
        n--;
    }
    if (n > 0) {
        CHECK(entries->index <= script_disk_last(d) + 1);
        entry_list_cut(&d->entries, entries->index - d->base - 1);
        entry_list_add(&d->entries, entries, n);
    }
}

bool script_node_compact(struct script_node *n, raft_index index)
{
    struct script_disk *d = &n->disk;
    if (index <= d->base || index > script_disk_last(d)) {
        return false;
    }
    d->base_term = d->entries.entries[index - d->base - 1].term;
    entry_list_drop(&d->entries, index - d->base);
    d->base = index;
    enum err e =
        script_node_step(n, (struct raft_event){.type = RAFT_EVENT_COMPACT, .index = index});
    CHECK(e == OK);
    return true;
}

/* --- life ------------------------------------------------------------------------------------ */

enum err script_node_step(struct script_node *n, struct raft_event e)
{
    e.now = n->now;
    enum err result = raft_step(n->raft, &e);
    raft_check(n->raft);
    return result;
}

struct script_node *script_node_new(const struct raft_config *config, bool async,
                                    const struct raft_snapshot *snapshot)
{
    struct script_node *n = mem_alloc_zero(sizeof(*n));
    n->id = config->id;
    n->config = *config;
    n->async = async;
    n->now = NANOS_PER_S;
    n->applied = *snapshot;
    n->unstable = snapshot->index + 1;
    n->disk.hard_state.commit = snapshot->index;
    script_disk_install(&n->disk, snapshot);
    struct raft_saved saved = {
        .hard_state = n->disk.hard_state, .snapshot = *snapshot, .applied = snapshot->index};
    n->raft = raft_new(config, &saved, n->now);
    /* As if it had been up for a while: with lease reads a node grants no vote in the first
     * election timeout after a boot, which etcd-raft does not know. */
    n->raft->booted = n->now - config->election_timeout;
    enum err e = raft_load_done(n->raft);
    CHECK(e == OK);
    return n;
}

void script_node_free(struct script_node *n)
{
    raft_free(n->raft);
    entry_list_deinit(&n->disk.entries);
    script_queue_deinit(&n->append_work);
    script_queue_deinit(&n->apply_work);
    mem_free(n);
}

/* --- an update ------------------------------------------------------------------------------- */

static void print_entries_of(const char *title, const struct raft_entry *entries, uint32_t n,
                             struct buf *out)
{
    if (n > 0) {
        text_add(out, "%s:\n", title);
        etcd_describe_entries(entries, n, out);
    }
}

static void print_reads(const struct raft_update *u, struct buf *out)
{
    for (uint32_t i = 0; i < u->read_count; i++) {
        text_add(out, "%s%" PRIu64 "@%" PRIu64 "%s", i == 0 ? "ReadStates " : " ", u->reads[i].id,
                 u->reads[i].index, i + 1 == u->read_count ? "\n" : "");
    }
    for (uint32_t i = 0; i < u->read_lost_count; i++) {
        text_add(out, "%s%" PRIu64 "%s", i == 0 ? "ReadsLost " : " ", u->reads_lost[i],
                 i + 1 == u->read_lost_count ? "\n" : "");
    }
}

static void print_update(const struct raft_update *u, const struct script_queue *sent,
                         struct buf *out)
{
    struct buf body;
    buf_init(&body);
    if (u->has_soft_state) {
        text_add(&body, "Lead:%" PRIu64 " State:%s\n", u->leader, etcd_role_name(u->role));
    }
    if (u->has_hard_state) {
        text_add(&body, "HardState ");
        etcd_describe_hard_state(&u->hard_state, &body);
        text_add(&body, "\n");
    }
    print_reads(u, &body);
    print_entries_of("Entries", u->entries, u->entry_count, &body);
    if (u->install) {
        text_add(&body, "Snapshot ");
        etcd_describe_snapshot(u->install, &body);
        text_add(&body, "\n");
    }
    print_entries_of("CommittedEntries", u->committed, u->committed_count, &body);
    if (sent->n > 0) {
        text_add(&body, "Messages:\n");
    }
    for (size_t i = 0; i < sent->n; i++) {
        script_message_print(sent->items[i], &body);
    }
    if (body.len > 0) {
        text_add(out, "Ready MustSync=%s:\n", u->must_sync ? "true" : "false");
        buf_put(out, body.data, body.len);
    } else {
        text_add(out, "<empty Ready>\n");
    }
    buf_deinit(&body);
}

static void script_node_persist(struct script_node *n, const struct raft_hard_state *hs,
                                const struct raft_snapshot *install,
                                const struct raft_entry *entries, size_t entry_count)
{
    if (hs) {
        n->disk.hard_state = *hs;
    }
    if (install) {
        script_disk_install(&n->disk, install);
        n->applied = *install;
    }
    script_disk_append(&n->disk, entries, entry_count);
}

/* Tells the core that the state machine has applied up to here, and that a snapshot of it could be
 * had: in these scripts the newest snapshot always is the applied state. */
static void script_node_applied(struct script_node *n, raft_index index, raft_term term)
{
    enum err e =
        script_node_step(n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = index});
    CHECK(e == OK);
    if (index <= n->applied.index) {
        return; /* overtaken by a snapshot */
    }
    n->applied.index = index;
    n->applied.term = term;
    n->applied.membership = *raft_status(n->raft).membership;
    e = script_node_step(
        n, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &n->applied});
    CHECK(e == OK);
}

static void script_node_durable(struct script_node *n, uint64_t seq)
{
    if (seq != 0) {
        enum err e =
            script_node_step(n, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = seq});
        CHECK(e == OK);
    }
}

/* --- carrying it out at once ----------------------------------------------------------------- */

/* In the order of etcd-raft's driver and of its Advance: disk, state machine, the node's messages
 * to itself, completion. Only then does it look at anything new. */
static void script_node_ready_at_once(struct script_node *n, const struct raft_update *u,
                                      struct script_queue *sent, struct buf *out)
{
    struct script_queue own = {0};
    for (uint32_t i = 0; i < u->message_durable_count; i++) {
        const struct raft_message *m = &u->messages_durable[i];
        script_queue_push(m->to == n->id ? &own : sent, script_message_of_raft(m));
    }
    print_update(u, sent, out);
    script_node_persist(n, u->has_hard_state ? &u->hard_state : NULL, u->install, u->entries,
                        u->entry_count);
    uint64_t seq = u->persist_seq;
    if (u->committed_count > 0) {
        const struct raft_entry *last = &u->committed[u->committed_count - 1];
        script_node_applied(n, last->index, last->term);
    }
    for (struct script_message *m; (m = script_queue_shift(&own)) != NULL;) {
        (void)script_node_receive(n, m);
    }
    script_node_durable(n, seq);
    script_queue_deinit(&own);
}

/* --- carrying it out as work ----------------------------------------------------------------- */

/* etcd-raft answers with this whenever any entry is not known to be durable, not only for those in
 * this update: the answer to an earlier one may be ignored because the term has changed. */
static struct script_message *append_done_message(struct script_node *n,
                                                  const struct raft_update *u)
{
    const struct raft_log *log = &n->raft->log;
    if (u->install) {
        n->unstable = u->install->index + 1;
    }
    if (u->entry_count > 0) {
        n->unstable = u64_min(n->unstable, u->entries[0].index);
    }
    bool unstable = log->last >= n->unstable;
    if (!unstable && !u->install) {
        return NULL;
    }
    struct script_message *done = script_message_new(SCRIPT_APPEND_DONE, ETCD_APPEND_THREAD, n->id);
    done->shown.term = n->raft->term;
    if (unstable) {
        done->shown.index = log->last;
        done->shown.log_term = raft_log_last_term(log);
    }
    if (u->install) {
        done->has_snapshot = true;
        done->snapshot = *u->install;
    }
    script_message_show(done);
    return done;
}

/* Who tells the core that this batch is durable: the answer, or the last message to the node
 * itself, which must come before; or the work itself, when it is done. */
static void append_bind_completion(struct script_message *work, uint64_t seq)
{
    node_id self = work->shown.from;
    struct script_message *teller = work;
    for (size_t i = 0; i < work->responses.n; i++) {
        if (work->responses.items[i]->shown.to == self) {
            teller = work->responses.items[i];
        }
    }
    teller->durable_seq = seq;
}

static struct script_message *append_message(struct script_node *n, const struct raft_update *u)
{
    struct script_message *work = script_message_new(SCRIPT_APPEND, n->id, ETCD_APPEND_THREAD);
    work->has_hard_state = u->has_hard_state;
    work->hard_state = u->hard_state;
    entry_list_add(&work->entries, u->entries, u->entry_count);
    if (u->install) {
        work->has_snapshot = true;
        work->snapshot = *u->install;
    }
    for (uint32_t i = 0; i < u->message_durable_count; i++) {
        script_queue_push(&work->responses, script_message_of_raft(&u->messages_durable[i]));
    }
    struct script_message *done = append_done_message(n, u);
    if (done) {
        script_queue_push(&work->responses, done);
    }
    append_bind_completion(work, u->persist_seq);
    script_message_show(work);
    return work;
}

static struct script_message *apply_message(struct script_node *n, const struct raft_update *u)
{
    struct script_message *work = script_message_new(SCRIPT_APPLY, n->id, ETCD_APPLY_THREAD);
    struct script_message *done = script_message_new(SCRIPT_APPLY_DONE, ETCD_APPLY_THREAD, n->id);
    entry_list_add(&work->entries, u->committed, u->committed_count);
    entry_list_add(&done->entries, u->committed, u->committed_count);
    script_message_show(done);
    script_queue_push(&work->responses, done);
    script_message_show(work);
    return work;
}

static void script_node_ready_as_work(struct script_node *n, const struct raft_update *u,
                                      struct script_queue *sent, struct buf *out)
{
    struct script_message *append = NULL;
    struct script_message *apply = NULL;
    size_t messages = sent->n;
    if (u->entry_count > 0 || u->has_hard_state || u->install || u->message_durable_count > 0) {
        append = append_message(n, u);
        script_queue_push(sent, append);
    }
    if (u->committed_count > 0) {
        apply = apply_message(n, u);
        script_queue_push(sent, apply);
    }
    print_update(u, sent, out);
    sent->n = messages;
    if (append) {
        script_queue_push(&n->append_work, append);
    } else {
        script_node_durable(n, u->persist_seq);
    }
    if (apply) {
        script_queue_push(&n->apply_work, apply);
    }
}

void script_node_ready(struct script_node *n, struct script_queue *network, struct buf *out)
{
    struct raft_update u;
    raft_take_update(n->raft, &u);
    struct script_queue sent = {0};
    for (uint32_t i = 0; i < u.message_count; i++) {
        script_queue_push(&sent, script_message_of_raft(&u.messages[i]));
    }
    if (n->async) {
        script_node_ready_as_work(n, &u, &sent, out);
    } else {
        script_node_ready_at_once(n, &u, &sent, out);
    }
    script_queue_append(network, &sent);
    script_queue_deinit(&sent);
}

static void print_work(const struct script_message *work, struct buf *out)
{
    text_add(out, "Processing:\n");
    script_message_print_bare(work, out);
    text_add(out, "Responses:\n");
    for (size_t i = 0; i < work->responses.n; i++) {
        script_message_print(work->responses.items[i], out);
    }
}

/* A batch that nobody answers for is durable now, but batches become durable in their order: if an
 * earlier one's answer is still under way, that one speaks for both. */
static void script_node_work_durable(struct script_node *n, const struct script_queue *network,
                                     uint64_t seq)
{
    for (size_t i = network->n; i-- > 0;) {
        struct script_message *m = network->items[i];
        if (m->shown.to == n->id && m->durable_seq != 0) {
            m->durable_seq = u64_max(m->durable_seq, seq);
            return;
        }
    }
    script_node_durable(n, seq);
}

void script_node_append_thread(struct script_node *n, struct script_queue *network, struct buf *out)
{
    struct script_message *work = script_queue_shift(&n->append_work);
    if (!work) {
        text_add(out, "no append work to perform");
        return;
    }
    print_work(work, out);
    script_node_persist(n, work->has_hard_state ? &work->hard_state : NULL,
                        work->has_snapshot ? &work->snapshot : NULL, work->entries.entries,
                        work->entries.n);
    if (work->durable_seq != 0) {
        script_node_work_durable(n, network, work->durable_seq);
    }
    script_queue_append(network, &work->responses);
    script_message_free(work);
}

void script_node_apply_thread(struct script_node *n, struct script_queue *network, struct buf *out)
{
    struct script_message *work = script_queue_shift(&n->apply_work);
    if (!work) {
        text_add(out, "no apply work to perform");
        return;
    }
    print_work(work, out);
    script_queue_append(network, &work->responses);
    script_message_free(work);
}

/* --- delivering ------------------------------------------------------------------------------ */

/* What etcd-raft makes of the answer: nothing, where the term or the entry is another by now. */
static void script_node_note_stable(struct script_node *n, const struct etcd_message *done)
{
    const struct raft_log *log = &n->raft->log;
    if (done->index >= n->unstable && done->term == n->raft->term &&
        raft_log_matches(log, done->index, done->log_term)) {
        n->unstable = done->index + 1;
    }
}

enum err script_node_receive(struct script_node *n, struct script_message *m)
{
    enum err result = OK;
    if (m->kind == SCRIPT_RAFT) {
        struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &m->raft};
        result = script_node_step(n, e);
    } else if (m->kind == SCRIPT_APPEND_DONE) {
        script_node_note_stable(n, &m->shown);
    } else if (m->kind == SCRIPT_APPLY_DONE) {
        const struct raft_entry *last = &m->entries.entries[m->entries.n - 1];
        script_node_applied(n, last->index, last->term);
    }
    script_node_durable(n, m->durable_seq);
    script_message_free(m);
    return result;
}
