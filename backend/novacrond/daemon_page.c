#include "novacrond/daemon_page.h"

#include <stdio.h>
#include <string.h>

#include "api/json_wire.h"
#include "core/base/check.h"
#include "core/base/say.h"

void daemon_page_begin(struct daemon_page *p, struct rpc_call *call)
{
    memset(p, 0, sizeof *p);
    buf_init(&p->text);
    p->is_yaml = strstr(rpc_page_query(call), "format=text") != NULL;
    say(&p->text, p->is_yaml ? "" : "{");
}

void daemon_page_send(struct daemon_page *p, struct rpc_call *call)
{
    CHECK(p->depth == 0);
    say(&p->text, p->is_yaml ? "" : "}\n");
    rpc_page_send(call, 200, p->is_yaml ? "text/plain; charset=utf-8" : "application/json",
                  buf_view(&p->text));
    buf_deinit(&p->text);
}

/* In YAML: two spaces a level, and a dash before the first of what is in a list's object. */
static void page_indent(struct daemon_page *p)
{
    bool begins_item =
        p->depth > 0 && !p->is_list[p->depth] && p->is_list[p->depth - 1] && !p->has_some[p->depth];
    size_t level = p->depth;
    for (size_t i = 0; i + 1 < level || (i < level && !begins_item); i++) {
        say(&p->text, "  ");
    }
    say(&p->text, begins_item ? "- " : "");
}

/* What stands before a value: comma and key, or a line's beginning. */
static void page_key(struct daemon_page *p, const char *key)
{
    if (!p->is_yaml) {
        say(&p->text, p->has_some[p->depth] ? "," : "");
        if (key != NULL) {
            json_put_string(&p->text, key);
            say(&p->text, ":");
        }
    } else if (key != NULL) {
        page_indent(p);
        say(&p->text, key);
        say(&p->text, ":");
    } else {
        page_indent(p);
        say(&p->text, "-");
    }
    p->has_some[p->depth] = true;
}

static void page_nested(struct daemon_page *p, const char *key, bool is_list)
{
    CHECK(p->depth + 1 < PAGE_DEPTH_MAX && (key != NULL) == !p->is_list[p->depth]);
    if (!p->is_yaml || key != NULL) {
        page_key(p, key);
    }
    p->has_some[p->depth] = true;
    say(&p->text, p->is_yaml ? (key != NULL ? "\n" : "") : is_list ? "[" : "{");
    p->depth++;
    p->is_list[p->depth] = is_list;
    p->has_some[p->depth] = false;
}

void page_object(struct daemon_page *p, const char *key)
{
    page_nested(p, key, false);
}

void page_list(struct daemon_page *p, const char *key)
{
    page_nested(p, key, true);
}

void page_end(struct daemon_page *p)
{
    CHECK(p->depth > 0);
    if (!p->is_yaml) {
        say(&p->text, p->is_list[p->depth] ? "]" : "}");
    } else if (!p->has_some[p->depth]) {
        /* Without this, nothing would be null in YAML, and neither empty list nor object. */
        p->text.len -= 1;
        say(&p->text, p->is_list[p->depth] ? " []\n" : " {}\n");
    }
    p->depth--;
}

static void page_value(struct daemon_page *p, const char *key, const char *value)
{
    page_key(p, key);
    say(&p->text, p->is_yaml ? " " : "");
    say(&p->text, value);
    say(&p->text, p->is_yaml ? "\n" : "");
}

void page_number(struct daemon_page *p, const char *key, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    page_value(p, key, text);
}

void page_flag(struct daemon_page *p, const char *key, bool flag)
{
    page_value(p, key, flag ? "1" : "0");
}

void page_text(struct daemon_page *p, const char *key, const char *text)
{
    page_key(p, key);
    say(&p->text, p->is_yaml ? " " : "");
    json_put_string(&p->text, text != NULL ? text : ""); /* which is YAML, too */
    say(&p->text, p->is_yaml ? "\n" : "");
}

void page_id(struct daemon_page *p, const char *key, uint64_t id)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llx", (unsigned long long)id);
    page_text(p, key, text);
}

void page_seconds(struct daemon_page *p, const char *key, nanos span)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%llu.%06llu", (unsigned long long)(span / NANOS_PER_S),
                   (unsigned long long)(span % NANOS_PER_S / 1000));
    page_value(p, key, text);
}
