/* Clients of all manners at once, a few threads for each, every byte checked as far as a client does not break off.

   manners PORT NAME SECONDS

   small    100 requests of up to 64 KiB each way on one connection
   down     bulk to the client
   up       bulk to the upstream
   half     sends all it has, says goodbye, and reads to the clean end
   stall    stops taking, then stops giving, for a while, and goes on
   reset    resets its connection in the middle of bulk
   vanish   leaves in the handshake, or just after it

   Everything has a bound: a visit its bytes, a wait PATIENCE, all of it SECONDS and the visits under way then. */

#include "load.h"

#include <pthread.h>

#define PATIENCE 20             /* s for the other side to give or take anything */
#define BULK ((uint64_t)32 << 20) /* bytes */
#define HALF ((uint64_t)1 << 20)
#define STALL ((uint64_t)8 << 20) /* more than all buffers on the way hold */
#define STALL_MS 700
#define REQUESTS 100
#define REQUEST 65536u

struct client {
    struct link link;
    unsigned salt, random;
    long turn;
    uint64_t bytes;
    const char *why; /* what went wrong; NULL: nothing */
};

static SSL_CTX *context;
static int port;
static const char *name;
static uint64_t ends;

static void pause_ms(long ms) {
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&span, NULL);
}

/* 1 if all is well so far; otherwise keeps the first reason. */
static int expect(struct client *client, int holds, const char *why) {
    if (!holds && !client->why) client->why = why;
    return !client->why;
}

