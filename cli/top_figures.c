#include "cli/top_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 64

static const char *const figure_names[TOP_FIGURES] = {
#define TOP_FIGURE_NAME(figure, name) [figure] = name,
    TOP_FIGURE_TABLE(TOP_FIGURE_NAME)
#undef TOP_FIGURE_NAME
};

/* A line of the page: name{labels} value. */
struct top_line {
    const char *name;
    size_t name_len;
    const char *labels; /* between the braces */
    size_t labels_len;
    double value;
};

/* --- lines ----------------------------------------------------------------------------------- */

static bool line_value(const char *text, size_t len, double *ret)
{
    char number[NUMBER_BYTES];
    char *end = NULL;
    while (len > 0 && *text == ' ') {
        text++;
        len--;
    }
    if (len == 0 || len >= sizeof number) {
        return false;
    }
    memcpy(number, text, len);
    number[len] = '\0';
    *ret = strtod(number, &end);
    return end != number && (*end == '\0' || *end == ' '); /* a time stamp may follow */
}

static bool line_parse(const char *text, size_t len, struct top_line *ret)
{
    size_t name = 0;
    while (name < len && text[name] != '{' && text[name] != ' ') {
        name++;
    }
    size_t rest = name;
    *ret = (struct top_line){.name = text, .name_len = name, .labels = ""};
    if (rest < len && text[rest] == '{') {
        const char *close = memrchr(text + rest, '}', len - rest);
        if (close == NULL) {
            return false;
        }
        ret->labels = text + rest + 1;
        ret->labels_len = (size_t)(close - ret->labels);
        rest = (size_t)(close - text) + 1;
    }
    return name > 0 && text[0] != '#' && line_value(text + rest, len - rest, &ret->value);
}

static bool line_named(const struct top_line *l, const char *name)
{
    return strlen(name) == l->name_len && memcmp(name, l->name, l->name_len) == 0;
}

/* The value of a label, up to its quotation mark; NULL: there is none. Labels of ours have no
 * escapes. */
static const char *line_label(const struct top_line *l, const char *label, size_t *ret_len)
{
    size_t n = strlen(label);
    const char *end = l->labels + l->labels_len;
    for (const char *at = l->labels; at + n + 2 < end; at++) {
        bool begins = at == l->labels || at[-1] == ',';
        if (begins && memcmp(at, label, n) == 0 && at[n] == '=' && at[n + 1] == '"') {
            const char *value = at + n + 2;
            const char *close = memchr(value, '"', (size_t)(end - value));
            *ret_len = close != NULL ? (size_t)(close - value) : 0;
            return close != NULL ? value : NULL;
        }
    }
    return NULL;
}

static bool line_has(const struct top_line *l, const char *label, const char *wanted)
{
    size_t len = 0;
    const char *value = line_label(l, label, &len);
    return value != NULL && strlen(wanted) == len && memcmp(value, wanted, len) == 0;
}

static node_id line_id(const struct top_line *l, const char *label)
{
    size_t len = 0;
    char text[17] = "";
    const char *value = line_label(l, label, &len);
    if (value == NULL || len == 0 || len >= sizeof text) {
        return 0;
    }
    memcpy(text, value, len);
    return strtoull(text, NULL, 16);
}

/* --- a page ---------------------------------------------------------------------------------- */

static bool line_is_write(const struct top_line *l)
{
    return line_has(l, "grpc_method", "Put") || line_has(l, "grpc_method", "Txn") ||
           line_has(l, "grpc_method", "DeleteRange");
}

/* A client that goes away is no failure of ours. */
static bool line_is_failure(const struct top_line *l)
{
    return !line_has(l, "grpc_code", "OK") && !line_has(l, "grpc_code", "Canceled");
}

static void take_handled(struct top_sample *s, const struct top_line *l)
{
    bool is_good = line_has(l, "grpc_code", "OK");
    if (is_good && line_is_write(l)) {
        s->puts += l->value;
    } else if (is_good && line_has(l, "grpc_method", "Range")) {
        s->reads += l->value;
    } else if (line_is_failure(l)) {
        s->failures += l->value;
    }
}

