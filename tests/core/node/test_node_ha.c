/* The store of HA on a node: the feed, transactions, confirmations and notes. */
#include "core/node/node_ha.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define DESKS 3
#define KEYS  64

/* One member, and what its feed has told. */
struct desk {
    struct simworld *sim;
    struct simhost *host;
    struct node *node;
    struct node_ha *ha;
    struct ha_feed feed;
    char key[KEYS][32];
    int64_t mod[KEYS];
    char value[KEYS][16];
    uint32_t n; /* keys that exist, as told */
    uint32_t began;
    int64_t reached;
    uint32_t notes;
    node_id note_from;
    uint32_t leader_changes;
    bool has_done;
    bool has_confirmed;
    bool was_told_first; /* the feed knew of the change when `done` came */
};

struct office {
    struct simworld *sim;
    struct desk desk[DESKS];
    struct raft_membership founders;
    uint64_t snapshot_entries;
};

static void desk_on_began(void *ctx)
{
    struct desk *d = ctx;
    d->n = 0;
    d->began++;
}

static uint32_t desk_find(const struct desk *d, struct bytes key)
{
    uint32_t i = 0;
    while (i < d->n &&
           (strlen(d->key[i]) != key.len || memcmp(d->key[i], key.data, key.len) != 0)) {
        i++;
    }
    return i;
}

static void desk_on_changed(void *ctx, const struct ha_change *change)
{
    struct desk *d = ctx;
    uint32_t i = desk_find(d, change->key);
    assert_true(change->mod_revision > 0);
    if (change->is_delete) {
        assert_true(i < d->n);
        d->n--;
        memmove(&d->key[i], &d->key[d->n], sizeof(d->key[i]));
        memmove(&d->value[i], &d->value[d->n], sizeof(d->value[i]));
        d->mod[i] = d->mod[d->n];
        return;
    }
    assert_true(i < KEYS);
    assert_true(change->create_revision > 0 && change->create_revision <= change->mod_revision);
    assert_true(i == d->n || d->mod[i] < change->mod_revision);
    d->n += i == d->n;
    memset(d->key[i], 0, sizeof(d->key[i]));
    memset(d->value[i], 0, sizeof(d->value[i]));
    memcpy(d->key[i], change->key.data, change->key.len);
    memcpy(d->value[i], change->value.data, change->value.len);
    d->mod[i] = change->mod_revision;
}

static void desk_on_reached(void *ctx, int64_t revision)
{
    struct desk *d = ctx;
    assert_true(revision >= d->reached);
    d->reached = revision;
}

static void desk_on_leader(void *ctx)
{
    struct desk *d = ctx;
    d->leader_changes++;
}

static void desk_on_noted(void *ctx, node_id from, struct bytes note)
{
    struct desk *d = ctx;
    assert_true(ha_note_is(note));
    d->notes++;
    d->note_from = from;
}

static void desk_node_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct desk *d = ctx;
    (void)verdict;
    (void)why;
    node_ha_ready(d->ha);
}

static void desk_node_leader(void *ctx, enum raft_role role, node_id leader, raft_term term)
{
    struct desk *d = ctx;
    (void)role;
    (void)leader;
    (void)term;
    node_ha_leader_changed(d->ha);
}

static void desk_node_advanced(void *ctx)
{
    struct desk *d = ctx;
    node_ha_advanced(d->ha);
}

static void desk_node_note(void *ctx, node_id from, struct bytes note)
{
    struct desk *d = ctx;
    assert_true(node_ha_note(d->ha, from, note));
}

static void desk_open(struct office *o, uint32_t i)
{
    struct desk *d = &o->desk[i];
    struct node_config config = node_config_default(i + 1);
    const struct node_events events = {.ctx = d,
                                       .ready = desk_node_ready,
                                       .leader_changed = desk_node_leader,
                                       .advanced = desk_node_advanced,
                                       .note = desk_node_note};
    config.dir = "node";
    config.cluster = 77;
    config.founders = &o->founders;
    config.port = 2380;
    config.peer_count = DESKS;
    config.segment_bytes = 16 * 1024 * 1024;
    config.snapshot_entries = o->snapshot_entries;
    config.snapshot_entries_max = o->snapshot_entries;
    config.tail_entries = 5;
    for (uint32_t k = 0; k < DESKS; k++) {
        config.peers[k].id = k + 1;
        memcpy(config.peers[k].at.host, simhost_name(o->desk[k].host), 7);
        config.peers[k].at.port = 2380;
    }
    d->feed = (struct ha_feed){.ctx = d,
                               .began = desk_on_began,
                               .changed = desk_on_changed,
                               .reached = desk_on_reached,
                               .leader_changed = desk_on_leader,
                               .noted = desk_on_noted};
    d->reached = 0;
    d->ha = node_ha_open(simhost_world(d->host), i + 1);
    node_ha_store(d->ha)->ops->feed(node_ha_store(d->ha)->self, &d->feed);
    d->node = node_open(simhost_world(d->host), &config, &events);
    node_ha_attach(d->ha, d->node);
}

