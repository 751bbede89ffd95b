/* Contexts as W3C has them, who is recorded, and spans as values. */
#include <string.h>

#include "core/monitoring/trace.h"
#include "tests/support/test.h"

#define TRACE     "0af7651916cd43dd8448eb211c80319c"
#define SPAN      "b7ad6b7169203331"
#define PARENT    "00-" TRACE "-" SPAN "-01"
#define SPANS_MAX 64

static struct bytes of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* --- the context ----------------------------------------------------------------------------- */

static void reads_what_the_recommendation_allows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_sampled;
    } good[] = {
        {PARENT, true},
        {"00-" TRACE "-" SPAN "-00", false},
        {"00-" TRACE "-" SPAN "-ff", true}, /* flags that nobody knows yet */
        {"00-" TRACE "-" SPAN "-fe", false},
        {"cc-" TRACE "-" SPAN "-01", true},
        {"cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like", true},
        {"fe-" TRACE "-" SPAN "-01-", true},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct trace_context c;
        assert_int_equal(trace_parent_parse(of(good[i].text), &c), OK);
        assert_true(c.trace.hi == 0x0af7651916cd43ddULL && c.trace.lo == 0x8448eb211c80319cULL);
        assert_true(c.span == 0xb7ad6b7169203331ULL);
        assert_int_equal(c.is_sampled, good[i].is_sampled);
    }
}

static void refuses_everything_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "ff-" TRACE "-" SPAN "-01",  /* a version that never will be */
        "00-" TRACE "-" SPAN "-01-", /* longer than version 00 is */
        "00-" TRACE "-" SPAN "-01-more",
        "cc-" TRACE "-" SPAN "-01.what-the-future-will-not-be-like",
        "cc-" TRACE "-" SPAN "-011",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "_01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "0-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        " " PARENT,
        PARENT " ",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", /* capitals */
        "00-" TRACE "-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-" SPAN "-01", /* one digit too few */
        "00-" TRACE "0-" SPAN "-01",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct trace_context c = {.span = 7};
        assert_int_equal(trace_parent_parse(of(bad[i]), &c), ERR_INVALID);
        assert_true(c.span == 7); /* untouched */
    }
    struct trace_context c;
    assert_int_equal(trace_parent_parse((struct bytes){(const uint8_t *)PARENT "\0", 56}, &c),
                     ERR_INVALID);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    struct prng prng = test_prng("trace");
    for (size_t i = 0; i < test_rounds(200); i++) {
        char text[TRACE_PARENT_BYTES];
        struct trace_context c = {.trace = {prng_u64(&prng), prng_u64(&prng) | 1},
                                  .span = prng_u64(&prng) | 1,
                                  .is_sampled = prng_chance(&prng, 1, 2)};
        struct trace_context again;
        trace_parent_format(&c, text);
        assert_int_equal(strlen(text), TRACE_PARENT_BYTES - 1);
        assert_int_equal(trace_parent_parse(of(text), &again), OK);
        assert_true(c.trace.hi == again.trace.hi && c.trace.lo == again.trace.lo);
        assert_true(c.span == again.span && c.is_sampled == again.is_sampled);
    }
}

/* --- recording ------------------------------------------------------------------------------- */

struct kept {
    struct trace_span spans[SPANS_MAX];
    size_t n;
};

static void keep(void *ctx, const struct trace_span *span)
{
    struct kept *k = ctx;
    assert_true(k->n < SPANS_MAX);
    k->spans[k->n++] = *span;
}

static struct tracer tracer_for(struct kept *k, double ratio)
{
    struct tracer t;
    const struct trace_sink sink = {.ctx = k, .take = keep};
    tracer_init(&t, &sink, 7, ratio);
    return t;
}

static void goes_by_what_the_parent_says(void **state)
{
    (void)state;
    struct kept k = {.n = 0};
    struct trace_span span;
    struct tracer none = tracer_for(&k, 0);
    struct tracer all = tracer_for(&k, 1);
    assert_true(tracer_begin_parent(&none, of(PARENT), "a", &span));
    assert_true(span.trace.lo == 0x8448eb211c80319cULL && span.parent == 0xb7ad6b7169203331ULL);
    assert_true(span.id != 0 && span.id != span.parent);
    assert_false(tracer_begin_parent(&all, of("00-" TRACE "-" SPAN "-00"), "a", &span));
    assert_false(tracer_begin_parent(&none, of(""), "a", &span));
    assert_true(tracer_begin_parent(&all, of(""), "a", &span));
    assert_true(span.parent == 0 && (span.trace.hi | span.trace.lo) != 0);
    assert_int_equal(none.malformed + all.malformed, 0);
}

