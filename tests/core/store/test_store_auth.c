/* Users and rights, alarms and members, as replicated state: etcd's rules, and that all of it
 * survives a snapshot and makes a difference to the hash. */
#include <string.h>

#include "core/store/store_limits.h"
#include "core/store/store_pb.h"
#include "tests/core/store/store_fixture.h"
#include "tests/support/pb_text.h"

struct step {
    enum store_kind kind;
    const char *body;
    enum store_status status;
};

static void run_steps(struct fixture *f, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum store_status status = fixture_apply_text(f, steps[i].kind, steps[i].body);
        if (status != steps[i].status) {
            print_message("# step %zu: %s of %s\n", i, store_status_name(status), steps[i].body);
        }
        assert_int_equal(status, steps[i].status);
    }
}

#define RUN(f, steps) run_steps(f, steps, COUNT_OF(steps))

/* root, and a user who may read [a, c) and write b; authentication is on. */
static const struct step house[] = {
    {STORE_KIND_AUTH_ENABLE, "", STORE_ROOT_USER_MISSING},
    {STORE_KIND_USER_ADD, "1:'root' 4:'hash-r'", STORE_OK},
    {STORE_KIND_AUTH_ENABLE, "", STORE_ROOT_ROLE_MISSING},
    {STORE_KIND_USER_GRANT, "1:'root' 2:'root'", STORE_OK},
    {STORE_KIND_ROLE_ADD, "1:'reader'", STORE_OK},
    {STORE_KIND_ROLE_GRANT, "1:'reader' 2:{2:'a' 3:'c'}", STORE_OK},
    {STORE_KIND_ROLE_GRANT, "1:'reader' 2:{1:1 2:'b'}", STORE_OK},
    {STORE_KIND_USER_ADD, "1:'ann' 4:'hash-a'", STORE_OK},
    {STORE_KIND_USER_GRANT, "1:'ann' 2:'reader'", STORE_OK},
    {STORE_KIND_AUTH_ENABLE, "", STORE_OK},
    {STORE_KIND_AUTH_ENABLE, "", STORE_USER_EMPTY},
};

static void refuses_administration_in_the_words_of_etcd(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {STORE_KIND_USER_ADD, "", STORE_USER_EMPTY},
        {STORE_KIND_USER_ADD, "1:'u' 2:'clear'", STORE_MALFORMED},
        {STORE_KIND_USER_ADD, "1:'u' 4:'h'", STORE_OK},
        {STORE_KIND_USER_ADD, "1:'u' 4:'h'", STORE_USER_EXISTS},
        {STORE_KIND_USER_GRANT, "1:'u' 2:'r'", STORE_ROLE_NOT_FOUND},
        {STORE_KIND_USER_GRANT, "1:'x' 2:'r'", STORE_USER_NOT_FOUND},
        {STORE_KIND_USER_REVOKE, "1:'u' 2:'r'", STORE_ROLE_NOT_GRANTED},
        {STORE_KIND_USER_PASSWORD, "1:'x' 3:'h'", STORE_USER_NOT_FOUND},
        {STORE_KIND_USER_PASSWORD, "1:'u' 2:'clear'", STORE_MALFORMED},
        {STORE_KIND_USER_DELETE, "1:'x'", STORE_USER_NOT_FOUND},
        {STORE_KIND_ROLE_ADD, "", STORE_ROLE_EMPTY},
        {STORE_KIND_ROLE_ADD, "1:'r'", STORE_OK},
        {STORE_KIND_ROLE_ADD, "1:'r'", STORE_ROLE_EXISTS},
        {STORE_KIND_ROLE_DELETE, "1:'x'", STORE_ROLE_NOT_FOUND},
        {STORE_KIND_ROLE_GRANT, "1:'r'", STORE_PERMISSION_NOT_GIVEN},
        {STORE_KIND_ROLE_GRANT, "1:'x' 2:{2:'k'}", STORE_ROLE_NOT_FOUND},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{3:'k'}", STORE_AUTH_MANAGEMENT_INVALID},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{2:'k' 3:'a'}", STORE_AUTH_MANAGEMENT_INVALID},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{1:3 2:'k'}", STORE_AUTH_MANAGEMENT_INVALID},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{2:'k' 3:'\\0'}", STORE_OK},
        {STORE_KIND_ROLE_REVOKE, "1:'r' 2:'k'", STORE_PERMISSION_NOT_GRANTED},
        {STORE_KIND_ROLE_REVOKE, "1:'r' 2:'k' 3:'\\0'", STORE_OK},
        {STORE_KIND_AUTHENTICATE, "1:'u' 3:'t'", STORE_AUTH_NOT_ENABLED},
        {STORE_KIND_AUTH_DISABLE, "", STORE_OK},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, steps);
    fixture_deinit(&f);
}

