#include "tests/core/consensus/script_node.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/core/consensus/script_update.h"
#include "tests/support/text.h"

/* --- life ------------------------------------------------------------------------------------ */

enum err script_node_step(struct script_node *n, struct raft_event e)
{
    e.now = n->now;
    enum err result = raft_step(n->raft, &e);
    raft_check(n->raft);
    return result;
}

/* Steps what cannot be refused. */
static void script_node_tell(struct script_node *n, struct raft_event e)
{
    enum err result = script_node_step(n, e);
    CHECK(result == OK);
}

static enum err script_node_boot(struct script_node *n, const struct script_loss *loss)
{
    struct script_disk *d = &n->disk;
    struct raft_saved saved = {.hard_state = d->hard_state,
                               .snapshot = d->snapshot,
                               .applied = d->snapshot.index,
                               .lost_vote = loss->vote,
                               .lost_from = loss->from};
    struct raft_config config = n->plan.config;
    config.seed = n->id + (n->boots++ << 32);
    n->raft = raft_new(&config, &saved, n->now);
    for (raft_index i = d->snapshot.index + 1; i <= script_disk_last(d); i++) {
        TRY(raft_load_entry(n->raft, script_disk_entry(d, i), script_disk_is_damaged(d, i)));
    }
    TRY(raft_load_done(n->raft));
    n->applied = d->snapshot;
    n->unstable = script_disk_last(d) + 1;
    return OK;
}

struct script_node *script_node_new(const struct script_plan *plan)
{
    struct script_node *n = mem_alloc_zero(sizeof(*n));
    n->id = plan->config.id;
    n->plan = *plan;
    n->now = NANOS_PER_S;
    n->disk.hard_state.commit = plan->snapshot.index;
    script_disk_install(&n->disk, &plan->snapshot, false);
    enum err e = script_node_boot(n, &(struct script_loss){0});
    CHECK(e == OK);
    /* As if it had been up for a while: with lease reads a node grants no vote in the first
     * election timeout after a boot, which etcd-raft does not know. */
    n->raft->booted = n->now - plan->config.election_timeout;
    return n;
}

void script_node_free(struct script_node *n)
{
    raft_free(n->raft);
    script_disk_deinit(&n->disk);
    script_queue_deinit(&n->append_work);
    script_queue_deinit(&n->apply_work);
    entry_list_deinit(&n->loaded);
    buf_deinit(&n->news);
    mem_free(n);
}

enum err script_node_restart(struct script_node *n, const struct script_loss *loss)
{
    raft_free(n->raft);
    script_queue_deinit(&n->append_work);
    script_queue_deinit(&n->apply_work);
    n->disk_stalled = 0;
    n->apply_stalled = false;
    if (loss->vote) {
        memset(&n->disk.hard_state, 0, sizeof(n->disk.hard_state));
    }
    if (loss->from != 0) {
        script_disk_lose(&n->disk, loss->from);
    }
    return script_node_boot(n, loss);
}

void script_node_advance(struct script_node *n, nanos span)
{
    n->now += span;
    script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_TICK});
    if (n->disk_stalled != 0) {
        script_node_tell(
            n, (struct raft_event){.type = RAFT_EVENT_DISK, .stalled = n->now - n->disk_stalled});
    }
}

bool script_node_compact(struct script_node *n, raft_index index)
{
    if (!script_disk_compact(&n->disk, index)) {
        return false;
    }
    if (n->disk.snapshot.index < index) {
        n->disk.snapshot = n->applied; /* which then is what the log begins with */
    }
    script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_COMPACT, .index = index});
    return true;
}

void script_node_take_snapshot(struct script_node *n)
{
    n->disk.snapshot = n->applied;
    n->disk.snapshot.size = n->plan.snapshot_bytes;
    n->disk.snapshot.digest = script_snapshot_digest(n->applied.index, n->plan.snapshot_bytes);
    script_node_tell(
        n, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &n->disk.snapshot});
}

/* --- what updates ask for -------------------------------------------------------------------- */

static void script_node_persist(struct script_node *n, const struct script_message *work)
{
    if (work->has_hard_state) {
        n->disk.hard_state = work->hard_state;
    }
    if (work->has_snapshot) {
        script_disk_install(&n->disk, &work->snapshot, work->keeps_log);
        n->applied = work->snapshot;
    }
    script_disk_append(&n->disk, work->entries.entries, work->entries.n);
    script_disk_repair(&n->disk, work->repairs.entries, work->repairs.n);
}

