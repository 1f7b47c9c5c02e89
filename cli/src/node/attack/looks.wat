;; Says so when it is shown any variable of the environment.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\07\00\00\00through")
  (func (export "_start")
    (drop (call $sizes (i32.const 40) (i32.const 44)))
    (if (i32.load (i32.const 40))
      (then (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))))
