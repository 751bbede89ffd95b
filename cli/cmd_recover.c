/* `novacron cluster survivors` and `recover`: the way out when a majority of the voters is lost for
 * good. Both look at stopped members, offline; the second leaves an order for one of them
 * (novacrond/daemon_recovery.h). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/json_wire.h"
#include "cli/command.h"
#include "cli/survivor.h"
#include "core/base/say.h"
#include "novacrond/daemon_recovery.h"

/* The options of each command. */
enum { SURVIVORS_REPORT, SURVIVORS_JSON };
enum { RECOVER_ACCEPT, RECOVER_JSON };

struct survivors {
    struct survivor at[CLI_ARGUMENTS_MAX];
    size_t count;
    const struct survivor *newest; /* of those that may be chosen; NULL: none may */
    uint32_t whole_voters;         /* with or without data, of those that the newest knows */
    uint32_t needed;               /* to elect a leader */
};

/* --- what is there --------------------------------------------------------------------------- */

static bool survivors_fit(const char *command, const struct survivors *s)
{
    const struct survivor *last = &s->at[s->count - 1];
    for (size_t i = 0; i + 1 < s->count; i++) {
        const char *what = s->at[i].cluster != last->cluster ? "are of different clusters"
                           : s->at[i].id == last->id         ? "are of one member"
                                                             : NULL;
        if (what != NULL) {
            (void)fprintf(stderr, "novacron cluster %s: %s and %s %s\n", command, s->at[i].dir,
                          last->dir, what);
            return false;
        }
    }
    return true;
}

static bool is_voter_of(const struct survivor *of, node_id id)
{
    for (uint32_t i = 0; i < of->voter_count; i++) {
        if (of->voters[i] == id) {
            return true;
        }
    }
    return false;
}

static void survivors_judge(struct survivors *s)
{
    for (size_t i = 0; i < s->count; i++) {
        bool is_newer = s->newest == NULL || survivor_is_newer(&s->at[i], s->newest);
        if (survivor_may_lead(&s->at[i]) && is_newer) {
            s->newest = &s->at[i];
        }
    }
    for (size_t i = 0; s->newest != NULL && i < s->count; i++) {
        s->whole_voters += s->at[i].is_whole && is_voter_of(s->newest, s->at[i].id) ? 1 : 0;
    }
    s->needed = s->newest != NULL ? s->newest->voter_count / 2 + 1 : 0;
}

static enum cli_exit survivors_read(const char *command, const struct cli_call *call,
                                    struct survivors *ret)
{
    for (size_t i = 0; i < CLI_ARGUMENTS_MAX && call->arguments[i] != NULL; i++) {
        char why[SURVIVOR_WHY_BYTES];
        if (survivor_read(call->arguments[i], why, &ret->at[i]) != OK) {
            (void)fprintf(stderr, "novacron cluster %s: %s\n", command, why);
            return CLI_UNREADABLE;
        }
        ret->count++;
        if (!survivors_fit(command, ret)) {
            return CLI_UNREADABLE;
        }
    }
    survivors_judge(ret);
    return CLI_OK;
}

/* --- saying it ------------------------------------------------------------------------------- */

static const char *survivor_state(const struct survivor *s)
{
    return s->is_witness  ? "witness: holds no data"
           : !s->is_voter ? "no voter"
           : s->is_whole  ? "whole"
                          : recovery_verdict_name(s->verdict);
}

static void survivors_print(const struct survivors *s)
{
    (void)printf("%-16s  %10s %12s %12s  %-10s %s\n", "MEMBER", "TERM", "LAST", "COMMITTED",
                 "STATE", "DATA_DIR");
    for (size_t i = 0; i < s->count; i++) {
        const struct survivor *v = &s->at[i];
        (void)printf("%-16" PRIx64 "  %10" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %-10s %s%s\n",
                     v->id, v->last_term, v->last, v->commit, survivor_state(v), v->dir,
                     v == s->newest ? "   <- newest" : "");
    }
    if (s->newest != NULL) {
        (void)printf("Cluster %" PRIx64 " has %" PRIu32 " voters; %" PRIu32
                     " of them are here and whole, and %" PRIu32 " can elect a leader.\n",
                     s->newest->cluster, s->newest->voter_count, s->whole_voters, s->needed);
    }
}

/* Two of three may be one that fell behind and a witness that knows so: nobody may lead then. */
static const char witness_advice[] = "A witness is one of them. If they elect nobody although all "
                                     "of them run, what was acknowledged "
                                     "last is\nwith the member that is away "
                                     "(docs/runbooks/exposed.md). If that is lost for good, leave "
                                     "the witness\nstopped, and look at the replicas alone.\n";

