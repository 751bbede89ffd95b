#include "core/store/store_system.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/store/store_limits.h"

void store_system_init(struct store_system *y)
{
    *y = (struct store_system){0};
    store_auth_init(&y->auth);
    store_system_changed(y);
}

static void member_deinit(struct store_member *m)
{
    buf_deinit(&m->name);
    buf_deinit(&m->peer_urls);
    buf_deinit(&m->client_urls);
}

void store_system_deinit(struct store_system *y)
{
    store_auth_deinit(&y->auth);
    for (size_t i = 0; i < y->member_count; i++) {
        member_deinit(&y->members[i]);
    }
    mem_free(y->members);
    mem_free(y->alarms);
    buf_deinit(&y->encoded);
}

void store_system_changed(struct store_system *y)
{
    struct buf *b = &y->encoded;
    buf_clear(b);
    store_auth_encode(&y->auth, b);
    buf_put_varint(b, y->alarm_count);
    for (size_t i = 0; i < y->alarm_count; i++) {
        buf_put_u64(b, y->alarms[i].member);
        buf_put_u8(b, y->alarms[i].kind);
    }
    buf_put_varint(b, y->member_count);
    for (size_t i = 0; i < y->member_count; i++) {
        const struct store_member *m = &y->members[i];
        buf_put_u64(b, m->id);
        buf_put_bytes(b, buf_view(&m->name));
        buf_put_bytes(b, buf_view(&m->peer_urls));
        buf_put_bytes(b, buf_view(&m->client_urls));
    }
    y->hash = hash_bytes(0, b->data, b->len);
}

bool store_system_has_room(const struct store_system *y, size_t more)
{
    /* Lengths and flags of what is added are a few bytes beside it. */
    return y->encoded.len + more + 64 <= STORE_SYSTEM_BYTES_MAX;
}

/* --- alarms ---------------------------------------------------------------------------------- */

bool store_system_has_alarm(const struct store_system *y, enum store_alarm_kind kind)
{
    for (size_t i = 0; i < y->alarm_count; i++) {
        if (y->alarms[i].kind == (uint8_t)kind) {
            return true;
        }
    }
    return false;
}

static size_t alarm_seek(const struct store_system *y, struct store_alarm alarm)
{
    size_t at = 0;
    while (at < y->alarm_count &&
           (y->alarms[at].member < alarm.member ||
            (y->alarms[at].member == alarm.member && y->alarms[at].kind < alarm.kind))) {
        at++;
    }
    return at;
}

static bool alarm_is_at(const struct store_system *y, size_t at, struct store_alarm alarm)
{
    return at < y->alarm_count && y->alarms[at].member == alarm.member &&
           y->alarms[at].kind == alarm.kind;
}

enum store_status store_system_alarm_raise(struct store_system *y, struct store_alarm alarm)
{
    size_t at = alarm_seek(y, alarm);
    if (alarm_is_at(y, at, alarm)) {
        return STORE_OK;
    }
    if (y->alarm_count == STORE_ALARMS_MAX) {
        return STORE_TOO_MANY_REQUESTS;
    }
    void *alarms = y->alarms;
    mem_grow(&alarms, &y->alarm_cap, y->alarm_count + 1, sizeof alarm);
    y->alarms = alarms;
    memmove(&y->alarms[at + 1], &y->alarms[at], (y->alarm_count - at) * sizeof alarm);
    y->alarms[at] = alarm;
    y->alarm_count++;
    return STORE_OK;
}

bool store_system_alarm_clear(struct store_system *y, struct store_alarm alarm)
{
    size_t at = alarm_seek(y, alarm);
    if (!alarm_is_at(y, at, alarm)) {
        return false;
    }
    y->alarm_count--;
    memmove(&y->alarms[at], &y->alarms[at + 1], (y->alarm_count - at) * sizeof alarm);
    return true;
}

/* --- members --------------------------------------------------------------------------------- */

