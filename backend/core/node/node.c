#include "core/node/node.h"

#include <string.h>

#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/node/node_int.h"
#include "core/store/store_limits.h"

/* The highest level that this program knows. */
#define NODE_FEATURE_LEVEL STORE_FEATURE_LEVEL_MAX

struct node_config node_config_default(node_id id)
{
    struct node_config c;
    memset(&c, 0, sizeof(c));
    c.id = id;
    c.raft = raft_config_default(id, 0);
    c.raft.commit_delay = NODE_COMMIT_DELAY;
    c.feature_level = NODE_FEATURE_LEVEL;
    c.program_level = NODE_FEATURE_LEVEL;
    c.snapshot_entries = 100000;
    c.tail_entries = 10000;
    c.history_hot_bytes = STORE_HISTORY_HOT_BYTES;
    c.history_segment_bytes = STORE_COLD_SEGMENT_BYTES;
    c.segment_bytes = WAL_SEGMENT_BYTES;
    c.batch_bytes = WAL_BATCH_BYTES;
    c.reserve_bytes = WAL_RESERVE_BYTES;
    c.scrub_bytes_per_s = 8 * 1024 * 1024;
    c.scrub_pause = 3600 * NANOS_PER_S;
    c.request_timeout = 5 * NANOS_PER_S;
    return c;
}

struct store_history node_history(const struct node *n)
{
    return (struct store_history){.world = n->world,
                                  .hot_bytes = n->cfg.history_hot_bytes,
                                  .segment_bytes = n->cfg.history_segment_bytes};
}

struct store_restore *node_restore_begin(const struct node *n)
{
    const struct store_history history = node_history(n);
    struct store_restore *restore = store_restore_begin();
    store_restore_keep_history(restore, &history);
    return restore;
}

/* --- the pump -------------------------------------------------------------------------------- */

enum err node_tell(struct node *n, struct raft_event e)
{
    CHECK(n->state == NODE_RUNNING);
    e.now = world_now(n->world);
    if (n->events.stepping) {
        n->events.stepping(n->events.ctx, &e);
    }
    return raft_step(n->raft, &e);
}

static void node_tell_role(struct node *n, const struct raft_update *u)
{
    if (!u->has_soft_state) {
        return;
    }
    if (u->role == RAFT_LEADER) {
        store_lease_promote(n->store, world_now(n->world));
    } else {
        store_lease_demote(n->store);
    }
    if (u->leader != NODE_NONE) {
        node_repropose(n);
    }
    if (n->events.leader_changed) {
        n->events.leader_changed(n->events.ctx, u->role, u->leader, raft_status(n->raft).term);
    }
}

static void node_tell_alarms(struct node *n, uint32_t alarms)
{
    for (uint32_t bit = 1; alarms != 0 && n->events.alarm; bit <<= 1) {
        if (alarms & bit) {
            n->events.alarm(n->events.ctx, (enum raft_alarm)bit);
            alarms &= ~bit;
        }
    }
}

static void node_take_reads(struct node *n, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->read_count; i++) {
        for (struct node_read *read = n->reads; read; read = read->next) {
            if (read->id == u->reads[i].id) {
                read->index = u64_max(u->reads[i].index, 1);
            }
        }
    }
    for (uint32_t i = 0; i < u->read_lost_count; i++) {
        for (struct node_read *read = n->reads; read; read = read->next) {
            if (read->id == u->reads_lost[i]) {
                read->asked = 0; /* asked again at the next tick */
            }
        }
    }
}

/* One update, in the order that raft.h asks for; nothing here steps but the very last line. */
static void node_carry_out(struct node *n)
{
    struct raft_update u;
    raft_take_update(n->raft, &u);
    node_tell_role(n, &u);
    node_tell_alarms(n, u.alarms);
    if (u.alarms & RAFT_ALARM_REPAIRED) {
        node_upkeep_repaired(n);
    }
    node_persist(n, &u);
    if (n->state != NODE_RUNNING) {
        return; /* the log failed: nothing of this update leaves */
    }
    for (uint32_t i = 0; i < u.message_count; i++) {
        node_send(n, &u.messages[i]);
    }
    node_take_reads(n, &u);
    node_begin_loads(n, &u);
    node_serve_chunks(n, &u);
    node_receive_chunks(n, &u);
    nanos due = u64_min(u64_min(u.deadline, node_upkeep_deadline(n)), n->tick_due);
    world_timer_set(n->world, &n->tick, due);
    node_apply(n, &u);
}

static void node_tell_outcomes(struct node *n)
{
    nanos now = n->finished ? world_now(n->world) : 0;
    while (n->finished) {
        struct node_request *request = n->finished;
        n->finished = request->next;
        if (!n->finished) {
            n->finished_end = &n->finished;
        }
        n->request_count--;
        request->applied_at = now;
        struct buf response = request->response; /* its owner may free the request */
        request->done(request);
        buf_deinit(&response);
    }
    while (n->reads_done) {
        struct node_read *read = n->reads_done;
        n->reads_done = read->next;
        n->request_count--;
        read->done(read);
    }
}

