#include "cli/sim/detect/detect_plot.h"

#include <math.h>
#include <string.h>

#include "core/base/check.h"

#define PANEL_WIDTH   330.0
#define PANEL_HEIGHT  250.0
#define MARGIN_LEFT   70.0
#define MARGIN_RIGHT  20.0
#define MARGIN_TOP    58.0
#define MARGIN_BOTTOM 52.0
#define LEGEND_WIDTH  170.0
#define COLUMNS       3
#define TICKS_MAX     64

/* Colours that stay apart for the colour-blind (Okabe and Ito), then repeated with dashes. */
static const char *const COLOURS[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#56b4e9", "#e69f00", "#000000", "#8a8a00"};

struct axis {
    bool is_log;
    double lo;
    double hi;
    double from; /* pixels */
    double to;
};

struct plot_series *plot_series_of(struct plot_panel *panel, const char *name)
{
    for (size_t i = 0; i < panel->count; i++) {
        if (strcmp(panel->series[i].name, name) == 0) {
            return &panel->series[i];
        }
    }
    CHECK(panel->count < PLOT_SERIES_MAX);
    struct plot_series *series = &panel->series[panel->count++];
    *series = (struct plot_series){.name = name};
    return series;
}

void plot_add(struct plot_series *series, double x, double y)
{
    if (series->count < PLOT_POINTS_MAX) {
        series->points[series->count++] = (struct plot_point){x, y, y, y};
    }
}

/* --- Axes ------------------------------------------------------------------------------------- */

static void axis_take(struct axis *axis, double value)
{
    if (axis->is_log && !(value > 0)) {
        return;
    }
    axis->lo = value < axis->lo ? value : axis->lo;
    axis->hi = value > axis->hi ? value : axis->hi;
}

/* The range of all panels, rounded outward. */
static struct axis axis_of(const struct plot *plot, bool is_x)
{
    struct axis axis = {is_x ? plot->x_is_log : plot->y_is_log, INFINITY, -INFINITY, 0, 0};

    for (size_t p = 0; p < plot->count; p++) {
        for (size_t s = 0; s < plot->panels[p].count; s++) {
            const struct plot_series *series = &plot->panels[p].series[s];
            for (size_t i = 0; i < series->count; i++) {
                const struct plot_point *at = &series->points[i];
                axis_take(&axis, is_x ? at->x : at->y);
                axis_take(&axis, is_x ? at->x : at->lo);
                axis_take(&axis, is_x ? at->x : at->hi);
            }
        }
    }
    if (!(axis.lo <= axis.hi)) {
        axis.lo = axis.is_log ? 1 : 0;
        axis.hi = axis.is_log ? 10 : 1;
    }
    if (axis.is_log) {
        double floor_lo = pow(10, floor(log10(axis.lo)));
        double ceil_hi = pow(10, ceil(log10(axis.hi)));
        /* Half a decade is not rounded to a whole one where there are few. */
        axis.lo = axis.hi / axis.lo < 30 && is_x ? axis.lo * 0.8 : floor_lo;
        axis.hi = axis.hi / axis.lo < 30 && is_x ? axis.hi * 1.25 : ceil_hi;
        axis.hi = axis.hi > axis.lo ? axis.hi : axis.lo * 10;
    } else {
        axis.lo = axis.lo > 0 ? 0 : axis.lo;
        axis.hi = axis.hi > axis.lo ? axis.hi + (axis.hi - axis.lo) * 0.05 : axis.lo + 1;
    }
    return axis;
}

static double axis_place(const struct axis *axis, double value)
{
    double part;
    if (axis->is_log) {
        part = value > axis->lo ? log(value / axis->lo) / log(axis->hi / axis->lo) : 0;
    } else {
        part = (value - axis->lo) / (axis->hi - axis->lo);
    }
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return axis->from + part * (axis->to - axis->from);
}

/* Where ticks are, and which of them have a number. */
static size_t axis_ticks(const struct axis *axis, double *ticks, bool *are_named)
{
    size_t count = 0;

    if (axis->is_log) {
        bool is_short = axis->hi / axis->lo < 100;
        double decades = log10(axis->hi / axis->lo);
        for (double e = floor(log10(axis->lo)); e <= ceil(log10(axis->hi)); e++) {
            for (int m = 1; m < 10 && count < TICKS_MAX; m++) {
                double at = m * pow(10, e);
                bool is_wanted = m == 1 || (is_short ? m != 4 && m < 6 : decades < 5 && false);
                if (is_wanted && at >= axis->lo * 0.999 && at <= axis->hi * 1.001) {
                    are_named[count] = m == 1 || (is_short && (m == 2 || m == 5));
                    ticks[count++] = at;
                }
            }
        }
        return count;
    }
    double step = pow(10, floor(log10((axis->hi - axis->lo) / 2)));
    while ((axis->hi - axis->lo) / step > 7) {
        step *= (axis->hi - axis->lo) / step > 14 ? 2.5 : 2;
    }
    for (double at = ceil(axis->lo / step) * step; at <= axis->hi && count < TICKS_MAX;
         at += step) {
        are_named[count] = true;
        ticks[count++] = fabs(at) < step / 1000 ? 0 : at;
    }
    return count;
}

static void tick_name(double value, char *out, size_t room)
{
    if (value > 0 && (value < 0.001 || value >= 100000)) {
        (void)snprintf(out, room, "1e%.0f", log10(value));
    } else {
        (void)snprintf(out, room, "%.6g", value);
    }
}

static void draw_axes(FILE *out, const struct axis *x, const struct axis *y)
{
    double ticks[TICKS_MAX];
    bool are_named[TICKS_MAX];
    char name[32];

    size_t count = axis_ticks(x, ticks, are_named);
    for (size_t i = 0; i < count; i++) {
        double at = axis_place(x, ticks[i]);
        (void)fprintf(out, "<path d='M%.1f %.1fV%.1f' class='g'/>\n", at, y->from, y->to);
        if (are_named[i]) {
            tick_name(ticks[i], name, sizeof name);
            (void)fprintf(out, "<text x='%.1f' y='%.1f' text-anchor='middle'>%s</text>\n", at,
                          y->from + 15, name);
        }
    }
    count = axis_ticks(y, ticks, are_named);
    for (size_t i = 0; i < count; i++) {
        double at = axis_place(y, ticks[i]);
        (void)fprintf(out, "<path d='M%.1f %.1fH%.1f' class='g'/>\n", x->from, at, x->to);
        if (are_named[i]) {
            tick_name(ticks[i], name, sizeof name);
            (void)fprintf(out, "<text x='%.1f' y='%.1f' text-anchor='end'>%s</text>\n", x->from - 6,
                          at + 4, name);
        }
    }
    (void)fprintf(out, "<path d='M%.1f %.1fV%.1fH%.1f' class='a'/>\n", x->from, y->to, y->from,
                  x->to);
}

/* --- Series ----------------------------------------------------------------------------------- */

static const char *series_colour(size_t number)
{
    return COLOURS[number % COUNT_OF(COLOURS)];
}

static const char *series_dash(size_t number)
{
    return number < COUNT_OF(COLOURS) ? "" : " stroke-dasharray='5 3'";
}

static void draw_series(FILE *out, const struct plot_series *series, size_t number,
                        const struct axis *x, const struct axis *y)
{
    (void)fprintf(out, "<polyline fill='none' stroke='%s'%s stroke-width='1.6' points='",
                  series_colour(number), series_dash(number));
    for (size_t i = 0; i < series->count; i++) {
        (void)fprintf(out, "%s%.1f,%.1f", i == 0 ? "" : " ", axis_place(x, series->points[i].x),
                      axis_place(y, series->points[i].y));
    }
    (void)fprintf(out, "'/>\n");
    for (size_t i = 0; i < series->count; i++) {
        const struct plot_point *at = &series->points[i];
        bool is_below = y->is_log && !(at->y > 0);
        double px = axis_place(x, at->x);
        if (at->hi > at->lo) {
            (void)fprintf(out, "<path d='M%.1f %.1fV%.1f' stroke='%s' fill='none'/>\n", px,
                          axis_place(y, at->lo), axis_place(y, at->hi), series_colour(number));
        }
        (void)fprintf(out, "<circle cx='%.1f' cy='%.1f' r='2.6' stroke='%s' fill='%s'/>\n", px,
                      axis_place(y, at->y), series_colour(number),
                      is_below ? "white" : series_colour(number));
    }
}

static void draw_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
    (void)fprintf(out, "<text x='%.1f' y='%.1f' %s>", x, y, attributes);
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '&') {
            (void)fputs(*text == '<' ? "&lt;" : "&amp;", out);
        } else {
            (void)fputc(*text, out);
        }
    }
    (void)fputs("</text>\n", out);
}

