/* Auth as clients of etcd see it: users, tokens and rights, on every member. */
#include <stdio.h>
#include <string.h>

#include "api/etcd/etcd_password.h"
#include "core/chaos/simnet.h"
#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static int auth_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 41, 3);
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int auth_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

struct token {
    char text[128];
};

/* A call with a token; what it answers, or NULL where the text is one of an error. */
static struct rpc_call *call_as(struct api_cluster *c, uint32_t i, const struct token *token,
                                const char *method, const char *request)
{
    struct fake_metadata metadata[] = {{"token", token ? token->text : NULL}, {NULL, NULL}};
    struct rpc_call *call = api_call(c, i, method, token ? metadata : NULL);
    api_message(call, request);
    fake_call_half_close(call);
    api_wait(c, call);
    return call;
}

static void expect_as(struct api_cluster *c, uint32_t i, const struct token *token,
                      const char *method, const char *request, int status, const char *text)
{
    struct rpc_call *call = call_as(c, i, token, method, request);
    if (call->status != status) {
        print_message("# %s of %s\n", method, request);
    }
    api_assert_status(call, status, status == RPC_OK ? "" : text);
    if (status == RPC_OK && text) {
        pb_text_assert(fake_call_answer(call, 0), true, text);
    }
    api_close(c, call);
}

static struct token log_in(struct api_cluster *c, uint32_t i, const char *request)
{
    struct token token = {{0}};
    struct rpc_call *call = api_unary(c, i, "Auth/Authenticate", request);
    api_assert_status(call, RPC_OK, "");
    struct bytes answer = fake_call_answer(call, 0);
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, answer);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 2) {
            assert_true(f.bytes.len < sizeof(token.text));
            memcpy(token.text, f.bytes.data, f.bytes.len);
        }
    }
    assert_int_equal(token.text[16], '.');
    api_close(c, call);
    return token;
}

static const char *const house_calls[][2] = {
    {"Auth/UserAdd", "1:'root' 2:'r00t'"},
    {"Auth/UserGrantRole", "1:'root' 2:'root'"},
    {"Auth/UserAdd", "1:'ann' 2:'secret'"},
    {"Auth/UserAdd", "1:'bob' 3:{1:1}"},
    {"Auth/RoleAdd", "1:'reader'"},
    {"Auth/RoleGrantPermission", "1:'reader' 2:{2:'a' 3:'c'}"},
    {"Auth/UserGrantRole", "1:'ann' 2:'reader'"},
    {"Auth/AuthEnable", ""},
};

static void build_house(struct api_cluster *c)
{
    for (size_t i = 0; i < COUNT_OF(house_calls); i++) {
        api_expect(c, (uint32_t)i % 3, house_calls[i][0], house_calls[i][1], "");
    }
}

static void administers_users_and_roles(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Auth/AuthStatus", "", "3:1");
    api_expect_error(c, 0, "Auth/Authenticate", "1:'ann' 2:'x'", 9,
                     "etcdserver: authentication is not enabled");
    api_expect_error(c, 0, "Auth/AuthEnable", "", 9, "etcdserver: root user does not exist");
    api_expect_error(c, 0, "Auth/UserAdd", "2:'x'", 3, "etcdserver: user name is empty");
    api_expect_error(c, 0, "Auth/RoleAdd", "", 3, "etcdserver: role name is empty");
    api_expect_error(c, 0, "Auth/UserGet", "1:'x'", 9, "etcdserver: user name not found");
    api_expect_error(c, 0, "Auth/RoleGet", "1:'x'", 9, "etcdserver: role name not found");
    for (size_t i = 0; i + 1 < COUNT_OF(house_calls); i++) {
        api_expect(c, (uint32_t)i % 3, house_calls[i][0], house_calls[i][1], "");
    }
    api_expect_error(c, 0, "Auth/UserAdd", "1:'ann' 2:'x'", 9,
                     "etcdserver: user name already exists");
    api_expect(c, 0, "Auth/UserList", "", "2:'ann' 2:'bob' 2:'root'");
    api_expect(c, 1, "Auth/RoleList", "", "2:'reader'");
    api_expect(c, 2, "Auth/UserGet", "1:'ann'", "2:'reader'");
    api_expect(c, 2, "Auth/RoleGet", "1:'reader'", "2:{2:'a' 3:'c'}");
    api_expect(c, 0, "Auth/RoleRevokePermission", "1:'reader' 2:'a' 3:'c'", "");
    api_expect_error(c, 0, "Auth/RoleRevokePermission", "1:'reader' 2:'a' 3:'c'", 9,
                     "etcdserver: permission is not granted to the role");
    api_expect(c, 0, "Auth/UserRevokeRole", "1:'ann' 2:'reader'", "");
    api_expect(c, 0, "Auth/RoleDelete", "1:'reader'", "");
    api_expect(c, 0, "Auth/UserDelete", "1:'ann'", "");
    api_expect(c, 0, "Auth/UserList", "", "2:'bob' 2:'root'");
}

