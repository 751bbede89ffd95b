#include "tests/core/consensus/message_samples.h"

#include "core/base/check.h"

static struct bytes text_bytes(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0') {
        n++;
    }
    return (struct bytes){(const uint8_t *)text, n};
}

const struct raft_snapshot *snapshot_sample(void)
{
    static const struct raft_snapshot sample = {
        .index = 1000,
        .term = 6,
        .size = 70000,
        .digest = 0x0123456789abcdef,
        .membership =
            {
                .n = 5,
                .auto_leave = true,
                .in_sync_since = 990,
                .member =
                    {
                        {1, RAFT_VOTER | RAFT_VOTER_OUTGOING | RAFT_IN_SYNC, 100},
                        {2, RAFT_VOTER_OUTGOING | RAFT_LEARNER_NEXT, 0},
                        {3, RAFT_VOTER | RAFT_WITNESS, 100},
                        {300, RAFT_LEARNER | RAFT_AUTO_PROMOTE | RAFT_FRESH, 50},
                        {UINT64_MAX, RAFT_VOTER, 255},
                    },
            },
    };
    return &sample;
}

struct raft_conf_change conf_change_sample(void)
{
    return (struct raft_conf_change){
        .transition = RAFT_TRANSITION_JOINT_EXPLICIT,
        .n = 5,
        .single =
            {
                {RAFT_ADD_VOTER, 1, 100, false},
                {RAFT_REMOVE, 2, 0, false},
                {RAFT_UPDATE, 300, 7, false},
                {RAFT_ADD_LEARNER, 4, 100, true},
                {RAFT_ADD_WITNESS, 5, 100, false},
            },
        .context = text_bytes("10.0.0.4:7000"),
    };
}

/* What every type but a few carries. */
static struct raft_message sample_head(enum raft_message_type type)
{
    return (struct raft_message){.type = type, .from = 1, .to = 2, .term = 7};
}

static struct raft_message sample_with_entries(enum raft_message_type type)
{
    static struct raft_entry placed[3];
    static struct raft_entry proposed[2];
    struct raft_message m = sample_head(type);
    if (type == RAFT_MSG_PROP) {
        proposed[0].payload = text_bytes("put k v");
        proposed[1].type = RAFT_ENTRY_CONF;
        m.term = 0;
        m.entries = proposed;
        m.entry_count = COUNT_OF(proposed);
        return m;
    }
    static const char *const payloads[] = {"put a 1", "", "put b 2"};
    static const enum raft_entry_type types[] = {RAFT_ENTRY_NORMAL, RAFT_ENTRY_CONF,
                                                 RAFT_ENTRY_IN_SYNC};
    for (uint32_t i = 0; i < COUNT_OF(placed); i++) {
        placed[i] = (struct raft_entry){101 + i, 5 + i, types[i], text_bytes(payloads[i])};
    }
    m.entries = placed;
    m.entry_count = COUNT_OF(placed);
    if (type == RAFT_MSG_APP) {
        m.index = 100;
        m.log_term = 5;
        m.commit = 99;
    } else {
        m.index = 101;
        m.context = 0xfeed;
        m.lost_log = true;
    }
    return m;
}

static struct raft_message sample_of_snapshot(enum raft_message_type type)
{
    struct raft_message m = sample_head(type);
    m.snapshot = snapshot_sample();
    if (type == RAFT_MSG_SNAP) {
        m.hint = 900;
        m.source = 3;
        return m;
    }
    m.term = 0;
    m.offset = 65536;
    if (type == RAFT_MSG_SNAP_FETCH) {
        m.hint = 4464;
    } else {
        m.chunk = text_bytes("a piece of it");
        m.reject = true;
    }
    return m;
}

static struct raft_message sample_of_heartbeat(enum raft_message_type type)
{
    struct raft_message m = sample_head(type);
    m.context = 42;
    m.sent_at = 5 * NANOS_PER_S;
    if (type == RAFT_MSG_HEARTBEAT) {
        m.commit = 99;
    } else {
        m.index = 1000;
        m.hint = 65536;
    }
    return m;
}

static struct raft_message sample_of_repair(void)
{
    struct raft_message m = sample_head(RAFT_MSG_REPAIR);
    m.term = 0;
    m.context = 0xfeed;
    m.index = 101;
    m.hint = 103;
    m.commit = 99;
    m.lost_log = true;
    m.lost_vote = true;
    return m;
}

struct raft_message message_sample(enum raft_message_type type)
{
    struct raft_message m = sample_head(type);
    switch (type) {
    case RAFT_MSG_APP:
    case RAFT_MSG_PROP:
    case RAFT_MSG_REPAIR_RESP:
        return sample_with_entries(type);
    case RAFT_MSG_SNAP:
    case RAFT_MSG_SNAP_FETCH:
    case RAFT_MSG_SNAP_CHUNK:
        return sample_of_snapshot(type);
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
        return sample_of_heartbeat(type);
    case RAFT_MSG_REPAIR:
        return sample_of_repair();
    case RAFT_MSG_APP_RESP:
        m.index = 100;
        m.log_term = 4;
        m.hint = 90;
        m.reject = true;
        return m;
    case RAFT_MSG_VOTE:
    case RAFT_MSG_PRE_VOTE:
        m.index = 100;
        m.log_term = 5;
        m.transfer = true;
        return m;
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        m.reject = true;
        return m;
    case RAFT_MSG_READ_INDEX:
        m.term = 0;
        m.log_term = 7;
        m.context = UINT64_MAX;
        return m;
    case RAFT_MSG_READ_INDEX_RESP:
        m.context = UINT64_MAX;
        m.index = 100;
        return m;
    case RAFT_MSG_TRANSFER_LEADER:
        m.source = 3;
        return m;
    case RAFT_MSG_TIMEOUT_NOW:
        return m;
    case RAFT_MSG_TYPES:
        break;
    }
    CHECK(type < RAFT_MSG_TYPES);
    return m;
}
