// What is asked: a load of claims or reads, many clients for one key, a watch, lock cycles.
#include "gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const u64 MS = 1000000;
static u64 next_key, next_time, handed_out;

static void start(Op *op, Kind kind, u64 key) {
    op->kind = kind;
    op->key = key;
    op->tries = 0;
    op->busy = true;
    op->serial = ++handed_out;
    op->first_sent = now_ns();
    issue(op);
}

static void rest(Op *op, u64 now, u64 ms) {
    op->resting = true;
    op->resume_at = now + ms * MS;
}

// ---- a load ----

static Kind load_kind(void) {
    if (!strcmp(settings.op, "claim")) return CLAIM;
    if (!strcmp(settings.op, "put")) return PUT;
    if (!strcmp(settings.op, "stale-read")) return STALE_READ;
    if (!strcmp(settings.op, "read") || settings.sync_first) return READ;
    die("no such work: %s", settings.op);
}

// A load at a given rate: the latency counts from when an operation was due.
static void start_when_due(Op *op, Kind kind, u64 key) {
    op->kind = kind;
    op->key = key;
    op->tries = 0;
    op->busy = op->resting = true;
    op->waiting = false;
    op->serial = ++handed_out;
    op->first_sent = op->resume_at = next_time;
    next_time += (u64)(1e9 / settings.rate);
}

static void load_next(Op *op) {
    Kind kind = load_kind();
    u64 key;
    op->busy = false;
    if (stopping) return;
    if (kind == CLAIM || kind == PUT) {
        if (settings.count && next_key >= settings.key_base + settings.count) return;
        key = next_key;
        next_key += settings.batch;
    } else {
        key = settings.key_base + draw() % settings.keyspace;
    }
    if (settings.rate > 0) start_when_due(op, kind, key);
    else start(op, kind, key);
}

static void load_begin(void) {
    next_key = settings.key_base;
    next_time = now_ns();
    for (int i = 0; i < op_count; i++) load_next(&ops[i]);
}

static void load_settled(Op *op, Status status, u64 now) {
    if (status == FAILED) {
        account.failed++;
        if (settings.robust) {
            op->tries++;
            rest(op, now, settings.eager ? 2 : 10);
            return;
        }
    } else {
        // a claim that was sent twice may have lost to itself
        account.lost += status == TAKEN && !op->tries;
        account.absent += status == ABSENT;
        acknowledged(now, op->first_sent, settings.batch);
        if (settings.count && account.done >= settings.count) finished = true;
    }
    load_next(op);
}

const Work load_work = {.name = "load", .begin = load_begin, .settled = load_settled};

// ---- many clients claim one key ----

static int round_left, round_winner;
static u64 round_start;

int winner_in(const Op *op) {
    const char *mark = memmem(op->reply, op->reply_size, "@@V", 3);
    return mark ? atoi(mark + 3) : op->id;
}

static void begin_round(void) {
    u64 key = next_key++;
    round_left = op_count;
    round_winner = -1;
    round_start = now_ns();
    for (int i = 0; i < op_count; i++) {
        char mark[16];
        memcpy(value, mark, sprintf(mark, "@@V%06dx", i));
        start(&ops[i], CLAIM, key);
    }
}

static void contend_begin(void) {
    next_key = settings.key_base;
    begin_round();
}

static void contend_settled(Op *op, Status status, u64 now) {
    if (status == FAILED) {
        account.failed++;
        issue(op);
        return;
    }
    if (protocol->read_after_loss && op->kind == CLAIM && status == TAKEN) {
        op->kind = READ;
        issue(op);
        return;
    }
    int winner = op->kind == CLAIM && status == DONE ? op->id : winner_in(op);
    if (round_winner < 0) round_winner = winner;
    else if (round_winner != winner) account.mismatches++;
    op->busy = false;
    if (--round_left) return;
    acknowledged(now, round_start, 1);
    if (!stopping) begin_round();
}

const Work contend_work = {.name = "contend", .begin = contend_begin, .settled = contend_settled};

// ---- one claims, one watches ----

enum { MOST_EVENTS = 1 << 20 };
static u64 sent[MOST_EVENTS], acked[MOST_EVENTS], seen[MOST_EVENTS];
static bool watching;

static void watch_begin(void) {
    next_key = settings.key_base;
    start(&ops[1], WATCH, 0);
}

static void claim_watched(Op *op) {
    u64 place = next_key - settings.key_base;
    if (stopping || place >= MOST_EVENTS) return;
    sent[place] = now_ns();
    start(op, CLAIM, next_key++);
}

static void watch_settled(Op *op, Status status, u64 now) {
    if (status == FAILED) account.failed++;
    if (op->id == 1) {
        watching = true;
        return;
    }
    if (status != FAILED) {
        acked[op->key - settings.key_base] = now;
        account.done += measuring;
    }
    op->busy = false;
    op->resume_at = now + MS;
}

static void sum_up_events(void) {
    for (u64 i = 0; i < MOST_EVENTS; i++) {
        if (!acked[i] || !seen[i]) { account.lost += acked[i] != 0; continue; }
        // the event may be there before the acknowledgement
        sample(&account.latency, seen[i] > acked[i] ? seen[i] - acked[i] : 0);
        sample(&account.second, seen[i] - sent[i]);
    }
}

static void watch_tick(u64 now) {
    if (stopping) sum_up_events();
    else if (watching && !ops[0].busy && now >= ops[0].resume_at) claim_watched(&ops[0]);
}

void event_seen(const u8 *bytes, size_t size) {
    u64 now = now_ns();
    size_t length = strlen(settings.prefix);
    const u8 *end = bytes + size;
    while ((bytes = memmem(bytes, end - bytes, settings.prefix, length))) {
        bytes += length;
        char number[16] = "";
        memcpy(number, bytes, end - bytes < 10 ? end - bytes : 10);
        u64 place = strtoull(number, NULL, 10) - settings.key_base;
        if (place < MOST_EVENTS && !seen[place]) seen[place] = now;
    }
}

const Work watch_work = {.name = "watch", .begin = watch_begin, .settled = watch_settled, .tick = watch_tick};

// ---- lock cycles ----

static void lock_begin(void) {
    for (int i = 0; i < op_count; i++) start(&ops[i], protocol->first_lock_step, 0);
}

static void note_holding(Op *op, u64 now) {
    if (!measuring) return;
    account.acquired++;
    sample(&account.second, now - op->first_sent);
}

static void lock_settled(Op *op, Status status, u64 now) {
    if (status == FAILED) {
        account.failed++;
        op->kind = protocol->first_lock_step;
        rest(op, now, 10);
        return;
    }
    switch (protocol->next_lock_step(op, status)) {
    case AWAITING: return;
    case HOLDING: note_holding(op, now); break;
    case GO_ON: break;
    case RELEASED:
        acknowledged(now, op->first_sent, 1);
        start(op, op->kind, 0);
        return;
    }
    issue(op);
}

const Work lock_work = {.name = "lock", .begin = lock_begin, .settled = lock_settled};
