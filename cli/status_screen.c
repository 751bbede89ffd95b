#include "cli/status_screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/say.h"
#include "core/ha/ha_ladder_view.h"

/* Of hosts, and of machines, so many lines at most: it is one screen. */
#define TROUBLES_MAX 12

#define WIDTH_MIN 40

/* --- lines ------------------------------------------------------------------------------------ */

/* Columns of the terminal; 0: it is none. */
static size_t screen_width(void)
{
    struct winsize size = {0};

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
        return 0;
    }
    return size.ws_col == 0 ? 80 : size.ws_col > WIDTH_MIN ? size.ws_col : WIDTH_MIN;
}

/* How much of the text the next line takes: up to the last blank that fits. */
static size_t line_take(const char *text, size_t room)
{
    size_t taken = 0;

    if (strlen(text) <= room) {
        return strlen(text);
    }
    for (size_t i = 0; text[i] != '\0' && i <= room; i++) {
        taken = text[i] == ' ' ? i : taken;
    }
    return taken > 0 ? taken : room;
}

/* "head text", the text folded beside its head. */
static void print_folded(const char *head, const char *text)
{
    const size_t indent = strlen(head);
    const size_t width = screen_width();
    const size_t room = width > indent + 20 ? width - indent : 0;

    (void)fputs(head, stdout);
    while (room > 0 && strlen(text) > room) {
        const size_t n = line_take(text, room);
        (void)printf("%.*s\n%*s", (int)n, text, (int)indent, "");
        text += n + (text[n] == ' ');
    }
    (void)printf("%s\n", text);
}

static void print_trouble(const char *kind, const char *name, const char *state, const char *why)
{
    char head[HA_NAME_BYTES + 64];

    (void)snprintf(head, sizeof head, "  %-4s %-12s %-10s ", kind, name, state);
    print_folded(head, why);
}

/* --- what holds for all ----------------------------------------------------------------------- */

static void print_quorum(const struct situation *s)
{
    char text[512];

    if (s->has_quorum) {
        return;
    }
    (void)snprintf(text, sizeof text,
                   "Nothing is decided, and no machine is moved, until a majority of the members "
                   "is back. Below is what %s knew last. `novacron cluster status` shows who is "
                   "up; docs/runbooks/quorum-lost.md says what to do.",
                   s->head.endpoint);
    print_folded("NO QUORUM  ", text);
}

static void print_manager(const struct situation *s)
{
    char text[256];
    const char *name = s->manager[0] != '\0' ? s->manager : "a member that is gone";

    if (s->hosts == 0 && s->machines == 0) {
        return;
    }
    if (s->head.token_term == 0) {
        (void)snprintf(text, sizeof text, "none: no member has begun to manage machines");
    } else if (!s->has_quorum) {
        (void)snprintf(text, sizeof text, "none; it was %s", name);
    } else if (!s->is_managed) {
        (void)snprintf(text, sizeof text,
                       "none in term %llu: it was %s in term %llu, and whoever leads now has not "
                       "taken over",
                       (unsigned long long)s->head.term, name,
                       (unsigned long long)s->head.token_term);
    } else {
        (void)snprintf(text, sizeof text, "%s, since term %llu began", name,
                       (unsigned long long)s->head.token_term);
    }
    print_folded("manager    ", text);
}

static void print_machines(const struct situation *s)
{
    (void)printf("machines   %u of %u wanted ones run", s->running, s->wanted);
    if (s->impeded > 0) {
        (void)printf(", %u of them not well", s->impeded);
    }
    (void)printf("; %u more are not wanted", s->machines - s->wanted - s->unknown);
    if (s->unknown > 0) {
        (void)printf("; %u cannot be read", s->unknown);
    }
    (void)printf("\n");
}

