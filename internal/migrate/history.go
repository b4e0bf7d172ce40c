package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/folder"
)

// History is what another tool has applied to a database, as its own table tells.
type History struct {
	Format  folder.Format
	Table   string // for messages; "" when the database has none
	Applied []HistoryEntry
	UpTo    bool   // the tool keeps the newest version only: those below it are applied as well
	Broken  string // why its table cannot be relied on: a migration that failed half-way
}

// HistoryEntry is one version, under the tool's name for it.
type HistoryEntry struct {
	Label string
	At    time.Time // UTC; zero when the table does not say
}

// historyTables are where the tools keep their versions, unless they are told otherwise.
var historyTables = map[folder.Format]engine.Name{
	folder.GolangMigrate: {Name: "schema_migrations"},
	folder.Dbmate:        {Name: "schema_migrations"},
	folder.Flyway:        {Name: "flyway_schema_history"},
	folder.Sqitch:        {Schema: "sqitch", Name: "changes"},
}

// history reads the version table of a tool; named is another name for it than the tool's own, or "".
func (m *Migrator) history(ctx context.Context, q engine.Querier, f *folder.Folder, named string) (*History, error) {
	h := &History{Format: f.Format}
	name := historyTables[f.Format]
	if named != "" {
		name = versionTable(named)
	}
	if f.Format == folder.Sqitch && !m.db.Caps.Schemas {
		return h, m.sqitchElsewhere(ctx, q, f, name, h)
	}
	t, err := m.db.Inspect(ctx, q, name)
	if errors.Is(err, engine.ErrNoTable) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	return h, m.read(ctx, q, f, t, h)
}

// read reads the table of a history, which is there.
func (m *Migrator) read(ctx context.Context, q engine.Querier, f *folder.Folder, t *engine.Table, h *History) (err error) {
	has := func(column string) bool {
		return slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, column) })
	}
	table := m.db.Quote(t.Name)
	switch f.Format {
	case folder.GolangMigrate:
		if !has("version") || !has("dirty") {
			return nil // that of another tool
		}
		err = h.migrateRow(ctx, q, table)
	case folder.Dbmate:
		if !has("version") || has("dirty") {
			return nil
		}
		err = h.rows(ctx, q, "SELECT version, NULL FROM "+table+" ORDER BY version")
	case folder.Flyway:
		if !has("installed_rank") {
			return nil
		}
		err = h.flywayRows(ctx, q, m.db, table)
	case folder.Sqitch:
		err = h.rows(ctx, q, fmt.Sprintf("SELECT %s, committed_at FROM %s WHERE project = %s ORDER BY committed_at, planned_at", m.db.Ident("change"), table, m.db.Arg(1)), f.Project)
	}
	h.Table = t.Name.String()
	if err != nil {
		return fmt.Errorf("read %s: %w", h.Table, err)
	}
	return nil
}

// rows reads a table of labels and times.
func (h *History) rows(ctx context.Context, q engine.Querier, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var label string
		var at any
		if err := rows.Scan(&label, &at); err != nil {
			return err
		}
		h.Applied = append(h.Applied, HistoryEntry{Label: label, At: momentOf(at)})
	}
	return rows.Err()
}

// migrateRow reads golang-migrate's one row.
func (h *History) migrateRow(ctx context.Context, q engine.Querier, table string) error {
	var version int64
	var dirty bool
	err := q.QueryRowContext(ctx, "SELECT version, dirty FROM "+table+" LIMIT 1").Scan(&version, &dirty)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	h.UpTo = true
	h.Applied = []HistoryEntry{{Label: fmt.Sprint(version)}}
	if dirty {
		h.Broken = fmt.Sprintf("version %d failed half-way (dirty)", version)
	}
	return nil
}

