// A reactor in Go: answers {"echo":<input>,"calls":n}, where n counts the calls that this instance has served.
package main

import (
	"strconv"
	"unsafe"
)

// What the host holds pointers to; the collector must not take it.
var kept = map[uint32][]byte{}

var calls int

//go:wasmexport malloc
func malloc(size uint32) uint32 {
	return keep(make([]byte, size, size+1))
}

//go:wasmexport free
func free(pointer uint32) {
	delete(kept, pointer)
}

//go:wasmexport handle
func handle(pointer, length uint32) uint64 {
	calls++
	input := kept[pointer][:length]
	if length == 0 {
		input = []byte("null")
	}
	reply := append([]byte(`{"echo":`), input...)
	reply = append(reply, `,"calls":`+strconv.Itoa(calls)+"}"...)
	// The pointer is in the low half, the length in the high one.
	return uint64(keep(reply)) | uint64(len(reply))<<32
}

func keep(bytes []byte) uint32 {
	pointer := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))
	kept[pointer] = bytes
	return pointer
}

func main() {}
