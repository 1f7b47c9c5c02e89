// A rate limiter on counters: each caller has so many requests a window.
package main

import (
	"fmt"
	"strconv"
	"time"

	"orama/sdk/fn"
)

type input struct {
	// Whose requests are counted; the caller's wallet when it is empty.
	Key string `json:"key"`
}

type output struct {
	Allowed           bool  `json:"allowed"`
	Limit             int64 `json:"limit"`
	Remaining         int64 `json:"remaining"`
	RetryAfterSeconds int64 `json:"retry_after_seconds"`
}

func main() {
	fn.Handle(func(ctx fn.Context, in input) (output, error) {
		limit, err := strconv.ParseInt(ctx.Env("LIMIT"), 10, 64)
		if err != nil || limit < 1 {
			return output{}, fmt.Errorf("`env.LIMIT` in function.yaml must be a whole number from 1, not %q", ctx.Env("LIMIT"))
		}
		window, err := strconv.ParseInt(ctx.Env("WINDOW_SECONDS"), 10, 64)
		if err != nil || window < 1 {
			return output{}, fmt.Errorf("`env.WINDOW_SECONDS` in function.yaml must be a whole number from 1, not %q", ctx.Env("WINDOW_SECONDS"))
		}
		who := in.Key
		if who == "" {
			who = ctx.Wallet()
		}
		now := time.Now().Unix()
		counter := func(window int64) string { return fmt.Sprintf("requests/%s/%d", who, window) }
		used := ctx.Cache.Incr(counter(now / window))
		if used == 1 {
			// The first request of a window clears up behind the last one. A time to live would have to be set after the counter
			// was made, and what others count in between would be lost.
			ctx.Cache.Delete(counter(now/window - 1))
		}
		out := output{Allowed: used <= limit, Limit: limit, Remaining: max(limit-used, 0)}
		if !out.Allowed {
			out.RetryAfterSeconds = window - now%window
		}
		return out, nil
	})
}
