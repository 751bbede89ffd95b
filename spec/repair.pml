/*
 * Disks that lose something: damaged bodies, a lost log, a lost vote, all of them. After [Alagappan18]; the
 * rules are those of docs/raft.md#repair-a-log-that-lost-something and decision 0007.
 *
 * WHAT IS MODELLED. Raft of three voters on a network that holds messages back for as long as it likes (as in
 * spec/persist.pml), in which one disk loses something, up to LOSSES times.
 *
 *   here                code
 *   damage, mend        raft_repair_note_damage; repair_take_bodies, raft_repair_written
 *   lose_log            saved.lost_from; raft_repair_lost_log
 *   lose_vote           saved.lost_vote; the term goes back to that of the newest entry (raft_load_done)
 *   wipe                all three
 *   offer, hear_floor   raft_on_repair_request, raft_on_repair_response
 *   reach_floor, tell   raft_repair_progress, repair_all_told
 *   acknowledge         raft_acknowledge, raft_vouched
 *   IMPAIRED            raft_is_impaired, in election_may_grant, raft_is_promotable, repair_begin
 *
 * WHAT MUST HOLD. I1: a term is won once. I4, I5: what was committed stays, in the log of each later leader.
 * I22: whoever leads has a body for each of its entries.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - What spec/persist.pml has: entries are durable when they are taken. A candidacy is, too, before it asks,
 *     unless ASK_AT_ONCE.
 *   - The leader never takes back what it counted for the member that lost its log: an acknowledgement of the
 *     earlier life may still be on its way. It is harmless, as the model shows; the code does take it back.
 *   - An answer about a term arrives at once. An answer about the floor may be late, if it is one to this loss:
 *     that is what the nonce is for (NO_NONCE).
 *   - Snapshots, membership (an empty disk is told them), witnesses.
 *
 * VARIANTS, by -D. The first two are what the code does, and REFUTED: see docs/models.md.
 *   FLOOR_BEFORE_TERMS     a log counts as whole by the floor of a leader whose term may be over: before every
 *                          voter has told its term
 *   ASK_AT_ONCE            a candidate asks before its term is on its disk
 *   TRUNCATE_ON_DAMAGE     a log that is damaged in the middle ends there
 *   AMNESIAC_VOTES         an empty disk votes at once
 *   LOST_LOG_VOTES         a node that lost its log, but knows its vote, votes at once
 *   NO_FLOOR               a lost log is whole once it has anything from a leader
 *   LOST_VOTE_ACKS         a node that lost its vote vouches for what it stores
 *   MAJORITY_TOLD          the terms of a majority are enough
 *   VOTES_IN_TOLD_TERM     after a lost vote it votes in the highest term that it was told
 *   NO_NONCE               the floor of an earlier loss counts
 *   DAMAGED_LEADS          a node without all bodies leads
 */
#define N 3
#define Q 2
#ifndef T
#define T 3
#endif
#ifndef K
#define K 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define HAS(set, n) (((set) >> (n)) & 1)
#define NOBODY N

byte term[N];
byte vote[N];      /* 1 + whom */
byte cand[N];      /* the term in which it is a candidate; durable once term[] says the same */
bit leads[N];
byte size[N];
byte entry[N * K];
#define LOG(n, i) entry[(n) * K + (i) - 1]
#define LAST_TERM(n) (size[n] == 0 -> 0 : LOG(n, size[n]))
#define NOW(n) (cand[n] != 0 -> cand[n] : term[n])

/* The one that lost something, and what it does not know. */
byte loser = NOBODY;
byte victim = NOBODY; /* the one disk that loses things, once it has */
byte losses;
byte damaged;        /* bit i: the body of entry i */
bit lost_log;
bit lost_vote;
byte told;           /* by whom it was told a term */
bit floor_known;     /* in its present term */
byte floor;
byte offered_in;     /* an answer about the floor that is on its way: the term, */
byte offered;        /* and the floor */
#define IS_LOSER(n) (loser == (n))
#define ANY_LOSS (damaged != 0 || lost_log || lost_vote)

