/*
 * Prints docs/raft-config.md from what the program was compiled with: the table of raft.h, both
 * profiles, what raft_config_check says to each relation that is broken, and the limits.
 *
 *     raft-config-page             prints the page; `make docs` puts it in its place
 *     raft-config-page FILE        compares: 0 where FILE is this page, 1 where it is stale
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/consensus/raft/raft.h"
#include "core/consensus/raft/raft_int.h"

#define PAGE_BYTES_MAX (64 * 1024)

static char page[PAGE_BYTES_MAX];
static size_t page_len;

static void page_put(const char *text)
{
    size_t len = strlen(text);
    CHECK(page_len + len < PAGE_BYTES_MAX);
    memcpy(page + page_len, text, len);
    page_len += len;
}

struct page_unit {
    uint64_t size;
    const char *name;
};

/* Writes `v` in the largest unit of which it is a multiple. */
static void page_put_scaled(uint64_t v, const struct page_unit *units, size_t n)
{
    char text[64];
    for (size_t i = 0; i < n; i++) {
        if (v != 0 && v % units[i].size == 0) {
            (void)snprintf(text, sizeof(text), "%" PRIu64 " %s", v / units[i].size, units[i].name);
            page_put(text);
            return;
        }
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64, v);
    page_put(text);
}

static void page_put_value(uint64_t v, const char *type, const char *unit)
{
    static const struct page_unit times[] = {
        {NANOS_PER_S, "s"}, {NANOS_PER_MS, "ms"}, {NANOS_PER_US, "µs"}, {1, "ns"}};
    static const struct page_unit sizes[] = {{1024 * 1024, "MiB"}, {1024, "KiB"}, {1, "B"}};
    static const struct page_unit rates[] = {{1000 * 1000, "MB/s"}, {1000, "kB/s"}, {1, "B/s"}};
    if (strcmp(type, "bool") == 0) {
        page_put(v != 0 ? "yes" : "no");
    } else if (v == UINT64_MAX) {
        page_put("2^64 - 1");
    } else if (strcmp(unit, "ns") == 0) {
        page_put_scaled(v, times, COUNT_OF(times));
    } else if (strcmp(unit, "B") == 0) {
        page_put_scaled(v, sizes, COUNT_OF(sizes));
    } else if (strcmp(unit, "B/s") == 0) {
        page_put_scaled(v, rates, COUNT_OF(rates));
    } else {
        page_put_scaled(v, NULL, 0);
    }
}

static void page_put_key(const char *key, const char *type, const char *unit,
                         const uint64_t values[4], const char *doc)
{
    page_put("| `");
    page_put(key);
    page_put("` | ");
    page_put(type);
    page_put(" | ");
    page_put(unit);
    for (int i = 0; i < 4; i++) {
        page_put(" | ");
        page_put_value(values[i], type, unit);
    }
    page_put(" | ");
    page_put(doc);
    page_put(" |\n");
}

static void page_put_keys(void)
{
    const struct raft_config lan = raft_config_default(1, 1);
    const struct raft_config stretch = raft_config_stretch(1, 1);
    page_put("| key | type | unit | lan | stretch | smallest | largest | what it does |\n"
             "|-----|------|------|-----|---------|----------|---------|--------------|\n");
#define PAGE_KEY(key, type, unit, preset, lo, hi, doc)                                             \
    page_put_key(#key, #type, unit,                                                                \
                 (const uint64_t[4]){(uint64_t)lan.key, (uint64_t)stretch.key, (uint64_t)(lo),     \
                                     (uint64_t)(hi)},                                              \
                 doc);
    RAFT_CONFIG_TABLE(PAGE_KEY)
#undef PAGE_KEY
}

/* What breaks each relation between keys, and nothing else. */
static const struct raft_config *page_broken(size_t which)
{
    static struct raft_config c;
    c = raft_config_default(1, 1);
    switch (which) {
    case 0:
        c.id = NODE_NONE;
        return &c;
    case 1:
        c.heartbeat_interval = c.election_timeout;
        return &c;
    case 2:
        c.lease_reads = true;
        c.check_quorum = false;
        return &c;
    case 3:
        c.stall_timeout = c.election_timeout + 1;
        return &c;
    case 4:
        c.max_inflight_bytes = c.max_append_bytes - 1;
        return &c;
    case 5:
        c.max_cached_bytes = 4 * c.max_append_bytes - 1;
        c.max_uncommitted_bytes = 0;
        return &c;
    case 6:
        c.max_uncommitted_bytes = c.max_cached_bytes + 1;
        return &c;
    default:
        return NULL;
    }
}

