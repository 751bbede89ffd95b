/* `novacron vm`: machines, as they are wanted and as they are. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/records.h"
#include "cli/status_screen.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_explain.h"

enum { CHANGE_WAIT = REMOTE_OPTIONS, CHANGE_OFFLINE };

/* How often a machine is looked at that is waited for. */
#define VM_LOOK_MS 100

#define VM_WAIT_MAX_S 86400

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Why it is as it is; of one that runs, and is not well, what is in its way. */
static const char *vm_why(const struct ha_view *view, const struct ha_vm *vm,
                          const struct ha_owner *owner, char why[STATUS_WHY_BYTES])
{
    if (owner == NULL) {
        return vm->is_wanted ? "the manager has not looked at it yet" : "";
    }
    return status_impediment(view, vm, owner, why) ? why : owner->reason;
}

static void vm_print_row(const struct ha_view *view, const struct ha_entry *entry)
{
    const struct ha_vm *vm = entry->record;
    const struct ha_owner *owner = ha_view_owner(view, entry->key.name);
    char why[STATUS_WHY_BYTES];

    if (vm == NULL) {
        (void)printf("%-20s unreadable: %s\n", entry->key.name, entry->why);
        return;
    }
    (void)printf(
        "%-20s %-8s %-10s %-16s %6llu %8llu  %s\n", vm->name, vm->is_wanted ? "running" : "stopped",
        owner != NULL   ? ha_phase_name(owner->phase)
        : vm->is_wanted ? "new"
                        : "stopped",
        owner != NULL ? or_dash(owner->host) : "-",
        owner != NULL ? (unsigned long long)owner->epoch : 0,
        owner != NULL ? (unsigned long long)owner->restarts : 0, vm_why(view, vm, owner, why));
}

/* Does it do what is wanted of it? */
static bool vm_is_well(const struct ha_view *view, const struct ha_entry *entry)
{
    const struct ha_vm *vm = entry->record;
    const struct ha_owner *owner = ha_view_owner(view, entry->key.name);

    if (vm == NULL || owner == NULL) {
        return vm != NULL && !vm->is_wanted; /* it has never run */
    }
    return vm->is_wanted ? status_is_running(owner) : owner->phase == HA_STOPPED;
}

/* The specification and what the manager has of it, as one object. */
static void vm_print_json(const struct ha_view *view, const struct ha_entry *entry)
{
    struct buf json;

    buf_init(&json);
    say(&json, "{\"spec\":");
    ha_record_encode(HA_VM, entry->record, &json);
    const struct ha_owner *owner = ha_view_owner(view, entry->key.name);
    if (owner != NULL) {
        say(&json, ",\"owner\":");
        ha_record_encode(HA_OWNER, owner, &json);
    }
    say(&json, "}");
    (void)puts(say_end(&json));
    buf_deinit(&json);
}

enum cli_exit cmd_vm_list(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "vm list", call);

    if (e != CLI_OK) {
        return e;
    }
    const size_t n = ha_view_count(&view, HA_VM);
    if (!r.json && n > 0 && isatty(STDOUT_FILENO)) { /* programs want no head */
        (void)printf("%-20s %-8s %-10s %-16s %6s %8s  %s\n", "NAME", "WANTED", "PHASE", "HOST",
                     "EPOCH", "RESTARTS", "WHY");
    } else if (!r.json && n == 0) {
        (void)printf("There are no machines. `novacron vm apply -f FILE` makes some.\n");
    }
    for (size_t i = 0; i < n; i++) {
        const struct ha_entry *entry = ha_view_at(&view, HA_VM, i);
        e = vm_is_well(&view, entry) ? e : CLI_DAMAGED;
        if (!r.json) {
            vm_print_row(&view, entry);
        } else if (entry->record != NULL) {
            vm_print_json(&view, entry);
        } else {
            records_print_unreadable(entry);
        }
    }
    records_close(&r, &view);
    return e;
}

