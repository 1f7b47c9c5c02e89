// A chat room: who is there, who types, and what was said, over one WebSocket a page.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"orama/sdk/fn"
)

//go:embed index.html
var page []byte

const (
	nameMax   = 40
	textMax   = 2000
	shownMax  = 50
	hereFor   = 30 * time.Minute
	typesFor  = 5 * time.Second
	makeTable = `CREATE TABLE IF NOT EXISTS chat (
		id INTEGER PRIMARY KEY, room TEXT NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL DEFAULT (datetime('now')))`
)

// One instance belongs to one socket, so that these are that socket's own.
var room, user string

func init() {
	fn.ExportHTTP(func(ctx fn.Context, request fn.Request) (fn.Response, error) {
		return fn.Response{Status: 200, Header: fn.Header{"Content-Type": {"text/html; charset=utf-8"}}, Body: page}, nil
	})
	fn.HandleSocket(fn.Socket{OnFrame: receive})
}

func main() {}

// order is what a page sends.
type order struct {
	Op   string `json:"op"`
	Room string `json:"room"`
	User string `json:"user"`
	Text string `json:"text"`
	On   bool   `json:"on"`
}

// said is a message as pages get it.
type said struct {
	Op   string `json:"op"`
	ID   int64  `json:"id"`
	From string `json:"from"`
	Text string `json:"text"`
	At   string `json:"at"`
}

func receive(ctx fn.Context, frame []byte) error {
	var asked order
	if err := json.Unmarshal(frame, &asked); err != nil {
		return fmt.Errorf("a frame is not JSON: %w", err)
	}
	if asked.Op == "hello" {
		return enter(ctx, asked)
	}
	if room == "" {
		return errors.New("the first frame must be a hello")
	}
	switch asked.Op {
	case "here":
		ctx.Ephemeral.Set(topic(), key(ctx, "here"), nil, hereFor)
	case "typing":
		typing(ctx, asked.On)
	case "say":
		return say(ctx, asked.Text)
	}
	return nil
}

func topic() string { return "chat:" + room }

// key is one of this socket alone: a user may have several pages open.
func key(ctx fn.Context, what string) string { return what + ":" + user + ":" + ctx.ClientID() }

// enter begins with the stream, then reads what was before: a message may come twice, but none is missed.
func enter(ctx fn.Context, asked order) error {
	if !named(asked.Room) || !named(asked.User) {
		return fmt.Errorf("a room and a name have 1 to %d characters, and no colon", nameMax)
	}
	room, user = asked.Room, asked.User
	if _, err := ctx.DB.Exec(makeTable); err != nil {
		return err
	}
	if !ctx.Sockets.Bridge("", topic()) || !ctx.Ephemeral.Set(topic(), key(ctx, "here"), nil, hereFor) {
		return errors.New("the room cannot be entered; why is in the log")
	}
	messages := []said{}
	err := ctx.DB.Query(&messages, `SELECT 'said' AS op, id, sender AS "from", text, at FROM
		(SELECT * FROM chat WHERE room = ? ORDER BY id DESC LIMIT ?) ORDER BY id`, room, shownMax)
	if err != nil {
		return err
	}
	held, err := ctx.Ephemeral.List(topic())
	if err != nil {
		return err
	}
	present := []string{}
	for _, entry := range held {
		present = append(present, entry.Key)
	}
	return reply(ctx, map[string]any{"op": "welcome", "messages": messages, "present": present})
}

func named(name string) bool {
	return name != "" && len([]rune(name)) <= nameMax && !strings.Contains(name, ":")
}

func typing(ctx fn.Context, on bool) {
	if on {
		ctx.Ephemeral.Set(topic(), key(ctx, "typing"), nil, typesFor)
		return
	}
	ctx.Ephemeral.Clear(topic(), key(ctx, "typing"))
}

// say keeps a message, then tells everybody in the room.
func say(ctx fn.Context, text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len([]rune(text)) > textMax {
		return nil
	}
	var kept said
	err := ctx.DB.QueryRow(&kept, `INSERT INTO chat (room, sender, text) VALUES (?, ?, ?)
		RETURNING 'said' AS op, id, sender AS "from", text, at`, room, user, text)
	if err != nil {
		return err
	}
	message, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if !ctx.PubSub.Publish(topic(), message) {
		return errors.New("the message is kept, but could not be told")
	}
	return nil
}

func reply(ctx fn.Context, answer any) error {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	if !ctx.Sockets.Reply(encoded) {
		return errors.New("the page does not keep up")
	}
	return nil
}
