//! Turns CSV into JSON. The input is a JSON string that holds CSV, its first line being the names of the columns; the
//! output is a list of objects. The system calls are declared here, so that this file builds with every release of Zig.

const Buffer = extern struct { ptr: [*]u8, len: usize };
const ConstBuffer = extern struct { ptr: [*]const u8, len: usize };

extern "wasi_snapshot_preview1" fn fd_read(fd: i32, buffers: *const Buffer, count: usize, read: *usize) u16;
extern "wasi_snapshot_preview1" fn fd_write(fd: i32, buffers: *const ConstBuffer, count: usize, written: *usize) u16;
extern "wasi_snapshot_preview1" fn proc_exit(code: u32) noreturn;

const Field = struct { text: []const u8, quoted: bool };

const columns_max = 64;

var input: [1 << 20]u8 = undefined;
var output: [4 << 20]u8 = undefined;
var output_length: usize = 0;
var columns: [columns_max]Field = undefined;

export fn _start() void {
    var rest: []const u8 = unescaped(readAll());
    const count = readRow(&rest, &columns);
    if (count == 1 and columns[0].text.len == 0) fail("the input is a JSON string with CSV in it, such as \"name,city\\nAda,London\\n\"\n");
    put("[");
    var row: [columns_max]Field = undefined;
    var first = true;
    while (rest.len > 0) {
        const fields = readRow(&rest, &row);
        if (fields == 1 and row[0].text.len == 0) continue;
        if (!first) put(",");
        first = false;
        putObject(columns[0..count], row[0..@min(fields, count)]);
    }
    put("]");
    writeAll(1, output[0..output_length]);
}

fn putObject(names: []const Field, values: []const Field) void {
    put("{");
    for (values, 0..) |value, i| {
        if (i > 0) put(",");
        putString(names[i]);
        put(":");
        if (isNumber(value)) put(value.text) else putString(value);
    }
    put("}");
}

/// Reads one line; returns how many fields it has. A quoted field may hold commas, line ends, and quotes written twice.
fn readRow(rest: *[]const u8, row: *[columns_max]Field) usize {
    var count: usize = 0;
    while (count < columns_max) {
        row[count] = readField(rest);
        count += 1;
        if (rest.len == 0) return count;
        const separator = rest.*[0];
        rest.* = rest.*[1..];
        if (separator == '\n') return count;
    }
    fail("there are more than 64 columns\n");
}

fn readField(rest: *[]const u8) Field {
    const text = rest.*;
    var at: usize = 0;
    if (text.len > 0 and text[0] == '"') {
        at = 1;
        while (at < text.len) : (at += 1) {
            if (text[at] != '"') continue;
            if (at + 1 < text.len and text[at + 1] == '"') at += 1 else break;
        }
        const quoted = Field{ .text = text[1..@min(at, text.len)], .quoted = true };
        while (at < text.len and text[at] != ',' and text[at] != '\n') at += 1;
        rest.* = text[at..];
        return quoted;
    }
    while (at < text.len and text[at] != ',' and text[at] != '\n') at += 1;
    rest.* = text[at..];
    const end = if (at > 0 and text[at - 1] == '\r') at - 1 else at;
    return .{ .text = text[0..end], .quoted = false };
}

/// Is this a number as JSON writes it? `007` and `1.` are texts.
fn isNumber(field: Field) bool {
    var text = field.text;
    if (field.quoted) return false;
    if (text.len > 0 and text[0] == '-') text = text[1..];
    const whole = digits(text);
    if (whole == 0 or (whole > 1 and text[0] == '0')) return false;
    if (whole == text.len) return true;
    const fraction = digits(text[whole + 1 ..]);
    return text[whole] == '.' and fraction > 0 and whole + 1 + fraction == text.len;
}

fn digits(text: []const u8) usize {
    var count: usize = 0;
    while (count < text.len and text[count] >= '0' and text[count] <= '9') count += 1;
    return count;
}

/// The text of a JSON string, in place; escapes beyond Latin-1 become `?`.
fn unescaped(json: []u8) []u8 {
    var from: usize = 0;
    while (from < json.len and json[from] != '"') from += 1;
    from += 1;
    var to: usize = 0;
    while (from < json.len and json[from] != '"') : (to += 1) {
        if (json[from] == '\\' and from + 1 < json.len) {
            json[to] = switch (json[from + 1]) {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => '?',
                else => json[from + 1],
            };
            from += if (json[from + 1] == 'u') 6 else 2;
        } else {
            json[to] = json[from];
            from += 1;
        }
    }
    return json[0..to];
}

fn putString(field: Field) void {
    put("\"");
    var i: usize = 0;
    while (i < field.text.len) : (i += 1) {
        const byte = field.text[i];
        switch (byte) {
            '"' => {
                put("\\\"");
                // Written twice inside quotes, it counts once.
                if (field.quoted) i += 1;
            },
            '\\' => put("\\\\"),
            '\n' => put("\\n"),
            '\r' => put("\\r"),
            '\t' => put("\\t"),
            0...8, 11, 12, 14...31 => put("?"),
            else => put(field.text[i..][0..1]),
        }
    }
    put("\"");
}

fn put(text: []const u8) void {
    if (output_length + text.len > output.len) fail("the result is larger than 4 MB\n");
    for (text, output_length..) |byte, at| output[at] = byte;
    output_length += text.len;
}

fn readAll() []u8 {
    var length: usize = 0;
    while (length < input.len) {
        var count: usize = 0;
        if (fd_read(0, &.{ .ptr = input[length..].ptr, .len = input.len - length }, 1, &count) != 0 or count == 0) break;
        length += count;
    }
    return input[0..length];
}

fn writeAll(fd: i32, text: []const u8) void {
    var rest = text;
    while (rest.len > 0) {
        var count: usize = 0;
        if (fd_write(fd, &.{ .ptr = rest.ptr, .len = rest.len }, 1, &count) != 0) return;
        rest = rest[count..];
    }
}

fn fail(message: []const u8) noreturn {
    writeAll(2, message);
    proc_exit(1);
}
