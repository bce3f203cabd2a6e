/* New connections: each connects, shakes hands, has one message of 16 bytes answered exactly, and is closed.

   connect PORT NAME full|resumed loop CONCURRENCY SECONDS    as fast as they end, CONCURRENCY at a time
   connect PORT NAME full|resumed count CONCURRENCY COUNT     the same, COUNT of them, however long it takes; 100 failures end it
   connect PORT NAME full|resumed burst COUNT SECONDS         COUNT at once, SECONDS for all of them
   connect PORT NAME full|resumed rate PER_SECOND SECONDS     at fixed times; late ones count from when they were due

   NAME is the TLS server name, "-" for plain TCP. `reused` counts handshakes that were in fact resumed, `within` those
   answered in 1 s and in 2 s. Instead of that message, each can be told to say something else (see speech.h):

   … http REQUEST                  an HTTP request, answered by 200 and the benchmark's own body
   … postgres USER                 StartTLS, login without a password, and SELECT 1
   … postgres-direct USER          the same, with TLS from the first byte */

#include "load.h"

#include "speech.h"

#define PATIENCE 10000000000u /* ns for one connection */
#define TICKETS 256

struct opening {
    struct link link;
    uint64_t due;
    uint32_t events;
    enum { FREE, HAILING, HAILED, SHAKING, ASKING, HEARING } phase;
    int step;
    size_t said;
    unsigned salt;
    size_t heard;
    char answer[ANSWER_MOST];
};

static SSL_CTX *context;
static SSL_SESSION *tickets[TICKETS];
static int ticket_count, resumed, port, epoll;
static const char *name;
static struct latencies latencies;
static long failed, reused, begun, most_failures = INT64_MAX;

static int keep_ticket(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    if (!resumed || ticket_count == TICKETS) return 0;
    tickets[ticket_count++] = session;
    return 1;
}

static void finish(struct opening *one, int answered) {
    if (one->phase != FREE && one->link.fd >= 0) {
        if (one->link.ssl) {
            if (answered) SSL_shutdown(one->link.ssl);
            SSL_free(one->link.ssl);
        }
        close(one->link.fd);
    }
    one->phase = FREE;
    if (answered)
        note(&latencies, now_ns() - one->due);
    else
        failed++;
}

static void wrap(struct opening *one) {
    one->link.ssl = secure(context, one->link.fd, name);
    if (resumed && ticket_count) {
        SSL_set_session(one->link.ssl, tickets[--ticket_count]);
        SSL_SESSION_free(tickets[ticket_count]);
    }
}

static void begin(struct opening *one, uint64_t due) {
    *one = (struct opening){.due = due, .phase = SHAKING, .events = EPOLLOUT, .salt = (unsigned)begun++};
    one->link.fd = dial(port);
    if (one->link.fd < 0) {
        finish(one, 0);
        return;
    }
    if (hails(name))
        one->phase = HAILING;
    else if (strcmp(name, "-"))
        wrap(one);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = one};
    epoll_ctl(epoll, EPOLL_CTL_ADD, one->link.fd, &event);
}

/* Ask for TLS where that comes first; > 0 when the server agreed. */
static long hail(struct opening *one) {
    char agreed = 0;
    if (one->phase == HAILING) {
        long gave = give(&one->link, SSL_REQUEST, sizeof SSL_REQUEST);
        if (gave <= 0) return gave;
        if (gave < (long)sizeof SSL_REQUEST) return -1; /* eight bytes fit into any socket's buffer */
        one->phase = HAILED, one->link.wants_write = 0;
        return 0;
    }
    long took = take(&one->link, &agreed, 1);
    if (took > 0 && agreed != 'S') return -1;
    if (took > 0) wrap(one), one->phase = SHAKING;
    return took;
}

/* Send what is to be said now; > 0 when it is out. */
static long say(struct opening *one) {
    struct ask ask = exact_ask(one->salt, 0, sizeof(struct ask));
    size_t size;
    const char *from = words(one->step, &ask, &size);
    long gave = 1;
    while (one->said < size && (gave = give(&one->link, from + one->said, size - one->said)) > 0)
        one->said += (size_t)gave;
    return gave;
}

/* Hear what there is; > 0 when the answer is complete, < 0 when it is wrong or nothing more comes. */
static long hear(struct opening *one) {
    size_t room = speech == MESSAGE ? sizeof(struct ask) : ANSWER_MOST;
    for (;;) {
        int all = heard_all(one->answer, one->heard, one->salt);
        if (all) return all;
        long took = take(&one->link, one->answer + one->heard, room - one->heard);
        if (took <= 0) return took;
        one->heard += (size_t)took;
    }
}

