/*
 * The guard's one message, and its answer: of fixed sizes, over a unix socket of type
 * SOCK_SEQPACKET. docs/formats/guard-message.md has them byte by byte.
 *
 * A HOLD brings a pidfd along (SCM_RIGHTS), and perhaps, behind it, the file cgroup.kill of the
 * machine's control group, open for writing. Nothing else brings descriptors.
 *
 * Each message is answered, in order, under its own number.
 */
#ifndef NOVACRON_GUARD_GUARD_WIRE_H
#define NOVACRON_GUARD_GUARD_WIRE_H

#include "core/base/err.h"
#include "core/world/world.h"

#define GUARD_MESSAGE_BYTES 112
#define GUARD_ANSWER_BYTES  64
#define GUARD_FDS_MAX       2

/* Where it listens, unless it is told otherwise. */
#define GUARD_SOCKET_DEFAULT "/run/novacron/guard.sock"

enum guard_kind { GUARD_STATUS = 1, GUARD_LEASE = 2, GUARD_HOLD = 3 };

struct guard_message {
    enum guard_kind kind;
    uint64_t number;
    nanos until;                     /* LEASE */
    uint64_t epoch;                  /* HOLD */
    uint32_t pid;                    /* HOLD: of the process that the pidfd refers to */
    char name[WORLD_NAME_MAX_BYTES]; /* HOLD: up to its first zero, and zeros behind it */
};

struct guard_answer {
    enum err result; /* OK, or those of guard_lease and guard_hold */
    uint64_t number;
    uint64_t instance; /* of the guard: another one knows nothing of what this one was told */
    enum world_watchdog watchdog;
    nanos watchdog_timeout; /* guard_bound of the device's; 0: none */
    nanos lease_until;
    uint32_t machines;
    uint32_t doomed; /* of these: being killed */
};

void guard_message_encode(const struct guard_message *message, uint8_t bytes[GUARD_MESSAGE_BYTES]);
/* ERR_PROTOCOL: it is none of ours. ERR_UNSUPPORTED: of another version. */
MUST_USE enum err guard_message_decode(struct bytes bytes, struct guard_message *ret);

void guard_answer_encode(const struct guard_answer *answer, uint8_t bytes[GUARD_ANSWER_BYTES]);
MUST_USE enum err guard_answer_decode(struct bytes bytes, struct guard_answer *ret);

#endif
