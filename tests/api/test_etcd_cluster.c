/* Cluster and Maintenance: members come and go, and say how they are. */
#include <stdio.h>
#include <string.h>

#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

#include "core/store/store_pb.h"

static int cluster_trio_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 31, 3);
    api_cluster_start(&c);
    /* Each has said what it is called. */
    api_cluster_run(&c, NANOS_PER_S);
    *state = &c;
    return 0;
}

static int cluster_trio_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

#define MEMBER(n, host)                                                                            \
    "2:{1:" n " 2:'" host "' 3:'http://" host ":2380' 4:'http://" host ":2379'} "

static const char three[] = MEMBER("1", "host-0") MEMBER("2", "host-1") MEMBER("3", "host-2");

/* The id of the member that was added. */
static uint64_t added_id(const struct rpc_call *call)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, fake_call_answer(call, 0));
    while (store_pb_next(&pb, &f)) {
        if (f.number == 2) {
            return (uint64_t)api_number(f.bytes, 1);
        }
    }
    fail();
    return 0;
}

static void lists_members_as_they_say_they_are(void **state)
{
    struct api_cluster *c = *state;
    for (uint32_t i = 0; i < 3; i++) {
        api_expect(c, i, "Cluster/MemberList", "", three);
        api_expect(c, i, "Cluster/MemberList", "1:1", three);
    }
}

static void adds_promotes_updates_and_removes_a_member(void **state)
{
    struct api_cluster *c = *state;
    char text[256];
    for (uint32_t at = 0; at < 3; at++) {
        struct rpc_call *call =
            api_unary(c, at, "Cluster/MemberAdd", "1:'http://host-29:2380' 2:1");
        api_assert_status(call, RPC_OK, "");
        uint64_t id = added_id(call);
        (void)snprintf(text, sizeof(text), "1:%llu", (unsigned long long)id);
        api_close(c, call);
        api_expect_error(c, at, "Cluster/MemberAdd", "1:'http://host-29:2380'", 9,
                         "etcdserver: Peer URLs already exists");
        api_expect_error(c, at, "Cluster/MemberPromote", text, 9,
                         "etcdserver: can only promote a learner member which is in sync with "
                         "leader");
        (void)snprintf(text, sizeof(text), "1:%llu 2:'http://host-210:2380'",
                       (unsigned long long)id);
        call = api_unary(c, at, "Cluster/MemberUpdate", text);
        api_assert_status(call, RPC_OK, "");
        api_close(c, call);
        /* The old URL is free, the new one taken. */
        api_expect_error(c, at, "Cluster/MemberUpdate", "1:1 2:'http://host-210:2380'", 9,
                         "etcdserver: Peer URLs already exists");
        (void)snprintf(text, sizeof(text), "1:%llu", (unsigned long long)id);
        api_expect(c, at, "Cluster/MemberRemove", text, three);
        api_expect_error(c, at, "Cluster/MemberRemove", text, 5, "etcdserver: member not found");
        api_expect(c, (at + 1) % 3, "Cluster/MemberList", "1:1", three);
    }
}

static void takes_back_what_was_said_of_a_member_that_could_not_be_added(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = NULL;
    for (int i = 0; i < RAFT_MEMBERS_MAX; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "1:'http://host-%d:2380' 2:1", 100 + i);
        call = api_unary(c, (uint32_t)i % 3, "Cluster/MemberAdd", text);
        if (call->status != RPC_OK) {
            break;
        }
        api_close(c, call);
    }
    api_assert_status(call, 9, "etcdserver: too many learner members in cluster");
    api_close(c, call);
    api_cluster_run(c, NANOS_PER_S);
    assert_int_equal(store_member_count(node_store(c->member[0].node)), RAFT_MEMBERS_MAX);
}

