/*
 * node_cluster: whole nodes on simulated hosts, and a client that puts and reads keys; for tests.
 * Virtual time passes only in the functions that wait.
 */
#ifndef NOVACRON_TESTS_SUPPORT_NODE_CLUSTER_H
#define NOVACRON_TESTS_SUPPORT_NODE_CLUSTER_H

#include "core/chaos/oracle/oracle.h"
#include "core/chaos/simworld.h"
#include "core/node/node.h"

#define NODES     3 /* of most tests */
#define NODES_MAX 5
#define KEY_BYTES 24

struct member {
    struct simhost *host;
    struct cluster3 *cluster;
    uint32_t i;
    struct node *node; /* NULL: down */
    char name[16];
    bool is_member; /* as in node_config: an empty disk is a lost one */
    bool halted;
    enum recovery_verdict verdict; /* of the last start, as are the alarms */
    uint32_t alarms;               /* enum raft_alarm */
    uint32_t refusals;             /* of streams, since the host was made; the last one: */
    const char *refused_why;
    node_id refused_peer;
    uint16_t program_level; /* that its program is to know; 0: the highest */
    uint32_t waits;         /* how often it said that it waits for another founder */
    uint32_t lost;          /* enum oracle_lost, to be told with the next start */
};

struct cluster3 {
    struct simworld *sim;
    struct oracle *oracle; /* owned; NULL where a test breaks what it watches */
    struct member member[NODES_MAX];
    uint32_t n;
    struct raft_membership founders;
    uint64_t snapshot_entries; /* as in node_config; change them before the start */
    bool asks_founders;
    uint16_t feature_level; /* that it is founded with; 0: the highest */
    uint64_t scrub_bytes_per_s;
    uint64_t cached_bytes; /* 0: entries that Raft keeps in memory, as usual */
    uint32_t chunk_bytes;  /* snapshots are fetched in such pieces, one at a time; 0: as usual */
    uint64_t batch_bytes;  /* 0: the log's batches and segments are of the usual size */
};

void cluster3_init(struct cluster3 *c, uint64_t seed, uint32_t n);
/* Asserts that the oracle found nothing. */
void cluster3_deinit(struct cluster3 *c);
/* From here on nobody watches. */
void cluster3_unwatch(struct cluster3 *c);
void cluster3_start(struct cluster3 *c);
void member_start(struct cluster3 *c, uint32_t i);

/* The process dies, or the power goes: what survives of unsynced writes is drawn. */
void member_kill(struct cluster3 *c, uint32_t i, bool power);
/* A cut of its power, and a new disk instead of its own; it is to be started again. */
void member_lose_disk(struct cluster3 *c, uint32_t i);

/* Time passes; every node's invariants are checked at its end. */
void cluster3_run(struct cluster3 *c, nanos span);

/* The same for one event; false: there is none. */
bool cluster3_step(struct cluster3 *c);

/* The member that leads; -1: none does. */
int cluster3_leader(const struct cluster3 *c);

/* Waits for one, asserts that there is one. */
uint32_t cluster3_elect(struct cluster3 *c);

/* One put; in place until it is done and put_wait was called, or until its node is gone. */
struct put {
    struct node_request request;
    struct buf body;
    bool done;
    enum err result;
};

void put_begin(struct put *p, struct node *node, const char *key, uint64_t value);

/* Any other request; it borrows the body. */
void put_begin_kind(struct put *p, struct node *node, enum store_kind kind, struct bytes body);

void put_wait(struct cluster3 *c, struct put *p);

/* The same in one, at a member; returns its result. */
enum err cluster3_try_put(struct cluster3 *c, uint32_t at, const char *key, uint64_t value);
void cluster3_put(struct cluster3 *c, uint32_t at, const char *key, uint64_t value);

/* A linearizable read at one member: how it ends. */
enum err cluster3_try_get(struct cluster3 *c, uint32_t at);

/* A linearizable read at one member; does the key hold this value? */
bool cluster3_get(struct cluster3 *c, uint32_t at, const char *key, uint64_t value);

/* Values that no length or revision in a response looks like. */
uint64_t value_of(uint64_t i);

#endif
