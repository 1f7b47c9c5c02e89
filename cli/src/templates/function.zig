//! Input is JSON on stdin, output is JSON on stdout; lines on stderr are for the log.
//! The two system calls are declared here, so that this file builds with every release of Zig.

const Buffer = extern struct { ptr: [*]u8, len: usize };
const ConstBuffer = extern struct { ptr: [*]const u8, len: usize };

extern "wasi_snapshot_preview1" fn fd_read(fd: i32, buffers: *const Buffer, count: usize, read: *usize) u16;
extern "wasi_snapshot_preview1" fn fd_write(fd: i32, buffers: *const ConstBuffer, count: usize, written: *usize) u16;

var input: [1 << 20]u8 = undefined;

export fn _start() void {
    const name = textField(readAll(), "\"name\"") orelse "World";
    writeAll("{\"result\":\"Hello, ");
    writeAll(name);
    writeAll("!\"}");
}

fn readAll() []const u8 {
    var length: usize = 0;
    while (length < input.len) {
        var count: usize = 0;
        const rest = Buffer{ .ptr = input[length..].ptr, .len = input.len - length };
        if (fd_read(0, &rest, 1, &count) != 0 or count == 0) break;
        length += count;
    }
    return input[0..length];
}

fn writeAll(text: []const u8) void {
    var rest = text;
    while (rest.len > 0) {
        var count: usize = 0;
        if (fd_write(1, &ConstBuffer{ .ptr = rest.ptr, .len = rest.len }, 1, &count) != 0) return;
        rest = rest[count..];
    }
}

/// The text of a field of a flat JSON object, escapes left as they are.
fn textField(json: []const u8, quoted_field: []const u8) ?[]const u8 {
    var at = find(json, quoted_field) orelse return null;
    at = skipSpace(json, at);
    if (at >= json.len or json[at] != ':') return null;
    at = skipSpace(json, at + 1);
    if (at >= json.len or json[at] != '"') return null;
    const start = at + 1;
    var end = start;
    while (end < json.len and json[end] != '"') end += if (json[end] == '\\') 2 else 1;
    return if (end < json.len) json[start..end] else null;
}

/// The place behind the first `needle`.
fn find(text: []const u8, needle: []const u8) ?usize {
    var at: usize = 0;
    next: while (at + needle.len <= text.len) : (at += 1) {
        for (needle, 0..) |byte, i| {
            if (text[at + i] != byte) continue :next;
        }
        return at + needle.len;
    }
    return null;
}

fn skipSpace(text: []const u8, from: usize) usize {
    var at = from;
    while (at < text.len and (text[at] == ' ' or text[at] == '\t' or text[at] == '\r' or text[at] == '\n')) at += 1;
    return at;
}
