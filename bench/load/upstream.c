/* The upstream behind every proxy: a plain TCP server that does what each client's `struct ask` says, again and again.

   upstream            writes the port it listens on, serves until its standard input ends */

#include "load.h"

#define LINKS 65536
#define CHUNK (1 << 18) /* bytes moved at once */

static struct served {
    union {
        struct ask ask;
        char bytes[sizeof(struct ask)];
    };
    size_t asked; /* bytes of `ask` that came */
    int waits_to_write;
    int exact, wrong;
    unsigned salt;
} links[LINKS];

static char chunk[CHUNK];
static const char zeros[CHUNK];

static void understand(struct served *link) {
    link->exact = (link->ask.up & EXACT) != 0, link->wrong = 0;
    if (!link->exact) return;
    link->salt = (unsigned)(link->ask.up >> SALT_AT) % SALTS;
    link->ask.up &= COUNT_MASK;
}

static void receive(struct served *link, const char *bytes, size_t count) {
    if (link->exact && memcmp(bytes, known_bytes(link->salt, link->ask.up), count)) link->wrong = 1;
    link->ask.up -= count;
}

static const char *answer(const struct served *link) {
    if (!link->exact) return chunk;
    return link->wrong ? zeros : known_bytes(link->salt, link->ask.down);
}

static void interest(int epoll, int fd, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, how, fd, &event)) die("epoll_ctl");
}

static void welcome(int epoll, int listener) {
    for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        if (fd >= LINKS) die("too many links");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        memset(&links[fd], 0, sizeof links[fd]);
        interest(epoll, fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Do what can be done now; 0 when the link is over. */
static int serve(int epoll, int fd) {
    for (;;) {
        struct ask *ask = &links[fd].ask;
        ssize_t moved;
        if (links[fd].asked < sizeof *ask) {
            /* A small message is read whole by one call; clients send nothing after it until they have their answer. */
            moved = recv(fd, chunk, CHUNK, 0);
            if (moved > 0) {
                size_t part = sizeof *ask - links[fd].asked;
                part = (size_t)moved < part ? (size_t)moved : part;
                memcpy(links[fd].bytes + links[fd].asked, chunk, part);
                links[fd].asked += part;
                if (links[fd].asked == sizeof *ask) {
                    understand(&links[fd]);
                    receive(&links[fd], chunk + part, (size_t)moved - part);
                }
            }
        } else if (ask->up) {
            moved = recv(fd, chunk, ask->up < CHUNK ? (size_t)ask->up : CHUNK, 0);
            if (moved > 0) receive(&links[fd], chunk, (size_t)moved);
        } else {
            moved = send(fd, answer(&links[fd]), ask->down < CHUNK ? (size_t)ask->down : CHUNK, MSG_NOSIGNAL);
            ask->down -= moved > 0 ? (uint64_t)moved : 0;
        }
        if (moved == 0 || (moved < 0 && errno != EAGAIN)) return 0;
        int sending = links[fd].asked == sizeof *ask && !ask->up;
        int answered = sending && !ask->down;
        if (answered) links[fd].asked = 0;
        int waits = sending && !answered && moved < 0;
        if (waits != links[fd].waits_to_write) {
            interest(epoll, fd, EPOLL_CTL_MOD, waits ? EPOLLOUT : EPOLLIN);
            links[fd].waits_to_write = waits;
        }
        if (moved < 0 || answered) return 1;
    }
}

int main(void) {
    fill_known();
    struct sockaddr_in here = {.sin_family = AF_INET};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    interest(epoll, listener, EPOLL_CTL_ADD, EPOLLIN);
    interest(epoll, 0, EPOLL_CTL_ADD, EPOLLIN);
    for (struct epoll_event events[256];;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                welcome(epoll, listener);
            else if (fd == 0)
                return 0;
            else if (!serve(epoll, fd))
                close(fd);
        }
    }
}
