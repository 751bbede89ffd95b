/* `novacron top` without network and terminal: pages become figures, members become a view, and a
 * view becomes lines that fit. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/pb_wire.h"
#include "cli/top_members.h"
#include "core/base/mem.h"
#include "tests/support/test.h"

#define NOW 1700000000 /* 22:13:20 UTC */

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct top_sample sample_of(const char *page, nanos at)
{
    struct top_sample s = {.at = at};
    top_sample_parse(text_of(page), &s);
    return s;
}

static bool about(double found, double wanted)
{
    return fabs(found - wanted) <= fabs(wanted) * 1e-9;
}

/* --- figures --------------------------------------------------------------------------------- */

static void reads_what_a_member_says(void **state)
{
    (void)state;
    struct top_sample s =
        sample_of("# HELP etcd_server_has_leader Whether.\n# TYPE etcd_server_has_leader gauge\n"
                  "etcd_server_has_leader 1\netcd_server_id{server_id=\"8745653e46ac16b\"} 1\n"
                  "novacron_raft_term 7\nprocess_cpu_seconds_total 1.5e+01\n"
                  "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"etcdserverpb.KV\","
                  "grpc_method=\"Put\",grpc_code=\"OK\"} 10\n"
                  "grpc_server_handled_total{grpc_method=\"Txn\",grpc_code=\"OK\"} 5\n"
                  "grpc_server_handled_total{grpc_method=\"Range\",grpc_code=\"OK\"} 100\n"
                  "grpc_server_handled_total{grpc_method=\"Range\",grpc_code=\"Unavailable\"} 3\n"
                  "grpc_server_handled_total{grpc_method=\"Watch\",grpc_code=\"Canceled\"} 9\n"
                  "novacron_peer_lag_entries{To=\"ff\"} 12 1700000000000\n",
                  0);
    assert_true(s.id == 0x8745653e46ac16bULL);
    assert_true(about(s.figure[TOP_TERM], 7) && about(s.figure[TOP_CPU], 15));
    assert_true(isnan(s.figure[TOP_KEYS]));
    assert_true(about(s.puts, 15) && about(s.reads, 100) && about(s.failures, 3));
    assert_int_equal(s.peer_count, 1);
    assert_true(s.peers[0].id == 0xff && about(s.peers[0].lag, 12));
}

static void passes_over_what_it_does_not_understand(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "",
        "\n\n\n",
        "etcd_server_has_leader",
        "etcd_server_has_leader \n{} 1\n",
        "etcd_server_has_leader{ 1\n",
        "etcd_server_has_leader NaN\n",
        "etcd_server_has_leader 1x\n",
        "x{le=\"} 1\n",
        "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"x\"} 1\n",
        "etcd_disk_wal_fsync_duration_seconds_bucket 1\n",
    };
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        struct top_sample s = sample_of(pages[i], 0);
        assert_true(isnan(s.figure[TOP_HAS_LEADER]));
        assert_int_equal(s.sync.n, 0);
    }
}

static void keeps_no_more_buckets_and_peers_than_there_is_room_for(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page);
    for (int i = 0; i < 3 * TOP_BUCKETS_MAX; i++) {
        char line[128];
        int n = snprintf(line, sizeof line,
                         "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"%d\"} %d\n"
                         "novacron_peer_lag_entries{To=\"%x\"} 1\n",
                         100 - i, i, i + 1);
        buf_put(&page, line, (size_t)n);
    }
    struct top_sample s = {0};
    top_sample_parse(buf_view(&page), &s);
    assert_int_equal(s.sync.n, TOP_BUCKETS_MAX);
    assert_int_equal(s.peer_count, TOP_PEERS_MAX);
    for (size_t i = 1; i < s.sync.n; i++) {
        assert_true(s.sync.bound[i - 1] < s.sync.bound[i]);
    }
    buf_deinit(&page);
}

#define BUCKETS(a, b, c)                                                                           \
    "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} " #a "\n"                           \
    "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} " #b "\n"                           \
    "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} " #c "\n"

