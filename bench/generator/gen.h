// A closed-loop load generator for decreed, etcd, ZooKeeper and Redis, in one thread.
//
// It speaks each system's own protocol over plain sockets, so that the servers are measured and not a
// client. An operation is what a caller waits for: one claim, one read, one batch, one lock cycle. A
// protocol (`Protocol`) turns operations into bytes and replies into `settled`; a work (`Work`) decides
// what is asked next. Neither knows of the other. The result is one JSON object on standard output.
#ifndef GEN_H
#define GEN_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

enum { MAX_ENDPOINTS = 16, MAX_PIDS = 16, MAX_SLOTS = 1 << 16, MAX_REPLY = 2048, MAX_PATH = 192 };

typedef struct { u8 *data; size_t size, capacity, sent; } Buffer;

typedef enum {
    CLAIM, READ, STALE_READ, WATCH, PUT,
    // the steps of a lock cycle; which of them a protocol takes is its own affair
    LOCK_FOLDER, LOCK_SESSION, LOCK_ASK, LOCK_LOOK, LOCK_AWAIT, LOCK_KEEP, LOCK_RELEASE,
} Kind;

typedef enum { DONE, TAKEN, ABSENT, FAILED } Status;

typedef enum { LINK_DOWN, LINK_DIALLING, LINK_SHAKING_HANDS, LINK_GREETING, LINK_READY } LinkState;

typedef struct {
    int id, fd, endpoint;
    LinkState state;
    bool wants_write;
    void *tls;          // NULL without TLS
    Buffer in, out;
    u64 retry_at;       // when a link that is down is dialled again
    u64 avoid_until;    // a node that was silent is passed over until then
    u32 next_tag;
    int *slots;         // tag modulo MAX_SLOTS -> operation, -1 for none
    u32 first, last;    // Redis answers in order: a queue in `slots`
    long window;        // HTTP/2: how many bytes may be sent
    long first_window;  // HTTP/2: how many of them at the beginning of a stream
    long received;      // HTTP/2: bytes of bodies taken and not yet acknowledged
    int entries, base_entry, path_entry[8];  // HTTP/2: the table of headers
    u32 messages;       // decreed: messages in `out` that are not yet in a frame
    size_t frame_at;    // decreed: where that frame begins in `out`
} Link;

typedef struct {
    int id, link, client;
    Kind kind;
    bool busy;          // somebody waits for it
    bool waiting;       // not sent yet, for its link is not ready
    bool resting;       // sent again at `resume_at`
    int tries, pending; // pending: answers that a batch still waits for
    Status worst;       // of the answers of a batch so far
    u64 key, first_sent, sent_at, resume_at, serial;
    u32 tag;
    bool notified;      // ZooKeeper: the watch fired before its answer came
    long term, stream_window;
    Buffer body;        // HTTP/2: what the flow control has held back
    u32 reply_size;
    u8 reply[MAX_REPLY];
    char path[MAX_PATH], before[MAX_PATH];
} Op;

typedef enum { GO_ON, HOLDING, RELEASED, AWAITING } LockStep;

typedef struct {
    const char *name;
    bool routes;            // each client has a link to each node, and a key goes to its home
    bool read_after_loss;   // a claim that lost does not say who won
    void (*greet)(Link *);
    bool (*send)(Op *);     // false: the link is not ready, or has no room
    size_t (*take)(Link *, const u8 *, size_t);  // returns how many bytes were whole replies
    void (*seal)(Link *);   // before bytes leave; may be NULL
    void (*withdraw)(Op *); // nobody waits for the answer any more; may be NULL
    Kind first_lock_step;
    LockStep (*next_lock_step)(Op *, Status);
} Protocol;

typedef struct {
    const char *name;
    void (*begin)(void);
    void (*settled)(Op *, Status, u64 now);
    void (*tick)(u64 now);  // may be NULL
} Work;

typedef struct {
    const char *op, *prefix, *lock;
    const char *ca, *cert, *key;  // of TLS; NULL without it
    const char *home;             // decreed: the node that is the home of all keys; NULL: keys are spread
    char host[MAX_ENDPOINTS][64], node[MAX_ENDPOINTS][64];
    int port[MAX_ENDPOINTS], endpoints;
    int clients, outstanding, batch, value_size, key_size, wire, pids[MAX_PIDS], pid_count;
    double seconds, warm_up, patience, rate, series_ms;
    u64 count, keyspace, key_base;
    bool robust, eager, sync_first;
} Settings;

extern Settings settings;
extern const Protocol *protocol;
extern const Work *work;
extern const Protocol decreed_protocol, etcd_protocol, zookeeper_protocol, redis_protocol;
extern const Work load_work, contend_work, watch_work, lock_work;
extern Link *links;
extern Op *ops;
extern int link_count, op_count;
extern bool measuring, stopping, finished;
extern char *value;

// buffers.c
void put(Buffer *, const void *, size_t);
void put8(Buffer *, u8);
void put16(Buffer *, u32);
void put32(Buffer *, u32);
void put64(Buffer *, u64);
void drop(Buffer *, size_t);
u32 get32(const u8 *);
int key_name(char *, u64 key);

// links.c
void open_links(void);
void link_ready(Link *);
void link_failed(Link *);
void flush(Link *);
void redial(u64 now);
void poll_links(int timeout_ms);
bool all_ready(void);
int usable_link(int preferred);

// tls.c
void begin_tls(Link *);
ssize_t shake_hands(Link *);
ssize_t tls_send(Link *, const void *, size_t);
ssize_t tls_receive(Link *, void *, size_t);

// loop.c
void issue(Op *);
void settled(Op *, Status);
void die(const char *, ...) __attribute__((noreturn, format(printf, 1, 2)));
u64 now_ns(void);
u64 draw(void);

// works.c
void event_seen(const u8 *, size_t);
int winner_in(const Op *);

// account.c
typedef struct { u64 *items; size_t size, capacity; } Samples;
typedef struct {
    Samples latency, second;  // nanoseconds; second: of the acquiring alone, or from sending
    u64 done, failed, lost, absent, retries, redials, mismatches, acquired;
    u64 last_ack, longest_gap, gap_at, first_ack;
} Account;
extern Account account;
void sample(Samples *, u64 ns);
void begin_account(void);
void acknowledged(u64 now, u64 since, u64 operations);
void end_account(void);
void print_account(void);

// blake2b.c
u64 blake2b_8(const void *, size_t);
#endif
