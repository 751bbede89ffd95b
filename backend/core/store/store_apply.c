/* The one way in: an entry of the log, by its kind. */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "core/store/store_pb.h"

struct store *store_open(uint16_t feature_level)
{
    CHECK(feature_level <= STORE_FEATURE_LEVEL_MAX);
    struct store *s = mem_alloc_zero(sizeof *s);
    store_mvcc_init(&s->mvcc);
    store_leases_init(&s->leases, &s->mvcc.slab);
    store_dedup_init(&s->dedup);
    store_watches_init(&s->watches);
    store_system_init(&s->system);
    store_tokens_init(&s->tokens);
    buf_init(&s->txn_path);
    s->feature_level = feature_level;
    return s;
}

void store_close(struct store *s)
{
    CHECK(store_link_is_alone(&s->watches.streams) && s->mvcc.pin_count == 0);
    store_leases_deinit(&s->leases);
    store_dedup_deinit(&s->dedup);
    store_system_deinit(&s->system);
    store_tokens_deinit(&s->tokens);
    buf_deinit(&s->txn_path);
    store_mvcc_deinit(&s->mvcc);
    mem_free(s);
}

static enum store_status apply_put(struct store *s, const struct store_envelope *e,
                                   struct buf *response)
{
    struct store_put_request r;
    enum store_status status = store_put_decode(e->body, &r);
    if (status == STORE_OK) {
        status = store_put_check(&r);
    }
    if (status == STORE_OK) {
        status = store_write_put_check(s, &r, false);
    }
    if (status == STORE_OK) {
        store_write_put(s, &r, response);
    }
    return status;
}

static enum store_status apply_delete(struct store *s, const struct store_envelope *e,
                                      struct buf *response)
{
    struct store_delete_request r;
    enum store_status status = store_delete_decode(e->body, &r);
    if (status == STORE_OK) {
        status = store_delete_check(&r);
    }
    if (status == STORE_OK) {
        (void)store_write_delete(s, &r, response);
    }
    return status;
}

static enum store_status apply_txn(struct store *s, const struct store_envelope *e,
                                   struct buf *response)
{
    struct store_txn_request txn;
    enum store_status status = store_txn_decode(e->body, &txn);
    if (status == STORE_OK) {
        status = store_txn_check(&txn);
    }
    return status == STORE_OK ? store_txn_run(s, &txn, response) : status;
}

static enum store_status apply_compaction(struct store *s, const struct store_envelope *e)
{
    int64_t revision;
    bool physical;
    enum store_status status = store_compaction_decode(e->body, &revision, &physical);
    if (status != STORE_OK) {
        return status;
    }
    if (revision <= s->mvcc.compact_revision) {
        return STORE_REVISION_COMPACTED;
    }
    if (revision > s->mvcc.revision) {
        return STORE_REVISION_FUTURE;
    }
    store_mvcc_compact(&s->mvcc, revision);
    return STORE_OK;
}

static enum store_status apply_grant(struct store *s, const struct store_envelope *e, nanos now,
                                     struct buf *response)
{
    struct store_lease_grant r;
    enum store_status status = store_grant_decode(e->body, &r);
    if (status != STORE_OK) {
        return status;
    }
    int64_t id = r.id != 0 ? r.id : (int64_t)e->assigned_id;
    if (id == 0) {
        return STORE_LEASE_NOT_FOUND;
    }
    if (r.ttl > STORE_LEASE_TTL_MAX_S) {
        return STORE_LEASE_TTL_TOO_LARGE;
    }
    if (store_leases_find(&s->leases, id) != NULL) {
        return STORE_LEASE_EXISTS;
    }
    int64_t least = e->lease_ttl_min_s > 0 ? e->lease_ttl_min_s : 1;
    int64_t ttl = r.ttl < least ? least : r.ttl;
    (void)store_leases_add(&s->leases, id, ttl, now);
    if (response != NULL) {
        store_pb_put_i64(response, 2, id);
        store_pb_put_i64(response, 3, ttl);
    }
    return STORE_OK;
}

static enum store_status apply_revoke(struct store *s, const struct store_envelope *e)
{
    int64_t id;
    enum store_status status = store_revoke_decode(e->body, &id);
    if (status != STORE_OK) {
        return status;
    }
    struct store_lease *lease = store_leases_find(&s->leases, id);
    if (lease == NULL) {
        return STORE_LEASE_NOT_FOUND;
    }
    store_write_revoke(s, lease);
    return STORE_OK;
}