enum cli_exit cmd_vm_show(const struct cli_call *call)
{
    const char *name = call->arguments[0];
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "vm show", call);

    if (e != CLI_OK) {
        return e;
    }
    const struct ha_entry *entry = records_get(&r, &view, HA_VM, name);
    const struct ha_owner *owner = ha_view_owner(&view, name);
    if (entry == NULL) {
        e = CLI_UNREADABLE;
    } else if (r.json) {
        vm_print_json(&view, entry);
    } else {
        (void)printf("wanted:\n");
        records_print(HA_VM, entry->record, false);
        if (owner != NULL) {
            (void)printf("found:\n");
            records_print(HA_OWNER, owner, false);
        }
        const struct ha_report *report =
            owner != NULL ? ha_view_report(&view, owner->host, name) : NULL;
        if (report != NULL) {
            (void)printf("reported by %s:\n", report->host);
            records_print(HA_REPORT, report, false);
        }
    }
    records_close(&r, &view);
    return e;
}

/* The explanation for programs: its lines. */
static void vm_print_lines(const char *vm, const char *text)
{
    struct buf json;

    buf_init(&json);
    say(&json, "{\"vm\":");
    json_put_string(&json, vm);
    say(&json, ",\"lines\":[");
    for (const char *line = text; *line != '\0';) {
        const size_t n = strcspn(line, "\n");
        say(&json, line > text ? "," : "");
        json_put_bytes_string(&json, (struct bytes){(const uint8_t *)line, n});
        line += n + (line[n] == '\n');
    }
    say(&json, "]}");
    (void)puts(say_end(&json));
    buf_deinit(&json);
}

enum cli_exit cmd_vm_explain(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "vm explain", call);

    if (e != CLI_OK) {
        return e;
    }
    if (records_get(&r, &view, HA_VM, call->arguments[0]) == NULL) {
        e = CLI_UNREADABLE;
    } else {
        struct ha_ledger ledger;
        struct buf text;
        buf_init(&text);
        ha_ledger_init(&ledger, &view, NULL, 0);
        ha_explain_vm(&ledger, call->arguments[0], &text);
        if (r.json) {
            vm_print_lines(call->arguments[0], say_end(&text));
        } else {
            (void)fputs(say_end(&text), stdout);
        }
        ha_ledger_deinit(&ledger);
        buf_deinit(&text);
    }
    records_close(&r, &view);
    return e;
}

/* --- changing --------------------------------------------------------------------------------- */

enum vm_change { VM_CHANGE_START, VM_CHANGE_STOP, VM_CHANGE_MOVE, VM_CHANGE_DELETE };

/* Has what was asked for come about, or become impossible? */
static bool vm_is_there(const struct ha_view *view, const char *name, enum vm_change change,
                        const struct ha_vm *asked, enum cli_exit *ret)
{
    const struct ha_owner *owner = ha_view_owner(view, name);
    const struct ha_vm *vm = ha_view_vm(view, name);

    *ret = CLI_OK;
    if (change == VM_CHANGE_DELETE) {
        return owner == NULL;
    }
    if (owner == NULL || vm == NULL) {
        return false;
    }
    if (change == VM_CHANGE_STOP) {
        return owner->phase == HA_STOPPED;
    }
    if (owner->phase == HA_FAILED && owner->start_count == asked->start_count) {
        *ret = CLI_DAMAGED;
        return true;
    }
    if (owner->phase != HA_RUNNING) {
        return false;
    }
    if (change == VM_CHANGE_MOVE) {
        bool is_there = strcmp(owner->host, asked->move_to) == 0;
        bool is_refused = !is_there && vm->move_to[0] == '\0';
        *ret = is_refused ? CLI_DAMAGED : CLI_OK;
        return is_there || is_refused;
    }
    return owner->start_count == asked->start_count;
}

