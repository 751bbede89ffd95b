#include "core/ha/ha_ladder_view.h"

#include <string.h>

#include "core/base/say.h"
#include "core/ha/ha_agent.h"

/* 1500 as "1.5 s". */
static void line_seconds(struct buf *text, uint64_t ms)
{
    say_u64(text, ms / 1000);
    if (ms % 1000 >= 100) {
        say(text, ".");
        say_u64(text, ms % 1000 / 100);
    }
    say(text, " s");
}

static void line_set(char field[HA_TEXT_BYTES], struct buf *text)
{
    ha_text_set(field, HA_TEXT_BYTES, say_end(text));
    buf_clear(text);
}

/* --- the process --------------------------------------------------------------------------------
 */

static void look_at_process(const struct ha_ladder_view *l, const struct ha_report *report,
                            struct ha_ladder_line *line)
{
    const struct ha_owner *o = l->owner;
    bool is_reported = report != NULL && report->state == HA_REPORT_RUNS;
    const char *answer = o != NULL ? o->reason : "the manager has not looked at it yet";

    line->name = "process";
    line->state = HA_RUNG_BAD;
    if (o != NULL && o->phase == HA_RUNNING && is_reported) {
        line->state = HA_RUNG_WELL;
        answer = "it lives";
    } else if (o == NULL || o->phase == HA_STARTING || o->phase == HA_RECOVERING) {
        line->state = HA_RUNG_WAITING;
    } else if (o->phase == HA_RUNNING) {
        line->state = HA_RUNG_WAITING;
        answer = "its host has not reported it yet";
    } else if (!l->is_wanted) {
        line->state = HA_RUNG_UNASKED;
        answer = o->phase == HA_STOPPED ? "it stands still, as is wanted" : o->reason;
    }
    ha_text_set(line->asks, sizeof(line->asks), "its end is told by the kernel");
    ha_text_set(line->answer, sizeof(line->answer), answer);
    ha_text_set(line->then, sizeof(line->then), "it is started anew after its delay");
}

/* --- what it is asked ---------------------------------------------------------------------------
 */

static void line_asks(const struct ha_vm *vm, enum ha_rung rung, struct buf *text)
{
    const struct ha_check *check = ha_vm_check(vm, rung);

    if (rung == HA_RUNG_QMP) {
        say(text, "its process for its state, every ");
        line_seconds(text, HA_QUERY_EVERY / NANOS_PER_MS);
    } else if (rung == HA_RUNG_AGENT) {
        say(text, "ping its guest agent");
    } else if (check->ask != HA_ASK_NOTHING) {
        ha_check_say(text, check);
        say(text, ", every ");
        line_seconds(text, check->period_ms);
    }
}

static void line_then(const struct ha_vm *vm, enum ha_rung rung, struct buf *text)
{
    const struct ha_check *check = ha_vm_check(vm, rung);
    bool is_told = rung == HA_RUNG_AGENT || rung == HA_RUNG_READINESS ||
                   (rung == HA_RUNG_QMP && vm->mute_ms == 0);

    if (is_told) {
        say(text, "it is only told");
        return;
    }
    say(text, "it is ended ");
    if (rung == HA_RUNG_QMP) {
        say(text, "after ");
        line_seconds(text, vm->mute_ms);
        say(text, " without an answer");
    } else {
        say(text, "after ");
        say_u64(text, check->failures);
        say(text, check->failures == 1 ? " failure" : " failures in a row");
    }
    say(text, ", and started anew");
}

static void look_at_rung(const struct ha_vm *vm, const struct ha_report *report, enum ha_rung rung,
                         struct ha_ladder_line *line)
{
    const struct ha_check *check = ha_vm_check(vm, rung);
    struct buf text;

    buf_init(&text);
    line->name = ha_rung_name(rung);
    if (report != NULL && report->state == HA_REPORT_RUNS) {
        line->state = report->rungs[rung].state;
        line->since_ms = report->rungs[rung].since_ms;
        memcpy(line->answer, report->rungs[rung].answer, sizeof(line->answer));
    }
    line_asks(vm, rung, &text);
    line_set(line->asks, &text);
    if (check == NULL || check->ask != HA_ASK_NOTHING) {
        line_then(vm, rung, &text);
        line_set(line->then, &text);
    }
    buf_deinit(&text);
}

/* The agent of a guest that has never answered may not be there. */
static bool line_is_well(const struct ha_ladder_line *line)
{
    bool may_wait = strcmp(line->name, ha_rung_name(HA_RUNG_AGENT)) == 0;

    return line->state == HA_RUNG_WELL || line->state == HA_RUNG_UNASKED ||
           (may_wait && line->state == HA_RUNG_WAITING);
}

void ha_ladder_look(const struct ha_view *view, const struct ha_vm *vm, struct ha_ladder_view *ret)
{
    const struct ha_report *report = NULL;

    memset(ret, 0, sizeof(*ret));
    ret->is_wanted = vm->is_wanted;
    ret->owner = ha_view_owner(view, vm->name);
    if (ret->owner != NULL && ret->owner->phase == HA_RUNNING) {
        report = ha_view_report(view, ret->owner->host, vm->name);
        report = report != NULL && report->epoch == ret->owner->epoch ? report : NULL;
    }
    look_at_process(ret, report, &ret->lines[0]);
    for (enum ha_rung rung = 0; rung < HA_RUNGS; rung++) {
        look_at_rung(vm, report, rung, &ret->lines[1 + rung]);
    }
    ret->is_well = true;
    for (int i = 0; i < HA_LADDER_LINES; i++) {
        const struct ha_ladder_line *line = &ret->lines[i];
        ret->is_well = ret->is_well && line_is_well(line);
        if (line->state == HA_RUNG_BAD && ret->first_bad == NULL) {
            ret->first_bad = line;
        }
    }
}
