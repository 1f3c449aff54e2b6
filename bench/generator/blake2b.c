// BLAKE2b (RFC 7693) without a key, to 8 bytes: how decreed finds the home of a key.
#include "gen.h"
#include <string.h>

static const u64 START[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};
static const u8 ORDER[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

// Inline and unrolled, the state stays in registers, which takes half the time.
#define INLINE static inline __attribute__((always_inline))

INLINE u64 turned(u64 word, int bits) { return word >> bits | word << (64 - bits); }

INLINE void mix(u64 v[16], int a, int b, int c, int d, u64 x, u64 y) {
    v[a] += v[b] + x;
    v[d] = turned(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = turned(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 63);
}

static void compress(u64 state[8], const u8 block[128], u64 length, bool last) {
    u64 v[16], words[16];
    memcpy(words, block, sizeof words);  // the machine is taken to be little-endian
    memcpy(v, state, 64);
    memcpy(v + 8, START, 64);
    v[12] ^= length;
    if (last) v[14] = ~v[14];
#pragma GCC unroll 12
    for (int round = 0; round < 12; round++) {
        const u8 *o = ORDER[round % 10];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) mix(v, i, 4 + i, 8 + i, 12 + i, words[o[2 * i]], words[o[2 * i + 1]]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, words[o[8 + 2 * i]], words[o[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

// The eight bytes as a number that compares as they do.
u64 blake2b_8(const void *bytes, size_t size) {
    u64 state[8], done = 0;
    memcpy(state, START, sizeof state);
    state[0] ^= 0x01010000 ^ 8;
    u8 block[128];
    for (;; done += 128) {
        size_t left = size - done, part = left < 128 ? left : 128;
        memset(block, 0, sizeof block);
        memcpy(block, (const u8 *)bytes + done, part);
        compress(state, block, done + part, left <= 128);
        if (left <= 128) return __builtin_bswap64(state[0]);
    }
}
