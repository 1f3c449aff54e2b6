// etcd: gRPC over HTTP/2, as little of both as it takes.
#include "gen.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DATA, HEADERS, RESET = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE, INITIAL_WINDOW_SIZE = 4 };
enum { END_STREAM = 1, END_HEADERS = 4, MAX_DATA = 16384, FIRST_WINDOW = 65535, TTL_S = 600, MAX_KEY = 512 };
static const long OUR_WINDOW = 0x7fff0000;
typedef enum { TXN, RANGE, PUT_KEY, GRANT, LOCK, UNLOCK, WATCH_STREAM } Method;
static const char *const PATHS[] = {
    "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put",
    "/etcdserverpb.Lease/LeaseGrant", "/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock", "/etcdserverpb.Watch/Watch",
};

// ---- protocol buffers ----

static void put_varint(Buffer *out, u64 number) {
    for (; number >= 128; number >>= 7) put8(out, (number & 127) | 128);
    put8(out, number);
}

static void field_number(Buffer *out, int field, u64 number) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

static void field_bytes(Buffer *out, int field, const void *bytes, size_t size) {
    put_varint(out, field << 3 | 2);
    put_varint(out, size);
    put(out, bytes, size);
}

static void field_text(Buffer *out, int field, const char *text) { field_bytes(out, field, text, strlen(text)); }
static void field_message(Buffer *out, int field, const Buffer *inner) { field_bytes(out, field, inner->data, inner->size); }

static const u8 *take_varint(const u8 *at, const u8 *end, u64 *number) {
    *number = 0;
    for (int shift = 0; at < end; shift += 7) {
        *number |= (u64)(*at & 127) << shift;
        if (!(*at++ & 128)) break;
    }
    return at;
}

// The number or the bytes of `field` in a reply's message; NULL if it is not there.
static const u8 *find_field(const Op *op, u64 field, u64 *number) {
    const u8 *at = op->reply + 5, *end = op->reply + op->reply_size;
    while (at < end) {
        u64 key;
        at = take_varint(at, end, &key);
        at = take_varint(at, end, number);
        if (key >> 3 == field) return at;
        if ((key & 7) == 2) at += *number;
        else if ((key & 7) != 0) return NULL;
    }
    return NULL;
}

// ---- requests ----

// If the key was never created, put it; otherwise read it.
static void put_txn(Buffer *out, const char *key) {
    static Buffer inner, deeper;
    inner.size = 0;
    field_number(&inner, 2, 1);
    field_text(&inner, 3, key);
    field_number(&inner, 5, 0);
    field_message(out, 1, &inner);
    deeper.size = inner.size = 0;
    field_text(&deeper, 1, key);
    field_bytes(&deeper, 2, value, settings.value_size);
    field_message(&inner, 2, &deeper);
    field_message(out, 2, &inner);
    deeper.size = inner.size = 0;
    field_text(&deeper, 1, key);
    field_message(&inner, 1, &deeper);
    field_message(out, 3, &inner);
}

// Put a key whatever it was, as `etcdctl check perf` does; the key is filled up to its size.
static void put_key(Buffer *out, const char *key) {
    char padded[MAX_KEY];
    size_t size = strlen(key), whole = settings.key_size < MAX_KEY ? settings.key_size : MAX_KEY;
    memset(padded, '.', sizeof padded);
    memcpy(padded, key, size);
    field_bytes(out, 1, padded, size > whole ? size : whole);
    field_bytes(out, 2, value, settings.value_size);
}

static void put_watch(Buffer *out) {
    static Buffer inner;
    char end[MAX_PATH];
    snprintf(end, sizeof end, "%s", settings.prefix);
    end[strlen(end) - 1]++;
    inner.size = 0;
    field_text(&inner, 1, settings.prefix);
    field_text(&inner, 2, end);
    field_message(out, 1, &inner);
}

static u64 lease_of(const Op *op) { return 0x100000 + (u64)getpid() * 1000 + op->id; }

static Method put_request(Buffer *out, const Op *op) {
    char key[MAX_PATH];
    key_name(key, op->key);
    switch (op->kind) {
    case CLAIM: put_txn(out, key); return TXN;
    case PUT: put_key(out, key); return PUT_KEY;
    case LOCK_SESSION: field_number(out, 1, TTL_S); field_number(out, 2, lease_of(op)); return GRANT;
    case LOCK_ASK: field_text(out, 1, settings.lock); field_number(out, 2, lease_of(op)); return LOCK;
    case LOCK_RELEASE: field_text(out, 1, op->path); return UNLOCK;
    case WATCH: put_watch(out); return WATCH_STREAM;
    default:
        field_text(out, 1, key);
        if (op->kind == STALE_READ) field_number(out, 7, 1);
        return RANGE;
    }
}