/* Is it a majority with witnesses only? */
static bool survivors_need_witness(const struct survivors *s)
{
    uint32_t witnesses = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct survivor *v = &s->at[i];
        bool counts = v->is_whole && is_voter_of(s->newest, v->id);
        witnesses += counts && v->is_witness ? 1 : 0;
    }
    return s->whole_voters - witnesses < s->needed;
}

static void survivors_put_id(struct buf *b, const char *key, uint64_t id)
{
    say(b, b->data[b->len - 1] == '{' ? "\"" : ",\"");
    say(b, key);
    say(b, "\":\"");
    say_hex(b, id);
    say(b, "\"");
}

static void survivors_put_number(struct buf *b, const char *key, uint64_t number)
{
    say(b, ",\"");
    say(b, key);
    say(b, "\":");
    say_u64(b, number);
}

/* What survivors_print says, without its end: more may follow. */
static void survivors_put_json(struct buf *b, const struct survivors *s)
{
    const struct survivor *any = s->newest != NULL ? s->newest : &s->at[0];
    say(b, "{");
    survivors_put_id(b, "cluster", any->cluster);
    survivors_put_number(b, "voters", s->newest != NULL ? s->newest->voter_count : 0);
    survivors_put_number(b, "whole", s->whole_voters);
    survivors_put_number(b, "needed", s->needed);
    if (s->newest != NULL) {
        survivors_put_id(b, "newest", s->newest->id);
    }
    say(b, ",\"members\":[");
    for (size_t i = 0; i < s->count; i++) {
        const struct survivor *v = &s->at[i];
        say(b, i > 0 ? ",{" : "{");
        survivors_put_id(b, "id", v->id);
        survivors_put_number(b, "term", v->last_term);
        survivors_put_number(b, "last", v->last);
        survivors_put_number(b, "committed", v->commit);
        say(b, ",\"state\":");
        json_put_string(b, survivor_state(v));
        say(b, ",\"data_dir\":");
        json_put_string(b, v->dir);
        say(b, "}");
    }
    say(b, "]");
}

/* Ends it with what came of it, and prints it. */
static void survivors_end_json(struct buf *b, const char *outcome)
{
    say(b, ",\"outcome\":");
    json_put_string(b, outcome);
    say(b, "}\n");
    (void)fwrite(b->data, 1, b->len, stdout);
    buf_deinit(b);
}

static enum cli_exit survivors_print_json(const struct survivors *s)
{
    struct buf b;
    bool is_majority = s->newest != NULL && s->whole_voters >= s->needed;
    buf_init(&b);
    survivors_put_json(&b, s);
    survivors_end_json(&b, s->newest == NULL ? "none can go on"
                           : is_majority     ? "a majority is left"
                                             : "choose the newest");
    return s->newest == NULL || is_majority ? CLI_DAMAGED : CLI_OK;
}

/* What there is to do. */
static enum cli_exit survivors_conclude(const struct survivors *s)
{
    if (s->newest == NULL) {
        (void)printf("None of these can go on alone: each is damaged, a witness, or no voter.\n"
                     "A backup can be restored: `novacron snapshot restore`.\n");
        return CLI_DAMAGED;
    }
    if (s->whole_voters >= s->needed) {
        (void)printf("That is a majority: start them, and they go on by themselves. Nothing is "
                     "lost.\n");
        if (survivors_need_witness(s)) {
            (void)printf("%s", witness_advice);
        }
        return CLI_DAMAGED;
    }
    (void)printf("Choose member %" PRIx64 " in %s: its log has the most.\n"
                 "First try to bring another voter back; only if none ever comes:\n"
                 "  novacron cluster recover %s\n",
                 s->newest->id, s->newest->dir, s->newest->dir);
    return CLI_OK;
}

enum cli_exit cmd_cluster_survivors(const struct cli_call *call)
{
    struct survivors s = {.count = 0};
    enum cli_exit e = survivors_read("survivors", call, &s);
    if (e != CLI_OK) {
        return e;
    }
    if (call->options[SURVIVORS_REPORT] != NULL) {
        for (size_t i = 0; i < s.count; i++) {
            survivor_report(&s.at[i]);
        }
        return CLI_OK;
    }
    if (call->options[SURVIVORS_JSON] != NULL) {
        return survivors_print_json(&s);
    }
    survivors_print(&s);
    return survivors_conclude(&s);
}

