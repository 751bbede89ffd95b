/*
 * What a node does before it takes part: raises its boot number, loads the newest whole snapshot,
 * recovers the log, and starts Raft with what both are worth (recovery_table.h).
 *
 *     boot number --> snapshot --> log, verdict --> entries into Raft --> running
 *                                     |
 *                                     +--> halted: foreign, or unreadable
 *
 * The boot number is a file of eight bytes with their checksum, replaced by rename. It makes the
 * numbers of this life's requests and reads differ from those of any earlier one. If it is lost,
 * the world's random source makes a new one, far above.
 */
#include <string.h>

#include "core/base/crc.h"
#include "core/base/cursor.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/node/node_int.h"

#define START_BOOT_BYTES 12

/* Entries are read back in pieces of so many bytes of payload. */
#define START_READ_BYTES (4 * 1024 * 1024)

/* A founding snapshot: the group begins after this entry, or behind the last one that the state
 * holds which it is founded with. */
#define START_FOUNDING_INDEX 1
#define START_FOUNDING_TERM  1

struct node_start {
    struct node *node;
    struct world_file_request request;
    char boot_path[WORLD_PATH_MAX_BYTES];
    char boot_new[WORLD_PATH_MAX_BYTES];
    char parent[WORLD_PATH_MAX_BYTES];
    uint8_t boot_bytes[START_BOOT_BYTES];
    struct store_restore *restore;
    bool restore_failed;
    struct raft_snapshot snapshot; /* index 0: none */
    struct wal *peek; /* the log, before anything is told to others; NULL: it was not looked at */
    struct wal_recovery found;
    struct wal_read read;
    raft_index end; /* the last entry that can be loaded */
    bool bad_entry;
    struct snapfile_writer *founding;
    struct buf founding_bytes;
    size_t founding_put;
};

static void start_path(const struct node *n, const char *name, char path[WORLD_PATH_MAX_BYTES])
{
    size_t dir = strlen(n->cfg.dir);
    size_t len = strlen(name);
    CHECK(dir + len + 2 <= WORLD_PATH_MAX_BYTES);
    memcpy(path, n->cfg.dir, dir);
    path[dir] = '/';
    memcpy(path + dir + 1, name, len + 1);
}

static void start_submit(struct node_start *s, enum world_file_op op,
                         void (*done)(struct world_file_request *request))
{
    s->request.op = op;
    s->request.lane = WORLD_LANE_BULK;
    s->request.done = done;
    s->request.owner = s;
    world_submit(s->node->world, &s->request);
}

static bool start_ok(struct node_start *s, const char *why)
{
    if (s->request.result != OK) {
        node_halt(s->node, s->request.result, why);
        return false;
    }
    return true;
}

/* --- running --------------------------------------------------------------------------------- */

static void start_finish(struct node_start *s)
{
    struct node *n = s->node;
    if (s->bad_entry || raft_load_done(n->raft) != OK) {
        node_halt(n, ERR_CORRUPT, "the recovered log contradicts itself");
        return;
    }
    node_start_free(n);
    node_run(n);
}

/* --- entries into Raft ----------------------------------------------------------------------- */

static void start_load(struct node_start *s, const struct raft_entry *e, bool damaged)
{
    s->bad_entry = s->bad_entry || raft_load_entry(s->node->raft, e, damaged) != OK;
}

static void start_read_on(struct node_start *s);

static void start_on_entry(struct wal_read *read, const struct wal_entry *entry)
{
    struct node_start *s = read->owner;
    struct raft_entry e = {.index = entry->index,
                           .term = entry->term,
                           .type = (enum raft_entry_type)entry->type,
                           .payload = entry->payload};
    start_load(s, &e, false);
}

static void start_load_damaged(struct node_start *s)
{
    struct raft_entry e = {.index = s->read.lo,
                           .term = wal_state_term_at(wal_log(s->node->wal), s->read.lo)};
    start_load(s, &e, true);
    s->read.lo++;
}

