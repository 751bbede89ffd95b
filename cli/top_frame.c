#include "cli/top_frame.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/plain.h"
#include "core/base/say.h"

#define LINE_BYTES  512
#define CELL_BYTES  16
#define CLOCK_BYTES 16

/* With these, all of the first table fits into 80 columns. */
#define NAME_WIDTH_MIN      12
#define COLUMNS_BEHIND_NAME 68

#define BOLD  "\033[1m"
#define RED   "\033[31m"
#define PLAIN "\033[0m"

struct drawing {
    const struct top_view *view;
    const struct top_shape *shape;
    struct buf *out;
    unsigned lines;
    int name_width;
};

/* --- words ----------------------------------------------------------------------------------- */

/* A number of four or five characters: "17", "9999", "12.3k", "4.1M"; "-" for NaN. */
static const char *cell_number(char cell[CELL_BYTES], double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    size_t unit = 0;
    if (isnan(value)) {
        return "-";
    }
    double limit = 9999.5;
    while (fabs(value) >= limit && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
        limit = 999.5;
    }
    int decimals = unit == 0 || value >= 99.95 ? 0 : 1;
    (void)snprintf(cell, CELL_BYTES, "%.*f%s", decimals, fmin(value, 1e6), units[unit]);
    return cell;
}

/* A time: "85us", "1.2ms", "950ms", "2.5s". */
static const char *cell_time(char cell[CELL_BYTES], double seconds)
{
    if (isnan(seconds)) {
        return "-";
    }
    if (seconds < 0.0009995) {
        (void)snprintf(cell, CELL_BYTES, "%.0fus", seconds * 1e6);
    } else if (seconds < 0.9995) {
        (void)snprintf(cell, CELL_BYTES, "%.*fms", seconds < 0.09995 ? 1 : 0, seconds * 1e3);
    } else {
        (void)snprintf(cell, CELL_BYTES, "%.1fs", fmin(seconds, 1e6));
    }
    return cell;
}

static const char *cell_percent(char cell[CELL_BYTES], double part)
{
    if (isnan(part)) {
        return "-";
    }
    (void)snprintf(cell, CELL_BYTES, "%.0f%%", fmin(fmax(part * 100, 0), 99999));
    return cell;
}

static const char *clock_text(char text[CLOCK_BYTES], const struct top_view *view, int64_t at)
{
    time_t local = (time_t)(at + view->utc_offset);
    struct tm tm = {0};
    (void)gmtime_r(&local, &tm);
    (void)strftime(text, CLOCK_BYTES, "%H:%M:%S", &tm);
    return text;
}

/* --- lines ----------------------------------------------------------------------------------- */

static bool is_full(const struct drawing *d)
{
    return d->lines >= d->shape->rows;
}

/* Cut at the last column; `style` is an escape sequence, or "". */
__attribute__((format(printf, 3, 4))) static void put(struct drawing *d, const char *style,
                                                      const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    if (is_full(d)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t len = strnlen(line, d->shape->columns);
    while (len > 0 && line[len - 1] == ' ') {
        len--;
    }
    bool has_style = d->shape->has_colour && style[0] != '\0' && len > 0;
    say(d->out, has_style ? style : "");
    buf_put(d->out, line, len);
    say(d->out, has_style ? PLAIN : "");
    say(d->out, "\n");
    d->lines++;
}

/* --- members --------------------------------------------------------------------------------- */

static double figure(const struct top_member *m, enum top_figure f)
{
    return m->answers && m->now.is_there ? m->now.figure[f] : (double)NAN;
}

static bool is_set(const struct top_member *m, enum top_figure f)
{
    return figure(m, f) > 0;
}

static nanos span(const struct top_member *m)
{
    bool has_both = m->answers && m->now.is_there && m->before.is_there && m->now.at > m->before.at;
    return has_both ? m->now.at - m->before.at : 0;
}

/* A second's worth of something that grows. */
static double rate(const struct top_member *m, double now, double before)
{
    return top_rate(now, before, span(m));
}

static double quantile(const struct top_member *m, const struct top_histogram *now,
                       const struct top_histogram *before, double q)
{
    return span(m) > 0 ? top_quantile(now, before, q) : (double)NAN;
}

const char *top_trouble(const struct top_member *m)
{
    static const struct {
        enum top_figure figure;
        const char *text;
    } troubles[] = {
        {TOP_DISK_FULL, "DISK FULL"}, {TOP_IMPAIRED, "IMPAIRED"}, {TOP_STALLED, "STALLED"},
        {TOP_DISPUTED, "DISPUTED"},   {TOP_EXPOSED, "EXPOSED"},   {TOP_NOSPACE, "NO SPACE"},
    };
    if (!m->answers) {
        return "DOWN";
    }
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        if (is_set(m, troubles[i].figure)) {
            return troubles[i].text;
        }
    }
    return is_set(m, TOP_HAS_LEADER) ? NULL : "NO LEADER";
}

