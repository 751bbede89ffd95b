#include "core/ha/ha_view.h"

#include <stdio.h>
#include <string.h>

#include "core/base/say.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

static void finds_records_by_their_names(void **state)
{
    (void)state;
    struct ha_view v;
    ha_view_init(&v);
    const struct ha_vm web = vm_named("web", 64);
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "node-a", 3);
    VIEW_PUT(&v, &web);
    VIEW_PUT(&v, &owner);
    assert_int_equal(ha_view_vm(&v, "web")->memory_mib, 64);
    assert_int_equal(ha_view_owner(&v, "web")->epoch, 3);
    assert_null(ha_view_vm(&v, "we"));
    assert_null(ha_view_vm(&v, ""));
    assert_null(ha_view_host(&v, "web"));
    assert_int_equal(ha_view_mod_revision(&v, HA_OWNER, "web", NULL), 2);
    assert_int_equal(ha_view_mod_revision(&v, HA_OWNER, "db", NULL), 0);
    assert_int_equal(v.revision, 2);
    view_delete_key(&v, "/novacron/vms/web");
    assert_null(ha_view_vm(&v, "web"));
    assert_int_equal(ha_view_count(&v, HA_VM), 0);
    assert_int_equal(v.revision, 3);
    ha_view_check(&v);
    ha_view_deinit(&v);
}

static void reports_are_found_by_host_and_machine(void **state)
{
    (void)state;
    struct ha_view v;
    struct ha_report report;
    ha_view_init(&v);
    ha_record_defaults(HA_REPORT, &report);
    report.epoch = 9;
    ha_text_set(report.host, sizeof report.host, "node-a");
    ha_text_set(report.vm, sizeof report.vm, "web");
    VIEW_PUT(&v, &report);
    assert_int_equal(ha_view_report(&v, "node-a", "web")->epoch, 9);
    assert_null(ha_view_report(&v, "web", "node-a"));
    assert_null(ha_view_report(&v, "node-a", "db"));
    ha_view_deinit(&v);
}

/* What cannot be read must not look like what is not there. */
static void what_cannot_be_read_is_an_entry_with_its_reason(void **state)
{
    (void)state;
    struct ha_view v;
    ha_view_init(&v);
    const struct ha_vm web = vm_named("web", 64);
    VIEW_PUT(&v, &web);
    view_put_text(&v, "/novacron/vms/web", "{\"name\":\"web\"}");
    assert_null(ha_view_vm(&v, "web"));
    assert_int_equal(ha_view_count(&v, HA_VM), 1);
    assert_int_equal(v.lists[HA_VM].unreadable, 1);
    const struct ha_entry *entry = ha_view_find(&v, HA_VM, "web", NULL);
    assert_string_equal(entry->why, "memory_mib: it is missing");
    assert_int_equal(entry->mod_revision, 2);
    ha_view_check(&v);
    VIEW_PUT(&v, &web); /* and well again */
    assert_non_null(ha_view_vm(&v, "web"));
    assert_int_equal(v.lists[HA_VM].unreadable, 0);
    assert_string_equal(entry->why, "");
    view_put_text(&v, "/novacron/vms/web", "");
    assert_int_equal(v.lists[HA_VM].unreadable, 1);
    view_delete_key(&v, "/novacron/vms/web");
    assert_int_equal(v.lists[HA_VM].unreadable, 0);
    ha_view_check(&v);
    ha_view_deinit(&v);
}

static void a_record_under_the_key_of_another_is_unreadable(void **state)
{
    (void)state;
    struct ha_view v;
    ha_view_init(&v);
    view_put_text(&v, "/novacron/owners/web", "{\"vm\":\"db\",\"phase\":\"stopped\"}");
    assert_null(ha_view_owner(&v, "web"));
    assert_null(ha_view_owner(&v, "db"));
    assert_string_equal(ha_view_find(&v, HA_OWNER, "web", NULL)->why,
                        "the record is that of db, which its key is not");
    ha_view_deinit(&v);
}

