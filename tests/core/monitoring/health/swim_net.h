/*
 * swim_net: a small network of members in virtual time, for the tests of membership.
 *
 * Every member is a `struct swim` on a host of its own. Datagrams take a time that is drawn, and
 * may be lost, doubled or cut off by rules that a test sets; streams are reliable where the rules
 * let them through. A host may be down, or stalled: then nothing runs on it, and what comes for it
 * waits.
 */
#ifndef NOVACRON_TESTS_SWIM_NET_H
#define NOVACRON_TESTS_SWIM_NET_H

#include "core/base/prng.h"
#include "core/monitoring/health/swim.h"

struct swim_net;

struct swim_host {
    struct swim swim;
    struct world_endpoint at;
    uint64_t instance;
    bool is_up;
    nanos stalled_until;
    nanos timer_at;
    uint32_t loss_in; /* percent of datagrams */
    uint32_t loss_out;
    uint32_t group; /* hosts of different groups do not hear each other, where is_split */
    bool udp_blocked;
    bool tcp_blocked;
    bool is_anomalous; /* what it sends and what comes for it waits while the net is `shut` */
    uint32_t waiting;  /* datagrams, for an anomalous host */
    uint64_t sent;
    uint64_t sent_bytes;
    uint64_t stream_bytes;
};

struct swim_event_in_flight;

struct swim_net {
    struct swim_host *hosts; /* host i has the id i + 1 */
    uint32_t n;
    nanos now;
    struct prng prng;
    struct swim_config config;
    struct seal_ring ring;
    bool is_split;
    uint32_t duplicate_percent;
    nanos delay_min;
    nanos delay_max;
    nanos shut_from; /* anomalous hosts: shut for `shut_span`, open for `open_span`, and so on */
    nanos shut_span; /* 0: never */
    nanos open_span;
    size_t mtu; /* larger datagrams vanish; 0: none do */
    struct swim_event_in_flight *heap;
    size_t n_heap;
    size_t heap_cap;
    uint64_t sequence;
    struct swim_update update;
    /* The test's, or NULL: what a host saw; and may a datagram pass? */
    void (*changed)(struct swim_net *net, uint32_t host, const struct swim_change *change);
    void (*stepped)(struct swim_net *net, uint32_t host, const struct swim_update *update);
    bool (*passes)(struct swim_net *net, uint32_t from, uint32_t to);
    /* The same for datagrams alone. */
    bool (*datagram_passes)(struct swim_net *net, uint32_t from, uint32_t to);
    void *owner;
};

/* `n` hosts with the configuration `config` (without what is each host's own). Where `is_whole`,
 * all know all from the start. */
void swim_net_open(struct swim_net *net, uint32_t n, const struct swim_config *config,
                   uint64_t seed, bool is_whole);
void swim_net_close(struct swim_net *net);

void swim_net_run(struct swim_net *net, nanos span);

/* Runs until `holds`, at most for `span`. True: it holds. */
bool swim_net_run_until(struct swim_net *net, nanos span, bool (*holds)(struct swim_net *));

void swim_net_step(struct swim_net *net, uint32_t host, const struct swim_event *event);
void swim_net_crash(struct swim_net *net, uint32_t host);

/* Starts a host anew, under a younger instance, knowing nobody; at a new address where `moves`. */
void swim_net_restart(struct swim_net *net, uint32_t host, bool moves);
void swim_net_join(struct swim_net *net, uint32_t host, uint32_t seed_host);
void swim_net_stall(struct swim_net *net, uint32_t host, nanos span);

/* How host `of` looks to host `at`; SWIM_STATES: it is unknown there. */
enum swim_state swim_net_state(const struct swim_net *net, uint32_t at, uint32_t of);

/* Do all hosts that are up hold all hosts that are up for alive, and no others? */
bool swim_net_is_settled(struct swim_net *net);

/* How many hosts that are up hold `of` to be in `state`. */
uint32_t swim_net_count(const struct swim_net *net, uint32_t of, enum swim_state state);

#endif
