#include "tests/support/script_main.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/check.h"

#define SCRIPT_PATH_MAX 4096

struct script_options {
    const struct script_level *level;
    bool rewrite;
    bool help;
    const char *source_root; /* of --conformance */
    char **files;
    int file_count;
};

static void print_usage(const struct script_program *p, FILE *file)
{
    bool levels = p->level_count > 1;
    fprintf(file, "usage: %s %s%sFILE|FOLDER...\n", p->name, levels ? "[--level NAME] " : "",
            p->rewrites ? "[--rewrite] " : "");
    if (p->conformance) {
        fprintf(file, "       %s %s--conformance SOURCE_ROOT\n", p->name,
                levels ? "[--level NAME] " : "");
    }
    fprintf(file, "\n%s\n", p->summary);
    for (size_t i = 0; levels && i < p->level_count; i++) {
        fprintf(file, "  --level %s%s\n", p->levels[i].name,
                i + 1 == p->level_count ? " (the default)" : "");
    }
    if (p->rewrites) {
        fprintf(file, "  --rewrite: replace the expected outputs by what is printed now\n");
    }
    if (p->conformance) {
        fprintf(file,
                "  --conformance: run shared/conformance/%s beside the checkout SOURCE_ROOT, or\n"
                "      in $NOVACRON_SHARED; exits with %d where there is none\n",
                p->conformance, SCRIPT_EXIT_SKIPPED);
    }
}

static const struct script_level *level_named(const struct script_program *p, const char *name)
{
    for (size_t i = 0; i < p->level_count; i++) {
        if (p->levels[i].name && strcmp(p->levels[i].name, name) == 0) {
            return &p->levels[i];
        }
    }
    return NULL;
}

/* Options stand before files. False where they make no sense. */
static bool parse_options(const struct script_program *p, int argc, char **argv,
                          struct script_options *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->level = &p->levels[p->level_count - 1];
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            ret->help = true;
        } else if (strcmp(argv[i], "--rewrite") == 0 && p->rewrites) {
            ret->rewrite = true;
        } else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc) {
            ret->level = level_named(p, argv[++i]);
        } else if (strncmp(argv[i], "--level=", 8) == 0) {
            ret->level = level_named(p, argv[i] + 8);
        } else if (strcmp(argv[i], "--conformance") == 0 && p->conformance && i + 1 < argc) {
            ret->source_root = argv[++i];
        } else {
            return false;
        }
    }
    ret->files = argv + i;
    ret->file_count = argc - i;
    return ret->level && (ret->help || (ret->file_count > 0) != (ret->source_root != NULL));
}

static void run_script(const struct script_program *p, const struct script_options *o,
                       const char *path, struct script_totals *totals)
{
    void *state = p->begin ? p->begin() : NULL;
    struct script_totals own = {0};
    bool good = script_run(path, &o->level->language, state, o->rewrite, &own);
    if (p->end) {
        p->end(state);
    }
    if (!o->rewrite) {
        /* A line of TAP, so that each script counts as a test. */
        printf("%s - %s: %u passed, %u failed\n", good && own.failed == 0 ? "ok" : "not ok", path,
               own.passed, own.failed);
    }
    totals->passed += own.passed;
    totals->failed += own.failed + (good ? 0 : 1);
}

static int script_is_text(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 4 && strcmp(entry->d_name + n - 4, ".txt") == 0;
}

static bool path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where the data of others lie; false where they are absent. */
static bool find_conformance(const struct script_program *p, const char *source_root, char *ret)
{
    const char *shared = getenv("NOVACRON_SHARED");
    int n = shared && *shared != '\0'
                ? snprintf(ret, SCRIPT_PATH_MAX, "%s/conformance/%s", shared, p->conformance)
                : snprintf(ret, SCRIPT_PATH_MAX, "%s/../shared/conformance/%s", source_root,
                           p->conformance);
    return n > 0 && n < SCRIPT_PATH_MAX && path_is_folder(ret);
}

/* A script, or all scripts of a folder in the order of their names. */
static void run_path(const struct script_program *p, const struct script_options *o,
                     const char *path, struct script_totals *totals)
{
    if (!path_is_folder(path)) {
        run_script(p, o, path, totals);
        return;
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, script_is_text, alphasort);
    for (int i = 0; i < count; i++) {
        char inside[SCRIPT_PATH_MAX + 256];
        int n = snprintf(inside, sizeof(inside), "%s/%s", path, entries[i]->d_name);
        CHECK(n > 0 && (size_t)n < sizeof(inside));
        run_script(p, o, inside, totals);
        free(entries[i]);
    }
    free(entries);
    if (count <= 0) {
        printf("%s: no scripts here\n", path);
        totals->failed++;
    }
}

int script_main(const struct script_program *program, int argc, char **argv)
{
    struct script_options o;
    if (!parse_options(program, argc, argv, &o)) {
        print_usage(program, stderr);
        return 2;
    }
    if (o.help) {
        print_usage(program, stdout);
        return 0;
    }
    struct script_totals totals = {0};
    char folder[SCRIPT_PATH_MAX];
    if (o.source_root) {
        if (!find_conformance(program, o.source_root, folder)) {
            printf("skipped: the test data of %s are not at %s\n", program->conformance, folder);
            return SCRIPT_EXIT_SKIPPED;
        }
        run_path(program, &o, folder, &totals);
    }
    for (int i = 0; i < o.file_count; i++) {
        run_path(program, &o, o.files[i], &totals);
    }
    printf("%u passed, %u failed\n", totals.passed, totals.failed);
    return totals.failed == 0 ? 0 : 1;
}
