#include "core/chaos/check/history.h"

#include <string.h>

#include "core/chaos/check/lin_int.h"
#include "core/base/say.h"

/* What a token can be. */
enum history_token {
    TOKEN_NONE, /* the line is over */
    TOKEN_BAD,
    TOKEN_WORD, /* a number, a keyword, nil, true */
    TOKEN_STRING,
    TOKEN_OPEN, /* of a vector */
    TOKEN_CLOSE
};

/* How an event came to be, by its :type. */
enum history_type { TYPE_NONE, TYPE_INVOKE, TYPE_OK, TYPE_FAIL, TYPE_INFO };

/* One event as its line has it. */
struct history_event {
    uint64_t process;
    uint64_t key;
    uint64_t values[2];
    uint64_t time;
    uint64_t revision;
    uint64_t mod_revision;
    enum history_type type;
    uint8_t kind; /* LIN_KINDS: none */
    uint8_t value_count;
    bool has_process;
    bool has_time;
    bool is_missed;
    bool is_log; /* of the first dialect */
};

struct history_reader {
    struct history *h;
    struct lin_map processes;
    uint32_t *pending; /* by process: its operation + 1, 0: none */
    struct buf unescaped;
    const uint8_t *at; /* in the line */
    const uint8_t *end;
    struct bytes word; /* TOKEN_WORD, TOKEN_STRING */
    const char *error;
};

void history_init(struct history *h)
{
    memset(h, 0, sizeof(*h));
    lin_strings_init(&h->strings);
}

void history_deinit(struct history *h)
{
    mem_free(h->ops);
    lin_strings_deinit(&h->strings);
    memset(h, 0, sizeof(*h));
}

/* --- Tokens ----------------------------------------------------------------------------------- */

static bool is_gap(uint8_t c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\r';
}

static bool ends_word(uint8_t c)
{
    return is_gap(c) || c == '{' || c == '}' || c == '[' || c == ']' || c == '"';
}

/* A string's bytes behind its opening quote, without escapes. */
static enum history_token read_string(struct history_reader *r)
{
    buf_clear(&r->unescaped);
    while (r->at < r->end) {
        uint8_t c = *r->at++;
        if (c == '"') {
            r->word = buf_view(&r->unescaped);
            return TOKEN_STRING;
        }
        if (c == '\\') {
            if (r->at == r->end) {
                break;
            }
            c = *r->at++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        buf_put_u8(&r->unescaped, c);
    }
    r->error = "a string does not end";
    return TOKEN_BAD;
}

/* Braces stand only around the line: they are gaps as well. */
static enum history_token read_token(struct history_reader *r)
{
    while (r->at < r->end && (is_gap(*r->at) || *r->at == '{' || *r->at == '}')) {
        r->at++;
    }
    if (r->at == r->end) {
        return TOKEN_NONE;
    }
    uint8_t c = *r->at;
    if (c == '"' || c == '[' || c == ']') {
        r->at++;
        return c == '"' ? read_string(r) : c == '[' ? TOKEN_OPEN : TOKEN_CLOSE;
    }
    const uint8_t *begin = r->at;
    while (r->at < r->end && !ends_word(*r->at)) {
        r->at++;
    }
    r->word = (struct bytes){begin, (size_t)(r->at - begin)};
    return TOKEN_WORD;
}

static bool word_is(const struct history_reader *r, const char *word)
{
    return r->word.len == strlen(word) && memcmp(r->word.data, word, r->word.len) == 0;
}

static bool word_number(const struct history_reader *r, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < r->word.len; i++) {
        uint8_t c = r->word.data[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(c - '0'), &v)) {
            return false;
        }
    }
    *ret = v;
    return r->word.len > 0;
}

/* --- Fields ----------------------------------------------------------------------------------- */

/* The id of a token that stands for a value or a key. Keywords are remarks such as :timed-out. */
static uint64_t word_id(struct history_reader *r, enum history_token token)
{
    bool is_nil = token == TOKEN_WORD && (word_is(r, "nil") || r->word.data[0] == ':');
    return is_nil ? 0 : lin_strings_intern(&r->h->strings, r->word);
}

/* One value, or up to two in a vector; more of them count, but are not kept. */
static bool read_values(struct history_reader *r, struct history_event *e)
{
    enum history_token token = read_token(r);
    if (token == TOKEN_WORD || token == TOKEN_STRING) {
        e->values[0] = word_id(r, token);
        e->value_count = 1;
        return true;
    }
    for (token = token == TOKEN_OPEN ? read_token(r) : TOKEN_BAD;
         token == TOKEN_WORD || token == TOKEN_STRING; token = read_token(r)) {
        if (e->value_count < COUNT_OF(e->values)) {
            e->values[e->value_count++] = word_id(r, token);
        }
    }
    return token == TOKEN_CLOSE;
}