static void begins_anew_where_the_parent_is_none(void **state)
{
    (void)state;
    struct kept k = {.n = 0};
    struct trace_span span;
    struct tracer none = tracer_for(&k, 0);
    struct tracer all = tracer_for(&k, 1);
    assert_false(tracer_begin_parent(&none, of("00-" TRACE "-" SPAN "-01x"), "a", &span));
    assert_true(tracer_begin_parent(&all, of("00-" TRACE "-" SPAN "-01x"), "a", &span));
    assert_true(span.parent == 0 && span.trace.lo != 0x8448eb211c80319cULL);
    assert_int_equal(none.malformed, 1);
    assert_int_equal(all.malformed, 1);
}

static void records_about_the_part_that_it_is_told(void **state)
{
    (void)state;
    struct kept k = {.n = 0};
    struct trace_span span;
    struct tracer t = tracer_for(&k, 0.25);
    size_t recorded = 0;
    for (int i = 0; i < 10000; i++) {
        recorded += tracer_begin(&t, NULL, "a", &span) ? 1 : 0;
    }
    assert_in_range(recorded, 2300, 2700);
    assert_int_equal(t.begun, recorded);
}

/* As an incident does that goes on at the next leader: its context is kept as text. */
static void makes_one_trace_of_many_spans(void **state)
{
    (void)state;
    struct kept k = {.n = 0};
    struct tracer first = tracer_for(&k, 1);
    struct tracer second = tracer_for(&k, 0);
    struct trace_span incident;
    struct trace_span fence;
    struct trace_span start;
    char text[TRACE_PARENT_BYTES];
    assert_true(tracer_begin(&first, NULL, "incident", &incident));
    incident.begin = 100;
    tracer_child(&first, &incident, "fence", &fence);
    fence.begin = 150;
    tracer_end(&first, &fence, 180);
    struct trace_context c = trace_context_of(&incident);
    trace_parent_format(&c, text);

    assert_true(tracer_begin_parent(&second, of(text), "start", &start));
    start.begin = 200;
    tracer_end(&second, &start, 190); /* a clock that went back */
    tracer_end(&first, &incident, 300);
    assert_int_equal(k.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(k.spans[i].trace.hi == incident.trace.hi &&
                    k.spans[i].trace.lo == incident.trace.lo);
        assert_true(k.spans[i].end >= k.spans[i].begin);
        assert_true(i == 2 || k.spans[i].parent == incident.id);
    }
    assert_string_equal(k.spans[1].name, "start");
    assert_true(k.spans[2].parent == 0);
}

static void keeps_attributes_within_their_bounds(void **state)
{
    (void)state;
    struct kept k = {.n = 0};
    struct tracer t = tracer_for(&k, 1);
    struct trace_span span;
    char text[200];
    assert_true(tracer_begin(&t, NULL, "a", &span));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + TRACE_TEXT_BYTES - 2, "\xE2\x82\xAC", 3); /* cut off whole */
    trace_span_text(&span, "long", text);
    trace_span_number(&span, "number", 42);
    for (int i = 0; i < 2 * TRACE_ATTRIBUTES_MAX; i++) {
        trace_span_text(&span, "more", "y");
    }
    trace_span_fail(&span, text);
    assert_int_equal(span.attribute_count, TRACE_ATTRIBUTES_MAX);
    assert_int_equal(strlen(span.attributes[0].text), TRACE_TEXT_BYTES - 2);
    assert_true(span.attributes[1].is_number && span.attributes[1].number == 42);
    assert_int_equal(span.status, TRACE_ERROR);
    assert_int_equal(strlen(span.message), TRACE_MESSAGE_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_recommendation_allows),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(goes_by_what_the_parent_says),
        cmocka_unit_test(begins_anew_where_the_parent_is_none),
        cmocka_unit_test(records_about_the_part_that_it_is_told),
        cmocka_unit_test(makes_one_trace_of_many_spans),
        cmocka_unit_test(keeps_attributes_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
