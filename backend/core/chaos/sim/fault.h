/*
 * The vocabulary of faults, and fault plans as data.
 *
 * A plan is a list of rows: at this time, this happens to these targets, for so long. It is drawn
 * before a run, from a generator of its own (plan.c), and carried out by inject.c. A row that needs
 * further draws (which byte rots, which half of the hosts) takes them from its own `draw`, so a row
 * that is removed leaves the others as they are. That is what makes a failing plan shrink.
 *
 * Swarm testing [Groce12]: each family is wholly off in about half of the seeds, and its strength
 * is drawn where it is on. What is always a little on hides what only shows without it.
 */
#ifndef NOVACRON_CHAOS_SIM_FAULT_H
#define NOVACRON_CHAOS_SIM_FAULT_H

#include "core/base/buf.h"
#include "core/base/types.h"

/* Rows of one plan, at most: more than a run has time for. */
#define FAULT_ROWS_MAX 512

/* enumerator, name */
#define FAULT_FAMILY_TABLE(X)                                                                      \
    X(FAMILY_CUT, "cut")                                                                           \
    X(FAMILY_LOSS, "loss")                                                                         \
    X(FAMILY_DELAY, "delay")                                                                       \
    X(FAMILY_CLOG, "clog")                                                                         \
    X(FAMILY_STREAM, "stream")                                                                     \
    X(FAMILY_CRASH, "crash")                                                                       \
    X(FAMILY_POWER, "power")                                                                       \
    X(FAMILY_PAUSE, "pause")                                                                       \
    X(FAMILY_CPU, "cpu")                                                                           \
    X(FAMILY_CLOCK, "clock")                                                                       \
    X(FAMILY_DISK_SLOW, "disk-slow")                                                               \
    X(FAMILY_DISK_ERROR, "disk-error")                                                             \
    X(FAMILY_DISK_FULL, "disk-full")                                                               \
    X(FAMILY_DISK_LOSS, "disk-loss")                                                               \
    X(FAMILY_MEMBER, "member")                                                                     \
    X(FAMILY_OPERATE, "operate")                                                                   \
    X(FAMILY_DATAGRAM, "datagram")                                                                 \
    X(FAMILY_MACHINE, "machine")                                                                   \
    X(FAMILY_FENCE, "fence")                                                                       \
    X(FAMILY_GUARD, "guard")                                                                       \
    X(FAMILY_STORAGE, "storage")                                                                   \
    X(FAMILY_MAINS, "mains")                                                                       \
    X(FAMILY_APP, "app")

enum fault_family {
#define FAULT_FAMILY_ENUM(name, text) name,
    FAULT_FAMILY_TABLE(FAULT_FAMILY_ENUM)
#undef FAULT_FAMILY_ENUM
        FAULT_FAMILIES
};

