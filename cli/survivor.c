#include "cli/survivor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/consensus/raft/raft_message.h"
#include "core/recovery/snapshot_file.h"
#include "core/recovery/wal.h"
#include "world/linux/linux_world.h"

/* A change of the members as it lies in the log. */
struct conf_entry {
    uint64_t index;
    uint8_t *payload; /* owned */
    size_t len;
};

struct surveying {
    struct raft_snapshot snapshot; /* index 0: none */
    bool snapshot_failed;
    struct conf_entry *conf; /* ascending */
    size_t conf_count;
    size_t conf_cap;
    struct wal_recovery found;
    bool is_over;
};

/* --- the log --------------------------------------------------------------------------------- */

static void conf_drop_from(struct surveying *s, uint64_t index)
{
    while (s->conf_count > 0 && s->conf[s->conf_count - 1].index >= index) {
        mem_free(s->conf[--s->conf_count].payload);
    }
}

static void survey_on_entry(void *ctx, const struct wal_entry *entry, bool is_repair)
{
    struct surveying *s = ctx;
    if (!is_repair) {
        conf_drop_from(s, entry->index);
    }
    if (entry->type != RAFT_ENTRY_CONF) {
        return;
    }
    mem_grow((void **)&s->conf, &s->conf_cap, s->conf_count + 1, sizeof s->conf[0]);
    size_t at = s->conf_count++;
    for (; at > 0 && s->conf[at - 1].index > entry->index; at--) {
        s->conf[at] = s->conf[at - 1];
    }
    s->conf[at] = (struct conf_entry){.index = entry->index};
    s->conf[at].payload = mem_alloc(entry->payload.len + 1);
    s->conf[at].len = entry->payload.len;
    memcpy(s->conf[at].payload, entry->payload.data, entry->payload.len);
}

static void survey_on_reset(void *ctx, uint64_t index, uint64_t term)
{
    (void)index;
    (void)term;
    conf_drop_from(ctx, 0);
}

static void survey_on_log(void *owner, const struct wal_recovery *found)
{
    struct surveying *s = owner;
    s->found = *found;
    s->is_over = true;
}

static void survey_on_snapshot(void *ctx, const struct snapfile_found *found)
{
    struct surveying *s = ctx;
    if (found->result == OK) {
        s->snapshot_failed = raft_snapshot_decode(found->meta.membership, &s->snapshot) != OK;
        s->snapshot.index = found->meta.index;
        s->snapshot.term = found->meta.term;
    }
    s->is_over = true;
}

static void survey_wait(struct surveying *s, struct linux_world *lw)
{
    while (!s->is_over) {
        (void)linux_world_poll(lw, NANOS_PER_S);
    }
    s->is_over = false;
}

/* --- what it says of the member ----------------------------------------------------------------
 */

/* The members as of the last entry that is known to be committed. */
static void survey_membership(const struct surveying *s, uint64_t commit,
                              struct raft_membership *ret)
{
    struct raft_membership ms = s->snapshot.membership;
    for (size_t i = 0; i < s->conf_count && s->conf[i].index <= commit; i++) {
        const struct conf_entry *c = &s->conf[i];
        struct bytes payload = {c->payload, c->len};
        struct raft_conf_change change;
        if (c->index <= s->snapshot.index) {
            continue;
        }
        enum raft_change_result ignored = RAFT_CHANGE_OK;
        if (raft_conf_change_decode(payload, &change) == OK) {
            ignored = raft_membership_apply(&ms, &change, &ms);
        }
        (void)ignored; /* what cannot be applied is skipped, by every member alike */
    }
    *ret = ms;
}

static void survey_describe(const struct surveying *s, struct survivor *ret)
{
    const struct wal_state *state = s->found.state;
    struct raft_membership ms;
    ret->cluster = s->found.cluster;
    ret->id = s->found.node;
    ret->verdict = s->found.verdict;
    ret->is_whole = recovery_may_vote(s->found.verdict) && !state->in_doubt &&
                    state->damage_count == 0 && !s->snapshot_failed && s->snapshot.index > 0;
    ret->term = state->hard.term;
    ret->last = state->last_index > s->snapshot.index ? state->last_index : s->snapshot.index;
    ret->last_term =
        ret->last == s->snapshot.index ? s->snapshot.term : wal_state_term_at(state, ret->last);
    ret->commit = state->hard.commit > s->snapshot.index ? state->hard.commit : s->snapshot.index;
    survey_membership(s, ret->commit, &ms);
    ret->lineage = ms.lineage;
    for (uint32_t i = 0; i < ms.n; i++) {
        if (raft_member_votes(&ms.member[i])) {
            ret->voters[ret->voter_count++] = ms.member[i].id;
        }
    }
    const struct raft_member *own = raft_membership_lookup(&ms, ret->id);
    ret->is_voter = own != NULL && raft_member_votes(own);
    ret->is_witness = own != NULL && (own->roles & RAFT_WITNESS) != 0;
}

