// An instance for each WebSocket, in Go. It greets whoever opens it. A frame is one of these commands, else it is sent back:
//
//	count          {"frames":n}, where n counts the frames of this socket
//	who            {"client":"…","wallet":"…"}
//	publish T X    publishes X on the topic T
//	type T         sets the state "typing" of the topic T
//	bye            closes the socket
//	fail, panic    closes it after a line in the log, or ends the program
package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"time"

	"orama/sdk/fn"
)

func init() {
	frames := 0
	fn.HandleSocket(fn.Socket{
		OnOpen: func(ctx fn.Context, opening fn.Opening) error {
			if opening.Wallet == "nobody" {
				return errors.New("not you")
			}
			ctx.Sockets.Reply(fmt.Appendf(nil, `{"hello":%q}`, opening.ClientID))
			return nil
		},
		OnFrame: func(ctx fn.Context, frame []byte) error {
			frames++
			return carryOut(ctx, frames, frame)
		},
		OnClose: func(ctx fn.Context, reason string) { ctx.Log.Info("closed: " + reason) },
	})
}

func carryOut(ctx fn.Context, frames int, frame []byte) error {
	words := bytes.SplitN(frame, []byte(" "), 3)
	switch command := string(words[0]); {
	case command == "count":
		// The collector runs, so that what was handed over wrongly would be seen.
		runtime.GC()
		ctx.Sockets.Reply(fmt.Appendf(nil, `{"frames":%d}`, frames))
	case command == "who":
		ctx.Sockets.Reply(fmt.Appendf(nil, `{"client":%q,"wallet":%q}`, ctx.ClientID(), ctx.Wallet()))
	case command == "publish" && len(words) == 3:
		ctx.Sockets.Reply(fmt.Appendf(nil, `{"published":%t}`, ctx.PubSub.Publish(string(words[1]), words[2])))
	case command == "type" && len(words) == 2:
		ctx.Sockets.Reply(fmt.Appendf(nil, `{"set":%t}`, ctx.Ephemeral.Set(string(words[1]), "typing", nil, 30*time.Second)))
	case command == "bye":
		return fn.ErrClose
	case command == "fail":
		return errors.New("as it was told")
	case command == "panic":
		panic("as it was told")
	default:
		ctx.Sockets.Reply(frame)
	}
	return nil
}

func main() {}