/* The disk may fail at any time, so also between recovery's reading and this one: then the entry is
 * as good as one that was found damaged, and peers have it. */
static void start_on_read(struct wal_read *read, enum err result)
{
    struct node_start *s = read->owner;
    if (result == ERR_CORRUPT) {
        start_load_damaged(s);
    } else if (result != OK) {
        node_halt(s->node, result, "the recovered log cannot be read back");
        return;
    }
    start_read_on(s);
}

/* Reads from `read.lo` on; damaged entries whose term is known are told as such. */
static void start_read_on(struct node_start *s)
{
    struct node *n = s->node;
    const struct wal_state *state = wal_log(n->wal);
    while (s->read.lo <= s->end && wal_state_is_damaged(state, s->read.lo)) {
        start_load_damaged(s);
    }
    if (s->read.lo > s->end || s->bad_entry) {
        start_finish(s);
        return;
    }
    s->read.hi = s->end;
    for (size_t i = 0; i < state->damage_count; i++) {
        if (state->damage[i].lo > s->read.lo && state->damage[i].lo <= s->read.hi) {
            s->read.hi = state->damage[i].lo - 1;
            break;
        }
    }
    s->read.bytes_max = START_READ_BYTES;
    s->read.entry = start_on_entry;
    s->read.done = start_on_read;
    s->read.owner = s;
    enum err e = wal_read(n->wal, &s->read);
    if (e != OK) {
        node_halt(n, e, "the recovered log cannot be read back");
    }
}

/* From where on nothing is known, 0 where all is: the first damaged entry without a term, or
 * everything behind a log that ends in doubt. */
static raft_index start_lost_from(const struct wal_recovery *found)
{
    const struct wal_state *state = found->state;
    if (found->verdict == RECOVERY_WIPED) {
        return 1;
    }
    for (size_t i = 0; i < state->damage_count; i++) {
        for (uint64_t k = state->damage[i].lo; k <= state->damage[i].hi; k++) {
            if (wal_state_term_at(state, k) == 0) {
                return k;
            }
        }
    }
    return state->in_doubt ? u64_max(state->doubt_lo, 1) : 0;
}

static void start_raft(struct node_start *s)
{
    struct node *n = s->node;
    const struct wal_state *state = s->found.state;
    struct raft_saved saved = {.snapshot = s->snapshot, .applied = s->snapshot.index};
    saved.hard_state =
        (struct raft_hard_state){state->hard.term, state->hard.vote, state->hard.commit};
    saved.lost_from = start_lost_from(&s->found);
    saved.lost_vote = s->found.verdict == RECOVERY_WIPED || state->in_doubt;
    s->end = state->last_index;
    if (MUTANT(DOUBT_TAKEN_FOR_TORN) && state->in_doubt) {
        saved.lost_from = 0;
        saved.lost_vote = false;
    }
    if (MUTANT(DAMAGE_TRUNCATED) && state->damage_count > 0) {
        saved.lost_from = state->damage[0].lo;
    }
    if (saved.lost_from != 0) {
        s->end = u64_min(s->end, saved.lost_from - 1);
        saved.lost_from = u64_max(saved.lost_from, s->snapshot.index + 1);
    }
    if (MUTANT(DAMAGE_TRUNCATED) ||
        (MUTANT(AMNESIAC_VOTER) && s->found.verdict == RECOVERY_WIPED)) {
        saved.lost_from = 0;
        saved.lost_vote = false;
        saved.hard_state.commit = u64_min(saved.hard_state.commit, s->end);
    }
    if (MUTANT(APPLIED_WITHOUT_DATA)) {
        saved.applied = u64_max(saved.applied, u64_min(saved.hard_state.commit, s->end));
    }
    n->cfg.raft.id = n->cfg.id;
    uint8_t seed[8];
    n->world->random->fill(n->world->self, seed, sizeof(seed));
    memcpy(&n->cfg.raft.seed, seed, sizeof(seed));
    n->raft = raft_new(&n->cfg.raft, &saved, world_now(n->world));
    n->applied = saved.applied;
    n->snap_bytes = s->snapshot.size;
    n->applied_term = s->snapshot.term;
    n->read_id = n->boot << 32;
    const struct raft_member *own =
        raft_membership_lookup(raft_status(n->raft).membership, n->cfg.id);
    n->is_witness = own && (own->roles & RAFT_WITNESS);
    s->read.lo = s->snapshot.index + 1;
    start_read_on(s);
}