static void raises_the_auth_revision_with_each_change(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init_at(&f, 2);
    assert_int_equal(store_auth_revision(f.store), 1);
    run_steps(&f, house, 9);
    assert_int_equal(store_auth_revision(f.store), 8);
    run_steps(&f, house + 8, 1); /* granted already: no change */
    assert_int_equal(store_auth_revision(f.store), 8);
    run_steps(&f, house + 9, 1);
    assert_int_equal(store_auth_revision(f.store), 8);
    f.user = text("root");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_AUTH_DISABLE, ""), STORE_OK);
    assert_int_equal(store_auth_revision(f.store), 9);
    fixture_deinit(&f);
}

static void lets_users_do_what_their_roles_allow(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        struct step step;
    } cases[] = {
        {"", {STORE_KIND_PUT, "1:'b'", STORE_USER_EMPTY}},
        {"nobody", {STORE_KIND_PUT, "1:'b'", STORE_PERMISSION_DENIED}},
        {"root", {STORE_KIND_PUT, "1:'z'", STORE_OK}},
        {"ann", {STORE_KIND_PUT, "1:'b'", STORE_OK}},
        {"ann", {STORE_KIND_PUT, "1:'b' 4:1", STORE_OK}},
        {"ann", {STORE_KIND_PUT, "1:'a'", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_DELETE, "1:'b'", STORE_OK}},
        {"ann", {STORE_KIND_DELETE, "1:'b' 2:'c'", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_TXN, "1:{2:1 3:'a' 5:0} 2:{2:{1:'b'}} 3:{1:{1:'a'}}", STORE_OK}},
        {"ann", {STORE_KIND_TXN, "1:{2:1 3:'c' 5:0} 2:{2:{1:'b'}}", STORE_PERMISSION_DENIED}},
        /* Also the branch that does not run. */
        {"ann", {STORE_KIND_TXN, "2:{2:{1:'b'}} 3:{2:{1:'a'}}", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_TXN, "2:{4:{2:{2:{1:'z'}}}}", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_TXN, "2:{3:{1:'a'}}", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_USER_ADD, "1:'eve'", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_AUTH_DISABLE, "", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_LEASE_GRANT, "1:60 2:7", STORE_OK}},
        {"root", {STORE_KIND_PUT, "1:'z' 3:7", STORE_OK}},
        /* Under the lease of a key that is not hers. */
        {"ann", {STORE_KIND_PUT, "1:'b' 3:7", STORE_PERMISSION_DENIED}},
        {"ann", {STORE_KIND_LEASE_REVOKE, "1:7", STORE_PERMISSION_DENIED}},
        {"root", {STORE_KIND_LEASE_REVOKE, "1:7", STORE_OK}},
        {"root", {STORE_KIND_USER_DELETE, "1:'root'", STORE_AUTH_MANAGEMENT_INVALID}},
        {"root", {STORE_KIND_USER_REVOKE, "1:'root' 2:'root'", STORE_AUTH_MANAGEMENT_INVALID}},
        {"root", {STORE_KIND_ROLE_DELETE, "1:'reader'", STORE_OK}},
        {"ann", {STORE_KIND_PUT, "1:'b'", STORE_PERMISSION_DENIED}},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, house);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        f.user = text(cases[i].user);
        run_steps(&f, &cases[i].step, 1);
    }
    fixture_deinit(&f);
}

static void refuses_what_was_let_in_before_the_rights_changed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, house);
    f.user = text("ann");
    f.behind = 1;
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_PUT, "1:'b'"), STORE_AUTH_REVISION_OLD);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_AUTHENTICATE, "1:'ann' 3:'t'"),
                     STORE_AUTH_REVISION_OLD);
    f.behind = 0;
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_PUT, "1:'b'"), STORE_OK);
    fixture_deinit(&f);
}