/* Tells the core that the state machine has applied up to here, and, unless it waits to be told to
 * take one, that a snapshot of it could be had. */
static void script_node_applied(struct script_node *n, raft_index index, raft_term term)
{
    script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = index});
    if (index <= n->applied.index) {
        return; /* overtaken by a snapshot */
    }
    n->applied.index = index;
    n->applied.term = term;
    n->applied.membership = *raft_status(n->raft).membership;
    n->applied.size = 0;
    n->applied.digest = 0;
    if (!n->plan.takes_snapshots) {
        script_node_tell(
            n, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &n->applied});
    }
}

static void script_node_durable(struct script_node *n, uint64_t seq)
{
    if (seq != 0) {
        script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = seq});
    }
}

/* Reading for the core, and writing what it fetched. What an update points to does not survive a
 * step, so it is taken down first and reported afterwards. */
#define SCRIPT_CHORES_MAX 64

struct script_chores {
    struct raft_load loads[SCRIPT_CHORES_MAX];
    uint32_t load_count;
    struct raft_chunk reads[SCRIPT_CHORES_MAX];
    uint32_t read_count;
    struct raft_chunk writes[SCRIPT_CHORES_MAX]; /* `offset`: how much of it is on the disk now */
    uint32_t write_count;
};

static void script_chores_take(struct script_node *n, const struct raft_update *u,
                               struct script_chores *ret)
{
    CHECK(u->load_count <= SCRIPT_CHORES_MAX && u->chunk_read_count <= SCRIPT_CHORES_MAX &&
          u->chunk_write_count <= SCRIPT_CHORES_MAX);
    ret->load_count = u->load_count;
    ret->read_count = u->chunk_read_count;
    ret->write_count = u->chunk_write_count;
    for (uint32_t i = 0; i < u->load_count; i++) {
        ret->loads[i] = u->loads[i];
    }
    for (uint32_t i = 0; i < u->chunk_read_count; i++) {
        ret->reads[i] = u->chunk_reads[i];
    }
    for (uint32_t i = 0; i < u->chunk_write_count; i++) {
        ret->writes[i] = u->chunk_writes[i];
        ret->writes[i].offset = script_disk_write_chunk(&n->disk, &u->chunk_writes[i]);
    }
}

static void script_chore_load(struct script_node *n, const struct raft_load *load)
{
    entry_list_cut(&n->loaded, 0);
    uint64_t bytes = 0;
    raft_index last = u64_min(load->last, script_disk_last(&n->disk));
    for (raft_index i = load->first; i > n->disk.base && i <= last; i++) {
        const struct raft_entry *e = script_disk_entry(&n->disk, i);
        bytes += e->payload.len + RAFT_ENTRY_OVERHEAD_BYTES;
        if (script_disk_is_damaged(&n->disk, i) || (n->loaded.n > 0 && bytes > load->max_bytes)) {
            break;
        }
        entry_list_add(&n->loaded, e, 1);
    }
    script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_LOADED,
                                            .loaded = {.peer = load->peer,
                                                       .first = load->first,
                                                       .entries = n->loaded.entries,
                                                       .n = (uint32_t)n->loaded.n,
                                                       .repair = load->repair}});
}

static void script_chore_read(struct script_node *n, const struct raft_chunk *chunk)
{
    struct buf body;
    buf_init(&body);
    bool here = chunk->snapshot == n->disk.snapshot.index;
    if (here) {
        script_snapshot_body(chunk->snapshot, n->disk.snapshot.size, &body);
        CHECK(chunk->offset + chunk->len <= body.len);
    }
    struct bytes piece = {here ? body.data + chunk->offset : NULL, here ? chunk->len : 0};
    script_node_tell(n, (struct raft_event){.type = RAFT_EVENT_CHUNK_READ,
                                            .chunk = {.peer = chunk->peer,
                                                      .snapshot = chunk->snapshot,
                                                      .offset = chunk->offset,
                                                      .data = piece,
                                                      .error = here ? OK : ERR_NOT_FOUND}});
    buf_deinit(&body);
}