static void keys_of_no_kind_are_seen_and_others_are_not_ours(void **state)
{
    (void)state;
    struct ha_view v;
    ha_view_init(&v);
    view_put_text(&v, "/novacron/vm/web", "{}");
    view_put_text(&v, "/novacron/vms/Web", "{}");
    view_put_text(&v, "/registry/pods/x", "{}");
    view_put_text(&v, "/novacron/leader", "{}");
    assert_int_equal(ha_view_count(&v, HA_KINDS), 2);
    assert_string_equal(ha_view_at(&v, HA_KINDS, 0)->text, "/novacron/vm/web");
    assert_int_equal(v.revision, 4); /* its revision counts all the same */
    view_delete_key(&v, "/novacron/vm/web");
    assert_int_equal(ha_view_count(&v, HA_KINDS), 1);
    ha_view_check(&v);
    ha_view_deinit(&v);
}

static void settings_have_defaults_until_somebody_writes_nonsense(void **state)
{
    (void)state;
    struct ha_view v;
    ha_view_init(&v);
    assert_int_equal(ha_view_settings(&v)->lease_ms, 9000);
    view_put_text(&v, "/novacron/settings", "{\"lease_ms\":5000}");
    assert_int_equal(ha_view_settings(&v)->lease_ms, 5000);
    assert_int_equal(ha_view_settings(&v)->drift_ppm, 1000);
    view_put_text(&v, "/novacron/settings", "{\"lease_ms\":1}");
    assert_null(ha_view_settings(&v));
    view_delete_key(&v, "/novacron/settings");
    assert_int_equal(ha_view_settings(&v)->lease_ms, 9000);
    ha_view_deinit(&v);
}

static void put_at(struct ha_view *v, const char *key, const char *value, uint64_t revision)
{
    ha_view_put(v, (struct bytes){(const uint8_t *)key, strlen(key)},
                (struct bytes){(const uint8_t *)value, strlen(value)}, 1, revision);
}

static void what_is_older_than_the_view_changes_nothing(void **state)
{
    (void)state;
    struct ha_view v;
    static const char key[] = "/novacron/settings";
    ha_view_init(&v);
    put_at(&v, key, "{\"lease_ms\":5000}", 7);
    put_at(&v, key, "{\"lease_ms\":6000}", 6);
    assert_int_equal(ha_view_settings(&v)->lease_ms, 5000);
    put_at(&v, key, "{\"lease_ms\":6000}", 7);
    assert_int_equal(ha_view_settings(&v)->lease_ms, 5000);
    ha_view_delete(&v, (struct bytes){(const uint8_t *)key, sizeof key - 1}, 7);
    assert_int_equal(ha_view_settings(&v)->lease_ms, 5000);
    assert_int_equal(v.revision, 7);
    ha_view_advance(&v, 3);
    assert_int_equal(v.revision, 7);
    ha_view_delete(&v, (struct bytes){(const uint8_t *)key, sizeof key - 1}, 8);
    assert_int_equal(ha_view_settings(&v)->lease_ms, 9000);
    ha_view_deinit(&v);
}

static void a_mark_lives_as_long_as_its_key(void **state)
{
    (void)state;
    struct ha_view v;
    static const char key[] = "/novacron/settings";
    ha_view_init(&v);
    put_at(&v, key, "{}", 2);
    ha_view_find(&v, HA_SETTINGS, "", NULL)->mark = 42;
    put_at(&v, key, "{\"lease_ms\":5000}", 3);
    assert_int_equal(ha_view_find(&v, HA_SETTINGS, "", NULL)->mark, 42);
    ha_view_put(&v, (struct bytes){(const uint8_t *)key, sizeof key - 1},
                (struct bytes){(const uint8_t *)"{}", 2}, 5, 5); /* deleted and made anew */
    assert_int_equal(ha_view_find(&v, HA_SETTINGS, "", NULL)->mark, 0);
    ha_view_deinit(&v);
}

