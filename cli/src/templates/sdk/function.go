package main

import "orama/sdk/fn"

type input struct {
	Name string `json:"name"`
}

type output struct {
	Result string `json:"result"`
	Visits int64  `json:"visits"`
}

func main() {
	fn.Handle(func(ctx fn.Context, in input) (output, error) {
		if in.Name == "" {
			in.Name = "World"
		}
		ctx.Log.Info("called by " + ctx.Wallet())
		return output{Result: "Hello, " + in.Name + "!", Visits: ctx.Cache.Incr("visits")}, nil
	})
}