static void covers_a_span_by_several_permissions_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *end;
        bool allowed;
    } cases[] = {
        {"a", "", true},    {"a", "c", true},  {"a", "e", true}, {"b", "d", true},
        {"a", "e1", false}, {"Z", "b", false}, {"e", "", false}, {"f", "", true},
        {"f", "f0", false}, {"g", "z", true},  {"g", "0", true}, {"x", "", true},
    };
    static const struct step steps[] = {
        {STORE_KIND_USER_ADD, "1:'root'", STORE_OK},
        {STORE_KIND_USER_GRANT, "1:'root' 2:'root'", STORE_OK},
        {STORE_KIND_USER_ADD, "1:'ann'", STORE_OK},
        {STORE_KIND_ROLE_ADD, "1:'r'", STORE_OK},
        {STORE_KIND_ROLE_ADD, "1:'s'", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{2:'c' 3:'e'}", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'s' 2:{1:2 2:'a' 3:'c'}", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'s' 2:{2:'f'}", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'s' 2:{2:'g' 3:'\\0'}", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'r' 2:{1:1 2:'e' 3:'f'}", STORE_OK},
        {STORE_KIND_USER_GRANT, "1:'ann' 2:'s'", STORE_OK},
        {STORE_KIND_USER_GRANT, "1:'ann' 2:'r'", STORE_OK},
        {STORE_KIND_AUTH_ENABLE, "", STORE_OK},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, steps);
    struct store_user ann = {text("ann"), store_auth_revision(f.store)};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes end = text(cases[i].end);
        if (strcmp(cases[i].end, "0") == 0) {
            end = (struct bytes){(const uint8_t *)"", 1}; /* "\0": all keys from there on */
        }
        enum store_status status =
            store_rights_span(f.store, &ann, text(cases[i].key), end, STORE_PERMISSION_READ);
        assert_int_equal(status, cases[i].allowed ? STORE_OK : STORE_PERMISSION_DENIED);
    }
    /* A point and the key behind it are neighbours: "f" and "f\0". */
    f.user = text("root");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ROLE_GRANT, "1:'r' 2:{2:'f\\0' 3:'g'}"),
                     STORE_OK);
    ann.revision = store_auth_revision(f.store);
    assert_int_equal(store_rights_span(f.store, &ann, text("f"), text("h"), STORE_PERMISSION_READ),
                     STORE_OK);
    fixture_deinit(&f);
}

static void knows_tokens_until_they_are_old_or_their_user_changes(void **state)
{
    (void)state;
    struct fixture f;
    struct bytes user;
    fixture_init_at(&f, 2);
    RUN(&f, house);
    f.user = text("ann");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_AUTHENTICATE, "1:'eve' 3:'t'"),
                     STORE_AUTH_FAILED);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_AUTHENTICATE, "1:'ann' 3:'abc'"), STORE_OK);
    pb_text_assert(buf_view(&f.response), false, "2:'abc.13'");
    nanos last = 0;
    for (nanos now = 0; now < 10 * STORE_TOKEN_TTL; now += STORE_TOKEN_TTL - 1) {
        assert_true(store_token_user(f.store, text("abc.13"), now, &user));
        assert_memory_equal(user.data, "ann", 3);
        last = now;
    }
    assert_false(store_token_user(f.store, text("abc.14"), 0, &user));
    assert_false(store_token_user(f.store, text("abc.13"), last + STORE_TOKEN_TTL, &user));
    assert_false(store_token_user(f.store, text("abc.13"), last, &user));
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_AUTHENTICATE, "1:'ann' 3:'abc'"), STORE_OK);
    assert_true(store_token_user(f.store, text("abc.14"), 0, &user));
    f.user = text("root");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_USER_PASSWORD, "1:'ann' 3:'new'"), STORE_OK);
    assert_false(store_token_user(f.store, text("abc.14"), 0, &user));
    fixture_deinit(&f);
}