static void tells_rates_and_percentiles_of_two_pages(void **state)
{
    (void)state;
    struct top_sample before = sample_of(BUCKETS(1000, 1000, 1000), 0);
    struct top_sample now = sample_of(BUCKETS(1050, 1100, 1100), NANOS_PER_S);
    assert_true(about(top_quantile(&now.sync, &before.sync, 0.5), 0.001));
    assert_true(about(top_quantile(&now.sync, &before.sync, 0.25), 0.0005));
    assert_true(about(top_quantile(&now.sync, &before.sync, 0.75), 0.0015));
    assert_true(isnan(top_quantile(&now.sync, &now.sync, 0.5)));
    struct top_sample slow = sample_of(BUCKETS(1050, 1100, 1200), 2 * NANOS_PER_S);
    assert_true(about(top_quantile(&slow.sync, &now.sync, 0.5), 0.002));
    assert_true(about(top_rate(30, 10, 2 * NANOS_PER_S), 10));
    assert_true(isnan(top_rate(1, 10, NANOS_PER_S))); /* it was restarted */
    assert_true(isnan(top_rate(10, 1, 0)));
    assert_true(isnan(top_rate(10, (double)NAN, NANOS_PER_S)));
}

/* --- members --------------------------------------------------------------------------------- */

static void put_listed(struct buf *list, uint64_t id, const char *name, const char *url)
{
    size_t at = pb_begin(list, 2);
    pb_put_varint(list, 1, id);
    pb_put_text(list, 2, name);
    if (url[0] != '\0') {
        pb_put_text(list, 4, url);
    }
    pb_end(list, at);
}

static void list_three(struct top_members *t)
{
    struct buf list;
    buf_init(&list);
    put_listed(&list, 0xb, "node-2", "http://10.0.0.2:2379");
    put_listed(&list, 0xa, "node-1", "http://10.0.0.1:2379");
    put_listed(&list, 0xc, "node-3", "");
    top_members_list(t, buf_view(&list));
    buf_deinit(&list);
}

#define PAGE(id, more) "etcd_server_id{server_id=\"" id "\"} 1\netcd_server_has_leader 1\n" more

static struct top_target *target_at(struct top_members *t, const char *url)
{
    for (size_t i = 0; i < t->target_count; i++) {
        if (strcmp(t->targets[i].url, url) == 0) {
            return &t->targets[i];
        }
    }
    return NULL;
}

static void knows_members_by_id_and_by_address(void **state)
{
    (void)state;
    struct top_members *t = mem_alloc_zero(sizeof *t);
    top_members_watch(t, "localhost:7");
    top_members_watch(t, "localhost:7");
    top_members_page(&t->targets[0], text_of(PAGE("a", "")), 1);
    struct top_view view = top_members_view(t);
    assert_int_equal(view.count, 1); /* nobody said who the members are */
    assert_string_equal(view.members[0].name, "localhost:7");

    list_three(t);
    assert_int_equal(t->target_count, 3);
    top_members_no_page(target_at(t, "http://10.0.0.2:2379"), "it does not answer", NOW);
    view = top_members_view(t);
    assert_int_equal(view.count, 3);
    assert_string_equal(view.members[0].name, "node-1"); /* by another way than the list's */
    assert_true(view.members[0].answers);
    assert_false(view.members[1].answers);
    assert_true(view.members[1].silent_since == NOW);
    assert_string_equal(view.members[2].why, "it was not started yet");

    /* The list's own address of node-1 does not answer: it is the same member all the same. */
    top_members_no_page(target_at(t, "http://10.0.0.1:2379"), "it cannot be reached", NOW);
    view = top_members_view(t);
    assert_int_equal(view.count, 3);
    assert_true(view.members[0].answers);

    /* One that the list does not know any more. */
    top_members_watch(t, "localhost:9");
    top_members_page(target_at(t, "localhost:9"), text_of(PAGE("dead", "")), 1);
    view = top_members_view(t);
    assert_int_equal(view.count, 4);
    assert_string_equal(view.members[3].name, "localhost:9");
    mem_free(t);
}

