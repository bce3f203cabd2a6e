/* What the load programs share: the clock, one connection with or without TLS, latencies, and the talk with the benchmark.

   The talk: the program connects and warms up, writes "ready", waits for a line, measures, writes one line of JSON,
   and holds everything open until its standard input ends. So the benchmark reads the proxy's clock exactly before and
   after what is measured, and neither the handshakes before nor the closing after count. */

#define _GNU_SOURCE /* accept4, epoll_pwait2 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What a client asks of the upstream, in its first 16 bytes: this many more bytes follow, that many are to come back. */
struct ask {
    uint64_t up, down;
};

/* Bytes that can be checked. With EXACT and a salt in `up`, the bytes that follow and those that come back are known:
   each by the salt and by how many are left in its direction. Clients of different salts expect different bytes, so one
   client's never pass for another's. The upstream answers with zeros if what it got was wrong. */
#define EXACT ((uint64_t)1 << 63)
#define SALT_AT 48
#define SALTS 32768u
#define COUNT_MASK (((uint64_t)1 << SALT_AT) - 1)
#define KNOWN_MOST (1 << 18) /* bytes compared at once */
#define KNOWN_PERIOD 65521u  /* a prime: no record or buffer is a multiple of it */

static char known[KNOWN_MOST + KNOWN_PERIOD];

static inline void fill_known(void) {
    uint32_t state = 2463534242u; /* xorshift, G. Marsaglia 2003 */
    for (size_t i = 0; i < KNOWN_PERIOD; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        known[i] = (char)(state >> 24);
    }
    for (size_t i = KNOWN_PERIOD; i < sizeof known; i++) known[i] = known[i - KNOWN_PERIOD];
}

/* The bytes from where `left` of them are still to come; at most KNOWN_MOST of them. */
static inline const char *known_bytes(unsigned salt, uint64_t left) {
    return known + (KNOWN_PERIOD - (left + salt) % KNOWN_PERIOD) % KNOWN_PERIOD;
}

static inline struct ask exact_ask(unsigned salt, uint64_t up, uint64_t down) {
    return (struct ask){EXACT | (uint64_t)(salt % SALTS) << SALT_AT | up, down};
}

struct link {
    int fd;
    SSL *ssl; /* NULL: plain TCP */
    int wants_write;
};

__attribute__((noreturn)) static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "unexpected end");
    exit(1);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Names are not verified here: every peer presents the same certificate, and the client's own cost is not the question. */
static inline SSL_CTX *client_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) die("TLS context");
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384"); /* what stock OpenSSL clients and servers agree on */
    SSL_CTX_set1_groups_list(context, "X25519");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

/* Begin to connect, without waiting. */
static inline int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline SSL *secure(SSL_CTX *context, int fd, const char *name) {
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, name);
    SSL_set_connect_state(ssl);
    return ssl;
}

/* Each of these gives > 0 when done (bytes, or 1), 0 when it has to wait, < 0 when the connection is over. */
static inline long outcome(struct link *link, int got) {
    if (got > 0) return got;
    int why = SSL_get_error(link->ssl, got);
    link->wants_write = why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static inline long plain_outcome(struct link *link, ssize_t got, int writing) {
    link->wants_write = writing && got < 0;
    return got > 0 ? got : got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static inline long shake(struct link *link) {
    return link->ssl ? outcome(link, SSL_do_handshake(link->ssl)) : 1;
}

static inline long take(struct link *link, void *into, size_t size) {
    if (!link->ssl) return plain_outcome(link, recv(link->fd, into, size, 0), 0);
    return outcome(link, SSL_read(link->ssl, into, (int)size));
}

static inline long give(struct link *link, const void *from, size_t size) {
    if (!link->ssl) return plain_outcome(link, send(link->fd, from, size, MSG_NOSIGNAL), 1);
    return outcome(link, SSL_write(link->ssl, from, (int)size));
}

static inline void set_blocking(int fd, int blocking) {
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static inline void give_all(struct link *link, const char *from, size_t size) {
    while (size) {
        long gave = give(link, from, size);
        if (gave < 0) die("write");
        from += gave, size -= (size_t)gave;
    }
}

static inline void take_all(struct link *link, char *into, size_t room, uint64_t size) {
    while (size) {
        long took = take(link, into, size < room ? (size_t)size : room);
        if (took < 0) die("read");
        size -= (uint64_t)took;
    }
}

/* Connect, shake hands and exchange one small message, waiting; `name` is "-" for plain TCP. The socket stays blocking. */
static inline struct link open_link(SSL_CTX *context, int port, const char *name) {
    struct link link = {.fd = dial(port)};
    if (link.fd < 0) die("connect");
    set_blocking(link.fd, 1);
    link.ssl = strcmp(name, "-") ? secure(context, link.fd, name) : NULL;
    if (shake(&link) <= 0) die("TLS handshake");
    struct ask ask = {0, sizeof ask};
    char answer[sizeof ask];
    give_all(&link, (char *)&ask, sizeof ask);
    take_all(&link, answer, sizeof answer, sizeof answer);
    return link;
}

struct latencies {
    uint64_t *ns;
    size_t count, room;
};

static inline void note(struct latencies *all, uint64_t ns) {
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 1 << 16;
        all->ns = realloc(all->ns, all->room * sizeof *all->ns);
        if (!all->ns) die("memory");
    }
    all->ns[all->count++] = ns;
}

static inline int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Write `"quantiles": [...]` in microseconds, at the probabilities that bench/latency.py names. */
static inline void print_quantiles(struct latencies *all) {
    qsort(all->ns, all->count, sizeof *all->ns, by_size);
    printf("\"quantiles\": [");
    for (int i = 0; all->count && i <= 110; i++) {
        double share = i < 100 ? i / 100.0 : i < 109 ? 0.99 + (i - 99) / 1000.0 : i == 109 ? 0.9999 : 1;
        size_t at = (size_t)(share * (double)all->count);
        printf("%s%.2f", i ? ", " : "", (double)all->ns[at < all->count ? at : all->count - 1] / 1e3);
    }
    printf("]");
}

/* The program is ready: wait until the benchmark says go. */
static inline void await_go(void) {
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) exit(0);
}

/* The result is written: hold all connections open until the benchmark has read the clocks. */
__attribute__((noreturn)) static inline void hold(void) {
    fflush(stdout);
    while (getchar() != EOF) {
    }
    _exit(0);
}
