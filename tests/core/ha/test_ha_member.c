/* A member alone, on a store that is the test's: what it makes of what it is told. */
#include "core/ha/ha_member.h"

#include <stdio.h>
#include <string.h>

#include "core/chaos/simworld.h"
#include "tests/support/test.h"

struct lone_member {
    struct simworld *sim;
    struct simhost *host;
    struct ha_store store;
    struct ha_member *member;
    const struct ha_feed *feed; /* the member's */
    uint32_t anew;              /* times that it has asked for everything */
    int64_t revision;
};

static void lone_submit(void *self, struct ha_txn *txn)
{
    (void)self;
    (void)txn;
}

static void lone_confirm(void *self, struct ha_confirm *confirm)
{
    (void)self;
    (void)confirm;
}

static void lone_note(void *self, node_id to, struct bytes note)
{
    (void)self;
    (void)to;
    (void)note;
}

static struct ha_leader lone_leads(void *self)
{
    (void)self;
    return (struct ha_leader){.leader = 2, .term = 1};
}

static void lone_feed(void *self, const struct ha_feed *feed)
{
    ((struct lone_member *)self)->feed = feed;
}

static void lone_anew(void *self)
{
    ((struct lone_member *)self)->anew++;
}

static const struct ha_store_ops lone_ops = {lone_submit, lone_confirm, lone_confirm, lone_note,
                                             lone_leads,  lone_feed,    lone_anew};

static void lone_open(struct lone_member *b)
{
    const struct ha_member_config config = {.seed = 1};
    const struct ha_member_events events = {.ctx = b};

    memset(b, 0, sizeof(*b));
    b->sim = simworld_new(1);
    b->host = simhost_new(b->sim, "a", 1 << 20);
    b->store = (struct ha_store){.self = b, .member = 1, .ops = &lone_ops};
    b->member = ha_member_open(simhost_world(b->host), &b->store, &config, &events);
    assert_non_null(b->feed);
    b->feed->began(b->feed->ctx);
}

static void lone_close(struct lone_member *b)
{
    ha_member_close(b->member);
    simworld_free(b->sim);
}

static void lone_run(struct lone_member *b, nanos span)
{
    simworld_run(b->sim, simworld_now(b->sim) + span);
}

static void lone_tell(struct lone_member *b, const char *key, bool is_delete)
{
    const int64_t revision = ++b->revision;
    const struct ha_change change = {.key = {(const uint8_t *)key, strlen(key)},
                                     .is_delete = is_delete,
                                     .create_revision = revision,
                                     .mod_revision = revision};

    b->feed->changed(b->feed->ctx, &change);
}

static void lone_reached(struct lone_member *b)
{
    b->feed->reached(b->feed->ctx, b->revision);
    lone_run(b, 100 * NANOS_PER_MS);
}

/* Incidents number from..to - 1. */
static void lone_tell_many(struct lone_member *b, unsigned from, unsigned to)
{
    char key[64];

    for (unsigned i = from; i < to; i++) {
        (void)snprintf(key, sizeof(key), "/novacron/incidents/%08u", i);
        lone_tell(b, key, false);
    }
}

/* What was not kept while the view was full is there again once all was told anew. */
static void a_view_that_was_full_is_read_anew_once_something_is_deleted(void **state)
{
    struct lone_member b;
    (void)state;
    lone_open(&b);
    const struct ha_view *v = ha_member_view(b.member);
    lone_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 1);
    lone_tell(&b, "/novacron/vms/web", false);
    lone_reached(&b);
    lone_run(&b, 60 * NANOS_PER_S);
    assert_true(v->is_incomplete);
    assert_int_equal(b.anew, 0); /* it would be too much again */

    lone_tell(&b, "/novacron/incidents/00000007", true);
    lone_reached(&b);
    assert_int_equal(b.anew, 1);
    b.feed->began(b.feed->ctx);
    lone_tell(&b, "/novacron/vms/web", false);
    lone_tell_many(&b, 8, HA_VIEW_ENTRIES_MAX + 1);
    lone_reached(&b);
    assert_false(v->is_incomplete);
    assert_non_null(ha_view_find(v, HA_VM, "web", NULL));
    assert_non_null(ha_view_find(v, HA_INCIDENT, "00065536", NULL));
    lone_run(&b, 60 * NANOS_PER_S);
    assert_int_equal(b.anew, 1);
    lone_close(&b);
}

/* Too much still, and the next deletion right behind: not in a row. */
static void a_full_view_is_not_read_anew_in_a_row(void **state)
{
    struct lone_member b;
    (void)state;
    lone_open(&b);
    lone_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 3);
    lone_tell(&b, "/novacron/incidents/00065537", true);
    lone_reached(&b);
    assert_int_equal(b.anew, 1);
    b.feed->began(b.feed->ctx);
    lone_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 2);
    lone_tell(&b, "/novacron/incidents/00065536", true);
    lone_reached(&b);
    lone_run(&b, 5 * NANOS_PER_S);
    assert_int_equal(b.anew, 1);
    lone_run(&b, 6 * NANOS_PER_S);
    assert_int_equal(b.anew, 2);
    lone_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_that_was_full_is_read_anew_once_something_is_deleted),
        cmocka_unit_test(a_full_view_is_not_read_anew_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
