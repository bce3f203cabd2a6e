/* Idle connections: opens as many as it is told to, each used once, and leaves them open.

   idle PORT NAME       reads numbers from standard input, one a line; answers each when that many are open */

#include "load.h"

int main(int count, char **arguments) {
    if (count != 3) return 2;
    SSL_CTX *context = client_context();
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    long open = 0;
    for (long wanted; scanf("%ld", &wanted) == 1;) {
        for (; open < wanted; open++) open_link(context, atoi(arguments[1]), arguments[2]);
        printf("%ld\n", open);
        fflush(stdout);
    }
    _exit(0);
}
