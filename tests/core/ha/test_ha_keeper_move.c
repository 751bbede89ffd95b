/* Which disk a guest goes on with where it is moved to: the one that its epoch was started with, or
 * it is not moved. The manager's part; the target's is in test_ha_agent_rules.c. */
#include "tests/core/ha/keeper_bench.h"
#include "tests/support/test.h"

/* "a" runs "web" in epoch 5, on the volume "web" of "nfs", whose path is /srv. */
static struct ha_owner owner_on_nfs(enum ha_phase phase)
{
    struct ha_owner owner = owner_of("web", phase, "a", 5);

    ha_text_set(owner.volume, sizeof(owner.volume), "web");
    ha_text_set(owner.storage, sizeof(owner.storage), "nfs");
    ha_text_set(owner.path, sizeof(owner.path), "/srv");
    return owner;
}

static void put_web(struct keeper_bench *b, const char *volume, const char *move_to)
{
    struct ha_vm vm = vm_named("web", 10);

    ha_text_set(vm.volume, sizeof(vm.volume), volume);
    ha_text_set(vm.move_to, sizeof(vm.move_to), move_to);
    VIEW_PUT(&b->view, &vm);
}

static void put_nfs(struct keeper_bench *b, const char *path)
{
    struct ha_storage storage = *ha_view_storage(&b->view, "nfs");

    ha_text_set(storage.path, sizeof(storage.path), path);
    VIEW_PUT(&b->view, &storage);
}

static void put_report(struct keeper_bench *b, const char *host, uint64_t epoch,
                       enum ha_report_state state)
{
    struct ha_report report = {.epoch = epoch, .boot = 1, .state = state};

    ha_text_set(report.host, sizeof(report.host), host);
    ha_text_set(report.vm, sizeof(report.vm), "web");
    if (state == HA_REPORT_MOVED) {
        report.to_epoch = 6;
    } else if (state == HA_REPORT_WAITS) {
        ha_text_set(report.address, sizeof(report.address), "10.0.0.2");
        report.port = 4711;
    }
    VIEW_PUT(&b->view, &report);
}

/* A manager, and "b" has a lease. */
static void move_open(struct keeper_bench *b)
{
    keeper_open(b);
    put_covered(b, "b");
    keeper_take(b);
    grant_once(b, "b");
}

/* All is sent to "b", where a machine waits as epoch 6: what is left is to switch over. */
static void move_sent(struct keeper_bench *b, const struct ha_owner *runs)
{
    struct ha_owner owner = *runs;

    move_open(b);
    owner.phase = HA_MOVING;
    owner.issued = 6;
    ha_text_set(owner.to, sizeof(owner.to), "b");
    ha_text_set(owner.address, sizeof(owner.address), "10.0.0.2");
    owner.port = 4711;
    put_web(b, "web", "");
    VIEW_PUT(&b->view, &owner);
    put_report(b, "a", 5, HA_REPORT_MOVED);
    put_report(b, "b", 6, HA_REPORT_WAITS);
}

static const struct ha_txn *decided_about_web(const struct keeper_bench *b)
{
    const struct ha_txn *found = NULL;

    for (size_t i = 0; i < b->n; i++) {
        found = txn_names(b->txns[i], "/novacron/owners/web") ? b->txns[i] : found;
    }
    assert_non_null(found);
    return found;
}

static bool is_guarded_by(const struct keeper_bench *b, enum ha_kind kind, const char *name)
{
    char key[HA_KEY_BYTES];

    ha_key_format(kind, name, NULL, key);
    return txn_is_guarded(decided_about_web(b), key,
                          (int64_t)ha_view_mod_revision(&b->view, kind, name, NULL));
}

static void a_start_keeps_the_disk_that_it_is_of(void **state)
{
    struct keeper_bench b;
    (void)state;
    move_open(&b);
    put_web(&b, "v1", "");
    keeper_run(&b, 20 * NANOS_PER_MS);
    const struct ha_txn *txn = decided_about_web(&b);
    assert_true(txn_names(txn, "\"phase\":\"starting\""));
    assert_true(txn_names(txn, "\"volume\":\"v1\",\"storage\":\"nfs\",\"path\":\"/srv\""));
    assert_true(is_guarded_by(&b, HA_VM, "web"));
    assert_true(is_guarded_by(&b, HA_STORAGE, "nfs"));
    keeper_close(&b);
}

