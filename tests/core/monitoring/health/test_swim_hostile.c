/* What strangers, repeaters, misconfigured hosts and overload can do to a member: scenarios 3, 9,
 * 12, 13, 14 and 15 of the list. */
#include "core/monitoring/health/swim.h"
#include "core/monitoring/health/swim_wire.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "tests/core/monitoring/health/swim_net.h"
#include "tests/support/test.h"

#include <string.h>

static const struct seal_cipher cipher = {NULL, &seal_stand_in};

static struct swim_config shipped(void)
{
    struct swim_config config = {.members_max = 0};

    swim_config_shipped(&config);
    return config;
}

/* An envelope of `messages` from member `id`, as it would seal it. */
static size_t forge(const struct swim_net *net, struct seal_sender *sender,
                    const struct swim_message *messages, size_t n, uint8_t *out)
{
    struct seal_label label = {.len = 0};
    struct buf text;
    size_t len = 0;

    buf_init(&text);
    buf_put_u8(&text, SWIM_VERSION_MIN);
    buf_put_varint(&text, 0);
    for (size_t i = 0; i < n; i++) {
        swim_message_encode(&text, &messages[i]);
    }
    len = seal_wrap(&cipher, &net->ring, &label, sender, buf_view(&text), out);
    buf_deinit(&text);
    return len;
}

static void hand_over(struct swim_net *net, uint32_t host, const uint8_t *bytes, size_t n)
{
    struct swim_event event = {.kind = SWIM_EVENT_DATAGRAM, .bytes = {bytes, n}};

    memcpy(event.at.host, "elsewhere", 10);
    event.at.port = 9;
    swim_net_step(net, host, &event);
}

static void scenario_9_duplicates_and_disorder_change_nothing(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct swim_net net;

    swim_net_open(&net, 16, &config, 5, true);
    net.duplicate_percent = 50;
    net.delay_max = 200 * NANOS_PER_MS;
    swim_net_run(&net, 120 * NANOS_PER_S);
    assert_true(swim_net_is_settled(&net));
    swim_net_crash(&net, 3);
    assert_true(swim_net_run_until(&net, 20 * NANOS_PER_S, swim_net_is_settled));
    swim_net_close(&net);
}

static void scenario_9_what_was_recorded_revives_nobody(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 4, .instance = 1, .counter = 1000};
    struct swim_message alive = {
        .type = SWIM_MEMBER, .id = 4, .incarnation = 1 << 16, .version = 1, .at = {"h3", 7000}};
    uint8_t recorded[256];
    struct swim_net net;
    size_t n = 0;

    swim_net_open(&net, 8, &config, 6, true);
    n = forge(&net, &sender, &alive, 1, recorded);
    swim_net_run(&net, 5 * NANOS_PER_S);
    swim_net_crash(&net, 3);
    assert_true(swim_net_run_until(&net, 10 * NANOS_PER_S, swim_net_is_settled));
    for (uint32_t i = 0; i < net.n; i++) {
        hand_over(&net, i, recorded, n);
        hand_over(&net, i, recorded, n);
    }
    swim_net_run(&net, 10 * NANOS_PER_S);
    assert_int_equal(swim_net_count(&net, 3, SWIM_DEAD), 7);
    assert_true(net.hosts[0].swim.counters[SWIM_REFUSED_REPLAY] >= 1);
    /* And after the host has come back, what its earlier life said is refused whole. */
    swim_net_restart(&net, 3, false);
    swim_net_join(&net, 3, 0);
    assert_true(swim_net_run_until(&net, 3 * NANOS_PER_S, swim_net_is_settled));
    sender.counter = 5000;
    n = forge(&net, &sender, &alive, 1, recorded);
    hand_over(&net, 0, recorded, n);
    assert_true(swim_net_is_settled(&net));
    swim_net_close(&net);
}

static void scenario_9_what_was_recorded_under_a_key_that_is_gone_opens_no_more(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 4, .instance = 1, .counter = 100000};
    struct swim_message ping = {.type = SWIM_PING, .sequence = 5, .id = 1};
    uint8_t recorded[256];
    struct seal_ring newer = {.keys = {{9, 9}}, .n = 1};
    struct swim_net net;
    size_t n = 0;

    swim_net_open(&net, 4, &config, 7, true);
    n = forge(&net, &sender, &ping, 1, recorded);
    swim_set_keys(&net.hosts[0].swim, &newer);
    hand_over(&net, 0, recorded, n);
    assert_int_equal(net.update.n_sends, 0);
    assert_int_equal(net.hosts[0].swim.counters[SWIM_REFUSED_KEY], 1);
    swim_net_close(&net);
}

