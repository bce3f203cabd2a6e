/* Request and response: each connection sends a message, waits for an answer of the same size, and sends the next.

   requests PORT NAME CONNECTIONS SIZE SECONDS       NAME is the TLS server name, "-" for plain TCP */

#include "load.h"

#define WARM_UP 100000000u /* ns */

struct client {
    struct link link;
    size_t to_give;
    uint64_t to_take, began;
    int waits_to_write;
};

static char message[1 << 20];
static char answer[1 << 18];
static size_t size;
static int epoll;

/* Send until the link has to wait or the message is out. */
static void send_rest(struct client *client) {
    long moved = 1;
    while (client->to_give && (moved = give(&client->link, message + size - client->to_give, client->to_give)) > 0)
        client->to_give -= (size_t)moved;
    if (moved < 0) die("write");
    int waits = client->to_give && client->link.wants_write;
    if (waits == client->waits_to_write) return;
    struct epoll_event event = {.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_MOD, client->link.fd, &event);
    client->waits_to_write = waits;
}

static void ask(struct client *client) {
    client->to_give = size, client->to_take = size, client->began = now_ns();
    send_rest(client);
}

/* 1 when the answer is complete. */
static int receive(struct client *client) {
    while (client->to_take) {
        size_t room = client->to_take < sizeof answer ? (size_t)client->to_take : sizeof answer;
        long took = take(&client->link, answer, room);
        if (took < 0) die("read");
        if (took == 0) return 0;
        client->to_take -= (uint64_t)took;
    }
    return 1;
}

static void run_for(uint64_t span, struct latencies *latencies, struct client *clients, int count) {
    uint64_t began = now_ns(), ends = began + span;
    int open = count;
    for (int i = 0; i < count; i++) ask(&clients[i]);
    for (struct epoll_event events[256]; open;) {
        int ready = epoll_wait(epoll, events, 256, 10000);
        if (ready == 0) die("no answer within 10 s");
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (client->to_give) send_rest(client);
            if (client->to_give || !receive(client)) continue;
            uint64_t now = now_ns();
            if (latencies) note(latencies, now - client->began);
            if (now < ends)
                ask(client);
            else
                open--;
        }
    }
    if (latencies) printf("{\"count\": %zu, \"seconds\": %.6f, ", latencies->count, (double)(now_ns() - began) / 1e9);
}

int main(int count, char **arguments) {
    if (count != 6) return 2;
    int port = atoi(arguments[1]), connections = atoi(arguments[3]);
    size = (size_t)atol(arguments[4]);
    if (size < sizeof(struct ask) || size > sizeof message) return 2;
    *(struct ask *)message = (struct ask){size - sizeof(struct ask), size};
    struct client *clients = calloc((size_t)connections, sizeof *clients);
    struct latencies latencies = {0};
    SSL_CTX *context = client_context();
    epoll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        clients[i].link = open_link(context, port, arguments[2]);
        set_blocking(clients[i].link.fd, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].link.fd, &event);
    }
    run_for(WARM_UP, NULL, clients, connections);
    await_go();
    run_for((uint64_t)(atof(arguments[5]) * 1e9), &latencies, clients, connections);
    print_quantiles(&latencies);
    printf("}\n");
    hold();
}
