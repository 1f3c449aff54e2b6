// Connections: dialled, read, written, and dialled again when they broke.
#include "gen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000ull
enum { CHUNK = 1 << 16 };
static int poller;

static void watch_socket(Link *link, int how, bool write) {
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.u32 = link->id};
    epoll_ctl(poller, how, link->fd, &event);
    link->wants_write = write;
}

static void reset(Link *link) {
    link->in.size = link->out.size = link->out.sent = 0;
    link->next_tag = 1;
    link->first = link->last = link->messages = 0;
    link->window = link->first_window = 65535;
    link->received = 0;
    link->entries = 0;
    link->base_entry = -1;
    memset(link->path_entry, -1, sizeof link->path_entry);
    memset(link->slots, -1, MAX_SLOTS * sizeof *link->slots);
}

static void dial(Link *link) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(settings.port[link->endpoint])};
    inet_pton(AF_INET, settings.host[link->endpoint], &address.sin_addr);
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    reset(link);
    connect(link->fd, (void *)&address, sizeof address);
    watch_socket(link, EPOLL_CTL_ADD, true);
    link->state = LINK_DIALLING;
    link->retry_at = now_ns() + 1000 * MS;
}

void open_links(void) {
    poller = epoll_create1(0);
    link_count = settings.clients * (protocol->routes ? settings.endpoints : 1);
    links = calloc(link_count, sizeof *links);
    for (int i = 0; i < link_count; i++) {
        links[i].id = i;
        links[i].endpoint = i % settings.endpoints;
        links[i].slots = malloc(MAX_SLOTS * sizeof(int));
        dial(&links[i]);
    }
}

bool all_ready(void) {
    for (int i = 0; i < link_count; i++)
        if (links[i].state != LINK_READY) return false;
    return true;
}

// The link to use instead of `preferred` if that is down; links of one client where keys have homes.
int usable_link(int preferred) {
    for (int i = 0; i < link_count; i++) {
        int candidate = (preferred + i) % link_count;
        if (links[candidate].state == LINK_READY) return candidate;
    }
    return preferred;
}

void link_ready(Link *link) {
    link->state = LINK_READY;
    link->avoid_until = 0;
    for (int i = 0; i < op_count; i++)
        if (ops[i].busy && ops[i].waiting && !ops[i].resting) issue(&ops[i]);
}

static void lose(Op *op) {
    account.retries++;
    op->tries++;
    op->waiting = op->resting = true;
    op->resume_at = now_ns();
}

void link_failed(Link *link) {
    if (link->state == LINK_DOWN) return;
    if (!settings.robust) die("the connection to %s:%d broke", settings.host[link->endpoint], settings.port[link->endpoint]);
    bool was_ready = link->state == LINK_READY;
    close(link->fd);
    link->state = LINK_DOWN;
    link->retry_at = now_ns() + (settings.eager ? 3 : 10) * MS;
    account.redials++;
    // where keys have homes, each client has links to all nodes and keeps them
    if (!protocol->routes) link->endpoint = (link->endpoint + 1) % settings.endpoints;
    // an operation that rests is not sent yet: its time has not come
    for (int i = 0; was_ready && i < op_count; i++)
        if (ops[i].busy && !ops[i].waiting && !ops[i].resting && ops[i].link == link->id) lose(&ops[i]);
}

void redial(u64 now) {
    for (int i = 0; i < link_count; i++) {
        if (links[i].state == LINK_READY || now < links[i].retry_at) continue;
        if (links[i].state != LINK_DOWN) close(links[i].fd);
        dial(&links[i]);
    }
}

static ssize_t send_some(Link *link, const u8 *bytes, size_t size) {
    return link->tls ? tls_send(link, bytes, size) : send(link->fd, bytes, size, MSG_NOSIGNAL);
}

static ssize_t receive_some(Link *link, u8 *bytes, size_t size) {
    return link->tls ? tls_receive(link, bytes, size) : recv(link->fd, bytes, size, 0);
}

void flush(Link *link) {
    if (link->state < LINK_GREETING) return;
    if (protocol->seal) protocol->seal(link);
    while (link->out.sent < link->out.size) {
        ssize_t sent = send_some(link, link->out.data + link->out.sent, link->out.size - link->out.sent);
        if (sent < 0 && errno == EAGAIN) {
            if (!link->wants_write) watch_socket(link, EPOLL_CTL_MOD, true);
            return;
        }
        if (sent < 0) { link_failed(link); return; }
        link->out.sent += sent;
    }
    link->out.sent = link->out.size = 0;
    if (link->wants_write) watch_socket(link, EPOLL_CTL_MOD, false);
}

static void connected(Link *link) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { link_failed(link); return; }
    link->state = LINK_SHAKING_HANDS;
    if (settings.ca) begin_tls(link);
}

static void secure(Link *link) {
    if (link->tls && shake_hands(link) <= 0) {
        if (errno != EAGAIN) link_failed(link);
        return;
    }
    link->state = LINK_GREETING;
    protocol->greet(link);
}

static void readable(Link *link) {
    static u8 chunk[CHUNK];
    for (;;) {
        ssize_t got = receive_some(link, chunk, CHUNK);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) { link_failed(link); return; }
        put(&link->in, chunk, got);
        size_t used = protocol->take(link, link->in.data, link->in.size);
        if (link->state < LINK_GREETING) return;
        drop(&link->in, used);
        if (got < CHUNK && !link->tls) return;  // TLS gives one record at a time
    }
}

void poll_links(int timeout_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) {
        Link *link = &links[events[i].data.u32];
        if (link->state == LINK_DIALLING) {
            if (events[i].events & (EPOLLERR | EPOLLHUP)) link_failed(link);
            else if (events[i].events & EPOLLOUT) connected(link);
        }
        if (link->state == LINK_SHAKING_HANDS) secure(link);
        if (link->state >= LINK_GREETING && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(link);
    }
    for (int i = 0; i < link_count; i++)
        if (links[i].state >= LINK_GREETING && (links[i].out.sent < links[i].out.size || links[i].messages)) flush(&links[i]);
}
