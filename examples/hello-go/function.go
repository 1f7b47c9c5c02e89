package main

import (
	"encoding/json"
	"os"
)

func main() {
	// Read JSON input from stdin
	var input []byte
	buf := make([]byte, 4096)
	for {
		n, err := os.Stdin.Read(buf)
		if n > 0 {
			input = append(input, buf[:n]...)
		}
		if err != nil {
			break
		}
	}

	var payload map[string]interface{}
	json.Unmarshal(input, &payload)

	// Process and return JSON output via stdout
	response := map[string]interface{}{
		"result": "Hello!",
	}
	output, _ := json.Marshal(response)
	os.Stdout.Write(output)
}
