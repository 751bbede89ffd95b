#include "cli/completion.h"

#include <string.h>

/*
 * The script, with `@` for the name of its functions. First what is made from the table:
 *
 *     @_command LINE   sets `takes`, `flags` and `arguments` of the command of that name
 *     @_words KIND     prints the words of a kind that are known here
 *     @_ask KIND       says which command to ask for those that are not
 *
 * then the part below, which knows no program.
 */
static const char *const engine[] = {
    "# A word is offered if it goes on from what was typed. $2: what it means, for the list.",
    "@_offer()",
    "{",
    "    local quoted",
    "    printf -v quoted %q \"$1\"",
    "    if [[ $quoted == \"$cur\"* ]]; then",
    "        # Only where bash lists, and inserts nothing, is there room for the meaning.",
    "        [[ $COMP_TYPE == 63 && -n $2 ]] && quoted+=\"  ($2)\"",
    "        COMPREPLY+=(\"$quoted\")",
    "    fi",
    "}",
    "",
    "# Asks a command of the program, with those options of the line that it knows.",
    "@_asked()",
    "{",
    "    local -a asked given",
    "    local -i i",
    "    local takes flags arguments word rest program=${words[0]/#~\\//$HOME/}",
    "    read -ra asked <<<\"$1\"",
    "    @_command \"${asked[0]} ${asked[1]}\"",
    "    for ((i = 0; i < ${#asked[@]}; i++)); do",
    "        [[ ${asked[i]} == % ]] && asked[i]=$cur",
    "    done",
    "    for ((i = 1; i < n - 1; i++)); do",
    "        if [[ ${words[i]} == --* && $takes == *\" ${words[i]}=\"* ]]; then",
    "            given+=(\"${words[i]}\" \"${words[i + 1]/#~\\//$HOME/}\")",
    "        fi",
    "    done",
    "    while IFS= read -r rest; do",
    "        if [[ $rest != [[:space:]]* && $rest != *[[:cntrl:]]* ]]; then",
    "            word=${rest%%  *}",
    "            rest=${rest#\"$word\"}",
    "            [[ -n $word ]] && @_offer \"$word\" \"${rest#\"${rest%%[! ]*}\"}\"",
    "        fi",
    "    done < <(timeout 2 \"$program\" \"${asked[@]}\" \"${given[@]}\" 2>/dev/null)",
    "}",
    "",
    "# Offers values of a kind, as the table calls it; of a list, its last part.",
    "@_value()",
    "{",
    "    local kind=${1#[} before='' word",
    "    kind=${kind%]}",
    "    if [[ $kind == *,... ]]; then",
    "        kind=${kind%,...}",
    "        before=${cur%\"${cur##*,}\"}",
    "        cur=${cur##*,}",
    "        compopt -o nospace 2>/dev/null",
    "    fi",
    "    case $kind in",
    "    FILE | CONFIG | *DIR)",
    "        compopt -o filenames 2>/dev/null",
    "        while IFS= read -r word; do",
    "            COMPREPLY+=(\"$word\")",
    "        done < <([[ $kind == *DIR ]] && compgen -d -- \"$cur\" || compgen -f -- \"$cur\")",
    "        ;;",
    "    *)",
    "        while IFS= read -r word; do",
    "            @_offer \"$word\" ''",
    "        done < <(@_words \"$kind\")",
    "        word=$(@_ask \"$kind\")",
    "        [[ -n $word ]] && @_asked \"$word\"",
    "        ;;",
    "    esac",
    "    [[ -n $before ]] && COMPREPLY=(\"${COMPREPLY[@]/#/$before}\")",
    "}",
    "",
    "# The line is cut at its blanks, and not where bash does it, which is also at colons.",
    "@()",
    "{",
    "    local line=${COMP_LINE:0:COMP_POINT} cur kind='' word takes flags arguments",
    "    local -a words named",
    "    local -i n i at=0",
    "    COMPREPLY=()",
    "    IFS=$' \\t' read -ra words <<<\"$line\"",
    "    [[ $line == *[[:blank:]] ]] && words+=('')",
    "    n=${#words[@]}",
    "    cur=${words[n - 1]}",
    "    i=2",
    "    if ((n > 2)) && ! @_command \" ${words[1]}\"; then",
    "        i=3",
    "        ((n > 3)) && ! @_command \"${words[1]} ${words[2]}\" && return",
    "    fi",
    "    if ((n <= i)); then",
    "        while IFS= read -r word; do",
    "            @_offer \"$word\" ''",
    "        done < <(@_words \"/${words[1]:0:n > 2 ? 99 : 0}\")",
    "        return",
    "    fi",
    "    for (( ; i < n - 1; i++)); do",
    "        word=${words[i]}",
    "        if [[ $word == --* && $takes == *\" $word=\"* ]]; then",
    "            kind=${takes#*\" $word=\"}",
    "            kind=${kind%% *}",
    "            ((++i == n - 1)) && break",
    "            kind=''",
    "        elif [[ $word != --* ]]; then",
    "            at+=1",
    "        fi",
    "    done",
    "    read -ra named <<<\"$arguments\"",
    "    if [[ -n $kind ]]; then",
    "        @_value \"$kind\"",
    "    elif [[ $cur == -* ]]; then",
    "        for word in $takes $flags --help; do",
    "            word=${word%%=*}",
    "            [[ \" ${words[*]:1:n - 2} \" != *\" $word \"* ]] && @_offer \"$word\" ''",
    "        done",
    "    elif ((at < ${#named[@]})); then",
    "        @_value \"${named[at]}\"",
    "    fi",
    "    # bash puts back what is before the last colon.",
    "    cur=${words[n - 1]}",
    "    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then",
    "        word=${cur%\"${cur##*:}\"}",
    "        COMPREPLY=(\"${COMPREPLY[@]#\"$word\"}\")",
    "    fi",
    "}",
};

