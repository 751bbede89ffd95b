/*
 * A program that runs scripts:
 *
 *     PROGRAM [--level NAME] [--rewrite] FILE|FOLDER...
 *     PROGRAM [--level NAME] --conformance SOURCE_ROOT
 *
 * A folder means every *.txt in it. The second form runs every script of the test data that others
 * publish, which lie beside a checkout in shared/conformance (NOVACRON_SHARED names another place
 * for `shared`), and exits with 77, which Meson counts as skipped, where they are absent.
 */
#ifndef NOVACRON_TESTS_SUPPORT_SCRIPT_MAIN_H
#define NOVACRON_TESTS_SUPPORT_SCRIPT_MAIN_H

#include "tests/support/datadriven.h"

#define SCRIPT_EXIT_SKIPPED 77

struct script_level {
    const char *name; /* NULL where there is only one */
    struct script_language language;
};

struct script_program {
    const char *name;
    const char *summary;     /* what --help says that it does */
    const char *conformance; /* its folder in shared/conformance; NULL: none */
    bool rewrites;           /* knows --rewrite */
    const struct script_level *levels;
    size_t level_count; /* the last one is the default */
    /* The state of one script; NULL: there is none. */
    void *(*begin)(void);
    void (*end)(void *state);
};

/* What `main` returns. */
int script_main(const struct script_program *program, int argc, char **argv);

#endif