static uint32_t deaths_of_anyone;

static void count_any_death(struct swim_net *net, uint32_t host, const struct swim_change *change)
{
    (void)net;
    (void)host;
    deaths_of_anyone += change->kind == SWIM_DIED ? 1 : 0;
}

static void scenario_12_keys_rotate_under_loss_and_nobody_notices(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    const uint8_t older[SEAL_KEY_BYTES] = {1, 2, 3};
    const uint8_t newer[SEAL_KEY_BYTES] = {4, 5, 6};
    struct swim_net net;

    swim_net_open(&net, 24, &config, 8, true);
    net.changed = count_any_death;
    deaths_of_anyone = 0;
    for (int step = 0; step < 3; step++) {
        for (uint32_t i = 0; i < net.n; i++) {
            struct seal_ring ring = net.hosts[i].swim.ring;

            net.hosts[i].loss_in = 10;
            if (step == 2) {
                assert_int_equal(seal_ring_drop(&ring, older), OK);
            } else {
                assert_int_equal(seal_ring_put(&ring, newer, step == 1), OK);
            }
            swim_set_keys(&net.hosts[i].swim, &ring);
            swim_net_run(&net, 2 * NANOS_PER_S);
        }
    }
    swim_net_run(&net, 30 * NANOS_PER_S);
    assert_int_equal(deaths_of_anyone, 0);
    assert_int_equal(net.hosts[0].swim.counters[SWIM_REFUSED_KEY], 0);
    assert_true(swim_net_is_settled(&net));
    swim_net_close(&net);
}

static void scenario_12_another_clusters_label_and_a_wrong_key_stay_outside(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct swim_net net;

    swim_net_open(&net, 5, &config, 9, false);
    net.hosts[3].swim.config.label = (struct seal_label){.bytes = "other", .len = 5};
    net.hosts[4].swim.ring.keys[0][0] ^= 1;
    for (uint32_t i = 1; i < net.n; i++) {
        swim_net_join(&net, i, 0);
    }
    swim_net_run(&net, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(swim_live_count(&net.hosts[i].swim), 3);
    }
    assert_int_equal(swim_live_count(&net.hosts[3].swim), 1);
    assert_int_equal(swim_live_count(&net.hosts[4].swim), 1);
    assert_true(net.hosts[0].swim.counters[SWIM_REFUSED_LABEL] > 0);
    assert_true(net.hosts[0].swim.counters[SWIM_REFUSED_KEY] > 0);
    swim_net_close(&net);
}

/* Whose seeds could not be reached at first joins when they can; without seeds it is alone and
 * well. */
static void scenario_12_a_start_behind_a_partition_and_one_without_seeds(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct swim_net net;

    swim_net_open(&net, 4, &config, 10, false);
    net.hosts[3].group = 1;
    net.is_split = true;
    for (uint32_t i = 1; i < net.n; i++) {
        swim_net_join(&net, i, 0);
    }
    swim_net_run(&net, 30 * NANOS_PER_S);
    assert_int_equal(swim_live_count(&net.hosts[3].swim), 1);
    net.is_split = false;
    swim_net_join(&net, 3, 0);
    assert_true(swim_net_run_until(&net, 3 * NANOS_PER_S, swim_net_is_settled));
    swim_net_close(&net);
}

static void scenario_12_a_version_that_is_not_spoken_is_refused_and_counted(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 2, .instance = 1, .counter = 1000};
    const uint8_t text[] = {SWIM_VERSION_MAX + 1, 0, SWIM_PING, 1, 1, 0};
    struct seal_label label = {.len = 0};
    uint8_t out[128];
    struct swim_net net;
    size_t n = 0;

    swim_net_open(&net, 3, &config, 11, true);
    n = seal_wrap(&cipher, &net.ring, &label, &sender, (struct bytes){text, sizeof(text)}, out);
    hand_over(&net, 0, out, n);
    assert_int_equal(net.update.n_sends, 0);
    assert_int_equal(net.hosts[0].swim.counters[SWIM_REFUSED_VERSION], 1);
    swim_net_close(&net);
}

/* From an address that nobody proved: at most one answer, to whom the address says, and no longer
 * than what was asked. From a member: to the address that the member told, whatever the datagram's.
 */
