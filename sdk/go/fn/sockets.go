package fn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Sockets are the WebSockets of the namespace's functions.
type Sockets struct{}

// Send sends a frame to a socket by its client id: text if it is UTF-8, else binary. False when there is no such socket, or
// when it does not keep up.
func (Sockets) Send(client string, data []byte) bool { return hostSocketSend(client, data) }

// Reply sends a frame to the socket that the call came from.
func (Sockets) Reply(data []byte) bool { return hostSocketSend("", data) }

// Broadcast sends a frame to every socket that is bridged to a topic. It is no message: no history keeps it, and no trigger
// fires.
func (Sockets) Broadcast(topic string, data []byte) bool { return hostSocketBroadcast(topic, data) }

// Bridge forwards the messages of a topic to a socket from now on; the empty client is the socket that the call came from.
func (Sockets) Bridge(client, topic string) bool { return hostSocketBridge(client, topic) }

// Unbridge ends that.
func (Sockets) Unbridge(client, topic string) bool { return hostSocketUnbridge(client, topic) }

// Socket says what an instance does that belongs to one WebSocket (`ws_persistent: true` in function.yaml). It lives as long
// as the socket: what it keeps in variables is there at the next frame. Each handler may be nil.
type Socket struct {
	// OnOpen refuses the socket by returning an error.
	OnOpen func(ctx Context, opening Opening) error
	// OnFrame closes the socket by returning an error: [ErrClose] without a word, any other after a line in the log.
	OnFrame func(ctx Context, frame []byte) error
	// OnClose is the last that happens.
	OnClose func(ctx Context, reason string)
}

// Opening is who opened a socket.
type Opening struct {
	ClientID  string              `json:"client_id"`
	Wallet    string              `json:"wallet"`
	Namespace string              `json:"namespace"`
	Headers   map[string][]string `json:"-"`
}

// ErrClose closes a socket as the function wants it.
var ErrClose = errors.New("close the socket")

// HandleSocket makes the handlers those of every socket. It belongs into an init function; main stays empty, and the program
// is built as a reactor (`-buildmode=c-shared`).
func HandleSocket(handlers Socket) { socket = handlers }

var socket Socket

func readOpening(info []byte) (Opening, error) {
	var whole struct {
		Opening
		Headers map[string]json.RawMessage `json:"headers"`
	}
	if err := json.Unmarshal(info, &whole); err != nil {
		return Opening{}, fmt.Errorf("read who opens the socket: %w", err)
	}
	whole.Opening.Headers = make(map[string][]string, len(whole.Headers))
	for name, raw := range whole.Headers {
		whole.Opening.Headers[name] = headerValues(raw)
	}
	return whole.Opening, nil
}

// headerValues reads a text or a list of texts.
func headerValues(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var values []string
	if json.Unmarshal(raw, &values) != nil {
		return nil
	}
	return values
}

func openSocket(info []byte) error {
	if socket.OnOpen == nil {
		return nil
	}
	opening, err := readOpening(info)
	if err != nil {
		return err
	}
	return socket.OnOpen(newContext(), opening)
}

func frameOfSocket(frame []byte) error {
	if socket.OnFrame == nil {
		return nil
	}
	return socket.OnFrame(newContext(), frame)
}

func closeSocket(reason []byte) {
	if socket.OnClose != nil {
		socket.OnClose(newContext(), string(reason))
	}
}

// answer is what the platform reads: 0 goes on.
func answer(err error) uint32 {
	if err == nil {
		return 0
	}
	if !errors.Is(err, ErrClose) {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}
