// Rings somebody's phone: called by the topic "calls:invite", it sends a push message to every device of who is called.
package main

import (
	"fmt"

	"orama/sdk/fn"
)

// event is what a topic gives its triggers.
type event struct {
	Topic string `json:"topic"`
	Data  invite `json:"data"`
}

type invite struct {
	CalleeID   string `json:"calleeId"`
	CallerName string `json:"callerName"`
	CallType   string `json:"callType"`
}

type outcome struct {
	Status  string `json:"status"`
	Callee  string `json:"callee"`
	Devices int    `json:"devices"`
}

func main() {
	fn.Handle(func(ctx fn.Context, in event) (outcome, error) {
		call := in.Data
		if call.CalleeID == "" {
			return outcome{}, fmt.Errorf("the message on %s names no callee", in.Topic)
		}
		result, err := ctx.Push.Send(call.CalleeID, fn.PushMessage{
			Title:    call.CallerName + " is calling",
			Body:     call.CallType + " call",
			Priority: "high",
			Data:     map[string]any{"callType": call.CallType},
		})
		if err != nil {
			return outcome{}, err
		}
		ctx.Log.Info(fmt.Sprintf("rang %d of %d devices of %s", result.Succeeded, result.Attempted, call.CalleeID))
		return outcome{Status: "sent", Callee: call.CalleeID, Devices: result.Succeeded}, nil
	})
}