static int reach(struct client *client) {
    client->link = (struct link){.fd = dial(port)};
    if (!expect(client, client->link.fd >= 0, "cannot connect")) return 0;
    set_blocking(client->link.fd, 1);
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(client->link.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client->link.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return 1;
}

static int open_client(struct client *client) {
    if (!reach(client)) return 0;
    client->link.ssl = secure(context, client->link.fd, name);
    return expect(client, shake(&client->link) > 0, "the handshake failed");
}

static void leave(struct client *client, int polite) {
    if (client->link.ssl && polite) SSL_shutdown(client->link.ssl);
    SSL_free(client->link.ssl);
    if (client->link.fd >= 0) {
        struct linger reset = {.l_onoff = 1};
        if (!polite) setsockopt(client->link.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(client->link.fd);
    }
    client->link = (struct link){.fd = -1};
}

static int ask_for(struct client *client, uint64_t up, uint64_t down) {
    struct ask ask = exact_ask(client->salt, up, down);
    return expect(client, give(&client->link, &ask, sizeof ask) == sizeof ask, "a request was not taken");
}

/* Give known bytes, from where `left` are still to go to where `until` are. */
static int give_known(struct client *client, uint64_t left, uint64_t until) {
    while (left > until && !client->why) {
        uint64_t part = left - until < KNOWN_MOST ? left - until : KNOWN_MOST;
        long gave = give(&client->link, known_bytes(client->salt, left), (size_t)part);
        if (expect(client, gave > 0, gave ? "cut while sending" : "nobody took what it sent"))
            left -= (uint64_t)gave, client->bytes += (uint64_t)gave;
    }
    return !client->why;
}

static int take_known(struct client *client, uint64_t left, uint64_t until) {
    static __thread char got[KNOWN_MOST];
    while (left > until && !client->why) {
        uint64_t part = left - until < KNOWN_MOST ? left - until : KNOWN_MOST;
        long took = take(&client->link, got, (size_t)part);
        if (!expect(client, took > 0, took ? "cut while receiving" : "no answer in time")) break;
        expect(client, !memcmp(got, known_bytes(client->salt, left), (size_t)took), "wrong bytes");
        left -= (uint64_t)took, client->bytes += (uint64_t)took;
    }
    return !client->why;
}

/* ---- the manners: one visit each */

static void small(struct client *client) {
    for (int i = 0; i < REQUESTS && !client->why; i++) {
        client->random = client->random * 1664525u + 1013904223u; /* Numerical Recipes */
        uint64_t up = (client->random >> 8) % REQUEST >> client->random % 13, down = 1 + (client->random >> 16) % REQUEST;
        if (ask_for(client, up, down) && give_known(client, up, 0)) take_known(client, down, 0);
    }
}

static void down(struct client *client) {
    if (ask_for(client, 0, BULK)) take_known(client, BULK, 0);
}

static void up(struct client *client) {
    if (ask_for(client, BULK, 16) && give_known(client, BULK, 0)) take_known(client, 16, 0);
}

static void half(struct client *client) {
    if (!ask_for(client, HALF, HALF) || !give_known(client, HALF, 0)) return;
    SSL_shutdown(client->link.ssl);
    shutdown(client->link.fd, SHUT_WR);
    if (!take_known(client, HALF, 0)) return;
    char more;
    expect(client, take(&client->link, &more, 1) < 0, "more than was asked for");
    expect(client, SSL_get_shutdown(client->link.ssl) & SSL_RECEIVED_SHUTDOWN, "no clean end after its own");
}

static void stall(struct client *client) {
    if (!ask_for(client, 0, STALL) || !take_known(client, STALL, STALL / 2)) return;
    pause_ms(STALL_MS);
    if (!take_known(client, STALL / 2, 0)) return;
    if (!ask_for(client, STALL, 16) || !give_known(client, STALL, STALL / 2)) return;
    pause_ms(STALL_MS);
    if (give_known(client, STALL / 2, 0)) take_known(client, 16, 0);
}

static void reset(struct client *client) {
    uint64_t after = BULK - (HALF >> client->turn % 7) - 1;
    if (client->turn % 2 ? ask_for(client, 0, BULK) && take_known(client, BULK, after)
                         : ask_for(client, BULK, 16) && give_known(client, BULK, after))
        leave(client, 0);
}

/* It has a TCP connection only: how far it goes from there changes from visit to visit. */
static void vanish(struct client *client) {
    int silent = client->turn % 5 == 0, part = client->turn % 5 < 3, stay = client->turn % 5 == 4;
    SSL *ssl = SSL_new(context);
    BIO *from = BIO_new(BIO_s_mem()), *to = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, from, to);
    SSL_set_tlsext_host_name(ssl, name);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    char hello[4096], answer;
    int size = BIO_read(to, hello, sizeof hello), sent = silent ? 0 : part ? size / 2 : size;
    SSL_free(ssl);
    if (sent) expect(client, send(client->link.fd, hello, (size_t)sent, 0) == sent, "its ClientHello was not taken");
    if (stay) expect(client, recv(client->link.fd, &answer, 1, 0) == 1, "no ServerHello");
    leave(client, client->turn % 2);
    if (stay && open_client(client)) leave(client, 0);
}

static struct manner {
    const char *name;
    void (*visit)(struct client *);
    int threads, bare; /* bare: begins without TLS */
    long pause_ms;     /* between visits, so that the rude leave the others something */
    long visits, failed;
    uint64_t bytes;
    const char *why;
} manners[] = {
    {.name = "small", .visit = small, .threads = 4},
    {.name = "down", .visit = down, .threads = 1},
    {.name = "up", .visit = up, .threads = 1},
    {.name = "half", .visit = half, .threads = 1, .pause_ms = 20},
    {.name = "stall", .visit = stall, .threads = 4},
    {.name = "reset", .visit = reset, .threads = 2, .pause_ms = 20},
    {.name = "vanish", .visit = vanish, .threads = 2, .bare = 1, .pause_ms = 10},
};

#define MANNERS (sizeof manners / sizeof *manners)
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static void *live(void *given) {
    struct manner *manner = given;
    static unsigned people;
    unsigned me = __atomic_add_fetch(&people, 1, __ATOMIC_RELAXED);
    struct client client = {.random = me};
    while (now_ns() < ends) {
        client.why = NULL, client.bytes = 0, client.turn++;
        client.salt = (me * 1021u + (unsigned)client.turn) % SALTS;
        if (manner->bare ? reach(&client) : open_client(&client)) manner->visit(&client);
        leave(&client, 1);
        pthread_mutex_lock(&counting);
        manner->visits++, manner->bytes += client.bytes;
        if (client.why) manner->failed++, manner->why = client.why;
        pthread_mutex_unlock(&counting);
        pause_ms(client.why ? 100 : manner->pause_ms);
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    signal(SIGPIPE, SIG_IGN);
    fill_known();
    port = atoi(arguments[1]), name = arguments[2];
    context = client_context();
    await_go();
    uint64_t began = now_ns();
    ends = began + (uint64_t)(atof(arguments[3]) * 1e9);
    pthread_t threads[64];
    int started = 0;
    for (size_t i = 0; i < MANNERS; i++)
        for (int j = 0; j < manners[i].threads; j++)
            if (pthread_create(&threads[started++], NULL, live, &manners[i])) die("thread");
    while (started) pthread_join(threads[--started], NULL);
    printf("{\"seconds\": %.6f, \"manners\": {", (double)(now_ns() - began) / 1e9);
    for (size_t i = 0; i < MANNERS; i++) {
        struct manner *one = &manners[i];
        printf("%s\"%s\": {\"count\": %ld, \"failed\": %ld, \"bytes\": %llu, \"why\": \"%s\"}", i ? ", " : "", one->name,
               one->visits, one->failed, (unsigned long long)one->bytes, one->why ? one->why : "");
    }
    printf("}}\n");
    hold();
}
