/* `novacron health MACHINE`: the ladder of a machine, as its host has reported it last. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/records.h"
#include "core/base/json.h"
#include "core/base/say.h"
#include "core/ha/ha_ladder_view.h"

/* "22:38:01 (3m12s)"; "" where it is not known. */
static void ladder_print_since(uint64_t since_ms)
{
    const time_t at = (time_t)(since_ms / 1000);
    const time_t now = time(NULL);
    struct tm tm = {0};
    char clock[32];

    if (since_ms == 0 || localtime_r(&at, &tm) == NULL) {
        return;
    }
    const unsigned long long span = now > at ? (unsigned long long)(now - at) : 0;
    (void)strftime(clock, sizeof clock, span < 86400 ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    (void)printf(", since %s (%llum%llus)", clock, span / 60, span % 60);
}

static void ladder_print(const struct ha_vm *vm, const struct ha_ladder_view *l)
{
    (void)printf("%s: %s", vm->name, l->owner != NULL ? ha_phase_name(l->owner->phase) : "new");
    if (l->owner != NULL && l->owner->host[0] != '\0') {
        (void)printf(" on %s, epoch %llu", l->owner->host, (unsigned long long)l->owner->epoch);
    }
    (void)printf(", %s\n", l->is_well             ? "well"
                           : l->first_bad != NULL ? "not well"
                                                  : "not yet well");
    for (int i = 0; i < HA_LADDER_LINES; i++) {
        const struct ha_ladder_line *line = &l->lines[i];
        (void)printf("  %-10s %-8s", line->name, ha_rung_state_name(line->state));
        if (line->answer[0] != '\0') {
            (void)printf(" %s", line->answer);
        }
        ladder_print_since(line->since_ms);
        (void)putchar('\n');
        if (line->state != HA_RUNG_UNASKED && line->asks[0] != '\0') {
            (void)printf("             asked: %s\n", line->asks);
        }
        if (line->state != HA_RUNG_UNASKED && line->then[0] != '\0') {
            (void)printf("             when it fails: %s\n", line->then);
        }
    }
    if (l->first_bad != NULL) {
        (void)printf("The first that fails is %s.\n", l->first_bad->name);
    }
}

static void ladder_put_text(struct buf *json, const char *key, const char *text)
{
    say(json, ",");
    json_put_string(json, key);
    say(json, ":");
    json_put_string(json, text);
}

static void ladder_print_json(const struct ha_vm *vm, const struct ha_ladder_view *l)
{
    struct buf json;

    buf_init(&json);
    say(&json, "{\"name\":");
    json_put_string(&json, vm->name);
    ladder_put_text(&json, "phase", l->owner != NULL ? ha_phase_name(l->owner->phase) : "new");
    ladder_put_text(&json, "host", l->owner != NULL ? l->owner->host : "");
    say(&json, ",\"epoch\":");
    say_u64(&json, l->owner != NULL ? l->owner->epoch : 0);
    say(&json, l->is_well ? ",\"is_well\":true" : ",\"is_well\":false");
    ladder_put_text(&json, "first_bad", l->first_bad != NULL ? l->first_bad->name : "");
    say(&json, ",\"rungs\":[");
    for (int i = 0; i < HA_LADDER_LINES; i++) {
        const struct ha_ladder_line *line = &l->lines[i];
        say(&json, i > 0 ? ",{\"rung\":" : "{\"rung\":");
        json_put_string(&json, line->name);
        ladder_put_text(&json, "state", ha_rung_state_name(line->state));
        ladder_put_text(&json, "asks", line->asks);
        ladder_put_text(&json, "answer", line->answer);
        say(&json, ",\"since_ms\":");
        say_u64(&json, line->since_ms);
        ladder_put_text(&json, "then", line->then);
        say(&json, "}");
    }
    say(&json, "]}");
    (void)puts(say_end(&json));
    buf_deinit(&json);
}

/* All there is to say of it. */
static enum cli_exit ladder_tell_machine(const struct remote *r, const struct ha_view *view,
                                         const char *name)
{
    const struct ha_entry *entry = records_get(r, view, HA_VM, name);
    struct ha_ladder_view ladder;

    if (entry == NULL) {
        return CLI_UNREADABLE;
    }
    ha_ladder_look(view, entry->record, &ladder);
    if (r->json) {
        ladder_print_json(entry->record, &ladder);
    } else {
        ladder_print(entry->record, &ladder);
    }
    return ladder.is_well ? CLI_OK : CLI_DAMAGED;
}

enum cli_exit cmd_vm_health(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "vm health", call);

    if (e == CLI_OK) {
        e = ladder_tell_machine(&r, &view, call->arguments[0]);
        records_close(&r, &view);
    }
    return e;
}

enum cli_exit vm_health_of(struct remote *r, const char *name, const char *unless)
{
    struct ha_view view;

    ha_view_init(&view);
    enum cli_exit e = records_load(r, &view);
    if (e == CLI_OK && ha_view_find(&view, HA_VM, name, NULL) == NULL) {
        e = remote_failed(r, unless);
    } else if (e == CLI_OK) {
        e = ladder_tell_machine(r, &view, name);
    }
    ha_view_deinit(&view);
    return e;
}
