// What was measured: latencies, gaps, and CPU time from the process accounts; printed as JSON.
#include "gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CELLS = 100000 };
Account account;

// A cell of the series: what was acknowledged in one stretch of time.
static struct { size_t first; u64 operations; } cells[MAX_CELLS + 1];
static size_t cell_count;
static u64 started, ended;
static double server_before[MAX_PIDS], server_after[MAX_PIDS], client_before, client_after;

// Seconds of CPU of the reaped children of a process: a whole number of ticks.
static double cpu_of_children(int pid) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *behind_name = strrchr(text, ')');
    long user, system;
    if (!behind_name || sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %ld %ld", &user, &system) != 2)
        return 0;
    return (user + system) / (double)sysconf(_SC_CLK_TCK);
}

// Seconds of CPU of a process and its reaped children, user and system together; -1 if it is gone.
static double cpu_of(int pid) {
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) return -1;
    return used.tv_sec + used.tv_nsec / 1e9 + cpu_of_children(pid);
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void sample(Samples *samples, u64 ns) {
    if (samples->size == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 1 << 16;
        samples->items = realloc(samples->items, samples->capacity * sizeof(u64));
        if (!samples->items) die("no memory");
    }
    samples->items[samples->size++] = ns;
}

void begin_account(void) {
    measuring = true;
    account.latency.size = account.second.size = 0;
    account.done = account.failed = account.lost = account.absent = account.retries = account.acquired = 0;
    account.longest_gap = cell_count = 0;
    for (int i = 0; i < settings.pid_count; i++) server_before[i] = cpu_of(settings.pids[i]);
    client_before = own_cpu();
    started = account.last_ack = now_ns();
}

static void note_cell(u64 now, u64 operations) {
    if (settings.series_ms <= 0) return;
    size_t cell = (now - started) / (u64)(settings.series_ms * 1e6);
    if (cell >= MAX_CELLS) cell = MAX_CELLS - 1;
    while (cell_count <= cell) {
        cells[cell_count].first = account.latency.size;
        cells[cell_count++].operations = 0;
    }
    cells[cell].operations += operations;
}

static void note_gap(u64 now) {
    if (now - account.last_ack > account.longest_gap) {
        account.longest_gap = now - account.last_ack;
        account.gap_at = account.last_ack;
    }
    account.last_ack = now;
}

void acknowledged(u64 now, u64 since, u64 operations) {
    if (!account.first_ack) account.first_ack = now;
    if (!measuring) return;
    note_cell(now, operations);
    note_gap(now);
    account.done += operations;
    sample(&account.latency, now - since);
}

void end_account(void) {
    ended = now_ns();
    note_gap(ended);
    for (int i = 0; i < settings.pid_count; i++) server_after[i] = cpu_of(settings.pids[i]);
    client_after = own_cpu();
}

static int by_size(const void *left, const void *right) {
    u64 a = *(const u64 *)left, b = *(const u64 *)right;
    return a < b ? -1 : a > b;
}

static double us(const u64 *sorted, size_t size, double share) { return sorted[(size_t)((size - 1) * share)] / 1e3; }

static void print_latency(const char *name, u64 *items, size_t size) {
    if (!size) return;
    qsort(items, size, sizeof *items, by_size);
    double sum = 0;
    for (size_t i = 0; i < size; i++) sum += items[i];
    printf(", \"%s\": {\"n\": %zu, \"mean_us\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}",
           name, size, sum / size / 1e3, us(items, size, .5), us(items, size, .9), us(items, size, .99), us(items, size, .999), us(items, size, 1));
}

// Before all latencies are sorted together: each cell has its own.
static void print_series(void) {
    if (settings.series_ms <= 0) return;
    printf(", \"series_ms\": %g, \"series\": [", settings.series_ms);
    for (size_t i = 0; i < cell_count; i++) {
        size_t end = i + 1 < cell_count ? cells[i + 1].first : account.latency.size, size = end - cells[i].first;
        u64 *items = account.latency.items + cells[i].first;
        qsort(items, size, sizeof *items, by_size);
        printf("%s[%llu, %.0f, %.0f, %.0f]", i ? ", " : "", (unsigned long long)cells[i].operations, size ? us(items, size, .5) : 0,
               size ? us(items, size, .99) : 0, size ? us(items, size, 1) : 0);
    }
    printf("]");
}

static void print_cpu(void) {
    double total = 0;
    printf(", \"server_cpu_each_s\": [");
    for (int i = 0; i < settings.pid_count; i++) {
        // a server that was killed meanwhile has no account any more
        double used = server_before[i] < 0 || server_after[i] < 0 ? 0 : server_after[i] - server_before[i];
        printf("%s%.4f", i ? ", " : "", used);
        total += used;
    }
    printf("], \"server_cpu_s\": %.6f, \"client_cpu_s\": %.6f", total, client_after - client_before);
}

void print_account(void) {
    double seconds = (ended - started) / 1e9;
    printf("{\"op\": \"%s\", \"outstanding\": %d, \"elapsed_s\": %.4f, \"done\": %llu, \"per_s\": %.2f, \"failed\": %llu, \"lost\": %llu, \"absent\": %llu, \"retries\": %llu, \"redials\": %llu, \"mismatches\": %llu, \"acquired\": %llu",
           settings.op, settings.outstanding, seconds, (unsigned long long)account.done, account.done / seconds,
           (unsigned long long)account.failed, (unsigned long long)account.lost, (unsigned long long)account.absent,
           (unsigned long long)account.retries, (unsigned long long)account.redials, (unsigned long long)account.mismatches,
           (unsigned long long)account.acquired);
    printf(", \"started_ns\": %llu, \"first_ack_ns\": %llu, \"longest_gap_ms\": %.2f, \"gap_at_ns\": %llu", (unsigned long long)started,
           (unsigned long long)account.first_ack, account.longest_gap / 1e6, (unsigned long long)account.gap_at);
    print_cpu();
    print_series();
    print_latency("latency", account.latency.items, account.latency.size);
    print_latency("second_latency", account.second.items, account.second.size);
    printf("}\n");
}