static void lets_in_who_shows_a_token_and_has_the_right(void **state)
{
    struct api_cluster *c = *state;
    static const struct token wrong = {"abcdefghijklmnop.3"};
    static const struct token future = {"abcdefghijklmnop.99999999"};
    static const struct token strange = {"x"};
    build_house(c);
    api_expect_error(c, 0, "Auth/Authenticate", "1:'ann' 2:'wrong'", 3,
                     "etcdserver: authentication failed, invalid user ID or password");
    api_expect_error(c, 0, "Auth/Authenticate", "1:'eve' 2:'secret'", 3,
                     "etcdserver: authentication failed, invalid user ID or password");
    api_expect_error(c, 0, "Auth/Authenticate", "1:'bob' 2:''", 2,
                     "auth: authentication failed, password was given for no password user");
    struct token root = log_in(c, 0, "1:'root' 2:'r00t'");
    struct token ann = log_in(c, 1, "1:'ann' 2:'secret'");
    /* At once, on members that may not have heard of it. */
    for (uint32_t i = 0; i < 3; i++) {
        struct token fresh = log_in(c, i, "1:'ann' 2:'secret'");
        expect_as(c, (i + 1) % 3, &fresh, "KV/Range", "1:'a' 7:1", RPC_OK, "");
    }
    for (uint32_t i = 0; i < 3; i++) {
        expect_as(c, i, NULL, "KV/Put", "1:'a'", 3, "etcdserver: user name is empty");
        expect_as(c, i, NULL, "KV/Range", "1:'a'", 3, "etcdserver: user name is empty");
        expect_as(c, i, &wrong, "KV/Put", "1:'a'", 16, "etcdserver: invalid auth token");
        expect_as(c, i, &future, "KV/Put", "1:'a'", 16, "etcdserver: invalid auth token");
        expect_as(c, i, &strange, "KV/Range", "1:'a'", 16, "etcdserver: invalid auth token");
        expect_as(c, i, &root, "KV/Put", "1:'a' 2:'1'", RPC_OK, "");
        expect_as(c, i, &ann, "KV/Put", "1:'a'", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "KV/Range", "1:'a' 2:'c' 9:1", RPC_OK, "4:1");
        expect_as(c, i, &ann, "KV/Range", "1:'a' 2:'d' 9:1", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "KV/Txn", "2:{1:{1:'a' 9:1 7:1}}", RPC_OK, NULL);
        expect_as(c, i, &ann, "KV/Txn", "2:{1:{1:'c' 9:1 7:1}}", 7,
                  "etcdserver: permission denied");
        /* `endpoint health` takes this for healthy. */
        expect_as(c, i, &ann, "KV/Range", "1:'health'", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "Auth/UserList", "", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "Auth/UserGet", "1:'ann'", RPC_OK, "2:'reader'");
        expect_as(c, i, &ann, "Auth/UserGet", "1:'root'", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "Auth/RoleGet", "1:'reader'", RPC_OK, "2:{2:'a' 3:'c'}");
        expect_as(c, i, &ann, "Cluster/MemberAdd", "1:'http://x:1'", 7,
                  "etcdserver: permission denied");
        expect_as(c, i, &ann, "Maintenance/Defragment", "", 7, "etcdserver: permission denied");
        expect_as(c, i, &ann, "Maintenance/Alarm", "1:1 2:1 3:1", 7,
                  "etcdserver: permission denied");
        expect_as(c, i, NULL, "Maintenance/Alarm", "", RPC_OK, "");
        expect_as(c, i, NULL, "Maintenance/Status", "", RPC_OK, NULL);
        expect_as(c, i, NULL, "Cluster/MemberList", "", RPC_OK, NULL);
        expect_as(c, i, &root, "Auth/AuthStatus", "", RPC_OK, "2:1 3:8");
    }
    expect_as(c, 0, &root, "Auth/UserDelete", "1:'root'", 3, "etcdserver: invalid auth management");
    expect_as(c, 0, &root, "Auth/UserChangePassword", "1:'ann' 2:'other'", RPC_OK, "");
    expect_as(c, 1, &ann, "KV/Range", "1:'a'", 16, "etcdserver: invalid auth token");
    api_expect_error(c, 0, "Auth/Authenticate", "1:'ann' 2:'secret'", 3,
                     "etcdserver: authentication failed, invalid user ID or password");
    ann = log_in(c, 2, "1:'ann' 2:'other'");
    expect_as(c, 0, &root, "Auth/AuthDisable", "", RPC_OK, "");
    api_expect(c, 0, "KV/Put", "1:'z'", "");
}