static size_t member_seek(const struct store_system *y, node_id id)
{
    size_t at = 0;
    while (at < y->member_count && y->members[at].id < id) {
        at++;
    }
    return at;
}

struct store_member *store_system_member(const struct store_system *y, node_id id)
{
    size_t at = member_seek(y, id);
    return at < y->member_count && y->members[at].id == id ? &y->members[at] : NULL;
}

struct store_member *store_system_member_make(struct store_system *y, node_id id)
{
    struct store_member *found = store_system_member(y, id);
    if (found != NULL || y->member_count == STORE_MEMBERS_MAX) {
        return found;
    }
    size_t at = member_seek(y, id);
    void *members = y->members;
    mem_grow(&members, &y->member_cap, y->member_count + 1, sizeof y->members[0]);
    y->members = members;
    memmove(&y->members[at + 1], &y->members[at], (y->member_count - at) * sizeof y->members[0]);
    y->members[at] = (struct store_member){.id = id};
    y->member_count++;
    return &y->members[at];
}

bool store_system_member_drop(struct store_system *y, node_id id)
{
    struct store_member *m = store_system_member(y, id);
    if (m == NULL) {
        return false;
    }
    size_t at = (size_t)(m - y->members);
    member_deinit(m);
    y->member_count--;
    memmove(m, m + 1, (y->member_count - at) * sizeof *m);
    return true;
}

/* --- from bytes ------------------------------------------------------------------------------ */

/* URLs that each fit, and not too many. */
bool store_system_urls_are_sane(struct bytes list)
{
    struct cursor c;
    size_t count = 0;
    cursor_init(&c, list);
    while (cursor_left(&c) > 0) {
        count += cursor_bytes(&c, STORE_URL_BYTES_MAX).len > 0 ? 1 : STORE_URLS_MAX + 1;
    }
    return cursor_done(&c) && count <= STORE_URLS_MAX;
}

static enum err alarms_decode(struct store_system *y, struct cursor *c)
{
    uint64_t alarms = cursor_varint(c);
    for (uint64_t i = 0; i < alarms; i++) {
        struct store_alarm alarm = {.member = cursor_u64(c), .kind = cursor_u8(c)};
        if (!cursor_ok(c) || alarm.kind == STORE_ALARM_NONE || alarm.kind > STORE_ALARM_CORRUPT ||
            store_system_alarm_raise(y, alarm) != STORE_OK) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static enum err members_decode(struct store_system *y, struct cursor *c)
{
    uint64_t members = cursor_varint(c);
    for (uint64_t i = 0; i < members; i++) {
        node_id id = cursor_u64(c);
        struct bytes name = cursor_bytes(c, STORE_USER_BYTES_MAX);
        struct bytes peers = cursor_bytes(c, STORE_SYSTEM_BYTES_MAX);
        struct bytes clients = cursor_bytes(c, STORE_SYSTEM_BYTES_MAX);
        if (!cursor_ok(c) || id == NODE_NONE || !store_system_urls_are_sane(peers) ||
            !store_system_urls_are_sane(clients) || store_system_member(y, id) != NULL) {
            return ERR_CORRUPT;
        }
        struct store_member *m = store_system_member_make(y, id);
        if (m == NULL) {
            return ERR_CORRUPT;
        }
        buf_put(&m->name, name.data, name.len);
        buf_put(&m->peer_urls, peers.data, peers.len);
        buf_put(&m->client_urls, clients.data, clients.len);
    }
    return OK;
}

enum err store_system_decode(struct store_system *y, struct bytes b)
{
    struct cursor c;
    cursor_init(&c, b);
    TRY(store_auth_decode(&y->auth, &c));
    TRY(alarms_decode(y, &c));
    TRY(members_decode(y, &c));
    if (!cursor_done(&c) || b.len > STORE_SYSTEM_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    store_system_changed(y);
    return store_bytes_cmp(buf_view(&y->encoded), b) == 0 ? OK : ERR_CORRUPT;
}
