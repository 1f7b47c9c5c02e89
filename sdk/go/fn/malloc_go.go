//go:build wasip1 && !tinygo

package fn

// TinyGo's own runtime exports these two. The host of a reactor asks for room for the input with malloc alone.

//go:wasmexport malloc
func malloc(size uint32) uint32 { return oramaAlloc(size) }

//go:wasmexport free
func free(place uint32) { delete(given, place) }
