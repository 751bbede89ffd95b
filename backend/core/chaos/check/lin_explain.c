/* What a person reads. */
#include "core/chaos/check/lin_int.h"
#include "core/base/say.h"

/* Columns of the table of operations. */
#define COLUMN_ACTION  14
#define COLUMN_TIMES   40
#define COLUMN_OUTCOME 78

static void say_key(const struct lin *lin, uint64_t key, struct buf *out)
{
    if (lin->names != NULL && lin->names->key != NULL) {
        lin->names->key(lin->names->ctx, key, out);
    } else {
        say_u64(out, key);
    }
}

static void say_value(const struct lin *lin, uint64_t value, struct buf *out)
{
    if (lin->names != NULL && lin->names->value != NULL) {
        lin->names->value(lin->names->ctx, value, out);
    } else if (value == 0) {
        say(out, "nil");
    } else {
        say_u64(out, value);
    }
}

static void say_when(const struct lin *lin, nanos t, struct buf *out)
{
    if (lin->names != NULL && lin->names->times_are_lines) {
        say(out, "line ");
        say_u64(out, t);
    } else {
        say_time(out, t);
    }
}

static void say_action(const struct lin *lin, const struct lin_op *o, struct buf *out)
{
    switch ((enum lin_kind)o->kind) {
    case LIN_READ:
        say(out, "read -> ");
        say_value(lin, o->value, out);
        break;
    case LIN_WRITE:
    case LIN_APPEND:
        say(out, o->kind == LIN_WRITE ? "write " : "append ");
        say_value(lin, o->value, out);
        break;
    case LIN_DELETE:
        say(out, "delete");
        break;
    case LIN_CAS:
        say(out, "cas ");
        say_value(lin, o->expected, out);
        say(out, " -> ");
        say_value(lin, o->value, out);
        break;
    case LIN_CAS_MISS:
        say(out, "cas ");
        say_value(lin, o->expected, out);
        say(out, " missed");
        break;
    case LIN_KINDS:
        break;
    }
}

static void say_outcome(const struct lin_op *o, bool is_open, struct buf *out)
{
    if (o->outcome == LIN_UNKNOWN) {
        say(out, "outcome unknown");
    } else {
        say(out, is_open ? "ok; its end does not matter" : "ok");
    }
    if (o->outcome == LIN_OK && o->revision != 0) {
        say(out, ", revision ");
        say_u64(out, o->revision);
    }
    if (o->outcome == LIN_OK && o->mod_revision != 0) {
        say(out, ", value of revision ");
        say_u64(out, o->mod_revision);
    }
}

static void say_operation(const struct lin *lin, const struct lin_culprit *culprit, struct buf *out)
{
    const struct lin_op *o = &lin->ops[culprit->op];
    size_t begin = out->len;
    say(out, "  process ");
    say_u64(out, o->process);
    say_column(out, begin, COLUMN_ACTION);
    say_action(lin, o, out);
    if (o->key != lin->report->key) {
        say(out, " of key ");
        say_key(lin, o->key, out);
    }
    say_column(out, begin, COLUMN_TIMES);
    say_when(lin, o->invoked, out);
    if (o->outcome == LIN_OK) {
        say(out, " to ");
        say_when(lin, o->returned, out);
    } else {
        say(out, " on");
    }
    say_column(out, begin, COLUMN_OUTCOME);
    say_outcome(o, culprit->is_open, out);
    say(out, "\n");
}

static void explain_undecided(const struct lin *lin, struct buf *text)
{
    switch (lin->report->bound) {
    case LIN_BOUND_STEPS:
        say(text, "undecided: the search took all the steps that it may take");
        break;
    case LIN_BOUND_MEMORY:
        say(text, "undecided: the search took all the memory that it may take");
        break;
    case LIN_BOUND_MALFORMED:
    case LIN_BOUND_NONE:
        say(text, "undecided: this is no operation (it returns before its invocation, or a number "
                  "is out of its range)");
        break;
    }
    if (lin->report->keys > 1) {
        say(text, "; key ");
        say_key(lin, lin->report->key, text);
    }
    say(text, "\n");
}

void lin_explain(const struct lin *lin, struct buf *text)
{
    const struct lin_report *report = lin->report;
    if (report->verdict == LIN_UNDECIDED) {
        explain_undecided(lin, text);
    } else {
        say(text, "not linearizable: no order explains these operations");
        if (report->keys > 1) {
            say(text, " of key ");
            say_key(lin, report->key, text);
        }
        say(text, report->is_part_late ? ", whatever was there before them\n" : "\n");
    }
    for (size_t i = 0; i < report->part_count; i++) {
        say_operation(lin, &report->part[i], text);
    }
}
