// http and https through libcurl, which is loaded when the first such image is opened: nothing else pays for it. The
// option numbers are part of libcurl's stable interface (curl.h); its calls take a variable number of arguments, which
// Swift cannot express.
#include "CHost.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    OPTION_WRITEDATA = 10001, OPTION_URL = 10002, OPTION_USERPWD = 10005, OPTION_RANGE = 10007, OPTION_ERRORBUFFER = 10010,
    OPTION_USERAGENT = 10018, OPTION_COOKIE = 10022, OPTION_HEADERDATA = 10029, OPTION_NOBODY = 44, OPTION_FAILONERROR = 45,
    OPTION_FOLLOWLOCATION = 52, OPTION_SSL_VERIFYPEER = 64, OPTION_MAXREDIRS = 68, OPTION_CONNECTTIMEOUT = 78, OPTION_SSL_VERIFYHOST = 81,
    OPTION_NOSIGNAL = 99, OPTION_LOW_SPEED_LIMIT = 19, OPTION_LOW_SPEED_TIME = 20, OPTION_PROTOCOLS = 181, OPTION_REDIR_PROTOCOLS = 182,
    OPTION_WRITEFUNCTION = 20011, OPTION_HEADERFUNCTION = 20079,
    INFO_RESPONSE_CODE = 0x200002, INFO_CONTENT_LENGTH = 0x60000f,
    PROTOCOL_HTTP = 1, PROTOCOL_HTTPS = 2,
};

static struct {
    int (*global_init)(long);
    void *(*easy_init)(void);
    int (*easy_setopt)(void *, int, ...);
    int (*easy_perform)(void *);
    int (*easy_getinfo)(void *, int, ...);
    void (*easy_cleanup)(void *);
    const char *(*easy_strerror)(int);
} curl;
static const char *problem;

static void load(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) { problem = "libcurl (libcurl.so.4) is not installed, or this executable is static"; return; }
    struct { void **function; const char *name; } const table[] = {
        {(void **)&curl.global_init, "curl_global_init"}, {(void **)&curl.easy_init, "curl_easy_init"},
        {(void **)&curl.easy_setopt, "curl_easy_setopt"}, {(void **)&curl.easy_perform, "curl_easy_perform"},
        {(void **)&curl.easy_getinfo, "curl_easy_getinfo"}, {(void **)&curl.easy_cleanup, "curl_easy_cleanup"},
        {(void **)&curl.easy_strerror, "curl_easy_strerror"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        *table[i].function = dlsym(library, table[i].name);
        if (!*table[i].function) { problem = "libcurl lacks a function"; return; }
    }
    if (curl.global_init(3)) problem = "libcurl does not start";
}

const char *apus_http_problem(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem;
}

void *apus_http_open(const struct apus_http_options *options) {
    void *handle = apus_http_problem() ? NULL : curl.easy_init();
    if (!handle) return NULL;
    curl.easy_setopt(handle, OPTION_URL, options->url);
    curl.easy_setopt(handle, OPTION_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
    curl.easy_setopt(handle, OPTION_REDIR_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
    curl.easy_setopt(handle, OPTION_FOLLOWLOCATION, 1L);
    curl.easy_setopt(handle, OPTION_MAXREDIRS, 10L);
    curl.easy_setopt(handle, OPTION_FAILONERROR, 1L);
    curl.easy_setopt(handle, OPTION_NOSIGNAL, 1L);
    curl.easy_setopt(handle, OPTION_CONNECTTIMEOUT, options->timeout);
    // A server that sends next to nothing for that long is gone.
    curl.easy_setopt(handle, OPTION_LOW_SPEED_LIMIT, 1L);
    curl.easy_setopt(handle, OPTION_LOW_SPEED_TIME, options->timeout);
    curl.easy_setopt(handle, OPTION_SSL_VERIFYPEER, (long)(options->verify ? 1 : 0));
    curl.easy_setopt(handle, OPTION_SSL_VERIFYHOST, (long)(options->verify ? 2 : 0));
    curl.easy_setopt(handle, OPTION_USERAGENT, "apus");
    if (options->cookie) curl.easy_setopt(handle, OPTION_COOKIE, options->cookie);
    if (options->user) curl.easy_setopt(handle, OPTION_USERPWD, options->user);
    return handle;
}

void apus_http_close(void *handle) { curl.easy_cleanup(handle); }

struct body { char *to; size_t room, count; };

static size_t take_body(char *data, size_t size, size_t number, void *context) {
    struct body *body = context;
    size_t bytes = size * number;
    // More than was asked for: the server ignores ranges. Ending the transfer here keeps it from sending a whole disk.
    if (bytes > body->room - body->count) return 0;
    memcpy(body->to + body->count, data, bytes);
    body->count += bytes;
    return bytes;
}

static size_t take_header(char *data, size_t size, size_t number, void *context) {
    static const char name[] = "accept-ranges:";
    size_t bytes = size * number;
    if (bytes >= sizeof name && !strncasecmp(data, name, sizeof name - 1)) {
        char value[32] = {0};
        size_t rest = bytes - (sizeof name - 1);
        memcpy(value, data + sizeof name - 1, rest < 31 ? rest : 31);
        if (strstr(value, "bytes")) *(int *)context = 1;
    }
    return bytes;
}

static int perform(void *handle, char *text, long *status) {
    text[0] = 0;
    curl.easy_setopt(handle, OPTION_ERRORBUFFER, text);
    int result = curl.easy_perform(handle);
    curl.easy_setopt(handle, OPTION_ERRORBUFFER, NULL);
    curl.easy_getinfo(handle, INFO_RESPONSE_CODE, status);
    if (result && !text[0]) snprintf(text, APUS_HTTP_TEXT, "%s", curl.easy_strerror(result));
    return result;
}

int apus_http_length(void *handle, int64_t *length, int *ranges, char *text, long *status) {
    char unused[1];
    struct body none = {unused, 0, 0};
    *length = -1;
    *ranges = 0;
    curl.easy_setopt(handle, OPTION_NOBODY, 1L);
    curl.easy_setopt(handle, OPTION_RANGE, NULL);
    curl.easy_setopt(handle, OPTION_WRITEFUNCTION, take_body);
    curl.easy_setopt(handle, OPTION_WRITEDATA, &none);
    curl.easy_setopt(handle, OPTION_HEADERFUNCTION, take_header);
    curl.easy_setopt(handle, OPTION_HEADERDATA, ranges);
    int result = perform(handle, text, status);
    curl.easy_setopt(handle, OPTION_HEADERFUNCTION, NULL);
    curl.easy_setopt(handle, OPTION_HEADERDATA, NULL);
    if (!result) curl.easy_getinfo(handle, INFO_CONTENT_LENGTH, length);
    return result;
}

int apus_http_read(void *handle, uint64_t offset, void *buffer, size_t count, size_t *received, char *text, long *status) {
    char range[64];
    struct body body = {buffer, count, 0};
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)offset, (unsigned long long)(offset + count - 1));
    curl.easy_setopt(handle, OPTION_NOBODY, 0L);
    curl.easy_setopt(handle, OPTION_RANGE, range);
    curl.easy_setopt(handle, OPTION_WRITEFUNCTION, take_body);
    curl.easy_setopt(handle, OPTION_WRITEDATA, &body);
    int result = perform(handle, text, status);
    *received = body.count;
    return result;
}