static void print_losses(const struct situation *s)
{
    struct buf text;

    if (s->hosts == 0 || !s->has_quorum) {
        return;
    }
    buf_init(&text);
    say(&text, "the loss of ");
    say_u64(&text, s->survived);
    say(&text, s->survived == 1 ? " host: there is a quorum without "
                                : " hosts: there is a quorum without ");
    say_u64(&text, s->spare_voters);
    say(&text, s->losses.is_at_least ? ", and room without at least " : ", and room without ");
    say_u64(&text, s->losses.survived);
    if (s->losses.vm != NULL && s->losses.survived <= s->spare_voters) {
        say(&text, "; without");
        for (size_t i = 0; i < HA_LOSSES_MAX && s->losses.hosts[i] != NULL; i++) {
            say(&text, " ");
            say(&text, s->losses.hosts[i]);
        }
        say(&text, ", ");
        say(&text, s->losses.vm);
        say(&text, " would find no place");
    }
    print_folded("survives   ", say_end(&text));
    buf_deinit(&text);
}

/* --- what is not as it should be -------------------------------------------------------------- */

static bool print_host(const struct ha_view *view, const char *name, bool may_print)
{
    const struct ha_fate *fate = ha_view_fate(view, name);
    const bool is_down = fate != NULL && fate->phase != HA_HOST_UP;
    const bool is_unheard = ha_view_agent(view, name) == NULL;
    const bool is_avoided = fate != NULL && (fate->is_quarantined || fate->is_tripped);
    char losses[64];

    if (!is_down && !is_unheard && !is_avoided) {
        return false;
    }
    if (may_print && is_down) {
        print_trouble("host", name, ha_fate_phase_name(fate->phase), fate->reason);
    } else if (may_print && fate != NULL && fate->is_quarantined) {
        (void)snprintf(losses, sizeof losses, "it gets nothing, after %u losses of late",
                       fate->losses);
        print_trouble("host", name, "quarantine", losses);
    } else if (may_print && fate != NULL && fate->is_tripped) {
        print_trouble("host", name, "tripped", fate->reason);
    } else if (may_print) {
        print_trouble("host", name, "unheard", "its agent has never written");
    }
    return true;
}

static void print_hosts(const struct ha_view *view)
{
    uint32_t told = 0;

    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        told += print_host(view, ha_view_at(view, HA_HOST, i)->key.name, told < TROUBLES_MAX);
    }
    if (told > TROUBLES_MAX) {
        (void)printf("  and %u more hosts: `novacron host list`\n", told - TROUBLES_MAX);
    }
}

static bool print_machine(const struct ha_view *view, const struct ha_vm *vm, bool may_print)
{
    const struct ha_owner *owner = ha_view_owner(view, vm->name);
    const bool runs = owner != NULL && status_is_running(owner);
    char why[STATUS_WHY_BYTES];
    const bool is_impeded = runs && status_impediment(view, vm, owner, why);

    if (!vm->is_wanted || (runs && !is_impeded)) {
        return false;
    }
    if (may_print) {
        print_trouble("vm", vm->name, owner != NULL ? ha_phase_name(owner->phase) : "new",
                      owner == NULL ? "the manager has not looked at it yet"
                      : is_impeded  ? why
                                    : owner->reason);
    }
    return true;
}

/* Returns how many. */
static uint32_t print_machines_in_trouble(const struct ha_view *view)
{
    uint32_t told = 0;

    for (size_t i = 0; i < ha_view_count(view, HA_VM); i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        told += vm != NULL && print_machine(view, vm, told < TROUBLES_MAX);
    }
    if (told > TROUBLES_MAX) {
        (void)printf("  and %u more machines: `novacron vm list`\n", told - TROUBLES_MAX);
    }
    return told;
}

