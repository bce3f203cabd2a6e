/* Bulk: one connection moves bytes one way, as fast as they are taken.

   bulk PORT NAME up|down SECONDS       NAME is the TLS server name, "-" for plain TCP */

#include "load.h"

#define WARM_UP 100000000u /* ns */
#define CHUNK (1 << 18)    /* bytes offered or asked for at once */
#define ENDLESS ((uint64_t)1 << 60)

static char chunk[CHUNK];

static uint64_t move_for(uint64_t span, struct link *link, int up) {
    uint64_t bytes = 0;
    for (uint64_t ends = now_ns() + span; now_ns() < ends;) {
        long moved = up ? give(link, chunk, CHUNK) : take(link, chunk, CHUNK);
        if (moved < 0) die(up ? "write" : "read");
        bytes += (uint64_t)moved;
    }
    return bytes;
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    int up = !strcmp(arguments[3], "up");
    SSL_CTX *context = client_context();
    SSL_CTX_set_read_ahead(context, 1); /* many records a system call: the client is not to be the limit */
    SSL_CTX_set_default_read_buffer_len(context, CHUNK);
    struct link link = open_link(context, atoi(arguments[1]), arguments[2]);
    struct ask ask = {up ? ENDLESS : 0, up ? 1 : ENDLESS};
    give_all(&link, (char *)&ask, sizeof ask);
    move_for(WARM_UP, &link, up);
    await_go();
    uint64_t began = now_ns();
    uint64_t bytes = move_for((uint64_t)(atof(arguments[4]) * 1e9), &link, up);
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, (double)(now_ns() - began) / 1e9);
    hold();
}