/* The definition of a machine points into bytes that are the view's own. */
static void a_definition_lives_in_the_view(void **state)
{
    (void)state;
    struct ha_view v;
    char text[] = "{\"name\":\"web\",\"memory_mib\":64,\"volume\":\"w\",\"storage\":\"nfs\","
                  "\"definition\":{\"disk\":1}}";
    ha_view_init(&v);
    view_put_text(&v, "/novacron/vms/web", text);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(ha_view_vm(&v, "web")->definition.len, strlen("{\"disk\":1}"));
    assert_memory_equal(ha_view_vm(&v, "web")->definition.data, "{\"disk\":1}", 10);
    ha_view_deinit(&v);
}

static void a_view_that_is_full_says_that_it_is_incomplete(void **state)
{
    (void)state;
    struct ha_view v;
    char key[64];
    ha_view_init(&v);
    for (unsigned i = 0; i < HA_VIEW_ENTRIES_MAX; i++) {
        snprintf(key, sizeof key, "/novacron/incidents/%08u", i);
        view_put_text(&v, key, "");
    }
    assert_false(v.is_incomplete);
    view_put_text(&v, "/novacron/incidents/00000007", ""); /* which it has */
    view_put_text(&v, "/novacron/x", "");                  /* which is no record */
    assert_false(v.is_incomplete);
    view_put_text(&v, "/novacron/vms/web", "{}");
    assert_true(v.is_incomplete);
    view_delete_key(&v, "/novacron/x");
    assert_false(v.has_room);
    view_delete_key(&v, "/novacron/incidents/00000007"); /* which brings nothing back */
    assert_true(v.is_incomplete);
    assert_true(v.has_room);
    ha_view_check(&v);
    ha_view_clear(&v);
    assert_false(v.is_incomplete || v.has_room);
    assert_int_equal(v.n, 0);
    assert_int_equal(v.revision, 0);
    ha_view_deinit(&v);
}

/* One that was not kept may be all that was too much. */
static void a_full_view_has_room_when_what_it_has_not_kept_is_deleted(void **state)
{
    (void)state;
    struct ha_view v;
    char key[64];
    ha_view_init(&v);
    for (unsigned i = 0; i <= HA_VIEW_ENTRIES_MAX; i++) {
        snprintf(key, sizeof key, "/novacron/incidents/%08u", i);
        view_put_text(&v, key, "");
    }
    assert_true(v.is_incomplete && !v.has_room);
    view_delete_key(&v, key);
    assert_true(v.has_room);
    ha_view_deinit(&v);
}

/* Nothing is decided by them, and so they hinder nothing. */
static void a_flood_of_keys_of_no_kind_is_counted(void **state)
{
    (void)state;
    struct ha_view v;
    char key[64];
    ha_view_init(&v);
    for (unsigned i = 0; i < 2 * HA_VIEW_ENTRIES_MAX; i++) {
        snprintf(key, sizeof key, "/novacron/x/%08u", i);
        view_put_text(&v, key, "");
    }
    assert_false(v.is_incomplete);
    assert_int_equal(ha_view_count(&v, HA_KINDS), HA_VIEW_STRANGERS_MAX);
    assert_int_equal(v.strangers_passed, 2 * HA_VIEW_ENTRIES_MAX - HA_VIEW_STRANGERS_MAX);
    view_put_text(&v, "/novacron/settings", "{\"lease_ms\":5000}");
    assert_int_equal(ha_view_settings(&v)->lease_ms, 5000);
    ha_view_check(&v);
    ha_view_deinit(&v);
}

/* --- the same store gives the same view ------------------------------------------------------- */

#define NAMES 12