/* --- the founding snapshot ------------------------------------------------------------------- */

/* It is durable: the log begins behind it. */
static void start_on_founded(void *ctx, enum err result)
{
    struct node_start *s = ctx;
    struct node *n = s->node;
    s->founding = NULL;
    if (result != OK) {
        node_halt(n, result, "the snapshot that founds the group could not be written");
        return;
    }
    if (!node_persist_marker(n, &s->snapshot)) {
        node_halt(n, ERR_BUSY, "the log of a new group took no marker");
        return;
    }
    s->found.state = wal_log(n->wal);
    start_raft(s);
}

static void start_put_founding(void *ctx)
{
    struct node_start *s = ctx;
    while (s->founding_put < s->founding_bytes.len) {
        size_t left = s->founding_bytes.len - s->founding_put;
        size_t len = left < SNAPFILE_BLOCK_PAYLOAD ? left : SNAPFILE_BLOCK_PAYLOAD;
        struct bytes piece = {s->founding_bytes.data + s->founding_put, len};
        if (snapfile_put(s->founding, piece) != OK) {
            return; /* called again when there is room */
        }
        s->founding_put += len;
    }
    snapfile_finish(s->founding, start_on_founded);
}

/* Takes the state that the group is founded with into the place of the empty one. */
static bool start_take_state(struct node *n)
{
    struct store_restore *restore = node_restore_begin(n);
    struct store *store = NULL;
    if (store_restore_feed(restore, n->cfg.founding_state) != OK ||
        store_restore_finish(restore, &store) != OK) {
        store_restore_abort(restore);
        return false;
    }
    store_close(n->store);
    n->store = store;
    return true;
}

/* Every founder writes the same beginning: an empty state or the one it is given, and who the
 * members are. If it dies before that is durable, it does it again. */
static void start_found(struct node_start *s)
{
    struct node *n = s->node;
    if (n->cfg.founding_state.len > 0 && !start_take_state(n)) {
        node_halt(n, ERR_CORRUPT, "the state to found the group with cannot be read");
        return;
    }
    raft_index index = u64_max(store_applied_index(n->store), START_FOUNDING_INDEX);
    const struct raft_member *own = raft_membership_lookup(n->cfg.founders, n->cfg.id);
    if (own && (own->roles & RAFT_WITNESS)) {
        store_close(n->store); /* it begins behind the same entry, and has no state */
        n->store = store_open(n->cfg.feature_level);
    }
    struct store_snapshot *snap = store_snapshot_begin(n->store);
    while (store_snapshot_step(snap, NODE_SNAPSHOT_BUDGET, &s->founding_bytes) == ERR_PENDING) {
    }
    store_snapshot_end(snap);
    s->snapshot = node_snapshot_name(n, n->store, index, START_FOUNDING_TERM, n->cfg.founders,
                                     s->founding_bytes.len);
    struct buf membership;
    buf_init(&membership);
    node_snapshot_membership(&s->snapshot, &membership);
    s->founding = snapfile_create(&n->place, index, START_FOUNDING_TERM, buf_view(&membership),
                                  start_put_founding, s);
    buf_deinit(&membership);
    start_put_founding(s);
}

/* --- the log --------------------------------------------------------------------------------- */

/* There is none, or one in which nothing was ever promised. */
static bool start_log_is_empty(const struct wal_recovery *found)
{
    const struct wal_state *state = found->state;
    return found->verdict == RECOVERY_EMPTY ||
           (recovery_may_vote(found->verdict) && state->base_index == 0 && state->last_index == 0 &&
            state->hard.term == 0 && !state->in_doubt);
}

