/*
 * Auth: users and roles are the store's, passwords are hashed here, before they are proposed.
 *
 * Authenticate, as etcd does it: the password is checked against the hash that a linearizable read
 * finds, and a token is proposed together with the auth revision at which that was; if the users
 * have changed by the time it is applied, all begins anew. Every member makes the same token from
 * the entry, so that a client may show it anywhere; each forgets it STORE_TOKEN_TTL after it was
 * last shown there.
 */
#include <openssl/crypto.h>
#include <string.h>

#include "api/etcd/etcd_int.h"
#include "api/etcd/etcd_password.h"

/* How often a password is checked anew because the users changed meanwhile. */
#define AUTH_ATTEMPTS 5

/* Passwords being hashed at one time; more are told to come again. */
#define AUTH_JOBS_MAX 64

#define TOKEN_LETTERS 16

struct auth_step {
    struct etcd_job job;
    struct buf name;
    struct buf password;
    struct buf options;
    struct buf hash; /* to check against; or, where it is empty at first, to be made */
    uint8_t salt[ETCD_SALT_BYTES];
    uint32_t rounds;
    bool checks;
    bool matches;
    bool is_nobody; /* there is no such user: the time is spent all the same */
    unsigned attempts;
    void (*then)(struct etcd_op *op);
};

static void auth_step_free(struct etcd_op *op)
{
    struct auth_step *step = op->state;
    OPENSSL_cleanse(step->password.data, step->password.len);
    buf_deinit(&step->name);
    buf_deinit(&step->password);
    buf_deinit(&step->options);
    buf_deinit(&step->hash);
    mem_free(step);
}

/* The request's name, password and options: fields 1, 2, and `options`. */
static struct auth_step *auth_step_begin(struct etcd_op *op, uint32_t options)
{
    struct auth_step *step = mem_alloc_zero(sizeof(*step));
    struct store_pb pb;
    struct store_pb_field f;
    op->state = step;
    op->state_free = auth_step_free;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        struct buf *b = f.number == 1         ? &step->name
                        : f.number == 2       ? &step->password
                        : f.number == options ? &step->options
                                              : NULL;
        if (b) {
            struct bytes v = store_pb_bytes(&pb, &f);
            buf_clear(b);
            buf_put(b, v.data, v.len);
        }
    }
    OPENSSL_cleanse(op->body.data, op->body.len);
    buf_clear(&op->body);
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return NULL;
    }
    return step;
}

/* --- hashing --------------------------------------------------------------------------------- */

static void auth_work(struct etcd_job *job)
{
    struct etcd_op *op = job->owner;
    struct auth_step *step = op->state;
    if (step->checks) {
        step->matches = etcd_password_matches(buf_view(&step->password), buf_view(&step->hash));
    } else {
        etcd_password_hash(buf_view(&step->password), step->salt, step->rounds, &step->hash);
    }
}

static void auth_on_worked(struct etcd_job *job)
{
    struct etcd_op *op = job->owner;
    const struct auth_step *step = op->state;
    op->is_held = false;
    op->api->job_count--;
    if (op->call) {
        step->then(op);
    } else {
        etcd_op_free(op);
    }
}

static void auth_hash(struct etcd_op *op, void (*then)(struct etcd_op *op))
{
    struct etcd_api *api = op->api;
    struct auth_step *step = op->state;
    if (api->job_count == AUTH_JOBS_MAX) {
        etcd_fail(op, ETCD_TOO_MANY_REQUESTS);
        return;
    }
    api->job_count++;
    op->is_held = true;
    step->then = then;
    step->job = (struct etcd_job){.work = auth_work, .done = auth_on_worked, .owner = op};
    if (api->cfg.offload) {
        api->cfg.offload(api->cfg.offload_ctx, &step->job);
    } else {
        step->job.work(&step->job);
        step->job.done(&step->job);
    }
}

static void auth_salt(struct etcd_op *op)
{
    struct auth_step *step = op->state;
    step->rounds = op->api->cfg.password_rounds;
    op->api->world->random->fill(op->api->world->self, step->salt, sizeof(step->salt));
}

/* --- authenticate ---------------------------------------------------------------------------- */

static void authenticate_check(struct etcd_op *op);