static const char *health(const struct top_member *m)
{
    const char *bad = top_trouble(m);
    return bad != NULL                          ? bad
           : is_set(m, TOP_SNAPSHOT_INSTALLING) ? "installing"
           : is_set(m, TOP_SNAPSHOT_TAKING)     ? "snapshot"
                                                : "ok";
}

static const char *role(const struct top_member *m)
{
    return !m->answers                                  ? "down"
           : is_set(m, TOP_IS_LEADER)                   ? "LEADER"
           : is_set(m, TOP_IS_LEARNER) || m->is_learner ? "learner"
           : is_set(m, TOP_HAS_LEADER)                  ? "follower"
                                                        : "no leader";
}

static const struct top_member *leader(const struct top_view *view)
{
    const struct top_member *found = NULL;
    for (size_t i = 0; i < view->count; i++) {
        const struct top_member *m = &view->members[i];
        /* Of two who say so, the one of the later term is right. */
        if (is_set(m, TOP_IS_LEADER) &&
            (found == NULL || figure(m, TOP_TERM) > figure(found, TOP_TERM))) {
            found = m;
        }
    }
    return found;
}

/* Entries that it lacks: what the leader says, else what it has not applied of all that is known to
 * be committed. */
static double lag(const struct top_view *view, const struct top_member *m)
{
    const struct top_member *l = leader(view);
    double committed = 0;
    for (size_t i = 0; l != NULL && l != m && i < l->now.peer_count; i++) {
        if (l->now.peers[i].id == m->id && m->id != 0) {
            return l->now.peers[i].lag;
        }
    }
    for (size_t i = 0; l == NULL && i < view->count; i++) {
        committed = fmax(committed, figure(&view->members[i], TOP_COMMITTED));
    }
    double known = l == m ? figure(m, TOP_COMMITTED) : committed;
    return fmax(known - figure(m, TOP_APPLIED), 0);
}

static double disk_free(const struct top_member *m)
{
    return figure(m, TOP_DISK_AVAILABLE) / figure(m, TOP_DISK_SIZE);
}

/* --- the cluster ----------------------------------------------------------------------------- */

struct top_sums {
    size_t answering;
    double puts;
    double reads;
    double failures;
    double watches;
};

static double or_zero(double value)
{
    return isnan(value) ? 0 : value;
}

static struct top_sums sums(const struct top_view *view)
{
    struct top_sums s = {0};
    for (size_t i = 0; i < view->count; i++) {
        const struct top_member *m = &view->members[i];
        s.answering += m->answers ? 1 : 0;
        s.puts += or_zero(rate(m, m->now.puts, m->before.puts));
        s.reads += or_zero(rate(m, m->now.reads, m->before.reads));
        s.failures += or_zero(rate(m, m->now.failures, m->before.failures));
        s.watches += or_zero(figure(m, TOP_WATCHES));
    }
    return s;
}

/* Whose figures stand for what is replicated: the leader's, or those of who has come furthest. */
static const struct top_member *best(const struct top_view *view)
{
    const struct top_member *found = leader(view);
    for (size_t i = 0; found == NULL && i < view->count; i++) {
        const struct top_member *m = &view->members[i];
        bool is_further =
            found == NULL || figure(m, TOP_APPLIED) > or_zero(figure(found, TOP_APPLIED));
        found = m->answers && is_further ? m : found;
    }
    return found;
}