#ifdef AMNESIAC_VOTES
#define IMPAIRED(n) (IS_LOSER(n) && damaged != 0)
#elif defined(LOST_LOG_VOTES)
#define IMPAIRED(n) (IS_LOSER(n) && (damaged != 0 || lost_vote))
#elif defined(DAMAGED_LEADS)
#define IMPAIRED(n) (IS_LOSER(n) && (lost_log || lost_vote))
#else
#define IMPAIRED(n) (IS_LOSER(n) && ANY_LOSS)
#endif

/* What was ever sent. */
byte led_by[T + 1];
byte led_size[T + 1];
byte led_entry[(T + 1) * K];
#define LED(t, i) led_entry[(t) * K + (i) - 1]
byte acked[(T + 1) * N];
#define ACKED(t, n) acked[(t) * N + (n)]
int asked[(T + 1) * N];
#define ASKED(t, c) asked[(t) * N + (c)]
#define QUESTION(last_term, last) (1 << ((last_term) * (K + 1) + (last)))
byte granted[(T + 1) * N];
#define GRANTED(t, c) granted[(t) * N + (c)]

byte chosen;
byte chosen_term[K + 1];
byte chosen_in[K + 1];

hidden byte h, i, j, m, top;
hidden byte ok;

inline choose(t) {
    top = led_size[t];
    do
    :: top == 0 -> break
    :: top > 0 && LED(t, top) != t -> top = 0; break
    :: else ->
        m = 0; j = 0;
        do
        :: j == N -> break
        :: else -> m = m + (ACKED(t, j) >= top); j++
        od;
        if
        :: m >= Q -> break
        :: else -> top--
        fi
    od;
    i = 1;
    do
    :: i > top -> break
    :: else ->
        assert(i > chosen || chosen_term[i] == LED(t, i)); /* I5 */
        chosen_in[i] = (i > chosen || chosen_in[i] > t -> t : chosen_in[i]);
        chosen_term[i] = LED(t, i);
        chosen = (i > chosen -> i : chosen);
        j = t + 1;
        do
        :: j > T -> break
        :: else ->
            assert(led_size[j] == 0 || (led_size[j] >= i && LED(j, i) == chosen_term[i])); /* I4 */
            j++
        od;
        i++
    od
}

/* A term in which n has not been before. */
inline enter(n, t) {
    if
    :: term[n] < t || cand[n] != 0 ->
        vote[n] = (term[n] < t -> 0 : vote[n]);
        term[n] = t;
        cand[n] = 0;
        leads[n] = 0;
        if
        :: IS_LOSER(n) -> floor_known = 0; floor = 0
        :: else
        fi
    :: else
    fi
}

inline campaign(n, t) {
    printf("%d campaigns in term %d, its log ends at %d of term %d\n", n, t, size[n], LAST_TERM(n));
    leads[n] = 0;
    cand[n] = t;
#ifndef ASK_AT_ONCE
    term[n] = t;
    vote[n] = n + 1;
#endif
    ASKED(t, n) = ASKED(t, n) | QUESTION(LAST_TERM(n), size[n])
}

/* Any of the questions that c asked in t. */
inline may_vote(n, c, t) {
    ok = false;
    h = 0;
    do
    :: h > T -> break
    :: else ->
        top = 0;
        do
        :: top > K -> break
        :: else ->
            ok = ok || ((ASKED(t, c) & QUESTION(h, top)) != 0 &&
                (h > LAST_TERM(n) || (h == LAST_TERM(n) && top >= size[n])));
            top++
        od;
        h++
    od
}

inline give_vote(n, c, t) {
    printf("%d votes for %d in term %d\n", n, c, t);
    enter(n, t);
    vote[n] = c + 1;
    GRANTED(t, c) = GRANTED(t, c) | (1 << n)
}