static void waits_for_the_entry_of_a_token_that_it_does_not_know_yet(void **state)
{
    struct api_cluster *c = *state;
    build_house(c);
    uint32_t leader = api_cluster_leader(c);
    uint32_t late = api_cluster_follower(c);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != late) {
            simnet_cut(c->member[i].host, c->member[late].host, true);
        }
    }
    struct token ann = log_in(c, leader, "1:'ann' 2:'secret'");
    struct fake_metadata metadata[] = {{"token", ann.text}, {NULL, NULL}};
    struct rpc_call *call = api_call(c, late, "KV/Range", metadata);
    api_message(call, "1:'a' 7:1");
    api_cluster_run(c, 500 * NANOS_PER_MS);
    assert_false(call->is_finished);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != late) {
            simnet_cut(c->member[i].host, c->member[late].host, false);
        }
    }
    api_wait(c, call);
    api_assert_status(call, RPC_OK, "");
    api_close(c, call);
}

static void tells_watchers_what_they_may_not_see(void **state)
{
    struct api_cluster *c = *state;
    build_house(c);
    struct token ann = log_in(c, 0, "1:'ann' 2:'secret'");
    struct fake_metadata metadata[] = {{"token", ann.text}, {NULL, NULL}};
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", metadata);
    api_message(call, "1:{1:'a' 2:'d'}");
    api_message(call, "1:{1:'a' 2:'c'}");
    api_wait_messages(c, call, 2);
    pb_text_assert(fake_call_answer(call, 0), true,
                   "2:-1 3:1 4:1 6:'rpc error: code = PermissionDenied desc = etcdserver: "
                   "permission denied'");
    pb_text_assert(fake_call_answer(call, 1), true, "3:1");
    api_close(c, call);
    call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'a'}");
    api_wait_messages(c, call, 1);
    pb_text_assert(fake_call_answer(call, 0), true,
                   "2:-1 3:1 4:1 6:'rpc error: code = InvalidArgument desc = etcdserver: user "
                   "name is empty'");
    api_close(c, call);
    metadata[0].value = "nonsense";
    call = api_call(c, 0, "Watch/Watch", metadata);
    api_message(call, "1:{1:'a'}");
    api_wait_messages(c, call, 1);
    pb_text_assert(fake_call_answer(call, 0), true,
                   "2:-1 3:1 4:1 6:'rpc error: code = Unauthenticated desc = etcdserver: invalid "
                   "auth token'");
    api_close(c, call);
}