static void draw_head(struct drawing *d)
{
    const struct top_view *view = d->view;
    const struct top_member *l = leader(view);
    const struct top_member *b = best(view);
    struct top_sums s = sums(view);
    char text[CLOCK_BYTES];
    char name[TOP_NAME_BYTES] = "NONE";
    char left[LINE_BYTES / 2];
    char cells[7][CELL_BYTES];
    if (l != NULL) {
        (void)plain_copy(l->name, name, sizeof name);
    }
    (void)snprintf(left, sizeof left, "novacron top  %zu of %zu answer  leader %.40s  term %s",
                   s.answering, view->count, name,
                   cell_number(cells[0], b != NULL ? figure(b, TOP_TERM) : (double)NAN));
    int width = (int)d->shape->columns - 10;
    put(d, s.answering == view->count && l != NULL ? BOLD : BOLD RED, "%-*.*s  %s",
        width > 0 ? width : 0, width > 0 ? width : 0, left, clock_text(text, view, view->now));
    put(d, "", "puts %s/s  reads %s/s  fails %s/s  watches %s  leases %s  keys %s  rev %s",
        cell_number(cells[0], s.puts), cell_number(cells[1], s.reads),
        cell_number(cells[2], s.failures), cell_number(cells[3], s.watches),
        cell_number(cells[4], b != NULL ? figure(b, TOP_LEASES) : (double)NAN),
        cell_number(cells[5], b != NULL ? figure(b, TOP_KEYS) : (double)NAN),
        cell_number(cells[6], b != NULL ? figure(b, TOP_REVISION) : (double)NAN));
}

/* --- the tables ------------------------------------------------------------------------------ */

static void draw_down(struct drawing *d, const struct top_member *m, const char *name)
{
    char text[CLOCK_BYTES];
    char why[TOP_WHY_BYTES];
    (void)plain_copy(m->why, why, sizeof why);
    if (m->silent_since == 0) {
        put(d, RED, "%-*.*s %-9s %s", d->name_width, d->name_width, name, "DOWN", why);
    } else {
        put(d, RED, "%-*.*s %-9s since %s, %lld s: %s", d->name_width, d->name_width, name, "DOWN",
            clock_text(text, d->view, m->silent_since), (long long)(d->view->now - m->silent_since),
            why);
    }
}

static void draw_consensus(struct drawing *d, size_t most)
{
    put(d, BOLD, "%-*s %-9s %4s %7s %5s %6s %6s %4s %6s  %s", d->name_width, "MEMBER", "ROLE",
        "TERM", "APPLIED", "LAG", "SYNC 50", "99", "DISK", "SYNC/s", "HEALTH");
    for (size_t i = 0; i < d->view->count && i < most; i++) {
        const struct top_member *m = &d->view->members[i];
        const struct top_histogram *h = &m->now.sync;
        const struct top_histogram *old = &m->before.sync;
        char name[TOP_NAME_BYTES];
        char c[7][CELL_BYTES];
        (void)plain_copy(m->name, name, sizeof name);
        if (!m->answers) {
            draw_down(d, m, name);
            continue;
        }
        double syncs = h->n > 0 && old->n > 0 ? rate(m, h->count[h->n - 1], old->count[old->n - 1])
                                              : (double)NAN;
        put(d, top_trouble(m) != NULL ? RED : "", "%-*.*s %-9s %4s %7s %5s %6s %6s %4s %6s  %s",
            d->name_width, d->name_width, name, role(m), cell_number(c[0], figure(m, TOP_TERM)),
            cell_number(c[1], figure(m, TOP_APPLIED)), cell_number(c[2], lag(d->view, m)),
            cell_time(c[3], quantile(m, h, old, 0.5)), cell_time(c[4], quantile(m, h, old, 0.99)),
            cell_percent(c[5], 1 - disk_free(m)), cell_number(c[6], syncs), health(m));
    }
}