static void desk_close(struct desk *d)
{
    simhost_kill(d->host);
    node_ha_close(d->ha);
    node_close(d->node);
    d->node = NULL;
}

static void office_run(struct office *o, nanos span)
{
    simworld_run(o->sim, simworld_now(o->sim) + span);
}

static struct desk *office_leader(struct office *o)
{
    for (uint32_t tries = 0; tries < 1000; tries++) {
        for (uint32_t i = 0; i < DESKS; i++) {
            struct desk *d = &o->desk[i];
            if (d->node != NULL &&
                node_ha_store(d->ha)->ops->leads(node_ha_store(d->ha)->self).is_self) {
                return d;
            }
        }
        office_run(o, 10 * NANOS_PER_MS);
    }
    assert_true(false);
    return NULL;
}

static void office_init(struct office *o, uint64_t seed, uint64_t snapshot_entries)
{
    static const char *const names[DESKS] = {"desk-0", "desk-1", "desk-2"};
    memset(o, 0, sizeof(*o));
    o->sim = simworld_new(seed);
    o->snapshot_entries = snapshot_entries;
    for (uint32_t i = 0; i < DESKS; i++) {
        o->desk[i].host = simhost_new(o->sim, names[i], 64ULL * 1024 * 1024);
        raft_membership_insert(&o->founders, i + 1, RAFT_VOTER);
    }
    for (uint32_t i = 0; i < DESKS; i++) {
        desk_open(o, i);
    }
    (void)office_leader(o);
}

static void office_deinit(struct office *o)
{
    for (uint32_t i = 0; i < DESKS; i++) {
        if (o->desk[i].node != NULL) {
            desk_close(&o->desk[i]);
        }
    }
    simworld_free(o->sim);
}

static struct bytes desk_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* --- transactions ----------------------------------------------------------------------------- */

static void desk_on_done(struct ha_txn *txn)
{
    struct desk *d = txn->owner;
    d->has_done = true;
    d->was_told_first = d->reached >= txn->revision;
}

static enum ha_txn_outcome desk_commit(struct office *o, struct desk *d, struct ha_txn *txn)
{
    d->has_done = false;
    txn->done = desk_on_done;
    txn->owner = d;
    node_ha_store(d->ha)->ops->submit(node_ha_store(d->ha)->self, txn);
    assert_false(d->has_done); /* never inside the call */
    for (uint32_t i = 0; i < 3000 && !d->has_done; i++) {
        office_run(o, 10 * NANOS_PER_MS);
    }
    assert_true(d->has_done);
    return txn->outcome;
}

static enum ha_txn_outcome desk_put(struct office *o, struct desk *d, const char *key,
                                    const char *value, int64_t guard, int64_t *revision)
{
    struct ha_txn txn;
    ha_txn_init(&txn);
    ha_txn_guard(&txn, desk_text(key), guard);
    ha_txn_put(&txn, desk_text(key), desk_text(value));
    enum ha_txn_outcome outcome = desk_commit(o, d, &txn);
    if (revision != NULL) {
        *revision = txn.revision;
    }
    ha_txn_deinit(&txn);
    return outcome;
}

