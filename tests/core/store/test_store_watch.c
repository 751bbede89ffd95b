#include "tests/core/store/store_fixture.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/store/store_int.h"
#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

#define WATCHES     24
#define HISTORY_MAX 8192

/* What was written, in order, as the test itself saw it. */
struct written {
    uint8_t key[8];
    size_t key_len;
    int64_t mod;
    int64_t create;
    bool tombstone;
};

struct spy {
    struct store_watch_request request;
    uint8_t key[8];
    uint8_t end[8];
    int64_t id;
    int64_t from; /* the first revision that it may see */
    size_t next;  /* in the history: all before was delivered or does not concern it */
    bool canceled;
    bool in_fragment; /* the last response was a fragment */
    int64_t last_mod;
};

struct scene {
    struct fixture f;
    struct store_stream *stream;
    struct written *history;
    size_t count;
    struct spy spies[WATCHES];
    size_t spy_count;
};

static void scene_init(struct scene *s)
{
    *s = (struct scene){0};
    fixture_init(&s->f);
    s->stream = store_stream_open(s->f.store, 7);
    s->history = mem_realloc_array(NULL, HISTORY_MAX, sizeof *s->history);
}

static void scene_deinit(struct scene *s)
{
    store_stream_close(s->stream);
    mem_free(s->history);
    fixture_deinit(&s->f);
}

/* Notes the changes of the last entry, which the log still has. */
static void scene_note(struct scene *s, uint64_t from)
{
    const struct store_log *log = &s->f.store->mvcc.log;
    for (uint64_t seq = from; seq < log->next; seq++) {
        const struct store_version *v = store_log_get(log, seq);
        struct written *w = &s->history[s->count++];
        assert_true(s->count < HISTORY_MAX);
        *w = (struct written){.key_len = v->key->len,
                              .mod = v->mod_revision,
                              .create = v->create_revision,
                              .tombstone = v->tombstone};
        memcpy(w->key, v->key->bytes, v->key->len);
    }
}

static struct bytes random_bound(struct prng *prng, uint8_t *scratch)
{
    int n = snprintf((char *)scratch, 8, "k/%02zu", (size_t)prng_below(prng, 40));
    return (struct bytes){scratch, (size_t)n};
}

static void spy_start(struct scene *s, struct prng *prng)
{
    struct spy *spy = &s->spies[s->spy_count++];
    *spy = (struct spy){.last_mod = -1};
    struct store_watch_request *r = &spy->request;
    r->key = random_bound(prng, spy->key);
    switch (prng_below(prng, 3)) {
    case 0:
        break;
    case 1:
        spy->end[0] = 0;
        r->range_end = (struct bytes){spy->end, 1};
        break;
    default:
        r->range_end = random_bound(prng, spy->end);
        break;
    }
    r->no_put = prng_chance(prng, 1, 6);
    r->no_delete = prng_chance(prng, 1, 6);
    r->prev_kv = prng_chance(prng, 1, 2);
    r->fragment = prng_chance(prng, 1, 4);
    if (prng_chance(prng, 2, 3)) {
        r->start_revision = (int64_t)prng_below(prng, (uint64_t)store_revision(s->f.store) + 4);
    }
    buf_clear(&s->f.body);
    store_watch_encode(&s->f.body, r);
    buf_clear(&s->f.response);
    int64_t revision = 0;
    assert_int_equal(store_watch_create(s->stream, buf_view(&s->f.body), &revision, &s->f.response),
                     STORE_OK);
    struct bytes response = buf_view(&s->f.response);
    assert_int_equal(fixture_number(response, 3), 1);
    spy->id = fixture_number(response, 2);
    if (fixture_number(response, 4) != 0) {
        assert_int_equal(spy->id, -1);
        assert_true(r->range_end.len > 1 && store_bytes_cmp(r->key, r->range_end) >= 0);
        s->spy_count--;
        return;
    }
    spy->from = r->start_revision == 0 ? revision + 1 : r->start_revision;
}

/* The place in the history of the next change that the spy must see; `count` if there is none. */
static size_t spy_expects(const struct scene *s, const struct spy *spy)
{
    struct store_span span = store_span_of(spy->request.key, spy->request.range_end);
    for (size_t i = spy->next; i < s->count; i++) {
        const struct written *w = &s->history[i];
        bool wanted = w->tombstone ? !spy->request.no_delete : !spy->request.no_put;
        if (w->mod >= spy->from && wanted &&
            store_span_has(&span, (struct bytes){w->key, w->key_len})) {
            return i;
        }
    }
    return s->count;
}