/* What a store would have of one key. */
struct model_key {
    char key[HA_KEY_BYTES];
    char value[128];
    uint64_t revision; /* 0: it does not exist */
};

static void assert_views_are_equal(const struct ha_view *a, const struct ha_view *b)
{
    assert_int_equal(a->n, b->n);
    for (enum ha_kind kind = 0; kind <= HA_KINDS; kind++) {
        assert_int_equal(ha_view_count(a, kind), ha_view_count(b, kind));
        for (size_t i = 0; i < ha_view_count(a, kind); i++) {
            const struct ha_entry *x = ha_view_at(a, kind, i);
            const struct ha_entry *y = ha_view_at(b, kind, i);
            assert_string_equal(x->text, y->text);
            assert_string_equal(x->why, y->why);
            assert_int_equal(x->mod_revision, y->mod_revision);
            assert_int_equal(x->record == NULL, y->record == NULL);
            if (x->record != NULL) {
                assert_memory_equal(x->record, y->record, ha_record_size(kind));
            }
        }
    }
}

static void change_any_key(struct prng *p, struct model_key *model, struct ha_view *v,
                           uint64_t revision)
{
    struct model_key *m = &model[prng_below(p, NAMES)];

    if (prng_chance(p, 1, 3)) {
        m->revision = 0;
        ha_view_delete(v, (struct bytes){(const uint8_t *)m->key, strlen(m->key)}, revision);
        return;
    }
    snprintf(m->value, sizeof m->value, "{\"vm\":\"%c\",\"phase\":\"%s\",\"failures\":%u}",
             prng_chance(p, 7, 8) ? m->key[strlen(m->key) - 1] : 'z',
             prng_chance(p, 3, 4) ? "stopped" : "running", (unsigned)prng_below(p, 9));
    m->revision = revision;
    put_at(v, m->key, m->value, revision);
}

static void a_view_depends_on_what_the_store_has_and_not_on_its_history(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(50); round++) {
        struct model_key model[NAMES] = {{.revision = 0}};
        struct ha_view fed;
        struct ha_view fresh;
        ha_view_init(&fed);
        ha_view_init(&fresh);
        for (size_t i = 0; i < NAMES; i++) {
            snprintf(model[i].key, sizeof model[i].key, "/novacron/%s/%c",
                     i % 4 == 3 ? "odd" : "owners", (char)('a' + i));
        }
        for (uint64_t revision = 2; revision < 100; revision++) {
            change_any_key(&p, model, &fed, revision);
            ha_view_check(&fed);
        }
        for (size_t i = NAMES; i > 0; i--) {
            if (model[i - 1].revision != 0) {
                put_at(&fresh, model[i - 1].key, model[i - 1].value, model[i - 1].revision);
            }
        }
        ha_view_check(&fresh);
        assert_views_are_equal(&fed, &fresh);
        ha_view_deinit(&fed);
        ha_view_deinit(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_records_by_their_names),
        cmocka_unit_test(reports_are_found_by_host_and_machine),
        cmocka_unit_test(what_cannot_be_read_is_an_entry_with_its_reason),
        cmocka_unit_test(a_record_under_the_key_of_another_is_unreadable),
        cmocka_unit_test(keys_of_no_kind_are_seen_and_others_are_not_ours),
        cmocka_unit_test(settings_have_defaults_until_somebody_writes_nonsense),
        cmocka_unit_test(what_is_older_than_the_view_changes_nothing),
        cmocka_unit_test(a_mark_lives_as_long_as_its_key),
        cmocka_unit_test(a_definition_lives_in_the_view),
        cmocka_unit_test(a_view_that_is_full_says_that_it_is_incomplete),
        cmocka_unit_test(a_full_view_has_room_when_what_it_has_not_kept_is_deleted),
        cmocka_unit_test(a_flood_of_keys_of_no_kind_is_counted),
        cmocka_unit_test(a_view_depends_on_what_the_store_has_and_not_on_its_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
