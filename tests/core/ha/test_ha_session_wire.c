/* What agents and members say to each other, byte by byte; and what an agent may write. */
#include <string.h>

#include "core/ha/ha_session_wire.h"
#include "core/store/store_pb.h"
#include "core/store/store_request.h"
#include "tests/support/test.h"

#define HOST    "host-d"
#define CLUSTER 77

static struct bytes session_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static node_id own_id(void)
{
    return ha_session_id(CLUSTER, HOST);
}

/* --- frames ------------------------------------------------------------------------------------
 */

/* Through the stream, a byte at a time: what was written is read, and nothing is left. */
static struct ha_frame frame_through(struct ha_frames *f, const struct ha_frame *frame)
{
    struct ha_frame ret = {.kind = HA_FRAME_HELLO};
    struct buf b;
    size_t n = 0;

    buf_init(&b);
    ha_frame_encode(frame, &b);
    for (size_t i = 0; i < b.len; i++) {
        assert_int_equal(ha_frames_next(f, &ret, &n), ERR_TRUNCATED);
        ha_frames_put(f, (struct bytes){b.data + i, 1});
    }
    assert_int_equal(ha_frames_next(f, &ret, &n), OK);
    assert_int_equal(n, b.len);
    assert_int_equal(ret.kind, frame->kind);
    buf_deinit(&b);
    return ret;
}

static void every_frame_is_read_as_it_was_written(void **state)
{
    struct ha_frames f;
    struct buf opening;
    (void)state;
    ha_frames_init(&f, true);
    buf_init(&opening);
    ha_opening_encode(&opening);
    ha_frames_put(&f, buf_view(&opening));
    buf_deinit(&opening);
    struct ha_frame hello = {.kind = HA_FRAME_HELLO,
                             .as.hello = {HA_SESSION_VERSION, CLUSTER, 3, 9, 4, HOST}};
    struct ha_frame got = frame_through(&f, &hello);
    assert_true(got.as.hello.version == HA_SESSION_VERSION && got.as.hello.cluster == CLUSTER);
    assert_true(got.as.hello.lineage == 3 && got.as.hello.revision == 9 && got.as.hello.term == 4);
    assert_string_equal(got.as.hello.host, HOST);
    struct ha_frame txn = {.kind = HA_FRAME_TXN, .as.txn = {7, session_text("body")}};
    got = frame_through(&f, &txn);
    assert_int_equal(got.as.txn.number, 7);
    assert_memory_equal(got.as.txn.body.data, "body", 4);
    const uint8_t note[] = {HA_NOTE_GRANT, 1, 2};
    for (int i = 0; i < 2; i++) {
        struct ha_frame renewal = {.kind = i == 0 ? HA_FRAME_RENEWAL : HA_FRAME_ANSWER,
                                   .as.note = {note, sizeof(note)}};
        got = frame_through(&f, &renewal);
        assert_memory_equal(got.as.note.data, note, sizeof(note));
    }
    got = frame_through(&f, &(struct ha_frame){.kind = HA_FRAME_TAKEN, .as.taken = 1ULL << 40});
    assert_int_equal(got.as.taken, 1ULL << 40);
    got = frame_through(&f, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = {5, true}});
    assert_true(got.as.welcome.goes_on && got.as.welcome.lineage == 5);
    got = frame_through(&f, &(struct ha_frame){.kind = HA_FRAME_REFUSED, .as.why = 4});
    assert_int_equal(got.as.why, HA_FAREWELL_STRANGER);
    got = frame_through(&f, &(struct ha_frame){.kind = HA_FRAME_REACHED, .as.reached = {8, 2, 1}});
    assert_true(got.as.reached.revision == 8 && got.as.reached.term == 2);
    assert_int_equal(got.as.reached.leader, 1);
    got = frame_through(&f, &(struct ha_frame){.kind = HA_FRAME_OUTCOME,
                                               .as.outcome = {7, HA_TXN_STALE, ERR_BUSY, 12}});
    assert_true(got.as.outcome.number == 7 && got.as.outcome.outcome == HA_TXN_STALE);
    assert_true(got.as.outcome.error == ERR_BUSY && got.as.outcome.revision == 12);
    ha_frames_deinit(&f);
}

