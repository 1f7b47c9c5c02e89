/* Reports everything that a function may learn about its call, as JSON. The input is JSON too and comes back as "input";
 * {"wait_ms":N} in it makes the call wait between two looks, and "steady" says whether both looks saw the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_CALL(name) __attribute__((import_module("env"), import_name(#name)))

HOST_CALL(get_request_id) uint64_t get_request_id(void);
HOST_CALL(get_caller_wallet) uint64_t get_caller_wallet(void);
HOST_CALL(get_caller_jwt_subject) uint64_t get_caller_jwt_subject(void);
HOST_CALL(get_caller_claim) uint64_t get_caller_claim(const char *name, uint32_t length);
HOST_CALL(get_env) uint64_t get_env(const char *key, uint32_t length);
HOST_CALL(get_secret) uint64_t get_secret(const char *name, uint32_t length);
HOST_CALL(log_info) void log_info(const char *message, uint32_t length);
HOST_CALL(log_error) void log_error(const char *message, uint32_t length);

/* The host puts results where this says. */
__attribute__((export_name("orama_alloc"))) void *orama_alloc(uint32_t size) { return malloc(size ? size : 1); }

/* A packed result as a C string: the pointer is in the high half, the length in the low one. */
static char *text_of(uint64_t packed) {
    uint32_t length = (uint32_t)packed;
    char *text = calloc(length + 1, 1);
    if (packed) memcpy(text, (const char *)(uintptr_t)(packed >> 32), length);
    return text;
}

static char *env(const char *key) { return text_of(get_env(key, strlen(key))); }

static void print_string(const char *text) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') printf("\\%c", *c);
        else if (*c < 0x20) printf("\\u%04x", *c);
        else putchar(*c);
    }
    putchar('"');
}

static void field(const char *name, const char *text) {
    printf("\"%s\":", name);
    print_string(text);
    putchar(',');
}

static void log_line(void (*log)(const char *, uint32_t), const char *head, const char *text) {
    static char line[256];
    int length = snprintf(line, sizeof line, "%s %s", head, text);
    log(line, length < (int)sizeof line ? length : (int)sizeof line - 1);
}

static void wait_as_asked(const char *input) {
    const char *at = strstr(input, "\"wait_ms\":");
    if (at) usleep(1000 * strtoul(at + strlen("\"wait_ms\":"), NULL, 10));
}

int main(int count, char **arguments) {
    static char input[65536];
    input[fread(input, 1, sizeof input - 1, stdin)] = '\0';

    char *request_id = text_of(get_request_id());
    char *my_var = env("MY_VAR");
    log_line(log_info, "probe of", request_id);
    wait_as_asked(input);
    log_line(log_error, "probed with", my_var);
    int steady = !strcmp(request_id, text_of(get_request_id())) && !strcmp(my_var, env("MY_VAR"));

    putchar('{');
    field("request_id", request_id);
    field("wallet", text_of(get_caller_wallet()));
    field("subject", text_of(get_caller_jwt_subject()));
    field("claim_tier", text_of(get_caller_claim("tier", 4)));
    field("my_var", my_var);
    field("unset", env("NOT_SET"));
    field("secret", text_of(get_secret("ANY", 3)));
    field("argument", count > 0 ? arguments[0] : "");
    printf("\"steady\":%s,\"input\":%s}", steady ? "true" : "false", *input ? input : "null");
    return 0;
}
