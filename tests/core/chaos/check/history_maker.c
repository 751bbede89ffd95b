#include "tests/core/chaos/check/history_maker.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/sort.h"

#define MILLION 1000000

struct register_state {
    uint64_t value;
    uint64_t seen; /* by the last read of known outcome */
    uint64_t mod_revision;
};

/* When an operation takes effect; never, where it does not. */
struct effect {
    nanos at;
    size_t op;
};

static int order_by_invocation(const void *a, const void *b)
{
    const struct lin_op *x = a;
    const struct lin_op *y = b;
    return x->invoked != y->invoked ? (x->invoked < y->invoked ? -1 : 1)
                                    : (x->process < y->process ? -1 : x->process > y->process);
}

static int order_by_effect(const void *a, const void *b)
{
    const struct effect *x = a;
    const struct effect *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : (x->op < y->op ? -1 : x->op > y->op);
}

static uint8_t draw_operation_kind(struct prng *p, const struct history_recipe *recipe)
{
    uint64_t draw = prng_below(p, MILLION);
    if (draw < recipe->read_ppm) {
        return LIN_READ;
    }
    draw -= recipe->read_ppm;
    if (draw < recipe->cas_ppm) {
        return LIN_CAS;
    }
    return draw - recipe->cas_ppm < recipe->delete_ppm ? LIN_DELETE : LIN_WRITE;
}

/* Who does what, and when; not yet what it finds. */
static void plan_operations(struct prng *p, const struct history_recipe *recipe, struct lin_op *ops)
{
    nanos *free_at = mem_alloc_zero(recipe->processes * sizeof(*free_at));
    for (size_t i = 0; i < recipe->count; i++) {
        uint32_t process = (uint32_t)(i % recipe->processes);
        nanos invoked = free_at[process] + 1 + prng_below(p, recipe->pause);
        nanos returned = invoked + 1 + prng_below(p, recipe->operation);
        free_at[process] = returned;
        ops[i] = (struct lin_op){.invoked = invoked,
                                 .returned = returned,
                                 .key = 1 + prng_below(p, recipe->keys),
                                 .process = process,
                                 .kind = draw_operation_kind(p, recipe),
                                 .outcome = LIN_OK};
        if (prng_chance(p, recipe->unknown_ppm, MILLION)) {
            ops[i].outcome = LIN_UNKNOWN;
        }
    }
    sort_items(ops, recipe->count, sizeof(ops[0]), order_by_invocation);
    for (size_t i = 0; i < recipe->count; i++) {
        if (ops[i].kind == LIN_WRITE || ops[i].kind == LIN_CAS) {
            ops[i].value = recipe->values != 0 ? 1 + prng_below(p, recipe->values) : 1000 + i;
        }
    }
    mem_free(free_at);
}

static size_t plan_effects(struct prng *p, const struct history_recipe *recipe,
                           const struct lin_op *ops, struct effect *effects)
{
    size_t n = 0;
    for (size_t i = 0; i < recipe->count; i++) {
        nanos span = ops[i].returned - ops[i].invoked;
        if (ops[i].outcome == LIN_UNKNOWN) {
            if (prng_chance(p, 1, 2)) {
                continue;
            }
            span *= 1 + prng_below(p, 8);
        }
        effects[n++] = (struct effect){ops[i].invoked + prng_below(p, span + 1), i};
    }
    sort_items(effects, n, sizeof(effects[0]), order_by_effect);
    return n;
}

static void carry_out(struct prng *p, const struct history_recipe *recipe, struct lin_op *o,
                      struct register_state *r, uint64_t *revision)
{
    bool changes = o->kind == LIN_WRITE;
    if (o->kind == LIN_READ) {
        o->value = r->value;
        o->mod_revision = recipe->has_revisions ? r->mod_revision : 0;
        r->seen = o->outcome == LIN_OK ? r->value : r->seen;
    } else if (o->kind == LIN_DELETE) {
        /* A delete that finds nothing is a read. */
        changes = r->value != 0;
        o->kind = changes ? LIN_DELETE : LIN_READ;
    } else if (o->kind == LIN_CAS) {
        changes = prng_chance(p, 1, 2);
        /* A miss expects what some client read a while ago. */
        o->expected = changes ? r->value : r->seen;
        changes = o->expected == r->value;
        if (recipe->values != 0 && !changes) {
            o->expected = 1 + r->value % recipe->values;
            changes = o->expected == r->value;
        }
        o->kind = !changes && o->outcome == LIN_OK ? LIN_CAS_MISS : LIN_CAS;
    }
    if (changes) {
        ++*revision;
        r->value = o->kind == LIN_DELETE ? 0 : o->value;
        r->mod_revision = o->kind == LIN_DELETE ? 0 : *revision;
    }
    o->revision = recipe->has_revisions && o->outcome == LIN_OK ? *revision : 0;
}

void make_history(struct prng *p, const struct history_recipe *recipe, struct lin_op *ops)
{
    struct effect *effects = mem_alloc(recipe->count * sizeof(*effects));
    struct register_state *registers = mem_alloc_zero((recipe->keys + 1) * sizeof(*registers));
    uint64_t revision = 1;
    CHECK(recipe->processes > 0 && recipe->keys > 0);
    plan_operations(p, recipe, ops);
    size_t n = plan_effects(p, recipe, ops, effects);
    for (size_t i = 0; i < n; i++) {
        struct lin_op *o = &ops[effects[i].op];
        carry_out(p, recipe, o, &registers[o->key], &revision);
    }
    mem_free(registers);
    mem_free(effects);
}
