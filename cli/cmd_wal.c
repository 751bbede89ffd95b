/* `novacron wal`: looks at a node's log, offline, with the node's own recovery. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "core/base/le.h"
#include "core/recovery/snapshot_file.h"
#include "core/recovery/wal.h"
#include "world/linux/linux_world.h"

/* The options of both commands, in the order of the table. */
enum { OPTION_JSON, OPTION_SNAPSHOTS };

struct looking {
    const char *command;
    const char *dir;
    bool json;
    bool lists;
    bool is_over;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint32_t damaged_snapshots;
    bool has_snapshot;
    enum err snapshot_result;
    struct wal_recovery found;
    struct wal *wal;
    struct progress progress;
    uint64_t total;   /* bytes of the segments, of all passes */
    uint64_t done;    /* of passes that are over */
    uint64_t segment; /* being read, and where it began */
    uint64_t before;
};

/* What there is to read: the files of the log. */
static uint64_t log_bytes(const char *dir)
{
    uint64_t bytes = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        struct stat st;
        const char *dot = strrchr(e->d_name, '.');
        if (dot != NULL && strcmp(dot, ".wal") == 0 && fstatat(dirfd(d), e->d_name, &st, 0) == 0) {
            bytes += (uint64_t)st.st_size;
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return bytes;
}

/* Records come in their order, of one segment after the other. */
static void note_record(void *ctx, uint64_t segment, uint64_t sector,
                        const struct wal_record *record, struct bytes body, bool body_ok)
{
    struct looking *l = ctx;
    (void)record;
    (void)body;
    (void)body_ok;
    if (segment != l->segment) {
        l->before += l->segment != 0 ? WAL_SEGMENT_BYTES : 0;
        l->segment = segment;
    }
    uint64_t bytes = l->done + l->before + sector * WAL_SECTOR_BYTES;
    progress_tell(&l->progress, bytes < l->total ? bytes : l->total, l->total);
}

static void print_record(void *ctx, uint64_t segment, uint64_t sector,
                         const struct wal_record *record, struct bytes body, bool body_ok)
{
    const struct looking *l = ctx;
    bool has_number = record->type == WAL_RECORD_HARD_STATE || record->type == WAL_RECORD_DAMAGE ||
                      record->type == WAL_RECORD_HEAL;
    uint64_t number = has_number && body_ok ? le64_load(body.data) : 0;

    if (l->json) {
        (void)printf(
            "{\"segment\":%" PRIu64 ",\"sector\":%" PRIu64 ",\"record\":\"%s\",\"index\":%" PRIu64
            ",\"term\":%" PRIu64 ",\"type\":%u,\"bytes\":%zu,\"value\":%" PRIu64 ",\"whole\":%s}\n",
            segment, sector, wal_record_type_name(record->type), record->index, record->term,
            (unsigned)record->entry_type, body.len, number, body_ok ? "true" : "false");
        return;
    }
    (void)printf("%6" PRIu64 ":%-6" PRIu64 " ", segment, sector);
    switch (record->type) {
    case WAL_RECORD_BATCH:
        (void)printf("batch %" PRIu64 ", after %" PRIu64, record->index, record->term);
        break;
    case WAL_RECORD_END:
        (void)printf("end, %" PRIu64 " records", record->index);
        break;
    case WAL_RECORD_ENTRY:
    case WAL_RECORD_REPAIR:
        (void)printf("%s %" PRIu64 ", term %" PRIu64 ", type %u, %zu bytes",
                     wal_record_type_name(record->type), record->index, record->term,
                     (unsigned)record->entry_type, body.len);
        break;
    case WAL_RECORD_HARD_STATE:
        (void)printf("term %" PRIu64 ", vote %" PRIx64 ", commit %" PRIu64, record->term, number,
                     record->index);
        break;
    case WAL_RECORD_SNAPSHOT:
        (void)printf("snapshot at %" PRIu64 ", term %" PRIu64 "%s", record->index, record->term,
                     record->entry_type == WAL_SNAPSHOT_RESTARTS ? ", the log begins anew" : "");
        break;
    case WAL_RECORD_DAMAGE:
    case WAL_RECORD_HEAL:
        (void)printf("%s from %" PRIu64, wal_record_type_name(record->type), record->index);
        (void)(number == WAL_INDEX_OPEN ? printf(" on") : printf(" to %" PRIu64, number));
        break;
    case WAL_RECORD_TYPES:
        break;
    }
    (void)printf("%s\n", body_ok ? "" : ", UNREADABLE");
}

static void print_spot(void *ctx, const struct wal_spot *spot)
{
    const struct looking *l = ctx;

    if (l->json) {
        (void)printf("{\"segment\":%" PRIu64 ",\"sector\":%" PRIu64 ",\"damage\":\"%s\"}\n",
                     spot->segment, spot->sector, spot->what);
    } else {
        (void)printf("%6" PRIu64 ":%-6" PRIu64 " DAMAGE: %s\n", spot->segment, spot->sector,
                     spot->what);
    }
}

static void print_ranges_json(const struct wal_state *s)
{
    (void)printf(",\"damaged\":[");
    for (size_t i = 0; i < s->damage_count; i++) {
        (void)printf("%s{\"lo\":%" PRIu64 ",\"hi\":%" PRIu64 ",\"term\":%" PRIu64 "}",
                     i > 0 ? "," : "", s->damage[i].lo, s->damage[i].hi, s->damage[i].term);
    }
    (void)printf("]");
}

static void print_verdict_json(const struct looking *l)
{
    const struct wal_recovery *f = &l->found;
    const struct wal_state *s = f->state;

    (void)printf(
        "{\"verdict\":\"%s\",\"why\":\"%s\",\"cluster\":%" PRIu64 ",\"node\":%" PRIu64
        ",\"segments\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"spots\":%" PRIu64 ",\"term\":%" PRIu64
        ",\"vote\":%" PRIu64 ",\"commit\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
        ",\"snapshot\":%" PRIu64 ",\"in_doubt\":%s,\"damaged_snapshots\":%" PRIu32,
        recovery_verdict_name(f->verdict), f->why, f->cluster, f->node, f->segments, f->batches,
        f->spots, s->hard.term, s->hard.vote, s->hard.commit, s->base_index + 1, s->last_index,
        s->snapshot_index, s->in_doubt ? "true" : "false", l->damaged_snapshots);
    print_ranges_json(s);
    (void)printf("}\n");
}

static void print_verdict(const struct looking *l)
{
    const struct wal_recovery *f = &l->found;
    const struct wal_state *s = f->state;

    (void)printf("%s: %s\n  %s\n", recovery_verdict_name(f->verdict), f->why,
                 recovery_verdict_meaning(f->verdict));
    if (!recovery_may_run(f->verdict)) {
        return;
    }
    (void)printf("  node %" PRIx64 " of cluster %" PRIx64 "; %" PRIu64 " segments, %" PRIu64
                 " batches, %" PRIu64 " damaged places\n",
                 f->node, f->cluster, f->segments, f->batches, f->spots);
    (void)printf("  term %" PRIu64 ", vote %" PRIx64 ", commit %" PRIu64 "; entries %" PRIu64
                 " to %" PRIu64 ", snapshot at %" PRIu64 "\n",
                 s->hard.term, s->hard.vote, s->hard.commit, s->base_index + 1, s->last_index,
                 s->snapshot_index);
    for (size_t i = 0; i < s->damage_count; i++) {
        (void)printf("  entries %" PRIu64 " to %" PRIu64 " are lost here", s->damage[i].lo,
                     s->damage[i].hi);
        (void)(s->damage[i].term != 0 ? printf(" (term %" PRIu64 ")\n", s->damage[i].term)
                                      : printf("\n"));
    }
    if (s->in_doubt) {
        (void)printf("  from entry %" PRIu64 " on, entries and votes may be forgotten\n",
                     s->doubt_lo);
    }
    if (l->damaged_snapshots > 0) {
        (void)printf("  %" PRIu32 " snapshot files are damaged\n", l->damaged_snapshots);
    }
}

static void looked(void *owner, const struct wal_recovery *found)
{
    struct looking *l = owner;
    l->found = *found;
    l->is_over = true;
}

static void snapshot_looked(void *ctx, const struct snapfile_found *found)
{
    struct looking *l = ctx;

    l->snapshot_result = found->result;
    l->damaged_snapshots = found->damaged;
    if (found->result == OK) {
        l->snapshot_index = found->meta.index;
        l->snapshot_term = found->meta.term;
    }
    l->is_over = true;
}

static void wait_for(struct looking *l, struct linux_world *lw)
{
    while (!l->is_over) {
        (void)linux_world_poll(lw, NANOS_PER_S);
    }
    l->is_over = false;
}

static struct linux_world *open_directory(const struct looking *l, const char *dir)
{
    struct linux_world *lw = NULL;
    enum err e = linux_world_open(dir, &lw);

    if (e != OK) {
        (void)fprintf(stderr,
                      "novacron wal %s: cannot open the directory %s: %s; name the directory that "
                      "holds the node's *.wal files\n",
                      l->command, dir, err_text(e));
        return NULL;
    }
    return lw;
}

static bool find_snapshot(struct looking *l, const char *dir)
{
    struct linux_world *lw = open_directory(l, dir);
    if (lw == NULL) {
        return false;
    }
    const struct snapfile_place place = {linux_world_table(lw), "", 0, NULL};
    const struct snapfile_sink sink = {.ctx = l, .done = snapshot_looked};

    snapfile_load(&place, &sink);
    wait_for(l, lw);
    linux_world_close(lw);
    l->has_snapshot = true;
    return true;
}

/* One pass over the log. The log it leaves in l->wal holds what was found. */
static void look(struct looking *l, struct linux_world *lw, const struct wal_scan_sink *sink)
{
    const struct wal_config config = {
        .dir = "",
        .is_read_only = true,
        .segment_bytes = WAL_SEGMENT_BYTES,
        .batch_bytes = WAL_BATCH_BYTES,
        .reserve_bytes = WAL_RESERVE_BYTES,
    };
    const struct wal_events none = {0};

    l->wal = wal_new(linux_world_table(lw), &config, &none);
    wal_recover(l->wal, l->snapshot_index, l->snapshot_term, sink, looked, l);
    wait_for(l, lw);
}

static enum cli_exit verdict_exit(const struct looking *l)
{
    switch (l->found.verdict) {
    case RECOVERY_CLEAN:
    case RECOVERY_TORN_TAIL:
        return l->found.spots > 0 || l->damaged_snapshots > 0 ? CLI_DAMAGED : CLI_OK;
    case RECOVERY_HEALED:
    case RECOVERY_DAMAGED:
    case RECOVERY_WIPED:
        return CLI_DAMAGED;
    case RECOVERY_EMPTY:
    case RECOVERY_FOREIGN:
    case RECOVERY_UNREADABLE:
    case RECOVERY_VERDICTS:
        break;
    }
    return CLI_UNREADABLE;
}

static enum cli_exit look_at(struct looking *l, const struct cli_call *call)
{
    const struct wal_scan_sink silent = {.ctx = l, .record = note_record};
    const struct wal_scan_sink listing = {
        .ctx = l, .record = l->lists ? print_record : note_record, .spot = print_spot};

    l->dir = call->arguments[0];
    l->json = call->options[OPTION_JSON] != NULL;
    if (call->options[OPTION_SNAPSHOTS] != NULL &&
        !find_snapshot(l, call->options[OPTION_SNAPSHOTS])) {
        return CLI_UNREADABLE;
    }
    struct linux_world *lw = open_directory(l, l->dir);
    if (lw == NULL) {
        return CLI_UNREADABLE;
    }
    uint64_t bytes = log_bytes(l->dir);
    l->total = bytes * (l->has_snapshot || l->lists ? 1 : 2);
    progress_begin(&l->progress, l->lists ? "novacron wal inspect" : "novacron wal verify");
    if (!l->has_snapshot) {
        look(l, lw, &silent);
        l->done = l->lists ? 0 : bytes;
        l->before = l->segment = 0;
        l->snapshot_index = l->found.named_snapshot_index;
        l->snapshot_term = l->found.named_snapshot_term;
        wal_free(l->wal);
    }
    if (l->lists) {
        progress_end(&l->progress); /* the list itself shows how far it is */
        l->progress.is_shown = false;
    }
    look(l, lw, &listing);
    progress_end(&l->progress);
    if (l->found.verdict == RECOVERY_EMPTY && l->json) {
        print_verdict_json(l);
    }
    if (l->found.verdict == RECOVERY_EMPTY) {
        (void)fprintf(stderr,
                      "novacron wal %s: there is no log in %s; name the directory that holds the "
                      "node's *.wal files\n",
                      l->command, l->dir);
    } else if (l->json) {
        print_verdict_json(l);
    } else {
        print_verdict(l);
    }
    enum cli_exit status = verdict_exit(l);
    linux_world_close(lw);
    wal_free(l->wal);
    return status;
}

enum cli_exit cmd_wal_inspect(const struct cli_call *call)
{
    struct looking l = {.command = "inspect", .lists = true};
    return look_at(&l, call);
}

enum cli_exit cmd_wal_verify(const struct cli_call *call)
{
    struct looking l = {.command = "verify"};
    return look_at(&l, call);
}
