/*
 * Founding a group: node_ask.c, with founders that begin at any time, die, and lose their whole disk, the
 * note of their owner included.
 *
 * WHAT IS MODELLED. Three founders. One that starts with an empty disk asks the others, each by itself, and
 * takes what it hears: all are new or fresh, then it founds; one is more, then it is a lost disk. Whoever
 * has founded votes, is elected, and takes the others along; what is then committed is a history.
 *
 *   here             code
 *   ASKS             node_ask.c, between node_ask_begin and node_ask_end
 *   LOST             recovery verdict "wiped": neither votes nor leads until it is healed
 *   FRESH            node_presence: founded, in no term
 *   VOTED            a term, and nothing but the founding snapshot
 *   DATA, hist       it holds something of this history
 *   told             an answer that still counts (NODE_ASK_FRESH)
 *   elect, join      Raft, whose safety within one history is not asked here
 *
 * WHAT MUST HOLD. Nobody is elected for one history while a disk holds something of another: what was
 * acknowledged is not founded over while any of it is left. And where no disk is lost, all end up in one
 * group, whatever died in between.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - Time. An answer counts until who gave it dies: it is asked again five times a second, and whoever
 *     starts anew is gone for longer than an answer lasts.
 *   - A lost disk is healed as soon as a majority of its group runs: sooner than it can (raft_repair.c).
 *   - Messages of elections: whoever takes part in one runs, all at once. Terms are those of Raft.
 *   - Members that joined later: they only say more (node_ask_heard).
 *
 * WRONG VARIANTS, by -D.
 *   NOT_ASKED           an empty disk founds (until this commit)
 *   MAJORITY_IS_ENOUGH  it founds when a majority is new
 *   FRESH_BY_SNAPSHOT   fresh is whoever has a snapshot alone and never voted
 *   RESTARTED_IS_MORE   who has founded and was started again says that it is a member
 *
 * RIGHT VARIANT. ANSWERS_STAY: an answer outlives who gave it. That it is refreshed is for what is not in
 * here: a disk that was not mounted when its member answered, and is when it starts again.
 */
#define N 3
#define MAJORITY 2

#ifndef CRASHES
#define CRASHES 4
#endif
#ifndef LOSSES
#define LOSSES 3
#endif

#define NOTHING 0
#define FRESH   1
#define VOTED   2
#define DATA    3

#define DOWN 0
#define ASKS 1
#define RUNS 2
#define LOST 3

byte disk[N];
byte hist[N];     /* with DATA: which history */
byte life[N];
bit told[9];      /* told[N * i + j]: i has an answer of j, new or fresh */
bit restarted[N];
bit unvoted[N];   /* with DATA: it never voted */
byte histories;
byte crashes;
byte losses;

#define HAS(i) (told[N * i] + told[N * i + 1] + told[N * i + 2])

#ifdef FRESH_BY_SNAPSHOT
#define SAYS_FRESH(j) (disk[j] == FRESH || (disk[j] == DATA && unvoted[j]))
#else
#ifdef RESTARTED_IS_MORE
#define SAYS_FRESH(j) (disk[j] == FRESH && !restarted[j])
#else
#define SAYS_FRESH(j) (disk[j] == FRESH)
#endif
#endif
#define IS_NEW(j)  (life[j] == ASKS || (life[j] == RUNS && SAYS_FRESH(j)))
#define IS_MORE(j) ((life[j] == RUNS && !SAYS_FRESH(j)) || life[j] == LOST)

#ifdef NOT_ASKED
#define ENOUGH 0
#else
#ifdef MAJORITY_IS_ENOUGH
#define ENOUGH (MAJORITY - 1)
#else
#define ENOUGH (N - 1)
#endif
#endif

/* Is there a disk, in use or not, with something of another history than h? */
#define HOLDS(i, h) (disk[i] == DATA && hist[i] != h)
#define OTHER_IS_LEFT(h) (HOLDS(0, h) || HOLDS(1, h) || HOLDS(2, h))