static void scenario_13_no_answer_is_longer_than_a_strangers_question(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct swim_message pings[200];
    uint8_t out[2000];
    uint8_t sealed_by_nobody[1400] = {0xA1};
    struct swim_net net;

    swim_net_open(&net, 6, &config, 12, true);
    for (uint32_t i = 0; i < 200; i++) {
        pings[i] = (struct swim_message){.type = SWIM_PING, .sequence = i + 1, .id = 1};
    }
    for (size_t n = 1; n <= 200; n += 199) {
        struct seal_sender stranger = {.id = 900, .instance = 1, .counter = n};
        struct seal_sender member = {.id = 2, .instance = 1, .counter = 1000 + n};
        size_t asked = forge(&net, &stranger, pings, n, out);

        hand_over(&net, 0, out, asked);
        assert_true(net.update.n_sends <= 1);
        for (size_t i = 0; i < net.update.n_sends; i++) {
            assert_true(net.update.sends[i].len <= asked);
        }
        asked = forge(&net, &member, pings, n, out);
        hand_over(&net, 0, out, asked);
        for (size_t i = 0; i < net.update.n_sends; i++) {
            assert_string_equal(net.update.sends[i].at.host, "h1");
        }
        assert_true(net.update.n_sends <= SWIM_ANSWERS_MAX);
    }
    hand_over(&net, 0, sealed_by_nobody, sizeof(sealed_by_nobody));
    assert_int_equal(net.update.n_sends, 0);
    swim_net_close(&net);
}

/* So many contradictions are used up that the next one, or new metadata, is of the next instance.
 */
static void new_metadata_after_the_last_contradiction_is_of_a_new_instance(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 2, .instance = 1, .counter = 0};
    struct swim_message suspect = {
        .type = SWIM_SUSPECT_OF, .id = 1, .by = 2, .incarnation = 1 << 16 | 0xFFFE};
    struct swim_event meta = {.kind = SWIM_EVENT_META, .bytes = {(const uint8_t *)"new", 3}};
    uint8_t bytes[256];
    struct swim_net net;

    swim_net_open(&net, 5, &config, 15, true);
    hand_over(&net, 0, bytes, forge(&net, &sender, &suspect, 1, bytes));
    swim_net_step(&net, 0, &meta);
    swim_check(&net.hosts[0].swim);
    swim_net_run(&net, 10 * NANOS_PER_S);
    assert_false(net.hosts[0].swim.is_displaced);
    assert_true(swim_net_is_settled(&net));
    assert_int_equal(swim_instance_of(swim_find(&net.hosts[2].swim, 1)->incarnation), 2);
    swim_net_close(&net);
}

/* Nobody can be buried under an incarnation that it cannot contradict. */
static void scenario_14_the_largest_incarnations_evict_nobody(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    const uint64_t incarnations[] = {UINT64_MAX, SWIM_INSTANCE_MAX << 16 | 0xFFFF,
                                     (1 << 16) + 0xFFFF, UINT32_MAX};

    for (size_t i = 0; i < COUNT_OF(incarnations); i++) {
        struct seal_sender sender = {.id = 2, .instance = 1, .counter = 0};
        struct swim_message dead = {
            .type = SWIM_DEAD_OF, .id = 3, .by = 2, .incarnation = incarnations[i]};
        uint8_t out[256];
        struct swim_net net;

        swim_net_open(&net, 5, &config, 13, true);
        for (uint32_t host = 0; host < net.n; host++) {
            hand_over(&net, host, out, forge(&net, &sender, &dead, 1, out));
        }
        swim_net_run(&net, 10 * NANOS_PER_S);
        assert_true(swim_net_is_settled(&net));
        swim_net_close(&net);
    }
}

static void scenario_14_a_million_members_that_are_not_do_not_fit(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 2, .instance = 1, .counter = 1000};
    uint8_t out[4096];
    struct swim_net net;
    node_id next = 1000;

    config.members_max = 64;
    swim_net_open(&net, 5, &config, 14, true);
    for (int round = 0; round < 2000; round++) {
        struct swim_message fakes[20];

        for (size_t i = 0; i < COUNT_OF(fakes); i++) {
            fakes[i] = (struct swim_message){.type = SWIM_MEMBER,
                                             .id = next++,
                                             .incarnation = 1 << 16,
                                             .version = 1,
                                             .at = {"h4", 1}};
        }
        hand_over(&net, 0, out, forge(&net, &sender, fakes, COUNT_OF(fakes), out));
        swim_check(&net.hosts[0].swim);
    }
    assert_int_equal(swim_count(&net.hosts[0].swim), 64);
    for (uint32_t i = 1; i < net.n; i++) {
        assert_int_equal(swim_net_state(&net, 0, i), SWIM_ALIVE);
    }
    swim_net_close(&net);
}

