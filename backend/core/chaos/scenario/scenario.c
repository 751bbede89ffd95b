#include "core/chaos/scenario/scenario.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/chaos/scenario/stage.h"

static const struct scenario all_scenarios[] = {
#define SCENARIO_ROW(function, name, bound, seconds, mutant, source, story)                        \
    {name, bound, (seconds)*NANOS_PER_S, mutant, source, story, scenario_##function},
    SCENARIO_TABLE(SCENARIO_ROW)
#undef SCENARIO_ROW
};

const struct scenario *scenario_rows(size_t *ret_count)
{
    *ret_count = COUNT_OF(all_scenarios);
    return all_scenarios;
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(all_scenarios); i++) {
        if (strcmp(all_scenarios[i].name, name) == 0) {
            return &all_scenarios[i];
        }
    }
    return NULL;
}

void scenario_run(const struct scenario *scenario, const struct sim_options *options,
                  struct sim_result *ret)
{
    struct stage *st = mem_alloc_zero(sizeof *st);

    sim_open(&st->sim, options, ret);
    for (size_t i = 0; i < STAGE_CAUGHT_MAX; i++) {
        buf_init(&st->caught[i].bytes);
    }
    scenario->run(st);
    stage_heal(st);
    stage_expect(st, stage_now(st) - ret->started <= scenario->within,
                 "the scenario ends within its virtual time");
    if (!st->sim.is_over) {
        sim_judge(&st->sim);
    }
    sim_end(&st->sim);
    for (size_t i = 0; i < STAGE_CAUGHT_MAX; i++) {
        buf_deinit(&st->caught[i].bytes);
    }
    mem_free(st);
}