static void draw_calls(struct drawing *d, size_t most)
{
    put(d, BOLD, "%-*s %7s %7s %6s %6s %6s %6s %5s %5s %5s", d->name_width, "MEMBER", "PUTS/s",
        "READS/s", "PUT 50", "99", "FAIL/s", "WATCH", "CONN", "CPU", "MEM");
    for (size_t i = 0; i < d->view->count && i < most; i++) {
        const struct top_member *m = &d->view->members[i];
        const struct top_sample *s = &m->now;
        const struct top_sample *old = &m->before;
        char name[TOP_NAME_BYTES];
        char c[9][CELL_BYTES];
        (void)plain_copy(m->name, name, sizeof name);
        if (!m->answers) {
            put(d, RED, "%-*.*s %7s", d->name_width, d->name_width, name, "-");
            continue;
        }
        put(d, "", "%-*.*s %7s %7s %6s %6s %6s %6s %5s %5s %5s", d->name_width, d->name_width, name,
            cell_number(c[0], rate(m, s->puts, old->puts)),
            cell_number(c[1], rate(m, s->reads, old->reads)),
            cell_time(c[2], quantile(m, &s->put, &old->put, 0.5)),
            cell_time(c[3], quantile(m, &s->put, &old->put, 0.99)),
            cell_number(c[4], rate(m, s->failures, old->failures)),
            cell_number(c[5], figure(m, TOP_WATCHES)),
            cell_number(c[6], figure(m, TOP_CONNECTIONS)),
            cell_percent(c[7], rate(m, figure(m, TOP_CPU), old->figure[TOP_CPU])),
            cell_number(c[8], figure(m, TOP_MEMORY)));
    }
}

static void draw_store(struct drawing *d, size_t most)
{
    put(d, BOLD, "%-*s %7s %7s %9s %9s %7s %7s", d->name_width, "MEMBER", "STORE", "QUOTA",
        "SNAPSHOT", "KEYS", "IN B/s", "OUT B/s");
    for (size_t i = 0; i < d->view->count && i < most; i++) {
        const struct top_member *m = &d->view->members[i];
        const double *old = m->before.figure;
        char name[TOP_NAME_BYTES];
        char c[6][CELL_BYTES];
        (void)plain_copy(m->name, name, sizeof name);
        if (!m->answers) {
            put(d, RED, "%-*.*s %7s", d->name_width, d->name_width, name, "-");
            continue;
        }
        put(d, "", "%-*.*s %7s %7s %9s %9s %7s %7s", d->name_width, d->name_width, name,
            cell_number(c[0], figure(m, TOP_STORE_BYTES)),
            cell_percent(c[1], figure(m, TOP_STORE_BYTES) / figure(m, TOP_QUOTA)),
            cell_number(c[2], figure(m, TOP_SNAPSHOT_INDEX)),
            cell_number(c[3], figure(m, TOP_KEYS)),
            cell_number(c[4], rate(m, figure(m, TOP_BYTES_IN), old[TOP_BYTES_IN])),
            cell_number(c[5], rate(m, figure(m, TOP_BYTES_OUT), old[TOP_BYTES_OUT])));
    }
}

/* As wide as the longest, as far as the columns behind it leave room. */
static int name_width(const struct top_view *view, const struct top_shape *shape)
{
    int room = (int)shape->columns - COLUMNS_BEHIND_NAME;
    int width = NAME_WIDTH_MIN;
    for (size_t i = 0; i < view->count; i++) {
        int len = (int)strlen(view->members[i].name);
        width = len > width ? len : width;
    }
    return width < room ? width : room > NAME_WIDTH_MIN ? room : NAME_WIDTH_MIN;
}

void top_frame_draw(const struct top_view *view, const struct top_shape *shape, struct buf *ret)
{
    struct drawing d = {
        .view = view, .shape = shape, .out = ret, .name_width = name_width(view, shape)};
    static void (*const tables[])(struct drawing * d, size_t most) = {draw_consensus, draw_calls,
                                                                      draw_store};
    char why[TOP_WHY_BYTES];
    draw_head(&d);
    (void)plain_copy(view->list_why, why, sizeof why);
    if (why[0] != '\0') {
        put(&d, RED, "nobody says who the members are: %s", why);
    }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        size_t left = shape->rows > d.lines ? shape->rows - d.lines : 0;
        bool fits = left >= view->count + 2;
        if (i > 0 && !fits) {
            break; /* half of a further table says less than none */
        }
        put(&d, "", "%s", "");
        size_t most = fits || left < 4 ? view->count : left - 3;
        tables[i](&d, most);
        if (most < view->count) {
            put(&d, "", "and %zu more, for which there is no room", view->count - most);
        }
    }
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void json_text(struct buf *b, const char *key, const char *text)
{
    char cleaned[TOP_URL_BYTES];
    (void)plain_copy(text, cleaned, sizeof cleaned);
    say(b, b->data[b->len - 1] == '{' ? "\"" : ",\"");
    say(b, key);
    say(b, "\":\"");
    for (const char *at = cleaned; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            say(b, "\\");
        }
        buf_put(b, at, 1);
    }
    say(b, "\"");
}

