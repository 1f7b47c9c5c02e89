;; Hands the host pointers that lie outside its memory, and says so when one is taken.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\07\00\00\00through")
  (data (i32.const 48) "\f0\ff\00\00\20\00\00\00")
  (func (export "_start")
    (if (i32.or
          (i32.eqz (call $write (i32.const 1) (i32.const -16) (i32.const 2) (i32.const 32)))
          (i32.or
            (i32.eqz (call $write (i32.const 1) (i32.const 48) (i32.const 1) (i32.const 32)))
            (i32.eqz (call $random (i32.const -8) (i32.const 16)))))
      (then (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))))
