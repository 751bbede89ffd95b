#include "tests/core/consensus/script_update.h"

#include <inttypes.h>

#include "tests/support/text.h"

static const struct {
    enum raft_alarm alarm;
    const char *name;
} alarm_names[] = {
    {RAFT_ALARM_IMPAIRED, "impaired"},
    {RAFT_ALARM_REPAIRED, "repaired"},
    {RAFT_ALARM_STALLED, "stalled"},
    {RAFT_ALARM_EXPOSED, "exposed"},
    {RAFT_ALARM_PROTOCOL, "protocol"},
    {RAFT_ALARM_QUORUM_FORCED, "quorum forced"},
    {RAFT_ALARM_LOST_ACKED, "lost what it acknowledged"},
};

static void print_alarms(const char *before, uint32_t alarms, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(alarm_names); i++) {
        if (alarms & (uint32_t)alarm_names[i].alarm) {
            text_add(out, "%sAlarm: %s\n", before, alarm_names[i].name);
        }
    }
}

static void print_entries_of(const char *title, const struct raft_entry *entries, uint32_t n,
                             struct buf *out)
{
    if (n > 0) {
        text_add(out, "%s:\n", title);
        etcd_describe_entries(entries, n, out);
    }
}

static void print_reads(const char *before, const struct raft_update *u, struct buf *out)
{
    for (uint32_t i = 0; i < u->read_count; i++) {
        text_add(out, "%sRead %" PRIu64 " at %" PRIu64 "\n", before, u->reads[i].id,
                 u->reads[i].index);
    }
    for (uint32_t i = 0; i < u->read_lost_count; i++) {
        text_add(out, "%sRead %" PRIu64 " lost\n", before, u->reads_lost[i]);
    }
}

static void print_install(const char *before, const struct raft_update *u, struct buf *out)
{
    if (u->install) {
        text_add(out, "%sSnapshot ", before);
        etcd_describe_snapshot(u->install, out);
        text_add(out, "%s\n", u->install_keeps_log ? " KeepsLog" : "");
    }
}

/* What the core wants read from the disk, or written beside the log. */
static void print_disk_work(const struct raft_update *u, struct buf *out)
{
    for (uint32_t i = 0; i < u->load_count; i++) {
        text_add(out, "Loads %" PRIu64 "-%" PRIu64 " for %" PRIu64 "\n", u->loads[i].first,
                 u->loads[i].last, u->loads[i].peer);
    }
    for (uint32_t i = 0; i < u->chunk_read_count; i++) {
        const struct raft_chunk *c = &u->chunk_reads[i];
        text_add(out, "Reads snapshot %" PRIu64 " at %" PRIu64 " for %" PRIu64 "\n", c->snapshot,
                 c->offset, c->peer);
    }
    for (uint32_t i = 0; i < u->chunk_write_count; i++) {
        const struct raft_chunk *c = &u->chunk_writes[i];
        text_add(out, "%s snapshot %" PRIu64 " at %" PRIu64 "\n", c->len > 0 ? "Writes" : "Opens",
                 c->snapshot, c->offset);
    }
}

void script_print_update(const struct raft_update *u, const struct script_queue *sent,
                         struct buf *out)
{
    struct buf body;
    buf_init(&body);
    if (u->has_soft_state) {
        text_add(&body, "Lead:%" PRIu64 " State:%s\n", u->leader, etcd_role_name(u->role));
    }
    print_alarms("", u->alarms, &body);
    if (u->has_hard_state) {
        text_add(&body, "HardState ");
        etcd_describe_hard_state(&u->hard_state, &body);
        text_add(&body, "\n");
    }
    print_reads("", u, &body);
    print_entries_of("Entries", u->entries, u->entry_count, &body);
    print_entries_of("Repairs", u->repairs, u->repair_count, &body);
    print_install("", u, &body);
    print_entries_of("CommittedEntries", u->committed, u->committed_count, &body);
    print_disk_work(u, &body);
    if (sent->n > 0) {
        text_add(&body, "Messages:\n");
    }
    for (size_t i = 0; i < sent->n; i++) {
        script_message_print(sent->items[i], &body);
    }
    if (body.len > 0) {
        text_add(out, "Ready MustSync=%s:\n", u->must_sync ? "true" : "false");
        buf_put(out, body.data, body.len);
    } else {
        text_add(out, "<empty Ready>\n");
    }
    buf_deinit(&body);
}

void script_print_news(node_id id, const struct raft_update *u, struct buf *out)
{
    char before[32];
    (void)snprintf(before, sizeof(before), "%" PRIu64 ": ", id);
    if (u->has_soft_state) {
        text_add(out, "%sLead:%" PRIu64 " State:%s\n", before, u->leader, etcd_role_name(u->role));
    }
    print_alarms(before, u->alarms, out);
    print_reads(before, u, out);
    print_install(before, u, out);
    if (u->repair_count > 0) {
        text_add(out, "%sRepairs %" PRIu64 "-%" PRIu64 "\n", before, u->repairs[0].index,
                 u->repairs[u->repair_count - 1].index);
    }
}
