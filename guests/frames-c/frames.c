/* A call for each frame of a WebSocket, in C: the frame is the input, and the output is its answer. Answers
 * {"client":"…","echo":"…"}; a frame `send TEXT` is answered by a frame TEXT of its own before that, and `fail` fails. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_CALL(name) __attribute__((import_module("env"), import_name(#name)))

HOST_CALL(get_ws_client_id) uint64_t get_ws_client_id(void);
HOST_CALL(ws_send) uint32_t ws_send(const char *client, uint32_t client_length, const char *data, uint32_t length);

/* The host puts results where this says. */
__attribute__((export_name("orama_alloc"))) void *orama_alloc(uint32_t size) { return malloc(size); }

static void print_string(const unsigned char *text, size_t length) {
    putchar('"');
    for (const unsigned char *c = text; c < text + length; c++) {
        if (*c == '"' || *c == '\\') printf("\\%c", *c);
        else if (*c < 0x20) printf("\\u%04x", *c);
        else putchar(*c);
    }
    putchar('"');
}

int main(void) {
    static char frame[1 << 20];
    size_t length = fread(frame, 1, sizeof frame, stdin);
    if (length == 4 && !memcmp(frame, "fail", 4)) return 3;
    if (length > 5 && !memcmp(frame, "send ", 5)) ws_send(NULL, 0, frame + 5, length - 5);
    uint64_t client = get_ws_client_id();
    printf("{\"client\":");
    print_string((const unsigned char *)(uintptr_t)(client >> 32), (uint32_t)client);
    printf(",\"echo\":");
    print_string((const unsigned char *)frame, length);
    puts("}");
    return 0;
}