/* --- the order ------------------------------------------------------------------------------- */

static void recover_warn(const struct survivors *s, const struct survivor *chosen)
{
    (void)printf("\nMember %" PRIx64 " would go on as the only voter.\n"
                 "  Kept:  everything up to entry %" PRIu64 " of term %" PRIu64 ".\n",
                 chosen->id, chosen->last, chosen->last_term);
    if (chosen->last > chosen->commit) {
        (void)printf("         Entries %" PRIu64 " to %" PRIu64
                     " of these were not known to be committed here; they take effect,\n"
                     "         though whoever asked for them may have been told nothing.\n",
                     chosen->commit + 1, chosen->last);
    }
    (void)printf("  Lost:  whatever the lost members acknowledged to clients after that entry. "
                 "Nobody can say\n"
                 "         how much that is; it is at worst all since this member was heard last.\n"
                 "  Ended: the members");
    for (uint32_t i = 0; i < chosen->voter_count; i++) {
        if (chosen->voters[i] != chosen->id) {
            (void)printf(" %" PRIx64, chosen->voters[i]);
        }
    }
    (void)printf(
        ". None of them may ever run again with the disk that it has: this\n"
        "         member refuses them, and they halt when they reach it, but two that reach "
        "only each\n"
        "         other would go on with what is over here. Empty their disks, and let them "
        "join anew.\n");
    if (s->count < chosen->voter_count) {
        (void)printf("  Only %zu of %" PRIu32
                     " voters were looked at. Are the others really gone?\n",
                     s->count, chosen->voter_count);
    }
}

static enum cli_exit recover_refuse(const char *why, const char *detail)
{
    (void)fprintf(stderr, "novacron cluster recover: %s%s; nothing was done\n", why, detail);
    return CLI_DAMAGED;
}

/* The end of it, in one form or the other. */
__attribute__((format(printf, 4, 5))) static void recover_tell(const struct survivors *s,
                                                               bool is_json, const char *outcome,
                                                               const char *format, ...)
{
    if (is_json) {
        struct buf b;
        buf_init(&b);
        survivors_put_json(&b, s);
        survivors_end_json(&b, outcome);
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
}

enum cli_exit cmd_cluster_recover(const struct cli_call *call)
{
    struct survivors s = {.count = 0};
    char why[DAEMON_WHY_BYTES];
    const char *accepted = call->options[RECOVER_ACCEPT];
    enum cli_exit e = survivors_read("recover", call, &s);
    if (e != CLI_OK) {
        return e;
    }
    const struct survivor *chosen = &s.at[0];
    bool is_json = call->options[RECOVER_JSON] != NULL;
    if (!is_json) {
        survivors_print(&s);
    }
    if (strcmp(chosen->dir, call->arguments[0]) != 0) {
        return recover_refuse(
            "the first must be the data_dir itself, on its host, and not a report", "");
    }
    if (!survivor_may_lead(chosen)) {
        return recover_refuse("the first cannot go on alone: ", survivor_state(chosen));
    }
    if (s.whole_voters >= s.needed) {
        return recover_refuse("these are a majority: start them instead",
                              survivors_need_witness(&s) ? "; if they elect nobody, leave the "
                                                           "witness stopped and name the replicas "
                                                           "alone"
                                                         : "");
    }
    if (survivor_is_newer(s.newest, chosen)) {
        return recover_refuse("the first is not the newest: choose ", s.newest->dir);
    }
    if (!is_json) {
        recover_warn(&s, chosen);
    }
    char cluster[24];
    (void)snprintf(cluster, sizeof cluster, "%" PRIx64, chosen->cluster);
    if (accepted == NULL || strcmp(accepted, cluster) != 0) {
        recover_tell(&s, is_json, "nothing was done",
                     "\nNothing was done. To accept this: --accept-data-loss %s\n", cluster);
        return CLI_DAMAGED;
    }
    const struct daemon_recovery_order order = {.cluster = chosen->cluster,
                                                .member = chosen->id,
                                                .term = chosen->term,
                                                .last = chosen->last};
    if (daemon_recovery_write(chosen->dir, &order, why) != OK) {
        (void)fprintf(stderr, "novacron cluster recover: %s\n", why);
        return CLI_UNREADABLE;
    }
    recover_tell(&s, is_json, "ordered",
                 "\nThe order is in %s/recovery. Start novacrond there: it looks for a quorum for "
                 "some seconds,\nand goes on alone if there is none. Its log says what it did. "
                 "Deleting the file takes the order back.\n",
                 chosen->dir);
    return CLI_OK;
}
