// Who changed what: called for each change of the table "accounts", it keeps a line of it.
package main

import (
	"encoding/json"
	"fmt"

	"orama/sdk/fn"
)

// change is what a table gives its triggers; a call is made at least once, and a change has one id.
type change struct {
	ID        int64           `json:"change_id"`
	Table     string          `json:"table"`
	Operation string          `json:"operation"`
	Row       json.RawMessage `json:"row"`
	OldRow    json.RawMessage `json:"old_row"`
}

type kept struct {
	Kept int64 `json:"kept"`
}

const makeTrail = `CREATE TABLE IF NOT EXISTS audit_trail (
	change_id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT (datetime('now')), operation TEXT NOT NULL, before TEXT, after TEXT)`

func main() {
	fn.Handle(func(ctx fn.Context, in change) (kept, error) {
		if in.Table != "accounts" {
			return kept{}, fmt.Errorf("changes of %q are not mine", in.Table)
		}
		if _, err := ctx.DB.Exec(makeTrail); err != nil {
			return kept{}, err
		}
		before, after := sides(in)
		result, err := ctx.DB.Exec("INSERT OR IGNORE INTO audit_trail (change_id, operation, before, after) VALUES (?, ?, ?, ?)",
			in.ID, in.Operation, before, after)
		return kept{Kept: result.RowsAffected}, err
	})
}

// sides are the row before and after; of an insert there is no before, of a delete no after.
func sides(in change) (before, after any) {
	switch in.Operation {
	case "INSERT":
		return nil, string(in.Row)
	case "DELETE":
		return string(in.Row), nil
	default:
		return string(in.OldRow), string(in.Row)
	}
}
