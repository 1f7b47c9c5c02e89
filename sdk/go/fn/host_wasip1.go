//go:build wasip1

package fn

import "unsafe"

// The host places what it returns into memory that it asks for with orama_alloc. Until that has been read, this map is
// the only thing that keeps the garbage collector away from it.
var given = map[uint32][]byte{}

//go:wasmexport orama_alloc
func oramaAlloc(size uint32) uint32 {
	if size == 0 {
		return 0
	}
	buffer := make([]byte, size)
	place := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(buffer))))
	given[place] = buffer
	return place
}

// take reads a packed result: (pointer << 32) | length, 0 for nothing.
func take(packed uint64) []byte {
	place, length := uint32(packed>>32), uint32(packed)
	buffer := given[place]
	delete(given, place)
	if uint32(len(buffer)) < length {
		return nil
	}
	return buffer[:length]
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func raw(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

//go:wasmexport handle
func handle(place, length uint32) uint64 {
	input := given[place]
	delete(given, place)
	if exported == nil {
		fail(&Error{Message: "no handler: call fn.Export in an init function"})
	}
	if uint32(len(input)) > length {
		input = input[:length]
	}
	output, err := exported(newContext(), input)
	if err != nil {
		fail(err)
	}
	if len(output) == 0 {
		return 0
	}
	kept = output
	// The other way round than everywhere else: the length stands above the pointer.
	return uint64(len(output))<<32 | uint64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))
}

// kept is the output of a reactor until the host has read it.
var kept []byte

//go:wasmimport env get_caller_wallet
func getCallerWallet() uint64

//go:wasmimport env get_caller_jwt_subject
func getCallerJwtSubject() uint64

//go:wasmimport env get_caller_claim
func getCallerClaim(name unsafe.Pointer, nameLen uint32) uint64

//go:wasmimport env get_request_id
func getRequestID() uint64

//go:wasmimport env get_env
func getEnv(key unsafe.Pointer, keyLen uint32) uint64

//go:wasmimport env get_secret
func getSecret(name unsafe.Pointer, nameLen uint32) uint64

//go:wasmimport env log_info
func logInfo(message unsafe.Pointer, messageLen uint32)

//go:wasmimport env log_error
func logError(message unsafe.Pointer, messageLen uint32)

//go:wasmimport env db_query_v2
func dbQuery(sql unsafe.Pointer, sqlLen uint32, args unsafe.Pointer, argsLen uint32) uint64

//go:wasmimport env db_execute_v2
func dbExecute(sql unsafe.Pointer, sqlLen uint32, args unsafe.Pointer, argsLen uint32) uint64

//go:wasmimport env db_transaction
func dbTransaction(ops unsafe.Pointer, opsLen uint32) uint64

//go:wasmimport env db_query_batch
func dbQueryBatch(ops unsafe.Pointer, opsLen uint32) uint64

//go:wasmimport env cache_get
func cacheGet(key unsafe.Pointer, keyLen uint32) uint64

//go:wasmimport env cache_set
func cacheSet(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen uint32, ttlSeconds int64)

//go:wasmimport env cache_delete
func cacheDelete(key unsafe.Pointer, keyLen uint32) uint32

//go:wasmimport env cache_incr_by
func cacheIncrBy(key unsafe.Pointer, keyLen uint32, delta int64) int64

//go:wasmimport env storage_put
func storagePut(name unsafe.Pointer, nameLen uint32, data unsafe.Pointer, dataLen uint32) uint64

//go:wasmimport env storage_get
func storageGet(cid unsafe.Pointer, cidLen uint32) uint64

//go:wasmimport env storage_head
func storageHead(cid unsafe.Pointer, cidLen uint32) uint64

//go:wasmimport env http_fetch
func httpFetch(method unsafe.Pointer, methodLen uint32, url unsafe.Pointer, urlLen uint32, headers unsafe.Pointer, headersLen uint32, body unsafe.Pointer, bodyLen uint32) uint64

//go:wasmimport env set_http_response
func setHTTPResponse(status uint32, headers unsafe.Pointer, headersLen uint32, body unsafe.Pointer, bodyLen uint32) uint32

//go:wasmimport env function_invoke
func functionInvoke(name unsafe.Pointer, nameLen uint32, input unsafe.Pointer, inputLen uint32) uint64

//go:wasmimport env function_invoke_async
func functionInvokeAsync(name unsafe.Pointer, nameLen uint32, input unsafe.Pointer, inputLen uint32) uint32

func hostCallerWallet() []byte  { return take(getCallerWallet()) }
func hostCallerSubject() []byte { return take(getCallerJwtSubject()) }
func hostRequestID() []byte     { return take(getRequestID()) }

func hostCallerClaim(name string) []byte {
	p, l := text(name)
	return take(getCallerClaim(p, l))
}

func hostEnv(key string) []byte {
	p, l := text(key)
	return take(getEnv(p, l))
}

func hostSecret(name string) []byte {
	p, l := text(name)
	return take(getSecret(p, l))
}

func hostLog(isError bool, message string) {
	p, l := text(message)
	if isError {
		logError(p, l)
	} else {
		logInfo(p, l)
	}
}

func hostDBQuery(sql string, args []byte) []byte {
	p, l := text(sql)
	ap, al := raw(args)
	return take(dbQuery(p, l, ap, al))
}

func hostDBExecute(sql string, args []byte) []byte {
	p, l := text(sql)
	ap, al := raw(args)
	return take(dbExecute(p, l, ap, al))
}

func hostDBTransaction(ops []byte) []byte {
	p, l := raw(ops)
	return take(dbTransaction(p, l))
}

func hostDBQueryBatch(ops []byte) []byte {
	p, l := raw(ops)
	return take(dbQueryBatch(p, l))
}

func hostCacheGet(key string) []byte {
	p, l := text(key)
	return take(cacheGet(p, l))
}

func hostCacheSet(key string, value []byte, ttlSeconds int64) {
	p, l := text(key)
	vp, vl := raw(value)
	cacheSet(p, l, vp, vl, ttlSeconds)
}

func hostCacheDelete(key string) bool {
	p, l := text(key)
	return cacheDelete(p, l) == 1
}

func hostCacheAdd(key string, delta int64) int64 {
	p, l := text(key)
	return cacheIncrBy(p, l, delta)
}

func hostStoragePut(name string, data []byte) []byte {
	p, l := text(name)
	dp, dl := raw(data)
	return take(storagePut(p, l, dp, dl))
}

func hostStorageGet(cid string) []byte {
	p, l := text(cid)
	return take(storageGet(p, l))
}

func hostStorageHead(cid string) []byte {
	p, l := text(cid)
	return take(storageHead(p, l))
}

func hostFetch(method, url string, headers, body []byte) []byte {
	mp, ml := text(method)
	up, ul := text(url)
	hp, hl := raw(headers)
	bp, bl := raw(body)
	return take(httpFetch(mp, ml, up, ul, hp, hl, bp, bl))
}

func hostRespond(status int, headers, body []byte) bool {
	hp, hl := raw(headers)
	bp, bl := raw(body)
	return setHTTPResponse(uint32(status), hp, hl, bp, bl) == 1
}

func hostInvoke(name string, input []byte) ([]byte, bool) {
	p, l := text(name)
	ip, il := raw(input)
	packed := functionInvoke(p, l, ip, il)
	return take(packed), packed != 0
}

func hostInvokeAsync(name string, input []byte) bool {
	p, l := text(name)
	ip, il := raw(input)
	return functionInvokeAsync(p, l, ip, il) == 1
}