static bool set_type(const struct history_reader *r, struct history_event *e)
{
    static const struct {
        const char *word;
        enum history_type type;
    } types[] = {
        {":invoke", TYPE_INVOKE}, {":ok", TYPE_OK}, {":fail", TYPE_FAIL}, {":info", TYPE_INFO}};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (word_is(r, types[i].word)) {
            e->type = types[i].type;
            return true;
        }
    }
    return false;
}

static bool set_kind(const struct history_reader *r, struct history_event *e)
{
    static const struct {
        const char *word;
        enum lin_kind kind;
    } kinds[] = {{":read", LIN_READ},    {":get", LIN_READ},      {":write", LIN_WRITE},
                 {":put", LIN_WRITE},    {":delete", LIN_DELETE}, {":cas", LIN_CAS},
                 {":append", LIN_APPEND}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (word_is(r, kinds[i].word)) {
            e->kind = (uint8_t)kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* The number that comes next. */
static bool read_number(struct history_reader *r, uint64_t *ret)
{
    return read_token(r) == TOKEN_WORD && word_number(r, ret);
}

static bool read_event_key(struct history_reader *r, struct history_event *e)
{
    enum history_token token = read_token(r);
    if (token != TOKEN_WORD && token != TOKEN_STRING) {
        return false;
    }
    e->key = word_id(r, token);
    return true;
}

/* The field whose name was just read. */
static bool read_field(struct history_reader *r, struct history_event *e)
{
    if (word_is(r, ":process")) {
        e->has_process = true;
        return read_number(r, &e->process);
    }
    if (word_is(r, ":time")) {
        e->has_time = true;
        return read_number(r, &e->time);
    }
    if (word_is(r, ":revision")) {
        return read_number(r, &e->revision) && e->revision < LIN_REVISION_MAX;
    }
    if (word_is(r, ":mod-revision")) {
        return read_number(r, &e->mod_revision) && e->mod_revision < LIN_REVISION_MAX;
    }
    if (word_is(r, ":type")) {
        return read_token(r) == TOKEN_WORD && set_type(r, e);
    }
    if (word_is(r, ":f")) {
        return read_token(r) == TOKEN_WORD && set_kind(r, e);
    }
    if (word_is(r, ":key")) {
        return read_event_key(r, e);
    }
    if (word_is(r, ":missed")) {
        bool is_word = read_token(r) == TOKEN_WORD;
        e->is_missed = is_word && word_is(r, "true");
        return is_word;
    }
    if (word_is(r, ":value")) {
        e->value_count = 0;
        return read_values(r, e);
    }
    struct history_event skipped = {0};
    return r->word.len > 0 && r->word.data[0] == ':' && read_values(r, &skipped);
}

/* Behind "INFO": where it was logged, a dash, then the event's fields without names. */
static bool read_log_line(struct history_reader *r, struct history_event *e)
{
    e->is_log = true;
    e->has_process = true;
    return read_token(r) == TOKEN_WORD && word_is(r, "jepsen.util") &&
           read_token(r) == TOKEN_WORD && word_is(r, "-") && read_number(r, &e->process) &&
           read_token(r) == TOKEN_WORD && set_type(r, e) && read_token(r) == TOKEN_WORD &&
           set_kind(r, e) && read_values(r, e) && read_token(r) == TOKEN_NONE;
}

/* The event of the line; false with an error, or without where there is none. */
static bool read_event(struct history_reader *r, struct history_event *e)
{
    enum history_token token = read_token(r);
    if (token == TOKEN_NONE || (token == TOKEN_WORD && r->word.data[0] == ';')) {
        return false;
    }
    r->error = "this is no event of a history";
    if (token == TOKEN_WORD && word_is(r, "INFO")) {
        if (!read_log_line(r, e)) {
            return false;
        }
    } else {
        for (; token != TOKEN_NONE; token = read_token(r)) {
            if (token != TOKEN_WORD || !read_field(r, e)) {
                return false;
            }
        }
    }
    if (!e->has_process || e->process > UINT32_MAX || e->type == TYPE_NONE ||
        e->kind == LIN_KINDS) {
        r->error = "an event needs a process, a type and a function";
        return false;
    }
    r->error = NULL;
    return true;
}

/* --- Operations ------------------------------------------------------------------------------- */

static void set_values(struct lin_op *o, const struct history_event *e)
{
    if (e->kind == LIN_CAS && e->value_count == 2) {
        o->expected = e->values[0];
        o->value = e->values[1];
    } else if (e->kind != LIN_CAS) {
        o->value = e->value_count > 0 ? e->values[0] : 0;
    }
}

static bool invoke_operation(struct history_reader *r, const struct history_event *e,
                             uint32_t *pending)
{
    struct history *h = r->h;
    if (e->kind == LIN_CAS && e->value_count != 2) {
        r->error = "a cas needs two values";
        return false;
    }
    mem_grow((void **)&h->ops, &h->cap, h->count + 1, sizeof(h->ops[0]));
    struct lin_op *o = &h->ops[h->count++];
    *o = (struct lin_op){.invoked = e->time,
                         .key = e->key,
                         .process = (uint32_t)e->process,
                         .kind = e->kind,
                         .outcome = LIN_UNKNOWN};
    set_values(o, e);
    *pending = (uint32_t)h->count;
    return true;
}

static bool complete_operation(struct history_reader *r, const struct history_event *e,
                               uint32_t *pending)
{
    struct lin_op *o = *pending != 0 ? &r->h->ops[*pending - 1] : NULL;
    if (o == NULL || o->kind != e->kind || o->key != e->key) {
        r->error = "this completes nothing that its process has invoked";
        return false;
    }
    *pending = 0;
    bool is_miss = e->kind == LIN_CAS &&
                   (e->is_log ? e->type == TYPE_FAIL : e->type == TYPE_OK && e->is_missed);
    if (e->type == TYPE_INFO) {
        return true;
    }
    o->returned = e->time;
    if (o->returned < o->invoked) {
        r->error = "an operation returns before it is invoked";
        return false;
    }
    if (e->type == TYPE_FAIL && !is_miss) {
        o->outcome = LIN_FAILED;
        return true;
    }
    o->outcome = LIN_OK;
    o->revision = e->revision;
    if (is_miss) {
        o->kind = LIN_CAS_MISS;
    } else if (o->kind == LIN_READ) {
        set_values(o, e);
        o->mod_revision = e->mod_revision;
    }
    return true;
}

static bool read_line(struct history_reader *r, size_t line)
{
    struct history_event e = {.kind = LIN_KINDS};
    if (!read_event(r, &e)) {
        return r->error == NULL;
    }
    e.time = e.has_time ? e.time : line;
    r->h->has_times = r->h->has_times || e.has_time;
    uint32_t *pending = &r->pending[lin_map_number(&r->processes, e.process)];
    return e.type == TYPE_INVOKE ? invoke_operation(r, &e, pending)
                                 : complete_operation(r, &e, pending);
}

static size_t count_lines(struct bytes text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++) {
        n += text.data[i] == '\n' ? 1 : 0;
    }
    return n;
}

/* The next line, without its end; false behind the last. */
static bool next_line(struct bytes *rest, struct history_reader *r)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *newline = memchr(rest->data, '\n', rest->len);
    size_t n = newline != NULL ? (size_t)(newline - rest->data) : rest->len;
    r->at = rest->data;
    r->end = rest->data + n;
    n += newline != NULL ? 1 : 0;
    *rest = (struct bytes){rest->data + n, rest->len - n};
    return true;
}

enum err history_read(struct history *h, struct bytes text)
{
    size_t lines = count_lines(text);
    if (lines > LIN_OPS_MAX) {
        h->error = "it has too many lines";
        return ERR_TOO_LARGE;
    }
    struct history_reader r = {.h = h};
    buf_init(&r.unescaped);
    lin_map_reset(&r.processes, lines);
    r.pending = mem_alloc_zero(lines * sizeof(r.pending[0]));
    size_t line = 0;
    bool good = true;
    while (good && next_line(&text, &r)) {
        good = read_line(&r, ++line);
    }
    h->error_line = good ? 0 : line;
    h->error = r.error;
    mem_free(r.pending);
    lin_map_deinit(&r.processes);
    buf_deinit(&r.unescaped);
    return good ? OK : ERR_CORRUPT;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_name(const void *ctx, uint64_t id, struct buf *out)
{
    const struct history *h = ctx;
    struct bytes name = id == 0 ? (struct bytes){(const uint8_t *)"nil", 3}
                                : lin_strings_get(&h->strings, (uint32_t)id);
    buf_put(out, name.data, name.len);
}

struct lin_names history_names(const struct history *h)
{
    return (struct lin_names){
        .ctx = h, .key = put_name, .value = put_name, .times_are_lines = !h->has_times};
}

static bool is_decimal(struct bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
    }
    return word.len > 0;
}

/* As the file has it: a number as it is, everything else in quotes. */
static void put_quoted(struct buf *out, struct bytes word)
{
    if (is_decimal(word)) {
        buf_put(out, word.data, word.len);
        return;
    }
    buf_put_u8(out, '"');
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.data[i];
        if (c == '"' || c == '\\' || c == '\n') {
            buf_put_u8(out, '\\');
        }
        buf_put_u8(out, c == '\n' ? 'n' : c);
    }
    buf_put_u8(out, '"');
}