static void a_member_that_is_added_catches_up_and_votes(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "KV/Put", "1:'k' 2:'v'", "");
    struct rpc_call *call = api_unary(c, 0, "Cluster/MemberAdd", "1:'http://host-3:2380'");
    api_assert_status(call, RPC_OK, "");
    c->member[3].id = added_id(call);
    api_close(c, call);
    api_member_start(c, 3);
    nanos until = simworld_now(c->sim) + 60 * NANOS_PER_S;
    bool votes = false;
    while (!votes && simworld_now(c->sim) < until) {
        api_cluster_run(c, 100 * NANOS_PER_MS);
        const struct raft_member *m =
            raft_membership_lookup(node_status(c->member[0].node).membership, c->member[3].id);
        votes = m && (m->roles & RAFT_VOTER);
    }
    assert_true(votes);
    api_cluster_run(c, 2 * NANOS_PER_S);
    api_expect(c, 3, "KV/Range", "1:'k' 9:1", "4:1");
    api_expect(c, 3, "KV/Put", "1:'k' 2:'w'", "");
    call = api_unary(c, 1, "Cluster/MemberList", "1:1");
    size_t members = 0;
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, fake_call_answer(call, 0));
    while (store_pb_next(&pb, &f)) {
        members += f.number == 2;
        assert_int_equal(f.number == 2 ? api_number(f.bytes, 5) : 0, 0);
    }
    assert_int_equal(members, 4);
    api_close(c, call);
}

