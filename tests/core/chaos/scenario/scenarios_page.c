/*
 * Prints docs/scenarios.md from the table of backend/core/chaos/scenario/scenario.h, or says
 * whether the page is that.
 *
 *     scenarios-page             prints the page; `make docs` puts it in its place
 *     scenarios-page FILE        compares: 0 where FILE is this page, 1 where it is stale
 */
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/say.h"
#include "core/chaos/scenario/scenario.h"

#define SCENARIOS_PAGE_BYTES_MAX (256 * 1024)

static void say_scenario_row(struct buf *out, const struct scenario *row)
{
    bool has_mutant = row->mutant[0] != '\0';

    say(out, "| `");
    say(out, row->name);
    say(out, "` | ");
    say(out, row->story);
    say(out, " | ");
    say(out, row->bound);
    say(out, has_mutant ? " | `" : " | ");
    say(out, row->mutant);
    say(out, has_mutant ? "` | " : " | ");
    say(out, row->source);
    say(out, " |\n");
}

static void say_scenarios_page(struct buf *out)
{
    size_t count;
    const struct scenario *rows = scenario_rows(&count);

    say(out, "# Scenarios\n\n"
             "Generated from `SCENARIO_TABLE` in `backend/core/chaos/scenario/scenario.h` by "
             "`make docs`; do not edit.\n\n"
             "Failures that real systems met, each a script on whole nodes in the simulated "
             "world. `novacron-sim scenario NAME` prints\n"
             "its timeline, `novacron-sim scenario --all` runs them all, with `--mutants` each "
             "with the bug that it names switched on: then\n"
             "it must fail.\n\n"
             "T is the election timeout of every member, one second. Each runs under the oracle "
             "([invariants.md](invariants.md)), the\n"
             "cluster must heal at its end, and what its clients saw must be linearizable.\n\n"
             "| scenario | story | bound | mutant | seen |\n"
             "|----------|-------|-------|--------|------|\n");
    for (size_t i = 0; i < count; i++) {
        say_scenario_row(out, &rows[i]);
    }
}

static int compare_scenarios_page(const struct buf *page, const char *path)
{
    static char found[SCENARIOS_PAGE_BYTES_MAX];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        (void)fprintf(stderr, "cannot open %s; `make docs` writes it\n", path);
        return 1;
    }
    size_t len = fread(found, 1, sizeof found, f);
    (void)fclose(f);
    if (len == page->len && memcmp(found, page->data, len) == 0) {
        return 0;
    }
    (void)fprintf(stderr, "%s does not say what scenario.h says; `make docs` writes it anew\n",
                  path);
    return 1;
}

int main(int argc, char **argv)
{
    struct buf page;
    int result;

    buf_init(&page);
    say_scenarios_page(&page);
    if (argc > 1) {
        result = compare_scenarios_page(&page, argv[1]);
    } else {
        result = fwrite(page.data, 1, page.len, stdout) == page.len ? 0 : 1;
    }
    buf_deinit(&page);
    return result;
}
