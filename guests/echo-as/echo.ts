// Answers {"echo":<input>}, the input byte for byte; null when there is none.

@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, buffers: usize, count: i32, read: usize): i32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, buffers: usize, count: i32, written: usize): i32;

const CHUNK: i32 = 4096;

export function _start(): void {
  const chunk = new ArrayBuffer(CHUNK);
  let count = readChunk(chunk);
  writeText('{"echo":');
  if (count == 0) writeText("null");
  for (; count > 0; count = readChunk(chunk)) writeAll(changetype<usize>(chunk), count);
  writeText("}");
}

function readChunk(chunk: ArrayBuffer): u32 {
  const call = new StaticArray<u32>(3); // address, length, bytes read
  const at = changetype<usize>(call);
  call[0] = <u32>changetype<usize>(chunk);
  call[1] = CHUNK;
  return fd_read(0, at, 1, at + 8) == 0 ? call[2] : 0;
}

function writeText(text: string): void {
  const bytes = String.UTF8.encode(text);
  writeAll(changetype<usize>(bytes), bytes.byteLength);
}

function writeAll(address: usize, length: u32): void {
  const call = new StaticArray<u32>(3); // address, length, bytes written
  const at = changetype<usize>(call);
  for (let done: u32 = 0; done < length; done += call[2]) {
    call[0] = <u32>address + done;
    call[1] = length - done;
    if (fd_write(1, at, 1, at + 8) != 0) return;
  }
}