/* --- the directory --------------------------------------------------------------------------- */

static enum err survey_failed(char *why, enum err e, const char *format, const char *path,
                              const char *detail)
{
    char text[SURVIVOR_WHY_BYTES / 2];
    (void)snprintf(text, sizeof text, "%.200s", path);
    (void)snprintf(why, SURVIVOR_WHY_BYTES, "%s: %s%s", text, format, detail);
    return e;
}

/* A daemon that runs there holds the lock; the end of its log would be in motion. */
static enum err survey_check_lock(const char *dir, char *why)
{
    char path[SURVIVOR_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? OK
                               : survey_failed(why, linux_err(errno),
                                               "cannot look at its lock: ", dir, strerror(errno));
    }
    bool is_free = flock(fd, LOCK_SH | LOCK_NB) == 0;
    (void)close(fd);
    return is_free ? OK
                   : survey_failed(why, ERR_EXISTS, "novacrond runs there; stop it first", dir, "");
}

static enum err survey_snapshot(struct surveying *s, const char *dir, char *why)
{
    char path[SURVIVOR_PATH_BYTES + 16];
    struct linux_world *lw = NULL;
    (void)snprintf(path, sizeof path, "%s/node/snap", dir);
    enum err e = linux_world_open(path, &lw);
    if (e != OK) {
        return survey_failed(why, ERR_NOT_FOUND, "has no node/snap: is it a member's data_dir? ",
                             dir, err_text(e));
    }
    const struct snapfile_place place = {linux_world_table(lw), "", 0, NULL};
    const struct snapfile_sink sink = {.ctx = s, .done = survey_on_snapshot};
    snapfile_load(&place, &sink);
    survey_wait(s, lw);
    linux_world_close(lw);
    return OK;
}

static enum err survey_log(struct surveying *s, const char *dir, char *why, struct survivor *ret)
{
    char path[SURVIVOR_PATH_BYTES + 16];
    struct linux_world *lw = NULL;
    (void)snprintf(path, sizeof path, "%s/node/wal", dir);
    enum err e = linux_world_open(path, &lw);
    if (e != OK) {
        return survey_failed(why, ERR_NOT_FOUND, "has no node/wal: is it a member's data_dir? ",
                             dir, err_text(e));
    }
    const struct wal_config config = {.dir = "",
                                      .is_read_only = true,
                                      .segment_bytes = WAL_SEGMENT_BYTES,
                                      .batch_bytes = WAL_BATCH_BYTES,
                                      .reserve_bytes = WAL_RESERVE_BYTES};
    const struct wal_events none = {0};
    const struct wal_scan_sink sink = {
        .ctx = s, .entry = survey_on_entry, .reset = survey_on_reset};
    struct wal *wal = wal_new(linux_world_table(lw), &config, &none);
    wal_recover(wal, s->snapshot.index, s->snapshot.term, &sink, survey_on_log, s);
    survey_wait(s, lw);
    if (!recovery_may_run(s->found.verdict)) {
        e = survey_failed(why, ERR_CORRUPT, "its log cannot be used: ", dir, s->found.why);
    } else if (s->found.verdict == RECOVERY_EMPTY) {
        e = survey_failed(why, ERR_NOT_FOUND, "there is no log in it", dir, "");
    } else {
        survey_describe(s, ret);
    }
    linux_world_close(lw);
    wal_free(wal);
    return e;
}

static enum err survivor_read_report(const char *path, char *why, struct survivor *ret)
{
    char line[4 * SURVIVOR_PATH_BYTES] = "";
    FILE *f = fopen(path, "re");
    bool has_line = f != NULL && fgets(line, (int)sizeof line, f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    if (!has_line || survivor_parse(line, ret) != OK) {
        return survey_failed(why, ERR_INVALID, "is neither a data_dir nor a survivor's report",
                             path, "");
    }
    return OK;
}

enum err survivor_read(const char *path, char why[SURVIVOR_WHY_BYTES], struct survivor *ret)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return survey_failed(why, ERR_NOT_FOUND, "", path, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return survivor_read_report(path, why, ret);
    }
    struct surveying *s = mem_alloc_zero(sizeof *s);
    struct survivor found = {0};
    (void)snprintf(found.dir, sizeof found.dir, "%s", path);
    enum err e = survey_check_lock(path, why);
    e = e == OK ? survey_snapshot(s, path, why) : e;
    e = e == OK ? survey_log(s, path, why, &found) : e;
    conf_drop_from(s, 0);
    mem_free(s->conf);
    mem_free(s);
    if (e == OK) {
        *ret = found;
    }
    return e;
}

