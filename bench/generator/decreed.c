// decreed: frames of CBOR, as docs/protocol.md has them. Keys go to their homes.
#include "gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLAIM_REQUEST = 50, GET_REQUEST = 52, WATCH_REQUEST = 56, LOCK_REQUEST = 60, KEEP_ALIVE_REQUEST = 61, END_REQUEST = 62,
    WELCOME = 2, DECREED = 70, UNDECIDED = 71, WATCH_PAGE = 74, GRANTED = 80, KEPT = 82, ENDED = 84,
};
enum { TIMEOUT_MS = 20000, TTL_MS = 30000, FRAME_HEAD = 7, FRAME_TARGET = 256 * 1024, MOST_MESSAGES = 4096, AVOID_NS = 1000000000 };
static const char CLAIMANT[] = "load";
// Whoever claims a lock shows a secret of his own; here all show the same, and this is its SHA-256.
static const u8 SECRET[32];
static const u8 SECRET_HASH[32] = {
    0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77, 0x6c, 0x8f, 0xc1, 0x8b, 0x8e, 0x9f, 0x8e, 0x20,
    0x08, 0x97, 0x14, 0x85, 0x6e, 0xe2, 0x33, 0xb3, 0x90, 0x2a, 0x59, 0x1d, 0x0d, 0x5f, 0x29, 0x25,
};
// Version 1 of the protocol had no secrets of locks.
static bool has_secrets(void) { return settings.wire > 1; }
static Buffer position;  // of the watch, as the last page gave it

// ---- CBOR ----

static void put_head(Buffer *out, int major, u64 number) {
    major <<= 5;
    if (number < 24) put8(out, major | number);
    else if (number < 1 << 8) { put8(out, major | 24); put8(out, number); }
    else if (number < 1 << 16) { put8(out, major | 25); put16(out, number); }
    else if (number < 1ull << 32) { put8(out, major | 26); put32(out, number); }
    else { put8(out, major | 27); put64(out, number); }
}

static void put_int(Buffer *out, u64 number) { put_head(out, 0, number); }
static void put_array(Buffer *out, int size) { put_head(out, 4, size); }

static void put_bytes(Buffer *out, const void *bytes, size_t size) {
    put_head(out, 2, size);
    put(out, bytes, size);
}

static void put_text(Buffer *out, const char *text, size_t size) {
    put_head(out, 3, size);
    put(out, text, size);
}

static const u8 *take_head(const u8 *at, int *major, u64 *number) {
    *major = *at >> 5;
    int width = *at++ & 31;
    if (width < 24) { *number = width; return at; }
    u64 value = 0;
    for (int left = 1 << (width - 24); left; left--) value = value << 8 | *at++;
    *number = value;
    return at;
}

static const u8 *take_int(const u8 *at, u64 *number) {
    int major;
    return take_head(at, &major, number);
}

static const u8 *skip(const u8 *at) {
    int major;
    u64 number;
    at = take_head(at, &major, &number);
    if (major == 2 || major == 3) return at + number;
    if (major == 4)
        while (number--) at = skip(at);
    return at;
}

// ---- what is sent ----

static void make_id(u8 id[16], const Op *op, int place) {
    static u32 run;
    if (!run) run = getpid() ^ (u32)now_ns();
    u32 words[4] = {run, op->id << 16 | place, op->serial >> 32, (u32)op->serial};
    memcpy(id, words, 16);
}

static void seal(Link *link) {
    if (!link->messages) return;
    u8 *frame = link->out.data + link->frame_at;
    u32 size = link->out.size - link->frame_at - 4;
    u8 head[FRAME_HEAD] = {size >> 24, size >> 16, size >> 8, size, 0x99, link->messages >> 8, link->messages};
    memcpy(frame, head, FRAME_HEAD);
    link->messages = 0;
}

