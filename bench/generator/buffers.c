// Bytes that grow at one end and leave at the other.
#include "gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put(Buffer *buffer, const void *bytes, size_t size) {
    if (buffer->size + size > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 4096;
        while (capacity < buffer->size + size) capacity *= 2;
        buffer->data = realloc(buffer->data, capacity);
        if (!buffer->data) die("no memory");
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

void put8(Buffer *buffer, u8 number) { put(buffer, &number, 1); }

void put16(Buffer *buffer, u32 number) {
    u8 bytes[2] = {number >> 8, number};
    put(buffer, bytes, 2);
}

void put32(Buffer *buffer, u32 number) {
    u8 bytes[4] = {number >> 24, number >> 16, number >> 8, number};
    put(buffer, bytes, 4);
}

void put64(Buffer *buffer, u64 number) {
    put32(buffer, number >> 32);
    put32(buffer, (u32)number);
}

void drop(Buffer *buffer, size_t size) {
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

u32 get32(const u8 *bytes) {
    return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

int key_name(char *name, u64 key) {
    return sprintf(name, "%s%010llu", settings.prefix, (unsigned long long)key);
}
