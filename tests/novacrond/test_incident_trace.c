/* Incidents as traces: whatever the record says, its spans nest, are in order, and have identities
 * of their own; and what failed is told as an error. */
#include "novacrond/incident_trace.h"

#include <string.h>

#include "core/base/mem.h"
#include "tests/support/test.h"

#define OPENED (100 * NANOS_PER_S)

struct tale {
    struct ha_incident incident;
    struct trace_span spans[INCIDENT_SPANS_MAX];
    size_t n;
};

static struct tale *tale_new(void)
{
    struct tale *t = mem_alloc_zero(sizeof *t);

    ha_record_defaults(HA_INCIDENT, &t->incident);
    ha_text_set(t->incident.id, sizeof t->incident.id, "inc-7");
    ha_text_set(t->incident.trace, sizeof t->incident.trace, "0123456789abcdef0123456789abcdef");
    ha_text_set(t->incident.host, sizeof t->incident.host, "node-1");
    t->incident.unheard_ms = 1200;
    return t;
}

static struct ha_step *tale_step(struct tale *t, uint64_t at_ms, const char *what, const char *who,
                                 const char *detail)
{
    assert_true(t->incident.n_steps < HA_STEPS_MAX);
    struct ha_step *step = &t->incident.steps[t->incident.n_steps++];

    step->at_ms = at_ms;
    ha_text_set(step->what, sizeof step->what, what);
    ha_text_set(step->who, sizeof step->who, who);
    ha_text_set(step->detail, sizeof step->detail, detail);
    return step;
}

/* What holds of every trace. */
static void tale_tell(struct tale *t)
{
    t->n = incident_trace(&t->incident, OPENED, t->spans);
    assert_in_range(t->n, 1, INCIDENT_SPANS_MAX);
    const struct trace_span *root = &t->spans[0];
    assert_string_equal(root->name, "incident");
    assert_true(root->parent == 0);
    for (size_t i = 0; i < t->n; i++) {
        const struct trace_span *span = &t->spans[i];
        const struct trace_span *parent = NULL;
        assert_true(span->trace.hi == 0x0123456789abcdef && span->trace.lo == span->trace.hi);
        assert_true(span->id != 0 && span->begin <= span->end);
        for (size_t k = 0; k < t->n; k++) {
            assert_true(k == i || t->spans[k].id != span->id);
            parent = t->spans[k].id == span->parent ? &t->spans[k] : parent;
        }
        assert_true(i == 0 ||
                    (parent != NULL && parent->begin <= span->begin && span->end <= parent->end));
    }
}

static size_t tale_count(const struct tale *t, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        n += strcmp(t->spans[i].name, name) == 0;
    }
    return n;
}

static const struct trace_span *tale_get(const struct tale *t, const char *name, size_t number)
{
    size_t i = 0;

    assert_true(number < tale_count(t, name));
    while (strcmp(t->spans[i].name, name) != 0 || number-- > 0) {
        i++;
    }
    return &t->spans[i];
}

static void assert_span(const struct tale *t, const char *name, size_t number, uint64_t begin_ms,
                        uint64_t end_ms)
{
    const struct trace_span *span = tale_get(t, name, number);

    assert_int_equal((span->begin - OPENED) / NANOS_PER_MS, begin_ms);
    assert_int_equal((span->end - OPENED) / NANOS_PER_MS, end_ms);
}

static void assert_text(const struct trace_span *span, const char *key, const char *text)
{
    for (uint32_t i = 0; i < span->attribute_count; i++) {
        if (strcmp(span->attributes[i].key, key) == 0) {
            assert_string_equal(span->attributes[i].text, text);
            return;
        }
    }
    fail_msg("%s has no %s", span->name, key);
}

static uint64_t span_number(const struct trace_span *span, const char *key)
{
    for (uint32_t i = 0; i < span->attribute_count; i++) {
        if (strcmp(span->attributes[i].key, key) == 0) {
            return span->attributes[i].number;
        }
    }
    fail_msg("%s has no %s", span->name, key);
    return 0;
}