/* Prints a line of the script: `@` becomes the name of the functions. */
static void print_line(FILE *out, const char *function, const char *line)
{
    /* "${COMPREPLY[@]}" stays what it is. */
    for (const char *at = line; *at != '\0'; at++) {
        if (*at == '@' && (at == line || at[-1] != '[')) {
            (void)fputs(function, out);
        } else {
            (void)fputc(*at, out);
        }
    }
    (void)fputc('\n', out);
}

/* `novacron-sim` gives `_novacron_sim`. */
static void name_function(const struct cli_program *p, char *ret, size_t n)
{
    (void)snprintf(ret, n, "_%s", p->name);
    for (char *at = ret; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : *at;
    }
}

/* --- from the table -------------------------------------------------------------------------- */

static void print_command(FILE *out, const struct cli_command *c)
{
    (void)fprintf(out, "    '%s %s')\n        takes=' ", c->group != NULL ? c->group : "", c->name);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        if (c->options[i].value != NULL) {
            (void)fprintf(out, "%s=%s ", c->options[i].name, c->options[i].value);
        }
    }
    (void)fputs("'\n        flags='", out);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        if (c->options[i].value == NULL) {
            (void)fprintf(out, "%s ", c->options[i].name);
        }
    }
    (void)fputs("'\n        arguments='", out);
    for (size_t i = 0; i < CLI_ARGUMENTS_MAX && c->arguments[i] != NULL; i++) {
        (void)fprintf(out, "%s ", c->arguments[i]);
    }
    (void)fputs("'\n        ;;\n", out);
}

/* Is this the first command of its group? */
static bool begins_group(const struct cli_program *p, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (p->commands[i].group != NULL &&
            strcmp(p->commands[i].group, p->commands[at].group) == 0) {
            return false;
        }
    }
    return true;
}

/* What may follow the program's name: groups, and commands without one. */
static void print_first_words(FILE *out, const struct cli_program *p)
{
    (void)fputs("    /) printf '%s\\n'", out);
    for (size_t i = 0; i < p->command_count; i++) {
        const struct cli_command *c = &p->commands[i];
        if (c->group == NULL || begins_group(p, i)) {
            (void)fprintf(out, " %s", c->group != NULL ? c->group : c->name);
        }
    }
    (void)fputs(" --help ;;\n", out);
}

static void print_second_words(FILE *out, const struct cli_program *p, const char *group)
{
    (void)fprintf(out, "    /%s) printf '%%s\\n'", group);
    for (size_t i = 0; i < p->command_count; i++) {
        const struct cli_command *c = &p->commands[i];
        if (c->group != NULL && strcmp(c->group, group) == 0) {
            (void)fprintf(out, " %s", c->name);
        }
    }
    (void)fputs(" ;;\n", out);
}

static void print_words(FILE *out, const char *function, const struct cli_program *p,
                        const struct cli_source *sources)
{
    (void)fprintf(out, "%s_words()\n{\n    case $1 in\n", function);
    print_first_words(out, p);
    for (size_t i = 0; i < p->command_count; i++) {
        if (p->commands[i].group != NULL && begins_group(p, i)) {
            print_second_words(out, p, p->commands[i].group);
        }
    }
    for (const struct cli_source *s = sources; s->value != NULL; s++) {
        if (s->list != NULL) {
            (void)fprintf(out, "    %s) cat <<'END' ;;\n", s->value);
            s->list(out);
            (void)fputs("END\n", out);
        }
    }
    (void)fputs("    esac\n}\n\n", out);
    (void)fprintf(out, "%s_ask()\n{\n    case $1 in\n", function);
    for (const struct cli_source *s = sources; s->value != NULL; s++) {
        if (s->ask != NULL) {
            (void)fprintf(out, "    %s) printf '%%s\\n' '%s' ;;\n", s->value, s->ask);
        }
    }
    (void)fputs("    *) ;;\n    esac\n}\n\n", out);
}

void cli_completion_print(FILE *out, const struct cli_program *program,
                          const struct cli_source *sources)
{
    char function[64];
    name_function(program, function, sizeof function);
    (void)fprintf(out,
                  "# Completion of %s for bash, made from its table of commands by\n"
                  "# `%s completion bash`. To have it now: source <(%s completion bash)\n\n",
                  program->name, program->name, program->name);
    (void)fprintf(out, "%s_command()\n{\n    case $1 in\n", function);
    for (size_t i = 0; i < program->command_count; i++) {
        print_command(out, &program->commands[i]);
    }
    (void)fputs("    *)\n        return 1\n        ;;\n    esac\n}\n\n", out);
    print_words(out, function, program, sources);
    for (size_t i = 0; i < sizeof engine / sizeof engine[0]; i++) {
        print_line(out, function, engine[i]);
    }
    (void)fprintf(out, "\ncomplete -F %s %s\n", function, program->name);
}

void cli_completion_shells(FILE *out)
{
    (void)fputs("bash\n", out);
}

enum cli_exit cli_completion_run(const struct cli_call *call, const struct cli_program *program,
                                 const struct cli_source *sources)
{
    if (strcmp(call->arguments[0], "bash") != 0) {
        (void)fprintf(stderr,
                      "%s completion: there is none for \"%s\"; these there are: bash. zsh takes "
                      "it after `autoload bashcompinit && bashcompinit`\n",
                      program->name, call->arguments[0]);
        return CLI_USAGE;
    }
    cli_completion_print(stdout, program, sources);
    return CLI_OK;
}
