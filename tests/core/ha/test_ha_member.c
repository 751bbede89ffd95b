/* A member alone, on a store that is the test's: what it makes of what it is told. */
#include "core/ha/ha_member.h"

#include <stdio.h>
#include <string.h>

#include "core/chaos/simworld.h"
#include "tests/support/test.h"

struct fed_member {
    struct simworld *sim;
    struct simhost *host;
    struct ha_store store;
    struct ha_member *member;
    const struct ha_feed *feed; /* the member's */
    uint32_t anew;              /* times that it has asked for everything */
    int64_t revision;
};

static void fed_submit(void *self, struct ha_txn *txn)
{
    (void)self;
    (void)txn;
}

static void fed_confirm(void *self, struct ha_confirm *confirm)
{
    (void)self;
    (void)confirm;
}

static void fed_note(void *self, node_id to, struct bytes note)
{
    (void)self;
    (void)to;
    (void)note;
}

static struct ha_leader fed_leads(void *self)
{
    (void)self;
    return (struct ha_leader){.leader = 2, .term = 1};
}

static void fed_feed(void *self, const struct ha_feed *feed)
{
    ((struct fed_member *)self)->feed = feed;
}

static void fed_anew(void *self)
{
    ((struct fed_member *)self)->anew++;
}

static const struct ha_store_ops fed_ops = {fed_submit, fed_confirm, fed_confirm, fed_note,
                                            fed_leads,  fed_feed,    fed_anew};

static void fed_open(struct fed_member *b)
{
    const struct ha_member_config config = {.seed = 1};
    const struct ha_member_events events = {.ctx = b};

    memset(b, 0, sizeof(*b));
    b->sim = simworld_new(1);
    b->host = simhost_new(b->sim, "a", 1 << 20);
    b->store = (struct ha_store){.self = b, .member = 1, .ops = &fed_ops};
    b->member = ha_member_open(simhost_world(b->host), &b->store, &config, &events);
    assert_non_null(b->feed);
    b->feed->began(b->feed->ctx);
}

static void fed_close(struct fed_member *b)
{
    ha_member_close(b->member);
    simworld_free(b->sim);
}

static void fed_run(struct fed_member *b, nanos span)
{
    simworld_run(b->sim, simworld_now(b->sim) + span);
}

static void fed_tell(struct fed_member *b, const char *key, bool is_delete)
{
    const int64_t revision = ++b->revision;
    const struct ha_change change = {.key = {(const uint8_t *)key, strlen(key)},
                                     .is_delete = is_delete,
                                     .create_revision = revision,
                                     .mod_revision = revision};

    b->feed->changed(b->feed->ctx, &change);
}

static void fed_reached(struct fed_member *b)
{
    b->feed->reached(b->feed->ctx, b->revision);
    fed_run(b, 100 * NANOS_PER_MS);
}

/* Incidents number from..to - 1. */
static void fed_tell_many(struct fed_member *b, unsigned from, unsigned to)
{
    char key[64];

    for (unsigned i = from; i < to; i++) {
        (void)snprintf(key, sizeof(key), "/novacron/incidents/%08u", i);
        fed_tell(b, key, false);
    }
}

/* What was not kept while the view was full is there again once all was told anew. */
static void a_view_that_was_full_is_read_anew_once_something_is_deleted(void **state)
{
    struct fed_member b;
    (void)state;
    fed_open(&b);
    const struct ha_view *v = ha_member_view(b.member);
    fed_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 1);
    fed_tell(&b, "/novacron/vms/web", false);
    fed_reached(&b);
    fed_run(&b, 60 * NANOS_PER_S);
    assert_true(v->is_incomplete);
    assert_int_equal(b.anew, 0); /* it would be too much again */

    fed_tell(&b, "/novacron/incidents/00000007", true);
    fed_reached(&b);
    assert_int_equal(b.anew, 1);
    b.feed->began(b.feed->ctx);
    fed_tell(&b, "/novacron/vms/web", false);
    fed_tell_many(&b, 8, HA_VIEW_ENTRIES_MAX + 1);
    fed_reached(&b);
    assert_false(v->is_incomplete);
    assert_non_null(ha_view_find(v, HA_VM, "web", NULL));
    assert_non_null(ha_view_find(v, HA_INCIDENT, "00065536", NULL));
    fed_run(&b, 60 * NANOS_PER_S);
    assert_int_equal(b.anew, 1);
    fed_close(&b);
}

/* Too much still, and the next deletion right behind: not in a row. */
static void a_full_view_is_not_read_anew_in_a_row(void **state)
{
    struct fed_member b;
    (void)state;
    fed_open(&b);
    fed_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 3);
    fed_tell(&b, "/novacron/incidents/00065537", true);
    fed_reached(&b);
    assert_int_equal(b.anew, 1);
    b.feed->began(b.feed->ctx);
    fed_tell_many(&b, 0, HA_VIEW_ENTRIES_MAX + 2);
    fed_tell(&b, "/novacron/incidents/00065536", true);
    fed_reached(&b);
    fed_run(&b, 5 * NANOS_PER_S);
    assert_int_equal(b.anew, 1);
    fed_run(&b, 6 * NANOS_PER_S);
    assert_int_equal(b.anew, 2);
    fed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_that_was_full_is_read_anew_once_something_is_deleted),
        cmocka_unit_test(a_full_view_is_not_read_anew_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