static void node_tell_advanced(struct node *n)
{
    if (n->has_applied && n->state == NODE_RUNNING && n->events.advanced) {
        n->events.advanced(n->events.ctx);
    }
    n->has_applied = false;
}

void node_pump(struct node *n)
{
    if (n->pumping || n->state != NODE_RUNNING) {
        return;
    }
    n->pumping = true;
    do {
        while (n->state == NODE_RUNNING && raft_has_update(n->raft)) {
            node_carry_out(n);
            node_loads_failed(n);
            node_persist_complete(n);
        }
        node_answer_reads(n);
        node_tell_outcomes(n);
        node_tell_advanced(n);
    } while (n->state == NODE_RUNNING && raft_has_update(n->raft));
    if (n->state == NODE_RUNNING) {
        node_lineage_notice(n);
        node_requests_go_on(n);
        node_snapshot_if_due(n);
        wal_flush(n->wal);
    }
    n->pumping = false;
}

/* --- time ------------------------------------------------------------------------------------ */

static void node_ask_read(struct node *n, struct node_read *read, nanos now)
{
    if (MUTANT(FOLLOWER_READS_LOCALLY) && raft_status(n->raft).role != RAFT_LEADER) {
        read->index = u64_max(n->applied, 1);
        return;
    }
    /* A new number each time: a late answer to an earlier question must not count for this one. */
    read->id = ++n->read_id;
    read->asked = now;
    struct raft_event e = {.type = RAFT_EVENT_READ, .read = {read->id}};
    enum err later = node_tell(n, e);
    (void)later; /* without a leader, or with a full queue, it is asked again */
}

static void node_check_reads(struct node *n, nanos now)
{
    struct node_read **at = &n->reads;
    while (*at) {
        struct node_read *read = *at;
        if (now >= read->deadline) {
            *at = read->next;
            read->result = ERR_TIMEOUT;
            n->counted.reads_failed++;
            PROBE(NODE_READ_TIMED_OUT);
            read->next = n->reads_done;
            n->reads_done = read;
            continue;
        }
        if (read->index == 0 &&
            (read->asked == 0 || now - read->asked >= n->cfg.raft.election_timeout)) {
            node_ask_read(n, read, now);
        }
        at = &read->next;
    }
}

/* Tells Raft of a sleep of the host, or a step of its clock: the clock that counts sleep has gained
 * on the one that does not. What is too short to be told stays in the difference and adds up. */
static void node_notice_sleep(struct node *n, nanos now)
{
    nanos ahead = now - world_awake(n->world); /* modulo, as the origins may differ */
    if ((int64_t)(ahead - n->clock_ahead) > (int64_t)NODE_SLEEP_MIN) {
        n->clock_ahead = ahead;
        PROBE(NODE_SLEPT);
        enum err ignored = node_tell(n, (struct raft_event){.type = RAFT_EVENT_SUSPENDED});
        (void)ignored;
    }
}

static void node_on_tick(struct world_timer *timer)
{
    struct node *n = timer->owner;
    if (n->state != NODE_RUNNING) {
        return;
    }
    nanos now = world_now(n->world);
    n->tick_due = now + n->cfg.raft.heartbeat_interval; /* whatever else Raft asks for meanwhile */
    node_notice_sleep(n, now);
    nanos stalled = wal_stalled_since(n->wal);
    struct raft_event disk = {.type = RAFT_EVENT_DISK};
    disk.stalled = n->lacks_space ? NANOS_FOREVER : u64_sub_sat(now, stalled);
    enum err ignored = node_tell(n, disk);
    ignored = node_tell(n, (struct raft_event){.type = RAFT_EVENT_TICK});
    (void)ignored;
    node_requests_tick(n, now);
    node_check_reads(n, now);
    node_persist_retry(n);
    node_persist_complete(n);
    if (n->state == NODE_RUNNING) {
        node_snapshot_tell(n);
        node_install_retry(n);
        node_upkeep(n);
    }
    node_pump(n);
    if (n->state == NODE_RUNNING && !timer->is_set) {
        world_timer_set(n->world, timer, n->tick_due);
    }
}

/* --- requests of the owner ------------------------------------------------------------------- */

static void node_on_turn(struct world_timer *timer)
{
    struct node *n = timer->owner;
    if (n->state == NODE_RUNNING) {
        node_propose_queued(n);
        node_pump(n);
    }
}

enum err node_read(struct node *n, struct node_read *read)
{
    if (n->state != NODE_RUNNING) {
        return ERR_CLOSED;
    }
    if (n->is_witness) {
        return ERR_REFUSED;
    }
    if (n->request_count == NODE_REQUESTS_MAX) {
        return ERR_BUSY;
    }
    n->request_count++;
    n->counted.reads++;
    nanos now = world_now(n->world);
    read->index = 0;
    read->deadline = now + n->cfg.request_timeout;
    read->next = n->reads;
    n->reads = read;
    node_ask_read(n, read, now);
    world_timer_set(n->world, &n->turn, now);
    return OK;
}