/* null where it is not known. */
static void json_value(struct buf *b, const char *key, double value)
{
    char text[40] = "null";
    if (!isnan(value) && !isinf(value)) {
        (void)snprintf(text, sizeof text, "%.12g", value);
    }
    say(b, b->data[b->len - 1] == '{' ? "\"" : ",\"");
    say(b, key);
    say(b, "\":");
    say(b, text);
}

static void json_histogram(struct buf *b, const struct top_member *m, const char *key,
                           const struct top_histogram *now, const struct top_histogram *before)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    say(b, ",\"");
    say(b, key);
    say(b, "\":{");
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        json_value(b, quantiles[i].name, quantile(m, now, before, quantiles[i].q));
    }
    say(b, "}");
}

static void json_member(struct buf *b, const struct top_view *view, const struct top_member *m)
{
    static const struct {
        const char *key;
        enum top_figure figure;
    } figures[] = {
        {"term", TOP_TERM},
        {"committed", TOP_COMMITTED},
        {"applied", TOP_APPLIED},
        {"leader_changes", TOP_LEADER_CHANGES},
        {"keys", TOP_KEYS},
        {"revision", TOP_REVISION},
        {"watches", TOP_WATCHES},
        {"leases", TOP_LEASES},
        {"store_bytes", TOP_STORE_BYTES},
        {"quota_bytes", TOP_QUOTA},
        {"snapshot_index", TOP_SNAPSHOT_INDEX},
        {"snapshot_taking", TOP_SNAPSHOT_TAKING},
        {"snapshot_installing", TOP_SNAPSHOT_INSTALLING},
        {"disk_size_bytes", TOP_DISK_SIZE},
        {"disk_available_bytes", TOP_DISK_AVAILABLE},
        {"connections", TOP_CONNECTIONS},
        {"memory_bytes", TOP_MEMORY},
        {"started_at", TOP_STARTED},
    };
    char id[24];
    (void)snprintf(id, sizeof id, "%llx", (unsigned long long)m->id);
    say(b, "{");
    json_text(b, "name", m->name);
    json_text(b, "id", id);
    json_text(b, "url", m->url);
    json_text(b, "role", role(m));
    json_text(b, "health", health(m));
    say(b, m->answers ? ",\"answers\":true" : ",\"answers\":false");
    if (!m->answers) {
        json_text(b, "why", m->why);
        json_value(b, "silent_since", m->silent_since > 0 ? (double)m->silent_since : (double)NAN);
        say(b, "}");
        return;
    }
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        json_value(b, figures[i].key, figure(m, figures[i].figure));
    }
    const struct top_sample *old = &m->before;
    json_value(b, "lag", lag(view, m));
    json_value(b, "puts_per_s", rate(m, m->now.puts, old->puts));
    json_value(b, "reads_per_s", rate(m, m->now.reads, old->reads));
    json_value(b, "failures_per_s", rate(m, m->now.failures, old->failures));
    json_value(b, "cpu", rate(m, figure(m, TOP_CPU), old->figure[TOP_CPU]));
    json_histogram(b, m, "sync_seconds", &m->now.sync, &old->sync);
    json_histogram(b, m, "put_seconds", &m->now.put, &old->put);
    json_histogram(b, m, "read_seconds", &m->now.read, &old->read);
    say(b, "}");
}

void top_frame_json(const struct top_view *view, struct buf *ret)
{
    const struct top_member *l = leader(view);
    struct top_sums s = sums(view);
    say(ret, "{");
    json_value(ret, "time", (double)view->now);
    json_text(ret, "leader", l != NULL ? l->name : "");
    json_value(ret, "answering", (double)s.answering);
    json_value(ret, "puts_per_s", s.puts);
    json_value(ret, "reads_per_s", s.reads);
    json_value(ret, "failures_per_s", s.failures);
    json_text(ret, "list_error", view->list_why);
    say(ret, ",\"members\":[");
    for (size_t i = 0; i < view->count; i++) {
        say(ret, i > 0 ? "," : "");
        json_member(ret, view, &view->members[i]);
    }
    say(ret, "]}\n");
}
