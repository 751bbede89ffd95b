#include "core/monitoring/health/host_score.h"

#include "core/base/check.h"
#include "core/base/sort.h"

#include <string.h>

#define POINTS_MAX 100U

static const struct {
    const char *name;
    uint32_t points;
    bool carries;
} rung_rows[RUNGS] = {
#define RUNG_ROW(rung, name, points, carries) [rung] = {name, points, carries},
    RUNG_TABLE(RUNG_ROW)
#undef RUNG_ROW
};

const char *rung_name(enum rung rung)
{
    CHECK(rung < RUNGS);
    return rung_rows[rung].name;
}

const char *rung_state_name(enum rung_state state)
{
    static const char *const names[] = {"unknown", "well", "degraded", "broken"};

    CHECK((size_t)state < COUNT_OF(names));
    return names[state];
}

const char *host_condition_name(enum host_condition condition)
{
    static const char *const names[] = {"unknown", "healthy", "degraded", "failing"};

    CHECK((size_t)condition < COUNT_OF(names));
    return names[condition];
}

static int order_reasons(const void *a, const void *b)
{
    const struct host_reason *x = a;
    const struct host_reason *y = b;

    if (x->points != y->points) {
        return x->points > y->points ? -1 : 1;
    }
    return x->rung < y->rung ? -1 : x->rung > y->rung;
}

struct host_score host_score_of(const struct host_view *view)
{
    struct host_score score;
    uint32_t lost = 0;
    bool is_known = false;
    bool is_broken = false;

    memset(&score, 0, sizeof score);
    for (enum rung i = 0; i < RUNGS; i++) {
        const struct rung_view *r = &view->rungs[i];

        is_known |= r->state != RUNG_UNKNOWN;
        if (r->state != RUNG_DEGRADED && r->state != RUNG_BROKEN) {
            continue;
        }
        uint32_t points = rung_rows[i].points;

        points = r->state == RUNG_BROKEN ? points : points / 2;
        lost += points;
        score.reasons[score.reason_count++] = (struct host_reason){
            .rung = i,
            .state = r->state,
            .points = points,
            .since = r->since,
            .bad = r->bad,
            .asked = r->asked,
        };
        is_broken |= r->state == RUNG_BROKEN;
        if (r->state == RUNG_BROKEN && rung_rows[i].carries) {
            break;
        }
    }
    sort_items(score.reasons, score.reason_count, sizeof score.reasons[0], order_reasons);
    score.points = POINTS_MAX - (lost < POINTS_MAX ? lost : POINTS_MAX);
    score.condition = !is_known                 ? HOST_UNKNOWN
                      : is_broken               ? HOST_FAILING
                      : score.reason_count == 0 ? HOST_HEALTHY
                                                : HOST_DEGRADED;
    return score;
}

/* --- The brake -----------------------------------------------------------------------------------
 */

void brake_init(struct brake *b, nanos settle)
{
    memset(b, 0, sizeof *b);
    b->settle = settle;
}

bool brake_turn(struct brake *b, uint32_t suspected, uint32_t peers, nanos now)
{
    CHECK(suspected <= peers);
    if ((uint64_t)suspected * 2 > peers) {
        b->pulls += !b->is_on;
        b->is_on = true;
        b->is_settling = false;
        return true;
    }
    if (b->is_on && !b->is_settling) {
        b->is_settling = true;
        b->good_since = now;
    }
    if (b->is_on && now >= brake_deadline(b)) {
        b->is_on = false;
        b->is_settling = false;
    }
    return b->is_on;
}

nanos brake_deadline(const struct brake *b)
{
    return b->is_on && b->is_settling ? u64_add_sat(b->good_since, b->settle) : NANOS_FOREVER;
}