/* For programs: who owns it now; nobody knows of one that was deleted. */
static void vm_print_outcome(const char *name, const struct ha_owner *owner)
{
    if (owner != NULL) {
        records_print(HA_OWNER, owner, true);
    } else {
        (void)printf("{\"vm\":\"%s\",\"is_forgotten\":true}\n", name);
    }
}

static enum cli_exit vm_wait(struct remote *r, const char *name, enum vm_change change,
                             const struct ha_vm *asked, uint64_t seconds)
{
    const struct timespec pause = {.tv_nsec = VM_LOOK_MS * 1000000L};
    enum cli_exit e = CLI_OK;
    bool is_there = false;

    for (uint64_t i = 0; e == CLI_OK && !is_there && i < seconds * 1000 / VM_LOOK_MS; i++) {
        struct ha_view view;
        ha_view_init(&view);
        e = records_load(r, &view);
        if (e == CLI_OK) {
            is_there = vm_is_there(&view, name, change, asked, &e);
        }
        const struct ha_owner *owner = ha_view_owner(&view, name);
        if (is_there && r->json) {
            vm_print_outcome(name, owner);
        } else if (is_there && owner == NULL) {
            (void)printf("%s is forgotten\n", name);
        } else if (is_there) {
            (void)printf("%s is %s on %s, epoch %llu%s%s\n", name, ha_phase_name(owner->phase),
                         or_dash(owner->host), (unsigned long long)owner->epoch,
                         owner->reason[0] != '\0' ? ": " : "", owner->reason);
        }
        ha_view_deinit(&view);
        if (!is_there) {
            (void)nanosleep(&pause, NULL);
        }
    }
    if (e == CLI_OK && !is_there) {
        (void)fprintf(stderr,
                      "novacron %s: %s is not there after %llu s; `novacron vm explain %s` says "
                      "why\n",
                      r->command, name, (unsigned long long)seconds, name);
        return CLI_DAMAGED;
    }
    return e;
}

/* How long to wait, where that was asked for. */
static enum cli_exit wait_option(const struct remote *r, const struct cli_call *call, uint64_t *ret)
{
    const char *wait = call->options[CHANGE_WAIT];

    if (wait != NULL && (!remote_number(wait, ret) || *ret > VM_WAIT_MAX_S)) {
        return remote_wrong(r, "--wait wants seconds, up to a day, and got", wait);
    }
    return CLI_OK;
}

/* `host`, `is_offline`: of a move. `owner`: NULL, there is none. A machine that was declared anew
 * begins at 0, and its owner's record remembers. */
static void vm_change_apply(struct ha_vm *vm, const struct ha_owner *owner, enum vm_change change,
                            const char *host, bool is_offline)
{
    if (change == VM_CHANGE_START) {
        vm->is_wanted = true;
        vm->start_count = u64_max(vm->start_count, owner != NULL ? owner->start_count : 0) + 1;
    } else if (change == VM_CHANGE_STOP) {
        vm->is_wanted = false;
    } else {
        ha_text_set(vm->move_to, sizeof vm->move_to, host);
        vm->moves_offline = is_offline;
    }
}

/* A move to where the machine does not fit would wait there in the record until it does, and then
 * happen by surprise: it is refused. */
static enum cli_exit move_check(const struct remote *r, const struct ha_view *view,
                                const struct ha_vm *vm, const char *host)
{
    const struct ha_place_ask ask = {.only = host};
    struct ha_verdict *verdicts =
        mem_alloc_zero(ha_view_count(view, HA_HOST) * sizeof(struct ha_verdict));
    struct ha_ledger ledger;
    struct buf text;
    size_t at = 0;

    ha_ledger_init(&ledger, view, NULL, 0);
    const bool fits = ha_place_find(&ledger, vm, &ask, verdicts) != NULL;
    ha_ledger_deinit(&ledger);
    buf_init(&text);
    while (strcmp(ha_view_at(view, HA_HOST, at)->key.name, host) != 0) {
        at++;
    }
    ha_verdict_tell(host, &verdicts[at], &text);
    if (!fits) {
        (void)fprintf(stderr, "novacron %s: %s does not fit there, and nothing was changed: %s\n",
                      r->command, vm->name, say_end(&text));
    }
    buf_deinit(&text);
    mem_free(verdicts);
    return fits ? CLI_OK : CLI_UNREADABLE;
}