/* A founder that never was part of the group: on an empty disk, or one on which its first start
 * came no further than an empty log. It cannot have promised anything. */
static bool start_is_founding(const struct node_start *s)
{
    const struct node_config *cfg = &s->node->cfg;
    bool empty =
        s->found.verdict == RECOVERY_EMPTY || (!cfg->is_member && start_log_is_empty(&s->found));
    return cfg->founders && empty && s->snapshot.index == 0;
}

static void start_on_recovered(void *owner, const struct wal_recovery *found)
{
    struct node_start *s = owner;
    struct node *n = s->node;
    s->found = *found;
    n->verdict = found->verdict;
    n->verdict_why = found->why;
    if (!recovery_may_run(found->verdict)) {
        node_halt(n, found->error == OK ? ERR_CORRUPT : found->error, found->why);
        return;
    }
    if (start_is_founding(s)) {
        start_found(s);
    } else {
        start_raft(s);
    }
}

static void start_log(struct node_start *s)
{
    struct node *n = s->node;
    struct wal_config config = {.dir = n->wal_dir,
                                .cluster = n->cfg.cluster,
                                .node = n->cfg.id,
                                .is_member = n->cfg.is_member,
                                .segment_bytes = n->cfg.segment_bytes,
                                .batch_bytes = n->cfg.batch_bytes,
                                .reserve_bytes = n->cfg.reserve_bytes};
    struct wal_events events = node_wal_events(n);
    n->wal = wal_new(n->world, &config, &events);
    struct wal_scan_sink none;
    memset(&none, 0, sizeof(none));
    wal_recover(n->wal, s->snapshot.index, s->snapshot.term, &none, start_on_recovered, s);
}

/* --- the snapshot ---------------------------------------------------------------------------- */

static void start_on_snapshot_begin(void *ctx, const struct snapfile_meta *meta)
{
    struct node_start *s = ctx;
    (void)meta;
    if (s->restore) {
        store_restore_abort(s->restore);
    }
    s->restore = node_restore_begin(s->node);
    s->restore_failed = false;
}

static void start_on_snapshot_payload(void *ctx, uint64_t offset, struct bytes payload)
{
    struct node_start *s = ctx;
    (void)offset;
    s->restore_failed = s->restore_failed || store_restore_feed(s->restore, payload) != OK;
}

/* With an empty log, it founds; or its disk is a lost one. */
static void start_on_asked(void *ctx, bool is_member)
{
    struct node_start *s = ctx;
    node_ask_end(s->node);
    s->node->cfg.is_member = is_member;
    start_log(s);
}

/* The log has nothing either: so this one is new, or has lost everything. */
static void start_on_peeked(void *owner, const struct wal_recovery *found)
{
    struct node_start *s = owner;
    if (start_log_is_empty(found)) {
        node_ask_begin(s->node, start_on_asked, s);
    } else {
        start_log(s);
    }
}

/* Nobody is told that this one is new before its log was looked at, without touching it. */
static void start_peek(struct node_start *s)
{
    struct node *n = s->node;
    const struct wal_config config = {.dir = n->wal_dir,
                                      .cluster = n->cfg.cluster,
                                      .node = n->cfg.id,
                                      .is_read_only = true,
                                      .segment_bytes = n->cfg.segment_bytes,
                                      .batch_bytes = n->cfg.batch_bytes,
                                      .reserve_bytes = n->cfg.reserve_bytes};
    const struct wal_events events = {.ctx = n};
    const struct wal_scan_sink none = {.ctx = NULL};
    s->peek = wal_new(n->world, &config, &events);
    wal_recover(s->peek, 0, 0, &none, start_on_peeked, s);
}

/* None is whole. Damaged ones say that this node took part: what they held must come from peers,
 * and the group must not be founded over them. */
