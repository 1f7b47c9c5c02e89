// A pipeline on storage: keeps a text, keeps a digest of it as a document of its own, and records both in SQL.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"orama/sdk/fn"
)

type input struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

type digest struct {
	SHA256 string `json:"sha256"`
	Bytes  int    `json:"bytes"`
	Lines  int    `json:"lines"`
	Start  string `json:"start"`
}

type output struct {
	Content string `json:"content"`
	Digest  string `json:"digest"`
	SHA256  string `json:"sha256"`
	Known   bool   `json:"known"`
}

const table = `CREATE TABLE IF NOT EXISTS digests (content TEXT PRIMARY KEY, digest TEXT NOT NULL, name TEXT NOT NULL)`

func main() {
	fn.Handle(func(ctx fn.Context, in input) (output, error) {
		if in.Text == "" {
			return output{}, errors.New("`text` is empty; send `{\"name\": \"…\", \"text\": \"…\"}`")
		}
		content, err := ctx.Storage.Put(in.Name, []byte(in.Text))
		if err != nil {
			return output{}, err
		}
		// What was stored is what was sent: read it back through its identifier.
		stored, err := ctx.Storage.Get(content.CID)
		if err != nil {
			return output{}, err
		}
		sum := sha256.Sum256(stored)
		document := digest{SHA256: hex.EncodeToString(sum[:]), Bytes: len(stored), Lines: strings.Count(in.Text, "\n") + 1, Start: start(in.Text)}
		encoded, err := json.Marshal(document)
		if err != nil {
			return output{}, err
		}
		summary, err := ctx.Storage.Put(in.Name+".digest.json", encoded)
		if err != nil {
			return output{}, err
		}
		if _, err := ctx.DB.Exec(table); err != nil {
			return output{}, err
		}
		insert := `INSERT INTO digests VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
		result, err := ctx.DB.Exec(insert, content.CID, summary.CID, in.Name)
		if err != nil {
			return output{}, err
		}
		return output{Content: content.CID, Digest: summary.CID, SHA256: document.SHA256, Known: result.RowsAffected == 0}, nil
	})
}

// start is what a list shows of a text: its first 40 characters.
func start(text string) string {
	characters := []rune(text)
	return string(characters[:min(len(characters), 40)])
}
