/* An instance for each WebSocket, in C. It logs what it is opened and closed with. A frame is one of these commands, else it is
 * sent back as it is:
 *   count                         {"frames":n}, where n counts the frames of this socket
 *   who                           {"client":"…","wallet":"…"}
 *   bridge TOPIC, unbridge TOPIC  forwards the messages of the topic to this socket, or ends that
 *   publish TOPIC TEXT            publishes a message
 *   broadcast TOPIC TEXT          sends a frame to every socket that is bridged to the topic
 *   set TOPIC KEY TEXT            state that dies with this socket (at most a minute)
 *   clear TOPIC KEY, list TOPIC   ends and shows such state
 *   bye                           closes the socket
 *   trap, exit, loop, eat         fails: traps, ends the program, never ends, takes all memory
 * Commands that answer a number send it: {"command":1}. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_CALL(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

HOST_CALL(get_ws_client_id) uint64_t get_ws_client_id(void);
HOST_CALL(get_caller_wallet) uint64_t get_caller_wallet(void);
HOST_CALL(log_info) void log_info(const char *message, uint32_t length);
HOST_CALL(ws_send) uint32_t ws_send(const char *client, uint32_t client_length, const char *data, uint32_t length);
HOST_CALL(ws_broadcast) uint32_t ws_broadcast(const char *topic, uint32_t topic_length, const char *data, uint32_t length);
HOST_CALL(ws_pubsub_bridge)
uint32_t ws_pubsub_bridge(const char *client, uint32_t client_length, const char *topic, uint32_t topic_length);
HOST_CALL(ws_pubsub_unbridge)
uint32_t ws_pubsub_unbridge(const char *client, uint32_t client_length, const char *topic, uint32_t topic_length);
HOST_CALL(pubsub_publish)
uint32_t pubsub_publish(const char *topic, uint32_t topic_length, const char *data, uint32_t length);
HOST_CALL(ephemeral_state_set)
uint32_t ephemeral_state_set(const char *topic, uint32_t topic_length, const char *key, uint32_t key_length,
                             const char *payload, uint32_t length, int64_t ttl_ms);
HOST_CALL(ephemeral_state_clear)
uint32_t ephemeral_state_clear(const char *topic, uint32_t topic_length, const char *key, uint32_t key_length);
HOST_CALL(ephemeral_state_list) uint64_t ephemeral_state_list(const char *topic, uint32_t topic_length);

static unsigned frames;

static void answer(const char *data, size_t length) { ws_send(NULL, 0, data, length); }

/* A result as a C string, in memory that the caller gives back. */
static char *text_of(uint64_t packed) {
    uint32_t length = (uint32_t)packed;
    char *place = (char *)(uintptr_t)(packed >> 32);
    char *text = calloc(length + 1, 1);
    if (packed) memcpy(text, place, length);
    free(place);
    return text;
}

static void answer_number(const char *command, uint32_t number) {
    char line[96];
    answer(line, snprintf(line, sizeof line, "{\"%s\":%u}", command, number));
}

static void answer_who(void) {
    char *client = text_of(get_ws_client_id()), *wallet = text_of(get_caller_wallet());
    char line[512];
    answer(line, snprintf(line, sizeof line, "{\"client\":\"%.200s\",\"wallet\":\"%.200s\"}", client, wallet));
    free(client);
    free(wallet);
}

static void answer_list(const char *topic) {
    char *list = text_of(ephemeral_state_list(topic, strlen(topic)));
    answer(list, strlen(list));
    free(list);
}

/* Commands with up to three words behind them; 0 when it is none. */
static int carry_out(char *text) {
    char *rest = text, *command = strsep(&rest, " "), *topic = strsep(&rest, " ");
    if (!strcmp(command, "count") && !topic) return answer_number("frames", frames), 1;
    if (!strcmp(command, "who") && !topic) return answer_who(), 1;
    if (!topic) return 0;
    uint32_t length = strlen(topic);
    if (!strcmp(command, "bridge")) return answer_number(command, ws_pubsub_bridge(NULL, 0, topic, length)), 1;
    if (!strcmp(command, "unbridge")) return answer_number(command, ws_pubsub_unbridge(NULL, 0, topic, length)), 1;
    if (!strcmp(command, "list")) return answer_list(topic), 1;
    if (!rest) return 0;
    if (!strcmp(command, "publish")) return answer_number(command, pubsub_publish(topic, length, rest, strlen(rest))), 1;
    if (!strcmp(command, "broadcast")) return answer_number(command, ws_broadcast(topic, length, rest, strlen(rest))), 1;
    char *key = strsep(&rest, " ");
    uint32_t key_length = strlen(key);
    if (!strcmp(command, "clear")) return answer_number(command, ephemeral_state_clear(topic, length, key, key_length)), 1;
    if (strcmp(command, "set")) return 0;
    const char *payload = rest ? rest : "";
    return answer_number(command, ephemeral_state_set(topic, length, key, key_length, payload, strlen(payload), 60000)), 1;
}

static int is(const char *frame, uint32_t length, const char *word) {
    return length == strlen(word) && !memcmp(frame, word, length);
}

EXPORT(ws_open) int ws_open(const char *info, uint32_t length) {
    log_info(info, length);
    return 0;
}

EXPORT(ws_frame) int ws_frame(const char *frame, uint32_t length) {
    frames++;
    if (is(frame, length, "bye")) return 1;
    if (is(frame, length, "trap")) __builtin_trap();
    if (is(frame, length, "exit")) exit(3);
    for (volatile int on = is(frame, length, "loop"); on;) continue;
    if (is(frame, length, "eat")) {
        for (char *more = malloc(1 << 20); more; more = malloc(1 << 20)) memset(more, 1, 1 << 20);
        abort();
    }
    char *text = length < 4096 && !memchr(frame, 0, length) ? strndup(frame, length) : NULL;
    if (!text || !carry_out(text)) answer(frame, length);
    free(text);
    return 0;
}

EXPORT(ws_close) void ws_close(const char *reason, uint32_t length) { log_info(reason, length); }
