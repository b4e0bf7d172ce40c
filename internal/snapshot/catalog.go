package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// The states of a capture.
const (
	statusCapturing = "capturing"
	statusComplete  = "complete"
	statusWaiting   = "restoring" // its values are being put back, after the migration
	statusRestored  = "restored"
	statusExpired   = "expired"
	statusVoid      = "void"
)

// catalogColumns are the columns of the catalog, in the order in which they are written and read.
var catalogColumns = []struct{ name, decl string }{
	{"id", "varchar(36) NOT NULL PRIMARY KEY"},
	{"snapshot_id", "varchar(36) NOT NULL"},
	{"run", "varchar(64) NOT NULL"},
	{"position", "int NOT NULL"},
	{"table_schema", "text NOT NULL"},
	{"table_name", "text NOT NULL"},
	{"kind", "varchar(16) NOT NULL"},
	{"migration", "bigint NOT NULL"},
	{"direction", "varchar(8) NOT NULL"},
	{"statement", "int NOT NULL"},
	{"captured_at", "@time NOT NULL"},
	{"columns", "@text NOT NULL"},
	{"detail", "@text NOT NULL"},
	{"location", "text NOT NULL"},
	{"row_count", "bigint NOT NULL"},
	{"bytes", "bigint NOT NULL"},
	{"checksum", "varchar(64) NOT NULL"},
	{"status", "varchar(16) NOT NULL"},
	{"created_by", "text NOT NULL"},
	{"label", "text"},
	{"expires_at", "@time"},
}

// Ensure makes the catalog when it is not there yet.
func (s *Store) Ensure(ctx context.Context, q engine.Querier) error {
	if err := s.db.EnsureHome(ctx, q); err != nil {
		return err
	}
	var defs []string
	for _, c := range catalogColumns {
		defs = append(defs, s.q(c.name)+" "+strings.NewReplacer("@time", s.f.timestamp, "@text", s.db.Caps.LongText).Replace(c.decl))
	}
	return s.ddl(ctx, q, "create the catalog", "CREATE TABLE IF NOT EXISTS "+s.db.Quote(s.catalog)+" ("+list(defs)+")"+s.f.options)
}

// catalogList gives the quoted columns of the catalog.
func (s *Store) catalogList() string {
	var names []string
	for _, c := range catalogColumns {
		names = append(names, s.q(c.name))
	}
	return list(names)
}

// insert writes a capture's row.
func (s *Store) insert(ctx context.Context, q engine.Querier, c *capture, m Meta) error {
	columns, err := json.Marshal(c.Columns)
	if err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	rest, err := json.Marshal(c.detail)
	if err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	var label any
	if m.Release != "" {
		label = m.Release
	}
	args := []any{c.ID, c.Snapshot, m.Run, c.position, c.Home.Schema, c.Home.Name, string(c.Kind), c.Migration, c.Direction, c.Statement,
		s.moment(c.CapturedAt), string(columns), string(rest), c.Location, c.Rows, c.Bytes, c.Checksum, c.Status, c.CreatedBy, label, nil}
	if c.ExpiresAt != nil {
		args[len(args)-1] = s.moment(*c.ExpiresAt)
	}
	_, err = exec(ctx, q, "write the catalog", "INSERT INTO "+s.db.Quote(s.catalog)+" ("+s.catalogList()+") VALUES ("+s.args(len(args))+")", args...)
	return err
}

// args gives n placeholders.
func (s *Store) args(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = s.db.Arg(i + 1)
	}
	return list(parts)
}

// finish writes what is known of a capture once it is sealed.
func (s *Store) finish(ctx context.Context, q engine.Querier, c *capture) error {
	rest, err := json.Marshal(c.detail)
	if err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	a := s.db.Arg
	_, err = exec(ctx, q, "write the catalog", fmt.Sprintf("UPDATE %s SET %s = %s, row_count = %s, bytes = %s, checksum = %s, status = %s WHERE id = %s",
		s.db.Quote(s.catalog), s.q("detail"), a(1), a(2), a(3), a(4), a(5), a(6)), string(rest), c.Rows, c.Bytes, c.Checksum, c.Status, c.ID)
	return err
}

// setStatus changes the state of captures.
func (s *Store) setStatus(ctx context.Context, q engine.Querier, id, status string) error {
	_, err := exec(ctx, q, "write the catalog", fmt.Sprintf("UPDATE %s SET status = %s WHERE id = %s",
		s.db.Quote(s.catalog), s.db.Arg(1), s.db.Arg(2)), status, id)
	return err
}

// moment gives a time in the form the catalog keeps it: UTC, microseconds.
func (s *Store) moment(t time.Time) any {
	t = t.UTC().Truncate(time.Microsecond)
	if s.f.timestamp != "timestamptz" {
		return t.Format(momentLayout)
	}
	return t
}

