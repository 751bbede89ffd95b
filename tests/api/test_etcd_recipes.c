/* Lock and Election: who comes first holds, who leaves makes room, and who lost is told so. */
#include <stdio.h>
#include <string.h>

#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static int recipes_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 51, 3);
    api_cluster_start(&c);
    for (int lease = 1; lease <= 3; lease++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "1:600 2:%d", 0x1a0 + lease);
        struct rpc_call *call = api_unary(&c, 0, "Lease/LeaseGrant", text);
        api_assert_status(call, RPC_OK, "");
        api_close(&c, call);
    }
    *state = &c;
    return 0;
}

static int recipes_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

/* A call that is left to wait. */
static struct rpc_call *begin(struct api_cluster *c, uint32_t i, const char *method,
                              const char *request)
{
    struct rpc_call *call = api_call(c, i, method, NULL);
    api_message(call, request);
    fake_call_half_close(call);
    return call;
}

static void expect_end(struct api_cluster *c, struct rpc_call *call, const char *text)
{
    api_wait(c, call);
    api_assert_status(call, RPC_OK, "");
    if (text) {
        pb_text_assert(fake_call_answer(call, 0), true, text);
    }
    api_close(c, call);
}

static void expect_waiting(struct api_cluster *c, const struct rpc_call *call)
{
    api_cluster_run(c, 300 * NANOS_PER_MS);
    assert_false(call->is_finished);
    assert_int_equal(call->count, 0);
}

static void locks_one_after_the_other(void **state)
{
    struct api_cluster *c = *state;
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Lock", "1:'l' 2:417"), "2:'l/1a1'");
    struct rpc_call *second = begin(c, 1, "v3lockpb.Lock/Lock", "1:'l' 2:418");
    expect_waiting(c, second);
    struct rpc_call *third = begin(c, 2, "v3lockpb.Lock/Lock", "1:'l' 2:419");
    expect_waiting(c, third);
    /* The same lease has the lock already. */
    expect_end(c, begin(c, 2, "v3lockpb.Lock/Lock", "1:'l' 2:417"), "2:'l/1a1'");
    /* Another lock is another lock, also where a name begins like this one's. */
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Lock", "1:'l0' 2:419"), "2:'l0/1a3'");
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Unlock", "1:'l/1a1'"), "");
    expect_end(c, second, "2:'l/1a2'");
    expect_waiting(c, third);
    /* A holder whose lease ends loses it. */
    expect_end(c, begin(c, 0, "Lease/LeaseRevoke", "1:418"), "");
    expect_end(c, third, "2:'l/1a3'");
}

static void gives_up_the_place_of_a_client_that_leaves(void **state)
{
    struct api_cluster *c = *state;
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Lock", "1:'l' 2:417"), "2:'l/1a1'");
    struct rpc_call *second = begin(c, 1, "v3lockpb.Lock/Lock", "1:'l' 2:418");
    expect_waiting(c, second);
    struct rpc_call *third = begin(c, 2, "v3lockpb.Lock/Lock", "1:'l' 2:419");
    expect_waiting(c, third);
    api_close(c, second);
    api_cluster_run(c, NANOS_PER_S);
    api_expect(c, 0, "KV/Range", "1:'l/1a2' 9:1", "");
    /* Nor does one stay that left before its place was taken. */
    api_close(c, begin(c, 1, "v3lockpb.Lock/Lock", "1:'l' 2:418"));
    api_cluster_run(c, NANOS_PER_S);
    api_expect(c, 0, "KV/Range", "1:'l/1a2' 9:1", "");
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Unlock", "1:'l/1a1'"), "");
    expect_end(c, third, "2:'l/1a3'");
}

static void tells_who_waits_that_its_own_lease_ended(void **state)
{
    struct api_cluster *c = *state;
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Lock", "1:'l' 2:417"), "2:'l/1a1'");
    struct rpc_call *second = begin(c, 1, "v3lockpb.Lock/Lock", "1:'l' 2:418");
    expect_waiting(c, second);
    expect_end(c, begin(c, 0, "Lease/LeaseRevoke", "1:418"), "");
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Unlock", "1:'l/1a1'"), "");
    api_wait(c, second);
    api_assert_status(second, RPC_UNKNOWN, "mutex: session is expired");
    api_close(c, second);
    struct rpc_call *call = begin(c, 0, "v3lockpb.Lock/Lock", "1:'l' 2:99");
    api_wait(c, call);
    api_assert_status(call, RPC_UNKNOWN, "etcdserver: requested lease not found");
    api_close(c, call);
    /* Without a lease, one of a minute is granted. */
    expect_end(c, begin(c, 0, "v3lockpb.Lock/Lock", "1:'m'"), NULL);
    api_expect(c, 0, "KV/Range", "1:'m/' 2:'m0' 9:1", "4:1");
    api_cluster_run(c, 70 * NANOS_PER_S);
    api_expect(c, 0, "KV/Range", "1:'m/' 2:'m0' 9:1", "");
}