static void script_chores_report(struct script_node *n, const struct script_chores *chores)
{
    for (uint32_t i = 0; i < chores->load_count; i++) {
        script_chore_load(n, &chores->loads[i]);
    }
    for (uint32_t i = 0; i < chores->read_count; i++) {
        script_chore_read(n, &chores->reads[i]);
    }
    for (uint32_t i = 0; i < chores->write_count; i++) {
        const struct raft_chunk *chunk = &chores->writes[i];
        script_node_tell(n, (struct raft_event){
                                .type = RAFT_EVENT_CHUNK_WRITTEN,
                                .chunk = {.snapshot = chunk->snapshot, .offset = chunk->offset}});
    }
}

/* --- an update, taken down ------------------------------------------------------------------- */

/* etcd-raft answers with this whenever any entry is not known to be durable, not only for those in
 * this update: the answer to an earlier one may be ignored because the term has changed. */
static struct script_message *append_done_message(struct script_node *n,
                                                  const struct raft_update *u)
{
    const struct raft_log *log = &n->raft->log;
    if (u->install && !u->install_keeps_log) {
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

/* Does this message of an update leave before the disk, though the core asks for the opposite? */
static bool script_node_sends_at_once(const struct script_node *n, const struct raft_message *m)
{
    return n->plan.asks_at_once && m->type == RAFT_MSG_VOTE;
}

/* The batch that goes to the disk. Only as work does it carry its answers. */
static struct script_message *append_message(struct script_node *n, const struct raft_update *u)
{
    struct script_message *work = script_message_new(SCRIPT_APPEND, n->id, ETCD_APPEND_THREAD);
    work->has_hard_state = u->has_hard_state;
    work->hard_state = u->hard_state;
    entry_list_add(&work->entries, u->entries, u->entry_count);
    entry_list_add(&work->repairs, u->repairs, u->repair_count);
    if (u->install) {
        work->has_snapshot = true;
        work->snapshot = *u->install;
        work->keeps_log = u->install_keeps_log;
    }
    for (uint32_t i = 0; i < u->message_durable_count; i++) {
        if (!script_node_sends_at_once(n, &u->messages_durable[i])) {
            script_queue_push(&work->responses, script_message_of_raft(&u->messages_durable[i]));
        }
    }
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

/* --- carrying it out ------------------------------------------------------------------------- */

/* At once, in the order of etcd-raft's driver and of its Advance: disk, state machine, the node's
 * messages to itself, completion. Only then does it look at anything new. */
static void script_node_ready_at_once(struct script_node *n, const struct raft_update *u,
                                      struct script_queue *sent, struct buf *out)
{
    struct script_message *batch = append_message(n, u);
    struct script_queue own = {0};
    for (struct script_message *m; (m = script_queue_shift(&batch->responses)) != NULL;) {
        script_queue_push(m->shown.to == n->id ? &own : sent, m);
    }
    script_print_update(u, sent, out);
    script_node_persist(n, batch);
    script_message_free(batch);
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

static void script_node_ready_as_work(struct script_node *n, const struct raft_update *u,
                                      struct script_queue *sent, struct buf *out)
{
    struct script_message *append = NULL;
    struct script_message *apply = NULL;
    size_t messages = sent->n;
    if (u->entry_count > 0 || u->has_hard_state || u->install || u->message_durable_count > 0 ||
        u->repair_count > 0) {
        append = append_message(n, u);
        struct script_message *done = append_done_message(n, u);
        if (done) {
            script_queue_push(&append->responses, done);
        }
        append_bind_completion(append, u->persist_seq);
        script_message_show(append);
        script_queue_push(sent, append);
    }
    if (u->committed_count > 0) {
        apply = apply_message(n, u);
        script_queue_push(sent, apply);
    }
    script_print_update(u, sent, out);
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
    script_print_news(n->id, &u, &n->news);
    struct script_chores chores;
    script_chores_take(n, &u, &chores);
    struct script_queue sent = {0};
    for (uint32_t i = 0; i < u.message_count; i++) {
        script_queue_push(&sent, script_message_of_raft(&u.messages[i]));
    }
    for (uint32_t i = 0; i < u.message_durable_count; i++) {
        if (script_node_sends_at_once(n, &u.messages_durable[i])) {
            script_queue_push(&sent, script_message_of_raft(&u.messages_durable[i]));
        }
    }
    if (n->plan.async) {
        script_node_ready_as_work(n, &u, &sent, out);
    } else {
        script_node_ready_at_once(n, &u, &sent, out);
    }
    script_queue_append(network, &sent);
    script_queue_deinit(&sent);
    script_chores_report(n, &chores);
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
    script_node_persist(n, work);
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
