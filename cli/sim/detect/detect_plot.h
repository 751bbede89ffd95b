/*
 * Curves, as SVG that needs no style sheet, no script and no font of its own: lines with markers,
 * axes linear or logarithmic, several panels beside each other.
 */
#ifndef NOVACRON_CLI_SIM_DETECT_PLOT_H
#define NOVACRON_CLI_SIM_DETECT_PLOT_H

#include <stdio.h>

#include "core/base/types.h"

#define PLOT_SERIES_MAX 12
#define PLOT_PANELS_MAX 6
#define PLOT_POINTS_MAX 64

struct plot_point {
    double x;
    double y;
    double lo; /* of an interval around y; lo == hi: none is drawn */
    double hi;
};

struct plot_series {
    const char *name;
    struct plot_point points[PLOT_POINTS_MAX];
    size_t count;
};

struct plot_panel {
    const char *title;
    struct plot_series series[PLOT_SERIES_MAX];
    size_t count;
};

/* On a logarithmic axis, what is not above zero stands at the lower edge, as an open marker. */
struct plot {
    const char *title;
    const char *x_label;
    const char *y_label;
    bool x_is_log;
    bool y_is_log;
    struct plot_panel panels[PLOT_PANELS_MAX]; /* one legend for all: the first one's series */
    size_t count;
};

/* The series called `name` of a panel; a new one where there is none. */
struct plot_series *plot_series_of(struct plot_panel *panel, const char *name);
void plot_add(struct plot_series *series, double x, double y);

void plot_write(const struct plot *plot, FILE *out);

#endif