static void start_without_snapshot(struct node_start *s, bool has_damaged)
{
    struct node *n = s->node;
    if (s->restore) {
        store_restore_abort(s->restore);
        s->restore = NULL;
    }
    n->cfg.is_member = n->cfg.is_member || has_damaged;
    PROBE(NODE_NO_SNAPSHOT);
    const struct store_history history = node_history(n);
    n->store = store_open(n->cfg.feature_level);
    store_keep_history(n->store, &history);
    if (node_ask_is_due(n)) {
        start_peek(s);
    } else {
        start_log(s);
    }
}

static void start_on_snapshot_named(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the directory of the snapshots could not be synced")) {
        start_log(s);
    }
}

static void start_on_snapshot(void *ctx, const struct snapfile_found *found)
{
    struct node_start *s = ctx;
    struct node *n = s->node;
    if (found->result == ERR_NOT_FOUND || found->result == ERR_CORRUPT) {
        start_without_snapshot(s, found->damaged > 0);
        return;
    }
    struct raft_snapshot name;
    bool good = found->result == OK && s->restore && !s->restore_failed &&
                raft_snapshot_decode(found->meta.membership, &name) == OK &&
                store_restore_finish(s->restore, &n->store) == OK;
    if (!good) {
        node_halt(n, found->result == OK ? ERR_CORRUPT : found->result,
                  "the newest whole snapshot does not hold a state that this program can read");
        return;
    }
    s->restore = NULL;
    s->snapshot = node_snapshot_name(n, n->store, found->meta.index, found->meta.term,
                                     &name.membership, found->meta.payload_bytes);
    /* The log may give way to it: its name must outlive the power, and whoever named it may have
     * died before that was so. */
    s->request.path = n->snap_dir;
    start_submit(s, WORLD_SYNC_DIR, start_on_snapshot_named);
}

static void start_snapshot(struct node_start *s)
{
    struct snapfile_sink sink = {.ctx = s,
                                 .begin = start_on_snapshot_begin,
                                 .payload = start_on_snapshot_payload,
                                 .done = start_on_snapshot};
    snapfile_load(&s->node->place, &sink);
}

/* --- the boot number ------------------------------------------------------------------------- */

static void start_on_boot_named(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the boot number could not be made durable")) {
        start_snapshot(s);
    }
}

static void start_on_boot_renamed(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the boot number could not be put in place")) {
        s->request.path = s->node->cfg.dir;
        start_submit(s, WORLD_SYNC_DIR, start_on_boot_named);
    }
}

static void start_on_boot_closed(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    s->request.path = s->boot_new;
    s->request.path_to = s->boot_path;
    start_submit(s, WORLD_RENAME, start_on_boot_renamed);
}

static void start_on_boot_synced(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the boot number could not be synced")) {
        start_submit(s, WORLD_CLOSE, start_on_boot_closed);
    }
}

static void start_on_boot_written(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the boot number could not be written")) {
        start_submit(s, WORLD_SYNC, start_on_boot_synced);
    }
}

static void start_on_boot_created(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (!start_ok(s, "the boot number's file could not be created")) {
        return;
    }
    struct buf b;
    buf_init(&b);
    buf_put_u64(&b, s->node->boot);
    buf_put_u32(&b, crc32c(0, b.data, b.len));
    memcpy(s->boot_bytes, b.data, START_BOOT_BYTES);
    buf_deinit(&b);
    s->request.buffer = s->boot_bytes;
    s->request.length = START_BOOT_BYTES;
    s->request.offset = 0;
    start_submit(s, WORLD_WRITE, start_on_boot_written);
}

static void start_on_boot_unlinked(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    s->request.path = s->boot_new; /* an earlier attempt may have left one */
    s->request.flags = WORLD_OPEN_WRITE | WORLD_OPEN_CREATE;
    start_submit(s, WORLD_OPEN, start_on_boot_created);
}

/* The number leaps: on a disk that is as it was some time ago, a count by one would give this life
 * the number of one that came since, and its requests would be taken for copies of that one's. */
static void start_write_boot(struct node_start *s, uint64_t before)
{
    uint8_t bytes[4];
    s->node->world->random->fill(s->node->world->self, bytes, sizeof(bytes));
    uint32_t leap;
    memcpy(&leap, bytes, sizeof(leap));
    s->node->boot = before + (MUTANT(BOOT_REUSED) ? 0 : 1 + (uint64_t)leap);
    s->request.path = s->boot_new;
    start_submit(s, WORLD_UNLINK, start_on_boot_unlinked);
}

