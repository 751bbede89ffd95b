/*
 * Users, roles and rights, as etcd has them [server/auth/store.go]; replicated.
 *
 * A user has a password hash, opaque here and made before it was proposed, or none, and roles. A
 * role has permissions: to read, write or both, on a key or a span. The role "root" may do
 * everything; authentication can be enabled once the user "root" has it. Every change but that of
 * enabling raises the auth revision, and a request that was let in at an older one is refused: what
 * it was allowed may have changed.
 *
 * Tokens are what a client shows instead of a password. Each member makes the same ones, as it
 * applies the same entries, but each forgets them by its own clock, so they are no part of what is
 * compared or kept in snapshots: a client whose token a member does not know authenticates again.
 */
#ifndef NOVACRON_STORE_AUTH_H
#define NOVACRON_STORE_AUTH_H

#include "core/base/buf.h"
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/store/store.h"
#include "core/store/store_avl.h"
#include "core/store/store_bytes.h"
#include "core/store/store_link.h"

struct store_grant {
    struct buf key;
    struct buf range_end;
    uint8_t permission; /* enum store_permission */
};

struct store_role {
    struct buf name;
    struct store_grant *grants; /* owned, by key and range_end */
    size_t count, cap;
};

struct store_account {
    struct buf name;
    struct buf password; /* its hash */
    bool no_password;
    struct buf *roles; /* owned names, in order */
    size_t count, cap;
};

struct store_auth {
    bool enabled;
    uint64_t revision;              /* from 1 */
    struct store_account *accounts; /* owned, by name */
    size_t account_count, account_cap;
    struct store_role *roles; /* owned, by name */
    size_t role_count, role_cap;
};

void store_auth_init(struct store_auth *a);
void store_auth_deinit(struct store_auth *a);

struct store_account *store_auth_account(const struct store_auth *a, struct bytes name);
struct store_role *store_auth_role(const struct store_auth *a, struct bytes name);
bool store_auth_has_role(const struct store_account *account, struct bytes role);

/* The changes, with etcd's checks. What is OK and changed something raised the revision. */
MUST_USE enum store_status store_auth_enable(struct store_auth *a);
MUST_USE enum store_status store_auth_disable(struct store_auth *a);
MUST_USE enum store_status store_auth_user_add(struct store_auth *a, struct bytes name,
                                               struct bytes password, bool no_password);
MUST_USE enum store_status store_auth_user_delete(struct store_auth *a, struct bytes name);
MUST_USE enum store_status store_auth_user_password(struct store_auth *a, struct bytes name,
                                                    struct bytes password);
MUST_USE enum store_status store_auth_user_grant(struct store_auth *a, struct bytes name,
                                                 struct bytes role);
MUST_USE enum store_status store_auth_user_revoke(struct store_auth *a, struct bytes name,
                                                  struct bytes role);
MUST_USE enum store_status store_auth_role_add(struct store_auth *a, struct bytes name);
MUST_USE enum store_status store_auth_role_delete(struct store_auth *a, struct bytes name);
MUST_USE enum store_status store_auth_role_grant(struct store_auth *a, struct bytes name,
                                                 uint8_t permission, struct bytes key,
                                                 struct bytes range_end);
MUST_USE enum store_status store_auth_role_revoke(struct store_auth *a, struct bytes name,
                                                  struct bytes key, struct bytes range_end);

/* Do the account's roles cover all of the span? */
bool store_auth_covers(const struct store_auth *a, const struct store_account *account,
                       const struct store_span *span, enum store_permission permission);

/* Canonical: equal states give equal bytes. The decoder checks everything. */
void store_auth_encode(const struct store_auth *a, struct buf *b);
MUST_USE enum err store_auth_decode(struct store_auth *a, struct cursor *c);

/* ---- Tokens ---- */

struct store_token {
    struct store_avl_node node; /* by text; first */
    struct store_link used;     /* in store_tokens.used */
    struct buf text;
    struct buf user;
    nanos expires;
};

struct store_tokens {
    struct store_avl by_text;
    struct store_link used; /* the one that was used longest ago first */
};

void store_tokens_init(struct store_tokens *t);
void store_tokens_deinit(struct store_tokens *t);
void store_tokens_add(struct store_tokens *t, struct bytes text, struct bytes user, nanos now);

/* The token's user, whose time begins anew; NULL if there is none, or none any more. */
const struct store_token *store_tokens_use(struct store_tokens *t, struct bytes text, nanos now);

/* Forgets those of a user; of everybody with an empty name. */
void store_tokens_drop(struct store_tokens *t, struct bytes user);

#endif