static void draw_panel(FILE *out, const struct plot *plot, size_t number, struct axis x,
                       struct axis y)
{
    const struct plot_panel *panel = &plot->panels[number];
    double left = (double)(number % COLUMNS) * PANEL_WIDTH;
    double top = 24 + (double)(number / COLUMNS) * PANEL_HEIGHT;

    x.from = left + MARGIN_LEFT;
    x.to = left + PANEL_WIDTH - MARGIN_RIGHT;
    y.from = top + PANEL_HEIGHT - MARGIN_BOTTOM;
    y.to = top + MARGIN_TOP - 24;
    draw_axes(out, &x, &y);
    for (size_t i = 0; i < panel->count; i++) {
        draw_series(out, &panel->series[i], i, &x, &y);
    }
    double middle = (x.from + x.to) / 2;
    draw_text(out, middle, top + 24, "text-anchor='middle' font-weight='bold'", panel->title);
    draw_text(out, middle, y.from + 32, "text-anchor='middle'", plot->x_label);
    (void)fprintf(out, "<g transform='translate(%.1f %.1f) rotate(-90)'>", left + 14,
                  (y.from + y.to) / 2);
    draw_text(out, 0, 0, "text-anchor='middle'", plot->y_label);
    (void)fprintf(out, "</g>\n");
}