static void alarms_refuse_growth_or_every_write(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {STORE_KIND_PUT, "1:'k'", STORE_OK},
        {STORE_KIND_ALARM, "1:1 2:5 3:1", STORE_OK},
        {STORE_KIND_PUT, "1:'k'", STORE_NO_SPACE},
        {STORE_KIND_LEASE_GRANT, "1:5 2:5", STORE_NO_SPACE},
        {STORE_KIND_TXN, "2:{2:{1:'k'}}", STORE_NO_SPACE},
        {STORE_KIND_TXN, "3:{4:{2:{2:{1:'k'}}}}", STORE_NO_SPACE},
        {STORE_KIND_TXN, "2:{1:{1:'k'}} 3:{3:{1:'k'}}", STORE_OK},
        /* The cluster's own records are written all the same, and nothing beside them. */
        {STORE_KIND_PUT, "1:'/novacron/leader'", STORE_OK},
        {STORE_KIND_PUT, "1:'/novacron/'", STORE_NO_SPACE},
        {STORE_KIND_PUT, "1:'/novacron'", STORE_NO_SPACE},
        {STORE_KIND_TXN, "2:{2:{1:'/novacron/a'}} 3:{4:{2:{2:{1:'/novacron/b'}}}}", STORE_OK},
        {STORE_KIND_TXN, "2:{2:{1:'/novacron/a'}} 2:{2:{1:'k'}}", STORE_NO_SPACE},
        {STORE_KIND_TXN, "2:{2:{1:'/novacron/a'}} 3:{4:{2:{2:{1:'k'}}}}", STORE_NO_SPACE},
        {STORE_KIND_DELETE, "1:'k'", STORE_OK},
        {STORE_KIND_COMPACTION, "1:2", STORE_OK},
        {STORE_KIND_ALARM, "1:1 2:6 3:1", STORE_OK},
        {STORE_KIND_ALARM, "1:2 2:5 3:1", STORE_OK},
        {STORE_KIND_PUT, "1:'k'", STORE_NO_SPACE},
        {STORE_KIND_ALARM, "1:2 2:6 3:1", STORE_OK},
        {STORE_KIND_PUT, "1:'k'", STORE_OK},
        {STORE_KIND_ALARM, "1:1 2:6 3:2", STORE_OK},
        {STORE_KIND_DELETE, "1:'k'", STORE_CORRUPT},
        {STORE_KIND_ALARM, "1:2 2:6 3:2", STORE_OK},
        {STORE_KIND_DELETE, "1:'k'", STORE_OK},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, steps);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, "1:1 2:9 3:2"), STORE_OK);
    pb_text_assert(buf_view(&f.response), false, "2:{1:9 2:2}");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, "1:1 2:4 3:1"), STORE_OK);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, ""), STORE_OK);
    pb_text_assert(buf_view(&f.response), false, "2:{1:4 2:1} 2:{1:9 2:2}");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, "3:2"), STORE_OK);
    pb_text_assert(buf_view(&f.response), false, "2:{1:9 2:2}");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, "1:2 2:5 3:2"), STORE_OK);
    assert_int_equal(f.response.len, 0);
    fixture_deinit(&f);
}

static void keeps_what_members_say_of_themselves(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {STORE_KIND_MEMBER_SET, "2:'x'", STORE_MEMBER_URLS_INVALID},
        {STORE_KIND_MEMBER_SET, "1:7 3:'http://a:1' 3:'http://b:1'", STORE_OK},
        {STORE_KIND_MEMBER_SET, "1:8 3:'http://b:1'", STORE_PEER_URL_EXISTS},
        {STORE_KIND_MEMBER_SET, "1:8 3:'http://c:1' 3:''", STORE_MEMBER_URLS_INVALID},
        {STORE_KIND_MEMBER_SET, "1:8 3:'http://c:1'", STORE_OK},
        {STORE_KIND_MEMBER_SET, "1:7 2:'seven' 4:'http://a:2'", STORE_OK},
        {STORE_KIND_MEMBER_FORGET, "1:9", STORE_MEMBER_NOT_FOUND},
        {STORE_KIND_MEMBER_FORGET, "1:8", STORE_OK},
        {STORE_KIND_MEMBER_SET, "1:9 3:'http://c:1'", STORE_OK},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, steps);
    struct store_member_view seven;
    struct bytes url;
    assert_int_equal(store_member_count(f.store), 2);
    assert_true(store_member_find(f.store, 7, &seven));
    assert_memory_equal(seven.name.data, "seven", 5);
    assert_true(store_url_next(&seven.peer_urls, &url));
    assert_memory_equal(url.data, "http://a:1", url.len);
    assert_true(store_url_next(&seven.peer_urls, &url));
    assert_false(store_url_next(&seven.peer_urls, &url));
    assert_true(store_url_next(&seven.client_urls, &url));
    assert_memory_equal(url.data, "http://a:2", url.len);
    assert_false(store_member_find(f.store, 8, &seven));
    fixture_deinit(&f);
}