/* --- reports -----------------------------------------------------------------------------------
 */

#define REPORT_FORMAT                                                                              \
    "novacron-survivor cluster=%" PRIx64 " member=%" PRIx64                                        \
    " verdict=%s whole=%d witness=%d term=%" PRIu64 " last=%" PRIu64 " last_term=%" PRIu64         \
    " commit=%" PRIu64 " lineage=%" PRIx32 " voters="

void survivor_report(const struct survivor *s)
{
    (void)printf(REPORT_FORMAT, s->cluster, s->id, recovery_verdict_name(s->verdict), s->is_whole,
                 s->is_witness, s->term, s->last, s->last_term, s->commit, s->lineage);
    for (uint32_t i = 0; i < s->voter_count; i++) {
        (void)printf("%s%" PRIx64, i > 0 ? "," : "", s->voters[i]);
    }
    (void)printf(" dir=%s\n", s->dir);
}

/* The value behind ` key=`, or NULL. */
static const char *report_value(const char *line, const char *key)
{
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, " %s=", key);
    const char *at = strstr(line, wanted);
    return at != NULL ? at + strlen(wanted) : NULL;
}

static bool report_number(const char *line, const char *key, int base, uint64_t *ret)
{
    const char *at = report_value(line, key);
    char *end = NULL;
    errno = 0;
    unsigned long long number = at != NULL ? strtoull(at, &end, base) : 0;
    if (at == NULL || end == at || errno != 0 || (*end != ' ' && *end != ',')) {
        return false;
    }
    *ret = number;
    return true;
}

static bool report_voters(const char *line, struct survivor *s)
{
    const char *at = report_value(line, "voters");
    while (at != NULL && *at != ' ') {
        char *end = NULL;
        unsigned long long id = strtoull(at, &end, 16);
        if (end == at || s->voter_count == RAFT_MEMBERS_MAX || (*end != ',' && *end != ' ')) {
            return false;
        }
        s->voters[s->voter_count++] = id;
        s->is_voter = s->is_voter || id == s->id;
        at = *end == ',' ? end + 1 : end;
    }
    return at != NULL;
}

static bool report_verdict(const char *line, enum recovery_verdict *ret)
{
    const char *at = report_value(line, "verdict");
    for (int v = 0; at != NULL && v < RECOVERY_VERDICTS; v++) {
        const char *name = recovery_verdict_name((enum recovery_verdict)v);
        if (strncmp(at, name, strlen(name)) == 0 && at[strlen(name)] == ' ') {
            *ret = (enum recovery_verdict)v;
            return true;
        }
    }
    return false;
}

enum err survivor_parse(const char *line, struct survivor *ret)
{
    struct survivor s = {0};
    uint64_t whole = 0;
    uint64_t witness = 0;
    uint64_t lineage = 0;
    const char *dir = report_value(line, "dir");
    bool is_good =
        strncmp(line, "novacron-survivor ", 18) == 0 && dir != NULL &&
        report_number(line, "cluster", 16, &s.cluster) &&
        report_number(line, "member", 16, &s.id) && report_verdict(line, &s.verdict) &&
        report_number(line, "whole", 10, &whole) && report_number(line, "witness", 10, &witness) &&
        report_number(line, "term", 10, &s.term) && report_number(line, "last", 10, &s.last) &&
        report_number(line, "last_term", 10, &s.last_term) &&
        report_number(line, "commit", 10, &s.commit) &&
        report_number(line, "lineage", 16, &lineage) && lineage <= UINT32_MAX && whole <= 1 &&
        witness <= 1 && report_voters(line, &s);
    if (!is_good) {
        return ERR_INVALID;
    }
    s.is_whole = whole == 1;
    s.is_witness = witness == 1;
    s.lineage = (uint32_t)lineage;
    (void)snprintf(s.dir, sizeof s.dir, "%.*s", (int)strcspn(dir, "\n"), dir);
    *ret = s;
    return OK;
}

/* Raft's own comparison [Ongaro14 §3.6.1]: a later history first, whatever its length. */
bool survivor_is_newer(const struct survivor *a, const struct survivor *b)
{
    uint32_t a_count = RAFT_LINEAGE_COUNT(a->lineage);
    uint32_t b_count = RAFT_LINEAGE_COUNT(b->lineage);
    if (a_count != b_count) {
        return a_count > b_count;
    }
    return a->last_term != b->last_term ? a->last_term > b->last_term : a->last > b->last;
}