static void writes_only_where_its_guards_hold(void **state)
{
    struct office o;
    int64_t revision = 0;
    (void)state;
    office_init(&o, 1, 1000000);
    struct desk *d = office_leader(&o);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "1", 0, &revision), HA_TXN_APPLIED);
    assert_true(d->was_told_first);
    assert_int_equal(d->n, 1);
    assert_int_equal(d->mod[0], revision);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "2", 0, NULL), HA_TXN_STALE);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "2", revision - 1, NULL), HA_TXN_STALE);
    assert_string_equal(d->value[0], "1");
    assert_int_equal(desk_put(&o, d, "/novacron/a", "3", revision, NULL), HA_TXN_APPLIED);
    assert_string_equal(d->value[0], "3");

    struct ha_txn txn;
    ha_txn_init(&txn);
    ha_txn_delete(&txn, desk_text("/novacron/a"));
    ha_txn_put(&txn, desk_text("/novacron/b"), desk_text("4"));
    ha_txn_put(&txn, desk_text("/other/c"), desk_text("5"));
    assert_int_equal(desk_commit(&o, d, &txn), HA_TXN_APPLIED);
    ha_txn_deinit(&txn);
    office_run(&o, NANOS_PER_S);
    for (uint32_t i = 0; i < DESKS; i++) {
        assert_int_equal(o.desk[i].n, 1);
        assert_string_equal(o.desk[i].key[0], "/novacron/b");
        assert_int_equal(o.desk[i].began, 1);
    }
    office_deinit(&o);
}

static void tells_all_there_is_to_who_begins_later(void **state)
{
    struct office o;
    (void)state;
    office_init(&o, 2, 1000000);
    struct desk *d = office_leader(&o);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[32] = "/novacron/k00";
        key[11] = (char)('0' + i / 10);
        key[12] = (char)('0' + i % 10);
        assert_int_equal(desk_put(&o, d, key, "x", 0, NULL), HA_TXN_APPLIED);
    }
    struct desk *other = &o.desk[d == &o.desk[0] ? 1 : 0];
    desk_close(other);
    desk_open(&o, (uint32_t)(other - o.desk));
    office_run(&o, 5 * NANOS_PER_S);
    assert_int_equal(other->n, KEYS);
    office_deinit(&o);
}

/* Without an end of what is under way. */
static void tells_all_anew_to_who_asks_for_it(void **state)
{
    struct office o;
    int64_t revision = 0;
    (void)state;
    office_init(&o, 9, 1000000);
    struct desk *d = office_leader(&o);
    const struct ha_store *store = node_ha_store(d->ha);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "1", 0, &revision), HA_TXN_APPLIED);
    d->n = 0; /* as one that has not kept it */
    store->ops->anew(store->self);
    assert_int_equal(d->began, 1); /* never inside the call */
    assert_int_equal(desk_put(&o, d, "/novacron/b", "2", 0, NULL), HA_TXN_APPLIED);
    assert_true(d->was_told_first);
    assert_int_equal(d->began, 2);
    assert_int_equal(d->n, 2);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "3", revision, NULL), HA_TXN_APPLIED);
    assert_int_equal(d->began, 2);
    assert_int_equal(d->n, 2);
    office_deinit(&o);
}

static void desk_on_compacted(struct node_request *request)
{
    struct desk *d = request->owner;
    assert_int_equal(request->result, OK);
    assert_int_equal(request->status, STORE_OK);
    d->has_done = true;
}

static void desk_compact(struct office *o, struct desk *d, int64_t revision)
{
    struct buf body;
    buf_init(&body);
    buf_put_u8(&body, 1 << 3); /* CompactionRequest.revision */
    buf_put_varint(&body, (uint64_t)revision);
    struct node_request request = {.kind = STORE_KIND_COMPACTION,
                                   .body = buf_view(&body),
                                   .done = desk_on_compacted,
                                   .owner = d};
    d->has_done = false;
    assert_int_equal(node_propose(d->node, &request), OK);
    for (uint32_t i = 0; i < 1000 && !d->has_done; i++) {
        office_run(o, 10 * NANOS_PER_MS);
    }
    assert_true(d->has_done);
    buf_deinit(&body);
}

