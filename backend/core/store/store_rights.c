/*
 * Who may do what: the rights that a request needs, asked of the user's roles. As in etcd, a
 * request was let in at an auth revision, and is refused if that is not the present one any more; a
 * permission must cover the whole span that is asked for [server/auth/store.go isOpPermitted,
 * server/etcdserver/apply/apply_auth.go].
 */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/mem.h"

static const struct bytes rights_root = {(const uint8_t *)"root", 4};

enum store_status store_rights_span(const struct store *s, const struct store_user *user,
                                    struct bytes key, struct bytes range_end,
                                    enum store_permission permission)
{
    const struct store_auth *a = &s->system.auth;
    if (!a->enabled) {
        return STORE_OK;
    }
    if (user->name.len == 0) {
        return STORE_USER_EMPTY;
    }
    if (user->revision < a->revision) {
        return STORE_AUTH_REVISION_OLD;
    }
    const struct store_account *account = store_auth_account(a, user->name);
    struct store_span span = store_span_of(key, range_end);
    bool allowed = account != NULL && store_auth_covers(a, account, &span, permission);
    return allowed ? STORE_OK : STORE_PERMISSION_DENIED;
}

enum store_status store_rights_root(const struct store *s, const struct store_user *user)
{
    const struct store_auth *a = &s->system.auth;
    if (!a->enabled) {
        return STORE_OK;
    }
    if (user->name.len == 0) {
        return STORE_USER_EMPTY;
    }
    const struct store_account *account = store_auth_account(a, user->name);
    bool is_root = account != NULL && store_auth_has_role(account, rights_root);
    return is_root ? STORE_OK : STORE_PERMISSION_DENIED;
}

/* Whoever puts under a lease, or revokes it, may end the life of all its keys. */
static enum store_status rights_lease(const struct store *s, const struct store_user *user,
                                      int64_t id)
{
    const struct store_lease *lease = id == 0 ? NULL : store_leases_find(&s->leases, id);
    if (lease == NULL || !s->system.auth.enabled) {
        return STORE_OK;
    }
    enum store_status status = STORE_OK;
    struct store_key **keys = store_leases_keys(lease);
    for (uint64_t i = 0; i < lease->attachment_count && status == STORE_OK; i++) {
        status = store_rights_span(s, user, store_key_view(keys[i]), (struct bytes){0},
                                   STORE_PERMISSION_WRITE);
    }
    mem_free(keys);
    return status;
}

static enum store_status rights_put(const struct store *s, const struct store_user *user,
                                    struct bytes body)
{
    struct store_put_request r;
    struct bytes none = {0};
    enum store_status status = store_put_decode(body, &r);
    if (status == STORE_OK) {
        status = store_rights_span(s, user, r.key, none, STORE_PERMISSION_WRITE);
    }
    if (status == STORE_OK) {
        status = rights_lease(s, user, r.lease);
    }
    if (status == STORE_OK && r.prev_kv) {
        status = store_rights_span(s, user, r.key, none, STORE_PERMISSION_READ);
    }
    return status;
}

static enum store_status rights_delete(const struct store *s, const struct store_user *user,
                                       struct bytes body)
{
    struct store_delete_request r;
    enum store_status status = store_delete_decode(body, &r);
    if (status == STORE_OK) {
        status = store_rights_span(s, user, r.key, r.range_end, STORE_PERMISSION_WRITE);
    }
    if (status == STORE_OK && r.prev_kv) {
        status = store_rights_span(s, user, r.key, r.range_end, STORE_PERMISSION_READ);
    }
    return status;
}

static enum store_status rights_range(const struct store *s, const struct store_user *user,
                                      struct bytes body)
{
    struct store_range_request r;
    enum store_status status = store_range_decode(body, &r);
    return status == STORE_OK
               ? store_rights_span(s, user, r.key, r.range_end, STORE_PERMISSION_READ)
               : status;
}

static enum store_status rights_txn(const struct store *s, const struct store_user *user,
                                    struct bytes body);

