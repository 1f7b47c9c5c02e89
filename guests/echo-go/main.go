// Answers {"echo":<input>}, the input byte for byte; null when there is none.
package main

import (
	"io"
	"os"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Stderr.WriteString("read stdin: " + err.Error() + "\n")
		os.Exit(1)
	}
	if len(input) == 0 {
		input = []byte("null")
	}
	reply := append([]byte(`{"echo":`), input...)
	os.Stdout.Write(append(reply, '}'))
}