static enum cli_exit vm_change_with(const struct cli_call *call, const char *command,
                                    enum vm_change change)
{
    const char *name = call->arguments[0];
    const char *host = change == VM_CHANGE_MOVE ? call->arguments[1] : NULL;
    uint64_t seconds = 0;
    struct remote r;
    struct ha_view view;
    struct ha_vm vm;
    enum cli_exit e = records_open(&r, &view, command, call);

    if (e != CLI_OK) {
        return e;
    }
    const struct ha_entry *entry = records_get(&r, &view, HA_VM, name);
    const struct ha_owner *owner = ha_view_owner(&view, name);
    if (entry == NULL || (host != NULL && records_get(&r, &view, HA_HOST, host) == NULL)) {
        e = CLI_UNREADABLE;
    } else if (host != NULL && owner != NULL && owner->phase == HA_RUNNING &&
               strcmp(owner->host, host) == 0 &&
               ((const struct ha_vm *)entry->record)->move_to[0] == '\0') {
        if (r.json) {
            records_print(HA_VM, entry->record, true);
        } else {
            (void)printf("%s runs on %s already\n", name, host);
        }
    } else if ((e = wait_option(&r, call, &seconds)) == CLI_OK) {
        vm = *(const struct ha_vm *)entry->record;
        e = host != NULL ? move_check(&r, &view, &vm, host) : CLI_OK;
        vm_change_apply(&vm, owner, change, host, call->options[CHANGE_OFFLINE] != NULL);
        const struct records_change written = {
            .kind = HA_VM, .name = name, .record = &vm, .mod_revision = entry->mod_revision};
        e = e == CLI_OK ? records_write(&r, &written, 1) : e;
        if (e == CLI_OK && call->options[CHANGE_WAIT] != NULL) {
            e = vm_wait(&r, name, change, &vm, seconds);
        } else if (e == CLI_OK && r.json) {
            records_print(HA_VM, &vm, true);
        }
    }
    records_close(&r, &view);
    return e;
}

enum cli_exit cmd_vm_start(const struct cli_call *call)
{
    return vm_change_with(call, "vm start", VM_CHANGE_START);
}

enum cli_exit cmd_vm_stop(const struct cli_call *call)
{
    return vm_change_with(call, "vm stop", VM_CHANGE_STOP);
}

enum cli_exit cmd_vm_migrate(const struct cli_call *call)
{
    return vm_change_with(call, "vm migrate", VM_CHANGE_MOVE);
}

enum cli_exit cmd_vm_delete(const struct cli_call *call)
{
    uint64_t seconds = 0;
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "vm delete", call);

    if (e != CLI_OK) {
        return e;
    }
    /* One that cannot be read may be deleted, too. */
    const struct ha_entry *entry = ha_view_find(&view, HA_VM, call->arguments[0], NULL);
    if (entry == NULL) {
        (void)remote_wrong(&r, "there is no machine", call->arguments[0]);
        e = CLI_UNREADABLE;
    } else if ((e = wait_option(&r, call, &seconds)) == CLI_OK) {
        e = records_write(&r,
                          &(struct records_change){.kind = HA_VM,
                                                   .name = call->arguments[0],
                                                   .mod_revision = entry->mod_revision},
                          1);
        if (e == CLI_OK && call->options[CHANGE_WAIT] != NULL) {
            e = vm_wait(&r, call->arguments[0], VM_CHANGE_DELETE, NULL, seconds);
        } else if (e == CLI_OK && r.json) {
            (void)printf("{\"vm\":\"%s\",\"is_deleted\":true}\n", call->arguments[0]);
        }
    }
    records_close(&r, &view);
    return e;
}
