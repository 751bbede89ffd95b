#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "novacron wal inspect", or "novacron-sim check" where there is no group. */
static void print_name(FILE *out, const struct cli_program *p, const struct cli_command *c)
{
    (void)fprintf(out, "%s %s%s%s", p->name, c->group != NULL ? c->group : "",
                  c->group != NULL ? " " : "", c->name);
}

static void print_synopsis(FILE *out, const struct cli_program *p, const struct cli_command *c)
{
    print_name(out, p, c);
    for (size_t i = 0; i < CLI_ARGUMENTS_MAX && c->arguments[i] != NULL; i++) {
        bool repeats = i > 1 && strcmp(c->arguments[i], c->arguments[i - 1]) == 0;
        if (!repeats) {
            (void)fprintf(out, " %s", c->arguments[i]);
        } else if (i + 1 == CLI_ARGUMENTS_MAX || c->arguments[i + 1] == NULL) {
            (void)fputs("...", out);
        }
    }
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        const struct cli_option *option = &c->options[i];
        (void)fprintf(out, option->value != NULL ? " [%s %s]" : " [%s]", option->name,
                      option->value);
    }
    (void)fputc('\n', out);
}

/* With its group, and a space between the two. */
static int command_width(const struct cli_command *c)
{
    return (int)(strlen(c->name) + (c->group != NULL ? strlen(c->group) + 1 : 0));
}

static void print_overview(FILE *out, const struct cli_program *p)
{
    bool has_groups = false;
    int widest = 0;
    (void)fprintf(out, "%s: %s\n\n", p->name, p->summary);
    for (size_t i = 0; i < p->command_count; i++) {
        has_groups = has_groups || p->commands[i].group != NULL;
        widest = command_width(&p->commands[i]) > widest ? command_width(&p->commands[i]) : widest;
    }
    for (size_t i = 0; i < p->command_count; i++) {
        const struct cli_command *c = &p->commands[i];
        (void)fprintf(out, "  %s %s%s%s%*s  %s\n", p->name, c->group != NULL ? c->group : "",
                      c->group != NULL ? " " : "", c->name, widest - command_width(c), "",
                      c->summary);
    }
    (void)fprintf(out,
                  "\n`%s %sCOMMAND --help` says more about one of them.\n"
                  "Exit status: 0 done, 1 something is wrong with what was looked at, 2 it could "
                  "not be done,\n64 the command line is wrong and nothing was done.\n",
                  p->name, has_groups ? "[GROUP] " : "");
}

static void print_help(const struct cli_program *p, const struct cli_command *c)
{
    print_synopsis(stdout, p, c);
    (void)printf("\n%s\n", c->help);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        const struct cli_option *option = &c->options[i];
        (void)printf("%s  %s%s%s: %s\n", i == 0 ? "\n" : "", option->name,
                     option->value != NULL ? " " : "", option->value != NULL ? option->value : "",
                     option->help);
    }
}

static enum cli_exit wrong_usage(const struct cli_program *p, const struct cli_command *c,
                                 const char *what, const char *which)
{
    print_name(stderr, p, c);
    (void)fprintf(stderr, ": %s%s; use it as: ", what, which);
    print_synopsis(stderr, p, c);
    return CLI_USAGE;
}

/* How many words of the line name the command: one without a group, two with, none where this is
 * another command. */
static int match_command(const struct cli_command *c, int argc, char **argv)
{
    int words = 0;
    if (c->group != NULL && (argc == 0 || strcmp(argv[words++], c->group) != 0)) {
        return 0;
    }
    return words < argc && strcmp(argv[words], c->name) == 0 ? words + 1 : 0;
}

/* The place of an option in the command's table, or CLI_OPTIONS_MAX. */
static size_t find_option(const struct cli_command *c, const char *name)
{
    if (strcmp(name, "-f") == 0) { /* the one that everybody types short */
        name = "--file";
    }
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        if (strcmp(c->options[i].name, name) == 0) {
            return i;
        }
    }
    return CLI_OPTIONS_MAX;
}

static enum cli_exit run_command(const struct cli_program *p, const struct cli_command *c, int argc,
                                 char **argv)
{
    struct cli_call call = {0};
    size_t given = 0;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(p, c);
            return CLI_OK;
        }
        const bool is_short = find_option(c, argv[i]) != CLI_OPTIONS_MAX;
        if (strncmp(argv[i], "--", 2) == 0 || is_short) {
            size_t at = find_option(c, argv[i]);
            if (at == CLI_OPTIONS_MAX) {
                return wrong_usage(p, c, "there is no option ", argv[i]);
            }
            if (c->options[at].value != NULL && i + 1 == argc) {
                return wrong_usage(p, c, "a value is missing after ", argv[i]);
            }
            call.options[at] = c->options[at].value != NULL ? argv[++i] : "";
            continue;
        }
        if (given == CLI_ARGUMENTS_MAX || c->arguments[given] == NULL) {
            return wrong_usage(p, c, "there is one argument too many: ", argv[i]);
        }
        call.arguments[given++] = argv[i];
    }
    if (given < CLI_ARGUMENTS_MAX && c->arguments[given] != NULL && c->arguments[given][0] != '[') {
        return wrong_usage(p, c, "an argument is missing: ", c->arguments[given]);
    }
    return c->run(&call);
}

/* Is there a group of this name? Then the word after it belongs to what was asked for. */
static bool names_group(const struct cli_program *p, const char *word)
{
    for (size_t i = 0; i < p->command_count; i++) {
        if (p->commands[i].group != NULL && strcmp(p->commands[i].group, word) == 0) {
            return true;
        }
    }
    return false;
}

/* Where one of the three is closed, the first socket or file of ours would be it. */
static void hold_standard_files(void)
{
    int fd = open("/dev/null", O_RDWR);

    while (fd >= 0 && fd <= STDERR_FILENO) {
        fd = open("/dev/null", O_RDWR);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* An answer that could not be written was not given. Whoever stops reading it has enough of it. */
static enum cli_exit tell_whole(const struct cli_program *p, enum cli_exit e)
{
    errno = 0;
    const bool is_whole = fflush(stdout) == 0 && ferror(stdout) == 0;

    if (is_whole || errno == EPIPE) {
        return e;
    }
    (void)fprintf(stderr, "%s: its answer cannot be written: %s\n", p->name,
                  errno != 0 ? strerror(errno) : "standard output fails");
    return CLI_UNREADABLE;
}

static enum cli_exit main_command(const struct cli_program *program, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_overview(argc < 2 ? stderr : stdout, program);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    for (size_t i = 0; i < program->command_count; i++) {
        int words = match_command(&program->commands[i], argc - 1, argv + 1);
        if (words > 0) {
            return run_command(program, &program->commands[i], argc - 1 - words, argv + 1 + words);
        }
    }
    bool two_words = argc > 2 && names_group(program, argv[1]);
    (void)fprintf(stderr, "%s: there is no command \"%s%s%s\"; `%s --help` lists them all\n",
                  program->name, argv[1], two_words ? " " : "", two_words ? argv[2] : "",
                  program->name);
    return CLI_USAGE;
}

enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv)
{
    hold_standard_files();
    return tell_whole(program, main_command(program, argc, argv));
}
