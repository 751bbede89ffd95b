/* `novacron host`: hosts of machines, what became of them, and what an operator says of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/records.h"
#include "core/base/say.h"
#include "core/ha/ha_explain.h"

enum { CONFIRM_REASON = REMOTE_OPTIONS, CONFIRM_BY };

static void host_print_row(const struct remote *r, const struct ha_view *view,
                           const struct ha_entry *entry)
{
    const struct ha_host *host = entry->record;
    const struct ha_fate *fate = ha_view_fate(view, entry->key.name);
    const struct ha_agent_record *agent = ha_view_agent(view, entry->key.name);
    uint32_t machines = 0;

    if (host == NULL) {
        (void)printf("%-16s unreadable: %s\n", entry->key.name, entry->why);
        return;
    }
    for (size_t i = 0; i < ha_view_count(view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(view, HA_OWNER, i)->record;
        machines += owner != NULL && strcmp(owner->host, host->name) == 0 &&
                    owner->phase != HA_STOPPED && owner->phase != HA_WAITING;
    }
    (void)printf("%-16s %-8s %-7s %-10s %8u %8u %6u  %-9s %s\n", host->name,
                 fate != NULL    ? ha_fate_phase_name(fate->phase)
                 : agent != NULL ? "up"
                                 : "unheard",
                 agent == NULL                  ? "-"
                 : records_host_votes(r, agent) ? "member"
                                                : "agent",
                 host->site[0] != '\0' ? host->site : "-", machines,
                 host->memory_mib != 0 ? host->memory_mib
                 : agent != NULL       ? agent->memory_mib
                                       : 0,
                 host->n_levels, agent != NULL ? ha_watchdog_name(agent->watchdog) : "-",
                 fate != NULL ? fate->reason : "");
}

static void host_print_json(const struct remote *r, const struct ha_view *view,
                            const struct ha_entry *entry)
{
    const struct ha_fate *fate = ha_view_fate(view, entry->key.name);
    const struct ha_agent_record *agent = ha_view_agent(view, entry->key.name);
    struct buf json;

    buf_init(&json);
    say(&json, "{\"spec\":");
    ha_record_encode(HA_HOST, entry->record, &json);
    if (agent != NULL) {
        say(&json, records_host_votes(r, agent) ? ",\"votes\":true" : ",\"votes\":false");
        say(&json, ",\"agent\":");
        ha_record_encode(HA_AGENT, agent, &json);
    }
    if (fate != NULL) {
        say(&json, ",\"fate\":");
        ha_record_encode(HA_FATE, fate, &json);
    }
    say(&json, "}");
    (void)puts(say_end(&json));
    buf_deinit(&json);
}

enum cli_exit cmd_host_list(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "host list", call);

    if (e != CLI_OK) {
        return e;
    }
    const size_t n = ha_view_count(&view, HA_HOST);
    if (!r.json && n > 0 && isatty(STDOUT_FILENO)) { /* programs want no head */
        (void)printf("%-16s %-8s %-7s %-10s %8s %8s %6s  %-9s %s\n", "NAME", "STATE", "ROLE",
                     "SITE", "MACHINES", "MEMORY", "LEVELS", "WATCHDOG", "WHY");
    } else if (!r.json && n == 0) {
        (void)printf("There are no hosts. `novacron host apply -f FILE` makes some.\n");
    }
    for (size_t i = 0; i < n; i++) {
        const struct ha_entry *entry = ha_view_at(&view, HA_HOST, i);
        const struct ha_fate *fate = ha_view_fate(&view, entry->key.name);
        const bool is_up = entry->record != NULL && (fate == NULL || fate->phase == HA_HOST_UP);
        e = is_up ? e : CLI_DAMAGED;
        if (!r.json) {
            host_print_row(&r, &view, entry);
        } else if (entry->record != NULL) {
            host_print_json(&r, &view, entry);
        } else {
            records_print_unreadable(entry);
        }
    }
    records_close(&r, &view);
    return e;
}

enum cli_exit cmd_host_show(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "host show", call);

    if (e != CLI_OK) {
        return e;
    }
    const struct ha_entry *entry = records_get(&r, &view, HA_HOST, call->arguments[0]);
    if (entry == NULL) {
        e = CLI_UNREADABLE;
    } else if (r.json) {
        host_print_json(&r, &view, entry);
    } else {
        struct ha_ledger ledger;
        struct buf text;
        buf_init(&text);
        ha_ledger_init(&ledger, &view, NULL, 0);
        ha_explain_host(&ledger, call->arguments[0], &text);
        (void)fputs(say_end(&text), stdout);
        ha_ledger_deinit(&ledger);
        buf_deinit(&text);
        (void)printf("as declared:\n");
        records_print(HA_HOST, entry->record, false);
    }
    records_close(&r, &view);
    return e;
}

