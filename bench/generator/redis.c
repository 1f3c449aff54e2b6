// Redis: RESP. Answers come in order, so a queue tells whose they are.
#include "gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char RELEASE[] = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

static void begin(Buffer *out, int arguments) {
    char head[16];
    put(out, head, sprintf(head, "*%d\r\n", arguments));
}

static void argument(Buffer *out, const char *text, size_t size) {
    char head[32];
    put(out, head, sprintf(head, "$%zu\r\n", size));
    put(out, text, size);
    put(out, "\r\n", 2);
}

static void word(Buffer *out, const char *text) { argument(out, text, strlen(text)); }

static void send_claim(Buffer *out, const char *key) {
    bool who = work == &contend_work;
    begin(out, who ? 5 : 4);
    word(out, "SET");
    word(out, key);
    argument(out, value, settings.value_size);
    word(out, "NX");
    if (who) word(out, "GET");
}

static void send_lock(Buffer *out, const char *token) {
    begin(out, 6);
    word(out, "SET");
    word(out, settings.lock);
    word(out, token);
    word(out, "NX");
    word(out, "PX");
    word(out, "30000");
}

static void send_release(Buffer *out, const char *token) {
    begin(out, 5);
    word(out, "EVAL");
    word(out, RELEASE);
    word(out, "1");
    word(out, settings.lock);
    word(out, token);
}

static void send_watch(Buffer *out) {
    char pattern[MAX_PATH + 32];
    snprintf(pattern, sizeof pattern, "__keyspace@0__:%s*", settings.prefix);
    begin(out, 2);
    word(out, "PSUBSCRIBE");
    word(out, pattern);
}

static void send_read(Buffer *out, const char *key) {
    begin(out, 2);
    word(out, "GET");
    word(out, key);
}

static bool send_op(Op *op) {
    Link *link = &links[op->link = usable_link(op->link)];
    if (link->state != LINK_READY) return false;
    char key[MAX_PATH], token[64];
    key_name(key, op->key);
    sprintf(token, "token-%d-%d", getpid(), op->id);
    switch (op->kind) {
    case CLAIM: send_claim(&link->out, key); break;
    case LOCK_ASK: send_lock(&link->out, token); break;
    case LOCK_RELEASE: send_release(&link->out, token); break;
    case WATCH: send_watch(&link->out); break;
    default: send_read(&link->out, key);
    }
    link->slots[link->last++ % MAX_SLOTS] = op->id;
    return true;
}

// How long the value at `at` is, with its header; -1 if it is not whole.
static long length(const u8 *at, size_t size) {
    const u8 *line_end = memmem(at, size, "\r\n", 2);
    if (!line_end) return -1;
    size_t head = line_end - at + 2;
    long number = atol((const char *)at + 1);
    if (*at == '$') return number < 0 ? (long)head : size >= head + number + 2 ? (long)head + number + 2 : -1;
    if (*at != '*') return head;
    for (; number > 0; number--) {
        long part = head < size ? length(at + head, size - head) : -1;
        if (part < 0) return -1;
        head += part;
    }
    return head;
}

static Status judge(const Op *op, const u8 *reply) {
    if (*reply == '-') return FAILED;
    bool nil = reply[0] == '$' && reply[1] == '-';
    if (op->kind == LOCK_ASK) return nil ? TAKEN : DONE;
    if (op->kind != CLAIM) return nil ? ABSENT : DONE;
    // with GET the old value comes back, and nil means that there was none
    return work == &contend_work ? (nil ? DONE : TAKEN) : nil ? TAKEN : DONE;
}

static size_t take(Link *link, const u8 *bytes, size_t size) {
    size_t used = 0;
    for (long part; used < size && (part = length(bytes + used, size - used)) > 0;) {
        const u8 *reply = bytes + used;
        used += part;
        if (memmem(reply, part, "pmessage", 8)) {
            event_seen(reply, part);
            continue;
        }
        if (link->first == link->last) die("an answer that nobody asked for");
        Op *op = &ops[link->slots[link->first++ % MAX_SLOTS]];
        op->reply_size = part < MAX_REPLY ? part : MAX_REPLY;
        memcpy(op->reply, reply, op->reply_size);
        settled(op, judge(op, reply));
        if (link->state != LINK_READY) return size;
    }
    return used;
}

static LockStep next_lock_step(Op *op, Status status) {
    if (op->kind == LOCK_ASK && status == TAKEN) return GO_ON;
    if (op->kind == LOCK_ASK) {
        op->kind = LOCK_RELEASE;
        return HOLDING;
    }
    op->kind = LOCK_ASK;
    return RELEASED;
}

const Protocol redis_protocol = {
    .name = "redis", .greet = link_ready, .send = send_op, .take = take,
    .first_lock_step = LOCK_ASK, .next_lock_step = next_lock_step,
};
