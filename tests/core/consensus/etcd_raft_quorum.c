/*
 * etcd-raft-quorum: runs etcd-raft's data-driven tests of quorum arithmetic against our quorum.h,
 * printing as that project does. docs/etcd-raft.md says where its test data come from.
 *
 *     committed cfg=(1,2,3) cfgj=(4,5) idx=(10,_,12,5,6)
 *     vote cfg=(1,2,3) votes=(y,n,_)
 *
 * `cfg` is the first half and `cfgj` the second, where it is given (`zero`: and is empty). Values
 * are given in the order of ids, members of both halves once; `_` means that one has not spoken.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/check.h"
#include "core/consensus/quorum.h"
#include "tests/support/script_main.h"
#include "tests/support/text.h"

#define HALF_MAX    64
#define MEMBERS_MAX (2 * HALF_MAX)

struct half {
    node_id ids[HALF_MAX]; /* in the order of the script, each once */
    unsigned n;
};

struct said {
    node_id id;
    uint64_t value;
    bool known;
    unsigned bar; /* of the drawing: how many said less */
};

/* Who said what, by ascending id. */
struct saying {
    struct said by[MEMBERS_MAX];
    unsigned n;
};

static bool half_has(const struct half *h, node_id id)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (h->ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void parse_half(const struct script_arg *arg, struct half *ret)
{
    for (size_t i = 0; arg && i < arg->n; i++) {
        uint64_t id = 0;
        if (script_number(arg->values[i], &id) && !half_has(ret, id) && ret->n < HALF_MAX) {
            ret->ids[ret->n++] = id;
        }
    }
}

static const struct said *saying_find(const struct saying *s, node_id id)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->by[i].id == id) {
            return &s->by[i];
        }
    }
    return NULL;
}

/* What a member said; print_sentence() made sure that it is there. */
static const struct said *saying_get(const struct saying *s, node_id id)
{
    const struct said *said = saying_find(s, id);
    CHECK(said);
    return said;
}

/* Adds the members of a half that are not there yet, with the values that are next in `arg`. */
static void print_sentence(struct saying *s, const struct half *h, const struct script_arg *arg,
                           size_t *next)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (saying_find(s, h->ids[i])) {
            continue;
        }
        const char *text = arg && *next < arg->n ? arg->values[(*next)++] : "_";
        struct said said = {.id = h->ids[i]};
        if (strcmp(text, "y") == 0 || strcmp(text, "n") == 0) {
            said.known = true;
            said.value = *text == 'y';
        } else {
            said.known = script_number(text, &said.value);
        }
        unsigned at = s->n++;
        for (; at > 0 && s->by[at - 1].id > said.id; at--) {
            s->by[at] = s->by[at - 1];
        }
        s->by[at] = said;
    }
}

static uint64_t half_committed(const struct half *h, const struct saying *s)
{
    uint64_t acked[HALF_MAX];
    for (unsigned i = 0; i < h->n; i++) {
        acked[i] = saying_get(s, h->ids[i])->value;
    }
    return quorum_committed(acked, h->n);
}

static enum quorum_result half_vote(const struct half *h, const struct saying *s)
{
    unsigned yes = 0;
    unsigned no = 0;
    for (unsigned i = 0; i < h->n; i++) {
        const struct said *said = saying_get(s, h->ids[i]);
        yes += said->known && said->value == 1;
        no += said->known && said->value == 0;
    }
    return quorum_tally(yes, no, h->n);
}

/* The length of a bar is how many members said less; equal values have equal bars. */
static void measure_bars(struct saying *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        for (unsigned j = 0; j < s->n; j++) {
            s->by[i].bar += s->by[j].value < s->by[i].value;
        }
    }
}

static void draw_values(struct saying *s, struct buf *out)
{
    if (s->n == 0) {
        text_add(out, "<empty majority quorum>");
        return;
    }
    measure_bars(s);
    text_add(out, "%*s    idx\n", (int)s->n, "");
    for (unsigned i = 0; i < s->n; i++) {
        const struct said *said = &s->by[i];
        if (said->known) {
            for (unsigned x = 0; x < said->bar; x++) {
                buf_put_u8(out, 'x');
            }
            text_add(out, ">%*s", (int)(s->n - said->bar), "");
        } else {
            text_add(out, "?%*s", (int)s->n, "");
        }
        text_add(out, " %5" PRIu64 "    (id=%" PRIx64 ")\n", said->value, said->id);
    }
}

static void print_committed(const struct half halves[2], struct saying *s, struct buf *out)
{
    draw_values(s, out);
    uint64_t index = u64_min(half_committed(&halves[0], s), half_committed(&halves[1], s));
    if (index == QUORUM_ALL) {
        text_add(out, "\xe2\x88\x9e\n"); /* infinity */
    } else {
        text_add(out, "%" PRIu64 "\n", index);
    }
}

static void print_vote(const struct half halves[2], const struct saying *s, struct buf *out)
{
    static const char *const names[] = {
        [QUORUM_PENDING] = "VotePending", [QUORUM_LOST] = "VoteLost", [QUORUM_WON] = "VoteWon"};
    enum quorum_result result = quorum_both(half_vote(&halves[0], s), half_vote(&halves[1], s));
    text_add(out, "%s\n", names[result]);
}

static void run_quorum_command(void *state, const struct script_command *c, struct buf *out)
{
    (void)state;
    bool votes = strcmp(c->name, "vote") == 0;
    if (!votes && strcmp(c->name, "committed") != 0) {
        text_add(out, "unknown command: %s\n", c->name);
        return;
    }
    const struct script_arg *values = script_arg_find(c, votes ? "votes" : "idx");
    struct half halves[2] = {0};
    parse_half(script_arg_find(c, "cfg"), &halves[0]);
    parse_half(script_arg_find(c, "cfgj"), &halves[1]);
    struct saying s = {0};
    size_t said = 0;
    print_sentence(&s, &halves[0], values, &said);
    print_sentence(&s, &halves[1], values, &said);
    if (said != s.n || said != (values ? values->n : 0)) {
        text_add(out, "error: %u voters, %zu values\n", s.n, values ? values->n : 0);
        return;
    }
    if (votes) {
        print_vote(halves, &s, out);
    } else {
        print_committed(halves, &s, out);
    }
}

int main(int argc, char **argv)
{
    static const struct script_level levels[] = {{NULL, {.run = run_quorum_command}}};
    static const struct script_program program = {
        .name = "etcd-raft-quorum",
        .summary = "Runs scripts of quorum decisions and compares what they print.",
        .conformance = "etcd-raft/quorum",
        .levels = levels,
        .level_count = COUNT_OF(levels),
    };
    return script_main(&program, argc, argv);
}
