// Input is JSON on stdin, output is JSON on stdout. The two system calls are declared here: AssemblyScript brings none.

@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, buffers: usize, count: i32, read: usize): i32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, buffers: usize, count: i32, written: usize): i32;

export function _start(): void {
  const name = textField(readAll(), "name");
  writeAll('{"result":"Hello, ' + (name === null ? "World" : name) + '!"}');
}

function readAll(): string {
  const chunk = new ArrayBuffer(4096);
  const call = new StaticArray<u32>(3); // address, length, bytes read
  const at = changetype<usize>(call);
  let input = new Uint8Array(0);
  while (true) {
    call[0] = changetype<usize>(chunk) as u32;
    call[1] = chunk.byteLength;
    if (fd_read(0, at, 1, at + 8) != 0 || call[2] == 0) break;
    const longer = new Uint8Array(input.length + call[2]);
    longer.set(input);
    longer.set(Uint8Array.wrap(chunk, 0, call[2]), input.length);
    input = longer;
  }
  return String.UTF8.decode(input.buffer);
}

function writeAll(text: string): void {
  const bytes = String.UTF8.encode(text);
  const call = new StaticArray<u32>(3); // address, length, bytes written
  const at = changetype<usize>(call);
  let done: u32 = 0;
  while (done < <u32>bytes.byteLength) {
    call[0] = <u32>changetype<usize>(bytes) + done;
    call[1] = bytes.byteLength - done;
    if (fd_write(1, at, 1, at + 8) != 0) return;
    done += call[2];
  }
}

/** The text of a field of a flat JSON object, escapes left as they are. */
function textField(json: string, field: string): string | null {
  let at = json.indexOf('"' + field + '"');
  if (at < 0) return null;
  at = skipSpace(json, at + field.length + 2);
  if (json.charAt(at) != ":") return null;
  at = skipSpace(json, at + 1);
  if (json.charAt(at) != '"') return null;
  const start = at + 1;
  let end = start;
  while (end < json.length && json.charAt(end) != '"') end += json.charAt(end) == "\\" ? 2 : 1;
  return end < json.length ? json.substring(start, end) : null;
}

function skipSpace(text: string, from: i32): i32 {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at++;
  return at;
}
