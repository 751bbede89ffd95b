/* A table: to people in columns on stdout, to programs as CSV. */
#ifndef NOVACRON_CLI_SIM_DETECT_TABLE_H
#define NOVACRON_CLI_SIM_DETECT_TABLE_H

#include "cli/sim/detect/detect.h"

#define DETECT_COLUMNS_MAX 20
#define DETECT_CELL_BYTES  32

struct detect_cell {
    enum { DETECT_CELL_TEXT, DETECT_CELL_NUMBER, DETECT_CELL_ESTIMATE } kind;
    char text[DETECT_CELL_BYTES];
    struct labstat_estimate estimate;
    int decimals;
};

struct detect_table {
    const char *title;
    const char *columns[DETECT_COLUMNS_MAX];
    size_t column_count;
    struct detect_cell *cells; /* owned; row by row */
    size_t cell_count;
    size_t cell_cap;
};

/* `columns` ends with NULL. All texts but those of cells are borrowed. */
void detect_table_init(struct detect_table *t, const char *title, const char *const *columns);

/* The next cell of the row under way, or the first of the next row. */
void detect_table_text(struct detect_table *t, const char *text);
void detect_table_number(struct detect_table *t, double value, int decimals);
/* A value and its interval: "3.1 [2.9 3.4]", and in CSV three columns: c, c_lo, c_hi. */
void detect_table_estimate(struct detect_table *t, const struct labstat_estimate *e, int decimals);

/* Prints it, writes it to call->csv if that is wanted, and gives its memory back. */
void detect_table_end(struct detect_table *t, const struct detect_call *call);

#endif
