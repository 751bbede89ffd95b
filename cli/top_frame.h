/*
 * One frame of `novacron top`, as text or as JSON. Pure: what is known of the members goes in,
 * lines come out. Names and reasons come from the cluster and may be anything: what is no printable
 * ASCII becomes "?", so that nobody's name can speak to the terminal.
 */
#ifndef NOVACRON_CLI_TOP_FRAME_H
#define NOVACRON_CLI_TOP_FRAME_H

#include "cli/top_figures.h"
#include "core/base/buf.h"

#define TOP_NAME_BYTES  64
#define TOP_URL_BYTES   256
#define TOP_WHY_BYTES   96
#define TOP_MEMBERS_MAX 64

struct top_member {
    char name[TOP_NAME_BYTES]; /* its URL where it has none */
    char url[TOP_URL_BYTES];
    node_id id; /* 0: not known */
    bool is_learner;
    bool answers;
    char why[TOP_WHY_BYTES]; /* it does not */
    int64_t silent_since;    /* it does not answer since; seconds since 1970, 0: it never did */
    struct top_sample now;
    struct top_sample before; /* for rates; is_there is false where there is none */
};

struct top_view {
    int64_t now;        /* seconds since 1970 */
    int64_t utc_offset; /* of the clock that is shown, in seconds */
    struct top_member *members;
    size_t count;
    char list_why[TOP_WHY_BYTES]; /* why it is not known who the members are; "": it is */
};

struct top_shape {
    unsigned columns;
    unsigned rows;
    bool has_colour;
};

/* What stands against a member's being well, the worst of it; NULL: nothing. */
const char *top_trouble(const struct top_member *m);

/* At most `rows` lines of at most `columns` characters, each with a newline. */
void top_frame_draw(const struct top_view *view, const struct top_shape *shape, struct buf *ret);

/* One object, in one line. */
void top_frame_json(const struct top_view *view, struct buf *ret);

#endif