static void a_fenced_host_is_told_from_its_last_sign_of_life_to_its_last_machine(void **state)
{
    struct tale *t = tale_new();
    (void)state;
    tale_step(t, 0, "detected", "node-1", "not heard any more");
    tale_step(t, 2, "fence", "node-1", "its machines are to run elsewhere");
    tale_step(t, 302, "told-off", "bmc-1", "level 1, round 1")->took_ms = 290;
    tale_step(t, 402, "read-off", "bmc-1", "level 1, round 1")->took_ms = 90;
    tale_step(t, 410, "fenced", "node-1", "switched off and read back by bmc-1");
    tale_step(t, 415, "placed", "web", "node-2")->epoch = 21;
    tale_step(t, 415, "placed", "db", "node-3")->epoch = 31;
    tale_step(t, 500, "started", "db", "node-3")->epoch = 31;
    tale_step(t, 503, "verified", "db", "node-3")->epoch = 31;
    tale_step(t, 615, "started", "web", "node-2")->epoch = 21;
    tale_step(t, 620, "verified", "web", "node-2")->epoch = 21;
    tale_step(t, 620, "closed", "node-1", "");
    tale_tell(t);
    assert_int_equal(t->n, 12);
    assert_true(t->spans[0].begin == OPENED - 1200 * NANOS_PER_MS);
    assert_true(t->spans[0].end == OPENED + 620 * NANOS_PER_MS);
    assert_text(&t->spans[0], "novacron.incident", "inc-7");
    assert_text(&t->spans[0], "novacron.proof", "fenced");
    assert_text(&t->spans[0], "novacron.result", "recovered");
    assert_int_equal(span_number(&t->spans[0], "novacron.machines"), 2);
    const struct trace_span *detect = tale_get(t, "incident.detect", 0);
    assert_true(detect->begin == OPENED - 1200 * NANOS_PER_MS && detect->end == OPENED);
    assert_span(t, "incident.decide", 0, 0, 2);
    assert_span(t, "incident.fence", 0, 2, 410);
    assert_span(t, "incident.device", 0, 12, 302);
    assert_span(t, "incident.device", 1, 312, 402);
    const struct trace_span *device = tale_get(t, "incident.device", 1);
    assert_true(device->parent == tale_get(t, "incident.fence", 0)->id);
    assert_text(device, "novacron.device", "bmc-1");
    assert_text(device, "novacron.command", "status");
    assert_text(device, "novacron.result", "read-off");
    assert_text(device, "novacron.try", "level 1, round 1");
    assert_span(t, "incident.place", 0, 410, 415);
    assert_span(t, "incident.start", 0, 415, 615);
    assert_span(t, "incident.start", 1, 415, 500);
    assert_span(t, "incident.verify", 0, 500, 503);
    assert_span(t, "incident.verify", 1, 615, 620);
    const struct trace_span *start = tale_get(t, "incident.start", 0);
    assert_text(start, "novacron.vm", "web");
    assert_text(start, "novacron.host", "node-2");
    assert_int_equal(span_number(start, "novacron.epoch"), 21);
    for (size_t i = 0; i < t->n; i++) {
        assert_int_equal(t->spans[i].status, TRACE_UNSET);
    }
    mem_free(t);
}

static void what_failed_is_told_as_an_error(void **state)
{
    struct tale *t = tale_new();
    (void)state;
    tale_step(t, 0, "detected", "node-1", "");
    tale_step(t, 0, "fence", "node-1", "");
    tale_step(t, 2000, "off-failed", "bmc-1", "level 1, round 1: no answer in time")->took_ms =
        2000;
    tale_step(t, 2300, "told-off", "pdu-1", "level 2, round 1")->took_ms = 300;
    tale_step(t, 2400, "read-on", "pdu-1", "level 2, round 1")->took_ms = 100;
    tale_step(t, 20000, "expired", "node-1", "its lease and its watchdog have run out");
    tale_step(t, 20010, "placed", "web", "node-2")->epoch = 21;
    tale_step(t, 30010, "placed", "web", "node-3")->epoch = 22;
    tale_step(t, 30500, "started", "web", "node-3")->epoch = 22;
    tale_step(t, 31000, "closed", "node-1", "");
    tale_tell(t);
    const struct trace_span *failed = tale_get(t, "incident.device", 0);
    assert_int_equal(failed->status, TRACE_ERROR);
    assert_string_equal(failed->message, "level 1, round 1: no answer in time");
    assert_int_equal(tale_get(t, "incident.device", 1)->status, TRACE_UNSET);
    assert_int_equal(tale_get(t, "incident.fence", 0)->status, TRACE_ERROR);
    assert_text(tale_get(t, "incident.fence", 0), "novacron.result", "expired");
    assert_span(t, "incident.fence", 0, 0, 20000);
    assert_text(tale_get(t, "incident.prove", 0), "novacron.proof", "expired");
    assert_text(tale_get(t, "incident.place", 0), "novacron.proof", "expired");
    assert_span(t, "incident.start", 0, 20010, 30010);
    assert_int_equal(tale_get(t, "incident.start", 0)->status, TRACE_ERROR);
    assert_span(t, "incident.start", 1, 30010, 30500);
    assert_int_equal(tale_get(t, "incident.start", 1)->status, TRACE_UNSET);
    assert_int_equal(tale_count(t, "incident.verify"), 0); /* no such step is in the record */
    assert_int_equal(t->spans[0].status, TRACE_ERROR);
    mem_free(t);
}

static void a_host_that_comes_back_ends_what_was_under_way(void **state)
{
    struct tale *t = tale_new();
    (void)state;
    tale_step(t, 0, "detected", "node-1", "");
    tale_step(t, 0, "quarantined", "node-1", "quarantined: it was lost 3 times of late");
    tale_step(t, 1, "fence", "node-1", "");
    tale_step(t, 900, "back", "node-1", "it is heard again");
    tale_step(t, 901, "closed", "node-1", "");
    tale_tell(t);
    assert_span(t, "incident.fence", 0, 1, 900);
    assert_text(&t->spans[0], "novacron.result", "the host is back");
    assert_text(&t->spans[0], "novacron.proof", "none");
    assert_text(&t->spans[0], "novacron.quarantine", "quarantined: it was lost 3 times of late");
    mem_free(t);
}

