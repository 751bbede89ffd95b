#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static void print_synopsis(FILE *out, const struct cli_command *c)
{
    (void)fprintf(out, "novacron %s %s", c->group, c->name);
    for (size_t i = 0; i < CLI_ARGUMENTS_MAX && c->arguments[i] != NULL; i++) {
        (void)fprintf(out, " %s", c->arguments[i]);
    }
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        const struct cli_option *option = &c->options[i];
        (void)fprintf(out, option->value != NULL ? " [%s %s]" : " [%s]", option->name,
                      option->value);
    }
    (void)fputc('\n', out);
}

static void print_overview(FILE *out)
{
    (void)fputs("novacron: keeps virtual machines running through the loss of hosts\n\n", out);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        (void)fprintf(out, "  novacron %s %-10s %s\n", c->group, c->name, c->summary);
    }
    (void)fputs("\n`novacron GROUP COMMAND --help` says more about one of them.\n", out);
}

static void print_help(const struct cli_command *c)
{
    print_synopsis(stdout, c);
    (void)printf("\n%s\n", c->help);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        const struct cli_option *option = &c->options[i];
        (void)printf("%s  %s %s: %s\n", i == 0 ? "\n" : "", option->name,
                     option->value != NULL ? option->value : "", option->help);
    }
}

static enum cli_exit wrong_usage(const struct cli_command *c, const char *what, const char *which)
{
    (void)fprintf(stderr, "novacron %s %s: %s%s; use it as: ", c->group, c->name, what, which);
    print_synopsis(stderr, c);
    return CLI_USAGE;
}

static const struct cli_command *find_command(const char *group, const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].group, group) == 0 && strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

/* The place of an option in the command's table, or CLI_OPTIONS_MAX. */
static size_t find_option(const struct cli_command *c, const char *name)
{
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        if (strcmp(c->options[i].name, name) == 0) {
            return i;
        }
    }
    return CLI_OPTIONS_MAX;
}

static enum cli_exit run_command(const struct cli_command *c, int argc, char **argv)
{
    struct cli_call call = {0};
    size_t given = 0;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(c);
            return CLI_OK;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            size_t at = find_option(c, argv[i]);
            if (at == CLI_OPTIONS_MAX) {
                return wrong_usage(c, "there is no option ", argv[i]);
            }
            if (c->options[at].value != NULL && i + 1 == argc) {
                return wrong_usage(c, "a value is missing after ", argv[i]);
            }
            call.options[at] = c->options[at].value != NULL ? argv[++i] : "";
            continue;
        }
        if (given == CLI_ARGUMENTS_MAX || c->arguments[given] == NULL) {
            return wrong_usage(c, "there is one argument too many: ", argv[i]);
        }
        call.arguments[given++] = argv[i];
    }
    if (given < CLI_ARGUMENTS_MAX && c->arguments[given] != NULL) {
        return wrong_usage(c, "an argument is missing: ", c->arguments[given]);
    }
    return c->run(&call);
}

enum cli_exit cli_main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    const struct cli_command *c = argc > 2 ? find_command(argv[1], argv[2]) : NULL;
    if (c == NULL) {
        (void)fprintf(
            stderr, "novacron: there is no command \"%s%s%s\"; `novacron --help` lists them all\n",
            argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
        return CLI_USAGE;
    }
    return run_command(c, argc - 3, argv + 3);
}