static void refuses_members_in_the_words_of_etcd(void **state)
{
    static const struct api_refusal cases[] = {
        {"Cluster/MemberAdd", "", 3, "etcdserver: given member URLs are invalid"},
        {"Cluster/MemberAdd", "1:'host-21:2380'", 3, "etcdserver: given member URLs are invalid"},
        {"Cluster/MemberAdd", "1:'http://host-21'", 3, "etcdserver: given member URLs are invalid"},
        {"Cluster/MemberAdd", "1:'http://host-21:0'", 3,
         "etcdserver: given member URLs are invalid"},
        {"Cluster/MemberAdd", "1:'http://a:1/path:2'", 3,
         "etcdserver: given member URLs are invalid"},
        {"Cluster/MemberAdd", "1:'http://host-1:2380'", 9, "etcdserver: Peer URLs already exists"},
        {"Cluster/MemberRemove", "1:99", 5, "etcdserver: member not found"},
        {"Cluster/MemberPromote", "1:99", 5, "etcdserver: member not found"},
        {"Cluster/MemberPromote", "1:1", 9, "etcdserver: can only promote a learner member"},
        {"Cluster/MemberUpdate", "1:99 2:'http://a:1'", 5, "etcdserver: member not found"},
        {"Cluster/MemberUpdate", "1:1 2:'x'", 3, "etcdserver: given member URLs are invalid"},
        {"Maintenance/MoveLeader", "1:99", 9, "etcdserver: bad leader transferee"},
        {"Maintenance/HashKV", "1:99", 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {"Maintenance/Downgrade", "", 3, "etcdserver: wrong downgrade target version format"},
        {"Maintenance/Downgrade", "2:'3.4.0'", 3, "etcdserver: invalid downgrade target version"},
        {"Maintenance/Downgrade", "1:2", 9, "etcdserver: no inflight downgrade job"},
    };
    struct api_cluster *c = *state;
    uint32_t leader = api_cluster_leader(c);
    api_expect_refusals(c, leader, cases, COUNT_OF(cases));
    api_expect_error(c, api_cluster_follower(c), "Maintenance/MoveLeader", "1:1", 9,
                     "etcdserver: not leader");
}

static void refuses_to_remove_what_the_quorum_needs(void **state)
{
    struct api_cluster *c = *state;
    uint32_t leader = api_cluster_leader(c);
    uint32_t dead = (leader + 1) % 3;
    api_member_stop(c, dead);
    api_cluster_run(c, 2 * NANOS_PER_S);
    char text[32];
    (void)snprintf(text, sizeof(text), "1:%u", (leader + 2) % 3 + 1);
    api_expect_error(c, leader, "Cluster/MemberRemove", text, 9,
                     "etcdserver: re-configuration failed due to not enough started members");
}

static void moves_the_lead(void **state)
{
    struct api_cluster *c = *state;
    uint32_t leader = api_cluster_leader(c);
    uint32_t next = (leader + 1) % 3;
    char text[32];
    (void)snprintf(text, sizeof(text), "1:%u", next + 1);
    api_expect(c, leader, "Maintenance/MoveLeader", text, "");
    assert_int_equal(api_cluster_leader(c), next);
}

static void says_how_it_is(void **state)
{
    struct api_cluster *c = *state;
    uint32_t leader = api_cluster_leader(c);
    api_expect(c, 0, "KV/Put", "1:'k' 2:'v'", "");
    api_expect(c, 1, "Maintenance/Alarm", "1:1 2:9 3:2", "2:{1:9 2:2}");
    api_expect(c, 2, "Maintenance/Alarm", "", "2:{1:9 2:2}");
    struct rpc_call *call = api_unary(c, 2, "Maintenance/Status", "");
    struct bytes answer = fake_call_answer(call, 0);
    assert_int_equal(api_number(answer, 4), leader + 1);
    assert_true(api_number(answer, 3) >= api_number(answer, 9));
    assert_true(api_number(answer, 9) > 0);
    assert_int_equal(api_number(answer, 5), api_number(answer, 7));
    assert_int_equal(api_number(answer, 6), api_header(answer, 4));
    assert_non_null(memmem(answer.data, answer.len, "3.5.21", 6));
    assert_non_null(memmem(answer.data, answer.len, "memberID:9 alarm:CORRUPT ", 25));
    api_close(c, call);
    api_expect_error(c, 2, "KV/Put", "1:'k'", 15, "etcdserver: corrupt cluster");
    api_expect(c, 2, "KV/Range", "1:'k' 9:1", "4:1");
    api_expect(c, 1, "Maintenance/Alarm", "1:2 2:9 3:2", "2:{1:9 2:2}");
    api_expect(c, 2, "KV/Put", "1:'k'", "");
    api_expect(c, 2, "Maintenance/Defragment", "", "");
}

static void expect_page(struct api_cluster *c, uint32_t i, const char *path, const char *query,
                        int status, const char *body)
{
    size_t n;
    const struct rpc_page *pages = etcd_api_pages(&n);
    struct rpc_call *call = fake_page_open(c->member[i].api, pages, n, path, query);
    api_wait(c, call);
    struct bytes answer = fake_call_answer(call, 0);
    assert_int_equal(answer.len, strlen(body));
    assert_memory_equal(answer.data, body, answer.len);
    assert_int_equal(call->http_status, status);
    fake_call_close(call);
}

static void serves_the_pages_that_scripts_ask_for(void **state)
{
    struct api_cluster *c = *state;
    expect_page(c, 1, "/version", "", 200, "{\"etcdserver\":\"3.5.21\",\"etcdcluster\":\"3.5.0\"}");
    expect_page(c, 1, "/health", "", 200, "{\"health\":\"true\",\"reason\":\"\"}");
    api_expect(c, 1, "Maintenance/Alarm", "1:1 2:9 3:1", "2:{1:9 2:1}");
    expect_page(c, 2, "/health", "", 503, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}");
    api_expect(c, 1, "Maintenance/Alarm", "1:2 2:9 3:1", "2:{1:9 2:1}");
    /* One that leaves before it was answered. */
    size_t n;
    const struct rpc_page *pages = etcd_api_pages(&n);
    fake_call_close(fake_page_open(c->member[0].api, pages, n, "/health", ""));
    uint32_t leader = api_cluster_leader(c);
    uint32_t left = (leader + 1) % 3;
    for (uint32_t i = 0; i < 3; i++) {
        if (i != left) {
            api_member_stop(c, i);
        }
    }
    api_cluster_run(c, 5 * NANOS_PER_S);
    char detail[80], body[160];
    (void)snprintf(detail, sizeof(detail),
                   "\"detail\":\"no leader; 1 of 3 voters reachable, not host-%u, host-%u\"}",
                   left == 0 ? 1 : 0, left == 2 ? 1 : 2);
    (void)snprintf(body, sizeof(body), "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\",%s",
                   detail);
    expect_page(c, left, "/health", "", 503, body);
    (void)snprintf(body, sizeof(body), "{\"health\":\"true\",\"reason\":\"\",%s", detail);
    expect_page(c, left, "/health", "serializable=true", 200, body);
}

static void members_agree_on_their_hashes(void **state)
{
    struct api_cluster *c = *state;
    int64_t hashes[2] = {0};
    api_expect(c, 0, "KV/Put", "1:'k' 2:'v'", "");
    api_expect(c, 0, "KV/Put", "1:'k' 2:'w'", "");
    for (uint32_t i = 0; i < 3; i++) {
        for (int at = 0; at < 2; at++) {
            api_expect(c, i, "KV/Range", "1:'k' 9:1", "4:1");
            struct rpc_call *call = api_unary(c, i, "Maintenance/HashKV", at == 0 ? "1:2" : "");
            struct bytes answer = fake_call_answer(call, 0);
            assert_true(i == 0 || hashes[at] == api_number(answer, 2));
            hashes[at] = api_number(answer, 2);
            assert_int_equal(api_number(answer, 3), -1);
            assert_int_equal(api_number(answer, 4), at == 0 ? 2 : 3);
            api_close(c, call);
        }
    }
    assert_int_not_equal(hashes[0], hashes[1]);
}

static void sends_a_snapshot_that_restores(void **state)
{
    struct api_cluster *c = *state;
    for (int i = 0; i < 50; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "1:'key%d' 2:'value'", i);
        api_expect(c, 0, "KV/Put", text, "");
    }
    struct rpc_call *call = api_call(c, 0, "Maintenance/Snapshot", NULL);
    call->high_mark = 100;
    api_message(call, "");
    while (!call->is_finished) {
        api_cluster_run(c, NANOS_PER_MS);
        fake_call_drain(call);
    }
    api_assert_status(call, RPC_OK, "");
    struct buf file;
    buf_init(&file);
    for (size_t i = 0; i < call->count; i++) {
        struct store_pb pb;
        struct store_pb_field f;
        store_pb_init(&pb, fake_call_answer(call, i));
        while (store_pb_next(&pb, &f)) {
            if (f.number == 3) {
                buf_put(&file, f.bytes.data, f.bytes.len);
            }
        }
        assert_true((api_number(fake_call_answer(call, i), 2) == 0) == (i + 1 == call->count));
    }
    assert_int_equal(file.len % 512, 32);
    struct store_restore *r = store_restore_begin();
    size_t end = file.len - 32;
    while (file.data[end - 1] == 0) {
        end--;
    }
    struct store *store = NULL;
    enum err result = ERR_TRUNCATED;
    /* The last block ends with a hash, which may end with zeros. */
    assert_int_equal(store_restore_feed(r, (struct bytes){file.data, end}), OK);
    while ((result = store_restore_finish(r, &store)) == ERR_TRUNCATED && end < file.len - 32) {
        assert_int_equal(store_restore_feed(r, (struct bytes){file.data + end++, 1}), OK);
    }
    assert_int_equal(result, OK);
    assert_int_equal(store_hash(store), store_hash(node_store(c->member[0].node)));
    store_close(store);
    buf_deinit(&file);
    api_close(c, call);
}

