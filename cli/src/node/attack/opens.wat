;; Opens /etc/passwd in each of the folders that WASI may have opened before, and says so when it can.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\07\00\00\00through")
  (data (i32.const 64) "../../../../etc/passwd")
  (func $try (param $folder i32) (param $path i32) (param $length i32)
    (if (i32.eqz (call $open (local.get $folder) (i32.const 1) (local.get $path) (local.get $length)
          (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 40)))
      (then (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32))))))
  (func (export "_start") (local $folder i32)
    (loop $again
      (call $try (local.get $folder) (i32.const 64) (i32.const 22))
      (call $try (local.get $folder) (i32.const 75) (i32.const 11))
      (call $try (local.get $folder) (i32.const 76) (i32.const 10))
      (local.set $folder (i32.add (local.get $folder) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $folder) (i32.const 16))))))