inline forget(i) {
#ifndef ANSWERS_STAY
    told[i] = 0; told[N + i] = 0; told[2 * N + i] = 0;
#endif
    told[N * i] = 0; told[N * i + 1] = 0; told[N * i + 2] = 0
}

inline start(i) {
    life[i] = (disk[i] == NOTHING -> ASKS : RUNS);
    restarted[i] = (disk[i] == FRESH)
}

inline follow(i, h, votes) {
    unvoted[i] = !votes && (disk[i] != DATA || unvoted[i]) && disk[i] != VOTED;
    disk[i] = DATA;
    hist[i] = h;
    life[i] = RUNS
}

#define MAY(i, h) (life[i] == RUNS && (disk[i] != DATA || hist[i] == h))

/* These two elect one of them, for the history that one of them has, or for a new one. */
inline elect(a, b) {
    if
    :: disk[a] == DATA -> chosen = hist[a]
    :: disk[a] != DATA && disk[b] == DATA -> chosen = hist[b]
    :: else -> histories++; chosen = histories
    fi;
    assert(!OTHER_IS_LEFT(chosen));
    follow(a, chosen, true);
    follow(b, chosen, true);
    chosen = 0
}

#define SAME(a, b) (disk[a] != DATA || disk[b] != DATA || hist[a] == hist[b])
#define LEADS(a, b, h) (life[a] == RUNS && life[b] == RUNS && disk[a] == DATA && disk[b] == DATA && \
                        hist[a] == hist[b] && hist[a] == h)

hidden byte chosen;

#define LIFE(i, j, k)                                                                                  \
    :: d_step { life[i] == DOWN -> start(i) }                                                          \
    :: d_step { life[i] != DOWN && crashes < CRASHES -> life[i] = DOWN; crashes++; forget(i) }          \
    :: d_step { life[i] == DOWN && losses < LOSSES && disk[i] != NOTHING ->                             \
           disk[i] = NOTHING; hist[i] = 0; unvoted[i] = 0; losses++ }                                   \
    :: d_step { life[i] == ASKS && IS_NEW(j) && !told[N * i + j] -> told[N * i + j] = 1 }               \
    :: d_step { life[i] == ASKS && IS_NEW(k) && !told[N * i + k] -> told[N * i + k] = 1 }               \
    :: d_step { life[i] == ASKS && (IS_MORE(j) || IS_MORE(k)) -> life[i] = LOST; forget(i) }            \
    :: d_step { life[i] == ASKS && HAS(i) >= ENOUGH ->                                                  \
           disk[i] = FRESH; life[i] = RUNS; restarted[i] = 0; forget(i) }                               \
    :: d_step { life[i] == RUNS && disk[i] == FRESH && ((life[j] == RUNS && disk[j] != NOTHING) ||      \
                (life[k] == RUNS && disk[k] != NOTHING)) -> disk[i] = VOTED }                           \
    :: d_step { (life[i] == LOST || (life[i] == RUNS && disk[i] != DATA)) && LEADS(j, k, hist[j]) ->    \
           follow(i, hist[j], false) }

#define ELECTION(a, b)                                                                                 \
    :: d_step { life[a] == RUNS && life[b] == RUNS && SAME(a, b) &&                                     \
                (disk[a] != DATA || disk[b] != DATA) -> elect(a, b) }

#define WELL(i) (life[i] == RUNS && disk[i] == DATA && hist[i] == 1)

active proctype world() {
end:
    do
    LIFE(0, 1, 2)
    LIFE(1, 0, 2)
    LIFE(2, 0, 1)
    ELECTION(0, 1)
    ELECTION(0, 2)
    ELECTION(1, 2)
    :: timeout -> assert(losses > 0 || (WELL(0) && WELL(1) && WELL(2))); break
    od
}
