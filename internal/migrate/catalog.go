package migrate

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

//go:embed catalog.sql
var catalogSQL string

// stamp is how the catalog writes times: UTC, microseconds, sorts as text on every engine.
const stamp = "2006-01-02T15:04:05.000000Z"

func stampOf(t time.Time) string { return t.UTC().Format(stamp) }

func parseStamp(s string) (time.Time, error) { return time.Parse(stamp, s) }

// catalog owns dbrollback_migrations, dbrollback_operations and dbrollback_releases.
type catalog struct{ db *engine.DB }

func (c catalog) table(name string) string { return c.db.Quote(c.db.Own(name)) }

// sql fills in our tables' names ({migrations} …) and the placeholders (each ?).
func (c catalog) sql(query string) string {
	for _, t := range []string{"migrations", "operations", "releases"} {
		query = strings.ReplaceAll(query, "{"+t+"}", c.table("dbrollback_"+t))
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString(c.db.Arg(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// exists says whether the catalog is there, without making it: for commands that only read.
func (c catalog) exists(ctx context.Context, q engine.Querier) (bool, error) {
	_, err := c.db.Resolve(ctx, q, c.db.Own("dbrollback_migrations"))
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	return err == nil, err
}

func (c catalog) ensure(ctx context.Context, q engine.Querier) error {
	if ok, err := c.exists(ctx, q); ok || err != nil {
		return err
	}
	for _, stmt := range strings.Split(catalogSQL, ";\n") {
		if stmt = strings.TrimSpace(stmt); stmt == "" {
			continue
		}
		stmt = strings.NewReplacer("{text}", c.db.Caps.LongText, "{options}", c.db.Caps.TableOptions).Replace(stmt)
		if _, err := q.ExecContext(ctx, c.sql(stmt)); err != nil {
			return fmt.Errorf("create the catalog: %w", err)
		}
	}
	return nil
}

// change is what a migration did to one object.
type change struct {
	Before *verify.Object `json:"before,omitempty"`
	After  *verify.Object `json:"after,omitempty"`
	// Left lies under the key "", beside the objects, in what the catalog keeps of an Up.
	Left []left `json:"left,omitempty"`
}

// left is an entry of standing.
type left struct {
	Table   engine.Name `json:"table"`
	Columns []string    `json:"columns"`
}

func (c change) object() *verify.Object {
	if c.Before != nil {
		return c.Before
	}
	return c.After
}

// changes by verify.Object.Key.
type changes map[string]change

// record is what the catalog knows of one migration.
type record struct {
	Version    int64
	File, Text string
	AppliedAt  time.Time
	Run        string
	Up, Down   changes   // what the last run in that direction did
	Columns    standing  // of the tables that Up changed, as it left them; nil in records of before they were kept
	UndoneAt   time.Time // zero while applied
}

func (r *record) changes(d Direction) changes {
	if d == Up {
		return r.Up
	}
	return r.Down
}

// load reads the record of a version, nil when there is none.
func (c catalog) load(ctx context.Context, q engine.Querier, version int64) (*record, error) {
	var (
		r                = record{Version: version}
		applied          string
		up, down, undone sql.NullString
	)
	err := q.QueryRowContext(ctx, c.sql(`SELECT file, source, applied_at, run, up_changes, down_changes, undone_at FROM {migrations} WHERE version = ?`), version).
		Scan(&r.File, &r.Text, &applied, &r.Run, &up, &down, &undone)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the catalog's record of migration %d: %w", version, err)
	}
	if r.AppliedAt, err = parseStamp(applied); err != nil {
		return nil, fmt.Errorf("record of migration %d: %w", version, err)
	}
	if undone.Valid {
		if r.UndoneAt, err = parseStamp(undone.String); err != nil {
			return nil, fmt.Errorf("record of migration %d: %w", version, err)
		}
	}
	for _, p := range []struct {
		s  sql.NullString
		to *changes
	}{{up, &r.Up}, {down, &r.Down}} {
		if p.s.Valid {
			if err := json.Unmarshal([]byte(p.s.String), p.to); err != nil {
				return nil, fmt.Errorf("record of migration %d: %w", version, err)
			}
		}
	}
	if c, kept := r.Up[""]; kept {
		r.Columns = standing{}
		for _, l := range c.Left {
			r.Columns[l.Table] = l.Columns
		}
		delete(r.Up, "")
	}
	return &r, nil
}

// known lists the versions that have a record.
func (c catalog) known(ctx context.Context, q engine.Querier) (map[int64]bool, error) {
	rows, err := q.QueryContext(ctx, c.sql(`SELECT version FROM {migrations}`))
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	defer rows.Close()
	out := map[int64]bool{}
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out[v] = true
	}
	return out, rows.Err()
}

// save gives the statements that write the record of a version, over an older one where there is one.
func (c catalog) save(r *record, over bool) ([]engine.Step, error) {
	up, err := json.Marshal(r.Columns.beside(r.Up))
	if err != nil {
		return nil, err
	}
	down, err := json.Marshal(r.Down)
	if err != nil {
		return nil, err
	}
	undone := sql.NullString{}
	if !r.UndoneAt.IsZero() {
		undone = sql.NullString{String: stampOf(r.UndoneAt), Valid: true}
	}
	what := fmt.Sprintf("record migration %d", r.Version)
	var steps []engine.Step
	if over {
		steps = append(steps, engine.Step{What: what, SQL: c.sql(`DELETE FROM {migrations} WHERE version = ?`), Args: []any{r.Version}})
	}
	return append(steps, engine.Step{
		What: what, SQL: c.sql(`INSERT INTO {migrations} (version, file, source, applied_at, run, up_changes, down_changes, undone_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`),
		Args: []any{r.Version, r.File, r.Text, stampOf(r.AppliedAt), r.Run, string(up), string(down), undone},
	}), nil
}

// brief is a record without its texts, for lists.
type brief struct {
	File      string
	Sum       string
	AppliedAt time.Time
}

// applied lists the records of migrations that are applied, by version.
func (c catalog) applied(ctx context.Context, q engine.Querier) (map[int64]brief, error) {
	rows, err := q.QueryContext(ctx, c.sql(`SELECT version, file, source, applied_at FROM {migrations} WHERE undone_at IS NULL`))
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	defer rows.Close()
	out := map[int64]brief{}
	for rows.Next() {
		var (
			v       int64
			b       brief
			text, t string
		)
		if err := rows.Scan(&v, &b.File, &text, &t); err != nil {
			return nil, err
		}
		b.Sum = sumOf(text)
		if b.AppliedAt, err = parseStamp(t); err != nil {
			return nil, fmt.Errorf("record of migration %d: %w", v, err)
		}
		out[v] = b
	}
	return out, rows.Err()
}

// release is a name for a schema version.
type release struct {
	Name    string
	Version int64
	At      time.Time
}

// releases lists them, newest first.
func (c catalog) releases(ctx context.Context, q engine.Querier) ([]release, error) {
	rows, err := q.QueryContext(ctx, c.sql(`SELECT name, version, tagged_at FROM {releases} ORDER BY tagged_at DESC, name DESC`))
	if err != nil {
		return nil, fmt.Errorf("read the releases: %w", err)
	}
	defer rows.Close()
	var out []release
	for rows.Next() {
		var r release
		var t string
		if err := rows.Scan(&r.Name, &r.Version, &t); err != nil {
			return nil, err
		}
		if r.At, err = parseStamp(t); err != nil {
			return nil, fmt.Errorf("release %s: %w", r.Name, err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// tag names a version; a name that exists moves.
func (c catalog) tag(ctx context.Context, q engine.Querier, r release) error {
	if _, err := q.ExecContext(ctx, c.sql(`DELETE FROM {releases} WHERE name = ?`), r.Name); err != nil {
		return fmt.Errorf("tag release %s: %w", r.Name, err)
	}
	_, err := q.ExecContext(ctx, c.sql(`INSERT INTO {releases} (name, version, tagged_at) VALUES (?, ?, ?)`), r.Name, r.Version, stampOf(r.At))
	if err != nil {
		return fmt.Errorf("tag release %s: %w", r.Name, err)
	}
	return nil
}
