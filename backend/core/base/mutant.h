/*
 * Mutants: famous bugs that can be switched on, one at a time, to prove that the simulator finds
 * them. Only the program novacron-sim has them: its copy of the core is compiled with
 * NOVACRON_SIM. Everywhere else MUTANT(x) is the constant false and leaves no trace in an object
 * (scripts/tidy_symbols.py looks).
 *
 * A site is one condition in the code that the bug is about: `if (fits && !MUTANT(X))`. It may bend
 * what the code decides, and nothing else; whatever more a bug needs does not belong here.
 */
#ifndef NOVACRON_BASE_MUTANT_H
#define NOVACRON_BASE_MUTANT_H

#include <stdbool.h>
#include <stdint.h>

/* enumerator, name, the profile whose seeds are tried, the bug, where it was seen (a row of the
 * scenarios in docs/simulator.md, a project's issue, a key of docs/references.md) */
#define MUTANT_TABLE(X)                                                                            \
    X(OLD_TERM_COMMIT, "fig8-old-term-commit", "default",                                          \
      "a leader commits entries of earlier terms by counting",                                     \
      "[Ongaro14] fig. 3.7; PySyncObj#169")

enum mutant {
    MUTANT_NONE,
#define MUTANT_ENUM(mutant, name, profile, bug, seen) MUTANT_##mutant,
    MUTANT_TABLE(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANTS
};

#ifdef NOVACRON_SIM
/* The one that is switched on; defined by the program. */
extern enum mutant mutant_active;
#define MUTANT(mutant) __builtin_expect(mutant_active == MUTANT_##mutant, 0)
#else
#define MUTANT(mutant) false
#endif

#endif
