/*
 * What leaves a node before its disk has it: elections and acknowledgements of three voters that write and
 * send at the same time, crash, and forget, on a network that holds any message back for as long as it likes.
 *
 * WHAT IS MODELLED. Raft alone, without witnesses. A candidacy (term, own vote) and every entry is in memory
 * first and on the disk later; a crash takes the rest away. Messages are never lost from the model: a request
 * for a vote, a vote and an append can arrive at any time after they were sent, as often as they like, also
 * when whoever sent or awaited them has crashed since.
 *
 *   here          code
 *   campaign      raft_campaign, election_ask: MsgVote is in `messages_durable`
 *   vote          raft_on_vote_request; the answer is in `messages_durable` (outbox_waits)
 *   lead          raft_on_vote_response: not before its own vote is on its disk
 *   take, sync    follower_store, raft_acknowledge; RAFT_EVENT_DURABLE
 *
 * WHAT MUST HOLD. I1: a term is won once. I4: whoever leads has all that was committed before.
 *
 * PRE-VOTE. It changes nothing on a voter, so its only part here is what it asks of the candidate: its own
 * answer to its question waits for its disk like any other, so that at the campaign its log is durable. That
 * is why a campaign demands it, unless NO_PRE_VOTE, which stands for `pre_vote` off, and for a campaign by
 * MsgTimeoutNow, as both go without.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND. A refused vote, an append that does not fit and a heartbeat change
 * at most the term of who hears them, and that is a node that stands still. An acknowledgement counts
 * when it is made; entries of a message are taken one by one (spec/witness.pml). A leader's log only
 * grows, so what it sent is the beginning of what it had. Replicas are alike: node 0 campaigns first.
 *
 * BOUNDS. T terms, K entries.
 *
 * VARIANTS, by -D.
 *   NO_PRE_VOTE               holds, as requests for votes wait for the disk
 *   ASK_AT_ONCE               they do not (until commit 1759e55): holds with pre-vote, whose answer waits
 *   NO_PRE_VOTE ASK_AT_ONCE   a request names entries that are not on the candidate's disk: refuted
 *   LEAD_BEFORE_OWN_VOTE ASK_AT_ONCE   wins by the others' votes while its own disk stands (until commit
 *                             0b49e3c): refuted
 *   ACK_BEFORE_SYNC           an acknowledgement leaves before the entry is durable
 *   VOTE_BEFORE_SYNC          a vote leaves before it is durable
 */
#define N 3
#define Q 2
#ifndef T
#define T 2
#endif
#ifndef K
#define K 2
#endif
#define HAS(set, n) (((set) >> (n)) & 1)

/* On the disk: term, vote, entries up to durable. In memory: the candidacy, entries up to size. */
byte term[N];
byte vote[N];      /* 1 + whom */
byte cand[N];      /* the term in which it is a candidate; durable once term[] says the same */
bit leads[N];
byte size[N];
byte durable[N];
bit heard[N];      /* it took something from the leader of its term */
byte entry[N * K];
#define LOG(n, i) entry[(n) * K + (i) - 1]
#define LAST_TERM(n) (size[n] == 0 -> 0 : LOG(n, size[n]))
#define NOW(n) (cand[n] != 0 -> cand[n] : term[n])
#ifdef VOTE_BEFORE_SYNC
byte promised[N];  /* the term of a vote that is not durable */
#define IN_MEMORY(n) (promised[n] > NOW(n) -> promised[n] : NOW(n))
#else
#define IN_MEMORY(n) NOW(n)
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

/* Questions and votes of terms that whoever asked cannot win any more; and what was sent in terms that every
 * disk has left. */