static void authenticate_on_done(struct etcd_op *op)
{
    struct auth_step *step = op->state;
    if (!op->call) {
        etcd_op_free(op);
    } else if (op->outcome != OK) {
        etcd_fail(op, etcd_error_of(op->api, op->outcome, op->began));
    } else if (op->request.status == STORE_AUTH_REVISION_OLD && ++step->attempts < AUTH_ATTEMPTS) {
        op->goes_on = false;
        etcd_op_read(op, authenticate_check);
    } else if (op->request.status != STORE_OK) {
        etcd_fail_status(op, op->request.status);
    } else if (op->request.is_duplicate) {
        etcd_fail(op, ETCD_TIMEOUT);
    } else {
        etcd_answer_request(op);
    }
}

static void authenticate_propose(struct etcd_op *op)
{
    struct auth_step *step = op->state;
    uint8_t drawn[TOKEN_LETTERS];
    if (!step->matches || step->is_nobody) {
        etcd_fail_status(op, STORE_AUTH_FAILED);
        return;
    }
    op->api->world->random->fill(op->api->world->self, drawn, sizeof(drawn));
    for (size_t i = 0; i < sizeof(drawn); i++) {
        /* Five bits each: less than etcd's letters, and none is likelier than another. */
        drawn[i] = (uint8_t)("abcdefghijklmnopqrstuvwxyzABCDEF"[drawn[i] % 32]);
    }
    buf_clear(&op->body);
    store_pb_put_bytes(&op->body, 1, buf_view(&step->name));
    store_pb_put_bytes(&op->body, 3, (struct bytes){drawn, sizeof(drawn)});
    op->goes_on = true;
    etcd_op_propose(op, STORE_KIND_AUTHENTICATE, buf_view(&op->body), authenticate_on_done);
}

static void authenticate_check(struct etcd_op *op)
{
    struct auth_step *step = op->state;
    const struct store *store = etcd_op_store(op);
    struct bytes hash = {0};
    if (!store) {
        return;
    }
    if (!store_auth_is_enabled(store)) {
        etcd_fail_status(op, STORE_AUTH_NOT_ENABLED);
        return;
    }
    enum store_password kind = store_auth_password(store, buf_view(&step->name), &hash);
    if (kind == STORE_PASSWORD_NONE) {
        etcd_fail(op, ETCD_NO_PASSWORD_USER);
        return;
    }
    step->is_nobody = kind == STORE_PASSWORD_NO_USER;
    step->checks = !step->is_nobody;
    step->matches = false;
    buf_clear(&step->hash);
    buf_put(&step->hash, hash.data, hash.len);
    op->auth_revision = store_auth_revision(store);
    auth_salt(op);
    auth_hash(op, authenticate_propose);
}

static void auth_authenticate(struct etcd_op *op)
{
    if (auth_step_begin(op, 0)) {
        etcd_op_read(op, authenticate_check);
    }
}

void etcd_auth_authenticate(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin_open(call, message, auth_authenticate);
}

/* --- passwords of users ---------------------------------------------------------------------- */

static void user_add_propose(struct etcd_op *op)
{
    const struct auth_step *step = op->state;
    store_pb_put_bytes(&op->body, 1, buf_view(&step->name));
    store_pb_put_bytes(&op->body, 3, buf_view(&step->options));
    store_pb_put_bytes(&op->body, 4, buf_view(&step->hash));
    op->may_repeat = true;
    etcd_op_propose(op, STORE_KIND_USER_ADD, buf_view(&op->body), etcd_answer_request);
}

static bool has_no_password(const struct auth_step *step)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool no_password = false;
    store_pb_init(&pb, buf_view(&step->options));
    while (store_pb_next(&pb, &f)) {
        no_password = f.number == 1 ? store_pb_bool(&pb, &f) : no_password;
    }
    return no_password;
}

static void auth_user_add(struct etcd_op *op)
{
    if (!etcd_op_is_root(op)) {
        return;
    }
    const struct auth_step *step = auth_step_begin(op, 3);
    if (!step) {
        return;
    }
    if (step->name.len == 0) {
        etcd_fail_status(op, STORE_USER_EMPTY);
    } else if (has_no_password(step)) {
        user_add_propose(op);
    } else {
        auth_salt(op);
        auth_hash(op, user_add_propose);
    }
}

void etcd_auth_user_add(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, auth_user_add);
}