// The message begins; the frame that it goes into is closed by `seal`.
static Buffer *begin_message(Link *link, int place_of_op, int fields, int tag) {
    if (link->messages == MOST_MESSAGES || link->out.size - link->frame_at > FRAME_TARGET) seal(link);
    if (!link->messages++) {
        link->frame_at = link->out.size;
        put(&link->out, "\0\0\0\0\x99\0\0", FRAME_HEAD);
    }
    u32 id = link->next_tag++;
    link->slots[id % MAX_SLOTS] = place_of_op;
    ops[place_of_op].tag = id;
    put_array(&link->out, fields);
    put_int(&link->out, tag);
    put_int(&link->out, id);
    return &link->out;
}

static void send_claim(Link *link, Op *op, const char *key, size_t size, int place, bool here) {
    Buffer *out = begin_message(link, op->id, 5, CLAIM_REQUEST);
    u8 id[16];
    make_id(id, op, place);
    put_int(out, TIMEOUT_MS);
    put8(out, here ? 0xf5 : 0xf4);
    put_array(out, 6);
    put_text(out, key, size);
    put_bytes(out, value, settings.value_size);
    put_text(out, "application/octet-stream", 24);
    put_text(out, CLAIMANT, sizeof CLAIMANT - 1);
    put_bytes(out, id, 16);
    put_text(out, "", 0);
}

static void send_get(Link *link, Op *op, const char *key, size_t size) {
    Buffer *out = begin_message(link, op->id, 4, GET_REQUEST);
    put_int(out, TIMEOUT_MS);
    put_text(out, key, size);
}

static void send_watch(Link *link, Op *op) {
    Buffer *out = begin_message(link, op->id, 6, WATCH_REQUEST);
    put_int(out, TIMEOUT_MS);
    put_text(out, settings.prefix, strlen(settings.prefix) - 1);  // a prefix is whole segments
    if (position.size) put(out, position.data, position.size);
    else put8(out, 0xf6);
    put_int(out, 1000);
}

static void put_tenure(Buffer *out, const Op *op) {
    u8 id[16];
    make_id(id, op, 0);
    put_array(out, 3);
    put_text(out, settings.lock, strlen(settings.lock));
    put_int(out, op->term);
    put_bytes(out, id, 16);
}

static void send_lock(Link *link, Op *op) {
    Buffer *out = begin_message(link, op->id, 6, LOCK_REQUEST);
    u8 id[16];
    make_id(id, op, 0);
    put_int(out, TIMEOUT_MS);
    put_text(out, settings.lock, strlen(settings.lock));
    put8(out, 0xf5);
    put_array(out, has_secrets() ? 6 : 5);
    put_text(out, CLAIMANT, sizeof CLAIMANT - 1);
    put_bytes(out, id, 16);
    put_int(out, TTL_MS);
    if (has_secrets()) put_bytes(out, SECRET_HASH, sizeof SECRET_HASH);
    put_text(out, "", 0);
    put_bytes(out, "", 0);
}

static void send_keep_alive(Link *link, Op *op) {
    Buffer *out = begin_message(link, op->id, has_secrets() ? 5 : 4, KEEP_ALIVE_REQUEST);
    put_int(out, TIMEOUT_MS);
    put_tenure(out, op);
    if (has_secrets()) put_bytes(out, SECRET, sizeof SECRET);
}

static void send_release(Link *link, Op *op) {
    Buffer *out = begin_message(link, op->id, has_secrets() ? 6 : 5, END_REQUEST);
    put_int(out, TIMEOUT_MS);
    put_tenure(out, op);
    put_array(out, 3);
    put_int(out, 1);
    put_text(out, CLAIMANT, sizeof CLAIMANT - 1);
    put_text(out, "", 0);
    if (has_secrets()) put_bytes(out, SECRET, sizeof SECRET);
}

// ---- to whom ----