inline forget_votes() {
    i = 1;
    do
    :: i > T || term[0] <= i || term[1] <= i || term[2] <= i -> break
    :: else ->
        led_by[i] = 1; led_size[i] = 0;
        ACKED(i, 0) = 0; ACKED(i, 1) = 0; ACKED(i, 2) = 0;
        j = 1;
        do
        :: j > K -> break
        :: else -> LED(i, j) = 0; j++
        od;
        i++
    od;
    j = 0;
    do
    :: j == N -> break
    :: else ->
        i = 1;
        do
        :: i > T || i > term[j] || i == cand[j] -> break
        :: else -> ASKED(i, j) = 0; GRANTED(i, j) = 0; i++
        od;
        j++
    od
}

inline campaign(n, t) {
    printf("%d campaigns in term %d, its log ends at %d of term %d\n", n, t, size[n], LAST_TERM(n));
    cand[n] = t;
    leads[n] = 0;
    heard[n] = 0;
    forget_votes();
#ifdef ASK_AT_ONCE
    ASKED(t, n) = ASKED(t, n) | QUESTION(LAST_TERM(n), size[n])
#else
    skip
#endif
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
    GRANTED(t, c) = GRANTED(t, c) | (1 << n);
    cand[n] = 0;
    leads[n] = 0;
    heard[n] = 0;
#ifdef VOTE_BEFORE_SYNC
    promised[n] = t
#else
    term[n] = t;
    vote[n] = c + 1;
    durable[n] = size[n];
    forget_votes()
#endif
}

/* Its own vote counts once it is on its disk. */
inline count_votes(n, t) {
    m = (term[n] == t);
    j = 0;
    do
    :: j == N -> break
    :: else -> m = m + (j != n && HAS(GRANTED(t, n), j)); j++
    od
}

inline lead(n) {
    h = cand[n];
    printf("%d leads in term %d\n", n, h);
    assert(led_by[h] == 0); /* I1 */
    i = 1;
    do
    :: i > chosen -> break
    :: else ->
        assert(chosen_in[i] >= h || (size[n] >= i && LOG(n, i) == chosen_term[i])); /* I4 */
        i++
    od;
    cand[n] = (term[n] == h -> 0 : h);
    leads[n] = 1;
    led_by[h] = n + 1;
    j = 1;
    do
    :: j > size[n] -> break
    :: else -> LED(h, j) = LOG(n, j); j++
    od;
    size[n]++;
    LOG(n, size[n]) = h;
    LED(h, size[n]) = h;
    led_size[h] = size[n];
    forget_votes()
}

inline propose(n) {
    printf("%d proposes at %d\n", n, size[n] + 1);
    h = NOW(n);
    size[n]++;
    LOG(n, size[n]) = h;
    LED(h, size[n]) = h;
    led_size[h] = size[n]
}

/* Everything that a node wrote reaches its disk. Then it acknowledges to the leader it last took from. */
inline sync(n) {
    printf("%d: its disk has everything\n", n);
    durable[n] = size[n];
    if
    :: cand[n] > term[n] ->
        term[n] = cand[n];
        vote[n] = n + 1;
        cand[n] = (leads[n] -> 0 : cand[n]);
#ifndef ASK_AT_ONCE
        ASKED(term[n], n) = ASKED(term[n], n) | QUESTION(LAST_TERM(n), size[n]);
#endif
        forget_votes()
    :: else
    fi;
#ifdef VOTE_BEFORE_SYNC
    if
    :: promised[n] > term[n] -> term[n] = promised[n]; promised[n] = 0; forget_votes()
    :: else
    fi;
#endif
    h = term[n];
    i = 0;
    do
    :: led_size[h] > i && size[n] > i && LOG(n, i + 1) == LED(h, i + 1) -> i++
    :: else -> break
    od;
    if
    :: h > 0 && (leads[n] || heard[n]) && ACKED(h, n) < i -> ACKED(h, n) = i; choose(h)
    :: else
    fi
}

inline crash(n) {
    printf("%d crashes, and keeps %d of %d entries\n", n, durable[n], size[n]);
    cand[n] = 0;
    leads[n] = 0;
    heard[n] = 0;
#ifdef VOTE_BEFORE_SYNC
    promised[n] = 0;
#endif
    do
    :: size[n] == durable[n] -> break
    :: else -> LOG(n, size[n]) = 0; size[n]--
    od
}