// ---- HTTP/2 ----

static void put_frame(Buffer *out, u32 size, u8 type, u8 flags, u32 stream) {
    u8 head[5] = {size >> 16, size >> 8, size, type, flags};
    put(out, head, 5);
    put32(out, stream);
}

// A header that the table keeps: later it is one byte.
static void put_literal(Buffer *out, const char *name, int known, const char *text) {
    put8(out, 0x40 | known);
    if (!known) {
        put8(out, strlen(name));
        put(out, name, strlen(name));
    }
    put8(out, strlen(text));
    put(out, text, strlen(text));
}

static void put_indexed(Link *link, Buffer *out, int entry) { put8(out, 0x80 | (62 + link->entries - 1 - entry)); }

static void put_common_headers(Link *link, Buffer *out) {
    if (link->base_entry >= 0) {
        for (int i = 0; i < 3; i++) put_indexed(link, out, link->base_entry + i);
        return;
    }
    char authority[80];
    snprintf(authority, sizeof authority, "%s:%d", settings.host[link->endpoint], settings.port[link->endpoint]);
    put_literal(out, "", 1, authority);
    put_literal(out, "te", 0, "trailers");
    put_literal(out, "", 31, "application/grpc");
    link->base_entry = link->entries;
    link->entries += 3;
}

static void put_headers(Link *link, Method method, u32 stream) {
    static Buffer headers;
    headers.size = 0;
    put(&headers, "\x83\x86", 2);  // POST, http
    if (link->path_entry[method] >= 0) put_indexed(link, &headers, link->path_entry[method]);
    else {
        put_literal(&headers, "", 4, PATHS[method]);
        link->path_entry[method] = link->entries++;
    }
    put_common_headers(link, &headers);
    put_frame(&link->out, headers.size, HEADERS, END_HEADERS, stream);
    put(&link->out, headers.data, headers.size);
}

static long least(long a, long b) { return a < b ? a : b; }

// As much of the body as flow control lets through.
static void push_body(Link *link, Op *op) {
    while (op->body.sent < op->body.size) {
        long room = least(least(link->window, op->stream_window), MAX_DATA);
        long part = least(room, op->body.size - op->body.sent);
        if (part <= 0) return;
        bool last = op->body.sent + part == op->body.size && op->kind != WATCH;
        put_frame(&link->out, part, DATA, last ? END_STREAM : 0, op->tag);
        put(&link->out, op->body.data + op->body.sent, part);
        op->body.sent += part;
        link->window -= part;
        op->stream_window -= part;
    }
}

// Whoever has waited longest goes first; otherwise large values of a few would starve the others.
static Op *oldest_held_back(const Link *link) {
    Op *oldest = NULL;
    for (int i = 0; i < op_count; i++) {
        Op *op = &ops[i];
        if (op->link != link->id || op->waiting || op->body.sent == op->body.size || op->stream_window <= 0) continue;
        if (!oldest || op->sent_at < oldest->sent_at) oldest = op;
    }
    return oldest;
}

static bool send_op(Op *op) {
    static Buffer request;
    Link *link = &links[op->link = usable_link(op->link)];
    if (link->state != LINK_READY) return false;
    request.size = 0;
    Method method = put_request(&request, op);
    op->tag = link->next_tag;
    link->next_tag += 2;
    link->slots[op->tag / 2 % MAX_SLOTS] = op->id;
    op->reply_size = op->body.size = op->body.sent = 0;
    op->stream_window = link->first_window;
    put8(&op->body, 0);
    put32(&op->body, request.size);
    put(&op->body, request.data, request.size);
    put_headers(link, method, op->tag);
    if (oldest_held_back(link) == op) push_body(link, op);
    return true;
}

static void window_grew(Link *link, u32 stream, Op *op, u32 bytes) {
    if (!stream) link->window += bytes;
    else if (op) op->stream_window += bytes;
    for (Op *next; link->window > 0 && (next = oldest_held_back(link));) push_body(link, next);
}

// A server that has measured the path gives later streams, and those under way, more room.
static void settings_came(Link *link, const u8 *bytes, u32 size) {
    for (; size >= 6; bytes += 6, size -= 6) {
        if ((bytes[0] << 8 | bytes[1]) != INITIAL_WINDOW_SIZE) continue;
        long grown = (long)get32(bytes + 2) - link->first_window;
        link->first_window += grown;
        for (int i = 0; i < op_count; i++)
            if (ops[i].link == link->id) ops[i].stream_window += grown;
    }
    put_frame(&link->out, 0, SETTINGS, 1, 0);
    window_grew(link, 0, NULL, 0);
}

