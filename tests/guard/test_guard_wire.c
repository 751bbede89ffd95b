/* The guard's message and its answer: what is encoded is decoded, and nothing else is. */
#include "guard/guard_wire.h"

#include <string.h>

#include "tests/support/test.h"

static struct bytes view(const uint8_t *bytes, size_t n)
{
    return (struct bytes){bytes, n};
}

static void messages_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct guard_message messages[] = {
        {.kind = GUARD_STATUS, .number = 1},
        {.kind = GUARD_LEASE, .number = UINT64_MAX, .until = UINT64_MAX - 1},
        {.kind = GUARD_HOLD, .number = 2, .epoch = 9, .pid = 4194304, .name = "vm-1"},
    };

    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        uint8_t bytes[GUARD_MESSAGE_BYTES];
        struct guard_message m;
        guard_message_encode(&messages[i], bytes);
        assert_int_equal(guard_message_decode(view(bytes, sizeof bytes), &m), OK);
        assert_memory_equal(&m, &messages[i], sizeof m);
    }
}

static void one_message_has_one_encoding(void **state)
{
    (void)state;
    const struct guard_message message = {.kind = GUARD_HOLD, .epoch = 1, .pid = 2, .name = "vm"};
    uint8_t bytes[GUARD_MESSAGE_BYTES];
    uint8_t again[GUARD_MESSAGE_BYTES];
    struct guard_message m;

    guard_message_encode(&message, bytes);
    for (size_t i = 0; i < 8 * sizeof bytes; i++) {
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
        if (guard_message_decode(view(bytes, sizeof bytes), &m) == OK) {
            guard_message_encode(&m, again);
            assert_memory_equal(again, bytes, sizeof bytes);
        }
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
    }
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    const struct guard_message hold = {.kind = GUARD_HOLD, .name = "vm"};
    uint8_t bytes[GUARD_MESSAGE_BYTES + 1] = {0};
    struct guard_message m;

    guard_message_encode(&hold, bytes);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        assert_int_equal(guard_message_decode(view(bytes, n), &m),
                         n == GUARD_MESSAGE_BYTES ? OK : ERR_PROTOCOL);
    }
    bytes[4] = 2;
    assert_int_equal(guard_message_decode(view(bytes, GUARD_MESSAGE_BYTES), &m), ERR_UNSUPPORTED);
    bytes[4] = 1;
    for (int kind = 0; kind < 300; kind++) {
        bytes[6] = (uint8_t)kind;
        bytes[7] = (uint8_t)(kind >> 8);
        assert_int_equal(guard_message_decode(view(bytes, GUARD_MESSAGE_BYTES), &m),
                         kind == GUARD_HOLD ? OK : ERR_PROTOCOL);
    }
    guard_message_encode(&hold, bytes);
    memset(bytes + 40, 'a', WORLD_NAME_MAX_BYTES); /* without an end */
    assert_int_equal(guard_message_decode(view(bytes, GUARD_MESSAGE_BYTES), &m), ERR_PROTOCOL);
    guard_message_encode(&hold, bytes);
    bytes[40 + 10] = 'x'; /* behind its end */
    assert_int_equal(guard_message_decode(view(bytes, GUARD_MESSAGE_BYTES), &m), ERR_PROTOCOL);
}

static void answers_come_back_as_they_were(void **state)
{
    (void)state;
    static const enum err results[] = {OK,          ERR_INVALID, ERR_EXISTS,
                                       ERR_REFUSED, ERR_BUSY,    ERR_DENIED};
    uint8_t bytes[GUARD_ANSWER_BYTES];
    struct guard_answer a;

    for (size_t i = 0; i < COUNT_OF(results) * WORLD_WATCHDOG_STATES; i++) {
        const struct guard_answer answer = {
            .result = results[i % COUNT_OF(results)],
            .number = i,
            .instance = ~i,
            .watchdog = (enum world_watchdog)(i / COUNT_OF(results)),
            .watchdog_timeout = 11 * NANOS_PER_S,
            .lease_until = UINT64_MAX,
            .machines = 3,
            .doomed = 2,
        };
        guard_answer_encode(&answer, bytes);
        assert_int_equal(guard_answer_decode(view(bytes, sizeof bytes), &a), OK);
        assert_int_equal(a.result, answer.result);
        assert_int_equal(a.number, answer.number);
        assert_int_equal(a.instance, answer.instance);
        assert_int_equal(a.watchdog, answer.watchdog);
        assert_int_equal(a.watchdog_timeout, answer.watchdog_timeout);
        assert_int_equal(a.lease_until, answer.lease_until);
        assert_int_equal(a.machines, 3);
        assert_int_equal(a.doomed, 2);
    }
    bytes[48] = WORLD_WATCHDOG_STATES;
    assert_int_equal(guard_answer_decode(view(bytes, sizeof bytes), &a), ERR_PROTOCOL);
    bytes[48] = 0;
    bytes[6] = 200;
    assert_int_equal(guard_answer_decode(view(bytes, sizeof bytes), &a), ERR_PROTOCOL);
    bytes[6] = 0;
    bytes[63] = 1;
    assert_int_equal(guard_answer_decode(view(bytes, sizeof bytes), &a), ERR_PROTOCOL);
    assert_int_equal(guard_answer_decode(view(bytes, sizeof bytes - 1), &a), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back_as_they_were),
        cmocka_unit_test(one_message_has_one_encoding),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(answers_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