inline compare(n, t) {
    i = 0;
    do
    :: i < size[n] && i < led_size[t] && LOG(n, i + 1) == LED(t, i + 1) -> i++
    :: else -> break
    od
}

/* The next entry of the leader of t, into memory; what contradicts it goes. */
inline take(n, t) {
    h = i + 1;
    printf("%d takes entry %d of the leader of term %d\n", n, h, t);
    do
    :: size[n] < h -> break
    :: else -> LOG(n, size[n]) = 0; size[n]--; durable[n] = h /* what replaces it is durable at once */
    od;
    size[n] = h;
    LOG(n, h) = LED(t, h);
    leads[n] = 0;
    cand[n] = 0;
    vote[n] = (term[n] < t -> 0 : vote[n]);
    term[n] = t;
    heard[n] = 1;
    forget_votes();
#ifdef ACK_BEFORE_SYNC
    if
    :: ACKED(t, n) < h -> ACKED(t, n) = h; choose(t)
    :: else
    fi
#endif
}

hidden byte highest;

inline find_highest() {
    highest = 0; j = 0;
    do
    :: j == N -> break
    :: else -> highest = (NOW(j) > highest -> NOW(j) : highest); j++
    od
}

#ifdef NO_PRE_VOTE
#define LOG_IS_READY(n) true
#else
#define LOG_IS_READY(n) (durable[n] == size[n])
#endif

#ifdef LEAD_BEFORE_OWN_VOTE
#define CAN_LEAD(n) true
#else
#define CAN_LEAD(n) (cand[n] == term[n])
#endif

#define CAMPAIGN(t)                                                                             \
    :: d_step { t <= T && IN_MEMORY(n) < t && LOG_IS_READY(n) ->                                \
        find_highest();                                                                         \
        if                                                                                      \
        :: t <= highest + 1 && (highest > 0 || n == 0) -> campaign(n, t)                        \
        :: else                                                                                 \
        fi;                                                                                     \
        skip }

#define VOTE(c, t)                                                                              \
    :: d_step { t <= T && n != c && ASKED(t, c) != 0 && IN_MEMORY(n) <= t && !HAS(GRANTED(t, c), n) && \
            (IN_MEMORY(n) < t || (cand[n] == 0 && (vote[n] == 0 || vote[n] == c + 1))) ->       \
        may_vote(n, c, t);                                                                      \
        if                                                                                      \
        :: ok -> give_vote(n, c, t)                                                             \
        :: else                                                                                 \
        fi;                                                                                     \
        skip }

#define TAKE(t)                                                                                 \
    :: d_step { t <= T && led_size[t] != 0 && led_by[t] != n + 1 && IN_MEMORY(n) <= t ->        \
        compare(n, t);                                                                          \
        if                                                                                      \
        :: i < led_size[t] -> take(n, t)                                                        \
        :: else                                                                                 \
        fi;                                                                                     \
        skip }

active [N] proctype node() {
    byte n = _pid;
end:
    do
    CAMPAIGN(1) CAMPAIGN(2) CAMPAIGN(3)
    VOTE(0, 1) VOTE(0, 2) VOTE(0, 3) VOTE(1, 1) VOTE(1, 2) VOTE(1, 3) VOTE(2, 1) VOTE(2, 2) VOTE(2, 3)
    TAKE(1) TAKE(2) TAKE(3)
    :: d_step { cand[n] != 0 && size[n] < K && !leads[n] ->
        count_votes(n, cand[n]);
        if
        :: m >= Q && CAN_LEAD(n) -> lead(n)
        :: else
        fi;
        skip }
    :: d_step { leads[n] && size[n] < K -> propose(n); skip }
    :: d_step { durable[n] < size[n] || cand[n] > term[n] || IN_MEMORY(n) > NOW(n) -> sync(n); skip }
    :: d_step { durable[n] < size[n] || cand[n] != 0 || IN_MEMORY(n) > NOW(n) -> crash(n); skip }
    od
}
