// TLS of links: the client's side, with a certificate of its own if it has one. Made only where OpenSSL is.
#include "gen.h"
#ifdef WITH_TLS
#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>

static const u8 ALPN[] = "\x07" "decreed";
static SSL_CTX *context;

static SSL_CTX *make_context(void) {
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION);
    // what is sent again may have moved: the buffer of a link grows
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(made, settings.ca, NULL) != 1) die("%s is no CA", settings.ca);
    if (settings.cert && SSL_CTX_use_certificate_chain_file(made, settings.cert) != 1) die("%s is no certificate", settings.cert);
    if (settings.key && SSL_CTX_use_PrivateKey_file(made, settings.key, SSL_FILETYPE_PEM) != 1) die("%s is no key", settings.key);
    if (SSL_CTX_set_alpn_protos(made, ALPN, sizeof ALPN - 1)) die("ALPN cannot be set");
    return made;
}

void begin_tls(Link *link) {
    if (!context) context = make_context();
    SSL_free(link->tls);
    link->tls = SSL_new(context);
    SSL_set_fd(link->tls, link->fd);
    SSL_set_connect_state(link->tls);
}

// As the system's calls: -1 with EAGAIN means that it has to wait.
static ssize_t as_system(Link *link, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(link->tls, result);
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

ssize_t shake_hands(Link *link) { return as_system(link, SSL_do_handshake(link->tls)); }
ssize_t tls_send(Link *link, const void *bytes, size_t size) { return as_system(link, SSL_write(link->tls, bytes, size)); }
ssize_t tls_receive(Link *link, void *bytes, size_t size) { return as_system(link, SSL_read(link->tls, bytes, size)); }
#else
void begin_tls(Link *link) { (void)link; die("this load generator was made without OpenSSL"); }
ssize_t shake_hands(Link *link) { (void)link; return -1; }
ssize_t tls_send(Link *link, const void *bytes, size_t size) { (void)link; (void)bytes; (void)size; return -1; }
ssize_t tls_receive(Link *link, void *bytes, size_t size) { (void)link; (void)bytes; (void)size; return -1; }
#endif
