// TLS through GnuTLS (Debian's libgnutls28-dev), which is loaded when TLS is first asked for: nothing else pays for it at
// program start, and a static executable needs none of its archives. The header is used for types and numbers only.
// Sessions stand on descriptors in non-blocking mode; who calls waits with poll(2) and calls again.
#include "CHost.h"
#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUNCTIONS(F) \
    F(global_init) F(strerror) F(init) F(deinit) F(priority_set_direct) F(credentials_set) F(transport_set_int2) \
    F(handshake) F(record_send) F(record_recv) F(record_get_direction) F(record_check_pending) F(bye) F(server_name_set) \
    F(session_set_verify_cert) F(session_get_verify_cert_status) F(certificate_server_set_request) F(certificate_type_get) \
    F(certificate_verification_status_print) F(certificate_allocate_credentials) F(certificate_free_credentials) \
    F(certificate_set_x509_trust_file) F(certificate_set_x509_crl_file) F(certificate_set_x509_key_file2) \
    F(certificate_set_known_dh_params) F(psk_allocate_server_credentials) F(psk_free_server_credentials) \
    F(psk_set_server_credentials_file) F(psk_set_server_known_dh_params) F(psk_allocate_client_credentials) \
    F(psk_free_client_credentials) F(psk_set_client_credentials) F(anon_allocate_server_credentials) \
    F(anon_free_server_credentials) F(anon_set_server_known_dh_params) F(anon_allocate_client_credentials) \
    F(anon_free_client_credentials)

static struct {
#define F(name) __typeof__(&gnutls_##name) name;
    FUNCTIONS(F)
#undef F
    __typeof__(&gnutls_free) free;
} tls;
static const char *problem;

static void load(void) {
    void *library = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL);
    if (!library) { problem = "TLS needs GnuTLS (libgnutls.so.30), which is not installed, or this executable is static"; return; }
#define F(name) tls.name = (__typeof__(&gnutls_##name))dlsym(library, "gnutls_" #name); if (!tls.name) problem = "GnuTLS lacks gnutls_" #name;
    FUNCTIONS(F)
#undef F
    // A variable that holds a function.
    tls.free = (__typeof__(&gnutls_free))dlsym(library, "gnutls_free");
    if (!tls.free) problem = "GnuTLS lacks gnutls_free";
    if (!problem && tls.global_init() < 0) problem = "GnuTLS does not start";
}

const char *apus_tls_problem(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem;
}

struct credentials {
    int kind, server;
    union {
        gnutls_certificate_credentials_t certificate;
        gnutls_psk_server_credentials_t psk_server;
        gnutls_psk_client_credentials_t psk_client;
        gnutls_anon_server_credentials_t anon_server;
        gnutls_anon_client_credentials_t anon_client;
        void *any;
    };
};

static int say(char *text, const char *what, const char *file, int code) {
    snprintf(text, APUS_TLS_TEXT, "%s%s%s: %s", what, file ? " " : "", file ? file : "", tls.strerror(code));
    return -1;
}

static int load_certificates(struct credentials *c, const struct apus_tls_options *o, char *text) {
    int result = tls.certificate_allocate_credentials(&c->certificate);
    if (result < 0) return say(text, "credentials", NULL, result);
    result = tls.certificate_set_x509_trust_file(c->certificate, o->ca, GNUTLS_X509_FMT_PEM);
    if (result < 0) return say(text, "cannot load the authority's certificate", o->ca, result);
    if (result == 0) { snprintf(text, APUS_TLS_TEXT, "%s holds no certificate", o->ca); return -1; }
    if (o->crl && (result = tls.certificate_set_x509_crl_file(c->certificate, o->crl, GNUTLS_X509_FMT_PEM)) < 0)
        return say(text, "cannot load the list of revoked certificates", o->crl, result);
    if (o->certificate) {
        result = tls.certificate_set_x509_key_file2(c->certificate, o->certificate, o->key, GNUTLS_X509_FMT_PEM, o->password, 0);
        if (result < 0) return say(text, "cannot load the certificate and its key", o->certificate, result);
    }
    if (o->server) tls.certificate_set_known_dh_params(c->certificate, GNUTLS_SEC_PARAM_MEDIUM);
    return 0;
}

static int load_keys(struct credentials *c, const struct apus_tls_options *o, char *text) {
    int result;
    if (c->kind == APUS_TLS_ANONYMOUS) {
        if (o->server) {
            if ((result = tls.anon_allocate_server_credentials(&c->anon_server)) < 0) return say(text, "credentials", NULL, result);
            tls.anon_set_server_known_dh_params(c->anon_server, GNUTLS_SEC_PARAM_MEDIUM);
        } else if ((result = tls.anon_allocate_client_credentials(&c->anon_client)) < 0) return say(text, "credentials", NULL, result);
        return 0;
    }
    if (o->server) {
        if ((result = tls.psk_allocate_server_credentials(&c->psk_server)) < 0) return say(text, "credentials", NULL, result);
        if ((result = tls.psk_set_server_credentials_file(c->psk_server, o->key)) < 0) return say(text, "cannot load keys", o->key, result);
        tls.psk_set_server_known_dh_params(c->psk_server, GNUTLS_SEC_PARAM_MEDIUM);
        return 0;
    }
    if ((result = tls.psk_allocate_client_credentials(&c->psk_client)) < 0) return say(text, "credentials", NULL, result);
    gnutls_datum_t key = {(unsigned char *)o->password, (unsigned)strlen(o->password)};
    result = tls.psk_set_client_credentials(c->psk_client, o->user, &key, GNUTLS_PSK_KEY_HEX);
    return result < 0 ? say(text, "the key is not hexadecimal", NULL, result) : 0;
}