/* It was off, and is switched on again before there is room for all that it ran. */
static void a_machine_is_placed_from_the_proof_on_whatever_becomes_of_the_host(void **state)
{
    struct tale *t = tale_new();
    (void)state;
    tale_step(t, 0, "detected", "node-1", "");
    tale_step(t, 1, "fence", "node-1", "");
    tale_step(t, 300, "fenced", "node-1", "");
    tale_step(t, 5000, "back", "node-1", "");
    tale_step(t, 9000, "placed", "web", "node-2");
    tale_tell(t);
    assert_span(t, "incident.place", 0, 300, 9000);
    assert_text(&t->spans[0], "novacron.proof", "fenced");
    assert_text(&t->spans[0], "novacron.result", "recovered");
    mem_free(t);
}

/* A host that is up for a second leads, and closes an incident that is older. */
static void an_incident_may_be_older_than_the_clock(void **state)
{
    struct tale *t = tale_new();
    (void)state;
    tale_step(t, 0, "detected", "node-1", "");
    tale_step(t, 5000, "closed", "node-1", "");
    size_t n = incident_trace(&t->incident, NANOS_PER_S - 5 * NANOS_PER_S, t->spans);
    assert_int_equal(n, 2);
    assert_true((int64_t)t->spans[0].begin == -5200 * (int64_t)NANOS_PER_MS);
    assert_true((int64_t)t->spans[0].end == (int64_t)NANOS_PER_S);
    assert_true((int64_t)t->spans[1].end == -4 * (int64_t)NANOS_PER_S);
    mem_free(t);
}

static void who_tells_it_twice_tells_the_same(void **state)
{
    struct tale *t = tale_new();
    struct trace_span *again = mem_alloc_zero(INCIDENT_SPANS_MAX * sizeof *again);
    (void)state;
    tale_step(t, 0, "detected", "node-1", "");
    tale_step(t, 1, "fence", "node-1", "");
    tale_step(t, 5, "closed", "node-1", "");
    tale_tell(t);
    assert_int_equal(incident_trace(&t->incident, OPENED, again), t->n);
    assert_memory_equal(again, t->spans, t->n * sizeof *again);
    t->incident.trace[0] = 'f'; /* another trace has other spans */
    t->n = incident_trace(&t->incident, OPENED, t->spans);
    assert_true(t->spans[0].id != again[0].id && t->spans[1].id != again[1].id);
    t->incident.trace[0] = 'g'; /* no digit */
    assert_int_equal(incident_trace(&t->incident, OPENED, t->spans), 0);
    t->incident.trace[0] = '\0';
    assert_int_equal(incident_trace(&t->incident, OPENED, t->spans), 0);
    mem_free(again);
    mem_free(t);
}

/* Records are others' bytes: steps in any order and number. */
static void any_record_is_told(void **state)
{
    static const char *const whats[] = {"detected",    "fence",       "told-off",  "off-failed",
                                        "read-off",    "read-on",     "fenced",    "read-unknown",
                                        "read-failed", "quarantined", "expired",   "confirmed",
                                        "back",        "placed",      "started",   "verified",
                                        "closed",      "something",   "something", ""};
    static const char *const whos[] = {"web", "db", "node-1", "bmc", ""};
    struct prng p = test_prng("records");
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        struct tale *t = tale_new();
        uint64_t at_ms = 0;
        uint32_t n = (uint32_t)prng_range(&p, 0, HA_STEPS_MAX);
        for (uint32_t i = 0; i < n; i++) {
            at_ms += prng_range(&p, 0, 50);
            struct ha_step *step =
                tale_step(t, at_ms, whats[prng_range(&p, 0, COUNT_OF(whats) - 1)],
                          whos[prng_range(&p, 0, COUNT_OF(whos) - 1)], "detail");
            step->took_ms = prng_chance(&p, 1, 4) ? prng_range(&p, 0, 100) : 0;
            step->epoch = prng_range(&p, 0, 5);
        }
        t->n = incident_trace(&t->incident, OPENED, t->spans);
        assert_in_range(t->n, 1, INCIDENT_SPANS_MAX);
        for (size_t i = 0; i < t->n; i++) {
            assert_true(t->spans[i].begin <= t->spans[i].end);
        }
        mem_free(t);
    }
    struct tale *full = tale_new();
    for (uint32_t i = 0; i < HA_STEPS_MAX; i++) {
        tale_step(full, i, i % 2 == 0 ? "fence" : "placed", "web", "node-2");
    }
    tale_tell(full);
    mem_free(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fenced_host_is_told_from_its_last_sign_of_life_to_its_last_machine),
        cmocka_unit_test(what_failed_is_told_as_an_error),
        cmocka_unit_test(a_host_that_comes_back_ends_what_was_under_way),
        cmocka_unit_test(a_machine_is_placed_from_the_proof_on_whatever_becomes_of_the_host),
        cmocka_unit_test(an_incident_may_be_older_than_the_clock),
        cmocka_unit_test(who_tells_it_twice_tells_the_same),
        cmocka_unit_test(any_record_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