/* Go on until the connection has to wait, or is over. */
static void proceed(struct opening *one) {
    long done = 1;
    if (one->phase == HAILING || one->phase == HAILED) done = hail(one);
    if (one->phase == SHAKING && (done = shake(&one->link)) > 0) {
        reused += one->link.ssl && SSL_session_reused(one->link.ssl);
        one->phase = ASKING;
    }
    while (one->phase == ASKING || one->phase == HEARING) {
        if (one->phase == ASKING) {
            if ((done = say(one)) <= 0) break;
            one->phase = HEARING, one->link.wants_write = 0;
        }
        if ((done = hear(one)) <= 0) break;
        if (++one->step == steps()) {
            finish(one, 1);
            return;
        }
        one->phase = ASKING, one->said = one->heard = 0;
    }
    if (done < 0) {
        finish(one, 0);
        return;
    }
    uint32_t events = one->link.wants_write ? EPOLLOUT : EPOLLIN;
    if (events != one->events) {
        struct epoll_event event = {.events = events, .data.ptr = one};
        epoll_ctl(epoll, EPOLL_CTL_MOD, one->link.fd, &event);
        one->events = events;
    }
}

/* Start each connection when it is due, until `count` were started or `ends` has come; then wait for the last. */
static void run(struct opening *slots, int room, uint64_t every, long count, uint64_t ends) {
    uint64_t due = now_ns();
    for (long started = 0;;) {
        uint64_t now = now_ns();
        int more = started < count && failed < most_failures && (every ? due : now) < ends;
        for (int i = 0; more && i < room; i++) {
            if (slots[i].phase != FREE) continue;
            if (every && due > now) break;
            begin(&slots[i], every ? due : now);
            started++, due += every;
            more = started < count && (every ? due : now) < ends;
        }
        int open = 0;
        for (int i = 0; i < room; i++) {
            if (slots[i].phase != FREE && now > slots[i].due + PATIENCE) finish(&slots[i], 0);
            open += slots[i].phase != FREE;
        }
        if (!open && !more) return;
        uint64_t wait = more && every && open < room ? (due > now ? due - now : 0) : 1000000000u;
        struct timespec limit = {.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
        struct epoll_event events[256];
        int ready = epoll_pwait2(epoll, events, 256, &limit, NULL);
        for (int i = 0; i < ready; i++) proceed(events[i].data.ptr);
    }
}

int main(int count, char **arguments) {
    if (count != 7 && count != 9) return 2;
    signal(SIGPIPE, SIG_IGN); /* a connection that was cut is one that failed, no more */
    fill_known();
    if (count == 9) read_speech(arguments[7], arguments[8]);
    port = atoi(arguments[1]), name = arguments[2], resumed = !strcmp(arguments[3], "resumed");
    int number = atoi(arguments[5]), burst = !strcmp(arguments[4], "burst"), rate = !strcmp(arguments[4], "rate");
    int counted = !strcmp(arguments[4], "count");
    uint64_t span = (uint64_t)(atof(arguments[6]) * 1e9);
    int room = rate ? 1024 : number;
    struct opening *slots = calloc((size_t)room, sizeof *slots);
    context = client_context();
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    epoll = epoll_create1(0);
    run(slots, 1, 0, 20, UINT64_MAX); /* warm-up, and the first tickets */
    if (resumed) run(slots, room < TICKETS / 2 ? room : TICKETS / 2, 0, room, UINT64_MAX);
    if (counted) most_failures = 100;
    if (failed) die("the first connections were not answered");
    latencies.count = 0, reused = 0;
    await_go();
    uint64_t began = now_ns();
    if (burst || counted)
        run(slots, room, 0, counted ? atol(arguments[6]) : number, UINT64_MAX);
    else
        run(slots, room, rate ? 1000000000u / (uint64_t)number : 0, INT64_MAX, began + span);
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("{\"count\": %zu, \"failed\": %ld, \"reused\": %ld, \"seconds\": %.6f, ", latencies.count, failed, reused, seconds);
    print_quantiles(&latencies); /* which sorts them */
    size_t within[2] = {0, 0};
    for (size_t i = 0; i < latencies.count; i++)
        for (int limit = 0; limit < 2; limit++) within[limit] += latencies.ns[i] <= (uint64_t)(limit + 1) * 1000000000u;
    printf(", \"within\": [%zu, %zu]", within[0], within[1]);
    printf("}\n");
    hold();
}
