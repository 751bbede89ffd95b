/*
 * What a member does for the API without being asked: says in the store what it is called and where
 * it is reached, learns where others are, and raises and clears its alarm for want of space.
 *
 * The alarm stops growth everywhere as soon as one member's store is as large as its quota. As
 * deletes and compactions go on, and freeing needs no defragmentation here, the member clears its
 * own alarm once it is well below the quota again. One raised in another member's name stays until
 * an operator disarms it.
 */
#include <string.h>

#include "api/etcd/etcd_int.h"
#include "core/base/cursor.h"
#include "core/base/hash.h"
#include "core/store/store_limits.h"

/* --- space ----------------------------------------------------------------------------------- */

/* What the newest revision overwrote or deleted is only freed when a newer one was compacted. Where
 * that is what fills the quota, and everything else was compacted, writes must go on: there may be
 * nothing left to delete, and then nothing could ever be freed. */
static bool upkeep_is_over_quota(const struct etcd_api *api, const struct store *store,
                                 uint64_t percent)
{
    struct store_stats stats;
    store_stats_read(store, &stats);
    uint64_t limit = api->cfg.quota_bytes / 100 * percent;
    bool is_compacted = store_compact_revision(store) == store_revision(store);
    return stats.used_bytes >= limit && !(is_compacted && stats.data_bytes < limit);
}

static void own_on_done(struct etcd_op *op)
{
    op->api->upkeep_busy = false;
    etcd_op_free(op);
}

/* A proposal of this member's own; one at a time, so that an answer is seen before the next. */
static void upkeep_propose(struct etcd_api *api, enum store_kind kind, const struct buf *body)
{
    struct etcd_op *op = etcd_op_own(api);
    api->upkeep_busy = true;
    op->goes_on = true;
    buf_put(&op->body, body->data, body->len);
    etcd_op_propose(op, kind, buf_view(&op->body), own_on_done);
}

static void upkeep_alarm(struct etcd_api *api, uint64_t action)
{
    struct buf body;
    buf_init(&body);
    store_pb_put_u64(&body, 1, action);
    store_pb_put_u64(&body, 2, api->cfg.member);
    store_pb_put_u64(&body, 3, STORE_ALARM_NO_SPACE);
    upkeep_propose(api, STORE_KIND_ALARM, &body);
    buf_deinit(&body);
}

bool etcd_quota_lets(struct etcd_op *op, enum store_kind kind)
{
    struct etcd_api *api = op->api;
    const struct store *store = api->node ? node_store(api->node) : NULL;
    if (!store || !store_request_grows((uint8_t)kind, buf_view(&op->body)) ||
        !upkeep_is_over_quota(api, store, 100)) {
        return true;
    }
    if (!api->upkeep_busy && store_feature_level(store) >= STORE_SYSTEM_LEVEL &&
        !store_has_alarm_of(store, api->cfg.member, STORE_ALARM_NO_SPACE)) {
        upkeep_alarm(api, ETCD_ALARM_RAISE);
    }
    etcd_fail_status(op, STORE_NO_SPACE);
    return false;
}

/* --- members --------------------------------------------------------------------------------- */

bool etcd_url_endpoint(struct bytes url, struct world_endpoint *ret)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (url.len > n && memcmp(url.data, schemes[i], n) == 0) {
            url.data += n;
            url.len -= n;
            break;
        }
        if (i + 1 == COUNT_OF(schemes)) {
            return false;
        }
    }
    size_t colon = url.len;
    while (colon > 0 && url.data[colon - 1] != ':') {
        colon--;
    }
    uint32_t port = 0;
    for (size_t i = colon; i < url.len; i++) {
        uint8_t c = url.data[i];
        port = c >= '0' && c <= '9' && port <= UINT16_MAX ? port * 10 + (uint32_t)(c - '0') : 65536;
    }
    if (colon < 2 || port == 0 || port > UINT16_MAX) {
        return false;
    }
    struct bytes host = {url.data, colon - 1};
    if (host.data[0] == '[' && host.data[host.len - 1] == ']' && host.len > 2) {
        host = (struct bytes){host.data + 1, host.len - 2};
    } else if (memchr(host.data, ':', host.len) != NULL) {
        return false;
    }
    if (host.len >= sizeof(ret->host) || memchr(host.data, '/', host.len) != NULL) {
        return false;
    }
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->host, host.data, host.len);
    ret->port = (uint16_t)port;
    return true;
}