// Endpoints in the order in which they are preferred as coordinators of `path`.
static void order(const char *path, size_t size, int *nodes) {
    u64 scores[MAX_ENDPOINTS];
    for (int i = 0; i < settings.endpoints; i++) {
        char text[MAX_PATH * 2];
        size_t name = strlen(settings.node[i]) + 1;
        memcpy(text, settings.node[i], name);
        memcpy(text + name, path, size);
        u64 score = blake2b_8(text, name + size);
        int place = i;
        for (; place && scores[place - 1] < score; place--) {
            scores[place] = scores[place - 1];
            nodes[place] = nodes[place - 1];
        }
        scores[place] = score;
        nodes[place] = i;
    }
}

// The link to the first node that is up, and not silent if another can be had; NULL: all are down.
static Link *route(const Op *op, const char *path, size_t size, bool *here) {
    int nodes[MAX_ENDPOINTS], count = settings.endpoints;
    order(path, size, nodes);
    u64 now = settings.robust ? now_ns() : 0;
    for (int patient = 0; patient < 2; patient++)
        for (int i = 0; i < count; i++) {
            int node = nodes[(op->tries + i) % count];
            Link *link = &links[op->client * count + node];
            if (link->state != LINK_READY || (!patient && now < link->avoid_until)) continue;
            *here = node != nodes[0];
            return link;
        }
    return NULL;
}

// The name of a key; if all keys have one home, with an end by which it has that home.
static int name_at_home(char *name, u64 key) {
    int nodes[MAX_ENDPOINTS], size = key_name(name, key), bare = size;
    for (u32 end = 0; settings.home; end++) {
        order(name, size, nodes);
        if (!strcmp(settings.node[nodes[0]], settings.home)) break;
        if (end > 9999) die("%s is the home of no key", settings.home);
        size = bare + sprintf(name + bare, "-%u", end);
    }
    return size;
}

static bool send_keyed(Op *op, u64 key, int place) {
    char name[MAX_PATH];
    int size = name_at_home(name, key);
    bool here;
    Link *link = route(op, name, size, &here);
    if (!link) return false;
    op->link = link->id;
    if (op->kind == CLAIM) send_claim(link, op, name, size, place, here);
    else send_get(link, op, name, size);
    return true;
}

static bool send_batch(Op *op) {
    op->pending = settings.batch;
    op->worst = DONE;
    for (int i = 0; i < settings.batch; i++) {
        u64 key = op->kind == CLAIM ? op->key + i : settings.key_base + (i ? draw() % settings.keyspace : op->key - settings.key_base);
        if (!send_keyed(op, key, i)) return false;
    }
    return true;
}

static bool send_about_lock(Op *op) {
    char path[MAX_PATH * 2];
    int size = snprintf(path, sizeof path, "$locks/%s", settings.lock);
    bool here;
    Link *link = route(op, path, size, &here);
    if (!link) return false;
    op->link = link->id;
    if (op->kind == LOCK_ASK) send_lock(link, op);
    else if (op->kind == LOCK_KEEP) send_keep_alive(link, op);
    else send_release(link, op);
    return true;
}

static bool send_op(Op *op) {
    if (op->kind == CLAIM || op->kind == READ || op->kind == STALE_READ) return send_batch(op);
    if (op->kind != WATCH) return send_about_lock(op);
    op->link = op->client * settings.endpoints;
    send_watch(&links[op->link], op);
    return true;
}

// ---- what comes back ----

static Status judge(Op *op, const u8 *decree) {
    if (op->kind != CLAIM) return DONE;
    const u8 *at = decree + 1;
    for (int i = 0; i < 4; i++) at = skip(at);
    int major;
    u64 size;
    u8 id[16];
    at = take_head(at, &major, &size);
    make_id(id, op, 0);
    // in a batch the last four bytes and the operation tell it as well
    bool own = size == 16 && !memcmp(at, id, 4) && !memcmp(at + 6, id + 6, 10);
    return own ? DONE : TAKEN;
}

static void keep_reply(Op *op, const u8 *from, const u8 *end) {
    op->reply_size = end - from < MAX_REPLY ? end - from : MAX_REPLY;
    memcpy(op->reply, from, op->reply_size);
}

