/*
 * The limits of the store, all of them, each with its unit and its reason.
 *
 * A limit that decides the outcome of a payload is part of the replicated state machine: every
 * member must have the same, so changing one needs a new feature level.
 */
#ifndef NOVACRON_STORE_LIMITS_H
#define NOVACRON_STORE_LIMITS_H

/* Bytes of one client request: etcd's default, which its clients are tuned for. Replicated. */
#define STORE_REQUEST_BYTES_MAX (1536u * 1024u)

/* Compares, success or failure operations of one txn, and the budget that nested txns share:
 * etcd's default. It also bounds the depth of nesting, hence of our recursion. Replicated. */
#define STORE_TXN_OPS_MAX 128

/* Operations of one txn in all its branches together. etcd bounds them only by the request's size;
 * no client comes near this, and it bounds the cost of the duplicate check. Replicated. */
#define STORE_TXN_OPS_TOTAL_MAX 4096

/* Longest TTL that a lease may ask for, in seconds: etcd's. Replicated. */
#define STORE_LEASE_TTL_MAX_S 9000000000

/* Bytes of a user's name in an envelope. Replicated. */
#define STORE_USER_BYTES_MAX 256

/* Bytes of users, roles, alarms and members together, encoded: it is one block of a snapshot, and
 * is hashed whole at each change. Thousands of users fit. Replicated. */
#define STORE_SYSTEM_BYTES_MAX (1024u * 1024u)

/* Bytes of a password's hash, with its salt and parameters. Replicated. */
#define STORE_PASSWORD_BYTES_MAX 256

/* Alarms: two kinds for as many members as there ever are. Replicated. */
#define STORE_ALARMS_MAX 128

/* Members with a name or URLs, URLs of one kind for each, bytes of one. Replicated. */
#define STORE_MEMBERS_MAX   64
#define STORE_URLS_MAX      16
#define STORE_URL_BYTES_MAX 256

/* Tokens that a member remembers; beyond, the one that was used longest ago is forgotten. And for
 * how long after its last use: etcd's. A token is a few hundred bytes. */
#define STORE_TOKENS_MAX 65536
#define STORE_TOKEN_TTL  (300 * NANOS_PER_S)

/* Bytes of the part of a token that the proposer draws: etcd's have 16. Replicated. */
#define STORE_TOKEN_BYTES_MAX 64

/* Origins in the dedup window: each voter and each former voter that has not been idle for long.
 * Replicated. */
#define STORE_ORIGINS_MAX 64

/* Sequences that the window remembers for each origin: above the proposals that one node can have
 * under way. Replicated. */
#define STORE_ORIGIN_WINDOW 1024

/* Log entries without a payload of an origin after which a full window may forget it. No proposal
 * is retried for that long. Replicated. */
#define STORE_ORIGIN_IDLE_ENTRIES 1000000

/* The newest feature level that this program implements. */
#define STORE_FEATURE_LEVEL_MAX 2

/* Keys of the cluster's own: who runs which machine, and who is lost. While the alarm NO_SPACE is
 * raised they are written all the same, for they are few, and without them nothing is recovered.
 * Clients are held to the quota before they propose, with these keys too. Replicated. */
#define STORE_RESERVED_PREFIX "/novacron/"

/* The feature level that brought users, alarms and members: from it on they are hashed and written
 * into snapshots. */
#define STORE_SYSTEM_LEVEL 2

/* Keys in a leaf of the key tree: all that a search of it reads is thirteen cache lines, which are
 * asked for at once. At most 64, the bits of the live mask. */
#define STORE_LEAF_FANOUT 32

/* Children of an inner node: the inner nodes of a million keys stay in the caches, where flat is
 * better than small. */
#define STORE_INNER_FANOUT 64

/* Levels of the key tree. A node but the root holds at least one sixteenth of the fan-out before it
 * is merged away, so 16 levels hold more keys than any memory. */
#define STORE_TREE_DEPTH_MAX 16

/* Levels of the AVL trees (leases, watches): 1.44 * log2(2^32). */
#define STORE_AVL_DEPTH_MAX 48

/* Changes in one segment of the history log: 32 KiB at 8 bytes each. And of so many changes the
 * log keeps one chain hash: others are that many steps away at most. */