/* The version before a change, as the history has it: the newest of that key of an older revision.
 */
static const struct written *spy_previous(const struct scene *s, size_t at)
{
    const struct written *w = &s->history[at];
    for (size_t i = at; i-- > 0;) {
        const struct written *old = &s->history[i];
        if (old->mod < w->mod && old->key_len == w->key_len &&
            memcmp(old->key, w->key, w->key_len) == 0) {
            return old->tombstone ? NULL : old;
        }
    }
    return NULL;
}

static void spy_check_event(struct scene *s, struct spy *spy, struct bytes event, bool is_first)
{
    size_t at = spy_expects(s, spy);
    assert_true(at < s->count);
    const struct written *w = &s->history[at];
    struct fixture_kv kv = fixture_decode_kv(fixture_field(event, 2));
    assert_int_equal(fixture_number(event, 1), w->tombstone ? 1 : 0);
    assert_int_equal(kv.mod, w->mod);
    assert_int_equal(kv.create, w->create);
    assert_int_equal(store_bytes_cmp(kv.key, (struct bytes){w->key, w->key_len}), 0);
    struct bytes prev = fixture_field(event, 3);
    const struct written *old = spy_previous(s, at);
    bool creates = !w->tombstone && w->create == w->mod;
    bool readable = w->mod - 1 >= store_compact_revision(s->f.store);
    if (!spy->request.prev_kv || creates || old == NULL) {
        assert_int_equal(prev.len, 0);
    } else if (readable) {
        assert_int_equal(fixture_decode_kv(prev).mod, old->mod);
    }
    /* A revision is in one response, unless a fragment said that it goes on. */
    assert_true(!is_first || spy->in_fragment || kv.mod != spy->last_mod);
    spy->last_mod = kv.mod;
    spy->next = at + 1;
}

static void scene_check_response(struct scene *s, struct bytes response, int64_t revision)
{
    size_t at = 0;
    while (at < s->spy_count && s->spies[at].id != fixture_number(response, 2)) {
        at++;
    }
    assert_true(at < s->spy_count);
    struct spy *spy = &s->spies[at];
    assert_false(spy->canceled);
    if (fixture_number(response, 4) != 0) {
        assert_int_equal(revision, 0);
        assert_int_equal(fixture_number(response, 5), store_compact_revision(s->f.store));
        size_t missed = spy_expects(s, spy);
        assert_true(spy->from < store_compact_revision(s->f.store) ||
                    s->history[missed].mod < store_compact_revision(s->f.store));
        spy->canceled = true;
        return;
    }
    struct store_pb pb;
    struct store_pb_field field;
    bool is_first = true;
    store_pb_init(&pb, response);
    while (store_pb_next(&pb, &field)) {
        if (field.number == 11) {
            spy_check_event(s, spy, field.bytes, is_first);
            is_first = false;
        }
    }
    assert_false(is_first);
    assert_int_equal(revision, spy->last_mod);
    spy->in_fragment = fixture_number(response, 7) != 0;
}

/* Lets the stream speak `times` times. */
static void scene_drain(struct scene *s, struct prng *prng, size_t times)
{
    while (times-- > 0) {
        int64_t revision = -1;
        enum store_watch_next next;
        buf_clear(&s->f.response);
        size_t again = 0;
        do {
            next = store_watch_next(s->stream, 1 + prng_below(prng, 5), &revision, &s->f.response);
            if (next == STORE_WATCH_AGAIN && again++ % 7 == 0) {
                (void)store_work(s->f.store, 10);
            }
        } while (next == STORE_WATCH_AGAIN);
        if (next == STORE_WATCH_IDLE) {
            assert_int_equal(s->f.response.len, 0);
            return;
        }
        scene_check_response(s, buf_view(&s->f.response), revision);
    }
}

static void delivers_each_revision_once_and_in_order(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(30); round++) {
        struct scene s;
        scene_init(&s);
        for (size_t i = 0; i < 400; i++) {
            uint64_t from = s.f.store->mvcc.log.next;
            fixture_random_step(&s.f, &prng);
            scene_note(&s, from);
            if (s.spy_count < WATCHES && prng_chance(&prng, 1, 8)) {
                spy_start(&s, &prng);
            }
            if (prng_chance(&prng, 1, 3)) {
                scene_drain(&s, &prng, prng_below(&prng, 8));
            }
            (void)store_work(s.f.store, prng_below(&prng, 4));
        }
        scene_drain(&s, &prng, SIZE_MAX);
        for (size_t i = 0; i < s.spy_count; i++) {
            assert_true(s.spies[i].canceled || spy_expects(&s, &s.spies[i]) == s.count);
        }
        scene_deinit(&s);
    }
}

