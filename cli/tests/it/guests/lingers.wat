;; For as long as it may: waits a moment, then writes a row, content, and the value of the secret TOKEN into the cache.
(module
  (import "env" "get_secret" (func $secret (param i32 i32) (result i64)))
  (import "env" "db_execute" (func $execute (param i32 i32 i32 i32) (result i32)))
  (import "env" "cache_set" (func $set (param i32 i32 i32 i32 i64)))
  (import "env" "storage_put" (func $store (param i32 i32 i32 i32) (result i64)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 512) "TOKEN")
  (data (i32.const 520) "INSERT INTO t VALUES ('late')")
  (data (i32.const 552) "[]")
  (data (i32.const 560) "late")
  ;; What comes back is written over what came back before.
  (func (export "orama_alloc") (param $n i32) (result i32) (i32.const 65536))
  (func (export "_start")
    ;; A subscription to the monotonic clock at 128: 20 ms.
    (i32.store (i32.const 144) (i32.const 1))
    (i64.store (i32.const 152) (i64.const 20000000))
    (loop $again
      (drop (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 8)))
      (drop (call $execute (i32.const 520) (i32.const 29) (i32.const 552) (i32.const 2)))
      (drop (call $store (i32.const 560) (i32.const 4) (i32.const 560) (i32.const 4)))
      (call $set (i32.const 560) (i32.const 4)
        (i32.const 65536) (i32.wrap_i64 (call $secret (i32.const 512) (i32.const 5))) (i64.const -1))
      (br $again))))