#define STORE_LOG_SEGMENT_ENTRIES 4096
#define STORE_LOG_CHAIN_SPACING   64

/* Bytes of the newest changes whose history is in memory only, what they superseded included: what
 * watches that keep up, and readers of a moment ago, look at. */
#define STORE_HISTORY_HOT_BYTES (256u * 1024u)

/* Bytes of memory for older changes that are taken, and given back, at a time: one write to a disk.
 */
#define STORE_COLD_SEGMENT_BYTES (256u * 1024u)

/* Places of older changes that were read, after which the world is told that it is over, and the
 * bytes around each that such a read may bring into memory: what Linux maps around a fault. */
#define STORE_COLD_READS       32
#define STORE_COLD_BLOCK_BYTES (64u * 1024u)

/* Changes that one applied entry makes cold at most, beyond as many as it made itself. */
#define STORE_COOL_BUDGET 16

/* Every so many versions of a key carry a jump across the older ones. */
#define STORE_ANCHOR_SPACING 8

/* Bytes of a slab page, of the chunks that pages are cut from, and of the largest object that a
 * page holds; a larger one is its own allocation. */
#define STORE_SLAB_PAGE_BYTES   (64u * 1024u)
#define STORE_SLAB_CHUNK_BYTES  (2048u * 1024u)
#define STORE_SLAB_OBJECT_BYTES 4096u

/* Readers and half-built watch responses that may hold back compaction at one time: above the
 * client calls that a server runs at once. Each costs a visit in store_work. */
#define STORE_READERS_MAX 8192

/* Snapshots that may be written at one time: one for the disk, and one for each peer or client that
 * asked for one. */
#define STORE_SNAPSHOTS_MAX 64

/* Bytes of one snapshot block at which it is closed: small enough to be written between two other
 * pieces of work. One change may exceed it. */
#define STORE_SNAPSHOT_BLOCK_BYTES (64u * 1024u)

/* What a restore accepts as one block: a block that a single change of the largest size made. */
#define STORE_SNAPSHOT_BLOCK_BYTES_MAX                                                             \
    (STORE_SNAPSHOT_BLOCK_BYTES + STORE_REQUEST_BYTES_MAX + 4096u)

/* Bytes of one range response: what a gRPC server of etcd sends at most. */
#define STORE_RESPONSE_BYTES_MAX 0x7fffffffu

/* Bytes of events after which a watch response is closed, at the next revision or, for a watch
 * that asked for fragments, at the next event: etcd's request limit plus its overhead. */
#define STORE_WATCH_RESPONSE_BYTES (STORE_REQUEST_BYTES_MAX + 512u * 1024u)

/* Revisions in one watch response: etcd's batch. */
#define STORE_WATCH_RESPONSE_REVISIONS 1000

/* Watches on one stream: four times what a kube-apiserver holds open cluster-wide. */
#define STORE_STREAM_WATCHES_MAX 65536

_Static_assert(STORE_LEAF_FANOUT <= 64, "a leaf's live mask is one word");
_Static_assert(STORE_LEAF_FANOUT % 16 == 0, "the merge thresholds divide the fan-out");
_Static_assert(STORE_INNER_FANOUT % 16 == 0, "the merge thresholds divide the fan-out");
_Static_assert(STORE_TXN_OPS_MAX <= STORE_TXN_OPS_TOTAL_MAX, "one level fits into the whole");
_Static_assert(STORE_SLAB_OBJECT_BYTES * 8 <= STORE_SLAB_PAGE_BYTES,
               "a page holds several objects");
_Static_assert(STORE_SLAB_CHUNK_BYTES >= 16 * STORE_SLAB_PAGE_BYTES, "alignment wastes little");
_Static_assert(STORE_LOG_SEGMENT_ENTRIES % STORE_LOG_CHAIN_SPACING == 0, "whole groups");
_Static_assert(STORE_WATCH_RESPONSE_BYTES >= STORE_REQUEST_BYTES_MAX, "any one event fits");
_Static_assert(STORE_SYSTEM_BYTES_MAX <= STORE_REQUEST_BYTES_MAX, "it fits into a snapshot block");
_Static_assert(STORE_ORIGIN_WINDOW % 64 == 0, "the window is a bitmap of words");

#endif