static void elects_observes_and_resigns(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *observer = begin(c, 2, "v3electionpb.Election/Observe", "1:'e'");
    struct rpc_call *call = begin(c, 0, "v3electionpb.Election/Leader", "1:'e'");
    api_wait(c, call);
    api_assert_status(call, RPC_UNKNOWN, "election: no leader");
    api_close(c, call);
    expect_end(c, begin(c, 0, "v3electionpb.Election/Campaign", "1:'e' 2:417 3:'one'"),
               "2:{1:'e' 2:'e/1a1' 3:2 4:417}");
    api_wait_messages(c, observer, 1);
    pb_text_assert(fake_call_answer(observer, 0), true, "2:{1:'e/1a1' 2:2 3:2 4:1 5:'one' 6:417}");
    struct rpc_call *second = begin(c, 1, "v3electionpb.Election/Campaign", "1:'e' 2:418 3:'two'");
    expect_waiting(c, second);
    expect_end(c, begin(c, 1, "v3electionpb.Election/Leader", "1:'e'"),
               "2:{1:'e/1a1' 2:2 3:2 4:1 5:'one' 6:417}");
    expect_end(
        c, begin(c, 1, "v3electionpb.Election/Proclaim", "1:{1:'e' 2:'e/1a1' 3:2 4:417} 2:'uno'"),
        "");
    api_wait_messages(c, observer, 2);
    pb_text_assert(fake_call_answer(observer, 1), true, "2:{1:'e/1a1' 2:2 3:4 4:2 5:'uno' 6:417}");
    expect_end(c, begin(c, 2, "v3electionpb.Election/Resign", "1:{1:'e' 2:'e/1a1' 3:2}"), "");
    expect_end(c, second, "2:{1:'e' 2:'e/1a2' 3:3 4:418}");
    api_wait_messages(c, observer, 3);
    pb_text_assert(fake_call_answer(observer, 2), true, "2:{1:'e/1a2' 2:3 3:3 4:1 5:'two' 6:418}");
    call = begin(c, 1, "v3electionpb.Election/Proclaim", "1:{1:'e' 2:'e/1a1' 3:2 4:417} 2:'uno'");
    api_wait(c, call);
    api_assert_status(call, RPC_UNKNOWN, "election: not leader");
    api_close(c, call);
    /* To resign from what is lost is no error, and takes nothing from the one who leads. */
    expect_end(c, begin(c, 2, "v3electionpb.Election/Resign", "1:{1:'e' 2:'e/1a2' 3:2}"), "");
    expect_end(c, begin(c, 1, "v3electionpb.Election/Leader", "1:'e'"),
               "2:{1:'e/1a2' 2:3 3:3 4:1 5:'two' 6:418}");
    /* The same lease with another value proclaims it. */
    expect_end(c, begin(c, 0, "v3electionpb.Election/Campaign", "1:'e' 2:418 3:'zwei'"),
               "2:{1:'e' 2:'e/1a2' 3:3 4:418}");
    expect_end(c, begin(c, 1, "v3electionpb.Election/Leader", "1:'e'"),
               "2:{1:'e/1a2' 2:3 3:6 4:2 5:'zwei' 6:418}");
    call = begin(c, 1, "v3electionpb.Election/Proclaim", "2:'x'");
    api_wait(c, call);
    api_assert_status(call, RPC_UNKNOWN, "\"leader\" field must be provided");
    api_close(c, call);
    api_close(c, observer);
}

int main(void)
{
#define RECIPE(name) cmocka_unit_test_setup_teardown(name, recipes_setup, recipes_teardown)
    const struct CMUnitTest tests[] = {
        RECIPE(locks_one_after_the_other),
        RECIPE(gives_up_the_place_of_a_client_that_leaves),
        RECIPE(tells_who_waits_that_its_own_lease_ended),
        RECIPE(elects_observes_and_resigns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