/* A dead member speaks, and names one who takes its place in the full table: what it says behind
 * that is no word of the newcomer's. */
static void what_a_tombstone_that_gives_way_says_is_nobody_elses_word(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 4, .instance = 1, .counter = 1000};
    struct swim_event leads = {.kind = SWIM_EVENT_LEADER, .id = 1};
    const struct swim_message said[] = {
        {.type = SWIM_MEMBER, .id = 99, .incarnation = 1 << 16, .version = 1, .at = {"h9", 7000}},
        {.type = SWIM_REPORT, .id = 2, .incarnation = 1 << 16},
    };
    uint8_t bytes[WORLD_DATAGRAM_MAX_BYTES];
    struct swim_net net;
    uint64_t refused = 0;

    config.members_max = 4;
    swim_net_open(&net, 4, &config, 16, true);
    swim_net_step(&net, 0, &leads);
    swim_net_crash(&net, 3);
    swim_net_run(&net, 10 * NANOS_PER_S);
    assert_int_equal(swim_net_state(&net, 0, 3), SWIM_DEAD);
    refused = net.hosts[0].swim.counters[SWIM_REFUSED_STRANGER];
    hand_over(&net, 0, bytes, forge(&net, &sender, said, COUNT_OF(said), bytes));
    assert_non_null(swim_find(&net.hosts[0].swim, 99));
    assert_null(swim_find(&net.hosts[0].swim, 4));
    assert_int_equal(net.update.n_reports, 0);
    assert_int_equal(net.hosts[0].swim.counters[SWIM_REFUSED_STRANGER], refused + 1);
    swim_check(&net.hosts[0].swim);
    swim_net_close(&net);
}

static void scenario_14_what_is_cut_anywhere_is_refused(void **state)
{
    (void)state;
    const struct swim_message messages[] = {
        {.type = SWIM_PING, .sequence = 70000, .id = 300, .flags = 1},
        {.type = SWIM_MEMBER,
         .id = 300,
         .incarnation = 1 << 20,
         .version = 1,
         .site = "paris",
         .at = {"a-host", 7000},
         .meta = {(const uint8_t *)"xyz", 3}},
        {.type = SWIM_BEAT, .sequence = 700, .echo = 300, .received = 3, .promise_ms = 4000},
        {.type = SWIM_ACCUSE, .id = 300, .incarnation = 1 << 20},
        {.type = SWIM_BUCKETS, .n_buckets = 2, .buckets = {(const uint8_t *)"12345678", 8}},
        {.type = SWIM_SYNC, .digest = 77},
    };

    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        struct swim_message back;
        struct cursor c;
        struct buf b;

        buf_init(&b);
        swim_message_encode(&b, &messages[i]);
        for (size_t cut = 0; cut < b.len; cut++) {
            cursor_init(&c, (struct bytes){b.data, cut});
            assert_int_not_equal(swim_message_decode(&c, &back), OK);
        }
        cursor_init(&c, buf_view(&b));
        assert_int_equal(swim_message_decode(&c, &back), OK);
        assert_true(cursor_done(&c));
        assert_int_equal(back.type, messages[i].type);
        assert_true(back.id == messages[i].id && back.incarnation == messages[i].incarnation);
        assert_int_equal(back.sequence, messages[i].sequence);
        assert_string_equal(back.at.host, messages[i].at.host);
        buf_deinit(&b);
    }
}

/* Of sixteen beats nobody has heard seventeen. */
static void scenario_14_a_beat_that_tells_more_than_there_is_is_refused(void **state)
{
    (void)state;
    struct swim_message beat = {.type = SWIM_BEAT, .sequence = 700, .received = SWIM_BEATS_TOLD};
    struct swim_message back;

    for (int more = 0; more < 2; more++) {
        struct cursor c;
        struct buf b;

        buf_init(&b);
        swim_message_encode(&b, &beat);
        cursor_init(&c, buf_view(&b));
        assert_true((swim_message_decode(&c, &back) == OK) == (more == 0));
        buf_deinit(&b);
        beat.received++;
    }
}