static void print_incidents(const struct ha_view *view)
{
    for (size_t i = 0; i < ha_view_count(view, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(view, HA_INCIDENT, i)->record;
        if (incident != NULL && !incident->is_closed) {
            (void)printf("  open %s: `novacron incident show %s`\n", incident->id, incident->id);
        }
    }
}

static void print_notes(struct situation *s)
{
    char *line = (char *)s->notes.data;

    (void)say_end(&s->notes);
    for (size_t i = 0; i < s->notes.len; i++) {
        if (s->notes.data[i] == '\n') {
            s->notes.data[i] = '\0';
            print_folded("  ", line);
            line = (char *)&s->notes.data[i + 1];
        }
    }
}

/* --- from outside ----------------------------------------------------------------------------- */

bool status_impediment(const struct ha_view *view, const struct ha_vm *vm,
                       const struct ha_owner *owner, char ret_why[STATUS_WHY_BYTES])
{
    const struct ha_report *report = ha_view_report(view, owner->host, owner->vm);
    /* With `to_epoch` it is why a move has failed, and said no more in a moment. */
    const bool is_its = report != NULL && report->epoch == owner->epoch &&
                        report->state == HA_REPORT_RUNS && report->detail[0] != '\0' &&
                        report->to_epoch == 0;
    struct ha_ladder_view ladder;

    if (owner->phase != HA_RUNNING) {
        return false;
    }
    if (is_its) {
        (void)snprintf(ret_why, STATUS_WHY_BYTES, "%s", report->detail);
        return true;
    }
    ha_ladder_look(view, vm, &ladder);
    if (ladder.first_bad == NULL) {
        return false;
    }
    (void)snprintf(ret_why, STATUS_WHY_BYTES, "not well: %s: %s", ladder.first_bad->name,
                   ladder.first_bad->answer);
    return true;
}

static bool device_is_sighted(const struct ha_view *view, const char *device)
{
    const struct ha_entry *entry = ha_view_find(view, HA_DEVICE, device, NULL);
    const struct ha_sight *sight = ha_view_sight(view, device);

    /* One that is not there, or cannot be read, is told of elsewhere. */
    return entry == NULL || entry->record == NULL ||
           (sight != NULL && sight->revision == entry->mod_revision);
}

void status_explain_devices(const struct ha_view *view, struct buf *text)
{
    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        const struct ha_host *host = ha_view_at(view, HA_HOST, i)->record;
        for (uint32_t k = 0; host != NULL && k < host->n_levels; k++) {
            for (uint32_t j = 0; j < host->levels[k].n; j++) {
                const char *device = host->levels[k].device[j];
                if (!device_is_sighted(view, device)) {
                    say(text, "devices/");
                    say(text, device);
                    say(text, ": it has not said yet that ");
                    say(text, host->name);
                    say(text, " is on, so that its \"off\" would prove nothing; "
                              "docs/runbooks/fence-device.md\n");
                }
            }
        }
    }
}

static void print_judgment(const struct situation *s)
{
    if (s->has_troubles) {
        (void)printf("Needs attention:\n");
    } else if (!s->has_quorum) {
        (void)printf("Needs attention: the quorum.\n");
    } else if (!s->is_managed) {
        (void)printf("Needs attention: nobody manages them; docs/runbooks/no-manager.md.\n");
    } else if (!s->is_well) {
        (void)printf("Needs attention: no loss of a host would be survived.\n");
    } else {
        (void)printf("All is well.\n");
    }
}

void status_show(const struct ha_view *view, struct situation *s)
{
    print_quorum(s);
    (void)printf("hosts      %u of %u up", s->hosts_up, s->hosts);
    if (s->agents > 0) {
        (void)printf("; %u of them do not vote", s->agents);
    }
    (void)printf("\n");
    print_machines(s);
    print_losses(s);
    print_manager(s);
    (void)printf("incidents  %u open\n", s->incidents);
    print_judgment(s);
    print_hosts(view);
    const uint32_t machines = print_machines_in_trouble(view);
    print_incidents(view);
    print_notes(s);
    if (machines > 0) {
        print_folded("", "`novacron vm explain NAME` says why, and what would help.");
    }
}