const momentLayout = "2006-01-02T15:04:05.000000Z"

// parseMoment reads a time from the catalog.
func parseMoment(from any) (time.Time, error) {
	switch x := from.(type) {
	case time.Time:
		return x.UTC(), nil
	case string:
		t, err := time.Parse(momentLayout, x)
		return t.UTC(), err
	case []byte:
		t, err := time.Parse(momentLayout, string(x))
		return t.UTC(), err
	}
	return time.Time{}, fmt.Errorf("not a time: %T", from)
}

// row is a capture with the columns of the catalog that Info lacks.
type row struct {
	*capture
	run   string
	label *string
}

// load reads captures, oldest first. where may be empty.
func (s *Store) load(ctx context.Context, q engine.Querier, where string, args ...any) ([]row, error) {
	query := "SELECT " + s.catalogList() + " FROM " + s.db.Quote(s.catalog)
	if where != "" {
		query += " WHERE " + where
	}
	rows, err := q.QueryContext(ctx, query+" ORDER BY snapshot_id, "+s.q("position")+", id", args...)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		c := &capture{}
		r := row{capture: c}
		var at, expires any
		var columns, rest string
		if err := rows.Scan(&c.ID, &c.Snapshot, &r.run, &c.position, &c.Home.Schema, &c.Home.Name, &c.Kind, &c.Migration, &c.Direction,
			&c.Statement, &at, &columns, &rest, &c.Location, &c.Rows, &c.Bytes, &c.Checksum, &c.Status, &c.CreatedBy, &r.label, &expires); err != nil {
			return nil, fmt.Errorf("read the catalog: %w", err)
		}
		if c.CapturedAt, err = parseMoment(at); err != nil {
			return nil, fmt.Errorf("read the catalog: capture %s: %w", c.ID, err)
		}
		if expires != nil {
			t, err := parseMoment(expires)
			if err != nil {
				return nil, fmt.Errorf("read the catalog: capture %s: %w", c.ID, err)
			}
			c.ExpiresAt = &t
		}
		if err := json.Unmarshal([]byte(columns), &c.Columns); err != nil {
			return nil, fmt.Errorf("read the catalog: capture %s: %w", c.ID, err)
		}
		if err := json.Unmarshal([]byte(rest), &c.detail); err != nil {
			return nil, fmt.Errorf("read the catalog: capture %s: %w", c.ID, err)
		}
		c.Part, c.Sealed = c.Of != "", c.Relay
		c.Info.Table = c.Home.String()
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return out, nil
}

// List gives all snapshots, newest first.
func (s *Store) List(ctx context.Context, q engine.Querier) ([]Snapshot, error) {
	if _, err := s.db.Resolve(ctx, q, s.catalog); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	rows, err := s.load(ctx, q, "")
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	for i := len(rows) - 1; i >= 0; i-- {
		r := rows[i]
		if len(out) == 0 || out[len(out)-1].ID != r.Snapshot {
			out = append(out, Snapshot{ID: r.Snapshot, Run: r.run, Migration: r.Migration, Direction: r.Direction, Label: r.label})
		}
		last := &out[len(out)-1]
		last.TakenAt = r.CapturedAt // the oldest comes last
		last.Captures = append([]Info{r.Info}, last.Captures...)
	}
	return out, nil
}

// Show gives one snapshot, or the one that holds the capture of that id; nil when there is none.
func (s *Store) Show(ctx context.Context, q engine.Querier, id string) (*Snapshot, error) {
	rows, err := s.load(ctx, q, fmt.Sprintf("snapshot_id IN (SELECT snapshot_id FROM %s WHERE id = %s OR snapshot_id = %s)",
		s.db.Quote(s.catalog), s.db.Arg(1), s.db.Arg(2)), id, id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	out := &Snapshot{ID: rows[0].Snapshot, Run: rows[0].run, TakenAt: rows[0].CapturedAt, Migration: rows[0].Migration, Direction: rows[0].Direction, Label: rows[0].label}
	for _, r := range rows {
		out.Captures = append(out.Captures, r.Info)
	}
	return out, nil
}

// Usage sums what the catalog holds, expired captures left out.
func (s *Store) Usage(ctx context.Context, q engine.Querier) (Usage, error) {
	var u Usage
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(DISTINCT snapshot_id), count(*), coalesce(sum(row_count), 0), coalesce(sum(bytes), 0) FROM %s WHERE status <> %s",
		s.db.Quote(s.catalog), s.db.Arg(1)), statusExpired).Scan(&u.Snapshots, &u.Captures, &u.Rows, &u.Bytes)
	if err != nil {
		return u, fmt.Errorf("read the catalog: %w", err)
	}
	return u, nil
}
