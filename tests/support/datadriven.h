/*
 * Scripts of commands with their expected output, as a person writes and reads them:
 *
 *     # A comment.
 *     command argument key=value list=(1,2,3)
 *     input lines, where the command takes any
 *     ----
 *     what the command prints
 *
 * A blank line ends the output. Output that has blank lines of its own stands between two double
 * fences, `----` twice. A line of the command that ends in a backslash goes on in the next one.
 *
 * The format is that of cockroachdb/datadriven, which etcd-raft's test data are written in. Our own
 * scripts use it too; `rewrite` replaces the outputs of a script by what the commands print now.
 */
#ifndef NOVACRON_TESTS_SUPPORT_DATADRIVEN_H
#define NOVACRON_TESTS_SUPPORT_DATADRIVEN_H

#include "core/base/buf.h"

/* Arguments of one command, and values of one argument. */
#define SCRIPT_ARGS_MAX   32
#define SCRIPT_VALUES_MAX 64

struct script_arg {
    const char *key;
    const char *values[SCRIPT_VALUES_MAX];
    size_t n; /* values; 0 for an argument that is a word */
};

/* One command; strings are borrowed from the script until the next command is read. */
struct script_command {
    const char *path;
    unsigned line;
    const char *name;
    struct script_arg args[SCRIPT_ARGS_MAX];
    size_t arg_count;
    struct bytes input; /* without blank ends */
    struct bytes expected;
};

/* The argument called `key`, or NULL. */
const struct script_arg *script_arg_find(const struct script_command *c, const char *key);

/* The number that fills `text`; false where it is none. */
bool script_number(const char *text, uint64_t *ret);

/* What a script may say, and how its output is judged. */
struct script_language {
    /* Carries out a command and appends what it prints. A missing newline at the end is added. */
    void (*run)(void *state, const struct script_command *c, struct buf *out);
    /* Takes away what does not count, from what is expected and from what was printed; NULL: all
     * counts. */
    void (*reduce)(struct buf *text);
    /* Is this command's output compared at all? NULL: it is. */
    bool (*compares)(const struct script_command *c);
};

struct script_totals {
    unsigned passed; /* commands whose output is as expected */
    unsigned failed;
};

/* Runs a script from its first command to its last. Prints a diff for each command that printed
 * something else than expected, behind its place in the file. False where the file cannot be read,
 * is malformed, or (with `rewrite`) cannot be written. */
bool script_run(const char *path, const struct script_language *language, void *state, bool rewrite,
                struct script_totals *totals);

#endif
