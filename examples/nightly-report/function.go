// A report of the day before, made by the clock and kept in the namespace's storage.
package main

import (
	"fmt"
	"strings"
	"time"

	"orama/sdk/fn"
)

// slot is what a schedule gives its function.
type slot struct {
	ScheduledAt time.Time `json:"scheduled_at"`
}

type report struct {
	Day     string `json:"day"`
	Entries int    `json:"entries"`
	CID     string `json:"cid"`
}

type entry struct {
	Sender  string `json:"sender"`
	Entries int    `json:"entries"`
}

const (
	makeChat    = "CREATE TABLE IF NOT EXISTS chat (id INTEGER PRIMARY KEY, room TEXT NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL DEFAULT (datetime('now')))"
	makeReports = "CREATE TABLE IF NOT EXISTS reports (day TEXT PRIMARY KEY, cid TEXT NOT NULL, entries INTEGER NOT NULL)"
	busiest     = "SELECT sender, count(*) AS entries FROM chat WHERE date(at) = ? GROUP BY sender ORDER BY entries DESC, sender"
)

func main() {
	fn.Handle(func(ctx fn.Context, in slot) (report, error) {
		if in.ScheduledAt.IsZero() {
			in.ScheduledAt = time.Now()
		}
		day := in.ScheduledAt.AddDate(0, 0, -1).Format(time.DateOnly)
		for _, sql := range []string{makeChat, makeReports} {
			if _, err := ctx.DB.Exec(sql); err != nil {
				return report{}, err
			}
		}
		var entries []entry
		if err := ctx.DB.Query(&entries, busiest, day); err != nil {
			return report{}, err
		}
		text, total := write(day, entries)
		stored, err := ctx.Storage.Put("report-"+day+".txt", []byte(text))
		if err != nil {
			return report{}, err
		}
		// The same night twice is one report: a schedule's call is made at least once.
		_, err = ctx.DB.Exec("INSERT OR REPLACE INTO reports VALUES (?, ?, ?)", day, stored.CID, total)
		return report{Day: day, Entries: total, CID: stored.CID}, err
	})
}

func write(day string, entries []entry) (text string, total int) {
	var lines strings.Builder
	for _, entry := range entries {
		fmt.Fprintf(&lines, "%5d  %s\n", entry.Entries, entry.Sender)
		total += entry.Entries
	}
	return fmt.Sprintf("Messages on %s: %d\n\n%s", day, total, lines.String()), total
}
