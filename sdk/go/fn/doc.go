// Package fn is what functions in Go import to run on Orama.
//
// A function is a main program that hands its handler over:
//
//	type In struct{ Name string }
//	type Out struct{ Greeting string }
//
//	func main() {
//		fn.Handle(func(ctx fn.Context, in In) (Out, error) {
//			return Out{Greeting: "Hello, " + in.Name}, nil
//		})
//	}
//
// Input and output are JSON. What the handler returns as an error fails the call; its text reaches the caller. The
// database, cache, storage, secrets, outbound HTTP, log and other functions of the namespace are fields of the [Context].
//
// A function with an instance for each WebSocket (`ws_persistent: true` in function.yaml) calls [HandleSocket] in its init
// function, and has an empty main.
//
// A reactor (`reactor: true` in function.yaml) calls [Export] in its init function instead, and has an empty main.
//
// The package uses nothing outside the standard library. It is written for Go 1.24 and newer, and within what TinyGo
// documents that it supports.
package fn
