#include "core/chaos/detect/labnet.h"

#include <string.h>

#include "tests/support/test.h"

#define HOSTS 4

/* What happened, in order. */
struct lab_log {
    nanos at[4096];
    uint32_t host[4096];
    uint32_t from[4096];
    uint32_t number[4096]; /* of the message; UINT32_MAX: a deadline */
    size_t count;
    nanos every; /* a deadline that fired sets the next */
    struct labnet *net;
};

static void note(struct lab_log *log, uint32_t host, uint32_t from, uint32_t number)
{
    assert_true(log->count < COUNT_OF(log->at));
    log->at[log->count] = labnet_now(log->net);
    log->host[log->count] = host;
    log->from[log->count] = from;
    log->number[log->count++] = number;
}

static void log_received(void *ctx, uint32_t host, uint32_t from, enum labnet_kind kind,
                         struct bytes message)
{
    (void)kind;
    uint32_t number;
    assert_true(message.len >= sizeof number);
    memcpy(&number, message.data, sizeof number);
    note(ctx, host, from, number);
}

static void log_fired(void *ctx, uint32_t host)
{
    struct lab_log *log = ctx;
    note(log, host, host, UINT32_MAX);
    if (log->every > 0) {
        labnet_set_deadline(log->net, host, labnet_now(log->net) + log->every);
    }
}

static void lab_setup(struct lab_log *log, uint64_t seed, nanos cost)
{
    memset(log, 0, sizeof *log);
    log->net = labnet_open(&(struct labnet_options){
        .hosts = HOSTS, .seed = seed, .cost = cost, .sink = {log_received, log_fired, log}});
}

static void send_sized(struct lab_log *log, uint32_t from, uint32_t to, enum labnet_kind kind,
                       uint32_t number, size_t len)
{
    static uint8_t bytes[LABNET_MESSAGE_MAX_BYTES];
    memcpy(bytes, &number, sizeof number);
    labnet_send(log->net, from, to, kind, (struct bytes){bytes, len});
}

static void send_number(struct lab_log *log, uint32_t from, uint32_t to, uint32_t number)
{
    send_sized(log, from, to, LABNET_DATAGRAM, number, sizeof number);
}

static size_t received_by(const struct lab_log *log, uint32_t host)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++) {
        count += log->host[i] == host && log->number[i] != UINT32_MAX;
    }
    return count;
}

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

static const struct labnet_span ALWAYS = {0, NANOS_FOREVER, 0, 0};

static void a_datagram_arrives_after_its_delay(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    send_number(&log, 0, 1, 7);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.host[0], 1);
    assert_int_equal(log.from[0], 0);
    assert_int_equal(log.number[0], 7);
    assert_true(log.at[0] >= 100 * NANOS_PER_US && log.at[0] < 6 * MS);
    assert_int_equal(labnet_now(log.net), 1 * S);
    assert_int_equal(labnet_counts_of(log.net, 0)->sent.messages, 1);
    assert_int_equal(labnet_counts_of(log.net, 1)->received.bytes, 4);
    labnet_close(log.net);
}

static void a_deadline_fires_once_and_moves(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_set_deadline(log.net, 2, 50 * MS);
    labnet_set_deadline(log.net, 2, 20 * MS);
    labnet_set_deadline(log.net, 2, 80 * MS);
    labnet_set_deadline(log.net, 3, 10 * MS);
    labnet_set_deadline(log.net, 3, NANOS_FOREVER);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.host[0], 2);
    assert_int_equal(log.at[0], 80 * MS);
    labnet_set_deadline(log.net, 2, 0); /* passed: at once, and not inside the call */
    assert_int_equal(log.count, 1);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 2);
    labnet_close(log.net);
}

static void who_is_blocked_neither_sends_nor_reads_but_has_deadlines(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_block(log.net, 1, &(struct labnet_span){10 * MS, 500 * MS, 0, 0});
    labnet_run(log.net, 20 * MS);
    send_number(&log, 0, 1, 1);
    labnet_set_deadline(log.net, 1, 100 * MS);
    labnet_run(log.net, 499 * MS);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.number[0], UINT32_MAX);
    assert_int_equal(log.at[0], 100 * MS);
    send_number(&log, 1, 0, 2);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.number[1], 1);
    assert_int_equal(log.at[1], 500 * MS);
    assert_int_equal(log.number[2], 2);
    assert_true(log.at[2] > 500 * MS);
    labnet_close(log.net);
}