/* While one was away the others have compacted what it missed: it installs a snapshot. */
static void begins_anew_where_the_history_is_gone(void **state)
{
    struct office o;
    (void)state;
    office_init(&o, 3, 20);
    struct desk *d = office_leader(&o);
    struct desk *other = &o.desk[d == &o.desk[0] ? 1 : 0];
    assert_int_equal(desk_put(&o, d, "/novacron/gone", "x", 0, NULL), HA_TXN_APPLIED);
    office_run(&o, NANOS_PER_S);
    assert_int_equal(other->n, 1);
    for (uint32_t i = 0; i < DESKS; i++) {
        if (&o.desk[i] != other) {
            simnet_cut(other->host, o.desk[i].host, true);
        }
    }
    struct ha_txn txn;
    ha_txn_init(&txn);
    ha_txn_delete(&txn, desk_text("/novacron/gone"));
    assert_int_equal(desk_commit(&o, d, &txn), HA_TXN_APPLIED);
    int64_t revision = txn.revision;
    ha_txn_deinit(&txn);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(desk_put(&o, d, "/novacron/k", "x", i == 0 ? 0 : revision, &revision),
                         HA_TXN_APPLIED);
    }
    desk_compact(&o, d, revision);
    for (uint32_t i = 0; i < DESKS; i++) {
        if (&o.desk[i] != other) {
            simnet_cut(other->host, o.desk[i].host, false);
        }
    }
    office_run(&o, 40 * NANOS_PER_S);
    assert_int_equal(other->began, 2); /* its watch was canceled */
    assert_int_equal(other->reached, d->reached);
    assert_int_equal(other->n, 1);
    assert_string_equal(other->key[0], "/novacron/k");
    office_deinit(&o);
}

/* --- confirmations ---------------------------------------------------------------------------- */

static void desk_on_confirmed(struct ha_confirm *confirm)
{
    struct desk *d = confirm->owner;
    d->has_confirmed = true;
}

static struct ha_confirm desk_confirm(struct office *o, struct desk *d)
{
    struct ha_confirm confirm = {.done = desk_on_confirmed, .owner = d};
    d->has_confirmed = false;
    node_ha_store(d->ha)->ops->confirm(node_ha_store(d->ha)->self, &confirm);
    for (uint32_t i = 0; i < 3000 && !d->has_confirmed; i++) {
        office_run(o, 10 * NANOS_PER_MS);
    }
    assert_true(d->has_confirmed);
    return confirm;
}

static void confirms_who_leads_and_nobody_who_was_deposed(void **state)
{
    struct office o;
    (void)state;
    office_init(&o, 4, 1000000);
    struct desk *d = office_leader(&o);
    struct ha_confirm confirm = desk_confirm(&o, d);
    assert_int_equal(confirm.result, OK);
    assert_true(confirm.is_leader);
    assert_int_equal(confirm.revision, d->reached);
    struct desk *other = &o.desk[d == &o.desk[0] ? 1 : 0];
    confirm = desk_confirm(&o, other);
    assert_int_equal(confirm.result, OK);
    assert_false(confirm.is_leader);

    for (uint32_t i = 0; i < DESKS; i++) {
        if (&o.desk[i] != d) {
            simnet_cut(d->host, o.desk[i].host, true);
        }
    }
    confirm = desk_confirm(&o, d);
    assert_false(confirm.is_leader);
    office_deinit(&o);
}

static void desk_begin_barrier(struct desk *d, struct ha_confirm *barrier)
{
    *barrier = (struct ha_confirm){.done = desk_on_confirmed, .owner = d, .result = ERR_BUSY};
    d->has_confirmed = false;
    node_ha_store(d->ha)->ops->barrier(node_ha_store(d->ha)->self, barrier);
    assert_false(d->has_confirmed); /* never inside the call */
}

/* The other disks stand, and heartbeats are answered. */
static void barrier_waits_for_what_is_in_the_log(void **state)
{
    struct office o;
    struct ha_confirm barrier;
    (void)state;
    office_init(&o, 7, 1000000);
    struct desk *d = office_leader(&o);
    struct desk *other = &o.desk[d == &o.desk[0] ? 1 : 0];
    office_run(&o, NANOS_PER_S);
    desk_begin_barrier(d, &barrier);
    office_run(&o, NANOS_PER_MS);
    assert_true(d->has_confirmed);
    assert_int_equal(barrier.result, OK);
    assert_true(barrier.is_leader);
    desk_begin_barrier(other, &barrier);
    office_run(&o, NANOS_PER_MS);
    assert_true(other->has_confirmed);
    assert_int_equal(barrier.result, ERR_NOT_LEADER);

    for (uint32_t i = 0; i < DESKS; i++) {
        if (&o.desk[i] != d) {
            simhost_stall_disk(o.desk[i].host, simworld_now(o.sim) + 20 * NANOS_PER_S);
        }
    }
    const int64_t before = d->reached;
    assert_int_equal(desk_put(&o, d, "/novacron/a", "1", 0, NULL), HA_TXN_UNKNOWN);
    const struct ha_confirm confirm = desk_confirm(&o, d);
    assert_int_equal(confirm.result, OK);
    assert_true(confirm.is_leader);
    assert_int_equal(confirm.revision, before);
    desk_begin_barrier(d, &barrier);
    office_run(&o, 10 * NANOS_PER_S);
    assert_false(d->has_confirmed);
    office_run(&o, 10 * NANOS_PER_S);
    assert_true(d->has_confirmed);
    assert_int_equal(barrier.result, OK);
    assert_true(barrier.is_leader);
    assert_int_equal(barrier.revision, before + 1);
    assert_int_equal(d->n, 1);
    office_deinit(&o);
}