static void says_since_when_a_member_is_silent(void **state)
{
    (void)state;
    struct top_members *t = mem_alloc_zero(sizeof *t);
    top_members_watch(t, "a");
    struct top_target *a = &t->targets[0];
    top_members_no_page(a, "it cannot be reached", NOW);
    top_members_no_page(a, "it does not answer", NOW + 5);
    assert_true(a->silent_since == NOW);
    assert_string_equal(a->why, "it does not answer");
    top_members_page(a, text_of(PAGE("a", "")), 1);
    assert_true(a->answers && a->silent_since == 0 && !a->before.is_there);
    top_members_page(a, text_of(PAGE("a", "")), 2);
    assert_true(a->before.is_there && a->before.at == 1);
    top_members_no_page(a, "it does not answer", NOW + 9);
    assert_true(a->silent_since == NOW + 9);
    top_members_page(a, text_of(PAGE("a", "")), 99);
    assert_false(a->before.is_there); /* no rate over the time that it was away */
    mem_free(t);
}

static void takes_a_list_that_cannot_be_read_for_none(void **state)
{
    (void)state;
    struct top_members *t = mem_alloc_zero(sizeof *t);
    list_three(t);
    top_members_list(t, text_of("\xff\xff\xff"));
    struct top_view view = top_members_view(t);
    assert_int_equal(view.count, 3); /* as it was known before */
    assert_string_equal(view.list_why, "the list cannot be read");
    mem_free(t);
}

/* --- frames ---------------------------------------------------------------------------------- */

#define LEADING                                                                                    \
    "etcd_server_is_leader 1\nnovacron_raft_term 7\netcd_server_proposals_committed_total 5005\n"  \
    "etcd_server_proposals_applied_total 5005\nnovacron_disk_size_bytes 1000\n"                    \
    "novacron_disk_available_bytes 290\nnovacron_store_keys 12345\nnovacron_store_revision 777\n"  \
    "novacron_store_watches 3\nnovacron_store_leases 2\nnovacron_client_connections 4\n"           \
    "process_resident_memory_bytes 12700000\netcd_mvcc_db_total_size_in_use_in_bytes 2200000\n"    \
    "etcd_server_quota_backend_bytes 4400000\nnovacron_raft_snapshot_index 5000\n"                 \
    "novacron_peer_lag_entries{To=\"b\"} 250\n"

static struct top_members *three_members(void)
{
    struct top_members *t = mem_alloc_zero(sizeof *t);
    list_three(t);
    struct top_target *a = target_at(t, "http://10.0.0.1:2379");
    struct top_target *b = target_at(t, "http://10.0.0.2:2379");
    top_members_page(a,
                     text_of(PAGE("a", LEADING "process_cpu_seconds_total 1\n"
                                               "grpc_server_handled_total{grpc_method=\"Put\","
                                               "grpc_code=\"OK\"} 100\n" BUCKETS(0, 0, 0))),
                     1);
    top_members_page(a,
                     text_of(PAGE("a", LEADING "process_cpu_seconds_total 1.25\n"
                                               "grpc_server_handled_total{grpc_method=\"Put\","
                                               "grpc_code=\"OK\"} 10059\n" BUCKETS(50, 100, 100))),
                     1 + NANOS_PER_S);
    top_members_page(b, text_of(PAGE("b", "novacron_raft_term 7\nnovacron_raft_impaired 1\n")), 1);
    return t;
}

