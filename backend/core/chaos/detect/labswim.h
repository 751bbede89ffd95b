/*
 * A cluster of membership protocols (core/monitoring/health/swim.h) on the laboratory's network,
 * and what its members say of each other.
 *
 * It begins whole: every member knows every other one, as if they had joined long ago. Streams are
 * messages of their own on labnet: a request names who asked, an answer goes back to it.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABSWIM_H
#define NOVACRON_CHAOS_DETECT_LABSWIM_H

#include "core/chaos/detect/labnet.h"
#include "core/monitoring/health/swim.h"

/* The protocols that are compared: protocol, name. */
#define LABSWIM_TABLE(X)                                                                           \
    X(LABSWIM_PLAIN, "swim")          /* SWIM with suspicion, without Lifeguard */                 \
    X(LABSWIM_LIFEGUARD, "lifeguard") /* our model of memberlist */                                \
    X(LABSWIM_SHIPPED, "shipped")     /* ours, as novacrond runs it */

enum labswim_protocol {
#define LABSWIM_ENUM(protocol, name) protocol,
    LABSWIM_TABLE(LABSWIM_ENUM)
#undef LABSWIM_ENUM
        LABSWIM_PROTOCOLS
};

const char *labswim_name(enum labswim_protocol protocol);

struct labswim_config {
    enum labswim_protocol protocol;
    uint32_t hosts;
    uint64_t seed;
    const struct lablatency *latency; /* borrowed; NULL: a quiet Ethernet */
    /* May change the protocol's configuration before it is used; NULL: does not. */
    void (*tune)(void *ctx, struct swim_config *config);
    /* What a member says: `change` and `report` of swim.h, as they come. NULL: not wanted. */
    void (*changed)(void *ctx, uint32_t observer, const struct swim_change *change);
    void (*reported)(void *ctx, uint32_t observer, const struct swim_report *report);
    void *ctx;
    bool is_apart; /* nobody knows anybody: see labswim_join */
};

struct labswim_host {
    struct swim swim;
    struct world_endpoint at;
    uint64_t instance;
    nanos deadline; /* that it asked for */
};

struct labswim {
    struct labswim_config config;
    struct labnet *net;         /* owned */
    struct labswim_host *hosts; /* owned */
    struct seal_ring ring;
    struct prng prng;
    struct swim_update update;
};

/* A member's id is its host's number plus one. */
static inline node_id labswim_id(uint32_t host)
{
    return (node_id)host + 1;
}

static inline uint32_t labswim_host_of(node_id id)
{
    return (uint32_t)(id - 1);
}

void labswim_open(struct labswim *s, const struct labswim_config *config);
void labswim_close(struct labswim *s);
void labswim_run(struct labswim *s, nanos until);

/* `host` asks `seed` to let it in. */
void labswim_join(struct labswim *s, uint32_t host, uint32_t seed);

/* Whom `host` takes for its leader from now on; NODE_NONE: nobody. */
void labswim_lead(struct labswim *s, uint32_t host, node_id leader);

void labswim_crash(struct labswim *s, uint32_t host);

/* What `observer` holds of `subject`. */
enum swim_state labswim_state(const struct labswim *s, uint32_t observer, uint32_t subject);

#endif
