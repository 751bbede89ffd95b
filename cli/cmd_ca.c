/* `novacron ca`: the cluster's own certificate authority, for the TLS between members. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/json_wire.h"
#include "cli/command.h"
#include "core/base/say.h"
#include "pki/pki.h"

#define SECONDS_PER_DAY 86400
#define PATH_BYTES      4096

/* The authority outlives the members' certificates, which are exchanged without a restart. */
#define CA_DAYS     3650
#define MEMBER_DAYS 730
#define DAYS_MAX    36500

/* Members' clocks may be behind ours. */
#define HEAD_START_SECONDS 3600

/* The options of each command, in the order of the table. */
enum { INIT_NAME, INIT_DAYS, INIT_JSON };
enum { ISSUE_HOST, ISSUE_DAYS, ISSUE_JSON };

/* From about now on, for so many days. False: that is no number of days. */
static bool span_of(const char *days, long otherwise, struct pki_span *ret)
{
    char *end = NULL;
    int64_t now = (int64_t)time(NULL);

    errno = 0;
    long n = days != NULL ? strtol(days, &end, 10) : otherwise;
    if (n < 1 || n > DAYS_MAX || errno != 0 || (end != NULL && *end != '\0')) {
        return false;
    }
    *ret = (struct pki_span){now - HEAD_START_SECONDS, now + n * SECONDS_PER_DAY};
    return true;
}

static enum cli_exit bad_days(const char *command, const char *days)
{
    (void)fprintf(stderr, "novacron ca %s: \"%s\" is not a number of days from 1 to %d\n", command,
                  days, DAYS_MAX);
    return CLI_USAGE;
}

static enum cli_exit ca_failed(const char *command, enum err e, const char *why)
{
    (void)fprintf(stderr, "novacron ca %s: %s\n", command, why);
    return e == ERR_INVALID ? CLI_USAGE : CLI_UNREADABLE;
}

static void print_files_json(const char *dir, const char *name)
{
    static const char *const kinds[][2] = {{"certificate", "crt"}, {"key", "key"}};
    struct buf text;
    buf_init(&text);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, kinds[i][1]);
        say(&text, i == 0 ? "{\"" : ",\"");
        say(&text, kinds[i][0]);
        say(&text, "\":");
        json_put_string(&text, path);
    }
    say(&text, "}\n");
    (void)fwrite(text.data, 1, text.len, stdout);
    buf_deinit(&text);
}

enum cli_exit cmd_ca_init(const struct cli_call *call)
{
    const char *dir = call->arguments[0];
    const char *name = call->options[INIT_NAME];
    char why[PKI_WHY_BYTES];
    struct pki_span span;

    if (!span_of(call->options[INIT_DAYS], CA_DAYS, &span)) {
        return bad_days("init", call->options[INIT_DAYS]);
    }
    enum err e = pki_init(dir, name != NULL ? name : "cluster authority", span, why);
    if (e != OK) {
        return ca_failed("init", e, why);
    }
    if (call->options[INIT_JSON] != NULL) {
        print_files_json(dir, "ca");
        return CLI_OK;
    }
    (void)printf("%s/ca.crt belongs on every member; %s/ca.key on none: whoever has it can let "
                 "anybody in.\n"
                 "`novacron ca issue %s NAME --host ADDRESS` makes a member's certificate.\n",
                 dir, dir, dir);
    return CLI_OK;
}

/* Cuts `list` at its commas, in place. Returns how many parts there are; more than fit count. */
static size_t split_hosts(char *list, const char *hosts[PKI_HOSTS_MAX])
{
    size_t count = 0;

    for (char *at = list; at != NULL; count++) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (count < PKI_HOSTS_MAX) {
            hosts[count] = at;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return count;
}

enum cli_exit cmd_ca_issue(const struct cli_call *call)
{
    const char *hosts[PKI_HOSTS_MAX];
    char why[PKI_WHY_BYTES];
    struct pki_member member = {.name = call->arguments[1], .hosts = hosts};
    char *list = call->options[ISSUE_HOST] != NULL ? strdup(call->options[ISSUE_HOST]) : NULL;

    if (!span_of(call->options[ISSUE_DAYS], MEMBER_DAYS, &member.span)) {
        free(list);
        return bad_days("issue", call->options[ISSUE_DAYS]);
    }
    member.host_count = list != NULL ? split_hosts(list, hosts) : 0;
    enum err e = pki_issue(call->arguments[0], &member, why);
    free(list);
    if (e != OK) {
        return ca_failed("issue", e, why);
    }
    if (call->options[ISSUE_JSON] != NULL) {
        print_files_json(call->arguments[0], member.name);
        return CLI_OK;
    }
    (void)printf("%s/%s.crt and %s/%s.key belong on %s, with ca.crt.\n", call->arguments[0],
                 member.name, call->arguments[0], member.name, member.name);
    return CLI_OK;
}