static bool list_equals(struct bytes list, const char *const *urls)
{
    struct bytes url;
    size_t i = 0;
    while (store_url_next(&list, &url)) {
        if (i == ETCD_URLS_MAX || !urls[i] || strlen(urls[i]) != url.len ||
            memcmp(urls[i], url.data, url.len) != 0) {
            return false;
        }
        i++;
    }
    return i == ETCD_URLS_MAX || !urls[i];
}

static void put_urls(struct buf *b, uint32_t number, const char *const *urls)
{
    for (size_t i = 0; i < ETCD_URLS_MAX && urls[i]; i++) {
        store_pb_put_bytes(b, number, (struct bytes){(const uint8_t *)urls[i], strlen(urls[i])});
    }
}

/* Says what this member is called, unless the store knows. Its peers' way to it is an operator's to
 * change, once it is known. */
static void upkeep_publish(struct etcd_api *api, const struct store *store)
{
    struct store_member_view known = {0};
    bool is_known = store_member_find(store, api->cfg.member, &known);
    struct bytes name = {(const uint8_t *)api->cfg.name, strlen(api->cfg.name)};
    bool is_right = is_known && store_bytes_cmp(known.name, name) == 0 &&
                    list_equals(known.client_urls, api->cfg.client_urls) &&
                    (known.peer_urls.len > 0 || !api->cfg.peer_urls[0]);
    if (is_right || (name.len == 0 && !api->cfg.client_urls[0])) {
        return;
    }
    struct buf body;
    buf_init(&body);
    store_pb_put_u64(&body, 1, api->cfg.member);
    store_pb_put_bytes(&body, 2, name);
    if (known.peer_urls.len == 0) {
        put_urls(&body, 3, api->cfg.peer_urls);
    }
    put_urls(&body, 4, api->cfg.client_urls);
    upkeep_propose(api, STORE_KIND_MEMBER_SET, &body);
    buf_deinit(&body);
}

/* The leader says what a witness is called that the store does not know: it proposes nothing.
 * False: there is none. */
static bool upkeep_publish_witness(struct etcd_api *api, const struct store *store)
{
    const struct raft_membership *ms = node_status(api->node).membership;
    for (size_t i = 0; i < ETCD_WITNESSES_MAX && api->cfg.witnesses[i].name; i++) {
        const struct etcd_witness *w = &api->cfg.witnesses[i];
        const struct raft_member *m = raft_membership_lookup(ms, w->id);
        struct store_member_view known;
        if (!m || !(m->roles & RAFT_WITNESS) || store_member_find(store, w->id, &known)) {
            continue;
        }
        struct buf body;
        buf_init(&body);
        store_pb_put_u64(&body, 1, w->id);
        store_pb_put_bytes(&body, 2, (struct bytes){(const uint8_t *)w->name, strlen(w->name)});
        put_urls(&body, 3, (const char *const[ETCD_URLS_MAX]){w->peer_url});
        upkeep_propose(api, STORE_KIND_MEMBER_SET, &body);
        buf_deinit(&body);
        return true;
    }
    return false;
}

static struct etcd_peer *peer_slot(struct etcd_api *api, node_id id)
{
    struct etcd_peer *free_slot = NULL;
    for (size_t i = 0; i < ETCD_PEERS_MAX; i++) {
        if (api->peers[i].id == id) {
            return &api->peers[i];
        }
        free_slot = !free_slot && api->peers[i].id == NODE_NONE ? &api->peers[i] : free_slot;
    }
    return free_slot;
}

/* The node is told of an address that it does not know, and of one that changed since: what its
 * configuration says of a member counts as long as nobody says anything new. */
static void upkeep_learn_peer(struct etcd_api *api, node_id id, struct bytes url)
{
    struct etcd_peer *slot = id == api->cfg.member || id == NODE_NONE ? NULL : peer_slot(api, id);
    uint64_t hash = hash_bytes(1, url.data, url.len);
    if (!slot || (slot->id == id && slot->url_hash == hash)) {
        return;
    }
    bool is_new = slot->id != id;
    struct node_peer peer = {.id = id};
    *slot = (struct etcd_peer){id, hash};
    if (!(is_new && node_peer_known(api->node, id)) && etcd_url_endpoint(url, &peer.at) &&
        node_peer_set(api->node, &peer) != OK) {
        slot->id = NODE_NONE; /* tried again with the next pulse */
    }
}

static void upkeep_forget_peer(struct etcd_api *api, size_t i)
{
    if (api->peers[i].id != NODE_NONE) {
        node_peer_drop(api->node, api->peers[i].id);
        api->peers[i].id = NODE_NONE;
    }
}

static void upkeep_learn_peers(struct etcd_api *api, const struct store *store)
{
    for (size_t i = 0; i < store_member_count(store); i++) {
        struct store_member_view m = store_member_at(store, i);
        struct bytes url = {0};
        (void)store_url_next(&m.peer_urls, &url);
        upkeep_learn_peer(api, m.id, url);
    }
}