struct history_writer {
    const struct lin_names *names;
    struct buf *out;
    struct buf word;
};

static void put_id(struct history_writer *w, bool is_key, uint64_t id)
{
    if (id == 0 || w->names == NULL) {
        say(w->out, id == 0 ? "nil" : "");
        if (id != 0) {
            say_u64(w->out, id);
        }
        return;
    }
    buf_clear(&w->word);
    (is_key ? w->names->key : w->names->value)(w->names->ctx, id, &w->word);
    put_quoted(w->out, buf_view(&w->word));
}

static void put_number(struct history_writer *w, const char *field, uint64_t v)
{
    say(w->out, field);
    say_u64(w->out, v);
}

static const char *function_word(uint8_t kind)
{
    static const char *const words[LIN_KINDS] = {
        [LIN_READ] = ":read", [LIN_WRITE] = ":write",  [LIN_DELETE] = ":delete",
        [LIN_CAS] = ":cas",   [LIN_CAS_MISS] = ":cas", [LIN_APPEND] = ":append"};
    return kind < LIN_KINDS ? words[kind] : ":none";
}

static void put_value(struct history_writer *w, const struct lin_op *o, bool is_return)
{
    say(w->out, ", :value ");
    if (o->kind == LIN_CAS || o->kind == LIN_CAS_MISS) {
        say(w->out, "[");
        put_id(w, false, o->expected);
        say(w->out, " ");
        put_id(w, false, o->value);
        say(w->out, "]");
    } else {
        bool says_nothing = o->kind == LIN_DELETE || (o->kind == LIN_READ && !is_return);
        put_id(w, false, says_nothing ? 0 : o->value);
    }
}