static void who_is_stalled_does_nothing_and_then_deadlines_first(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_stall(log.net, 1, &(struct labnet_span){10 * MS, 500 * MS, 0, 0});
    labnet_run(log.net, 20 * MS);
    send_number(&log, 0, 1, 1);
    labnet_set_deadline(log.net, 1, 100 * MS);
    labnet_run(log.net, 499 * MS);
    assert_int_equal(log.count, 0);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 2);
    assert_int_equal(log.number[0], UINT32_MAX);
    assert_int_equal(log.at[0], 500 * MS);
    assert_int_equal(log.number[1], 1);
    labnet_close(log.net);
}

static void periods_open_and_close(void **state)
{
    (void)state;
    const struct labnet_span span = {1 * S, 10 * S, 300 * MS, 100 * MS};
    assert_false(labnet_span_holds(&span, 999 * MS));
    assert_true(labnet_span_holds(&span, 1 * S));
    assert_false(labnet_span_holds(&span, 1300 * MS));
    assert_true(labnet_span_holds(&span, 1400 * MS));
    assert_false(labnet_span_holds(&span, 10 * S));
    assert_int_equal(labnet_span_ends(&span, 1450 * MS), 1700 * MS);
    assert_int_equal(labnet_span_ends(&span, 1350 * MS), 1350 * MS);
    assert_int_equal(labnet_span_ends(&span, 9900 * MS), 10 * S);
    assert_int_equal(labnet_span_ends(&ALWAYS, 5), NANOS_FOREVER);
}

static void an_inbox_that_nobody_reads_overflows(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_block(log.net, 1, &(struct labnet_span){0, 1 * S, 0, 0});
    for (uint32_t i = 0; i < 500; i++) {
        send_sized(&log, 0, 1, LABNET_DATAGRAM, i, 1000);
    }
    labnet_run(log.net, 2 * S);
    size_t fit = LABNET_INBOX_MAX_BYTES / (1000 + LABNET_INBOX_OVERHEAD_BYTES);
    assert_int_equal(received_by(&log, 1), fit);
    assert_int_equal(labnet_counts_of(log.net, 1)->overflowed, 500 - fit);
    labnet_close(log.net);
}

static void an_outbox_that_stays_shut_overflows(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_block(log.net, 1, &(struct labnet_span){0, 1 * S, 0, 0});
    for (uint32_t i = 0; i < LABNET_OUTBOX_MAX + 10; i++) {
        send_number(&log, 1, 0, i);
    }
    labnet_run(log.net, 2 * S);
    assert_int_equal(received_by(&log, 0), LABNET_OUTBOX_MAX);
    assert_int_equal(labnet_counts_of(log.net, 1)->overflowed, 10);
    labnet_close(log.net);
}

static void a_block_that_is_lifted_early_lets_go_at_once(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_block(log.net, 1, &(struct labnet_span){0, 10 * S, 0, 0});
    send_number(&log, 0, 1, 1);
    send_number(&log, 1, 2, 2);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 0);
    labnet_block(log.net, 1, &(struct labnet_span){0});
    labnet_run(log.net, 1100 * MS);
    assert_int_equal(log.count, 2);
    labnet_close(log.net);
}

static void reading_takes_its_time(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 10 * MS);
    for (uint32_t i = 0; i < 10; i++) {
        send_number(&log, 0, 1, i);
    }
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 10);
    for (size_t i = 1; i < 10; i++) {
        assert_true(log.at[i] >= log.at[i - 1] + 10 * MS);
    }
    labnet_close(log.net);
}

static void who_crashed_is_silent_until_restarted(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 1, 0);
    labnet_set_deadline(log.net, 1, 100 * MS);
    labnet_crash(log.net, 1);
    send_number(&log, 0, 1, 1);
    send_number(&log, 1, 0, 2);
    labnet_run(log.net, 1 * S);
    assert_int_equal(log.count, 0);
    assert_false(labnet_is_up(log.net, 1));
    labnet_restart(log.net, 1);
    send_number(&log, 0, 1, 3);
    labnet_run(log.net, 2 * S);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.number[0], 3);
    labnet_close(log.net);
}

/* Sends `count` from 0 to 1, one a millisecond, and says how many of them arrived. */
static size_t count_arrivals(struct lab_log *log, uint32_t count)
{
    size_t before = received_by(log, 1);
    for (uint32_t i = 0; i < count; i++) {
        labnet_run(log->net, labnet_now(log->net) + 1 * MS);
        send_number(log, 0, 1, i);
    }
    labnet_run(log->net, labnet_now(log->net) + 10 * MS);
    return received_by(log, 1) - before;
}

