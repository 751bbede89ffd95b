/*
 * A store under test, and the shortest way to feed it: each call is one committed entry.
 *
 * Responses are read back by a small decoder of RangeResponse, so that tests speak of keys and not
 * of bytes on the wire.
 */
#ifndef NOVACRON_TESTS_STORE_FIXTURE_H
#define NOVACRON_TESTS_STORE_FIXTURE_H

#include "core/store/store.h"

#include "tests/support/test.h"

#define FIXTURE_KVS_MAX 64

struct fixture {
    struct store *store;
    uint64_t index;
    uint64_t term;
    uint64_t sequence;
    nanos now;
    struct bytes user; /* who asks; the auth revision is the present one, less `behind` */
    uint64_t behind;
    struct buf body;     /* scratch */
    struct buf payload;  /* scratch */
    struct buf response; /* of the last call */
    struct store_result result;
};

struct fixture_kv {
    struct bytes key;
    struct bytes value;
    int64_t create;
    int64_t mod;
    int64_t version;
    int64_t lease;
};

/* A decoded RangeResponse; views into the fixture's response. */
struct fixture_range {
    enum store_status status;
    struct fixture_kv kvs[FIXTURE_KVS_MAX];
    size_t count_kvs;
    int64_t count;
    bool more;
};

void fixture_init(struct fixture *f);
void fixture_init_at(struct fixture *f, uint16_t feature_level);
void fixture_deinit(struct fixture *f);

/* A string without its terminator. */
struct bytes text(const char *s);

/* Applies an operation with this body as the next entry; the result and response are the fixture's.
 */
enum store_status fixture_apply(struct fixture *f, enum store_kind kind, struct bytes body);

/* The same with a body as pb_text.h has it. */
enum store_status fixture_apply_text(struct fixture *f, enum store_kind kind, const char *body);

enum store_status fixture_put(struct fixture *f, const char *key, const char *value);
enum store_status fixture_put_request(struct fixture *f, const struct store_put_request *r);
enum store_status fixture_delete(struct fixture *f, const char *key, const char *range_end);
enum store_status fixture_compact(struct fixture *f, int64_t revision);
enum store_status fixture_grant(struct fixture *f, int64_t id, int64_t ttl);
enum store_status fixture_revoke(struct fixture *f, int64_t id);

/* One random operation on a few dozen keys and a few leases: puts, deletes, txns, grants, revokes,
 * and now and then a compaction. The payload stays in `f->payload`. */
void fixture_random_step(struct fixture *f, struct prng *prng);

/* Applies the payload of another fixture's last entry as the next entry here. */
void fixture_follow(struct fixture *f, const struct fixture *leader);

/* The whole snapshot of the store as it is now. */
void fixture_snapshot(const struct fixture *f, struct buf *out);

/* Reads, and decodes what came. */
struct fixture_range fixture_range(struct fixture *f, const struct store_range_request *r);

/* The value of a key now, or "(none)"; a static string for small values. */
const char *fixture_get(struct fixture *f, const char *key);

/* Decodes a RangeResponse; fails the test if it is none. */
struct fixture_range fixture_decode_range(struct bytes b);
struct fixture_kv fixture_decode_kv(struct bytes b);

/* The bytes of the first field with this number, empty if there is none. */
struct bytes fixture_field(struct bytes message, uint32_t number);
int64_t fixture_number(struct bytes message, uint32_t number);
size_t fixture_fields(struct bytes message, uint32_t number);

/* Building txns, into a buffer of the caller's. */
void txn_compare(struct buf *b, const struct store_compare *c);
void txn_put(struct buf *b, bool success, const char *key, const char *value);
void txn_delete(struct buf *b, bool success, const char *key, const char *range_end);
void txn_range(struct buf *b, bool success, const char *key, const char *range_end);
void txn_nest(struct buf *b, bool success, const struct buf *nested);
void txn_op(struct buf *b, bool success, enum store_op_kind kind, struct bytes body);

#endif