/* enumerator, family, name, what it does. `mode` and `number` mean what the text says. */
#define FAULT_TABLE(X)                                                                             \
    X(FAULT_ISOLATE, FAMILY_CUT, "isolate", "one host reaches nobody")                             \
    X(FAULT_SPLIT, FAMILY_CUT, "split", "the hosts fall into two halves")                          \
    X(FAULT_MUTE, FAMILY_CUT, "mute", "nothing that one host sends arrives")                       \
    X(FAULT_DEAFEN, FAMILY_CUT, "deafen", "nothing arrives at one host")                           \
    X(FAULT_BRIDGE, FAMILY_CUT, "bridge", "two halves, and one host that both reach")              \
    X(FAULT_RING, FAMILY_CUT, "ring", "each host reaches its neighbours on a ring only")           \
    X(FAULT_SEVER, FAMILY_CUT, "sever", "one pair of hosts does not reach each other")             \
    X(FAULT_FLICKER, FAMILY_CUT, "flicker", "one host is cut off and back every `number` ns")      \
    X(FAULT_SWIZZLE, FAMILY_CLOG, "swizzle",                                                       \
      "some hosts clog one by one, and open in an order "                                          \
      "of their own")                                                                              \
    X(FAULT_LOSE, FAMILY_LOSS, "lose", "`number` ppm of the packets are lost")                     \
    X(FAULT_DUPLICATE, FAMILY_LOSS, "duplicate", "`number` ppm of the datagrams come twice")       \
    X(FAULT_LATE, FAMILY_LOSS, "late", "some datagrams come up to `number` ns late")               \
    X(FAULT_BLACKHOLE, FAMILY_LOSS, "blackhole", "what is larger than `number` bytes is lost")     \
    X(FAULT_SLOW_NET, FAMILY_DELAY, "slow-net", "every packet takes `number` ns more")             \
    X(FAULT_TAIL, FAMILY_DELAY, "tail", "few packets take up to `number` ns more")                 \
    X(FAULT_NARROW, FAMILY_DELAY, "narrow", "`number` bytes a second pass")                        \
    X(FAULT_CLOG, FAMILY_CLOG, "clog", "what is sent waits, and arrives at the end")               \
    X(FAULT_RESET, FAMILY_STREAM, "reset", "the streams of a host break")                          \
    X(FAULT_STALL_STREAM, FAMILY_STREAM, "stall-stream", "the streams that exist carry nothing")   \
    X(FAULT_KILL, FAMILY_CRASH, "kill", "the process dies, and starts again afterwards")           \
    X(FAULT_KILL_LOOP, FAMILY_CRASH, "kill-loop", "it dies soon after each start")                 \
    X(FAULT_KILL_ALL, FAMILY_CRASH, "kill-all", "every process dies")                              \
    X(FAULT_POWER, FAMILY_POWER, "power", "the host loses power: unsynced writes may be lost")     \
    X(FAULT_POWER_ALL, FAMILY_POWER, "power-all", "every host loses power")                        \
    X(FAULT_PAUSE, FAMILY_PAUSE, "pause", "the process stands still, as under SIGSTOP")            \
    X(FAULT_SUSPEND, FAMILY_PAUSE, "suspend", "the host sleeps; its clock shows it afterwards")    \
    X(FAULT_SLOW_CPU, FAMILY_CPU, "slow-cpu", "each event takes `number` ns of the processor")     \
    X(FAULT_DRIFT, FAMILY_CLOCK, "drift", "the clock runs `number` ppm fast (mode 0) or slow")     \
    X(FAULT_STEP, FAMILY_CLOCK, "step", "the clock jumps `number` ns forward")                     \
    X(FAULT_SLOW_DISK, FAMILY_DISK_SLOW, "slow-disk", "operations and syncs take longer")          \
    X(FAULT_STALL_DISK, FAMILY_DISK_SLOW, "stall-disk", "nothing completes on a lane")             \
    X(FAULT_FAIL_SYNC, FAMILY_DISK_ERROR, "fail-sync", "one sync fails")                           \
    X(FAULT_FAIL_WRITE, FAMILY_DISK_ERROR, "fail-write", "one write fails")                        \
    X(FAULT_FAIL_READ, FAMILY_DISK_LOSS, "fail-read", "some reads fail")                           \
    X(FAULT_FULL, FAMILY_DISK_FULL, "full", "the disk has no more room")                           \
    X(FAULT_ROT, FAMILY_DISK_LOSS, "rot", "bits of what is on the disk flip; mode: which files")   \
    X(FAULT_SPOIL, FAMILY_DISK_LOSS, "spoil", "sectors of the log cannot be read")                 \
    X(FAULT_MISDIRECT, FAMILY_DISK_LOSS, "misdirect", "a sector of the log lands on another")      \
    X(FAULT_CUT_FILE, FAMILY_DISK_LOSS, "cut-file", "a file of the log or a snapshot is cut off")  \
    X(FAULT_LOSE_FILE, FAMILY_DISK_LOSS, "lose-file", "a file vanishes")                           \
    X(FAULT_LIE, FAMILY_DISK_LOSS, "lie", "syncs say yes and do nothing, then power is lost")      \
    X(FAULT_WIPE, FAMILY_DISK_LOSS, "wipe", "the disk is replaced by an empty one")                \
    X(FAULT_OLD_DISK, FAMILY_DISK_LOSS, "old-disk", "the disk is as it was some time ago")         \
    X(FAULT_ADD, FAMILY_MEMBER, "add", "a new host joins as a learner, to be promoted")            \
    X(FAULT_PROMOTE, FAMILY_MEMBER, "promote", "a learner shall vote")                             \
    X(FAULT_DEMOTE, FAMILY_MEMBER, "demote", "a voter shall be a learner")                         \
    X(FAULT_REMOVE, FAMILY_MEMBER, "remove", "a member is removed; its process runs on")           \
    X(FAULT_REPLACE, FAMILY_MEMBER, "replace", "a new host takes a member's place at once")        \
    X(FAULT_LEAVE_JOINT, FAMILY_MEMBER, "leave-joint",                                             \
      "leave a joint configuration, asked or not")                                                 \
    X(FAULT_TRANSFER, FAMILY_OPERATE, "transfer", "leadership is handed to somebody")              \
    X(FAULT_CAMPAIGN, FAMILY_OPERATE, "campaign", "a member is told to campaign")                  \
    X(FAULT_STOP, FAMILY_OPERATE, "stop", "a node is stopped in order, and started again")         \
    X(FAULT_SNAPSHOT, FAMILY_OPERATE, "snapshot", "a member takes a snapshot now")                 \
    X(FAULT_COMPACT, FAMILY_OPERATE, "compact", "a client compacts the store's history")           \
    X(FAULT_UPGRADE, FAMILY_OPERATE, "upgrade",                                                    \
      "nodes are started again as the newer release; after the last one the level is raised")      \
    X(FAULT_BLOCK, FAMILY_DATAGRAM, "block",                                                       \
      "streams pass and datagrams do not; mode: between two hosts, one way, at one host, "         \
      "anywhere")                                                                                  \
    X(FAULT_VM_CRASH, FAMILY_MACHINE, "vm-crash", "the process of a machine dies")                 \
    X(FAULT_VM_SHUT_DOWN, FAMILY_MACHINE, "vm-shut-down", "a guest shuts its machine down")        \
    X(FAULT_VM_HANG, FAMILY_MACHINE, "vm-hang", "a machine stands still")                          \
    X(FAULT_VM_MUTE, FAMILY_MACHINE, "vm-mute", "a machine runs, and answers nothing")             \
    X(FAULT_VM_STUCK, FAMILY_MACHINE, "vm-stuck", "a machine is in uninterruptible sleep")         \
    X(FAULT_VM_STUBBORN, FAMILY_MACHINE, "vm-stubborn", "a guest ignores its power button")        \
    X(FAULT_VM_AGENT, FAMILY_MACHINE, "vm-agent",                                                  \
      "a guest's agent fails; mode: is mute, its programs fail, end late, hang")                   \
    X(FAULT_VM_NO_START, FAMILY_MACHINE, "vm-no-start", "`number` starts on a host fail")          \
    X(FAULT_VM_MOVE, FAMILY_MACHINE, "vm-move",                                                    \
      "an operator wishes a machine on another host; mode 0 and 1: live, 2: offline")              \
    X(FAULT_DEVICE, FAMILY_FENCE, "device", "a host's fence device fails; mode: how")              \
    X(FAULT_NO_DEVICES, FAMILY_FENCE, "no-devices", "a host reaches no fence device")              \
    X(FAULT_GUARD_STALL, FAMILY_GUARD, "guard-stall", "a host's guard stands still")               \
    X(FAULT_VOLUME_CUT, FAMILY_STORAGE, "volume-cut", "a host does not reach the volumes")         \
    X(FAULT_SWITCH_OFF, FAMILY_MAINS, "switch-off", "a host is switched off, and on again")        \
    X(FAULT_UNPLUG, FAMILY_MAINS, "unplug", "a host and its fence device have no mains")           \
    X(FAULT_APP, FAMILY_APP, "app",                                                                \
      "the applications of a host fail; mode: refuse, are mute, hang, babble, break off, are "     \
      "late")

enum fault_kind {
#define FAULT_ENUM(name, family, text, help) name,
    FAULT_TABLE(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS
};

/* Whom a row strikes; resolved when it is due. */
enum fault_target {
    TARGET_ANY,      /* the pick-th host that is up, counted round */
    TARGET_LEADER,   /* whoever leads; nobody: as ANY */
    TARGET_FOLLOWER, /* the pick-th that is up and does not lead */
    TARGET_HOST,     /* the host numbered `pick`, up or down */
    TARGET_KINDS
};

struct fault {
    nanos at;   /* after faults began */
    nanos span; /* 0: it has no end, or ends by itself */
    enum fault_kind kind;
    enum fault_target target;
    uint32_t pick;
    uint32_t mode;
    uint64_t number;
    uint64_t draw;
};

struct fault_plan {
    struct fault rows[FAULT_ROWS_MAX]; /* ascending by `at` */
    uint32_t count;
};

const char *fault_name(enum fault_kind kind);
const char *fault_help(enum fault_kind kind);
enum fault_family fault_family_of(enum fault_kind kind);
const char *fault_family_name(enum fault_family family);

/* One line of text for a row, without its end: time, span, kind, target, numbers. */
void fault_print(const struct fault *row, struct buf *out);

#endif