// flywayRows folds Flyway's journal: what was undone or deleted from it since is not applied any more.
func (h *History) flywayRows(ctx context.Context, q engine.Querier, db *engine.DB, table string) error {
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT version, %s, installed_on, success FROM %s WHERE version IS NOT NULL ORDER BY installed_rank", db.Ident("type"), table))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var label, kind string
		var at any
		var success bool
		if err := rows.Scan(&label, &kind, &at, &success); err != nil {
			return err
		}
		h.Applied = slices.DeleteFunc(h.Applied, func(e HistoryEntry) bool { return e.Label == label })
		switch {
		case !success:
			h.Broken = fmt.Sprintf("version %s failed", label)
		case strings.Contains(kind, "BASELINE"):
			h.Broken = fmt.Sprintf("it begins with a baseline at version %s: which versions that stands for the table does not say", label)
		case strings.HasPrefix(kind, "UNDO") || kind == "DELETE" || strings.HasPrefix(kind, "SCHEMA"):
		default:
			h.Applied = append(h.Applied, HistoryEntry{Label: label, At: momentOf(at)})
		}
	}
	return rows.Err()
}

// sqitchElsewhere reads Sqitch's registry where it is a database of its own: beside the file of SQLite, or another one
// of the server.
func (m *Migrator) sqitchElsewhere(ctx context.Context, q engine.Querier, f *folder.Folder, name engine.Name, h *History) error {
	if m.db.Target.Host == "" {
		registry, err := engine.Open(ctx, "sqlite:"+filepath.Join(filepath.Dir(m.db.Target.Database), name.Schema+".db"), engine.Options{MustExist: true})
		if e, ok := engine.AsError(err); ok && e.Class == engine.Unreachable {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open the registry of Sqitch: %w", err)
		}
		defer func() { _ = registry.Close() }()
		other := *m
		other.db = registry
		t, err := registry.Inspect(ctx, registry, engine.Name{Name: name.Name})
		if errors.Is(err, engine.ErrNoTable) {
			return nil
		}
		if err != nil {
			return err
		}
		return other.read(ctx, registry, f, t, h)
	}
	var n int
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s", m.db.Arg(1), m.db.Arg(2)), name.Schema, name.Name).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	h.Table = name.String()
	return h.rows(ctx, q, fmt.Sprintf("SELECT %s, committed_at FROM %s.%s WHERE project = %s ORDER BY committed_at, planned_at",
		m.db.Ident("change"), m.db.Ident(name.Schema), m.db.Ident(name.Name), m.db.Arg(1)), f.Project)
}

// momentOf reads a time however a driver hands it over; zero when it is none.
func momentOf(v any) time.Time {
	var text string
	switch v := v.(type) {
	case time.Time:
		return v.UTC()
	case []byte:
		text = string(v)
	case string:
		text = v
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// versions are goose's numbers of what is applied, with the times. The error is a *RefusedError for a history that
// does not fit the folder.
func (h *History) versions(f *folder.Folder) (map[int64]time.Time, error) {
	out := map[int64]time.Time{}
	refuse := func(hint, format string, args ...any) error {
		return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf(format, args...), Hint: hint}}}
	}
	if h.Broken != "" {
		return nil, refuse("mend it with "+string(h.Format)+" first", "%s of %s cannot be taken over: %s", h.Table, h.Format, h.Broken)
	}
	seen := map[string]int{}
	var unknown []string
	for _, e := range h.Applied {
		vs := f.Versions(e.Label)
		n := seen[e.Label]
		seen[e.Label]++
		if n >= len(vs) {
			unknown = append(unknown, e.Label)
			continue
		}
		out[vs[n]] = e.At
		if h.UpTo {
			for _, m := range f.Migrations {
				if m.Version < vs[n] {
					out[m.Version] = time.Time{}
				}
			}
		}
	}
	if len(unknown) > 0 {
		return nil, refuse("is it the right folder, and the right database?", "%s has versions as applied for which the folder has no file: %s", h.Table, strings.Join(unknown[:min(len(unknown), 5)], ", "))
	}
	return out, nil
}
