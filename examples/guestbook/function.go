// A guestbook on SQL: signs when there is a text, and answers the newest entries.
package main

import (
	"errors"
	"strings"

	"orama/sdk/fn"
)

type input struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

type entry struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Text   string `json:"text"`
	Wallet string `json:"wallet"`
	At     string `json:"at"`
}

type output struct {
	Signed  bool    `json:"signed"`
	Count   int64   `json:"count"`
	Entries []entry `json:"entries"`
}

const table = `CREATE TABLE IF NOT EXISTS guestbook (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
	text TEXT NOT NULL CHECK (length(text) BETWEEN 1 AND 1000),
	wallet TEXT NOT NULL,
	at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)`

const newest = `SELECT id, name, text, wallet, at FROM guestbook ORDER BY id DESC LIMIT 20`

func main() {
	fn.Handle(func(ctx fn.Context, in input) (output, error) {
		steps := []fn.Op{fn.Exec(table)}
		signed := strings.TrimSpace(in.Text) != ""
		if signed {
			sign := `INSERT INTO guestbook (name, text, wallet) VALUES (?, ?, ?)`
			steps = append(steps, fn.Exec(sign, in.Name, in.Text, ctx.Wallet()))
		}
		steps = append(steps, fn.Query(newest), fn.Query(`SELECT count(*) AS count FROM guestbook`))
		results, err := ctx.DB.Transaction(steps...)
		if err != nil {
			var failed *fn.Error
			if errors.As(err, &failed) && failed.Code == "CONSTRAINT_VIOLATION" {
				return output{}, errors.New("a name has 1 to 100 characters, a text 1 to 1,000")
			}
			return output{}, err
		}
		out := output{Signed: signed, Entries: []entry{}}
		var count []struct{ Count int64 }
		if err := results[len(results)-2].Into(&out.Entries); err != nil {
			return output{}, err
		}
		if err := results[len(results)-1].Into(&count); err != nil {
			return output{}, err
		}
		out.Count = count[0].Count
		return out, nil
	})
}
