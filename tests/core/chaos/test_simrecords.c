#include "core/chaos/sim/simrecords.h"

#include <string.h>

#include "tests/support/test.h"

static uint64_t revision;
static nanos now;

static const char *records_put(struct simrecords *r, enum ha_kind kind, const void *record)
{
    char text[HA_KEY_BYTES];
    struct ha_key key;
    struct buf json;

    ha_record_key(kind, record, &key);
    ha_key_format(kind, key.name, key.vm, text);
    buf_init(&json);
    ha_record_encode(kind, record, &json);
    const struct simrecords_change change = {.key = {(const uint8_t *)text, strlen(text)},
                                             .value = buf_view(&json),
                                             .revision = ++revision,
                                             .now = now};
    const char *broken = simrecords_changed(r, &change);
    buf_deinit(&json);
    return broken;
}

static const char *records_text(struct simrecords *r, const char *key, const char *value)
{
    const struct simrecords_change change = {
        .key = {(const uint8_t *)key, strlen(key)},
        .value = {(const uint8_t *)value, value != NULL ? strlen(value) : 0},
        .is_delete = value == NULL,
        .revision = ++revision,
        .now = now};

    return simrecords_changed(r, &change);
}

static struct ha_owner owner_in(enum ha_phase phase, const char *host, uint64_t epoch)
{
    struct ha_owner o;

    ha_record_defaults(HA_OWNER, &o);
    ha_text_set(o.vm, sizeof o.vm, "web");
    ha_text_set(o.host, sizeof o.host, host);
    o.phase = phase;
    o.epoch = epoch;
    o.term = 1;
    return o;
}

static const char *owner_put(struct simrecords *r, enum ha_phase phase, const char *host,
                             uint64_t epoch, enum ha_proof proof)
{
    struct ha_owner o = owner_in(phase, host, epoch);

    o.proof = proof;
    return records_put(r, HA_OWNER, &o);
}

static const char *fate_put_of(struct simrecords *r, const char *host, enum ha_fate_phase phase,
                               enum ha_proof proof)
{
    struct ha_fate f;

    ha_record_defaults(HA_FATE, &f);
    ha_text_set(f.host, sizeof f.host, host);
    ha_text_set(f.incident, sizeof f.incident, "i1");
    f.phase = phase;
    f.proof = proof;
    f.term = 1;
    return records_put(r, HA_FATE, &f);
}

static const char *fate_put(struct simrecords *r, enum ha_fate_phase phase, enum ha_proof proof)
{
    return fate_put_of(r, "a", phase, proof);
}

static void a_life_that_keeps_the_rules_breaks_nothing(void **state)
{
    (void)state;
    struct simrecords r;
    simrecords_init(&r);
    assert_null(owner_put(&r, HA_STARTING, "a", 9, HA_PROOF_NONE));
    assert_null(owner_put(&r, HA_RUNNING, "a", 9, HA_PROOF_NONE));
    assert_null(fate_put(&r, HA_HOST_LOST, HA_PROOF_NONE));
    assert_null(owner_put(&r, HA_RECOVERING, "a", 9, HA_PROOF_NONE));
    assert_null(fate_put(&r, HA_HOST_FENCING, HA_PROOF_NONE));
    assert_null(fate_put(&r, HA_HOST_GONE, HA_PROOF_FENCED));
    assert_null(owner_put(&r, HA_STARTING, "b", 10, HA_PROOF_FENCED));
    assert_int_equal(r.judged, 7);
    /* What has no rule is nobody's business here. */
    assert_null(records_text(&r, "/novacron/vms/web", "{"));
    assert_null(records_text(&r, "/novacron/leader", "x"));
    assert_int_equal(r.judged, 7);
    simrecords_deinit(&r);
}

