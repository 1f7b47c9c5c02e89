/* A module of the shape that TinyGo makes for `-target wasi`: a `_start` without libc, `malloc` and `free` exported, exactly
 * these WASI imports, and a host call from `env`. Answers {"echo":<input>,"request_id":"...","name":"..."}. */
#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

typedef struct {
    void *bytes;
    uint32_t length;
} Buffer;

WASI(fd_write) uint16_t fd_write(int32_t fd, const Buffer *buffers, uint32_t count, uint32_t *written);
WASI(fd_read) uint16_t fd_read(int32_t fd, const Buffer *buffers, uint32_t count, uint32_t *read);
WASI(clock_time_get) uint16_t clock_time_get(int32_t clock, uint64_t precision, uint64_t *nanoseconds);
WASI(random_get) uint16_t random_get(void *bytes, uint32_t length);
WASI(args_sizes_get) uint16_t args_sizes_get(uint32_t *count, uint32_t *bytes);
WASI(args_get) uint16_t args_get(char **pointers, char *bytes);
WASI(environ_sizes_get) uint16_t environ_sizes_get(uint32_t *count, uint32_t *bytes);
WASI(environ_get) uint16_t environ_get(char **pointers, char *bytes);
WASI(proc_exit) _Noreturn void proc_exit(int32_t code);
__attribute__((import_module("env"), import_name("get_request_id"))) uint64_t get_request_id(void);

extern unsigned char __heap_base;
static uintptr_t heap_end;

EXPORT(malloc) void *malloc(uint32_t size) {
    if (!heap_end) heap_end = (uintptr_t)&__heap_base;
    uintptr_t start = (heap_end + 15) & ~(uintptr_t)15;
    uintptr_t pages = (start + size + 65535) / 65536;
    uintptr_t have = __builtin_wasm_memory_size(0);
    if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (uintptr_t)-1) return NULL;
    heap_end = start + size;
    return (void *)start;
}

EXPORT(free) void free(void *pointer) { (void)pointer; }

static void write_all(const char *bytes, uint32_t length) {
    while (length > 0) {
        uint32_t written = 0;
        Buffer buffer = {(void *)bytes, length};
        if (fd_write(1, &buffer, 1, &written) != 0) proc_exit(1);
        bytes += written;
        length -= written;
    }
}

static uint32_t length_of(const char *text) {
    uint32_t length = 0;
    while (text[length]) length++;
    return length;
}

static void write_text(const char *text) { write_all(text, length_of(text)); }

/* What TinyGo's runtime asks for before `main`: a seed, the clocks, arguments and environment. */
static const char *start_runtime(void) {
    uint64_t seed, now, monotonic;
    uint32_t count = 0, bytes = 0;
    if (random_get(&seed, sizeof seed) || clock_time_get(0, 1000, &now) || clock_time_get(1, 1000, &monotonic)) proc_exit(2);
    if (environ_sizes_get(&count, &bytes)) proc_exit(3);
    if (count > 0 && environ_get(malloc(count * sizeof(char *)), malloc(bytes))) proc_exit(3);
    if (args_sizes_get(&count, &bytes)) proc_exit(4);
    if (count == 0) return "";
    char **arguments = malloc(count * sizeof *arguments);
    if (args_get(arguments, malloc(bytes))) proc_exit(4);
    return arguments[0];
}

EXPORT(_start) void _start(void) {
    const char *name = start_runtime();
    static char chunk[4096];
    uint32_t total = 0, count = 0;
    write_text("{\"echo\":");
    for (;;) {
        Buffer buffer = {chunk, sizeof chunk};
        if (fd_read(0, &buffer, 1, &count) != 0 || count == 0) break;
        write_all(chunk, count);
        total += count;
    }
    if (total == 0) write_text("null");
    uint64_t packed = get_request_id();
    write_text(",\"request_id\":\"");
    write_all((const char *)(uintptr_t)(packed >> 32), (uint32_t)packed);
    write_text("\",\"name\":\"");
    write_text(name);
    write_text("\"}");
    proc_exit(0);
}
