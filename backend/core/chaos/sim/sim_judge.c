/* The verdict over what clients saw: linearizability of every key, watches, leases. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/chaos/check/lin.h"
#include "core/chaos/sim/simclient_wire.h"
#include "core/chaos/sim/sim_int.h"

static enum lin_kind lin_kind_of(const struct simcall *call)
{
    switch (call->kind) {
    case SIMCALL_GET:
        return LIN_READ;
    case SIMCALL_PUT:
        return LIN_WRITE;
    case SIMCALL_DELETE:
        return call->outcome == SIMCALL_OK && !call->changed ? LIN_READ : LIN_DELETE;
    case SIMCALL_SWAP:
        return call->outcome == SIMCALL_OK && !call->changed ? LIN_CAS_MISS : LIN_CAS;
    case SIMCALL_KINDS:
        break;
    }
    CHECK_UNREACHABLE("no kind of a call");
}

static struct lin_op lin_op_of(const struct simcall *call)
{
    static const enum lin_outcome outcomes[] = {
        [SIMCALL_UNKNOWN] = LIN_UNKNOWN, [SIMCALL_OK] = LIN_OK, [SIMCALL_FAILED] = LIN_FAILED};
    bool is_read = call->kind == SIMCALL_GET;

    return (struct lin_op){
        .invoked = call->called,
        .returned = call->returned,
        .key = call->key,
        .value = call->value,
        .expected = call->expected,
        .revision = call->outcome == SIMCALL_OK ? (uint64_t)call->revision : 0,
        .mod_revision = call->outcome == SIMCALL_OK && is_read ? (uint64_t)call->modified : 0,
        .process = call->client,
        .kind = (uint8_t)lin_kind_of(call),
        .outcome = (uint8_t)outcomes[call->outcome],
    };
}

static void judge_calls(struct sim *s)
{
    const struct lin_limits limits = lin_limits_plain();
    const struct simclients *c = &s->clients;
    struct lin *lin = lin_open(&limits);
    struct lin_op *ops = mem_alloc(c->call_count * sizeof *ops);
    struct lin_report report;
    struct buf text;

    buf_init(&text);
    for (size_t i = 0; i < c->call_count; i++) {
        ops[i] = lin_op_of(&c->calls[i]);
        if (c->calls[i].kind == SIMCALL_GET && c->calls[i].value == SIMCLIENT_MIXED_UP) {
            sim_fail(s, SIM_UNSAFE, "I7", "a read returned bytes that nobody wrote");
        }
        if (c->calls[i].outcome == SIMCALL_OK && c->calls[i].kind == SIMCALL_SWAP) {
            sim_reach(s, c->calls[i].changed ? REACHED_SWAPPED : REACHED_NOT_SWAPPED);
        }
    }
    lin_check(lin, ops, c->call_count, NULL, NULL, &report, &text);
    if (report.verdict == LIN_NOT_LINEARIZABLE) {
        sim_fail(s, SIM_UNSAFE, "I7", say_end(&text));
    } else if (report.verdict == LIN_UNDECIDED) {
        sim_fail(s, SIM_UNDECIDED, "I7", say_end(&text));
    }
    lin_close(lin);
    mem_free(ops);
    buf_deinit(&text);
}

void sim_judge(struct sim *s)
{
    judge_calls(s);
}
