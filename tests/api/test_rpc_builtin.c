/* What every server brings along: health checking and reflection. */
#include "tests/support/test.h"

#include <string.h>

#include <health.pb-c.h>
#include <reflection_v1.pb-c.h>

#include "api/pb_wire.h"
#include "core/base/mem.h"
#include "tests/support/rpc_peer.h"

static struct peer_reply *ask_health(struct rpc_peer *peer, const char *path, const char *service)
{
    struct buf message = {.data = NULL}, body = {.data = NULL};
    pb_put_text(&message, 1, service);
    peer_put_message(&body, message.data, message.len);
    struct peer_reply *reply = peer_request(peer, path, NULL, buf_view(&body), true);
    buf_deinit(&message);
    buf_deinit(&body);
    return reply;
}

#define CHECK_PATH "/grpc.health.v1.Health/Check"
#define WATCH_PATH "/grpc.health.v1.Health/Watch"

static void says_whether_services_serve(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    static const char *const known[] = {"", "test.Echo", "grpc.health.v1.Health"};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct peer_reply *reply = ask_health(&peer, CHECK_PATH, known[i]);
        assert_int_equal(reply->grpc_status, 0);
        assert_true(peer_has_messages(reply, 1, (const char *const[]){"\x08\x01"}));
    }
    rpc_server_set_health(&peer.server, "test.Echo", false);
    struct peer_reply *reply = ask_health(&peer, CHECK_PATH, "test.Echo");
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"\x08\x02"}));
    reply = ask_health(&peer, CHECK_PATH, "nope");
    assert_int_equal(reply->grpc_status, 5);
    assert_string_equal(reply->message, "unknown service");
    peer_close(&peer);
}

static void tells_who_watches_of_every_change(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = ask_health(&peer, WATCH_PATH, "later");
    struct peer_reply *canceled = ask_health(&peer, WATCH_PATH, "later");
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"\x08\x03"}));
    peer_cancel(&peer, canceled);
    rpc_server_set_health(&peer.server, "later", true);
    rpc_server_set_health(&peer.server, "later", true);
    rpc_server_set_health(&peer.server, "other", false);
    rpc_server_set_health(&peer.server, "later", false);
    peer_pump(&peer);
    assert_true(
        peer_has_messages(reply, 3, (const char *const[]){"\x08\x03", "\x08\x01", "\x08\x02"}));
    assert_false(reply->ended);
    peer_close(&peer);
}

static Grpc__Reflection__V1__ServerReflectionResponse *ask_reflection(struct rpc_peer *peer,
                                                                      int number, const char *text)
{
    struct buf message = {.data = NULL}, body = {.data = NULL};
    pb_put_text(&message, 1, "host");
    pb_put_text(&message, (uint32_t)number, text);
    peer_put_message(&body, message.data, message.len);
    struct peer_reply *reply =
        peer_request(peer, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL,
                     buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 0);
    assert_true(reply->data.len > 5);
    Grpc__Reflection__V1__ServerReflectionResponse *response =
        grpc__reflection__v1__server_reflection_response__unpack(NULL, reply->data.len - 5,
                                                                 reply->data.data + 5);
    assert_non_null(response);
    assert_string_equal(response->valid_host, "host");
    assert_non_null(response->original_request);
    buf_deinit(&message);
    buf_deinit(&body);
    return response;
}

static void forget_answer(Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static void lists_every_service_once(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    Grpc__Reflection__V1__ServerReflectionResponse *response = ask_reflection(&peer, 7, "*");
    static const char *const services[] = {
        "test.Echo",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    };
    assert_int_equal(response->list_services_response->n_service, COUNT_OF(services));
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        assert_string_equal(response->list_services_response->service[i]->name, services[i]);
    }
    forget_answer(response);
    peer_close(&peer);
}

static void finds_the_file_of_every_kind_of_symbol(void **state)
{
    (void)state;
    static const struct {
        const char *symbol;
        size_t files; /* with those that it depends on */
    } cases[] = {
        {"etcdserverpb.KV", 3},
        {"etcdserverpb.KV.Range", 3},
        {"etcdserverpb.RangeRequest", 3},
        {"etcdserverpb.RangeRequest.SortOrder", 3},
        {"etcdserverpb.AlarmType", 3},
        {"mvccpb.KeyValue", 1},
        {"mvccpb.Event.EventType", 1},
        {"v3electionpb.Election", 4},
        {"grpc.health.v1.Health.Check", 1},
        {"grpc.reflection.v1.ServerReflection", 1},
    };
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Grpc__Reflection__V1__ServerReflectionResponse *response =
            ask_reflection(&peer, 4, cases[i].symbol);
        if (response->message_response_case !=
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE) {
            fail_msg("%s was not found", cases[i].symbol);
        }
        assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto,
                         cases[i].files);
        forget_answer(response);
    }
    Grpc__Reflection__V1__ServerReflectionResponse *response =
        ask_reflection(&peer, 3, "mvccpb.proto");
    assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 1);
    forget_answer(response);
    peer_close(&peer);
}

static void answers_not_found_where_there_is_nothing(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *text;
    } cases[] = {
        {3, "nope.proto"},
        {4, "etcdserverpb"},
        {4, "etcdserverpb.Nope"},
        {4, "etcdserverpb.KV.X"},
        {4, "etcdserverpb.K"},
        {4, ""},
        {4, "nope"},
        {4, "etcdserverpb.KV."},
        {6, "etcdserverpb.KV"},
    };
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Grpc__Reflection__V1__ServerReflectionResponse *response =
            ask_reflection(&peer, cases[i].number, cases[i].text);
        assert_int_equal(
            response->message_response_case,
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE);
        assert_int_equal(response->error_response->error_code, 5);
        forget_answer(response);
    }
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_whether_services_serve),
        cmocka_unit_test(tells_who_watches_of_every_change),
        cmocka_unit_test(lists_every_service_once),
        cmocka_unit_test(finds_the_file_of_every_kind_of_symbol),
        cmocka_unit_test(answers_not_found_where_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