enum cli_exit cmd_host_fence(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    struct ha_host host;
    enum cli_exit e = records_open(&r, &view, "host fence", call);

    if (e != CLI_OK) {
        return e;
    }
    const struct ha_entry *entry = records_get(&r, &view, HA_HOST, call->arguments[0]);
    const struct ha_host *declared = entry != NULL ? entry->record : NULL;
    if (declared == NULL) {
        e = CLI_UNREADABLE;
    } else if (declared->n_levels == 0) {
        /* It would be refused its lease, and wait for a device for ever. */
        (void)fprintf(stderr,
                      "novacron host fence: %s has no fence device, and nothing was changed: give "
                      "it one in `levels`, or see to its machines and switch it off by hand\n",
                      declared->name);
        e = CLI_UNREADABLE;
    } else {
        /* A host that was declared anew begins at 0, and its fate remembers. */
        const struct ha_fate *fate = ha_view_fate(&view, declared->name);
        host = *declared;
        host.fence_count = u64_max(host.fence_count, fate != NULL ? fate->fence_count : 0) + 1;
        e = records_write(&r,
                          &(struct records_change){.kind = HA_HOST,
                                                   .name = host.name,
                                                   .record = &host,
                                                   .mod_revision = entry->mod_revision},
                          1);
    }
    if (e == CLI_OK && r.json) {
        records_print(HA_HOST, &host, true);
    } else if (e == CLI_OK) {
        (void)printf("The leader switches %s off; `novacron host show %s` says how far it is.\n",
                     call->arguments[0], call->arguments[0]);
    }
    records_close(&r, &view);
    return e;
}

/* Is there an incident that the operator's word could end? Says so if not. */
static const struct ha_fate *fate_to_confirm(const struct remote *r, const struct ha_view *view,
                                             const char *host)
{
    const struct ha_fate *fate = ha_view_fate(view, host);

    if (fate == NULL || fate->phase == HA_HOST_UP) {
        (void)fprintf(stderr, "novacron %s: %s counts as up; there is nothing to confirm\n",
                      r->command, host);
        return NULL;
    }
    if (fate->phase == HA_HOST_GONE) {
        (void)fprintf(stderr, "novacron %s: it is proved already that %s is off (%s)\n", r->command,
                      host, ha_proof_name(fate->proof));
        return NULL;
    }
    return fate;
}

enum cli_exit cmd_host_confirm_off(const struct cli_call *call)
{
    const char *name = call->arguments[0];
    const char *reason = call->options[CONFIRM_REASON];
    const char *by = call->options[CONFIRM_BY] != NULL ? call->options[CONFIRM_BY] : getenv("USER");
    struct ha_confirmed word = {0};
    struct remote r;
    struct ha_view view;

    if (reason == NULL || reason[0] == '\0') {
        (void)fprintf(stderr, "novacron host confirm-off: --reason TEXT is missing: how you know "
                              "that it is off\n");
        return CLI_USAGE;
    }
    if (by == NULL || by[0] == '\0') {
        (void)fprintf(stderr, "novacron host confirm-off: --by NAME is missing: who you are ($USER "
                              "says nothing here)\n");
        return CLI_USAGE;
    }
    enum cli_exit e = records_open(&r, &view, "host confirm-off", call);
    if (e != CLI_OK) {
        return e;
    }
    const struct ha_fate *fate =
        records_get(&r, &view, HA_HOST, name) != NULL ? fate_to_confirm(&r, &view, name) : NULL;
    if (fate == NULL) {
        e = CLI_UNREADABLE;
    } else {
        ha_record_defaults(HA_CONFIRMED, &word);
        ha_text_set(word.host, sizeof word.host, name);
        ha_text_set(word.incident, sizeof word.incident, fate->incident);
        ha_text_set(word.by, sizeof word.by, by);
        ha_text_set(word.reason, sizeof word.reason, reason);
        e = records_write(&r,
                          &(struct records_change){.kind = HA_CONFIRMED,
                                                   .name = name,
                                                   .record = &word,
                                                   .mod_revision = ha_view_mod_revision(
                                                       &view, HA_CONFIRMED, name, NULL)},
                          1);
    }
    if (e == CLI_OK && r.json) {
        records_print(HA_CONFIRMED, &word, true);
    } else if (e == CLI_OK) {
        (void)printf("Noted: %s says that %s is off. Its machines start elsewhere now. If it still "
                     "runs,\nswitch it off at once: two hosts may write to one disk.\n",
                     by, name);
    }
    records_close(&r, &view);
    return e;
}
