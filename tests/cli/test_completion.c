/* Completion, as bash does it: the script is sourced by a real bash, which is given lines and asked
 * what it offers. What it should offer is in the tables of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/completion.h"
#include "tests/support/test.h"

#define REPLY_BYTES 8192

static char tab_dir[64];
static char offered[REPLY_BYTES]; /* one word a line, in the order of the script */

static void list_colours(FILE *out)
{
    (void)fputs("green\nblue\ngrey\n", out);
}

/* A program without groups, as novacron-sim is one. */
static const struct cli_command toy_commands[] = {
    {.name = "paint",
     .arguments = {"[COLOUR]", "FILE"},
     .options = {{"--over", "COLOUR,...", "these"}, {"--dry", NULL, "no paint"}}},
    {.name = "sell", .options = {{"--to", "NAME", "whom"}, {"--at", "PLACE", "where"}}},
    {.name = "list", .arguments = {"[PART]"}, .options = {{"--at", "PLACE", "where"}}},
};
static const struct cli_program toy = {
    .name = "toy-shop", .summary = "toys", .commands = toy_commands, .command_count = 3};
static const struct cli_source toy_sources[] = {
    {.value = "COLOUR", .list = list_colours},
    {.value = "NAME", .ask = "list %"},
    {.value = NULL},
};

static void put_script(const char *name, const struct cli_program *p,
                       const struct cli_source *sources)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", tab_dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    cli_completion_print(f, p, sources);
    assert_int_equal(fclose(f), 0);
}

static void put_file(const char *name, const char *text, unsigned mode)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", tab_dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* The script of `novacron`, as the command prints it. */
static void put_novacron_script(void)
{
    char command[8][16] = {"novacron", "completion", "bash"};
    char *argv[] = {command[0], command[1], command[2], NULL};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/novacron.bash", tab_dir);
    (void)fflush(stdout);
    int out = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "we", stdout));
    enum cli_exit e = cli_main(&cli_novacron, 3, argv);
    (void)fflush(stdout);
    assert_true(dup2(out, STDOUT_FILENO) >= 0);
    (void)close(out);
    assert_int_equal(e, CLI_OK);
}

/* Presses TAB behind `line`; `how` is bash's COMP_TYPE: 9 completes, 63 ('?') lists. */
static void press(const char *script, const char *function, const char *line, int how)
{
    char command[1024];
    FILE *f = NULL;
    put_file("line", line, 0600);
    (void)snprintf(command, sizeof command,
                   "cd %s && exec bash --norc --noprofile -c 'source ./%s; COMP_LINE=$(<line); "
                   "COMP_LINE=${COMP_LINE%%.}; COMP_POINT=${#COMP_LINE}; COMP_TYPE=%d; %s; "
                   "((${#COMPREPLY[@]} == 0)) || printf \"%%s\\n\" \"${COMPREPLY[@]}\"'",
                   tab_dir, script, how, function);
    f = popen(command, "re");
    assert_non_null(f);
    size_t n = fread(offered, 1, sizeof offered - 1, f);
    offered[n] = '\0';
    assert_int_equal(pclose(f), 0);
}

/* What is offered behind `line`, a final dot left out: it keeps the blank before it. */
static void offers(const char *line, const char *wanted)
{
    press("novacron.bash", "_novacron", line, 9);
    assert_string_equal(offered, wanted);
}

static void toy_offers(const char *line, const char *wanted)
{
    press("toy.bash", "_toy_shop", line, 9);
    assert_string_equal(offered, wanted);
}

static int tab_open(void **state)
{
    (void)state;
    (void)snprintf(tab_dir, sizeof tab_dir, "/tmp/novacron-tab-XXXXXX");
    if (mkdtemp(tab_dir) == NULL) {
        return -1;
    }
    put_novacron_script();
    put_script("toy.bash", &toy, toy_sources);
    return 0;
}

static int tab_close(void **state)
{
    char command[96];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", tab_dir);
    return system(command);
}

/* --- the tables ------------------------------------------------------------------------------ */

static const char *first_word(size_t i)
{
    const struct cli_command *c = &cli_novacron.commands[i];
    return c->group != NULL ? c->group : c->name;
}

/* The first words of the table that begin with `word`, each once. */
static void words_that_begin(const char *word, char *wanted, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < cli_novacron.command_count; i++) {
        bool is_new = strncmp(first_word(i), word, strlen(word)) == 0;
        for (size_t k = 0; k < i && is_new; k++) {
            is_new = strcmp(first_word(i), first_word(k)) != 0;
        }
        if (is_new) {
            at += (size_t)snprintf(wanted + at, n - at, "%s\n", first_word(i));
        }
    }
}

static void offers_every_command_of_the_table(void **state)
{
    char line[64];
    (void)state;
    for (size_t i = 0; i < cli_novacron.command_count; i++) {
        const struct cli_command *c = &cli_novacron.commands[i];
        char wanted[64];
        (void)snprintf(line, sizeof line, "novacron %s", c->group != NULL ? c->group : c->name);
        words_that_begin(line + strlen("novacron "), wanted, sizeof wanted);
        offers(line, wanted);
        if (c->group != NULL) {
            (void)snprintf(line, sizeof line, "novacron %s %s", c->group, c->name);
            (void)snprintf(wanted, sizeof wanted, "%s\n", c->name);
            offers(line, wanted);
        }
    }
    offers("novacron kv .", "get\nput\ndel\nwatch\ntxn\n");
    offers("novacron nonsense .", "");
    offers("novacron nonsense more .", "");
}

