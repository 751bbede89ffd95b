#include "core/store/store_auth.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_limits.h"

static const struct bytes root_name = {(const uint8_t *)"root", 4};

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return store_bytes_cmp(a, b) == 0;
}

static struct buf buf_of(struct bytes v)
{
    struct buf b;
    buf_init(&b);
    buf_put(&b, v.data, v.len);
    return b;
}

void store_auth_init(struct store_auth *a)
{
    *a = (struct store_auth){.revision = 1};
}

static void account_deinit(struct store_account *account)
{
    buf_deinit(&account->name);
    buf_deinit(&account->password);
    for (size_t i = 0; i < account->count; i++) {
        buf_deinit(&account->roles[i]);
    }
    mem_free(account->roles);
}

static void grant_deinit(struct store_grant *g)
{
    buf_deinit(&g->key);
    buf_deinit(&g->range_end);
}

static void role_deinit(struct store_role *role)
{
    buf_deinit(&role->name);
    for (size_t i = 0; i < role->count; i++) {
        grant_deinit(&role->grants[i]);
    }
    mem_free(role->grants);
}

void store_auth_deinit(struct store_auth *a)
{
    for (size_t i = 0; i < a->account_count; i++) {
        account_deinit(&a->accounts[i]);
    }
    for (size_t i = 0; i < a->role_count; i++) {
        role_deinit(&a->roles[i]);
    }
    mem_free(a->accounts);
    mem_free(a->roles);
}