/* Reads whose index has been applied are answered. */
void node_answer_reads(struct node *n)
{
    struct node_read **at = &n->reads;
    while (*at) {
        struct node_read *read = *at;
        bool is_applied = read->index <= n->applied || MUTANT(READ_BEFORE_APPLY);
        if (read->index == 0 || !is_applied) {
            at = &read->next;
            continue;
        }
        *at = read->next;
        /* Since it asked, this node may have learned that it is a witness, and has no state. */
        read->result = n->is_witness ? ERR_REFUSED : OK;
        read->next = n->reads_done;
        n->reads_done = read;
    }
}

static enum err node_tell_and_turn(struct node *n, struct raft_event e)
{
    if (n->state != NODE_RUNNING) {
        return ERR_CLOSED;
    }
    enum err result = node_tell(n, e);
    world_timer_set(n->world, &n->turn, world_now(n->world));
    return result;
}

enum err node_change(struct node *n, const struct raft_conf_change *change)
{
    return node_tell_and_turn(n, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = change});
}

enum err node_transfer(struct node *n, node_id to)
{
    return node_tell_and_turn(n, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .node = to});
}

enum err node_campaign(struct node *n)
{
    return node_tell_and_turn(n, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
}

void node_take_snapshot(struct node *n)
{
    if (n->state == NODE_RUNNING) {
        n->snap_forced = true;
        world_timer_set(n->world, &n->turn, world_now(n->world));
    }
}

void node_stop(struct node *n)
{
    n->is_stopping = true;
    enum err ignored = node_tell_and_turn(n, (struct raft_event){.type = RAFT_EVENT_STOP});
    (void)ignored; /* nobody to hand over to: then nobody is lost */
}

/* --- life ------------------------------------------------------------------------------------ */

struct node *node_open(const struct world *world, const struct node_config *config,
                       const struct node_events *events)
{
    CHECK(strlen(config->dir) <= NODE_DIR_MAX_BYTES && config->peer_count <= NODE_PEERS_MAX);
    struct node *n = mem_alloc_zero(sizeof(*n));
    n->cfg = *config;
    n->world = world;
    n->events = *events;
    if (config->founders) {
        n->founders = *config->founders;
        n->cfg.founders = &n->founders;
    }
    n->state = NODE_RECOVERING;
    n->batches_end = &n->batches;
    node_requests_init(n);
    n->finished_end = &n->finished;
    n->pieces_end = &n->pieces;
    n->tick = (struct world_timer){.fire = node_on_tick, .owner = n};
    n->turn = (struct world_timer){.fire = node_on_turn, .owner = n};
    buf_init(&n->scratch);
    buf_init(&n->snap_block);
    buf_init(&n->name_bytes);
    node_start(n);
    return n;
}

void node_close(struct node *n)
{
    if (!n) {
        return;
    }
    node_ask_free(n);
    node_start_free(n);
    node_links_free(n);
    node_snapshot_free(n);
    node_install_free(n);
    node_loads_free(n);
    node_batches_free(n);
    node_upkeep_free(n);
    snapfile_forget(&n->snapfile_tasks);
    if (n->wal) {
        wal_free(n->wal);
    }
    raft_free(n->raft);
    if (n->store) {
        store_close(n->store);
    }
    buf_deinit(&n->scratch);
    buf_deinit(&n->snap_block);
    mem_free(n->wal_entries);
    mem_free(n);
}

void node_halt(struct node *n, enum err error, const char *why)
{
    if (n->state == NODE_HALTED) {
        return;
    }
    n->state = NODE_HALTED;
    if (n->events.halted) {
        n->events.halted(n->events.ctx, error, why);
    }
}

/* Recovery is over: takes part. */
void node_run(struct node *n)
{
    n->state = NODE_RUNNING;
    n->clock_ahead = world_now(n->world) - world_awake(n->world);
    n->running_since = world_now(n->world);
    n->lineage = node_lineage(n);
    node_links_open(n);
    node_upkeep_begin(n);
    enum err ignored = node_tell(n, (struct raft_event){.type = RAFT_EVENT_TICK});
    (void)ignored;
    if (n->events.ready) {
        n->events.ready(n->events.ctx, n->verdict, n->verdict_why);
    }
    world_timer_set(n->world, &n->tick, world_now(n->world));
    node_pump(n);
}

/* --- looking in ------------------------------------------------------------------------------ */

struct store *node_store(struct node *n)
{
    return n->state == NODE_RUNNING ? n->store : NULL;
}

bool node_is_ready(const struct node *n)
{
    return n->state == NODE_RUNNING;
}

bool node_is_halted(const struct node *n)
{
    return n->state == NODE_HALTED;
}

struct raft_status node_status(const struct node *n)
{
    CHECK(n->raft);
    return raft_status(n->raft);
}

raft_index node_applied(const struct node *n)
{
    return n->applied;
}

bool node_lacks_space(const struct node *n)
{
    return n->lacks_space;
}

void node_check(const struct node *n)
{
    if (n->state != NODE_RUNNING) {
        return;
    }
    raft_check(n->raft);
    CHECK(n->applied >= raft_status(n->raft).applied || n->is_loading ||
          raft_status(n->raft).installing);
    CHECK(n->wal_durable <= n->wal_seq);
}