static void changes_are_told_in_their_order(void **state)
{
    const struct ha_change put = {.key = session_text("/novacron/vms/a"),
                                  .value = session_text("{}"),
                                  .create_revision = 3,
                                  .mod_revision = 4};
    const struct ha_change gone = {
        .key = session_text("/novacron/vms/b"), .is_delete = true, .mod_revision = 5};
    struct ha_change got;
    struct ha_frames f;
    struct buf b;
    (void)state;
    buf_init(&b);
    ha_change_encode(&put, &b);
    ha_change_encode(&gone, &b);
    ha_frames_init(&f, false);
    struct ha_frame changes = {.kind = HA_FRAME_CHANGES, .as.changes = buf_view(&b)};
    changes = frame_through(&f, &changes);
    assert_true(ha_changes_next(&changes.as.changes, &got));
    assert_false(got.is_delete);
    assert_int_equal(got.create_revision, 3);
    assert_int_equal(got.mod_revision, 4);
    assert_int_equal(got.value.len, 2);
    assert_true(ha_changes_next(&changes.as.changes, &got));
    assert_true(got.is_delete);
    assert_int_equal(got.mod_revision, 5);
    assert_false(ha_changes_next(&changes.as.changes, &got));
    ha_frames_deinit(&f);
    buf_deinit(&b);
}

static void expect_bad(const void *body, size_t n)
{
    struct ha_frame frame;

    assert_int_equal(ha_frame_decode((struct bytes){body, n}, &frame), ERR_CORRUPT);
}

static void rejects_bodies_that_nobody_writes(void **state)
{
    (void)state;
    expect_bad("", 0);
    expect_bad("\x63", 1);                             /* no kind */
    expect_bad("\x04\0\0\0\0\0\0\0\0\0", 10);          /* TAKEN, a byte too long */
    expect_bad("\x11\0\0\0\0\x02", 6);                 /* WELCOME that neither goes on nor not */
    expect_bad("\x13", 1);                             /* CHANGES without any */
    expect_bad("\x13\x02\x01\0\0\0\0\0\0\0\x01k", 12); /* neither put nor deleted */
    expect_bad("\x13\x01\0\0\0\0\0\0\0\0\x01k", 12);   /* at no revision */
    expect_bad("\x15\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0", 19); /* no outcome */
    expect_bad("\x03x", 2);                                       /* no note of HA's */
    uint8_t hello[1 + 2 + 8 + 4 + 8 + 8 + 3] = {HA_FRAME_HELLO, HA_SESSION_VERSION};
    memcpy(hello + sizeof(hello) - 3, "\x02UP", 3);
    expect_bad(hello, sizeof(hello)); /* no name */
}

static void rejects_streams_that_are_none(void **state)
{
    struct ha_frames f;
    struct ha_frame frame;
    struct buf b;
    (void)state;
    ha_frames_init(&f, true);
    ha_frames_put(&f, session_text("NCA"));
    assert_int_equal(ha_frames_next(&f, &frame, NULL), ERR_TRUNCATED);
    ha_frames_put(&f, session_text("X"));
    assert_int_equal(ha_frames_next(&f, &frame, NULL), ERR_PROTOCOL);
    ha_frames_deinit(&f);
    buf_init(&b);
    ha_frame_encode(&(struct ha_frame){.kind = HA_FRAME_TAKEN, .as.taken = 1}, &b);
    b.data[b.len - 1] ^= 1;
    ha_frames_init(&f, false);
    ha_frames_put(&f, buf_view(&b));
    assert_int_equal(ha_frames_next(&f, &frame, NULL), ERR_PROTOCOL);
    ha_frames_deinit(&f);
    ha_frames_init(&f, false);
    buf_set_u32(&b, 0, HA_FRAME_BYTES_MAX + 1);
    ha_frames_put(&f, buf_view(&b));
    assert_int_equal(ha_frames_next(&f, &frame, NULL), ERR_PROTOCOL);
    ha_frames_deinit(&f);
    buf_deinit(&b);
}

/* A hello of a later version has another form, and is told so instead of being ended silently. */
static void hello_of_another_version_says_its_version(void **state)
{
    struct ha_frame frame;
    (void)state;
    const uint8_t body[] = {HA_FRAME_HELLO, 9, 0, CLUSTER, 0, 0, 0, 0, 0, 0, 0, 'x'};
    assert_int_equal(ha_frame_decode((struct bytes){body, sizeof(body)}, &frame), OK);
    assert_int_equal(frame.as.hello.version, 9);
    assert_int_equal(frame.as.hello.cluster, CLUSTER);
}