inline count_votes(n, t) {
    m = 1;
    j = 0;
    do
    :: j == N -> break
    :: else -> m = m + (j != n && HAS(GRANTED(t, n), j)); j++
    od
}

inline propose(n) {
    size[n]++;
    printf("%d proposes at %d\n", n, size[n]);
    h = term[n];
    LOG(n, size[n]) = h;
    LED(h, size[n]) = h;
    led_size[h] = size[n];
    ACKED(h, n) = size[n];
    choose(h)
}

inline lead(n) {
    h = cand[n];
    printf("%d leads in term %d\n", n, h);
    assert(led_by[h] == 0); /* I1 */
    assert(!IS_LOSER(n) || damaged == 0); /* I22 */
    i = 1;
    do
    :: i > chosen -> break
    :: else ->
        assert(chosen_in[i] >= h || (size[n] >= i && LOG(n, i) == chosen_term[i])); /* I4 */
        i++
    od;
    cand[n] = 0;
    leads[n] = 1;
    led_by[h] = n + 1;
    j = 1;
    do
    :: j > size[n] -> break
    :: else -> LED(h, j) = LOG(n, j); j++
    od;
    propose(n)
}

/* i: up to where the log is the leader's. */
inline compare(n, t) {
    i = 0;
    do
    :: i < size[n] && i < led_size[t] && LOG(n, i + 1) == LED(t, i + 1) -> i++
    :: else -> break
    od
}

#ifdef LOST_VOTE_ACKS
#define ACKS(n) true
#else
#define ACKS(n) !(IS_LOSER(n) && lost_vote)
#endif

/* It vouches for nothing behind a damaged body, and with its vote lost for nothing new. */
inline acknowledge(n, t) {
    do
    :: i > 0 && IS_LOSER(n) && (damaged & ((1 << (i + 1)) - 1)) != 0 -> i--
    :: else -> break
    od;
    if
    :: ACKED(t, n) < i && ACKS(n) -> ACKED(t, n) = i; choose(t)
    :: else
    fi
}

inline take(n, t) {
    h = i + 1;
    printf("%d takes entry %d of the leader of term %d\n", n, h, t);
    do
    :: size[n] < h -> break
    :: else ->
        if
        :: IS_LOSER(n) -> damaged = damaged & ~(1 << size[n])
        :: else
        fi;
        LOG(n, size[n]) = 0;
        size[n]--
    od;
    size[n] = h;
    LOG(n, h) = LED(t, h);
    enter(n, t);
    i = h;
    acknowledge(n, t)
}

/* What it already had, and could not vouch for until now. */
inline acknowledge_again(n, t) {
    enter(n, t);
    acknowledge(n, t)
}

/* --- losses ----------------------------------------------------------------------------------- */

inline lose(n) {
    loser = n;
    victim = n;
    losses++;
    cand[n] = 0;
    leads[n] = 0;
    told = 0;
    floor_known = 0;
    floor = 0;
#ifndef NO_NONCE
    offered_in = 0;
    offered = 0
#endif
}

inline cut(n, from) {
    do
    :: size[n] < from -> break
    :: else -> damaged = damaged & ~(1 << size[n]); LOG(n, size[n]) = 0; size[n]--
    od
}

inline damage(n, at) {
    printf("%d: the body of entry %d is damaged\n", n, at);
    lose(n);
#ifdef TRUNCATE_ON_DAMAGE
    cut(n, at)
#else
    damaged = damaged | (1 << at)
#endif
}

inline lose_log(n, from) {
    printf("%d loses its log from %d on\n", n, from);
    lose(n);
    lost_log = 1;
    cut(n, from)
}

inline lose_vote(n) {
    printf("%d loses its term and vote\n", n);
    lose(n);
    lost_vote = 1;
    vote[n] = 0;
    term[n] = LAST_TERM(n)
}