static void offers_every_option_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_novacron.command_count; i++) {
        const struct cli_command *c = &cli_novacron.commands[i];
        char line[96];
        char wanted[1024] = "";
        size_t at = 0;
        for (int takes = 1; takes >= 0; takes--) {
            for (size_t k = 0; k < CLI_OPTIONS_MAX && c->options[k].name != NULL; k++) {
                if ((c->options[k].value != NULL) == (takes == 1)) {
                    at += (size_t)snprintf(wanted + at, sizeof wanted - at, "%s\n",
                                           c->options[k].name);
                }
            }
        }
        (void)snprintf(wanted + at, sizeof wanted - at, "--help\n");
        (void)snprintf(line, sizeof line, "novacron %s%s%s --", c->group != NULL ? c->group : "",
                       c->group != NULL ? " " : "", c->name);
        offers(line, wanted);
    }
}

static void offers_no_option_twice_and_none_as_a_value(void **state)
{
    (void)state;
    offers("novacron ca init --name x --", "--days\n--json\n--help\n");
    offers("novacron ca init --name --", "");
    offers("novacron kv get --pre", "--prefix\n");
    offers("novacron completion b", "bash\n");
}

static void offers_files_and_directories(void **state)
{
    (void)state;
    put_file("a file", "", 0600);
    put_file("another", "", 0600);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/adir", tab_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    offers("novacron wal verify a", "adir\n");
    press("novacron.bash", "_novacron", "novacron snapshot verify a", 9);
    assert_non_null(strstr(offered, "a file\n"));
    assert_non_null(strstr(offered, "another\n"));
    offers("novacron kv get --cacert ano", "another\n");
    offers("novacron wal verify adir ano", "");
    offers("novacron cluster survivors adi", "adir\n");
    offers("novacron snapshot restore another adir adi", "adir\n");
}

/* --- words of a cluster ---------------------------------------------------------------------- */

/* Says what it was asked with, into a file, and answers as `member list` or `kv get` would. */
static const char fake[] = "#!/bin/sh\n"
                           "printf '%s\\n' \"$*\" >asked\n"
                           "case $1 in\n"
                           "member) echo 'abc1  voter  node-1'; echo 'abd2  learner  node-2' ;;\n"
                           "kv) printf '%s\\n' '$(touch harm)' 'plain' ' indented' ;;\n"
                           "esac\n";

static void asked_with(const char *wanted)
{
    char path[128];
    char found[256] = "";
    (void)snprintf(path, sizeof path, "%s/asked", tab_dir);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(found, 1, sizeof found - 1, f);
    found[n] = '\0';
    (void)fclose(f);
    assert_string_equal(found, wanted);
}

static void asks_the_cluster_for_members(void **state)
{
    (void)state;
    put_file("novacron", fake, 0700);
    offers("./novacron member remove .", "abc1\nabd2\n");
    asked_with("member list\n");
    offers("./novacron member remove --endpoints http://10.0.0.1:2379 --json abd", "abd2\n");
    asked_with("member list --endpoints http://10.0.0.1:2379\n");
    offers("./novacron member remove abc1 .", "");
    press("novacron.bash", "_novacron", "./novacron member remove .", 63);
    assert_string_equal(offered, "abc1  (voter  node-1)\nabd2  (learner  node-2)\n");
}

static void quotes_keys_and_never_runs_them(void **state)
{
    char path[128];
    (void)state;
    put_file("novacron", fake, 0700);
    offers("./novacron kv get .", "\\$\\(touch\\ harm\\)\nplain\n");
    asked_with("kv get  --prefix --keys-only --serializable --limit 100\n");
    offers("./novacron kv get pl", "plain\n");
    (void)snprintf(path, sizeof path, "%s/harm", tab_dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void offers_nothing_where_nobody_answers(void **state)
{
    (void)state;
    put_file("novacron", "#!/bin/sh\necho 'no answer' >&2; exit 2\n", 0700);
    offers("./novacron member remove .", "");
    offers("./missing member remove .", "");
}

/* --- other shapes of tables ------------------------------------------------------------------ */

static void knows_programs_without_groups(void **state)
{
    (void)state;
    toy_offers("toy-shop .", "paint\nsell\nlist\n--help\n");
    toy_offers("toy-shop paint .", "green\nblue\ngrey\n");
    toy_offers("toy-shop paint gr", "green\ngrey\n");
    toy_offers("toy-shop paint --", "--over\n--dry\n--help\n");
    put_file("chart", "", 0600);
    toy_offers("toy-shop paint green chart", "chart\n");
}

static void completes_the_last_part_of_a_list(void **state)
{
    (void)state;
    toy_offers("toy-shop paint --over green,b", "green,blue\n");
    toy_offers("toy-shop paint --over gre", "green\ngrey\n");
}

static void leaves_out_what_bash_puts_back_before_a_colon(void **state)
{
    (void)state;
    put_file("toy-shop", "#!/bin/sh\necho a:b:c; echo a:x\n", 0700);
    toy_offers("./toy-shop sell --to a:b", "b:c\n");
    toy_offers("./toy-shop sell --to a:", "b:c\nx\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_every_command_of_the_table),
        cmocka_unit_test(offers_every_option_of_the_table),
        cmocka_unit_test(offers_no_option_twice_and_none_as_a_value),
        cmocka_unit_test(offers_files_and_directories),
        cmocka_unit_test(asks_the_cluster_for_members),
        cmocka_unit_test(quotes_keys_and_never_runs_them),
        cmocka_unit_test(offers_nothing_where_nobody_answers),
        cmocka_unit_test(knows_programs_without_groups),
        cmocka_unit_test(completes_the_last_part_of_a_list),
        cmocka_unit_test(leaves_out_what_bash_puts_back_before_a_colon),
    };
    return cmocka_run_group_tests(tests, tab_open, tab_close);
}
