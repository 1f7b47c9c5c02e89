// A webhook: signs an event with a secret and posts it where function.yaml says.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"orama/sdk/fn"
)

type output struct {
	Status    int    `json:"status"`
	Signature string `json:"signature"`
	Answer    string `json:"answer"`
}

func main() {
	fn.Handle(func(ctx fn.Context, event json.RawMessage) (output, error) {
		url := ctx.Env("WEBHOOK_URL")
		if url == "" {
			return output{}, errors.New("set `env.WEBHOOK_URL` in function.yaml")
		}
		key, found := ctx.Secrets.Get("WEBHOOK_KEY")
		if !found {
			return output{}, errors.New("no secret `WEBHOOK_KEY`; run `orama function secrets set WEBHOOK_KEY VALUE`")
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(event)
		signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
		response, err := ctx.HTTP.Fetch(fn.FetchRequest{
			Method: "POST",
			URL:    url,
			Header: map[string]string{"Content-Type": "application/json", "X-Signature": signature, "X-Event-ID": ctx.RequestID()},
			Body:   event,
		})
		if err != nil {
			return output{}, fmt.Errorf("the webhook was not reached: %w", err)
		}
		ctx.Log.Info(fmt.Sprintf("the webhook answered %d", response.Status))
		return output{Status: response.Status, Signature: signature, Answer: string(response.Body)}, nil
	})
}
