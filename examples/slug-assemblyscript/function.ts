// Turns a title into the last part of an address: "Ada Lovelace's Notes" into "ada-lovelaces-notes". Input is a JSON string,
// output is {"slug": "..."}. The system calls are declared here: AssemblyScript brings none.

@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, buffers: usize, count: i32, read: usize): i32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, buffers: usize, count: i32, written: usize): i32;
@external("env", "log_info")
declare function log_info(message: usize, length: i32): void;

const LENGTH_MAX = 80;

export function _start(): void {
  const title = readAll();
  const slug = slugOf(title);
  log("made a slug of " + slug.length.toString() + " letters");
  writeAll('{"slug":"' + slug + '"}');
}

/** Letters and digits stay, an apostrophe goes, whatever else is between words becomes one hyphen. */
function slugOf(title: string): string {
  let slug = "";
  let gap = false;
  for (let i = 0; i < title.length && slug.length < LENGTH_MAX; i++) {
    const letter = plain(title.charCodeAt(i));
    if (letter == 0) {
      gap = gap || title.charAt(i) != "'";
      continue;
    }
    if (gap && slug.length > 0) slug += "-";
    gap = false;
    slug += String.fromCharCode(letter);
  }
  return slug;
}

/** The lower-case letter or digit of a character; 0 for anything else. */
function plain(code: i32): i32 {
  if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) return code;
  return code >= 65 && code <= 90 ? code + 32 : 0;
}

function readAll(): string {
  const chunk = new ArrayBuffer(4096);
  const call = new StaticArray<u32>(3); // address, length, bytes read
  const at = changetype<usize>(call);
  let text = "";
  while (true) {
    call[0] = <u32>changetype<usize>(chunk);
    call[1] = chunk.byteLength;
    if (fd_read(0, at, 1, at + 8) != 0 || call[2] == 0) return text;
    text += String.UTF8.decode(chunk.slice(0, call[2]));
  }
}

function writeAll(text: string): void {
  const bytes = String.UTF8.encode(text);
  const call = new StaticArray<u32>(3); // address, length, bytes written
  const at = changetype<usize>(call);
  for (let done: u32 = 0; done < <u32>bytes.byteLength; done += call[2]) {
    call[0] = <u32>changetype<usize>(bytes) + done;
    call[1] = bytes.byteLength - done;
    if (fd_write(1, at, 1, at + 8) != 0) return;
  }
}

/** Writes a line into the log of this call. */
function log(message: string): void {
  const bytes = String.UTF8.encode(message);
  log_info(changetype<usize>(bytes), bytes.byteLength);
}