/* Where `name` is, or belongs, among `count` items of `size` bytes that begin with their name. */
static size_t name_seek(const void *items, size_t count, size_t size, struct bytes name)
{
    const uint8_t *at = items;
    size_t from = 0;
    size_t to = count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct buf *other = (const void *)(at + middle * size);
        if (store_bytes_cmp(buf_view(other), name) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool name_is_at(const void *items, size_t count, size_t size, size_t at, struct bytes name)
{
    if (at == count) {
        return false;
    }
    const struct buf *other = (const void *)((const uint8_t *)items + at * size);
    return bytes_equal(buf_view(other), name);
}

/* Makes room for an item at `at`. */
static void *item_insert(void **items, size_t *count, size_t *cap, size_t size, size_t at)
{
    mem_grow(items, cap, *count + 1, size);
    uint8_t *place = (uint8_t *)*items + at * size;
    if (at < *count) {
        memmove(place + size, place, (*count - at) * size);
    }
    memset(place, 0, size);
    (*count)++;
    return place;
}

static void item_remove(void *items, size_t *count, size_t size, size_t at)
{
    uint8_t *place = (uint8_t *)items + at * size;
    memmove(place, place + size, (*count - at - 1) * size);
    (*count)--;
}

struct store_account *store_auth_account(const struct store_auth *a, struct bytes name)
{
    size_t at = name_seek(a->accounts, a->account_count, sizeof a->accounts[0], name);
    bool found = name_is_at(a->accounts, a->account_count, sizeof a->accounts[0], at, name);
    return found ? &a->accounts[at] : NULL;
}

struct store_role *store_auth_role(const struct store_auth *a, struct bytes name)
{
    size_t at = name_seek(a->roles, a->role_count, sizeof a->roles[0], name);
    return name_is_at(a->roles, a->role_count, sizeof a->roles[0], at, name) ? &a->roles[at] : NULL;
}

bool store_auth_has_role(const struct store_account *account, struct bytes role)
{
    size_t at = name_seek(account->roles, account->count, sizeof account->roles[0], role);
    return name_is_at(account->roles, account->count, sizeof account->roles[0], at, role);
}

/* --- enabling -------------------------------------------------------------------------------- */

enum store_status store_auth_enable(struct store_auth *a)
{
    if (a->enabled) {
        return STORE_OK;
    }
    const struct store_account *root = store_auth_account(a, root_name);
    if (root == NULL) {
        return STORE_ROOT_USER_MISSING;
    }
    if (!store_auth_has_role(root, root_name)) {
        return STORE_ROOT_ROLE_MISSING;
    }
    a->enabled = true;
    return STORE_OK;
}

enum store_status store_auth_disable(struct store_auth *a)
{
    if (a->enabled) {
        a->enabled = false;
        a->revision++;
    }
    return STORE_OK;
}

/* --- users ----------------------------------------------------------------------------------- */

enum store_status store_auth_user_add(struct store_auth *a, struct bytes name,
                                      struct bytes password, bool no_password)
{
    if (name.len == 0) {
        return STORE_USER_EMPTY;
    }
    if (name.len > STORE_USER_BYTES_MAX || password.len > STORE_PASSWORD_BYTES_MAX) {
        return STORE_REQUEST_TOO_LARGE;
    }
    size_t at = name_seek(a->accounts, a->account_count, sizeof a->accounts[0], name);
    if (name_is_at(a->accounts, a->account_count, sizeof a->accounts[0], at, name)) {
        return STORE_USER_EXISTS;
    }
    void *accounts = a->accounts;
    struct store_account *account =
        item_insert(&accounts, &a->account_count, &a->account_cap, sizeof *account, at);
    a->accounts = accounts;
    account->name = buf_of(name);
    account->password = buf_of(no_password ? (struct bytes){0} : password);
    account->no_password = no_password;
    a->revision++;
    return STORE_OK;
}

enum store_status store_auth_user_delete(struct store_auth *a, struct bytes name)
{
    if (a->enabled && bytes_equal(name, root_name)) {
        return STORE_AUTH_MANAGEMENT_INVALID;
    }
    struct store_account *account = store_auth_account(a, name);
    if (account == NULL) {
        return STORE_USER_NOT_FOUND;
    }
    account_deinit(account);
    item_remove(a->accounts, &a->account_count, sizeof *account, (size_t)(account - a->accounts));
    a->revision++;
    return STORE_OK;
}

enum store_status store_auth_user_password(struct store_auth *a, struct bytes name,
                                           struct bytes password)
{
    struct store_account *account = store_auth_account(a, name);
    if (account == NULL) {
        return STORE_USER_NOT_FOUND;
    }
    if (password.len > STORE_PASSWORD_BYTES_MAX) {
        return STORE_REQUEST_TOO_LARGE;
    }
    if (!account->no_password) {
        buf_clear(&account->password);
        buf_put(&account->password, password.data, password.len);
    }
    a->revision++;
    return STORE_OK;
}

enum store_status store_auth_user_grant(struct store_auth *a, struct bytes name, struct bytes role)
{
    struct store_account *account = store_auth_account(a, name);
    if (account == NULL) {
        return STORE_USER_NOT_FOUND;
    }
    if (!bytes_equal(role, root_name) && store_auth_role(a, role) == NULL) {
        return STORE_ROLE_NOT_FOUND;
    }
    if (store_auth_has_role(account, role)) {
        return STORE_OK;
    }
    size_t at = name_seek(account->roles, account->count, sizeof account->roles[0], role);
    void *roles = account->roles;
    struct buf *place =
        item_insert(&roles, &account->count, &account->cap, sizeof account->roles[0], at);
    account->roles = roles;
    *place = buf_of(role);
    a->revision++;
    return STORE_OK;
}

static bool account_drop_role(struct store_account *account, struct bytes role)
{
    size_t at = name_seek(account->roles, account->count, sizeof account->roles[0], role);
    if (!name_is_at(account->roles, account->count, sizeof account->roles[0], at, role)) {
        return false;
    }
    buf_deinit(&account->roles[at]);
    item_remove(account->roles, &account->count, sizeof account->roles[0], at);
    return true;
}

enum store_status store_auth_user_revoke(struct store_auth *a, struct bytes name, struct bytes role)
{
    if (a->enabled && bytes_equal(name, root_name) && bytes_equal(role, root_name)) {
        return STORE_AUTH_MANAGEMENT_INVALID;
    }
    struct store_account *account = store_auth_account(a, name);
    if (account == NULL) {
        return STORE_USER_NOT_FOUND;
    }
    if (!account_drop_role(account, role)) {
        return STORE_ROLE_NOT_GRANTED;
    }
    a->revision++;
    return STORE_OK;
}

/* --- roles ----------------------------------------------------------------------------------- */

enum store_status store_auth_role_add(struct store_auth *a, struct bytes name)
{
    if (name.len == 0) {
        return STORE_ROLE_EMPTY;
    }
    if (name.len > STORE_USER_BYTES_MAX) {
        return STORE_REQUEST_TOO_LARGE;
    }
    size_t at = name_seek(a->roles, a->role_count, sizeof a->roles[0], name);
    if (name_is_at(a->roles, a->role_count, sizeof a->roles[0], at, name)) {
        return STORE_ROLE_EXISTS;
    }
    void *roles = a->roles;
    struct store_role *role = item_insert(&roles, &a->role_count, &a->role_cap, sizeof *role, at);
    a->roles = roles;
    role->name = buf_of(name);
    a->revision++;
    return STORE_OK;
}

enum store_status store_auth_role_delete(struct store_auth *a, struct bytes name)
{
    if (a->enabled && bytes_equal(name, root_name)) {
        return STORE_AUTH_MANAGEMENT_INVALID;
    }
    struct store_role *role = store_auth_role(a, name);
    if (role == NULL) {
        return STORE_ROLE_NOT_FOUND;
    }
    for (size_t i = 0; i < a->account_count; i++) {
        (void)account_drop_role(&a->accounts[i], name);
    }
    role_deinit(role);
    item_remove(a->roles, &a->role_count, sizeof *role, (size_t)(role - a->roles));
    a->revision++;
    return STORE_OK;
}

/* Below, at or above zero as (key, end) belongs before, at or behind the grant. */
static int grant_compare(const struct store_grant *g, struct bytes key, struct bytes end)
{
    int order = store_bytes_cmp(key, buf_view(&g->key));
    return order != 0 ? order : store_bytes_cmp(end, buf_view(&g->range_end));
}

static bool grant_is_sane(struct bytes key, struct bytes end)
{
    bool is_open = end.len == 1 && end.data[0] == 0;
    return key.len > 0 && (end.len == 0 || is_open || store_bytes_cmp(key, end) < 0);
}

enum store_status store_auth_role_grant(struct store_auth *a, struct bytes name, uint8_t permission,
                                        struct bytes key, struct bytes range_end)
{
    if (!grant_is_sane(key, range_end) || permission > STORE_PERMISSION_READWRITE) {
        return STORE_AUTH_MANAGEMENT_INVALID;
    }
    struct store_role *role = store_auth_role(a, name);
    if (role == NULL) {
        return STORE_ROLE_NOT_FOUND;
    }
    size_t at = 0;
    while (at < role->count && grant_compare(&role->grants[at], key, range_end) > 0) {
        at++;
    }
    if (at == role->count || grant_compare(&role->grants[at], key, range_end) != 0) {
        void *grants = role->grants;
        struct store_grant *g = item_insert(&grants, &role->count, &role->cap, sizeof *g, at);
        role->grants = grants;
        g->key = buf_of(key);
        g->range_end = buf_of(range_end);
    }
    role->grants[at].permission = permission;
    a->revision++;
    return STORE_OK;
}

enum store_status store_auth_role_revoke(struct store_auth *a, struct bytes name, struct bytes key,
                                         struct bytes range_end)
{
    struct store_role *role = store_auth_role(a, name);
    if (role == NULL) {
        return STORE_ROLE_NOT_FOUND;
    }
    for (size_t i = 0; i < role->count; i++) {
        if (grant_compare(&role->grants[i], key, range_end) == 0) {
            grant_deinit(&role->grants[i]);
            item_remove(role->grants, &role->count, sizeof role->grants[0], i);
            a->revision++;
            return STORE_OK;
        }
    }
    return STORE_PERMISSION_NOT_GRANTED;
}

/* --- what is allowed ------------------------------------------------------------------------- */

static struct store_span grant_span(const struct store_grant *g)
{
    return store_span_of(buf_view(&g->key), buf_view(&g->range_end));
}

static bool grant_allows(const struct store_grant *g, enum store_permission permission)
{
    return g->permission == STORE_PERMISSION_READWRITE || g->permission == (uint8_t)permission;
}

/* How far the rights are known to reach: `at` is the first key behind, unless they are open. */
struct auth_reach {
    struct buf at;
    bool open;
};

static void reach_set(struct auth_reach *reach, const struct store_span *span)
{
    bool is_point = store_span_is_point(span);
    struct bytes end = is_point ? span->first : span->end;
    buf_clear(&reach->at);
    buf_put(&reach->at, end.data, end.len);
    if (is_point) {
        buf_put_u8(&reach->at, 0); /* the next key behind k is k + "\0" */
    }
    reach->open = span->open;
}

static bool reach_is_beyond(const struct auth_reach *a, const struct auth_reach *b)
{
    if (a->open || b->open) {
        return a->open && !b->open;
    }
    return store_bytes_cmp(buf_view(&a->at), buf_view(&b->at)) > 0;
}

/* Moves `reach` on by the grants that hold its first key; false where none does. */
static bool reach_widen(struct auth_reach *reach, const struct store_auth *a,
                        const struct store_account *account, enum store_permission permission,
                        struct auth_reach *scratch)
{
    bool widened = false;
    for (size_t r = 0; r < account->count; r++) {
        const struct store_role *role = store_auth_role(a, buf_view(&account->roles[r]));
        for (size_t i = 0; role != NULL && i < role->count; i++) {
            struct store_span span = grant_span(&role->grants[i]);
            if (grant_allows(&role->grants[i], permission) &&
                store_bytes_cmp(span.first, buf_view(&reach->at)) <= 0) {
                reach_set(scratch, &span);
                if (reach_is_beyond(scratch, reach)) {
                    reach_set(reach, &span);
                    widened = true;
                }
            }
        }
    }
    return widened;
}

bool store_auth_covers(const struct store_auth *a, const struct store_account *account,
                       const struct store_span *span, enum store_permission permission)
{
    if (store_auth_has_role(account, root_name)) {
        return true;
    }
    struct store_span wanted = *span;
    if (!span->open && span->end.len > 0 && store_bytes_cmp(span->end, span->first) <= 0) {
        wanted.end = (struct bytes){0}; /* a span of nothing asks for its key's sake */
    }
    struct auth_reach reach = {0};
    struct auth_reach goal = {0};
    struct auth_reach scratch = {0};
    buf_put(&reach.at, wanted.first.data, wanted.first.len);
    reach_set(&goal, &wanted);
    bool widened = true;
    while (widened && reach_is_beyond(&goal, &reach)) {
        widened = reach_widen(&reach, a, account, permission, &scratch);
    }
    buf_deinit(&reach.at);
    buf_deinit(&goal.at);
    buf_deinit(&scratch.at);
    return widened;
}

/* --- as bytes -------------------------------------------------------------------------------- */

void store_auth_encode(const struct store_auth *a, struct buf *b)
{
    buf_put_u8(b, a->enabled ? 1 : 0);
    buf_put_u64(b, a->revision);
    buf_put_varint(b, a->role_count);
    for (size_t i = 0; i < a->role_count; i++) {
        const struct store_role *role = &a->roles[i];
        buf_put_bytes(b, buf_view(&role->name));
        buf_put_varint(b, role->count);
        for (size_t k = 0; k < role->count; k++) {
            buf_put_u8(b, role->grants[k].permission);
            buf_put_bytes(b, buf_view(&role->grants[k].key));
            buf_put_bytes(b, buf_view(&role->grants[k].range_end));
        }
    }
    buf_put_varint(b, a->account_count);
    for (size_t i = 0; i < a->account_count; i++) {
        const struct store_account *account = &a->accounts[i];
        buf_put_bytes(b, buf_view(&account->name));
        buf_put_u8(b, account->no_password ? 1 : 0);
        buf_put_bytes(b, buf_view(&account->password));
        buf_put_varint(b, account->count);
        for (size_t k = 0; k < account->count; k++) {
            buf_put_bytes(b, buf_view(&account->roles[k]));
        }
    }
}

/* What is read is put in by the same functions that a request would use: they refuse doubles and
 * nonsense. That the order was canonical shows when it is encoded again. */
static enum err role_decode(struct store_auth *a, struct cursor *c)
{
    struct bytes name = cursor_bytes(c, STORE_USER_BYTES_MAX);
    uint64_t grants = cursor_varint(c);
    if (!cursor_ok(c) || store_auth_role_add(a, name) != STORE_OK) {
        return ERR_CORRUPT;
    }
    for (uint64_t k = 0; k < grants; k++) {
        uint8_t permission = cursor_u8(c);
        struct bytes key = cursor_bytes(c, STORE_SYSTEM_BYTES_MAX);
        struct bytes end = cursor_bytes(c, STORE_SYSTEM_BYTES_MAX);
        if (!cursor_ok(c) || store_auth_role_grant(a, name, permission, key, end) != STORE_OK) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static enum err account_decode(struct store_auth *a, struct cursor *c)
{
    struct bytes name = cursor_bytes(c, STORE_USER_BYTES_MAX);
    uint8_t no_password = cursor_u8(c);
    struct bytes password = cursor_bytes(c, STORE_PASSWORD_BYTES_MAX);
    uint64_t roles = cursor_varint(c);
    if (!cursor_ok(c) || no_password > 1 ||
        store_auth_user_add(a, name, password, no_password == 1) != STORE_OK) {
        return ERR_CORRUPT;
    }
    for (uint64_t k = 0; k < roles; k++) {
        struct bytes role = cursor_bytes(c, STORE_USER_BYTES_MAX);
        if (!cursor_ok(c) || store_auth_user_grant(a, name, role) != STORE_OK) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

enum err store_auth_decode(struct store_auth *a, struct cursor *c)
{
    CHECK(a->account_count == 0 && a->role_count == 0);
    uint8_t enabled = cursor_u8(c);
    uint64_t revision = cursor_u64(c);
    uint64_t roles = cursor_varint(c);
    for (uint64_t i = 0; i < roles; i++) {
        TRY(role_decode(a, c));
    }
    uint64_t accounts = cursor_varint(c);
    for (uint64_t i = 0; i < accounts; i++) {
        TRY(account_decode(a, c));
    }
    if (!cursor_ok(c) || enabled > 1 || revision == 0) {
        return ERR_CORRUPT;
    }
    a->enabled = enabled == 1;
    a->revision = revision;
    return OK;
}