static void takes_the_name_in_a_certificate_for_the_user(void **state)
{
    struct api_cluster *c = *state;
    build_house(c);
    static const struct {
        const char *name;
        int status;
        const char *text;
    } cases[] = {
        {"root", RPC_OK, ""},
        {"ann", 7, "etcdserver: permission denied"},
        {"nobody", 7, "etcdserver: permission denied"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rpc_call *call = api_call(c, 0, "KV/Put", NULL);
        call->certificate_name = cases[i].name;
        api_message(call, "1:'k'");
        api_wait(c, call);
        api_assert_status(call, cases[i].status, cases[i].text);
        api_close(c, call);
    }
}

static void forgets_tokens_that_nobody_showed_for_long(void **state)
{
    struct api_cluster *c = *state;
    build_house(c);
    struct token ann = log_in(c, 0, "1:'ann' 2:'secret'");
    for (int i = 0; i < 4; i++) {
        api_cluster_run(c, 200 * NANOS_PER_S);
        expect_as(c, 0, &ann, "KV/Range", "1:'a' 7:1", RPC_OK, "");
    }
    api_cluster_run(c, 301 * NANOS_PER_S);
    expect_as(c, 0, &ann, "KV/Range", "1:'a' 7:1", 16, "etcdserver: invalid auth token");
}

/* Passwords are hashed elsewhere, and the answer comes when that is done. */
struct later {
    struct etcd_job *jobs[100];
    size_t count;
};

static void keep_for_later(void *ctx, struct etcd_job *job)
{
    struct later *later = ctx;
    assert_true(later->count < COUNT_OF(later->jobs));
    later->jobs[later->count++] = job;
}

static void bounds_passwords_that_are_being_checked(void **state)
{
    struct api_cluster *c = *state;
    static struct later later;
    api_cluster_deinit(c);
    api_cluster_init(c, 42, 1);
    later.count = 0;
    c->offload = keep_for_later;
    c->offload_ctx = &later;
    api_cluster_start(c);
    struct rpc_call *calls[40];
    struct rpc_call *gone[25];
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        char text[64];
        calls[i] = api_call(c, 0, "Auth/UserAdd", NULL);
        (void)snprintf(text, sizeof(text), "1:'u%zu' 2:'p'", i);
        api_message(calls[i], text);
    }
    for (size_t i = 0; i < COUNT_OF(gone) - 1; i++) {
        gone[i] = api_call(c, 0, "Auth/UserAdd", NULL);
        api_message(gone[i], "1:'gone' 2:'p'");
        api_close(c, gone[i]);
    }
    assert_int_equal(later.count, 64);
    api_expect_error(c, 0, "Auth/UserAdd", "1:'more' 2:'p'", 8, "etcdserver: too many requests");
    for (size_t i = 0; i < later.count; i++) {
        later.jobs[i]->work(later.jobs[i]);
        later.jobs[i]->done(later.jobs[i]);
    }
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        api_wait(c, calls[i]);
        api_assert_status(calls[i], RPC_OK, "");
        api_close(c, calls[i]);
    }
    api_expect_error(c, 0, "Auth/UserGet", "1:'gone'", 9, "etcdserver: user name not found");
}

static void hashes_passwords_so_that_they_can_be_checked(void **state)
{
    (void)state;
    static const uint8_t salt[ETCD_SALT_BYTES] = "salt";
    struct buf hash;
    buf_init(&hash);
    struct bytes password = {(const uint8_t *)"secret", 6};
    etcd_password_hash(password, salt, 1000, &hash);
    assert_int_equal(hash.len, 53);
    assert_true(etcd_password_matches(password, buf_view(&hash)));
    assert_false(etcd_password_matches((struct bytes){password.data, 5}, buf_view(&hash)));
    for (size_t i = 0; i < hash.len; i++) {
        hash.data[i] ^= i == 4 ? 0x7f : 1;
        assert_false(etcd_password_matches(password, buf_view(&hash)));
        hash.data[i] ^= i == 4 ? 0x7f : 1;
        assert_false(etcd_password_matches(password, (struct bytes){hash.data, i}));
    }
    buf_deinit(&hash);
}

int main(void)
{
#define AUTH(name) cmocka_unit_test_setup_teardown(name, auth_setup, auth_teardown)
    const struct CMUnitTest tests[] = {
        AUTH(administers_users_and_roles),
        AUTH(lets_in_who_shows_a_token_and_has_the_right),
        AUTH(waits_for_the_entry_of_a_token_that_it_does_not_know_yet),
        AUTH(tells_watchers_what_they_may_not_see),
        AUTH(takes_the_name_in_a_certificate_for_the_user),
        AUTH(forgets_tokens_that_nobody_showed_for_long),
        AUTH(bounds_passwords_that_are_being_checked),
        cmocka_unit_test(hashes_passwords_so_that_they_can_be_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