static void links_lose_what_they_are_told_to(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 5, 0);
    labnet_lose(log.net, 300000);
    size_t arrived = count_arrivals(&log, 1000);
    assert_in_range(arrived, 640, 760);
    labnet_lose(log.net, 0);

    labnet_lose_between(log.net, 0, 1, LABNET_CERTAIN);
    assert_int_equal(count_arrivals(&log, 50), 0);
    send_number(&log, 1, 0, 1); /* the other way it works */
    labnet_run(log.net, labnet_now(log.net) + 10 * MS);
    assert_int_equal(received_by(&log, 0), 1);
    labnet_lose_between(log.net, 0, 1, 0);

    labnet_lose_in(log.net, 1, &(struct labnet_loss){LABNET_CERTAIN, ALWAYS, 0});
    assert_int_equal(count_arrivals(&log, 50), 0);
    send_number(&log, 1, 0, 1);
    labnet_run(log.net, labnet_now(log.net) + 10 * MS);
    assert_int_equal(received_by(&log, 0), 2);
    labnet_lose_in(log.net, 1, &(struct labnet_loss){0});

    labnet_lose_out(log.net, 0, &(struct labnet_loss){LABNET_CERTAIN, ALWAYS, 1000});
    assert_int_equal(count_arrivals(&log, 50), 50);
    send_sized(&log, 0, 1, LABNET_DATAGRAM, 1, 1001); /* a black hole for large ones */
    size_t before = received_by(&log, 1);
    labnet_run(log.net, labnet_now(log.net) + 10 * MS);
    assert_int_equal(received_by(&log, 1), before);
    labnet_close(log.net);
}

static void loss_in_periods_flips_on_and_off(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 5, 0);
    const struct labnet_span span = {0, NANOS_FOREVER, 200 * MS, 200 * MS};
    labnet_lose_in(log.net, 1, &(struct labnet_loss){LABNET_CERTAIN, span, 0});
    size_t arrived = count_arrivals(&log, 400);
    assert_in_range(arrived, 190, 210);
    labnet_close(log.net);
}

static void bursts_lose_many_in_a_row(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 9, 0);
    labnet_burst(log.net, &(struct labnet_bursts){90 * MS, 10 * MS});
    size_t arrived = count_arrivals(&log, 3000);
    assert_in_range(arrived, 2400, 2900);
    size_t runs = 0; /* a run of losses shows as a gap in the numbers */
    for (size_t i = 1; i < log.count; i++) {
        runs += log.number[i] > log.number[i - 1] + 1;
    }
    assert_true(runs > 10);
    assert_true((3000 - arrived) / runs >= 5);
    labnet_close(log.net);
}

static void what_the_network_doubles_arrives_twice(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 9, 0);
    labnet_double(log.net, LABNET_CERTAIN);
    assert_int_equal(count_arrivals(&log, 20), 40);
    labnet_close(log.net);
}

static void streams_are_late_where_datagrams_are_lost(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 3, 0);
    labnet_lose(log.net, 300000);
    for (uint32_t i = 0; i < 100; i++) {
        send_sized(&log, 0, 1, LABNET_STREAM, i, 1000);
    }
    labnet_run(log.net, 60 * S);
    assert_in_range(received_by(&log, 1), 85, 100);
    size_t late = 0;
    for (size_t i = 0; i < log.count; i++) {
        late += log.at[i] >= LABNET_RETRANSMIT_WAIT;
    }
    assert_true(late > 30);
    labnet_close(log.net);
}

static void a_stream_needs_both_directions(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 3, 0);
    labnet_lose_in(log.net, 0, &(struct labnet_loss){LABNET_CERTAIN, ALWAYS, 0});
    send_sized(&log, 0, 1, LABNET_STREAM, 1, 100);
    send_number(&log, 0, 1, 2);
    labnet_run(log.net, 60 * S);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.number[0], 2);
    labnet_close(log.net);
}

static void an_answer_needs_no_handshake(void **state)
{
    (void)state;
    static struct lab_log log;
    lab_setup(&log, 3, 0);
    for (uint32_t i = 0; i < 50; i++) {
        send_sized(&log, 0, 1, LABNET_STREAM, i, 100);
        send_sized(&log, 2, 3, LABNET_ANSWER, i, 100);
    }
    labnet_run(log.net, 60 * S);
    nanos sum[HOSTS] = {0};
    for (size_t i = 0; i < log.count; i++) {
        sum[log.host[i]] += log.at[i];
    }
    assert_int_equal(log.count, 100);
    assert_true(sum[1] > 2 * sum[3]);
    labnet_close(log.net);
}

