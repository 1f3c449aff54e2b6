// The program: reads its settings, turns the loop, prints the account.
#include "gen.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t ended_early;

enum { NOT_READY_S = 60 };
static const u64 MS = 1000000, SECOND = 1000000000;

Settings settings = {
    .op = "claim", .prefix = "/b-", .lock = "/lock", .clients = 1, .outstanding = 1, .batch = 1,
    .value_size = 64, .seconds = 8, .warm_up = 2, .patience = 0.5, .keyspace = 1, .wire = 2,
};
const Protocol *protocol;
const Work *work;
Link *links;
Op *ops;
int link_count, op_count;
bool measuring, stopping, finished;
char *value;

static const Protocol *const PROTOCOLS[] = {&decreed_protocol, &etcd_protocol, &zookeeper_protocol, &redis_protocol};
static const Work *const WORKS[] = {&load_work, &contend_work, &watch_work, &lock_work};

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

u64 now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (u64)time.tv_sec * SECOND + time.tv_nsec;
}

u64 draw(void) {
    static u64 state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

void issue(Op *op) {
    op->sent_at = now_ns();
    op->resting = false;
    op->waiting = !protocol->send(op);
}

void settled(Op *op, Status status) { work->settled(op, status, now_ns()); }

// Operations that were put off, and those whose node is silent.
static void look_after_ops(u64 now) {
    for (int i = 0; i < op_count; i++) {
        Op *op = &ops[i];
        if (!op->busy) continue;
        if (op->resting && now >= op->resume_at) issue(op);
        else if (op->waiting && !op->resting && settings.robust) issue(op);
        else if (settings.robust && protocol->withdraw && !op->resting && now - op->sent_at > (u64)(settings.patience * 1e9)) {
            protocol->withdraw(op);
            account.retries++;
            op->tries++;
            issue(op);
        }
    }
}

// ---- settings ----

static void add_endpoint(char *text) {
    char *name = strchr(text, '=');
    int i = settings.endpoints++;
    if (i == MAX_ENDPOINTS) die("more than %d endpoints", MAX_ENDPOINTS);
    if (name) {
        *name = 0;
        snprintf(settings.node[i], sizeof settings.node[i], "%s", text);
        text = name + 1;
    }
    char *port = strchr(text, ':');
    if (!port) die("%s is no endpoint: HOST:PORT", text);
    *port = 0;
    snprintf(settings.host[i], sizeof settings.host[i], "%s", text);
    settings.port[i] = atoi(port + 1);
}

static void add_pid(char *text) {
    if (settings.pid_count < MAX_PIDS) settings.pids[settings.pid_count++] = atoi(text);
}

static void each(const char *list, void (*take)(char *)) {
    char *copy = strdup(list);
    for (char *part = strtok(copy, ","); part; part = strtok(NULL, ",")) take(part);
}

static void choose(const char *name) {
    for (size_t i = 0; i < sizeof PROTOCOLS / sizeof *PROTOCOLS; i++)
        if (!strcmp(PROTOCOLS[i]->name, name)) protocol = PROTOCOLS[i];
}

static bool set_flag(const char *name) {
    if (!strcmp(name, "--robust")) settings.robust = true;
    else if (!strcmp(name, "--eager")) settings.robust = settings.eager = true;
    else return false;
    return true;
}

static void set(const char *name, const char *text) {
    if (!strcmp(name, "--protocol")) choose(text);
    else if (!strcmp(name, "--endpoints")) each(text, add_endpoint);
    else if (!strcmp(name, "--pids")) each(text, add_pid);
    else if (!strcmp(name, "--op")) settings.op = text;
    else if (!strcmp(name, "--prefix")) settings.prefix = text;
    else if (!strcmp(name, "--lock")) settings.lock = text;
    else if (!strcmp(name, "--ca")) settings.ca = text;
    else if (!strcmp(name, "--cert")) settings.cert = text;
    else if (!strcmp(name, "--key")) settings.key = text;
    else if (!strcmp(name, "--clients")) settings.clients = atoi(text);
    else if (!strcmp(name, "--outstanding")) settings.outstanding = atoi(text);
    else if (!strcmp(name, "--batch")) settings.batch = atoi(text);
    else if (!strcmp(name, "--home")) settings.home = text;
    else if (!strcmp(name, "--wire")) settings.wire = atoi(text);
    else if (!strcmp(name, "--key-size")) settings.key_size = atoi(text);
    else if (!strcmp(name, "--value-size")) settings.value_size = atoi(text);
    else if (!strcmp(name, "--seconds")) settings.seconds = atof(text);
    else if (!strcmp(name, "--warm-up")) settings.warm_up = atof(text);
    else if (!strcmp(name, "--patience")) settings.patience = atof(text);
    else if (!strcmp(name, "--rate")) settings.rate = atof(text);
    else if (!strcmp(name, "--series-ms")) settings.series_ms = atof(text);
    else if (!strcmp(name, "--count")) settings.count = strtoull(text, NULL, 10);
    else if (!strcmp(name, "--keyspace")) settings.keyspace = strtoull(text, NULL, 10);
    else if (!strcmp(name, "--key-base")) settings.key_base = strtoull(text, NULL, 10);
    else die("no such option: %s", name);
}

static void read_settings(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        if (set_flag(arguments[i])) continue;
        if (i + 1 == count) die("%s needs a value", arguments[i]);
        set(arguments[i], arguments[i + 1]);
        i++;
    }
    if (!protocol) die("--protocol is one of decreed, etcd, zookeeper, redis");
    if (!settings.endpoints) die("--endpoints is missing");
    settings.sync_first = !strcmp(settings.op, "sync-read");
    work = &load_work;
    for (size_t i = 0; i < sizeof WORKS / sizeof *WORKS; i++)
        if (!strcmp(WORKS[i]->name, settings.op)) work = WORKS[i];
}