static enum store_status rights_op(const struct store *s, const struct store_user *user,
                                   struct bytes item)
{
    struct store_op op;
    enum store_status status = store_op_decode(item, &op);
    if (status != STORE_OK) {
        return status;
    }
    switch (op.kind) {
    case STORE_OP_RANGE:
        return rights_range(s, user, op.body);
    case STORE_OP_PUT:
        return rights_put(s, user, op.body);
    case STORE_OP_DELETE:
        return rights_delete(s, user, op.body);
    case STORE_OP_TXN:
        return rights_txn(s, user, op.body);
    case STORE_OP_NONE:
    default:
        return STORE_OK;
    }
}

/* Both branches must be allowed: which one runs depends on what the user may not be able to read.
 * The txn's shape was checked, which bounds the depth. */
static enum store_status rights_txn(const struct store *s, const struct store_user *user,
                                    struct bytes body)
{
    struct store_txn_request txn;
    struct bytes item;
    enum store_status status = store_txn_decode(body, &txn);
    for (size_t at = 0; status == STORE_OK && store_txn_item(&txn, 1, &at, &item);) {
        struct store_compare c;
        status = store_compare_decode(item, &c);
        if (status == STORE_OK) {
            status = store_rights_span(s, user, c.key, c.range_end, STORE_PERMISSION_READ);
        }
    }
    for (uint32_t branch = 2; branch <= 3; branch++) {
        for (size_t at = 0; status == STORE_OK && store_txn_item(&txn, branch, &at, &item);) {
            status = rights_op(s, user, item);
        }
    }
    return status;
}

enum store_status store_rights_check(const struct store *s, const struct store_user *user,
                                     uint8_t kind, struct bytes body)
{
    if (!s->system.auth.enabled) {
        return STORE_OK;
    }
    int64_t lease;
    switch (kind) {
    case STORE_KIND_PUT:
        return rights_put(s, user, body);
    case STORE_KIND_DELETE:
        return rights_delete(s, user, body);
    case STORE_KIND_TXN: {
        struct store_txn_request txn;
        enum store_status status = store_txn_decode(body, &txn);
        status = status == STORE_OK ? store_txn_check(&txn) : status;
        return status == STORE_OK ? rights_txn(s, user, body) : status;
    }
    case STORE_KIND_LEASE_REVOKE:
        return store_revoke_decode(body, &lease) == STORE_OK ? rights_lease(s, user, lease)
                                                             : STORE_MALFORMED;
    case STORE_KIND_AUTH_ENABLE:
    case STORE_KIND_AUTH_DISABLE:
    case STORE_KIND_USER_ADD:
    case STORE_KIND_USER_DELETE:
    case STORE_KIND_USER_PASSWORD:
    case STORE_KIND_USER_GRANT:
    case STORE_KIND_USER_REVOKE:
    case STORE_KIND_ROLE_ADD:
    case STORE_KIND_ROLE_DELETE:
    case STORE_KIND_ROLE_GRANT:
    case STORE_KIND_ROLE_REVOKE:
        return store_rights_root(s, user);
    default:
        return STORE_OK;
    }
}

enum store_status store_rights_read(const struct store *s, const struct store_user *user,
                                    struct bytes request)
{
    return rights_range(s, user, request);
}

enum store_status store_rights_lease_keys(const struct store *s, const struct store_user *user,
                                          int64_t id)
{
    const struct store_lease *lease = store_leases_find(&s->leases, id);
    enum store_status status = STORE_OK;
    if (lease == NULL || !s->system.auth.enabled) {
        return status;
    }
    struct store_key **keys = store_leases_keys(lease);
    for (uint64_t i = 0; i < lease->attachment_count && status == STORE_OK; i++) {
        status = store_rights_span(s, user, store_key_view(keys[i]), (struct bytes){0},
                                   STORE_PERMISSION_READ);
    }
    mem_free(keys);
    return status;
}