static struct store *restored(const struct fixture *f)
{
    struct buf bytes;
    struct store *copy = NULL;
    buf_init(&bytes);
    fixture_snapshot(f, &bytes);
    struct store_restore *r = store_restore_begin();
    assert_int_equal(store_restore_feed(r, buf_view(&bytes)), OK);
    assert_int_equal(store_restore_finish(r, &copy), OK);
    buf_deinit(&bytes);
    return copy;
}

static void survives_a_snapshot_and_makes_a_difference_to_the_hash(void **state)
{
    (void)state;
    static const struct step changes[] = {
        {STORE_KIND_USER_PASSWORD, "1:'ann' 3:'new'", STORE_OK},
        {STORE_KIND_USER_ADD, "1:'bob' 3:{1:1}", STORE_OK},
        {STORE_KIND_USER_REVOKE, "1:'ann' 2:'reader'", STORE_OK},
        {STORE_KIND_ROLE_GRANT, "1:'reader' 2:{1:2 2:'b'}", STORE_OK},
        {STORE_KIND_ROLE_REVOKE, "1:'reader' 2:'b'", STORE_OK},
        {STORE_KIND_ROLE_DELETE, "1:'reader'", STORE_OK},
        {STORE_KIND_MEMBER_SET, "1:7 2:'x' 3:'http://a:1'", STORE_OK},
        {STORE_KIND_MEMBER_FORGET, "1:7", STORE_OK},
        {STORE_KIND_ALARM, "1:1 2:7 3:1", STORE_OK},
        {STORE_KIND_ALARM, "1:2 2:7 3:1", STORE_OK},
        {STORE_KIND_AUTH_DISABLE, "", STORE_OK},
    };
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, house);
    f.user = text("root");
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct store *before = restored(&f);
        assert_int_equal(store_hash(before), store_hash(f.store));
        /* The same entry refused, on a copy, so that nothing but the change makes the difference.
         */
        struct store_entry entry = {f.index + 1, f.term, 0, (struct bytes){0}};
        struct store_result ignored;
        assert_int_equal(store_apply(before, &entry, &ignored, NULL), OK);
        run_steps(&f, &changes[i], 1);
        assert_int_not_equal(store_hash(before), store_hash(f.store));
        store_close(before);
    }
    struct store *last = restored(&f);
    struct buf roles;
    buf_init(&roles);
    store_auth_user_list(last, &roles);
    pb_text_assert(buf_view(&roles), false, "2:'ann' 2:'bob' 2:'root'");
    struct bytes hash;
    assert_int_equal(store_auth_password(last, text("ann"), &hash), STORE_PASSWORD_HASH);
    assert_memory_equal(hash.data, "new", 3);
    assert_int_equal(store_auth_password(last, text("bob"), &hash), STORE_PASSWORD_NONE);
    assert_int_equal(store_auth_password(last, text("eve"), &hash), STORE_PASSWORD_NO_USER);
    buf_deinit(&roles);
    store_close(last);
    fixture_deinit(&f);
}

static void writes_the_users_of_when_the_snapshot_began(void **state)
{
    (void)state;
    struct fixture f;
    struct buf bytes;
    struct store *copy = NULL;
    fixture_init_at(&f, 2);
    buf_init(&bytes);
    RUN(&f, house);
    struct store_snapshot *snap = store_snapshot_begin(f.store);
    f.user = text("root");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_USER_DELETE, "1:'ann'"), STORE_OK);
    while (store_snapshot_step(snap, 1, &bytes) == ERR_PENDING) {
    }
    store_snapshot_end(snap);
    struct store_restore *r = store_restore_begin();
    assert_int_equal(store_restore_feed(r, buf_view(&bytes)), OK);
    assert_int_equal(store_restore_finish(r, &copy), OK);
    struct bytes hash;
    assert_int_equal(store_auth_password(copy, text("ann"), &hash), STORE_PASSWORD_HASH);
    store_close(copy);
    buf_deinit(&bytes);
    fixture_deinit(&f);
}

static void gives_the_hash_that_all_releases_give(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init_at(&f, 2);
    RUN(&f, house);
    f.user = text("root");
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_MEMBER_SET, "1:7 2:'x' 3:'http://a:1'"),
                     STORE_OK);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ALARM, "1:1 2:7 3:1"), STORE_OK);
    assert_int_equal(store_hash(f.store), UINT64_C(0x8757a83df4055def));
    fixture_deinit(&f);
}