static void a_machine_that_leaves_without_a_proof_is_told(void **state)
{
    (void)state;
    struct simrecords r;
    simrecords_init(&r);
    assert_null(owner_put(&r, HA_STARTING, "a", 9, HA_PROOF_NONE));
    assert_string_equal(owner_put(&r, HA_STARTING, "b", 10, HA_PROOF_NONE), "I46");
    assert_non_null(strstr(r.text, "without a proof: of web, starting on a, epoch 9"));
    simrecords_deinit(&r);
}

static void a_fence_that_nobody_began_is_told(void **state)
{
    (void)state;
    struct simrecords r;
    simrecords_init(&r);
    assert_null(fate_put(&r, HA_HOST_UP, HA_PROOF_NONE));
    assert_string_equal(fate_put(&r, HA_HOST_GONE, HA_PROOF_FENCED), "I47");
    assert_non_null(strstr(r.text, "without having been barred: of a, up"));
    simrecords_deinit(&r);
}

/* Each of the two records keeps the rules for two that follow each other. */
static void an_epoch_of_an_earlier_machine_of_the_name_is_told(void **state)
{
    (void)state;
    struct simrecords r;
    simrecords_init(&r);
    assert_null(owner_put(&r, HA_STARTING, "a", 9, HA_PROOF_NONE));
    assert_null(records_text(&r, "/novacron/owners/web", NULL));
    assert_string_equal(owner_put(&r, HA_STARTING, "a", 9, HA_PROOF_NONE), "I46");
    assert_non_null(strstr(r.text, "its epoch was used by an earlier machine of the name"));
    simrecords_deinit(&r);
}

static void a_record_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct simrecords r;
    simrecords_init(&r);
    assert_string_equal(records_text(&r, "/novacron/owners/web", "{"), "I46");
    assert_string_equal(records_text(&r, "/novacron/fates/a", "{"), "I47");
    simrecords_deinit(&r);
}

/* Of three hosts one may be fenced at a time; so long ago that it counts no more, another. */
static void a_fence_beyond_the_cap_is_told(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a", "b", "c"};
    struct simrecords r;
    simrecords_init(&r);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct ha_host host;
        struct ha_agent_record agent;
        ha_record_defaults(HA_HOST, &host);
        ha_record_defaults(HA_AGENT, &agent);
        ha_text_set(host.name, sizeof host.name, hosts[i]);
        ha_text_set(agent.host, sizeof agent.host, hosts[i]);
        agent.member = i + 1;
        agent.boot = 1;
        assert_null(records_put(&r, HA_HOST, &host));
        assert_null(records_put(&r, HA_AGENT, &agent));
    }
    now = 1000 * NANOS_PER_S;
    assert_null(fate_put_of(&r, "a", HA_HOST_LOST, HA_PROOF_NONE));
    assert_null(fate_put_of(&r, "a", HA_HOST_FENCING, HA_PROOF_NONE));
    now += 599 * NANOS_PER_S;
    assert_null(fate_put_of(&r, "a", HA_HOST_FENCING, HA_PROOF_NONE)); /* a note */
    now += NANOS_PER_S;
    assert_null(fate_put_of(&r, "b", HA_HOST_LOST, HA_PROOF_NONE));
    assert_null(fate_put_of(&r, "b", HA_HOST_FENCING, HA_PROOF_NONE));
    assert_null(fate_put_of(&r, "c", HA_HOST_LOST, HA_PROOF_NONE));
    assert_string_equal(fate_put_of(&r, "c", HA_HOST_FENCING, HA_PROOF_NONE), "I45");
    assert_non_null(strstr(r.text, "than a storm's cap allows: c beside 1"));
    simrecords_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_that_keeps_the_rules_breaks_nothing),
        cmocka_unit_test(a_machine_that_leaves_without_a_proof_is_told),
        cmocka_unit_test(a_fence_that_nobody_began_is_told),
        cmocka_unit_test(an_epoch_of_an_earlier_machine_of_the_name_is_told),
        cmocka_unit_test(a_record_that_cannot_be_read_is_told),
        cmocka_unit_test(a_fence_beyond_the_cap_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