static void draws_a_frame_that_a_person_can_read(void **state)
{
    (void)state;
    struct top_members *t = three_members();
    struct top_view view = top_members_view(t);
    view.now = NOW;
    view.members[2].silent_since = NOW - 25;
    snprintf(view.members[2].why, sizeof view.members[2].why, "it cannot be reached");
    struct top_shape shape = {.columns = 80, .rows = 23};
    struct buf b;
    buf_init(&b);
    top_frame_draw(&view, &shape, &b);
    buf_put_u8(&b, 0);
    assert_string_equal(
        (const char *)b.data,
        "novacron top  2 of 3 answer  leader node-1  term 7                      22:13:20\n"
        "puts 9959/s  reads 0/s  fails 0/s  watches 3  leases 2  keys 12.3k  rev 777\n"
        "\n"
        "MEMBER       ROLE      TERM APPLIED   LAG SYNC 50     99 DISK SYNC/s  HEALTH\n"
        "node-1       LEADER       7    5005     0  1.0ms  2.0ms  71%    100  ok\n"
        "node-2       follower     7       -   250      -      -    -      -  IMPAIRED\n"
        "node-3       DOWN      since 22:12:55, 25 s: it cannot be reached\n"
        "\n"
        "MEMBER        PUTS/s READS/s PUT 50     99 FAIL/s  WATCH  CONN   CPU   MEM\n"
        "node-1          9959       0      -      -      0      3     4   25% 12.7M\n"
        "node-2             -       -      -      -      -      -     -     -     -\n"
        "node-3             -\n"
        "\n"
        "MEMBER         STORE   QUOTA  SNAPSHOT      KEYS  IN B/s OUT B/s\n"
        "node-1          2.2M     50%      5000     12.3k       -       -\n"
        "node-2             -       -         -         -       -       -\n"
        "node-3             -\n");
    buf_deinit(&b);
    mem_free(t);
}

/* What is printable, and of the width that there is. */
static void check_frame(struct bytes frame, const struct top_shape *shape)
{
    unsigned lines = 0;
    size_t width = 0;
    for (size_t i = 0; i < frame.len; i++) {
        uint8_t c = frame.data[i];
        if (c == '\n') {
            assert_true(width <= shape->columns);
            width = 0;
            lines++;
        } else if (c == 033) {
            while (i < frame.len && !isalpha(frame.data[i])) {
                i++;
            }
        } else {
            assert_true(c >= 0x20 && c < 0x7F);
            width++;
        }
    }
    assert_int_equal(width, 0);
    assert_true(lines <= shape->rows);
}

static void fits_into_every_screen(void **state)
{
    (void)state;
    struct top_members *t = three_members();
    struct top_view view = top_members_view(t);
    for (unsigned columns = 0; columns < 130; columns += 3) {
        for (unsigned rows = 0; rows < 30; rows++) {
            struct top_shape shape = {columns, rows, columns % 2 == 0};
            struct buf b;
            buf_init(&b);
            top_frame_draw(&view, &shape, &b);
            check_frame(buf_view(&b), &shape);
            buf_deinit(&b);
        }
    }
    mem_free(t);
}

static void lets_no_name_speak_to_the_terminal(void **state)
{
    (void)state;
    struct top_members *t = mem_alloc_zero(sizeof *t);
    struct top_shape shape = {80, 24, false};
    struct buf list;
    struct buf b;
    buf_init(&list);
    put_listed(&list, 1, "\033]0;owned\007\n\xC2\x9B", "http://a");
    top_members_list(t, buf_view(&list));
    top_members_no_page(&t->targets[0], "\033[2J\"\\", NOW);
    struct top_view view = top_members_view(t);
    buf_init(&b);
    top_frame_draw(&view, &shape, &b);
    check_frame(buf_view(&b), &shape);
    assert_null(memchr(b.data, 033, b.len));
    buf_clear(&b);
    top_frame_json(&view, &b);
    check_frame(buf_view(&b), &(struct top_shape){.columns = 4096, .rows = 1});
    assert_non_null(memmem(b.data, b.len, "?[2J\\\"\\\\", 8));
    buf_deinit(&b);
    buf_deinit(&list);
    mem_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_member_says),
        cmocka_unit_test(passes_over_what_it_does_not_understand),
        cmocka_unit_test(keeps_no_more_buckets_and_peers_than_there_is_room_for),
        cmocka_unit_test(tells_rates_and_percentiles_of_two_pages),
        cmocka_unit_test(knows_members_by_id_and_by_address),
        cmocka_unit_test(says_since_when_a_member_is_silent),
        cmocka_unit_test(takes_a_list_that_cannot_be_read_for_none),
        cmocka_unit_test(draws_a_frame_that_a_person_can_read),
        cmocka_unit_test(fits_into_every_screen),
        cmocka_unit_test(lets_no_name_speak_to_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