/* Adds to the bucket of this bound: several series may share a histogram. */
static void take_bucket(struct top_histogram *h, const struct top_line *l)
{
    size_t len = 0;
    double bound = 0;
    const char *text = line_label(l, "le", &len);
    if (text == NULL || !line_value(text, len, &bound) || isnan(bound)) {
        return;
    }
    size_t i = 0;
    while (i < h->n && h->bound[i] < bound) {
        i++;
    }
    bool is_new = i == h->n || h->bound[i] > bound;
    if (is_new && h->n == TOP_BUCKETS_MAX) {
        return;
    }
    if (is_new) {
        memmove(&h->bound[i + 1], &h->bound[i], (h->n - i) * sizeof h->bound[0]);
        memmove(&h->count[i + 1], &h->count[i], (h->n - i) * sizeof h->count[0]);
        h->bound[i] = bound;
        h->count[i] = 0;
        h->n++;
    }
    h->count[i] += l->value;
}

static void take_line(struct top_sample *s, const struct top_line *l)
{
    for (size_t i = 0; l->labels_len == 0 && i < TOP_FIGURES; i++) {
        if (line_named(l, figure_names[i])) {
            s->figure[i] = l->value;
            return;
        }
    }
    if (line_named(l, "grpc_server_handled_total")) {
        take_handled(s, l);
    } else if (line_named(l, "etcd_disk_wal_fsync_duration_seconds_bucket")) {
        take_bucket(&s->sync, l);
    } else if (line_named(l, "grpc_server_handling_seconds_bucket")) {
        if (line_is_write(l)) {
            take_bucket(&s->put, l);
        } else if (line_has(l, "grpc_method", "Range")) {
            take_bucket(&s->read, l);
        }
    } else if (line_named(l, "etcd_server_id")) {
        s->id = line_id(l, "server_id");
    } else if (line_named(l, "novacron_peer_lag_entries") && s->peer_count < TOP_PEERS_MAX) {
        s->peers[s->peer_count++] = (struct top_peer){line_id(l, "To"), l->value};
    }
}

void top_sample_parse(struct bytes page, struct top_sample *ret)
{
    nanos at = ret->at;
    memset(ret, 0, sizeof *ret);
    ret->at = at;
    ret->is_there = true;
    for (size_t i = 0; i < TOP_FIGURES; i++) {
        ret->figure[i] = NAN;
    }
    for (size_t begin = 0; begin < page.len;) {
        const char *text = (const char *)page.data + begin;
        const char *end = memchr(text, '\n', page.len - begin);
        size_t len = end != NULL ? (size_t)(end - text) : page.len - begin;
        struct top_line line;
        if (line_parse(text, len, &line) && !isnan(line.value)) {
            take_line(ret, &line);
        }
        begin += len + 1;
    }
}

/* --- two pages ------------------------------------------------------------------------------- */

double top_rate(double now, double before, nanos span)
{
    double grown = now - before;
    return span > 0 && grown >= 0 ? grown / ((double)span / 1e9) : (double)NAN;
}

/* What was counted up to bucket `i` between the two. */
static double grown_to(const struct top_histogram *now, const struct top_histogram *before,
                       size_t i)
{
    for (size_t k = 0; k < before->n; k++) {
        if (!(before->bound[k] < now->bound[i]) && !(before->bound[k] > now->bound[i])) {
            return now->count[i] - before->count[k];
        }
    }
    return now->count[i];
}

double top_quantile(const struct top_histogram *now, const struct top_histogram *before, double q)
{
    double all = now->n > 0 ? grown_to(now, before, now->n - 1) : 0;
    if (!(all > 0)) {
        return (double)NAN;
    }
    double rank = q * all;
    size_t i = 0;
    while (i + 1 < now->n && grown_to(now, before, i) < rank) {
        i++;
    }
    double low = i > 0 ? now->bound[i - 1] : 0;
    if (isinf(now->bound[i])) {
        return low; /* more than that: how much is not known */
    }
    double below = i > 0 ? grown_to(now, before, i - 1) : 0;
    double inside = grown_to(now, before, i) - below;
    return inside > 0 ? low + (now->bound[i] - low) * (rank - below) / inside : now->bound[i];
}