static void page(Link *link, Op *op, const u8 *decrees, const u8 *end) {
    const u8 *at = skip(decrees), *behind = skip(at);
    event_seen(decrees, at - decrees);
    bool first = !position.size;
    position.size = 0;
    put(&position, at, behind - at);
    (void)end;
    send_watch(link, op);
    if (first) settled(op, DONE);
}

// $locks/NAME@TERM is the key of a term's decree
static void note_term(Op *op, const u8 *decree) {
    int major;
    u64 size;
    const u8 *key = take_head(decree + 1, &major, &size), *at = memchr(key, '@', size);
    op->term = at ? strtol((const char *)at + 1, NULL, 10) : 0;
    op->notified = skip(decree)[0] == 0xf5;  // leased: no keep-alive is needed
}

static void count_down(Op *op, Status status) {
    if (status > op->worst) op->worst = status;
    if (--op->pending == 0) settled(op, op->worst);
}

static void answer(Link *link, Op *op, u64 tag, const u8 *body, const u8 *end) {
    switch (tag) {
    case DECREED:
        if (work == &contend_work) keep_reply(op, body, end);
        count_down(op, judge(op, body));
        return;
    case UNDECIDED: count_down(op, ABSENT); return;
    case WATCH_PAGE: page(link, op, body, end); return;
    case GRANTED: note_term(op, body); settled(op, DONE); return;
    case KEPT: case ENDED: settled(op, DONE); return;
    default:
        if (op->pending && op->kind <= STALE_READ) count_down(op, FAILED);
        else settled(op, FAILED);
    }
}

static void message(Link *link, const u8 *at, const u8 *end) {
    u64 tag, id;
    at = take_int(at + 1, &tag);
    if (link->state == LINK_GREETING) {
        if (tag != WELCOME) link_failed(link);
        else link_ready(link);
        return;
    }
    at = take_int(at, &id);
    int slot = link->slots[id % MAX_SLOTS];
    if (slot < 0) return;
    link->slots[id % MAX_SLOTS] = -1;
    answer(link, &ops[slot], tag, at, end);
}

static size_t take(Link *link, const u8 *bytes, size_t size) {
    size_t used = 0;
    while (size - used >= 4 && size - used - 4 >= get32(bytes + used)) {
        const u8 *at = bytes + used + 4;
        used += 4 + get32(bytes + used);
        int major;
        u64 count;
        at = take_head(at, &major, &count);
        while (count-- && link->state >= LINK_GREETING) {
            const u8 *end = skip(at);
            message(link, at, end);
            at = end;
        }
    }
    return used;
}

static void greet(Link *link) {
    char HELLO[] = "\x85\x01\x67" "decreed\x02\x02\x64load";
    HELLO[10] = HELLO[11] = settings.wire;
    put32(&link->out, sizeof HELLO);
    put8(&link->out, 0x81);
    put(&link->out, HELLO, sizeof HELLO - 1);
}

static void withdraw(Op *op) {
    Link *link = &links[op->link];
    link->slots[op->tag % MAX_SLOTS] = -1;
    link->avoid_until = now_ns() + AVOID_NS;
}

static LockStep next_lock_step(Op *op, Status status) {
    (void)status;
    switch (op->kind) {
    case LOCK_ASK:
        op->kind = op->notified ? LOCK_RELEASE : LOCK_KEEP;
        return op->notified ? HOLDING : GO_ON;
    case LOCK_KEEP: op->kind = LOCK_RELEASE; return HOLDING;
    default: op->kind = LOCK_ASK; return RELEASED;
    }
}

const Protocol decreed_protocol = {
    .name = "decreed", .routes = true, .greet = greet, .send = send_op, .take = take, .seal = seal,
    .withdraw = withdraw, .first_lock_step = LOCK_ASK, .next_lock_step = next_lock_step,
};