static void complete(Link *link, Op *op, bool broken) {
    link->slots[op->tag / 2 % MAX_SLOTS] = -1;
    u64 number = 0;
    Status status = DONE;
    if (broken || op->reply_size < 5) status = FAILED;
    else if (op->kind == CLAIM) status = find_field(op, 2, &number) && number ? DONE : TAKEN;
    else if (op->kind == READ || op->kind == STALE_READ) status = find_field(op, 4, &number) && number ? DONE : ABSENT;
    settled(op, status);
}

static void acknowledge_bytes(Link *link, u32 size) {
    link->received += size;
    if (link->received < 1 << 30) return;
    put_frame(&link->out, 4, WINDOW_UPDATE, 0, 0);
    put32(&link->out, link->received);
    link->received = 0;
}

static void body_came(Link *link, Op *op, u8 flags, const u8 *bytes, u32 size) {
    if (op->kind == WATCH) {
        event_seen(bytes, size);
        if (!op->notified) settled(op, DONE);
        op->notified = true;
        return;
    }
    u32 room = MAX_REPLY - op->reply_size, kept = size < room ? size : room;
    memcpy(op->reply + op->reply_size, bytes, kept);
    op->reply_size += kept;
    if (flags & END_STREAM) complete(link, op, false);
}

static void echo_ping(Link *link, const u8 *bytes) {
    put_frame(&link->out, 8, PING, 1, 0);
    put(&link->out, bytes, 8);
}

static void frame(Link *link, u8 type, u8 flags, u32 stream, const u8 *bytes, u32 size) {
    int slot = stream ? link->slots[stream / 2 % MAX_SLOTS] : -1;
    Op *op = slot >= 0 && ops[slot].tag == stream && ops[slot].link == link->id ? &ops[slot] : NULL;
    switch (type) {
    case DATA:
        acknowledge_bytes(link, size);
        if (op) body_came(link, op, flags, bytes, size);
        return;
    case HEADERS: if (op && flags & END_STREAM) complete(link, op, false); return;
    case RESET: if (op) complete(link, op, true); return;
    case SETTINGS: if (!(flags & 1)) settings_came(link, bytes, size); return;
    case PING: if (!(flags & 1)) echo_ping(link, bytes); return;
    case GOAWAY: link_failed(link); return;
    case WINDOW_UPDATE: window_grew(link, stream, op, get32(bytes)); return;
    }
}

static size_t take(Link *link, const u8 *bytes, size_t size) {
    size_t used = 0;
    while (size - used >= 9) {
        const u8 *at = bytes + used;
        u32 part = get32(at) >> 8;
        if (size - used - 9 < part) break;
        used += 9 + part;
        frame(link, at[3], at[4], get32(at + 5) & 0x7fffffff, at + 9, part);
        if (link->state != LINK_READY) return size;
    }
    return used;
}

static void greet(Link *link) {
    static const u8 INITIAL_WINDOW[12] = {0, 2, 0, 0, 0, 0, 0, 4, 0x3f, 0xff, 0xff, 0xff};
    put(&link->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(&link->out, 12, SETTINGS, 0, 0);
    put(&link->out, INITIAL_WINDOW, sizeof INITIAL_WINDOW);
    put_frame(&link->out, 4, WINDOW_UPDATE, 0, 0);
    put32(&link->out, OUR_WINDOW - FIRST_WINDOW);
    link_ready(link);
}

static void withdraw(Op *op) {
    Link *link = &links[op->link];
    link->slots[op->tag / 2 % MAX_SLOTS] = -1;
    if (link->state == LINK_READY && !op->waiting) {
        put_frame(&link->out, 4, RESET, 0, op->tag);
        put32(&link->out, 8);
    }
    op->body.size = op->body.sent = 0;
    op->link = usable_link((op->link + 1) % link_count);
}

static LockStep next_lock_step(Op *op, Status status) {
    (void)status;
    u64 size = 0;
    const u8 *key;
    switch (op->kind) {
    case LOCK_SESSION: op->kind = LOCK_ASK; return RELEASED;
    case LOCK_ASK:
        key = find_field(op, 2, &size);
        snprintf(op->path, sizeof op->path, "%.*s", (int)size, key ? (const char *)key : "");
        op->kind = LOCK_RELEASE;
        return HOLDING;
    default: op->kind = LOCK_ASK; return RELEASED;
    }
}

const Protocol etcd_protocol = {
    .name = "etcd", .greet = greet, .send = send_op, .take = take, .withdraw = withdraw,
    .first_lock_step = LOCK_SESSION, .next_lock_step = next_lock_step,
};