static void ends_a_snapshot_when_the_store_is_replaced(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = api_call(c, 0, "Maintenance/Snapshot", NULL);
    call->high_mark = 10;
    api_message(call, "");
    api_cluster_run(c, NANOS_PER_MS);
    assert_false(call->is_finished);
    etcd_api_store_leaves(c->member[0].api);
    api_assert_status(call, RPC_UNAVAILABLE, "etcdserver: leader changed");
    api_close(c, call);
    struct rpc_call *calls[9];
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        calls[i] = api_call(c, 0, "Maintenance/Snapshot", NULL);
        calls[i]->high_mark = 10;
        api_message(calls[i], "");
    }
    api_assert_status(calls[8], RPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        api_close(c, calls[i]);
    }
}

/* A group with a small quota, and puts until it is used up: of one key, or of many. */
static void fill_to_the_quota(struct api_cluster *c, bool one_key)
{
    api_cluster_deinit(c);
    api_cluster_init(c, 32, 3);
    c->quota_bytes = 3 * 1024 * 1024;
    api_cluster_start(c);
    static uint8_t value[100 * 1000];
    memset(value, 'v', sizeof(value));
    struct buf b;
    buf_init(&b);
    struct rpc_call *call = NULL;
    for (int i = 0; i < 100; i++) {
        char key[16];
        int len = snprintf(key, sizeof(key), "k%d", one_key ? 0 : i);
        struct store_put_request r = {.key = {(const uint8_t *)key, (size_t)len},
                                      .value = {value, sizeof(value)}};
        buf_clear(&b);
        store_put_encode(&b, &r);
        call = api_call(c, (uint32_t)i % 3, "KV/Put", NULL);
        fake_call_message(call, buf_view(&b));
        api_wait(c, call);
        if (call->status != RPC_OK) {
            break;
        }
        api_close(c, call);
    }
    api_assert_status(call, RPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded");
    api_close(c, call);
    buf_deinit(&b);
    api_cluster_run(c, NANOS_PER_S);
}

/* Compacts at the newest revision, and lets time pass. */
static void compact_all(struct api_cluster *c)
{
    struct rpc_call *read = api_unary(c, 0, "KV/Range", "1:'x'"); /* linearizable: it is applied */
    char text[32];
    (void)snprintf(text, sizeof(text), "1:%lld",
                   (long long)api_header(fake_call_answer(read, 0), 3));
    api_close(c, read);
    api_expect(c, 1, "KV/Compact", text, "");
    api_cluster_run(c, 5 * NANOS_PER_S);
}

static void raises_the_alarm_at_its_quota_and_clears_it_below(void **state)
{
    struct api_cluster *c = *state;
    fill_to_the_quota(c, true);
    for (uint32_t i = 0; i < 3; i++) {
        api_expect_error(c, i, "KV/Put", "1:'x'", 8, "etcdserver: mvcc: database space exceeded");
        api_expect_error(c, i, "Lease/LeaseGrant", "1:60", 8,
                         "etcdserver: mvcc: database space exceeded");
        api_expect(c, i, "KV/Range", "1:'k0' 9:1", "4:1");
    }
    struct rpc_call *status = api_unary(c, 0, "Maintenance/Status", "");
    assert_non_null(memmem(fake_call_answer(status, 0).data, fake_call_answer(status, 0).len,
                           "alarm:NOSPACE", 13));
    api_close(c, status);
    compact_all(c);
    for (uint32_t i = 0; i < 3; i++) {
        api_expect(c, i, "KV/Put", "1:'x'", "");
    }
    api_expect(c, 0, "Maintenance/Alarm", "", "");
}

/* What the newest revision deleted stays until there is a newer one, and then nothing is left that
 * could be deleted to make one. */
static void deleting_everything_at_once_ends_the_alarm_too(void **state)
{
    struct api_cluster *c = *state;
    fill_to_the_quota(c, false);
    struct rpc_call *call = api_unary(c, 0, "KV/DeleteRange", "1:'\\0' 2:'\\0'");
    api_assert_status(call, RPC_OK, "");
    api_close(c, call);
    api_cluster_run(c, 5 * NANOS_PER_S);
    api_expect_error(c, 0, "KV/Put", "1:'x'", 8, "etcdserver: mvcc: database space exceeded");
    compact_all(c);
    api_expect(c, 0, "Maintenance/Alarm", "", "");
    api_expect(c, 1, "KV/Put", "1:'x'", "");
    compact_all(c);
    for (uint32_t i = 0; i < 3; i++) {
        api_expect(c, i, "KV/Put", "1:'x'", "");
        struct store_stats stats;
        store_stats_read(node_store(c->member[i].node), &stats);
        assert_true(stats.used_bytes < c->quota_bytes / 2);
    }
    api_expect(c, 0, "Maintenance/Alarm", "", "");
}

int main(void)
{
#define TRIO(name) cmocka_unit_test_setup_teardown(name, cluster_trio_setup, cluster_trio_teardown)
    const struct CMUnitTest tests[] = {
        TRIO(lists_members_as_they_say_they_are),
        TRIO(adds_promotes_updates_and_removes_a_member),
        TRIO(takes_back_what_was_said_of_a_member_that_could_not_be_added),
        TRIO(a_member_that_is_added_catches_up_and_votes),
        TRIO(refuses_members_in_the_words_of_etcd),
        TRIO(refuses_to_remove_what_the_quorum_needs),
        TRIO(moves_the_lead),
        TRIO(says_how_it_is),
        TRIO(serves_the_pages_that_scripts_ask_for),
        TRIO(members_agree_on_their_hashes),
        TRIO(sends_a_snapshot_that_restores),
        TRIO(ends_a_snapshot_when_the_store_is_replaced),
        TRIO(raises_the_alarm_at_its_quota_and_clears_it_below),
        TRIO(deleting_everything_at_once_ends_the_alarm_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