static void counts_bytes_of_each_second(void **state)
{
    (void)state;
    static struct lab_log log;
    static struct labnet_rates in;
    static struct labnet_rates out;
    lab_setup(&log, 3, 0);
    for (uint32_t second = 0; second < 10; second++) {
        labnet_run(log.net, second * S + 500 * MS);
        for (uint32_t i = 0; i <= second; i++) {
            send_sized(&log, 0, 1, LABNET_DATAGRAM, i, 100 - LABNET_HEADER_BYTES);
        }
    }
    labnet_run(log.net, 10 * S);
    labnet_rates(log.net, &in, &out);
    assert_int_equal(out.seconds, 10 * HOSTS);
    assert_int_equal(out.bytes, 5500);
    assert_int_equal(out.max_bytes, 1000);
    assert_int_equal(in.max_bytes, 1000);
    assert_true(labnet_rate_quantile(&out, 0.5) <= LABNET_RATE_WIDTH_BYTES);
    assert_true(labnet_rate_quantile(&out, 1.0) >= 1000);
    labnet_count_anew(log.net);
    labnet_run(log.net, 12 * S);
    labnet_rates(log.net, &in, &out);
    assert_int_equal(out.bytes, 0);
    assert_int_equal(out.seconds, 2 * HOSTS);
    labnet_close(log.net);
}

/* Everything at once, as one number. */
static uint64_t busy_run(uint64_t seed)
{
    static struct lab_log log;
    lab_setup(&log, seed, 20 * NANOS_PER_US);
    log.every = 7 * MS;
    labnet_lose(log.net, 50000);
    labnet_double(log.net, 50000);
    labnet_burst(log.net, &(struct labnet_bursts){90 * MS, 10 * MS});
    labnet_block(log.net, 1, &(struct labnet_span){0, 1 * S, 100 * MS, 50 * MS});
    labnet_stall(log.net, 2, &(struct labnet_span){0, 1 * S, 10 * MS, 30 * MS});
    for (uint32_t i = 0; i < HOSTS; i++) {
        labnet_set_deadline(log.net, i, 1 * MS);
    }
    for (uint32_t i = 0; i < 500; i++) {
        labnet_run(log.net, i * 2 * MS);
        send_number(&log, i % HOSTS, (i + 1 + i / HOSTS % 3) % HOSTS, i);
    }
    labnet_run(log.net, 2 * S);
    uint64_t sum = 0;
    for (size_t i = 0; i < log.count; i++) {
        sum = (sum ^ log.at[i] ^ log.host[i] ^ ((uint64_t)log.number[i] << 32)) *
              UINT64_C(0x9E3779B97F4A7C15);
    }
    labnet_close(log.net);
    return sum;
}

static void one_seed_gives_one_run(void **state)
{
    (void)state;
    assert_int_equal(busy_run(11), busy_run(11));
    assert_int_not_equal(busy_run(11), busy_run(12));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_arrives_after_its_delay),
        cmocka_unit_test(a_deadline_fires_once_and_moves),
        cmocka_unit_test(who_is_blocked_neither_sends_nor_reads_but_has_deadlines),
        cmocka_unit_test(who_is_stalled_does_nothing_and_then_deadlines_first),
        cmocka_unit_test(periods_open_and_close),
        cmocka_unit_test(an_inbox_that_nobody_reads_overflows),
        cmocka_unit_test(an_outbox_that_stays_shut_overflows),
        cmocka_unit_test(a_block_that_is_lifted_early_lets_go_at_once),
        cmocka_unit_test(reading_takes_its_time),
        cmocka_unit_test(who_crashed_is_silent_until_restarted),
        cmocka_unit_test(links_lose_what_they_are_told_to),
        cmocka_unit_test(loss_in_periods_flips_on_and_off),
        cmocka_unit_test(bursts_lose_many_in_a_row),
        cmocka_unit_test(what_the_network_doubles_arrives_twice),
        cmocka_unit_test(streams_are_late_where_datagrams_are_lost),
        cmocka_unit_test(a_stream_needs_both_directions),
        cmocka_unit_test(an_answer_needs_no_handshake),
        cmocka_unit_test(counts_bytes_of_each_second),
        cmocka_unit_test(one_seed_gives_one_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