/* No boot number, or a damaged one: begins at a random place. If an earlier life is beyond it, this
 * one learns so from the store (request_check_boot). */
static void start_draw_boot(struct node_start *s)
{
    uint8_t bytes[4];
    s->node->world->random->fill(s->node->world->self, bytes, sizeof(bytes));
    uint32_t drawn;
    memcpy(&drawn, bytes, sizeof(drawn));
    start_write_boot(s, (uint64_t)(drawn & 0x3fffffff) << 1);
    PROBE(NODE_BOOT_DRAWN);
}

static void start_on_boot_read_closed(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    struct cursor c;
    cursor_init(&c, (struct bytes){s->boot_bytes, START_BOOT_BYTES});
    uint64_t boot = cursor_u64(&c);
    if (cursor_u32(&c) == crc32c(0, s->boot_bytes, sizeof(boot))) {
        start_write_boot(s, boot);
    } else {
        start_draw_boot(s);
    }
}

static void start_on_boot_read(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (s->request.result != OK || s->request.count != START_BOOT_BYTES) {
        memset(s->boot_bytes, 0xff, START_BOOT_BYTES);
    }
    start_submit(s, WORLD_CLOSE, start_on_boot_read_closed);
}

static void start_on_boot_opened(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (s->request.result == ERR_NOT_FOUND) {
        start_draw_boot(s);
        return;
    }
    if (start_ok(s, "the boot number's file could not be opened")) {
        s->request.buffer = s->boot_bytes;
        s->request.length = START_BOOT_BYTES;
        s->request.offset = 0;
        start_submit(s, WORLD_READ, start_on_boot_read);
    }
}

static void start_on_dir_durable(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (start_ok(s, "the node's directory could not be made durable")) {
        s->request.path = s->boot_path;
        s->request.flags = 0;
        start_submit(s, WORLD_OPEN, start_on_boot_opened);
    }
}

/* The directory that holds the node's; "" for the world's root. */
static void start_parent(const struct node *n, char path[WORLD_PATH_MAX_BYTES])
{
    size_t len = strlen(n->cfg.dir);
    while (len > 0 && n->cfg.dir[len] != '/') {
        len--;
    }
    memcpy(path, n->cfg.dir, len);
    path[len] = '\0';
}

static void start_on_dir(struct world_file_request *request)
{
    struct node_start *s = request->owner;
    if (s->request.result != OK && s->request.result != ERR_EXISTS) {
        node_halt(s->node, s->request.result, "the node's directory could not be made");
        return;
    }
    /* Also where it was there: an earlier life may have died between the two. */
    start_parent(s->node, s->parent);
    s->request.path = s->parent;
    start_submit(s, WORLD_SYNC_DIR, start_on_dir_durable);
}

void node_start(struct node *n)
{
    struct node_start *s = mem_alloc_zero(sizeof(*s));
    s->node = n;
    n->start = s;
    start_path(n, "wal", n->wal_dir);
    start_path(n, "snap", n->snap_dir);
    start_path(n, "boot", s->boot_path);
    start_path(n, "boot.new", s->boot_new);
    n->place = (struct snapfile_place){.world = n->world,
                                       .dir = n->snap_dir,
                                       .cluster = n->cfg.cluster,
                                       .tasks = &n->snapfile_tasks};
    s->request.path = n->cfg.dir;
    start_submit(s, WORLD_MKDIR, start_on_dir);
}

void node_start_free(struct node *n)
{
    struct node_start *s = n->start;
    if (s) {
        if (s->peek) {
            wal_free(s->peek);
        }
        if (s->restore) {
            store_restore_abort(s->restore);
        }
        wal_read_deinit(&s->read);
        buf_deinit(&s->founding_bytes);
        mem_free(s);
        n->start = NULL;
    }
}
