/*
 * raft-script: runs our own golden scripts, in tests/core/consensus/golden.
 *
 *     raft-script [--rewrite] FILE...
 *
 * They speak etcd-raft's language (etcd_verbs.h) and more (own_verbs.h), and show what that project
 * lacks: witnesses, priority, repair, stalls, snapshots in chunks, leases.
 */
#include "tests/core/consensus/etcd_verbs.h"
#include "tests/core/consensus/own_verbs.h"
#include "tests/support/script_main.h"

static void *begin_own_script(void)
{
    return script_env_new();
}

static void end_own_script(void *env)
{
    script_env_free(env);
}

static void run_own_command(void *env, const struct script_command *c, struct buf *out)
{
    const struct script_verbs tables[] = {{own_verbs, own_verb_count},
                                          {etcd_verbs, etcd_verb_count}};
    script_env_run(env, tables, COUNT_OF(tables), c, out);
}

int main(int argc, char **argv)
{
    static const struct script_level levels[] = {{NULL, {.run = run_own_command}}};
    static const struct script_program program = {
        .name = "raft-script",
        .summary = "Runs golden scripts and compares what they print.",
        .rewrites = true,
        .levels = levels,
        .level_count = COUNT_OF(levels),
        .begin = begin_own_script,
        .end = end_own_script,
    };
    return script_main(&program, argc, argv);
}