static void user_password_propose(struct etcd_op *op)
{
    const struct auth_step *step = op->state;
    store_pb_put_bytes(&op->body, 1, buf_view(&step->name));
    store_pb_put_bytes(&op->body, 3, buf_view(&step->hash));
    op->may_repeat = true;
    etcd_op_propose(op, STORE_KIND_USER_PASSWORD, buf_view(&op->body), etcd_answer_request);
}

static void auth_user_password(struct etcd_op *op)
{
    if (etcd_op_is_root(op) && auth_step_begin(op, 0)) {
        auth_salt(op);
        auth_hash(op, user_password_propose);
    }
}

void etcd_auth_user_password(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, auth_user_password);
}

/* --- what goes into the log as it came ------------------------------------------------------- */

static void auth_write(struct etcd_op *op)
{
    static const struct {
        const char *method;
        enum store_kind kind;
    } kinds[] = {
        {"AuthEnable", STORE_KIND_AUTH_ENABLE},
        {"AuthDisable", STORE_KIND_AUTH_DISABLE},
        {"UserDelete", STORE_KIND_USER_DELETE},
        {"UserGrantRole", STORE_KIND_USER_GRANT},
        {"UserRevokeRole", STORE_KIND_USER_REVOKE},
        {"RoleAdd", STORE_KIND_ROLE_ADD},
        {"RoleDelete", STORE_KIND_ROLE_DELETE},
        {"RoleGrantPermission", STORE_KIND_ROLE_GRANT},
        {"RoleRevokePermission", STORE_KIND_ROLE_REVOKE},
    };
    const char *method = strrchr(rpc_method_of(op->call)->path, '/') + 1;
    size_t i = 0;
    while (strcmp(kinds[i].method, method) != 0) {
        i++;
        CHECK(i < COUNT_OF(kinds));
    }
    op->may_repeat = true;
    etcd_op_propose(op, kinds[i].kind, buf_view(&op->body), etcd_answer_request);
}

void etcd_auth_write(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, auth_write);
}

/* --- what is read ---------------------------------------------------------------------------- */

static struct bytes auth_named(const struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct bytes name = {0};
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        name = f.number == 1 ? store_pb_bytes(&pb, &f) : name;
    }
    return pb.failed ? (struct bytes){0} : name;
}

static enum store_status read_auth_status(const struct store *store, struct bytes name,
                                          struct buf *b)
{
    (void)name;
    store_auth_status(store, b);
    return STORE_OK;
}

static enum store_status read_user_list(const struct store *store, struct bytes name, struct buf *b)
{
    (void)name;
    store_auth_user_list(store, b);
    return STORE_OK;
}

static enum store_status read_role_list(const struct store *store, struct bytes name, struct buf *b)
{
    (void)name;
    store_auth_role_list(store, b);
    return STORE_OK;
}

/* Users may look at themselves, and at the roles that they have. */
static bool is_own_user(const struct store *store, struct bytes user, struct bytes name)
{
    (void)store;
    return user.len > 0 && store_bytes_cmp(name, user) == 0;
}

static void auth_read_now(struct etcd_op *op)
{
    static const struct {
        const char *method;
        enum store_status (*read)(const struct store *store, struct bytes name, struct buf *b);
        bool (*is_own)(const struct store *store, struct bytes user, struct bytes name);
    } reads[] = {
        {"AuthStatus", read_auth_status, NULL},
        {"UserList", read_user_list, NULL},
        {"RoleList", read_role_list, NULL},
        {"UserGet", store_auth_user_get, is_own_user},
        {"RoleGet", store_auth_role_get, store_auth_user_has_role},
    };
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    const char *method = strrchr(rpc_method_of(op->call)->path, '/') + 1;
    size_t i = 0;
    while (strcmp(reads[i].method, method) != 0) {
        i++;
        CHECK(i < COUNT_OF(reads));
    }
    struct bytes name = auth_named(op);
    struct store_user user = etcd_op_user(op);
    bool is_own = reads[i].is_own && reads[i].is_own(store, user.name, name);
    enum store_status status = is_own ? STORE_OK : store_rights_root(store, &user);
    if (status == STORE_OK) {
        status = reads[i].read(store, name, &op->response);
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    } else {
        etcd_answer(op, store_revision(store), buf_view(&op->response));
    }
}

static void auth_read(struct etcd_op *op)
{
    etcd_op_read(op, auth_read_now);
}

void etcd_auth_read(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, auth_read);
}