/* Creates a watch with this request; its id. */
static int64_t watch(struct scene *s, const struct store_watch_request *r)
{
    int64_t revision = 0;
    buf_clear(&s->f.body);
    store_watch_encode(&s->f.body, r);
    buf_clear(&s->f.response);
    assert_int_equal(store_watch_create(s->stream, buf_view(&s->f.body), &revision, &s->f.response),
                     STORE_OK);
    assert_int_equal(revision, store_revision(s->f.store));
    return fixture_number(buf_view(&s->f.response), 2);
}

static enum store_watch_next next_response(struct scene *s, int64_t *ret_revision)
{
    buf_clear(&s->f.response);
    return store_watch_next(s->stream, 1000000, ret_revision, &s->f.response);
}

static void assert_reason(const struct scene *s, const char *reason)
{
    struct bytes response = buf_view(&s->f.response);
    assert_int_equal(fixture_number(response, 2), -1);
    assert_int_equal(fixture_number(response, 3), 1);
    assert_int_equal(fixture_number(response, 4), 1);
    struct bytes got = fixture_field(response, 6);
    assert_int_equal(got.len, strlen(reason));
    assert_memory_equal(got.data, reason, got.len);
}

static void refuses_bad_watches_in_etcds_words(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    (void)watch(&s, &(struct store_watch_request){.key = text("b"), .range_end = text("a")});
    assert_reason(&s, "mvcc: watcher range is empty");
    (void)watch(&s, &(struct store_watch_request){.key = text("b"), .start_revision = -1});
    assert_reason(&s, "etcdserver: mvcc: required revision has been compacted");
    assert_int_equal(watch(&s, &(struct store_watch_request){.key = text("b"), .watch_id = 5}), 5);
    (void)watch(&s, &(struct store_watch_request){.key = text("c"), .watch_id = 5});
    assert_reason(&s, "mvcc: duplicate watch ID provided on the WatchStream");
    assert_int_equal(watch(&s, &(struct store_watch_request){.key = text("c")}), 0);
    assert_int_equal(watch(&s, &(struct store_watch_request){.key = text("c")}), 1);
    scene_deinit(&s);
}

static void cancels_a_watch_from_before_the_compaction(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fixture_put(&s.f, "a", "x"), STORE_OK);
    }
    assert_int_equal(fixture_compact(&s.f, 4), STORE_OK);
    int64_t revision = -1;
    int64_t id = watch(&s, &(struct store_watch_request){.key = text("a"), .start_revision = 3});
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    struct bytes response = buf_view(&s.f.response);
    assert_int_equal(revision, 0);
    assert_int_equal(fixture_number(response, 2), id);
    assert_int_equal(fixture_number(response, 4), 1);
    assert_int_equal(fixture_number(response, 5), 4);
    /* From the compacted revision itself all is still there; but what came before is not. */
    (void)watch(
        &s, &(struct store_watch_request){.key = text("a"), .start_revision = 4, .prev_kv = true});
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    response = buf_view(&s.f.response);
    assert_int_equal(fixture_fields(response, 11), 3);
    assert_int_equal(fixture_field(fixture_field(response, 11), 3).len, 0);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
    scene_deinit(&s);
}

static void waits_for_a_future_revision(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    (void)watch(&s, &(struct store_watch_request){.key = text("a"), .start_revision = 4});
    int64_t revision = -1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
        assert_int_equal(fixture_put(&s.f, "a", "x"), STORE_OK);
    }
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    assert_int_equal(revision, 4);
    assert_int_equal(fixture_fields(buf_view(&s.f.response), 11), 1);
    scene_deinit(&s);
}

/* One txn that writes more than a response holds. */
static void put_much(struct scene *s)
{
    struct buf value;
    buf_init(&value);
    memset(buf_extend(&value, 1200000), 'v', 1200000);
    for (int i = 0; i < 4; i++) {
        char key[8];
        snprintf(key, sizeof key, "m%d", i);
        assert_int_equal(
            fixture_put_request(
                &s->f, &(struct store_put_request){.key = text(key), .value = buf_view(&value)}),
            STORE_OK);
    }
    buf_deinit(&value);
    assert_int_equal(fixture_delete(&s->f, "m", "n"), STORE_OK);
}