static void since_its_level_checks_the_puts_of_a_txn_before_its_ranges(void **state)
{
    (void)state;
    for (uint16_t level = 1; level <= 2; level++) {
        struct fixture f;
        fixture_init_at(&f, level);
        assert_int_equal(
            fixture_apply_text(&f, STORE_KIND_TXN, "2:{1:{1:'a' 4:9}} 2:{4:{2:{2:{1:'a' 3:9}}}}"),
            level == 1 ? STORE_REVISION_FUTURE : STORE_LEASE_NOT_FOUND);
        assert_int_equal(
            fixture_apply_text(&f, STORE_KIND_TXN, "2:{2:{1:'a'}} 2:{4:{2:{1:{1:'a' 4:9}}}}"),
            STORE_REVISION_FUTURE);
        assert_int_equal(fixture_apply_text(&f, STORE_KIND_TXN, "2:{2:{1:'a' 3:9 5:1}}"),
                         level == 1 ? STORE_LEASE_NOT_FOUND : STORE_KEY_NOT_FOUND);
        assert_int_equal(fixture_apply_text(&f, STORE_KIND_PUT, "1:'a' 3:9 5:1"),
                         STORE_LEASE_NOT_FOUND);
        assert_int_equal(store_revision(f.store), 1);
        fixture_deinit(&f);
    }
}

static void below_its_level_refuses_it_and_writes_the_old_format(void **state)
{
    (void)state;
    struct fixture f;
    struct buf bytes;
    fixture_init_at(&f, 1);
    buf_init(&bytes);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_USER_ADD, "1:'u'"), STORE_NOT_CAPABLE);
    fixture_snapshot(&f, &bytes);
    assert_int_equal(bytes.data[12 + 8], 1);
    uint8_t level[8] = {2};
    assert_int_equal(
        fixture_apply(&f, STORE_KIND_FEATURE_LEVEL, (struct bytes){level, sizeof level}), STORE_OK);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_USER_ADD, "1:'u'"), STORE_OK);
    buf_clear(&bytes);
    fixture_snapshot(&f, &bytes);
    assert_int_equal(bytes.data[12 + 8], 2);
    store_close(restored(&f));
    buf_deinit(&bytes);
    fixture_deinit(&f);
}

static void refuses_more_than_its_limit_holds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init_at(&f, 2);
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ROLE_ADD, "1:'r'"), STORE_OK);
    static uint8_t body[300 * 1000];
    struct buf b;
    buf_init(&b);
    enum store_status status = STORE_OK;
    for (uint8_t i = 0; i < 10 && status == STORE_OK; i++) {
        memset(body, 'a' + i, sizeof body);
        buf_clear(&b);
        pb_text_encode(&b, "1:'r'");
        store_pb_put_message(&b, 2, sizeof body + 4);
        store_pb_put_bytes(&b, 2, (struct bytes){body, sizeof body});
        status = fixture_apply(&f, STORE_KIND_ROLE_GRANT, buf_view(&b));
        assert_true(i < 3 ? status == STORE_OK : true);
    }
    assert_int_equal(status, STORE_SYSTEM_FULL);
    store_close(restored(&f));
    assert_int_equal(fixture_apply_text(&f, STORE_KIND_ROLE_DELETE, "1:'r'"), STORE_OK);
    buf_deinit(&b);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_administration_in_the_words_of_etcd),
        cmocka_unit_test(raises_the_auth_revision_with_each_change),
        cmocka_unit_test(lets_users_do_what_their_roles_allow),
        cmocka_unit_test(refuses_what_was_let_in_before_the_rights_changed),
        cmocka_unit_test(covers_a_span_by_several_permissions_or_not_at_all),
        cmocka_unit_test(knows_tokens_until_they_are_old_or_their_user_changes),
        cmocka_unit_test(alarms_refuse_growth_or_every_write),
        cmocka_unit_test(keeps_what_members_say_of_themselves),
        cmocka_unit_test(survives_a_snapshot_and_makes_a_difference_to_the_hash),
        cmocka_unit_test(writes_the_users_of_when_the_snapshot_began),
        cmocka_unit_test(gives_the_hash_that_all_releases_give),
        cmocka_unit_test(since_its_level_checks_the_puts_of_a_txn_before_its_ranges),
        cmocka_unit_test(below_its_level_refuses_it_and_writes_the_old_format),
        cmocka_unit_test(refuses_more_than_its_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