void apus_tls_credentials_free(void *credentials) {
    struct credentials *c = credentials;
    if (c->any) switch (c->kind) {
        case APUS_TLS_X509: tls.certificate_free_credentials(c->certificate); break;
        case APUS_TLS_PSK:
            if (c->server) tls.psk_free_server_credentials(c->psk_server); else tls.psk_free_client_credentials(c->psk_client);
            break;
        default:
            if (c->server) tls.anon_free_server_credentials(c->anon_server); else tls.anon_free_client_credentials(c->anon_client);
    }
    free(c);
}

void *apus_tls_credentials(const struct apus_tls_options *options, char *text) {
    text[0] = 0;
    if (apus_tls_problem()) { snprintf(text, APUS_TLS_TEXT, "%s", problem); return NULL; }
    struct credentials *c = calloc(1, sizeof *c);
    if (!c) { snprintf(text, APUS_TLS_TEXT, "no memory"); return NULL; }
    c->kind = options->kind;
    c->server = options->server;
    int result = c->kind == APUS_TLS_X509 ? load_certificates(c, options, text) : load_keys(c, options, text);
    if (result < 0) { apus_tls_credentials_free(c); return NULL; }
    return c;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int shake_hands(gnutls_session_t session, int descriptor, double seconds, int verify, char *text) {
    double deadline = now() + seconds;
    int result;
    while ((result = tls.handshake(session)) < 0) {
        if (result != GNUTLS_E_AGAIN && result != GNUTLS_E_INTERRUPTED && result != GNUTLS_E_WARNING_ALERT_RECEIVED) {
            if (result == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && verify) {
                gnutls_datum_t reason = {0};
                unsigned status = tls.session_get_verify_cert_status(session);
                if (tls.certificate_verification_status_print(status, tls.certificate_type_get(session), &reason, 0) >= 0 && reason.data) {
                    snprintf(text, APUS_TLS_TEXT, "TLS: the peer's certificate: %s", reason.data);
                    (*tls.free)(reason.data);
                    return -1;
                }
            }
            return say(text, "TLS handshake failed", NULL, result);
        }
        double left = deadline - now();
        struct pollfd wait = {.fd = descriptor, .events = tls.record_get_direction(session) ? POLLOUT : POLLIN};
        if (left <= 0 || poll(&wait, 1, (int)(left * 1000) + 1) == 0) {
            snprintf(text, APUS_TLS_TEXT, "TLS handshake failed: the peer did not answer in time");
            return -1;
        }
    }
    return 0;
}

void *apus_tls_session(void *credentials, int descriptor, const char *priority, const char *host, int verify, double seconds, char *text) {
    struct credentials *c = credentials;
    gnutls_session_t session = NULL;
    text[0] = 0;
    int result = tls.init(&session, (c->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (result < 0) { say(text, "TLS session", NULL, result); return NULL; }
    const char *wrong = NULL;
    if ((result = tls.priority_set_direct(session, priority, &wrong)) < 0) { say(text, "TLS priority", priority, result); goto fail; }
    gnutls_credentials_type_t type = c->kind == APUS_TLS_X509 ? GNUTLS_CRD_CERTIFICATE : c->kind == APUS_TLS_PSK ? GNUTLS_CRD_PSK : GNUTLS_CRD_ANON;
    if ((result = tls.credentials_set(session, type, c->any)) < 0) { say(text, "TLS credentials", NULL, result); goto fail; }
    int checks = c->kind == APUS_TLS_X509 && (!c->server || verify);
    if (c->kind == APUS_TLS_X509) {
        if (c->server && verify) tls.certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        if (checks) tls.session_set_verify_cert(session, c->server ? NULL : host, 0);
        if (!c->server && host) tls.server_name_set(session, GNUTLS_NAME_DNS, host, strlen(host));
    }
    tls.transport_set_int2(session, descriptor, descriptor);
    if (shake_hands(session, descriptor, seconds, checks, text) < 0) goto fail;
    return session;
fail:
    tls.deinit(session);
    return NULL;
}

static long outcome(ssize_t result) {
    if (result >= 0) return result;
    switch (result) {
    case GNUTLS_E_AGAIN: case GNUTLS_E_INTERRUPTED: return APUS_TLS_AGAIN;
    // Closed without a goodbye: what comes on top says by itself where its messages end.
    case GNUTLS_E_PREMATURE_TERMINATION: return 0;
    default: return APUS_TLS_BROKEN;
    }
}

long apus_tls_receive(void *session, void *buffer, size_t count) { return outcome(tls.record_recv(session, buffer, count)); }
long apus_tls_send(void *session, const void *buffer, size_t count) { return outcome(tls.record_send(session, buffer, count)); }
int apus_tls_wants_write(void *session) { return tls.record_get_direction(session); }
void apus_tls_goodbye(void *session) { tls.bye(session, GNUTLS_SHUT_WR); }
void apus_tls_close(void *session) { tls.deinit(session); }
