// ZooKeeper: jute over TCP. A session keeps the order of what is sent.
#include "gen.h"
#include <stdio.h>
#include <string.h>

enum { CREATE = 1, DELETE = 2, EXISTS = 3, GET_DATA = 4, GET_CHILDREN = 8, SYNC = 9, ADD_WATCH = 106 };
enum { NODE_EXISTS = -110, NO_NODE = -101, NOTIFICATION = -1, SESSION_MS = 30000, EPHEMERAL_SEQUENTIAL = 3 };

static void put_string(Buffer *out, const char *text) {
    put32(out, strlen(text));
    put(out, text, strlen(text));
}

static size_t begin(Link *link, int op_id, int type, u32 *tag) {
    size_t at = link->out.size;
    *tag = link->next_tag++;
    link->slots[*tag % MAX_SLOTS] = op_id;
    put32(&link->out, 0);
    put32(&link->out, *tag);
    put32(&link->out, type);
    return at;
}

static void end(Buffer *out, size_t at) {
    u32 size = out->size - at - 4;
    u8 head[4] = {size >> 24, size >> 16, size >> 8, size};
    memcpy(out->data + at, head, 4);
}

static void put_create(Buffer *out, const char *path, int flags) {
    put_string(out, path);
    put32(out, settings.value_size);
    put(out, value, settings.value_size);
    put32(out, 1);
    put32(out, 31);
    put_string(out, "world");
    put_string(out, "anyone");
    put32(out, flags);
}

static int type_of(Kind kind) {
    switch (kind) {
    case CLAIM: case LOCK_FOLDER: case LOCK_ASK: return CREATE;
    case LOCK_LOOK: return GET_CHILDREN;
    case LOCK_AWAIT: return EXISTS;
    case LOCK_RELEASE: return DELETE;
    case WATCH: return ADD_WATCH;
    default: return GET_DATA;
    }
}

static void put_body(Buffer *out, const Op *op, const char *key) {
    char asked[MAX_PATH];
    switch (op->kind) {
    case CLAIM: put_create(out, key, 0); break;
    case LOCK_FOLDER: put_create(out, settings.lock, 0); break;
    case LOCK_ASK:
        snprintf(asked, sizeof asked, "%s/lock-", settings.lock);
        put_create(out, asked, EPHEMERAL_SEQUENTIAL);
        break;
    case LOCK_LOOK: put_string(out, settings.lock); put8(out, 0); break;
    case LOCK_AWAIT: put_string(out, op->before); put8(out, 1); break;
    case LOCK_RELEASE: put_string(out, op->path); put32(out, -1); break;
    case WATCH: put_string(out, "/"); put32(out, 1); break;
    default: put_string(out, key); put8(out, 0);
    }
}

// A read by itself may be stale; behind a sync of the same session it is not.
static void send_sync(Link *link, const char *key) {
    u32 tag;
    size_t at = begin(link, -1, SYNC, &tag);
    put_string(&link->out, key);
    end(&link->out, at);
}

static bool send_op(Op *op) {
    Link *link = &links[op->link = usable_link(op->link)];
    if (link->state != LINK_READY) return false;
    char key[MAX_PATH];
    key_name(key, op->key);
    if (settings.sync_first) send_sync(link, key);
    size_t at = begin(link, op->id, type_of(op->kind), &op->tag);
    put_body(&link->out, op, key);
    end(&link->out, at);
    return true;
}

// The watch on the node before ours fired: look again who is first.
static void predecessor_gone(const Link *link) {
    for (int i = 0; i < op_count; i++) {
        Op *op = &ops[i];
        if (op->link != link->id || op->kind != LOCK_AWAIT) continue;
        if (op->waiting) {
            op->kind = LOCK_LOOK;
            issue(op);
        } else {
            op->notified = true;
        }
    }
}

static void notified(Link *link, const u8 *body, size_t size) {
    if (work == &watch_work) event_seen(body, size);
    else if (work == &lock_work) predecessor_gone(link);
}

static void reply(Link *link, const u8 *at, size_t size) {
    int tag = get32(at), error = get32(at + 12);
    const u8 *body = at + 16;
    size -= 16;
    if (tag == NOTIFICATION) { notified(link, body, size); return; }
    if (tag < 0 || link->slots[tag % MAX_SLOTS] < 0) return;
    Op *op = &ops[link->slots[tag % MAX_SLOTS]];
    link->slots[tag % MAX_SLOTS] = -1;
    if (op->tag != (u32)tag) return;
    op->reply_size = size < MAX_REPLY ? size : MAX_REPLY;
    memcpy(op->reply, body, op->reply_size);
    settled(op, error == 0 ? DONE : error == NODE_EXISTS ? TAKEN : error == NO_NODE ? ABSENT : FAILED);
}

static size_t take(Link *link, const u8 *bytes, size_t size) {
    size_t used = 0;
    while (size - used >= 4 && size - used - 4 >= get32(bytes + used)) {
        const u8 *at = bytes + used + 4;
        size_t part = get32(bytes + used);
        used += 4 + part;
        if (link->state == LINK_GREETING) link_ready(link);
        else reply(link, at, part);
        if (link->state != LINK_READY) return size;
    }
    return used;
}

static void greet(Link *link) {
    static const u8 PASSWORD[16];
    Buffer *out = &link->out;
    put32(out, 45);
    put32(out, 0);
    put64(out, 0);
    put32(out, SESSION_MS);
    put64(out, 0);
    put32(out, sizeof PASSWORD);
    put(out, PASSWORD, sizeof PASSWORD);
    put8(out, 0);
}

static void withdraw(Op *op) {
    links[op->link].slots[op->tag % MAX_SLOTS] = -1;
    op->link = usable_link((op->link + 1) % link_count);
}

// Who stands before us in the children of the lock; empty if nobody does.
static void find_predecessor(const Op *op, char *best) {
    const u8 *at = op->reply;
    const char *own = strrchr(op->path, '/') + 1;
    int count = get32(at);
    at += 4;
    *best = 0;
    for (; count; count--) {
        char name[64] = "";
        u32 size = get32(at);
        memcpy(name, at + 4, size < 63 ? size : 63);
        at += 4 + size;
        if (strcmp(name, own) < 0 && strcmp(name, best) > 0) strcpy(best, name);
    }
}

static LockStep looked(Op *op) {
    char best[64];
    find_predecessor(op, best);
    op->kind = *best ? LOCK_AWAIT : LOCK_RELEASE;
    op->notified = false;
    if (*best) snprintf(op->before, sizeof op->before, "%s/%s", settings.lock, best);
    return *best ? GO_ON : HOLDING;
}

static LockStep next_lock_step(Op *op, Status status) {
    switch (op->kind) {
    case LOCK_FOLDER: op->kind = LOCK_ASK; return RELEASED;
    case LOCK_ASK:
        snprintf(op->path, sizeof op->path, "%.*s", (int)get32(op->reply), (const char *)op->reply + 4);
        op->kind = LOCK_LOOK;
        return GO_ON;
    case LOCK_LOOK: return looked(op);
    case LOCK_AWAIT:
        if (status == DONE && !op->notified) {
            op->waiting = true;  // until the watch fires
            return AWAITING;
        }
        op->kind = LOCK_LOOK;
        return GO_ON;
    default: op->kind = LOCK_ASK; return RELEASED;
    }
}

const Protocol zookeeper_protocol = {
    .name = "zookeeper", .read_after_loss = true, .greet = greet, .send = send_op, .take = take, .withdraw = withdraw,
    .first_lock_step = LOCK_FOLDER, .next_lock_step = next_lock_step,
};
