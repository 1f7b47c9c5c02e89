package fn

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Handle runs the handler once: with the call's input as JSON, and its result as the call's output. It belongs at the end
// of main, and does not return when the handler fails.
//
// No input at all is the zero value of In.
func Handle[In, Out any](handler func(ctx Context, in In) (Out, error)) {
	HandleBytes(typed(handler))
}

// HandleBytes is [Handle] without JSON.
func HandleBytes(handler func(ctx Context, input []byte) ([]byte, error)) {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(fmt.Errorf("read the input: %w", err))
	}
	output, err := handler(newContext(), input)
	if err != nil {
		fail(err)
	}
	if _, err := os.Stdout.Write(output); err != nil {
		fail(fmt.Errorf("write the output: %w", err))
	}
}

// HandleHTTP runs the handler once, with the HTTP request of the call. Only for functions with `http: true`.
func HandleHTTP(handler func(ctx Context, request Request) (Response, error)) {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(fmt.Errorf("read the body: %w", err))
	}
	response, err := handler(newContext(), requestOf(os.Environ(), body))
	if err != nil {
		fail(err)
	}
	if err := respond(response); err != nil {
		fail(err)
	}
}

// Export makes the handler the reactor's, for functions with `reactor: true`. It belongs into an init function.
func Export[In, Out any](handler func(ctx Context, in In) (Out, error)) {
	ExportBytes(typed(handler))
}

// ExportBytes is [Export] without JSON.
func ExportBytes(handler func(ctx Context, input []byte) ([]byte, error)) {
	exported = handler
}

// ExportHTTP makes the handler the reactor's, for functions with `reactor: true` and `http: true`. It belongs into an init
// function.
func ExportHTTP(handler func(ctx Context, request Request) (Response, error)) {
	exported = func(ctx Context, body []byte) ([]byte, error) {
		response, err := handler(ctx, requestOf(os.Environ(), body))
		if err != nil {
			return nil, err
		}
		return nil, respond(response)
	}
}

// exported is what a reactor's `handle` calls.
var exported func(ctx Context, input []byte) ([]byte, error)

func typed[In, Out any](handler func(ctx Context, in In) (Out, error)) func(Context, []byte) ([]byte, error) {
	return func(ctx Context, input []byte) ([]byte, error) {
		var in In
		if len(input) > 0 {
			if err := json.Unmarshal(input, &in); err != nil {
				return nil, fmt.Errorf("the input is not what the function takes: %w", err)
			}
		}
		out, err := handler(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

// fail ends the call as failed; the platform puts the text into the error of the reply.
func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