static void fragments_only_where_asked_and_flags_all_but_the_last(void **state)
{
    (void)state;
    struct scene s;
    int64_t revision = -1;
    scene_init(&s);
    put_much(&s);
    (void)watch(&s, &(struct store_watch_request){.key = text("m"),
                                                  .range_end = text("n"),
                                                  .start_revision = 6,
                                                  .prev_kv = true,
                                                  .fragment = true});
    size_t events = 0;
    size_t responses = 0;
    bool goes_on = true;
    while (goes_on) {
        assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
        assert_int_equal(revision, 6);
        events += fixture_fields(buf_view(&s.f.response), 11);
        goes_on = fixture_number(buf_view(&s.f.response), 7) != 0;
        responses++;
        assert_true(s.f.response.len <= STORE_WATCH_RESPONSE_BYTES + 64);
    }
    assert_int_equal(events, 4);
    assert_int_equal(responses, 4);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
    (void)watch(
        &s, &(struct store_watch_request){
                .key = text("m"), .range_end = text("n"), .start_revision = 6, .prev_kv = true});
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    assert_int_equal(fixture_fields(buf_view(&s.f.response), 11), 4);
    scene_deinit(&s);
}

static void reports_progress_only_when_all_was_delivered(void **state)
{
    (void)state;
    struct scene s;
    int64_t revision = -1;
    scene_init(&s);
    assert_false(store_watch_progress(s.stream, &revision, &s.f.response));
    (void)watch(&s, &(struct store_watch_request){.key = text("a"), .progress_notify = true});
    (void)watch(&s, &(struct store_watch_request){.key = text("b")});
    assert_int_equal(fixture_put(&s.f, "b", "x"), STORE_OK);
    buf_clear(&s.f.response);
    assert_false(store_watch_progress(s.stream, &revision, &s.f.response));
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    buf_clear(&s.f.response);
    assert_true(store_watch_progress(s.stream, &revision, &s.f.response));
    assert_int_equal(revision, 2);
    assert_int_equal(fixture_number(buf_view(&s.f.response), 2), -1);

    store_watch_tick(s.stream);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    assert_int_equal(revision, 2);
    assert_int_equal(fixture_fields(buf_view(&s.f.response), 11), 0);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
    /* An event in the interval makes the next report unnecessary. */
    assert_int_equal(fixture_put(&s.f, "a", "x"), STORE_OK);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    store_watch_tick(s.stream);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
    store_watch_tick(s.stream);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    scene_deinit(&s);
}

/* A watch from a revision to come has missed nothing by a compaction below that revision, however
 * late it is looked at. */
static void a_compaction_before_its_start_does_not_cancel(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    (void)watch(&s, &(struct store_watch_request){.key = text("a"), .start_revision = 5});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fixture_put(&s.f, "a", "x"), STORE_OK);
    }
    assert_int_equal(fixture_compact(&s.f, 4), STORE_OK);
    int64_t revision = -1;
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_RESPONSE);
    struct bytes response = buf_view(&s.f.response);
    assert_int_equal(fixture_fields(response, 4), 0);
    assert_int_equal(fixture_fields(response, 11), 2);
    scene_deinit(&s);
}

static void a_canceled_watch_is_silent(void **state)
{
    (void)state;
    struct scene s;
    int64_t revision = -1;
    scene_init(&s);
    int64_t id = watch(&s, &(struct store_watch_request){.key = text("a"), .range_end = text("b")});
    for (int i = 0; i < 50; i++) {
        assert_int_equal(fixture_put(&s.f, i % 2 == 0 ? "a" : "z", "x"), STORE_OK);
    }
    /* In the middle of a response, too. */
    buf_clear(&s.f.response);
    assert_int_equal(store_watch_next(s.stream, 1, &revision, &s.f.response), STORE_WATCH_RESPONSE);
    assert_int_equal(fixture_put(&s.f, "a", "y"), STORE_OK);
    buf_clear(&s.f.response);
    assert_true(store_watch_cancel(s.stream, id, &revision, &s.f.response));
    assert_int_equal(fixture_number(buf_view(&s.f.response), 4), 1);
    assert_int_equal(next_response(&s, &revision), STORE_WATCH_IDLE);
    assert_int_equal(s.f.response.len, 0);
    assert_false(store_watch_cancel(s.stream, id, &revision, &s.f.response));
    scene_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_each_revision_once_and_in_order),
        cmocka_unit_test(refuses_bad_watches_in_etcds_words),
        cmocka_unit_test(cancels_a_watch_from_before_the_compaction),
        cmocka_unit_test(waits_for_a_future_revision),
        cmocka_unit_test(fragments_only_where_asked_and_flags_all_but_the_last),
        cmocka_unit_test(reports_progress_only_when_all_was_delivered),
        cmocka_unit_test(a_compaction_before_its_start_does_not_cancel),
        cmocka_unit_test(a_canceled_watch_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