static enum store_status apply_level(struct store *s, const struct store_envelope *e)
{
    if (e->body.len != 8) {
        return STORE_MALFORMED;
    }
    uint64_t level = le64_load(e->body.data);
    if (level < s->feature_level) {
        return STORE_NOT_CAPABLE;
    }
    CHECK(level <= STORE_FEATURE_LEVEL_MAX);
    s->feature_level = (uint16_t)level;
    return STORE_OK;
}

static enum store_status apply_kind(struct store *s, const struct store_entry *entry,
                                    const struct store_envelope *e, struct buf *response)
{
    if (e->body.len > STORE_REQUEST_BYTES_MAX) {
        return STORE_REQUEST_TOO_LARGE;
    }
    switch (e->kind) {
    case STORE_KIND_PUT:
        return apply_put(s, e, response);
    case STORE_KIND_DELETE:
        return apply_delete(s, e, response);
    case STORE_KIND_TXN:
        return apply_txn(s, e, response);
    case STORE_KIND_COMPACTION:
        return apply_compaction(s, e);
    case STORE_KIND_LEASE_GRANT:
        return apply_grant(s, e, entry->now, response);
    case STORE_KIND_LEASE_REVOKE:
        return apply_revoke(s, e);
    case STORE_KIND_LEASE_EXPIRE:
        if (e->term == entry->term || MUTANT(KV_LEASE_OLD_EXPIRY)) {
            return apply_revoke(s, e);
        }
        PROBE(STORE_EXPIRY_STALE);
        return STORE_EXPIRY_STALE;
    case STORE_KIND_FEATURE_LEVEL:
        return apply_level(s, e);
    default:
        return store_admin_apply(s, entry, e, response);
    }
}

/* Does a put count: of any key, or, if the cluster's own `are_exempt`, of one beside those? */
static bool put_counts(struct bytes body, bool are_exempt)
{
    const size_t n = sizeof(STORE_RESERVED_PREFIX) - 1;
    struct store_put_request put;
    return !are_exempt || store_put_decode(body, &put) != STORE_OK || put.key.len <= n ||
           memcmp(put.key.data, STORE_RESERVED_PREFIX, n) != 0;
}

/* Does a txn put anything that counts, in any branch? Its depth was bounded by its check, or is by
 * this one. */
static bool txn_puts(struct bytes body, bool are_exempt, uint32_t depth)
{
    struct store_txn_request txn;
    struct bytes item;
    if (depth > STORE_TXN_OPS_MAX || store_txn_decode(body, &txn) != STORE_OK) {
        return false;
    }
    for (uint32_t branch = 2; branch <= 3; branch++) {
        for (size_t at = 0; store_txn_item(&txn, branch, &at, &item);) {
            struct store_op op;
            bool known = store_op_decode(item, &op) == STORE_OK;
            if (known && ((op.kind == STORE_OP_PUT && put_counts(op.body, are_exempt)) ||
                          (op.kind == STORE_OP_TXN && txn_puts(op.body, are_exempt, depth + 1)))) {
                return true;
            }
        }
    }
    return false;
}

static bool request_grows(uint8_t kind, struct bytes body, bool are_exempt)
{
    return kind == STORE_KIND_LEASE_GRANT ||
           (kind == STORE_KIND_PUT && put_counts(body, are_exempt)) ||
           (kind == STORE_KIND_TXN && txn_puts(body, are_exempt, 0));
}

bool store_request_grows(uint8_t kind, struct bytes body)
{
    return request_grows(kind, body, false);
}

/* What an alarm forbids: growing, or everything that is in keys and leases. */
static enum store_status apply_alarm_check(const struct store *s, const struct store_envelope *e)
{
    if (s->system.alarm_count == 0) {
        return STORE_OK;
    }
    bool concerns_keys = (e->kind >= STORE_KIND_PUT && e->kind <= STORE_KIND_LEASE_REVOKE) ||
                         e->kind == STORE_KIND_LEASE_EXPIRE;
    if (concerns_keys && store_system_has_alarm(&s->system, STORE_ALARM_CORRUPT)) {
        return STORE_CORRUPT;
    }
    if (store_system_has_alarm(&s->system, STORE_ALARM_NO_SPACE) &&
        request_grows(e->kind, e->body, true)) {
        return STORE_NO_SPACE;
    }
    return STORE_OK;
}

