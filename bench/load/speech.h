/* What a connection of connect.c says, and when it has been answered: a message of ours, an HTTP request, or Postgres.

   In Postgres a client asks for TLS in plaintext first (SSLRequest, answered by "S"), unless it speaks TLS from the first
   byte; then come StartupMessage and SELECT 1, each answered up to ReadyForQuery. No password is asked for: computing its
   proof would be most of a client's work, and none of the gateway's. Source: PostgreSQL, "Message Formats". */

#define ANSWER_MOST 4096 /* bytes of an HTTP response or a Postgres answer: some hundred of them are used */

static enum { MESSAGE, HTTP, POSTGRES, POSTGRES_DIRECT } speech = MESSAGE;
static const char SSL_REQUEST[8] = {0, 0, 0, 8, 4, (char)210, 22, 47};
static const char SELECT_1[] = "Q\0\0\0\rSELECT 1"; /* with the zero at its end: 14 bytes */
static const char *request;
static char startup[256];
static size_t startup_size;

static void read_speech(const char *kind, const char *text) {
    if (!strcmp(kind, "http")) {
        speech = HTTP, request = text;
        return;
    }
    speech = strcmp(kind, "postgres") ? POSTGRES_DIRECT : POSTGRES;
    memcpy(startup + 4, "\0\3\0\0", 4);
    startup_size = 8;
    const char *parts[] = {"user", text, "database", "postgres", ""};
    for (int i = 0; i < 5; i++) {
        size_t size = strlen(parts[i]) + 1;
        if (startup_size + size > sizeof startup) die("the user's name is too long");
        memcpy(startup + startup_size, parts[i], size), startup_size += size;
    }
    startup[3] = (char)startup_size, startup[2] = (char)(startup_size >> 8);
}

static int hails(const char *name) {
    return speech == POSTGRES && strcmp(name, "-");
}

/* How many messages a connection says one after the other. */
static int steps(void) {
    return speech == POSTGRES || speech == POSTGRES_DIRECT ? 2 : 1;
}

static const char *words(int step, const struct ask *ask, size_t *size) {
    if (speech == MESSAGE) return *size = sizeof *ask, (const char *)ask;
    if (speech == HTTP) return *size = strlen(request), request;
    return step ? (*size = sizeof SELECT_1, SELECT_1) : (*size = startup_size, startup);
}

/* 1: this is a whole answer; 0: there is more to come; -1: it is a wrong one. */
static int heard_all(const char *answer, size_t size, unsigned salt) {
    if (speech == MESSAGE) {
        size_t all = sizeof(struct ask);
        return size < all ? 0 : size == all && !memcmp(answer, known_bytes(salt % SALTS, all), all) ? 1 : -1;
    }
    if (size >= ANSWER_MOST) return -1;
    if (speech == HTTP) {
        static const char good[] = "HTTP/1.1 200 ", body[] = "0123456789abcdef"; /* bench/http.py: BODY */
        if (size < sizeof good - 1) return 0;
        if (memcmp(answer, good, sizeof good - 1)) return -1;
        return size > sizeof body && !memcmp(answer + size - sizeof body + 1, body, sizeof body - 1);
    }
    if (size && answer[0] == 'E') return -1;
    return size >= 6 && !memcmp(answer + size - 6, "Z\0\0\0\5I", 6);
}
