package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Migrator applies, rolls back and describes the migrations of one folder on one target.
type Migrator struct {
	o        Options
	db       *engine.DB
	dialect  effects.Dialect
	src      *source
	catalog  catalog
	store    *snapshot.Store
	changes  *journal.Journal
	log      *audit.Log
	versions database.Store
	table    engine.Name // of versions; with its schema once it was found
}

// gooseDialects names each engine as goose does.
var gooseDialects = map[engine.Kind]database.Dialect{
	engine.Postgres: database.DialectPostgres,
	engine.MySQL:    database.DialectMySQL,
	engine.MariaDB:  database.DialectMySQL,
	engine.SQLite:   database.DialectSQLite3,
}

// Open prepares a Migrator. It reads the folder's file names and nothing of the database.
func Open(_ context.Context, o Options) (*Migrator, error) {
	if o.VersionTable == "" {
		o.VersionTable = "goose_db_version"
	}
	if o.Catalog == "" {
		o.Catalog = "state_snapshots"
	}
	if o.User == "" {
		o.User = CurrentUser()
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	dialect := effects.Dialect(o.DB.Kind)
	src, err := newSource(o.Files, o.Dir, dialect)
	if err != nil {
		return nil, err
	}
	versions, err := database.NewStore(gooseDialects[o.DB.Kind], o.VersionTable)
	if err != nil {
		return nil, fmt.Errorf("version table %s: %w", o.VersionTable, err)
	}
	o.DB.Ignore = append(o.DB.Ignore, versionTable(o.VersionTable))
	store := snapshot.New(o.DB, o.Catalog)
	store.Copy, store.KeepColumns, store.KeepColumnsFrom = o.CopyTables, o.KeepColumns, o.KeepColumnsFrom
	store.Alongside = []engine.Name{o.DB.Own("dbrollback_operations")}
	changes := journal.New(o.DB, store)
	store.Journal = changes
	return &Migrator{
		o: o, changes: changes, db: o.DB, dialect: dialect, src: src, versions: versions, table: versionTable(o.VersionTable),
		catalog: catalog{o.DB}, store: store, log: audit.New(o.DB),
	}, nil
}

// versionTable is goose's table as a name; goose takes "schema.table" as well.
func versionTable(s string) engine.Name {
	if schema, name, ok := strings.Cut(s, "."); ok {
		return engine.Name{Schema: schema, Name: name}
	}
	return engine.Name{Name: s}
}

// CurrentUser is the operating system's user@host: who runs.
func CurrentUser() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// newID makes an id that sorts by time.
func newID(now time.Time) (string, error) {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return now.UTC().Format("20060102T150405.000000") + "-" + hex.EncodeToString(b[:]), nil
}

// locked runs fn on a pinned connection that holds the run lock, with catalog and version table in place.
func (m *Migrator) locked(ctx context.Context, fn func(*engine.Session) error) (err error) {
	s, err := m.db.Session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	release, err := s.RunLock(ctx, m.o.LockWait)
	if err != nil {
		return err
	}
	defer release()
	if err := m.ensure(ctx, s); err != nil {
		return err
	}
	err = fn(s)
	if ctx.Err() != nil {
		return err // the next run makes the checksums of what was committed
	}
	if failed := m.store.Sums(ctx, s); failed != nil && err == nil {
		m.o.Events(Event{Kind: WarningEvent, Text: failed.Error() + "; what was done is committed, and dbrollback snapshot verify looks again"})
	}
	return err
}

// ensure makes what is missing of our catalog and of goose's version table.
func (m *Migrator) ensure(ctx context.Context, s *engine.Session) error {
	return s.Tx(ctx, func(tx *sql.Tx) error {
		if err := m.db.EnsureHome(ctx, tx); err != nil {
			return err
		}
		if err := m.store.Ensure(ctx, tx); err != nil {
			return err
		}
		if err := m.log.Ensure(ctx, tx); err != nil {
			return err
		}
		if err := m.catalog.ensure(ctx, tx); err != nil {
			return err
		}
		switch ok, err := m.versioned(ctx, tx); {
		case err != nil:
			return err
		case ok:
			return nil
		}
		if err := m.versions.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
		if _, err := m.versioned(ctx, tx); err != nil {
			return err
		}
		return m.versions.Insert(ctx, tx, database.InsertRequest{Version: 0})
	})
}

// versioned says whether goose's version table exists.
func (m *Migrator) versioned(ctx context.Context, q engine.Querier) (bool, error) {
	n, err := m.db.Resolve(ctx, q, m.table)
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	if err != nil || n.Schema == m.table.Schema {
		return err == nil, err
	}
	// A migration may set the search path: from here on the table is called by its whole name.
	store, err := database.NewStore(gooseDialects[m.db.Kind], m.db.Quote(n))
	if err != nil {
		return false, fmt.Errorf("version table %s: %w", n, err)
	}
	m.versions, m.table = store, n
	return true, nil
}

// applied lists the applied versions as goose has them, oldest first; none when goose never ran.
func (m *Migrator) applied(ctx context.Context, q database.DBTxConn) ([]int64, error) {
	if ok, err := m.versioned(ctx, q); !ok || err != nil {
		return nil, err
	}
	list, err := m.versions.ListMigrations(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", m.o.VersionTable, err)
	}
	var out []int64
	for _, l := range list { // newest first
		if l.IsApplied && l.Version > 0 {
			out = append(out, l.Version)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// isApplied says whether goose has a version as applied; the version table must be there.
func (m *Migrator) isApplied(ctx context.Context, q database.DBTxConn, version int64) (bool, error) {
	g, err := m.versions.GetMigration(ctx, q, version)
	if errors.Is(err, database.ErrVersionNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", m.o.VersionTable, err)
	}
	return g.IsApplied, nil
}

// appliedStep gives the statement for the same question, to be sent along with others; into stays false for a version
// that goose never saw.
func (m *Migrator) appliedStep(version int64, into *bool) engine.Step {
	return engine.Step{
		What: "read " + m.o.VersionTable, Args: []any{version}, Into: []any{into},
		SQL: "SELECT is_applied FROM " + m.db.Quote(m.table) + " WHERE version_id = " + m.db.Arg(1) + " ORDER BY tstamp DESC LIMIT 1",
	}
}

// current is the version that goose would name: the highest applied one.
func current(applied []int64) int64 {
	if len(applied) == 0 {
		return 0
	}
	return slices.Max(applied)
}

// pending lists the versions of the folder that are not applied, up to and including to (-1: all). A
// version below one that is applied is refused, as goose refuses it.
func (m *Migrator) pending(applied []int64, to int64) ([]int64, error) {
	cur := current(applied)
	var out []int64
	for _, v := range m.src.versions {
		if slices.Contains(applied, v) {
			continue
		}
		if v < cur {
			return nil, &RefusedError{Reasons: []Refusal{{
				File: m.src.file(v), Line: 1, Column: 1,
				Message: fmt.Sprintf("migration %d is not applied, though %d, which comes after it, is", v, cur),
				Hint:    "give it a version above " + fmt.Sprint(cur) + ", so that every database runs the migrations in one order",
			}}}
		}
		if to >= 0 && v > to {
			break
		}
		out = append(out, v)
	}
	if to >= 0 && to != 0 && !slices.Contains(applied, to) && !slices.Contains(out, to) {
		return nil, &RefusedError{Reasons: []Refusal{{
			Message: fmt.Sprintf("there is no migration with version %d in %s, so it cannot be gone up to", to, m.o.Dir),
			Hint:    "dbrollback status shows which there are",
		}}}
	}
	return out, nil
}

// migration gives the text to run for a version in a direction. Up runs the file. Down runs the file when its
// Up is still the one that was applied (a mended Down is welcome), else what the catalog stored.
func (m *Migrator) migration(ctx context.Context, version int64, d Direction, rec *record) (*Migration, string, error) {
	_, onDisk := m.src.paths[version]
	if d == Up || rec == nil {
		if !onDisk {
			return nil, "", &RefusedError{Reasons: []Refusal{{
				File: fmt.Sprint(version), Line: 1, Column: 1,
				Message: fmt.Sprintf("migration %d is applied, but %s has no file for it and the catalog no text", version, m.o.Dir),
				Hint:    "run again with --dir pointing to the folder that holds its file",
			}}}
		}
		mig, err := m.src.load(ctx, version)
		return mig, "", err
	}
	if onDisk {
		text, err := m.src.text(version)
		if err != nil {
			return nil, "", err
		}
		if text == rec.Text {
			mig, err := m.src.load(ctx, version)
			return mig, "", err
		}
	}
	stored, err := fromCatalog(ctx, version, rec.File, rec.Text, m.dialect)
	if err != nil || !onDisk {
		return stored, "", err
	}
	file, err := m.src.load(ctx, version)
	if err == nil && sameSQL(file.Up, stored.Up) {
		return file, fmt.Sprintf("%s: the Down section was edited after the migration was applied; the file's is used", file.File), nil
	}
	return stored, fmt.Sprintf("%s was edited after it was applied; the text that was applied is rolled back", m.src.file(version)), nil
}

func sameSQL(a, b []Statement) bool {
	return slices.EqualFunc(a, b, func(x, y Statement) bool { return x.SQL == y.SQL })
}

// release finds the version that a release name stands for.
func (m *Migrator) release(ctx context.Context, q engine.Querier, name string) (int64, error) {
	var known []string
	if ok, err := m.catalog.exists(ctx, q); err != nil {
		return 0, err
	} else if ok {
		list, err := m.catalog.releases(ctx, q)
		if err != nil {
			return 0, err
		}
		for _, r := range list {
			if r.Name == name {
				return r.Version, nil
			}
			known = append(known, r.Name)
		}
	}
	hint := "no release has been recorded; `dbrollback up --release NAME` records one"
	if len(known) > 0 {
		hint = "releases recorded: " + strings.Join(known, ", ")
	}
	return 0, &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("release %q is not recorded here", name), Hint: hint}}}
}

// targets lists the versions that a rollback undoes, newest first.
func (m *Migrator) targets(ctx context.Context, q database.DBTxConn, req PlanRequest) ([]int64, error) {
	applied, err := m.applied(ctx, q)
	if err != nil {
		return nil, err
	}
	newest := slices.Clone(applied)
	slices.Reverse(newest)
	to := req.To
	if req.ToRelease != "" {
		if to, err = m.release(ctx, q, req.ToRelease); err != nil {
			return nil, err
		}
	}
	switch {
	case !req.At.IsZero():
		var out []int64
		for _, v := range newest {
			at, err := m.appliedAt(ctx, q, v)
			if err != nil {
				return nil, err
			}
			if !at.After(req.At) {
				break
			}
			out = append(out, v)
		}
		return out, nil
	case to >= 0:
		if to > 0 && !slices.Contains(applied, to) {
			return nil, &RefusedError{Reasons: []Refusal{{
				Message: fmt.Sprintf("version %d is not applied, so it cannot be gone back to", to),
				Hint:    "dbrollback status shows what is applied",
			}}}
		}
		i := slices.IndexFunc(newest, func(v int64) bool { return v <= to })
		if i < 0 {
			i = len(newest)
		}
		return newest[:i], nil
	default:
		if req.Steps < 1 {
			return nil, fmt.Errorf("steps must be 1 or more, not %d", req.Steps)
		}
		return newest[:min(req.Steps, len(newest))], nil
	}
}

// appliedAt says when a version was applied (UTC): our own record where there is one, else goose's.
func (m *Migrator) appliedAt(ctx context.Context, q database.DBTxConn, version int64) (time.Time, error) {
	ok, err := m.catalog.exists(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	if ok {
		rec, err := m.catalog.load(ctx, q, version)
		if err != nil {
			return time.Time{}, err
		}
		if rec != nil && rec.UndoneAt.IsZero() {
			return rec.AppliedAt, nil
		}
	}
	g, err := m.versions.GetMigration(ctx, q, version)
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", m.o.VersionTable, err)
	}
	return g.Timestamp.UTC(), nil
}