static void page_put_relations(void)
{
    for (size_t i = 0; page_broken(i) != NULL; i++) {
        const char *why = NULL;
        enum err e = raft_config_check(page_broken(i), &why);
        CHECK(e == ERR_INVALID && why != NULL);
        page_put("- ");
        page_put(why);
        page_put("\n");
    }
}

static void page_put_limits(void)
{
    static const struct {
        const char *name;
        uint64_t value;
        const char *unit;
        const char *what;
    } limits[] = {
        {"RAFT_MEMBERS_MAX", RAFT_MEMBERS_MAX, "", "members: voters of both halves, and learners"},
        {"RAFT_CONF_CHANGES_MAX", RAFT_CONF_CHANGES_MAX, "", "single changes in one request"},
        {"RAFT_CONF_CONTEXT_MAX", RAFT_CONF_CONTEXT_MAX, "B", "what a caller attaches to a change"},
        {"RAFT_MESSAGE_ENTRIES_MAX", RAFT_MESSAGE_ENTRIES_MAX, "", "entries in one message"},
        {"RAFT_MESSAGE_BYTES_MAX", RAFT_MESSAGE_BYTES_MAX, "B",
         "one message; an entry has at most half of it"},
        {"RAFT_BATCHES_MAX", RAFT_BATCHES_MAX, "",
         "batches at the disk; then entries gather in one that is larger"},
        {"RAFT_IN_SYNC_PENDING_MAX", RAFT_IN_SYNC_PENDING_MAX, "",
         "changes of the in-sync set that are not applied; then the leader proposes none"},
        {"RAFT_DAMAGED_MAX", RAFT_DAMAGED_MAX, "", "separate damaged ranges; then they are joined"},
        {"RAFT_SERVE_QUEUE_MAX", RAFT_SERVE_QUEUE_MAX, "",
         "requests for snapshot chunks that wait for the rate limit; then they are dropped"},
        {"RAFT_LOG_BLOCK_BYTES", RAFT_LOG_BLOCK_BYTES, "B",
         "a block of payloads in memory; a larger payload has its own"},
        {"RAFT_LOG_SPARE_BLOCKS", RAFT_LOG_SPARE_BLOCKS, "", "free blocks that are kept for reuse"},
        {"RAFT_ENTRY_OVERHEAD_BYTES", RAFT_ENTRY_OVERHEAD_BYTES, "B",
         "what an entry counts for besides its payload"},
    };
    page_put("| limit | value | of what, and what happens there |\n"
             "|-------|-------|---------------------------------|\n");
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        page_put("| `");
        page_put(limits[i].name);
        page_put("` | ");
        page_put_value(limits[i].value, "", limits[i].unit);
        page_put(" | ");
        page_put(limits[i].what);
        page_put(" |\n");
    }
}

static void page_put_all(void)
{
    page_put("# The configuration of Raft\n\n"
             "Generated from `RAFT_CONFIG_TABLE` in `backend/core/consensus/raft/raft.h` by "
             "`make docs`; do not edit.\n"
             "What the keys are for is told in [raft.md](raft.md).\n\n"
             "`raft_config_default` gives the profile `lan`, for members in one site; "
             "`raft_config_stretch` gives `stretch`, for members\n"
             "up to 50 ms apart. Besides these keys a configuration has `id` (this node), `seed` "
             "(of the timeouts and nonces: different on\n"
             "each node and at each start) and `removal` (what a leader does when it applies its "
             "own removal: hand over, step down, or stay).\n\n"
             "## Keys\n\n");
    page_put_keys();
    page_put("\n## What `raft_config_check` demands of several keys together\n\n");
    page_put_relations();
    page_put("\n## Limits that are not configured\n\n");
    page_put_limits();
}

static int page_compare(const char *path)
{
    static char found[PAGE_BYTES_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "cannot open %s; `make docs` writes it\n", path);
        return 1;
    }
    size_t len = fread(found, 1, sizeof(found), f);
    (void)fclose(f);
    if (len == page_len && memcmp(found, page, len) == 0) {
        return 0;
    }
    fprintf(stderr, "%s does not say what raft.h says; `make docs` writes it anew\n", path);
    return 1;
}

int main(int argc, char **argv)
{
    page_put_all();
    if (argc > 1) {
        return page_compare(argv[1]);
    }
    return fwrite(page, 1, page_len, stdout) == page_len ? 0 : 1;
}