/* --- witnesses ------------------------------------------------------------------------------- */

/* A witness has no store from which it could learn where others are: it hears so from all that it
 * knows, in a note: kind u8 (ETCD_NOTE_PEERS), then for each member its id u64, and its first URL,
 * as many bytes as a u16 before it says. Whoever joined after the witness was configured would be a
 * stranger to it otherwise. */
static void upkeep_tell_witnesses(struct etcd_api *api, const struct store *store)
{
    const struct raft_membership *ms = node_status(api->node).membership;
    nanos now = etcd_now(api);
    if (!raft_membership_has_witness(ms) || now - api->told_witnesses < ETCD_TELL_WITNESSES) {
        return;
    }
    struct buf note;
    buf_init(&note);
    api->told_witnesses = now;
    buf_put_u8(&note, ETCD_NOTE_PEERS);
    for (size_t i = 0; i < store_member_count(store); i++) {
        struct store_member_view m = store_member_at(store, i);
        struct bytes url;
        if (store_url_next(&m.peer_urls, &url) && url.len <= ETCD_URL_BYTES_MAX &&
            note.len + url.len + sizeof(m.id) + sizeof(uint16_t) <= NODE_NOTE_BYTES_MAX) {
            buf_put_u64(&note, m.id);
            buf_put_u16(&note, (uint16_t)url.len);
            buf_put(&note, url.data, url.len);
        }
    }
    for (uint32_t i = 0; i < ms->n; i++) {
        if (ms->member[i].roles & RAFT_WITNESS) {
            enum err ignored = node_note(api->node, ms->member[i].id, buf_view(&note));
            (void)ignored; /* it is told again */
        }
    }
    buf_deinit(&note);
}

void etcd_upkeep_note(struct etcd_api *api, struct cursor *c)
{
    const struct raft_membership *ms = node_status(api->node).membership;
    if (ms->n > 0 && !etcd_is_witness(api)) {
        return; /* it has a store that says so */
    }
    bool is_told[ETCD_PEERS_MAX] = {false};
    while (cursor_ok(c) && cursor_left(c) > 0) {
        node_id id = cursor_u64(c);
        uint16_t len = cursor_u16(c);
        struct bytes url = cursor_take(c, len);
        if (cursor_ok(c) && len <= ETCD_URL_BYTES_MAX) {
            upkeep_learn_peer(api, id, url);
        }
        for (size_t i = 0; i < ETCD_PEERS_MAX; i++) {
            is_told[i] = is_told[i] || api->peers[i].id == id;
        }
    }
    for (size_t i = 0; i < ETCD_PEERS_MAX && cursor_ok(c); i++) {
        if (!is_told[i] && !raft_membership_lookup(ms, api->peers[i].id)) {
            upkeep_forget_peer(api, i);
        }
    }
}

/* A member that was removed is not reached for any more. */
static void upkeep_forget_peers(struct etcd_api *api, const struct store *store)
{
    const struct raft_membership *ms = node_status(api->node).membership;
    for (size_t i = 0; i < ETCD_PEERS_MAX; i++) {
        struct etcd_peer *peer = &api->peers[i];
        struct store_member_view m;
        if (peer->id != NODE_NONE && !raft_membership_lookup(ms, peer->id) &&
            !store_member_find(store, peer->id, &m)) {
            upkeep_forget_peer(api, i);
        }
    }
}

void etcd_upkeep_pulse(struct etcd_api *api)
{
    const struct store *store = node_store(api->node);
    if (!store || store_feature_level(store) < STORE_SYSTEM_LEVEL) {
        return;
    }
    upkeep_learn_peers(api, store);
    if (node_status(api->node).membership->n > 0 && !etcd_is_witness(api)) {
        upkeep_forget_peers(api, store);
        upkeep_tell_witnesses(api, store);
    }
    bool is_member =
        raft_membership_lookup(node_status(api->node).membership, api->cfg.member) != NULL;
    if (api->upkeep_busy || api->leader == NODE_NONE || !is_member || etcd_is_witness(api)) {
        return;
    }
    if (store_has_alarm_of(store, api->cfg.member, STORE_ALARM_NO_SPACE) &&
        !upkeep_is_over_quota(api, store, ETCD_QUOTA_CLEAR_PERCENT)) {
        upkeep_alarm(api, ETCD_ALARM_CLEAR);
    } else if (api->leader != api->cfg.member || !upkeep_publish_witness(api, store)) {
        upkeep_publish(api, store);
    }
}