static void make_ops(void) {
    if (work == &contend_work || work == &lock_work) settings.outstanding = settings.clients;
    if (work == &watch_work) settings.clients = settings.outstanding = 2;
    if (!protocol->routes && settings.clients > settings.outstanding) settings.clients = settings.outstanding;
    op_count = settings.outstanding;
    ops = calloc(op_count, sizeof *ops);
    for (int i = 0; i < op_count; i++) {
        ops[i].id = i;
        ops[i].link = ops[i].client = i % settings.clients;
    }
    size_t size = settings.value_size < 16 ? 16 : settings.value_size;
    value = malloc(size);
    memset(value, 'x', size);
}

static void turn(u64 *begun, u64 start) {
    poll_links(settings.robust || settings.rate > 0 || work == &watch_work ? 1 : 20);
    u64 now = now_ns();
    if (!*begun && (settings.eager || all_ready())) {
        *begun = now;
        if (settings.warm_up <= 0) begin_account();
        work->begin();
    }
    if (settings.robust) redial(now);
    if (!*begun && now - start > NOT_READY_S * SECOND) die("no connection within %d s", NOT_READY_S);
    if (!*begun) return;
    if (!measuring && now - *begun >= (u64)(settings.warm_up * 1e9)) begin_account();
    look_after_ops(now);
    if (work->tick) work->tick(now);
    double whole = settings.warm_up + settings.seconds;
    if (now - *begun >= (u64)(whole * 1e9)) finished = true;
}

// SIGTERM ends a load early; what was measured so far is printed.
static void end_early(int number) {
    (void)number;
    ended_early = 1;
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end_early);
    read_settings(count, arguments);
    make_ops();
    u64 start = now_ns(), begun = 0;
    open_links();
    while (!finished && !ended_early) turn(&begun, start);
    stopping = true;
    end_account();
    // events of a watch that are still under way
    for (u64 end = now_ns() + 300 * MS; work == &watch_work && now_ns() < end;) poll_links(10);
    if (work == &watch_work) work->tick(0);
    print_account();
    return 0;
}