static void no_move_begins_to_another_disk(void **state)
{
    static const struct {
        const char *volume, *path, *phase;
    } cases[] = {
        {"web", "/srv", "\"phase\":\"moving\""},
        {"v2", "/srv", "its disk is another in its record"},
        {"web", "/other", "its disk is another in its record"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct keeper_bench b;
        const struct ha_owner owner = owner_on_nfs(HA_RUNNING);
        move_open(&b);
        VIEW_PUT(&b.view, &owner);
        put_report(&b, "a", 5, HA_REPORT_RUNS);
        put_nfs(&b, cases[i].path);
        put_web(&b, cases[i].volume, "b");
        keeper_run(&b, 20 * NANOS_PER_MS);
        assert_true(txn_names(decided_about_web(&b), cases[i].phase));
        assert_true(is_guarded_by(&b, HA_VM, "web"));
        assert_true(is_guarded_by(&b, HA_STORAGE, "nfs") == (i == 0));
        keeper_close(&b);
    }
}

/* Of an epoch that an older version has begun nothing is known: it is moved as ever. */
static void a_machine_whose_disk_is_not_known_is_moved(void **state)
{
    struct keeper_bench b;
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 5);
    (void)state;
    move_open(&b);
    VIEW_PUT(&b.view, &owner);
    put_report(&b, "a", 5, HA_REPORT_RUNS);
    put_web(&b, "v2", "b");
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(txn_names(decided_about_web(&b), "\"phase\":\"moving\""));
    keeper_close(&b);
    move_sent(&b, &owner);
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(txn_names(decided_about_web(&b), "vm-switched-over"));
    assert_false(txn_names(decided_about_web(&b), "\"volume\":"));
    keeper_close(&b);
}

/* An edit that this leader does not see yet refuses the switch-over; the epoch that it begins is on
 * the same disk. */
static void a_switch_over_is_guarded_by_the_records_of_the_disk(void **state)
{
    struct keeper_bench b;
    const struct ha_owner owner = owner_on_nfs(HA_RUNNING);
    (void)state;
    move_sent(&b, &owner);
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(txn_names(decided_about_web(&b), "vm-switched-over"));
    assert_true(txn_names(decided_about_web(&b), "\"volume\":\"web\",\"storage\":\"nfs\""));
    assert_true(is_guarded_by(&b, HA_VM, "web"));
    assert_true(is_guarded_by(&b, HA_STORAGE, "nfs"));
    answer_about(&b, "/novacron/owners/web", HA_TXN_REFUSED);
    put_nfs(&b, "/other");
    keeper_run(&b, NANOS_PER_S);
    assert_true(txn_names(decided_about_web(&b), "vm-not-moved"));
    keeper_close(&b);
}

static void what_is_sent_is_called_off_when_its_disk_is_another(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct keeper_bench b;
        const struct ha_owner owner = owner_on_nfs(HA_RUNNING);
        move_sent(&b, &owner);
        if (i == 0) {
            put_web(&b, "v2", "");
        } else if (i == 1) {
            put_nfs(&b, "/other");
        } else {
            view_delete_key(&b.view, "/novacron/storages/nfs");
        }
        keeper_run(&b, 20 * NANOS_PER_MS);
        assert_true(txn_names(decided_about_web(&b), "vm-not-moved"));
        assert_true(txn_names(decided_about_web(&b), "\"phase\":\"running\""));
        assert_true(txn_names(decided_about_web(&b), "its disk is another in its record"));
        keeper_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_keeps_the_disk_that_it_is_of),
        cmocka_unit_test(no_move_begins_to_another_disk),
        cmocka_unit_test(a_machine_whose_disk_is_not_known_is_moved),
        cmocka_unit_test(a_switch_over_is_guarded_by_the_records_of_the_disk),
        cmocka_unit_test(what_is_sent_is_called_off_when_its_disk_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
