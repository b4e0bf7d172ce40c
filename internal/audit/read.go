package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// List gives the newest entries, the newest first; limit 0 gives all. A database without a log has none.
func (l *Log) List(ctx context.Context, q engine.Querier, limit int) ([]Entry, error) {
	if exists, err := l.exists(ctx, q); err != nil || !exists {
		return nil, err
	}
	query := "SELECT entry, prev, hash FROM " + l.table + " ORDER BY number DESC"
	if limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", limit)
	}
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var text, prev, hash string
		if err := rows.Scan(&text, &prev, &hash); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		var e Entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			// Somebody wrote into the table: show that there is something, Verify names it.
			e = Entry{Action: "unreadable", Error: err.Error()}
		}
		e.Prev, e.Hash = prev, hash
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return out, nil
}

// Verify walks the whole chain; *BrokenError names the first entry that does not hold. With a hash that was noted elsewhere
// before, it must be that of an entry: a log whose newest entries were taken out is whole, but does not have it. "" asks for none.
func (l *Log) Verify(ctx context.Context, q engine.Querier, noted string) error {
	exists, err := l.exists(ctx, q)
	if err != nil {
		return err
	}
	if !exists {
		return missing(noted, 1)
	}
	rows, err := q.QueryContext(ctx, "SELECT number, id, run, at, username, action, outcome, entry, prev, hash FROM "+l.table+" ORDER BY number")
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	defer rows.Close()
	var want int64
	last := ""
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.number, &r.id, &r.run, &r.at, &r.user, &r.action, &r.outcome, &r.text, &r.prev, &r.hash); err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		want++
		if r.number != want {
			return &BrokenError{Number: want, Reason: fmt.Sprintf("it is missing; the next one there is %d", r.number)}
		}
		if reason := r.broken(last); reason != "" {
			return &BrokenError{Number: r.number, ID: r.id, Reason: reason}
		}
		last = r.hash
		if noted == last {
			noted = ""
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	return missing(noted, want+1)
}

// missing is the error for a noted hash that no entry before the place number has.
func missing(noted string, number int64) error {
	if noted == "" {
		return nil
	}
	return &BrokenError{Number: number, Reason: "no entry before it has the hash " + noted + ": the newest ones were taken out"}
}

// row is an entry as it stands in the table.
type row struct {
	number                                               int64
	id, run, at, user, action, outcome, text, prev, hash string
}

// broken says what is wrong with a row that follows the hash last; "" when nothing is.
func (r row) broken(last string) string {
	if r.prev != last {
		return "it does not follow the entry before it"
	}
	if r.hash != chain(r.prev, r.text) {
		return "its text is not what was written"
	}
	var e Entry
	if err := json.Unmarshal([]byte(r.text), &e); err != nil {
		return "its text cannot be read"
	}
	if r.id != e.ID || r.run != e.Run || r.at != stamp(e.At) || r.user != e.User || r.action != e.Action || r.outcome != e.Outcome {
		return "its columns do not say what its text says"
	}
	return ""
}
