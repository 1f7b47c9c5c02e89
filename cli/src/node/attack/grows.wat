;; Grows its memory for as long as it may, and says so when it has 20 MiB: 4 more than its limit.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\07\00\00\00through")
  (func (export "_start")
    (loop $again
      (br_if $again
        (i32.and
          (i32.ne (memory.grow (i32.const 1)) (i32.const -1))
          (i32.lt_u (memory.size) (i32.const 320)))))
    (if (i32.ge_u (memory.size) (i32.const 320))
      (then (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))))