static enum store_status apply_allowed(struct store *s, const struct store_entry *entry,
                                       const struct store_envelope *e, struct buf *response)
{
    struct store_user user = {e->user, e->auth_revision};
    enum store_status status = apply_alarm_check(s, e);
    if (status == STORE_OK) {
        status = store_rights_check(s, &user, e->kind, e->body);
    }
    return status == STORE_OK ? apply_kind(s, entry, e, response) : status;
}

/* Can this program apply it at all? What is above the cluster's level is refused by every program
 * alike; what is within it but unknown here was written for a newer one. */
static enum err apply_capable(const struct store *s, const struct store_envelope *e, bool *ret)
{
    int level = store_kind_level(e->kind);
    if (e->feature_level > s->feature_level || level > s->feature_level) {
        *ret = false;
        return OK;
    }
    if (level < 0) {
        return ERR_UNSUPPORTED;
    }
    if (e->kind == STORE_KIND_FEATURE_LEVEL && e->body.len == 8 &&
        le64_load(e->body.data) > STORE_FEATURE_LEVEL_MAX) {
        return ERR_UNSUPPORTED;
    }
    *ret = true;
    return OK;
}

/* Applies a proposal that is neither a duplicate nor refused, and ends the transaction. */
static void apply_new(struct store *s, const struct store_entry *entry,
                      const struct store_envelope *e, bool capable, struct store_result *ret,
                      struct buf *response)
{
    uint64_t from = s->mvcc.log.next;
    size_t base = response == NULL ? 0 : response->len;
    ret->status = capable ? apply_allowed(s, entry, e, response) : STORE_NOT_CAPABLE;
    if (ret->status != STORE_OK && response != NULL) {
        response->len = base;
    }
    store_mvcc_commit(&s->mvcc);
    ret->revision = s->mvcc.revision;
    store_watches_notify(&s->watches, &s->mvcc.log, from, s->mvcc.log.next);
    store_dedup_record(&s->dedup, e->origin, e->boot, e->sequence, entry->index,
                       (struct store_outcome){ret->revision, ret->status});
}

enum err store_apply(struct store *s, const struct store_entry *entry, struct store_result *ret,
                     struct buf *response)
{
    CHECK(entry->index > s->applied_index && s->mvcc.changes == 0);
    const uint64_t from = s->mvcc.log.next;
    struct store_result result = {.revision = s->mvcc.revision};
    if (entry->payload.len > 0) {
        struct store_envelope e;
        TRY(store_envelope_decode(entry->payload, &e));
        bool capable = false;
        TRY(apply_capable(s, &e, &capable));
        result.origin = e.origin;
        result.boot = e.boot;
        result.sequence = e.sequence;
        struct store_outcome old = {0};
        switch (store_dedup_ask(&s->dedup, e.origin, e.boot, e.sequence, entry->index, &old)) {
        case STORE_DEDUP_NEW:
            apply_new(s, entry, &e, capable, &result, response);
            break;
        case STORE_DEDUP_DUPLICATE:
            result.duplicate = true;
            PROBE(STORE_DUPLICATE);
            result.status = old.status;
            result.revision = old.revision;
            break;
        case STORE_DEDUP_OUTSIDE:
            result.status = STORE_OUTCOME_UNKNOWN;
            PROBE(STORE_OUTSIDE);
            break;
        case STORE_DEDUP_FULL:
        default:
            result.status = STORE_ORIGINS_FULL;
            break;
        }
    }
    s->applied_index = entry->index;
    store_mvcc_cool(&s->mvcc, (size_t)(s->mvcc.log.next - from) + STORE_COOL_BUDGET);
    *ret = result;
    return OK;
}

bool store_work(struct store *s, size_t budget)
{
    store_mvcc_cool(&s->mvcc, budget);
    return store_mvcc_reclaim(&s->mvcc, budget);
}

void store_keep_history(struct store *s, const struct store_history *history)
{
    s->mvcc.hot_limit = history->hot_bytes;
    struct store_cold *cold = s->mvcc.cold;
    /* What was taken from one world is given back to it. */
    CHECK(cold->memory == NULL || history->world == NULL ||
          history->world->self == cold->memory_self);
    cold->segment_bytes = history->segment_bytes;
    if (history->world != NULL) {
        cold->memory = history->world->memory;
        cold->memory_self = history->world->self;
    }
}