/* --- who, and what ------------------------------------------------------------------------------
 */

static void id_is_of_cluster_and_host(void **state)
{
    (void)state;
    assert_int_equal(ha_session_id(1, "a"), ha_session_id(1, "a"));
    assert_int_not_equal(ha_session_id(1, "a"), ha_session_id(2, "a"));
    assert_int_not_equal(ha_session_id(1, "a"), ha_session_id(1, "b"));
    /* It is in records and certificates of running clusters: it never changes. */
    assert_int_equal(ha_session_id(CLUSTER, HOST), own_id());
}

static void some_keys_are_not_told(void **state)
{
    (void)state;
    assert_true(ha_session_tells(session_text("/novacron/vms/a")));
    assert_true(ha_session_tells(session_text("/novacron/settings")));
    assert_true(ha_session_tells(session_text("/novacron/owners/a")));
    assert_true(ha_session_tells(session_text("/novacron/fates/a")));
    assert_false(ha_session_tells(session_text("/novacron/devices/a")));
    assert_false(ha_session_tells(session_text("/novacron/sights/a")));
    assert_false(ha_session_tells(session_text("/novacron/confirmed/a")));
    assert_false(ha_session_tells(session_text("/novacron/incidents/a")));
    assert_false(ha_session_tells(session_text("/novacron/events/00000000000000000001")));
    assert_false(ha_session_tells(session_text("/novacron/leader")));
    assert_false(ha_session_tells(session_text("/other")));
}

static void txn_put_record(struct ha_txn *txn, const char *key, node_id member, const char *host)
{
    struct ha_agent_record record;
    struct buf json;

    ha_record_defaults(HA_AGENT, &record);
    ha_text_set(record.host, sizeof(record.host), host);
    record.member = member;
    record.boot = 1;
    buf_init(&json);
    HA_ENCODE(&record, &json);
    ha_txn_put(txn, session_text(key), buf_view(&json));
    buf_deinit(&json);
}

static enum err check_txn(struct ha_txn *txn)
{
    struct ha_txn again;

    ha_txn_init(&again);
    enum err e = ha_session_txn(HOST, own_id(), buf_view(&txn->body), &again);
    if (e == OK) { /* what is proposed is what was written, and nothing else */
        assert_int_equal(again.guards, txn->guards);
        assert_int_equal(again.writes, txn->writes);
        assert_int_equal(again.body.len, txn->body.len);
        assert_memory_equal(again.body.data, txn->body.data, again.body.len);
    }
    ha_txn_deinit(&again);
    ha_txn_clear(txn);
    return e;
}

static void agent_writes_its_own_records(void **state)
{
    struct ha_txn txn;
    (void)state;
    ha_txn_init(&txn);
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 0);
    txn_put_record(&txn, "/novacron/agents/" HOST, own_id(), HOST);
    assert_int_equal(check_txn(&txn), OK);
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 12);
    ha_txn_guard(&txn, session_text("/novacron/owners/web"), 13);
    ha_txn_put(&txn, session_text("/novacron/reports/" HOST "/web"), session_text("{}"));
    ha_txn_delete(&txn, session_text("/novacron/reports/" HOST "/old"));
    assert_int_equal(check_txn(&txn), OK);
    ha_txn_deinit(&txn);
}