inline wipe(n) {
    printf("%d loses its disk\n", n);
    lose(n);
    lost_vote = 1;
    lost_log = 1;
    vote[n] = 0;
    term[n] = 0;
    cut(n, 1)
}

/* --- repair ----------------------------------------------------------------------------------- */

inline offer(n) {
    printf("%d: its log ends at %d, it tells %d\n", n, size[n], loser);
    offered_in = term[n];
    offered = size[n]
}

inline hear_floor() {
    h = offered_in;
    enter(loser, h);
    printf("%d: the floor is %d in term %d\n", loser, offered, h);
    floor_known = 1;
    floor = offered;
    offered_in = 0;
    offered = 0
}

#ifdef FLOOR_BEFORE_TERMS
#define TERMS_KNOWN true
#else
#define TERMS_KNOWN (!lost_vote)
#endif
#ifdef NO_FLOOR
#define REACHED(i) true
#else
#define REACHED(i) (floor_known && (i) >= floor)
#endif

inline reach_floor() {
    printf("%d: its log is whole\n", loser);
    lost_log = 0;
    floor_known = 0;
    floor = 0
}

#ifdef MAJORITY_TOLD
#define TOLD_ENOUGH (told != 0)
#else
#define TOLD_ENOUGH ((told | (1 << loser)) == (1 << N) - 1)
#endif
#ifdef VOTES_IN_TOLD_TERM
#define VOTE_THEN 0
#else
#define VOTE_THEN (loser + 1)
#endif

inline tell(n) {
    h = NOW(n);
    printf("%d tells %d its term, %d\n", n, loser, h);
    told = told | (1 << n);
    if
    :: term[loser] < h -> enter(loser, h)
    :: else
    fi;
    if
    :: TOLD_ENOUGH ->
        lost_vote = 0;
        told = 0;
        vote[loser] = (vote[loser] == 0 -> VOTE_THEN : vote[loser])
    :: else
    fi
}

/* Whoever is whole again may be the next to lose something, or another. */
inline settle() {
    forget();
    if
    :: loser != NOBODY && !ANY_LOSS ->
        told = 0; floor_known = 0; floor = 0;
#ifndef NO_NONCE
        offered_in = 0; offered = 0;
#endif
        loser = NOBODY
    :: else
    fi
}

/* What cannot have an effect any more, once nobody loses anything any more: questions and votes of terms that
 * whoever asked cannot win, and what was sent in terms that everybody has left. */
inline forget() {
    j = 0;
    do
    :: j == N || losses < LOSSES -> break
    :: else ->
        i = 1;
        do
        :: i > T -> break
        :: i <= T && (i > term[j] || i == cand[j]) -> i++
        :: else -> ASKED(i, j) = 0; GRANTED(i, j) = 0; i++
        od;
        j++
    od;
    i = 1;
    do
    :: i > T || losses < LOSSES || (term[0] <= i || term[1] <= i || term[2] <= i) -> break
    :: else ->
        j = 0;
        do
        :: j == N -> break
        :: else -> ACKED(i, j) = 0; j++
        od;
        led_by[i] = 1; led_size[i] = 0;
        j = 1;
        do
        :: j > K -> break
        :: else -> LED(i, j) = 0; j++
        od;
        i++
    od
}

hidden byte highest;

inline find_highest() {
    highest = 0; j = 0;
    do
    :: j == N -> break
    :: else -> highest = (NOW(j) > highest -> NOW(j) : highest); j++
    od
}

#define CAMPAIGN(t)                                                                             \
    :: d_step { t <= T && NOW(n) < t && !IMPAIRED(n) ->                                         \
        find_highest();                                                                         \
        if                                                                                      \
        :: t <= highest + 1 && (highest > 0 || n == 0 || losses > 0) -> campaign(n, t)          \
        :: else                                                                                 \
        fi;                                                                                     \
        settle(); skip }