static void put_event(struct history_writer *w, const struct lin_op *o, bool is_return)
{
    put_number(w, "{:process ", o->process);
    say(w->out, ", :type ");
    say(w->out, !is_return ? ":invoke" : o->outcome == LIN_OK ? ":ok" : ":fail");
    say(w->out, ", :f ");
    say(w->out, function_word(o->kind));
    say(w->out, ", :key ");
    put_id(w, true, o->key);
    put_value(w, o, is_return);
    put_number(w, ", :time ", is_return ? o->returned : o->invoked);
    if (is_return && o->outcome == LIN_OK && o->revision != 0) {
        put_number(w, ", :revision ", o->revision);
    }
    if (is_return && o->outcome == LIN_OK && o->kind == LIN_READ && o->mod_revision != 0) {
        put_number(w, ", :mod-revision ", o->mod_revision);
    }
    say(w->out, is_return && o->kind == LIN_CAS_MISS ? ", :missed true}\n" : "}\n");
}

/* The returns that stand before the invocations of their time are those of operations that were
 * invoked earlier, so that a process never begins one before its last is complete. */
static size_t list_events(const struct lin_op *ops, size_t n, struct lin_item *items)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (ops[i].outcome != LIN_UNKNOWN && ops[i].returned > ops[i].invoked) {
            items[count++] = (struct lin_item){ops[i].returned, (uint32_t)(i * 2 + 1)};
        }
    }
    for (size_t i = 0; i < n; i++) {
        items[count++] = (struct lin_item){ops[i].invoked, (uint32_t)(i * 2)};
        if (ops[i].outcome != LIN_UNKNOWN && ops[i].returned <= ops[i].invoked) {
            items[count++] = (struct lin_item){ops[i].invoked, (uint32_t)(i * 2 + 1)};
        }
    }
    return count;
}

void history_write(const struct lin_op *ops, size_t n, const struct lin_names *names,
                   struct buf *out)
{
    struct lin_item *items = mem_alloc(2 * n * sizeof(*items));
    struct lin_item *scratch = mem_alloc(2 * n * sizeof(*scratch));
    struct history_writer w = {.names = names, .out = out};
    size_t count = list_events(ops, n, items);
    buf_init(&w.word);
    lin_sort(items, scratch, count);
    for (size_t i = 0; i < count; i++) {
        put_event(&w, &ops[items[i].index / 2], (items[i].index & 1) != 0);
    }
    buf_deinit(&w.word);
    mem_free(scratch);
    mem_free(items);
}