static void agent_writes_nothing_else(void **state)
{
    static const char *const others[] = {"/novacron/agents/host-a",
                                         "/novacron/reports/host-a/web",
                                         "/novacron/owners/web",
                                         "/novacron/fates/" HOST,
                                         "/novacron/leader",
                                         "/novacron/hosts/" HOST,
                                         "/novacron/confirmed/host-a",
                                         "/novacron/reports/" HOST,
                                         "/other",
                                         "/novacron/agents/" HOST "/",
                                         "/novacron/agents/" HOST "x",
                                         ""};
    struct ha_txn txn;
    (void)state;
    ha_txn_init(&txn);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
        ha_txn_put(&txn, session_text(others[i]), session_text("{}"));
        assert_int_equal(check_txn(&txn), ERR_DENIED);
        ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
        ha_txn_delete(&txn, session_text(others[i]));
        assert_int_equal(check_txn(&txn), ERR_DENIED);
    }
    /* Its own record with the id of another, or of another host; or deleted. */
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
    txn_put_record(&txn, "/novacron/agents/" HOST, 1, HOST);
    assert_int_equal(check_txn(&txn), ERR_DENIED);
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
    txn_put_record(&txn, "/novacron/agents/" HOST, own_id(), "host-a");
    assert_int_equal(check_txn(&txn), ERR_DENIED);
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
    ha_txn_delete(&txn, session_text("/novacron/agents/" HOST));
    assert_int_equal(check_txn(&txn), ERR_DENIED);
    /* Without a guard by its own record; by a key of others. */
    ha_txn_put(&txn, session_text("/novacron/reports/" HOST "/web"), session_text("{}"));
    assert_int_equal(check_txn(&txn), ERR_DENIED);
    ha_txn_guard(&txn, session_text("/secrets"), 1);
    ha_txn_put(&txn, session_text("/novacron/reports/" HOST "/web"), session_text("{}"));
    assert_int_equal(check_txn(&txn), ERR_DENIED);
    ha_txn_deinit(&txn);
}

/* etcd's TxnRequest can do more than an agent needs: each such form is refused. */
static void transactions_of_other_forms_are_refused(void **state)
{
    const struct bytes report = session_text("/novacron/reports/" HOST "/web");
    struct ha_txn txn;
    struct buf good;
    (void)state;
    ha_txn_init(&txn);
    ha_txn_guard(&txn, session_text("/novacron/agents/" HOST), 1);
    ha_txn_put(&txn, report, session_text("{}"));
    buf_init(&good);
    buf_put(&good, txn.body.data, txn.body.len);
    for (int form = 0; form < 5; form++) {
        const struct store_range_request range = {.key = session_text("/secrets")};
        const struct store_put_request put = {.key = report, .lease = 7};
        const struct store_put_request prev = {.key = report, .prev_kv = true};
        const struct store_delete_request all = {.key = report, .range_end = session_text("0")};
        const struct store_compare less = {.result = STORE_COMPARE_LESS,
                                           .target = STORE_COMPARE_MOD,
                                           .key = report,
                                           .given = 6,
                                           .number = 1};
        struct ha_txn ignored;
        buf_clear(&txn.body);
        buf_put(&txn.body, good.data, good.len);
        size_t outer = store_pb_open(&txn.body, form == 4 ? 1 : 2);
        size_t op = form == 4 ? 0 : store_pb_open(&txn.body, form == 0 ? 1 : form == 3 ? 3 : 2);
        if (form == 0) {
            store_range_encode(&txn.body, &range);
        } else if (form == 1 || form == 2) {
            store_put_encode(&txn.body, form == 1 ? &put : &prev);
        } else if (form == 3) {
            store_delete_encode(&txn.body, &all);
        } else {
            store_compare_encode(&txn.body, &less);
        }
        if (form != 4) {
            store_pb_close(&txn.body, op);
        }
        store_pb_close(&txn.body, outer);
        ha_txn_init(&ignored);
        assert_int_not_equal(ha_session_txn(HOST, own_id(), buf_view(&txn.body), &ignored), OK);
        ha_txn_deinit(&ignored);
    }
    /* What is written when a guard fails. */
    struct ha_txn ignored;
    ha_txn_init(&ignored);
    buf_clear(&txn.body);
    buf_put(&txn.body, good.data, good.len);
    size_t failure = store_pb_open(&txn.body, 3);
    store_pb_close(&txn.body, failure);
    assert_int_equal(ha_session_txn(HOST, own_id(), buf_view(&txn.body), &ignored), ERR_CORRUPT);
    ha_txn_deinit(&ignored);
    ha_txn_deinit(&txn);
    buf_deinit(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_is_read_as_it_was_written),
        cmocka_unit_test(changes_are_told_in_their_order),
        cmocka_unit_test(rejects_bodies_that_nobody_writes),
        cmocka_unit_test(rejects_streams_that_are_none),
        cmocka_unit_test(hello_of_another_version_says_its_version),
        cmocka_unit_test(id_is_of_cluster_and_host),
        cmocka_unit_test(some_keys_are_not_told),
        cmocka_unit_test(agent_writes_its_own_records),
        cmocka_unit_test(agent_writes_nothing_else),
        cmocka_unit_test(transactions_of_other_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