#define VOTE(c, t)                                                                              \
    :: d_step { t <= T && n != c && ASKED(t, c) != 0 && NOW(n) <= t && !HAS(GRANTED(t, c), n) && \
            !IMPAIRED(n) && (NOW(n) < t || (cand[n] == 0 && (vote[n] == 0 || vote[n] == c + 1))) -> \
        may_vote(n, c, t);                                                                      \
        if                                                                                      \
        :: ok -> give_vote(n, c, t)                                                             \
        :: else                                                                                 \
        fi;                                                                                     \
        settle(); skip }

#define TAKE(t)                                                                                 \
    :: d_step { t <= T && led_size[t] != 0 && NOW(n) <= t && led_by[t] != n + 1 ->              \
        compare(n, t);                                                                          \
        if                                                                                      \
        :: i < led_size[t] -> take(n, t)                                                        \
        :: i == led_size[t] && losses > 0 -> acknowledge_again(n, t)                            \
        :: else                                                                                 \
        fi;                                                                                     \
        settle();                                                                               \
        skip }

#define MAY_LOSE (losses < LOSSES && (victim == NOBODY || victim == n))

#define MEND(at)                                                                                \
    :: d_step { loser != NOBODY && !IS_LOSER(n) && HAS(damaged, at) && size[n] >= at &&         \
            LOG(n, at) == LOG(loser, at) ->                                                     \
        damaged = damaged & ~(1 << at);                                                         \
        settle();                                                                               \
        skip }

active [N] proctype node() {
    byte n = _pid;
end:
    do
    CAMPAIGN(1) CAMPAIGN(2) CAMPAIGN(3)
    VOTE(0, 1) VOTE(0, 2) VOTE(0, 3) VOTE(1, 1) VOTE(1, 2) VOTE(1, 3) VOTE(2, 1) VOTE(2, 2) VOTE(2, 3)
    TAKE(1) TAKE(2) TAKE(3)
    MEND(1) MEND(2)
    :: d_step { cand[n] != 0 && cand[n] == term[n] && size[n] < K ->
        count_votes(n, cand[n]);
        if
        :: m >= Q -> lead(n)
        :: else
        fi;
        settle();
        skip }
    :: d_step { leads[n] && size[n] < K -> propose(n); settle(); skip }
#ifdef ASK_AT_ONCE
    :: d_step { cand[n] > term[n] -> term[n] = cand[n]; vote[n] = n + 1; settle(); skip }
    :: d_step { cand[n] > term[n] -> printf("%d crashes\n", n); cand[n] = 0; settle(); skip }
#endif
    :: d_step { MAY_LOSE && size[n] >= 1 -> damage(n, 1); settle(); skip }
    :: d_step { MAY_LOSE && size[n] >= 1 -> lose_log(n, 1); settle(); skip }
    :: d_step { MAY_LOSE && size[n] >= 2 -> lose_log(n, 2); settle(); skip }
    :: d_step { MAY_LOSE && term[n] > 0 -> lose_vote(n); settle(); skip }
    :: d_step { MAY_LOSE && term[n] > 0 -> wipe(n); settle(); skip }
    :: d_step { leads[n] && loser != NOBODY && !IS_LOSER(n) && lost_log && !floor_known -> offer(n); skip }
    :: d_step { IS_LOSER(n) && lost_log && offered_in != 0 && NOW(n) <= offered_in -> hear_floor(); settle(); skip }
    :: d_step { IS_LOSER(n) && lost_log && TERMS_KNOWN && led_size[term[n]] != 0 ->
        compare(n, term[n]);
        if
        :: REACHED(i) -> reach_floor()
        :: else
        fi;
        settle();
        skip }
    :: d_step { loser != NOBODY && !IS_LOSER(n) && lost_vote && !HAS(told, n) -> tell(n); settle(); skip }
    od
}