void plot_write(const struct plot *plot, FILE *out)
{
    size_t columns = plot->count < COLUMNS ? plot->count : COLUMNS;
    size_t rows = (plot->count + COLUMNS - 1) / COLUMNS;
    double legend = (double)columns * PANEL_WIDTH;
    double width = legend + LEGEND_WIDTH;
    double height = 24 + (double)rows * PANEL_HEIGHT;
    struct axis x = axis_of(plot, true);
    struct axis y = axis_of(plot, false);

    (void)fprintf(out,
                  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' "
                  "height='%.0f' font-family='sans-serif' font-size='11'>\n"
                  "<style>.g{stroke:#ddd;fill:none}.a{stroke:#333;fill:none}</style>\n"
                  "<rect width='100%%' height='100%%' fill='white'/>\n",
                  width, height, width, height);
    draw_text(out, width / 2, 20, "text-anchor='middle' font-size='14'", plot->title);
    for (size_t i = 0; i < plot->count; i++) {
        draw_panel(out, plot, i, x, y);
    }
    for (size_t i = 0; plot->count > 0 && i < plot->panels[0].count; i++) {
        double at = MARGIN_TOP + 18 * (double)i;
        (void)fprintf(out, "<path d='M%.1f %.1fh22' stroke='%s'%s stroke-width='1.6'/>\n",
                      legend + 4, at, series_colour(i), series_dash(i));
        draw_text(out, legend + 32, at + 4, "", plot->panels[0].series[i].name);
    }
    (void)fprintf(out, "</svg>\n");
}