static void barrier_ends_with_its_term(void **state)
{
    struct office o;
    struct ha_confirm barrier;
    (void)state;
    office_init(&o, 8, 1000000);
    struct desk *d = office_leader(&o);
    office_run(&o, NANOS_PER_S);
    for (uint32_t i = 0; i < DESKS; i++) {
        if (&o.desk[i] != d) {
            simnet_cut(d->host, o.desk[i].host, true);
        }
    }
    struct ha_txn txn;
    ha_txn_init(&txn);
    ha_txn_put(&txn, desk_text("/novacron/a"), desk_text("1"));
    txn.done = desk_on_done;
    txn.owner = d;
    node_ha_store(d->ha)->ops->submit(node_ha_store(d->ha)->self, &txn);
    office_run(&o, NANOS_PER_MS);
    desk_begin_barrier(d, &barrier);
    office_run(&o, 10 * NANOS_PER_S);
    assert_true(d->has_confirmed);
    assert_int_equal(barrier.result, ERR_NOT_LEADER);
    assert_false(barrier.is_leader);
    ha_txn_deinit(&txn);
    office_deinit(&o);
}

static void refuses_later_what_it_cannot_take(void **state)
{
    struct office o;
    (void)state;
    office_init(&o, 5, 1000000);
    struct desk *d = office_leader(&o);
    node_ha_attach(d->ha, NULL);
    assert_int_equal(desk_put(&o, d, "/novacron/a", "1", 0, NULL), HA_TXN_REFUSED);
    struct ha_confirm confirm = desk_confirm(&o, d);
    assert_int_equal(confirm.result, ERR_CLOSED);
    desk_begin_barrier(d, &confirm);
    office_run(&o, NANOS_PER_MS);
    assert_int_equal(confirm.result, ERR_CLOSED);
    node_ha_attach(d->ha, d->node);
    office_deinit(&o);
}

static void notes_reach_others_and_ourselves(void **state)
{
    static const uint8_t note[] = {HA_NOTE_GRANT, 1, 2, 3};
    struct office o;
    (void)state;
    office_init(&o, 6, 1000000);
    const struct ha_store *store = node_ha_store(o.desk[0].ha);
    office_run(&o, NANOS_PER_S);
    store->ops->note(store->self, 2, (struct bytes){note, sizeof(note)});
    store->ops->note(store->self, 1, (struct bytes){note, sizeof(note)});
    assert_int_equal(o.desk[0].notes, 0); /* never inside the call */
    office_run(&o, NANOS_PER_S);
    assert_int_equal(o.desk[0].notes, 1);
    assert_int_equal(o.desk[0].note_from, 1);
    assert_int_equal(o.desk[1].notes, 1);
    assert_int_equal(o.desk[1].note_from, 1);
    static const uint8_t others[] = {3, 1};
    assert_false(node_ha_note(o.desk[0].ha, 2, (struct bytes){others, sizeof(others)}));
    assert_true(o.desk[0].leader_changes > 0);
    office_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_only_where_its_guards_hold),
        cmocka_unit_test(tells_all_there_is_to_who_begins_later),
        cmocka_unit_test(tells_all_anew_to_who_asks_for_it),
        cmocka_unit_test(begins_anew_where_the_history_is_gone),
        cmocka_unit_test(confirms_who_leads_and_nobody_who_was_deposed),
        cmocka_unit_test(barrier_waits_for_what_is_in_the_log),
        cmocka_unit_test(barrier_ends_with_its_term),
        cmocka_unit_test(refuses_later_what_it_cannot_take),
        cmocka_unit_test(notes_reach_others_and_ourselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
