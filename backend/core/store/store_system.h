/*
 * What is replicated besides keys and leases: users and rights, alarms, and what the members call
 * themselves. It changes rarely and is bounded, so its canonical encoding is kept beside it: that
 * is what members compare and what a snapshot holds (docs/formats/store-snapshot.md, block 7).
 */
#ifndef NOVACRON_STORE_SYSTEM_H
#define NOVACRON_STORE_SYSTEM_H

#include "core/base/buf.h"
#include "core/base/types.h"
#include "core/store/store_auth.h"

struct store_alarm {
    node_id member;
    uint8_t kind; /* enum store_alarm_kind */
};

/* The lists of URLs are each URL as buf_put_bytes writes it, one after the other. */
struct store_member {
    node_id id;
    struct buf name;
    struct buf peer_urls;
    struct buf client_urls;
};

struct store_system {
    struct store_auth auth;
    struct store_alarm *alarms; /* owned, by member and kind */
    size_t alarm_count, alarm_cap;
    struct store_member *members; /* owned, by id */
    size_t member_count, member_cap;
    struct buf encoded; /* of all that */
    uint64_t hash;      /* of `encoded` */
};

void store_system_init(struct store_system *y);
void store_system_deinit(struct store_system *y);

/* Something changed: encodes it anew. */
void store_system_changed(struct store_system *y);

/* Would so many bytes more still fit? */
bool store_system_has_room(const struct store_system *y, size_t more);

/* STORE_TOO_MANY_REQUESTS: there are STORE_ALARMS_MAX. Raising what is raised is fine. */
MUST_USE enum store_status store_system_alarm_raise(struct store_system *y,
                                                    struct store_alarm alarm);
bool store_system_alarm_clear(struct store_system *y, struct store_alarm alarm);
bool store_system_has_alarm(const struct store_system *y, enum store_alarm_kind kind);
struct store_member *store_system_member(const struct store_system *y, node_id id);

/* Finds it, or makes it; NULL: there are STORE_MEMBERS_MAX. */
struct store_member *store_system_member_make(struct store_system *y, node_id id);
bool store_system_member_drop(struct store_system *y, node_id id);

/* Is it a list of at most STORE_URLS_MAX URLs, none of them empty or too long? */
bool store_system_urls_are_sane(struct bytes list);

/* Fills one that was just made. ERR_CORRUPT: it is not what store_system_changed would write. */
MUST_USE enum err store_system_decode(struct store_system *y, struct bytes b);

#endif
