/* The operations on what is in store_system.h: users and rights, alarms, members. */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

/* Three string fields and a flag are all that these messages of etcd have. */
struct admin_fields {
    struct bytes text[5]; /* by field number, from 1 */
    bool no_password;
};

static enum store_status admin_decode(struct bytes body, struct admin_fields *ret)
{
    struct admin_fields fields = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, body);
    while (store_pb_next(&pb, &f)) {
        if (f.number < COUNT_OF(fields.text)) {
            fields.text[f.number] = store_pb_bytes(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = fields;
    return STORE_OK;
}

/* --- users and roles ------------------------------------------------------------------------- */

static enum store_status admin_user_add(struct store *s, const struct admin_fields *f)
{
    struct store_pb pb;
    struct store_pb_field option;
    bool no_password = false;
    store_pb_init(&pb, f->text[3]);
    while (store_pb_next(&pb, &option)) {
        if (option.number == 1) {
            no_password = store_pb_bool(&pb, &option);
        }
    }
    if (pb.failed || f->text[2].len > 0) {
        return STORE_MALFORMED; /* a password in clear does not belong into the log */
    }
    return store_auth_user_add(&s->system.auth, f->text[1], f->text[4], no_password);
}

static enum store_status admin_role_grant(struct store *s, const struct admin_fields *f)
{
    struct store_pb pb;
    struct store_pb_field p;
    uint64_t permission = 0;
    struct bytes key = {0};
    struct bytes range_end = {0};
    if (f->text[2].data == NULL) {
        return STORE_PERMISSION_NOT_GIVEN;
    }
    store_pb_init(&pb, f->text[2]);
    while (store_pb_next(&pb, &p)) {
        if (p.number == 1) {
            permission = store_pb_u64(&pb, &p);
        } else if (p.number == 2) {
            key = store_pb_bytes(&pb, &p);
        } else if (p.number == 3) {
            range_end = store_pb_bytes(&pb, &p);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    if (permission > STORE_PERMISSION_READWRITE) {
        return STORE_AUTH_MANAGEMENT_INVALID;
    }
    return store_auth_role_grant(&s->system.auth, f->text[1], (uint8_t)permission, key, range_end);
}

static enum store_status admin_users(struct store *s, uint8_t kind, const struct admin_fields *f)
{
    struct store_auth *a = &s->system.auth;
    enum store_status status = STORE_MALFORMED;
    switch (kind) {
    case STORE_KIND_USER_ADD:
        return admin_user_add(s, f);
    case STORE_KIND_USER_DELETE:
        status = store_auth_user_delete(a, f->text[1]);
        break;
    case STORE_KIND_USER_PASSWORD:
        status = f->text[2].len > 0 ? STORE_MALFORMED
                                    : store_auth_user_password(a, f->text[1], f->text[3]);
        break;
    case STORE_KIND_USER_GRANT:
        return store_auth_user_grant(a, f->text[1], f->text[2]);
    case STORE_KIND_USER_REVOKE:
        return store_auth_user_revoke(a, f->text[1], f->text[2]);
    case STORE_KIND_ROLE_ADD:
        return store_auth_role_add(a, f->text[1]);
    case STORE_KIND_ROLE_DELETE:
        return store_auth_role_delete(a, f->text[1]);
    case STORE_KIND_ROLE_GRANT:
        return admin_role_grant(s, f);
    case STORE_KIND_ROLE_REVOKE:
        return store_auth_role_revoke(a, f->text[1], f->text[2], f->text[3]);
    default:
        CHECK(false);
    }
    if (status == STORE_OK) {
        store_tokens_drop(&s->tokens, f->text[1]); /* the user is another one, or none */
    }
    return status;
}

/* The password was checked by the proposer, at the auth revision that it names. */
static enum store_status admin_authenticate(struct store *s, const struct store_entry *entry,
                                            const struct store_envelope *e,
                                            const struct admin_fields *f, struct buf *response)
{
    const struct store_auth *a = &s->system.auth;
    if (!a->enabled) {
        return STORE_AUTH_NOT_ENABLED;
    }
    if (e->auth_revision != a->revision) {
        return STORE_AUTH_REVISION_OLD;
    }
    if (store_auth_account(a, f->text[1]) == NULL) {
        return STORE_AUTH_FAILED;
    }
    if (f->text[3].len == 0 || f->text[3].len > STORE_TOKEN_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    /* As etcd's: what was drawn, and the index, which no other token has. */
    struct buf token;
    buf_init(&token);
    buf_put(&token, f->text[3].data, f->text[3].len);
    buf_put_u8(&token, '.');
    uint8_t digits[20];
    size_t n = sizeof digits;
    for (uint64_t left = entry->index; left > 0 || n == sizeof digits; left /= 10) {
        digits[--n] = (uint8_t)('0' + left % 10);
    }
    buf_put(&token, digits + n, sizeof digits - n);
    store_tokens_add(&s->tokens, buf_view(&token), f->text[1], entry->now);
    if (response != NULL) {
        store_pb_put_bytes(response, 2, buf_view(&token));
    }
    buf_deinit(&token);
    return STORE_OK;
}

/* --- alarms ---------------------------------------------------------------------------------- */

static void put_alarm(struct buf *response, struct store_alarm alarm)
{
    if (response != NULL) {
        size_t at = store_pb_open(response, 2);
        store_pb_put_u64(response, 1, alarm.member);
        store_pb_put_u64(response, 2, alarm.kind);
        store_pb_close(response, at);
    }
}

void store_alarms(const struct store *s, enum store_alarm_kind kind, struct buf *response)
{
    for (size_t i = 0; i < s->system.alarm_count; i++) {
        if (kind == STORE_ALARM_NONE || s->system.alarms[i].kind == (uint8_t)kind) {
            put_alarm(response, s->system.alarms[i]);
        }
    }
}

enum { ALARM_GET, ALARM_RAISE, ALARM_CLEAR };

static enum store_status admin_alarm(struct store *s, struct bytes body, struct buf *response)
{
    uint64_t action = ALARM_GET;
    uint64_t member = 0;
    uint64_t kind = 0;
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, body);
    while (store_pb_next(&pb, &f)) {
        action = f.number == 1 ? store_pb_u64(&pb, &f) : action;
        member = f.number == 2 ? store_pb_u64(&pb, &f) : member;
        kind = f.number == 3 ? store_pb_u64(&pb, &f) : kind;
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    if (action == ALARM_GET && kind <= STORE_ALARM_CORRUPT && response != NULL) {
        store_alarms(s, (enum store_alarm_kind)kind, response);
    }
    if (action == ALARM_GET || kind == STORE_ALARM_NONE || kind > STORE_ALARM_CORRUPT) {
        return STORE_OK;
    }
    struct store_alarm alarm = {member, (uint8_t)kind};
    if (action == ALARM_RAISE) {
        enum store_status status = store_system_alarm_raise(&s->system, alarm);
        if (status != STORE_OK) {
            return status;
        }
        put_alarm(response, alarm);
    } else if (action == ALARM_CLEAR && store_system_alarm_clear(&s->system, alarm)) {
        put_alarm(response, alarm);
    }
    return STORE_OK;
}

/* --- members --------------------------------------------------------------------------------- */

struct admin_member {
    node_id id;
    struct bytes name;
    struct buf peer_urls;
    struct buf client_urls;
};

static bool admin_member_decode(struct bytes body, struct admin_member *m)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, body);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            m->id = store_pb_u64(&pb, &f);
        } else if (f.number == 2) {
            m->name = store_pb_bytes(&pb, &f);
        } else if (f.number == 3) {
            buf_put_bytes(&m->peer_urls, store_pb_bytes(&pb, &f));
        } else if (f.number == 4) {
            buf_put_bytes(&m->client_urls, store_pb_bytes(&pb, &f));
        }
    }
    return !pb.failed;
}

/* Does another member have one of these peer URLs? */
static bool member_url_is_taken(const struct store_system *y, const struct admin_member *m)
{
    struct cursor wanted;
    cursor_init(&wanted, buf_view(&m->peer_urls));
    while (cursor_left(&wanted) > 0) {
        struct bytes url = cursor_bytes(&wanted, STORE_URL_BYTES_MAX);
        for (size_t i = 0; i < y->member_count; i++) {
            struct cursor c;
            cursor_init(&c, buf_view(&y->members[i].peer_urls));
            while (y->members[i].id != m->id && cursor_left(&c) > 0) {
                if (store_bytes_cmp(cursor_bytes(&c, STORE_URL_BYTES_MAX), url) == 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

static void replace(struct buf *b, struct bytes v)
{
    buf_clear(b);
    buf_put(b, v.data, v.len);
}

static enum store_status member_set(struct store_system *y, const struct admin_member *m)
{
    if (m->id == NODE_NONE || m->name.len > STORE_USER_BYTES_MAX ||
        !store_system_urls_are_sane(buf_view(&m->peer_urls)) ||
        !store_system_urls_are_sane(buf_view(&m->client_urls))) {
        return STORE_MEMBER_URLS_INVALID;
    }
    if (member_url_is_taken(y, m)) {
        return STORE_PEER_URL_EXISTS;
    }
    struct store_member *known = store_system_member_make(y, m->id);
    if (known == NULL) {
        return STORE_SYSTEM_FULL;
    }
    if (m->peer_urls.len > 0) {
        replace(&known->peer_urls, buf_view(&m->peer_urls));
    }
    if (m->name.len > 0 || m->client_urls.len > 0) {
        replace(&known->name, m->name);
        replace(&known->client_urls, buf_view(&m->client_urls));
    }
    return STORE_OK;
}

static enum store_status admin_member(struct store *s, uint8_t kind, struct bytes body)
{
    struct admin_member m = {0};
    enum store_status status = STORE_MALFORMED;
    if (admin_member_decode(body, &m)) {
        if (kind == STORE_KIND_MEMBER_SET) {
            status = member_set(&s->system, &m);
        } else {
            status = store_system_member_drop(&s->system, m.id) ? STORE_OK : STORE_MEMBER_NOT_FOUND;
        }
    }
    buf_deinit(&m.peer_urls);
    buf_deinit(&m.client_urls);
    return status;
}

/* --- all of them ----------------------------------------------------------------------------- */

static enum store_status admin_run(struct store *s, const struct store_entry *entry,
                                   const struct store_envelope *e, struct buf *response)
{
    struct admin_fields fields = {0};
    enum store_status status = STORE_OK;
    switch (e->kind) {
    case STORE_KIND_ALARM:
        return admin_alarm(s, e->body, response);
    case STORE_KIND_MEMBER_SET:
    case STORE_KIND_MEMBER_FORGET:
        return admin_member(s, e->kind, e->body);
    case STORE_KIND_AUTH_ENABLE:
        return store_auth_enable(&s->system.auth);
    case STORE_KIND_AUTH_DISABLE:
        store_tokens_drop(&s->tokens, (struct bytes){0});
        return store_auth_disable(&s->system.auth);
    default:
        status = admin_decode(e->body, &fields);
        break;
    }
    if (status != STORE_OK) {
        return status;
    }
    return e->kind == STORE_KIND_AUTHENTICATE ? admin_authenticate(s, entry, e, &fields, response)
                                              : admin_users(s, e->kind, &fields);
}

enum store_status store_admin_apply(struct store *s, const struct store_entry *entry,
                                    const struct store_envelope *e, struct buf *response)
{
    bool shrinks = e->kind == STORE_KIND_AUTH_DISABLE || e->kind == STORE_KIND_MEMBER_FORGET ||
                   e->kind == STORE_KIND_USER_DELETE || e->kind == STORE_KIND_USER_REVOKE ||
                   e->kind == STORE_KIND_ROLE_DELETE || e->kind == STORE_KIND_ROLE_REVOKE ||
                   e->kind == STORE_KIND_ALARM || e->kind == STORE_KIND_AUTHENTICATE;
    if (!shrinks && !store_system_has_room(&s->system, e->body.len)) {
        return STORE_SYSTEM_FULL;
    }
    enum store_status status = admin_run(s, entry, e, response);
    if (status == STORE_OK && e->kind != STORE_KIND_AUTHENTICATE) {
        store_system_changed(&s->system);
    }
    return status;
}

/* --- looking in ------------------------------------------------------------------------------ */

bool store_auth_is_enabled(const struct store *s)
{
    return s->system.auth.enabled;
}

uint64_t store_auth_revision(const struct store *s)
{
    return s->system.auth.revision;
}

bool store_has_alarm(const struct store *s, enum store_alarm_kind kind)
{
    return store_system_has_alarm(&s->system, kind);
}

bool store_has_alarm_of(const struct store *s, node_id member, enum store_alarm_kind kind)
{
    for (size_t i = 0; i < s->system.alarm_count; i++) {
        if (s->system.alarms[i].member == member && s->system.alarms[i].kind == (uint8_t)kind) {
            return true;
        }
    }
    return false;
}

void store_auth_status(const struct store *s, struct buf *response)
{
    store_pb_put_bool(response, 2, s->system.auth.enabled);
    store_pb_put_u64(response, 3, s->system.auth.revision);
}

enum store_status store_auth_user_get(const struct store *s, struct bytes name,
                                      struct buf *response)
{
    const struct store_account *account = store_auth_account(&s->system.auth, name);
    for (size_t i = 0; account != NULL && i < account->count; i++) {
        store_pb_put_bytes(response, 2, buf_view(&account->roles[i]));
    }
    return account != NULL ? STORE_OK : STORE_USER_NOT_FOUND;
}

void store_auth_user_list(const struct store *s, struct buf *response)
{
    for (size_t i = 0; i < s->system.auth.account_count; i++) {
        store_pb_put_bytes(response, 2, buf_view(&s->system.auth.accounts[i].name));
    }
}

enum store_status store_auth_role_get(const struct store *s, struct bytes name,
                                      struct buf *response)
{
    const struct store_role *role = store_auth_role(&s->system.auth, name);
    for (size_t i = 0; role != NULL && i < role->count; i++) {
        size_t at = store_pb_open(response, 2);
        store_pb_put_u64(response, 1, role->grants[i].permission);
        store_pb_put_bytes(response, 2, buf_view(&role->grants[i].key));
        store_pb_put_bytes(response, 3, buf_view(&role->grants[i].range_end));
        store_pb_close(response, at);
    }
    return role != NULL ? STORE_OK : STORE_ROLE_NOT_FOUND;
}

void store_auth_role_list(const struct store *s, struct buf *response)
{
    for (size_t i = 0; i < s->system.auth.role_count; i++) {
        store_pb_put_bytes(response, 2, buf_view(&s->system.auth.roles[i].name));
    }
}

bool store_auth_user_has_role(const struct store *s, struct bytes name, struct bytes role)
{
    const struct store_account *account = store_auth_account(&s->system.auth, name);
    return account != NULL && store_auth_has_role(account, role);
}

enum store_password store_auth_password(const struct store *s, struct bytes name,
                                        struct bytes *ret_hash)
{
    const struct store_account *account = store_auth_account(&s->system.auth, name);
    if (account == NULL) {
        return STORE_PASSWORD_NO_USER;
    }
    if (account->no_password) {
        return STORE_PASSWORD_NONE;
    }
    *ret_hash = buf_view(&account->password);
    return STORE_PASSWORD_HASH;
}

bool store_token_user(struct store *s, struct bytes token, nanos now, struct bytes *ret_user)
{
    const struct store_token *found = store_tokens_use(&s->tokens, token, now);
    if (found != NULL) {
        *ret_user = buf_view(&found->user);
    }
    return found != NULL;
}

size_t store_member_count(const struct store *s)
{
    return s->system.member_count;
}

static struct store_member_view member_view(const struct store_member *m)
{
    return (struct store_member_view){m->id, buf_view(&m->name), buf_view(&m->peer_urls),
                                      buf_view(&m->client_urls)};
}

struct store_member_view store_member_at(const struct store *s, size_t i)
{
    CHECK(i < s->system.member_count);
    return member_view(&s->system.members[i]);
}

bool store_member_find(const struct store *s, node_id id, struct store_member_view *ret)
{
    const struct store_member *m = store_system_member(&s->system, id);
    if (m != NULL) {
        *ret = member_view(m);
    }
    return m != NULL;
}

bool store_url_next(struct bytes *list, struct bytes *ret_url)
{
    struct cursor c;
    cursor_init(&c, *list);
    if (cursor_left(&c) == 0) {
        return false;
    }
    struct bytes url = cursor_bytes(&c, STORE_URL_BYTES_MAX);
    size_t left = cursor_left(&c);
    CHECK(cursor_ok(&c));
    *list = (struct bytes){list->data + (list->len - left), left};
    *ret_url = url;
    return true;
}
