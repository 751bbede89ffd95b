#include "cli/sim/detect/detect_table.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

#define SHOWN_BYTES 96

void detect_table_init(struct detect_table *t, const char *title, const char *const *columns)
{
    *t = (struct detect_table){.title = title};
    for (; columns[t->column_count] != NULL; t->column_count++) {
        CHECK(t->column_count < DETECT_COLUMNS_MAX);
        t->columns[t->column_count] = columns[t->column_count];
    }
}

static struct detect_cell *table_next_cell(struct detect_table *t)
{
    mem_grow((void **)&t->cells, &t->cell_cap, t->cell_count + 1, sizeof *t->cells);
    struct detect_cell *cell = &t->cells[t->cell_count++];
    *cell = (struct detect_cell){.kind = DETECT_CELL_TEXT};
    return cell;
}

void detect_table_text(struct detect_table *t, const char *text)
{
    struct detect_cell *cell = table_next_cell(t);
    (void)snprintf(cell->text, sizeof cell->text, "%s", text);
}

void detect_table_number(struct detect_table *t, double value, int decimals)
{
    struct detect_cell *cell = table_next_cell(t);
    cell->kind = DETECT_CELL_NUMBER;
    cell->estimate.value = value;
    cell->decimals = decimals;
}

void detect_table_estimate(struct detect_table *t, const struct labstat_estimate *e, int decimals)
{
    struct detect_cell *cell = table_next_cell(t);
    cell->kind = DETECT_CELL_ESTIMATE;
    cell->estimate = *e;
    cell->decimals = decimals;
}

static void show_cell(const struct detect_cell *cell, char *out)
{
    const struct labstat_estimate *e = &cell->estimate;
    switch (cell->kind) {
    case DETECT_CELL_TEXT:
        (void)snprintf(out, SHOWN_BYTES, "%s", cell->text);
        break;
    case DETECT_CELL_NUMBER:
        (void)snprintf(out, SHOWN_BYTES, "%.*f", cell->decimals, e->value);
        break;
    case DETECT_CELL_ESTIMATE:
        (void)snprintf(out, SHOWN_BYTES, "%.*f [%.*f %.*f]", cell->decimals, e->value,
                       cell->decimals, e->lo, cell->decimals, e->hi);
        break;
    }
}

static void table_print(const struct detect_table *t)
{
    size_t widths[DETECT_COLUMNS_MAX] = {0};
    char shown[SHOWN_BYTES];

    for (size_t i = 0; i < t->column_count; i++) {
        widths[i] = strlen(t->columns[i]);
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        size_t column = i % t->column_count;
        show_cell(&t->cells[i], shown);
        widths[column] = strlen(shown) > widths[column] ? strlen(shown) : widths[column];
    }
    (void)printf("\n%s\n", t->title);
    for (size_t i = 0; i < t->column_count; i++) {
        (void)printf(i == 0 ? "  %-*s" : "  %*s", (int)widths[i], t->columns[i]);
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        size_t column = i % t->column_count;
        show_cell(&t->cells[i], shown);
        (void)printf(column == 0 ? "\n  %-*s" : "  %*s", (int)widths[column], shown);
    }
    (void)putchar('\n');
}

/* The kind of a column is that of its first cell. */
static void table_write_csv(const struct detect_table *t, const struct detect_call *call)
{
    (void)fprintf(call->csv, "# %s: %s\n", call->experiment, t->title);
    for (size_t i = 0; i < t->column_count; i++) {
        (void)fprintf(call->csv, "%s%s", i == 0 ? "" : ",", t->columns[i]);
        if (i < t->cell_count && t->cells[i].kind == DETECT_CELL_ESTIMATE) {
            (void)fprintf(call->csv, ",%s_lo,%s_hi", t->columns[i], t->columns[i]);
        }
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        const struct detect_cell *cell = &t->cells[i];
        (void)fputs(i % t->column_count == 0 ? "\n" : ",", call->csv);
        if (cell->kind == DETECT_CELL_TEXT) {
            (void)fputs(cell->text, call->csv);
        } else {
            (void)fprintf(call->csv, "%.9g", cell->estimate.value);
        }
        if (cell->kind == DETECT_CELL_ESTIMATE) {
            (void)fprintf(call->csv, ",%.9g,%.9g", cell->estimate.lo, cell->estimate.hi);
        }
    }
    (void)fputs("\n\n", call->csv);
}

void detect_table_end(struct detect_table *t, const struct detect_call *call)
{
    CHECK(t->cell_count % t->column_count == 0);
    table_print(t);
    if (call->csv != NULL) {
        table_write_csv(t, call);
    }
    mem_free(t->cells);
    *t = (struct detect_table){0};
}
