#include "cli/sim/sim_mutants.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"

static const struct sim_mutant mutant_rows[MUTANTS] = {
#define MUTANT_ROW(mutant, name, profile, bug, seen) [MUTANT_##mutant] = {name, profile, bug, seen},
    MUTANT_TABLE(MUTANT_ROW)
#undef MUTANT_ROW
};

const struct sim_mutant *sim_mutant_get(enum mutant mutant)
{
    CHECK(mutant > MUTANT_NONE && mutant < MUTANTS);
    return &mutant_rows[mutant];
}

enum sim_profile sim_mutant_profile(enum mutant mutant)
{
    enum sim_profile profile = PROFILE_DEFAULT;

    CHECK(sim_profile_find(sim_mutant_get(mutant)->profile, &profile));
    return profile;
}

enum mutant sim_mutant_find(const char *name, size_t length)
{
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        if (strlen(mutant_rows[i].name) == length &&
            memcmp(mutant_rows[i].name, name, length) == 0) {
            return (enum mutant)i;
        }
    }
    return MUTANT_NONE;
}

bool sim_mutants_listed(const char *command, const char *names, bool ret[MUTANTS])
{
    memset(ret, 0, MUTANTS * sizeof ret[0]);
    if (names == NULL) {
        memset(ret + 1, true, (MUTANTS - 1) * sizeof ret[0]);
        return true;
    }
    for (;;) {
        size_t length = strcspn(names, ",");
        enum mutant mutant = sim_mutant_find(names, length);
        if (mutant == MUTANT_NONE) {
            (void)fprintf(stderr, "novacron-sim %s: there is no mutant '%.*s'; these are:\n",
                          command, (int)length, names);
            for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
                (void)fprintf(stderr, "  %-28s %s\n", mutant_rows[i].name, mutant_rows[i].bug);
            }
            return false;
        }
        ret[mutant] = true;
        if (names[length] == '\0') {
            return true;
        }
        names += length + 1;
    }
}