/* Buckets, and whoever sends them with the longest names that there are, are too much for one. */
static void scenario_15_a_large_table_introduces_itself_by_datagrams_that_fit(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    struct seal_sender sender = {.id = 2, .instance = 1, .counter = 0};
    struct swim_message sync = {.type = SWIM_SYNC, .flags = SWIM_FLAG_JOIN, .digest = 1};
    struct world_endpoint elsewhere = {"h1", 7000};
    struct swim_event meta = {.kind = SWIM_EVENT_META};
    uint8_t bytes[SWIM_META_MAX_BYTES];
    struct swim_member *self = NULL;
    struct swim_net net;

    memset(bytes, 'm', sizeof(bytes));
    swim_net_open(&net, 2, &config, 16, true);
    for (node_id id = 1000; id < 1000 + SWIM_BUCKETS_MAX * 8; id++) {
        swim_assume(&net.hosts[0].swim, id, 1, &elsewhere);
    }
    self = &net.hosts[0].swim.members[0];
    memset(self->at.host, 'h', sizeof(self->at.host) - 1);
    memset(self->site, 's', sizeof(self->site));
    meta.bytes = (struct bytes){bytes, sizeof(bytes)};
    swim_net_step(&net, 0, &meta);
    hand_over(&net, 0, bytes, forge(&net, &sender, &sync, 1, bytes));
    assert_true(net.update.n_sends >= 2);
    for (size_t i = 0; i < net.update.n_sends; i++) {
        assert_true(net.update.sends[i].len <= WORLD_DATAGRAM_MAX_BYTES);
    }
    swim_net_close(&net);
}

/* Bursts of changes, a hundred at once in each of ten seconds: no datagram is too large, all is
 * told, and what concerns oneself goes first. */
static void scenario_15_a_flood_of_changes_is_told_to_all(void **state)
{
    (void)state;
    struct swim_config config = shipped();
    uint8_t meta[SWIM_META_MAX_BYTES];
    struct swim_net net;

    memset(meta, 'm', sizeof(meta));
    swim_net_open(&net, 100, &config, 15, true);
    net.changed = count_any_death;
    deaths_of_anyone = 0;
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < net.n; i++) {
            struct swim_event event = {.kind = SWIM_EVENT_META};

            meta[0] = (uint8_t)round;
            event.bytes = (struct bytes){meta, sizeof(meta)};
            swim_net_step(&net, i, &event);
        }
        swim_net_run(&net, NANOS_PER_S);
    }
    swim_net_run(&net, 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < net.n; i++) {
        for (uint32_t k = 0; k < net.n; k++) {
            const struct swim_member *m = swim_find(&net.hosts[i].swim, k + 1);

            assert_int_equal(m->meta_len, sizeof(meta));
            assert_int_equal(m->meta[0], 9);
        }
    }
    assert_int_equal(deaths_of_anyone, 0);
    swim_net_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario_9_duplicates_and_disorder_change_nothing),
        cmocka_unit_test(scenario_9_what_was_recorded_revives_nobody),
        cmocka_unit_test(scenario_9_what_was_recorded_under_a_key_that_is_gone_opens_no_more),
        cmocka_unit_test(scenario_12_keys_rotate_under_loss_and_nobody_notices),
        cmocka_unit_test(scenario_12_another_clusters_label_and_a_wrong_key_stay_outside),
        cmocka_unit_test(scenario_12_a_start_behind_a_partition_and_one_without_seeds),
        cmocka_unit_test(scenario_12_a_version_that_is_not_spoken_is_refused_and_counted),
        cmocka_unit_test(scenario_13_no_answer_is_longer_than_a_strangers_question),
        cmocka_unit_test(new_metadata_after_the_last_contradiction_is_of_a_new_instance),
        cmocka_unit_test(scenario_14_the_largest_incarnations_evict_nobody),
        cmocka_unit_test(scenario_14_a_million_members_that_are_not_do_not_fit),
        cmocka_unit_test(what_a_tombstone_that_gives_way_says_is_nobody_elses_word),
        cmocka_unit_test(scenario_14_what_is_cut_anywhere_is_refused),
        cmocka_unit_test(scenario_14_a_beat_that_tells_more_than_there_is_is_refused),
        cmocka_unit_test(scenario_15_a_large_table_introduces_itself_by_datagrams_that_fit),
        cmocka_unit_test(scenario_15_a_flood_of_changes_is_told_to_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
