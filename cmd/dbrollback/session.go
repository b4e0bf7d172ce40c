package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// session is what a command works with: the settings, the streams and, from open on, the database.
type session struct {
	streams
	*settings
	out      *output
	db       *engine.DB
	progress *progress
	fresh    string // a SQLite file that was not there before
	member   bool   // of a fleet: it must be there, also for up, and the fleet tells about it
	consent  *consent
	telling  *telling
}

func (p *program) session(c *cli.Context) (*session, error) {
	s, err := resolve(c, p.Getenv)
	if err != nil {
		return nil, err
	}
	p.out.json, p.out.secret = s.JSON, s.DSN
	return &session{streams: p.streams, settings: s, out: p.out, consent: p.consent}, nil
}

// connect opens the database, once. Only up may make a new SQLite file: elsewhere a missing one is a typing mistake.
func (s *session) connect(ctx context.Context, mayCreate bool) error {
	if s.db != nil {
		return nil
	}
	if err := s.named(); err != nil {
		return err
	}
	target, err := engine.Parse(s.DSN)
	if err != nil {
		return s.badDSN(err)
	}
	if _, err := os.Stat(target.Database); target.Kind == engine.SQLite && errors.Is(err, fs.ErrNotExist) {
		s.fresh = target.Database
	}
	db, err := engine.Open(ctx, s.DSN, engine.Options{LockTimeout: s.LockTimeout, StatementTimeout: s.StatementTimeout, MustExist: !mayCreate || s.member})
	if err != nil {
		return err
	}
	s.db = db
	return nil
}

func (s *session) badDSN(err error) error {
	u := &usageError{message: s.DSNFrom + ": " + err.Error(), hint: "postgres://user@host:5432/name, mysql://…, mariadb://… or sqlite:file.db"}
	var e *engine.Error
	if errors.As(err, &e) && e.Hint != "" {
		u.hint = e.Hint
	}
	return u
}

// named makes sure that one database is meant.
func (s *session) named() error {
	switch {
	case s.dsnErr != nil:
		return s.dsnErr
	case s.DSN != "":
		return nil
	}
	if s.Env != "" {
		return &usageError{message: "environment " + s.Env + " names no database", hint: "write dsn: below environments: " + s.Env + ": in " + s.ConfigPath + ", or pass --dsn"}
	}
	return &usageError{message: "no database is named", hint: "pass --dsn, set DBROLLBACK_DSN, or write dsn: into " + configName + " (dbrollback init makes one)"}
}

// migrator opens the database and the migrations. Without a folder on disk it works from what the catalog
// stored, as a rollback from an older release's image must; forward, for up, makes that an error.
func (s *session) migrator(ctx context.Context, forward bool) (*migrate.Migrator, error) {
	if err := s.named(); err != nil {
		return nil, err
	}
	target, err := engine.Parse(s.DSN)
	if err != nil {
		return nil, s.badDSN(err)
	}
	files, err := s.files(forward, effects.Dialect(target.Kind))
	if err != nil {
		return nil, err
	}
	if forward && !anyMigration(files) {
		s.out.warn("there are no migrations in %s", s.Dir)
	}
	if err := s.connect(ctx, forward); err != nil {
		return nil, err
	}
	s.progress = newProgress(s)
	return migrate.Open(ctx, migrate.Options{
		DB: s.db, Files: files, Dir: s.Dir,
		VersionTable: s.VersionTable, Catalog: s.Catalog,
		LockWait: s.LockTimeout, Keep: s.Keep, KeepCount: s.KeepCount, KeepReleases: s.KeepReleases, CopyTables: !s.KeepTables, KeepColumns: s.KeepColumns, KeepColumnsFrom: s.KeepColumnsFrom,
		Events: s.event,
	})
}

// event passes on what a run does.
func (s *session) event(e migrate.Event) {
	s.progress.event(e)
	s.telling.event(e)
}

// files are the migrations as goose files, whichever tool they were written for; nil when there is no folder and
// none is needed.
func (s *session) files(need bool, d effects.Dialect) (fs.FS, error) {
	info, err := os.Stat(s.Dir)
	switch {
	case err == nil && info.IsDir():
		return s.openFolder(s.Dir, d)
	case err == nil:
		return nil, &usageError{message: "the migrations folder " + s.Dir + " is a file", hint: "name the folder that holds it: --dir " + filepath.Dir(s.Dir)}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &usageError{message: "the migrations folder " + s.Dir + " cannot be read: " + errors.Unwrap(err).Error(), hint: "check its permissions"}
	case need || s.DirSet:
		return nil, &usageError{message: "the migrations folder " + s.Dir + " does not exist", hint: "name it with --dir, or make one with: dbrollback init"}
	}
	return nil, nil
}

// store opens the database and its captures.
func (s *session) store(ctx context.Context) (*snapshot.Store, error) {
	if err := s.connect(ctx, false); err != nil {
		return nil, err
	}
	catalog := s.Catalog
	if catalog == "" {
		catalog = "state_snapshots"
	}
	return snapshot.New(s.db, catalog), nil
}

// announce says which database is about to be written, ahead of writing it.
func (s *session) announce() {
	if s.member {
		return
	}
	s.out.note("target: %s", describe(s.db.Target))
}

func (s *session) close() {
	if s.progress != nil {
		s.progress.end()
	}
	if s.db != nil {
		_ = s.db.Close() // everything that matters was committed before
	}
	if info, err := os.Stat(s.fresh); err == nil && info.Size() == 0 {
		_ = os.Remove(s.fresh) // opened to be looked at; nothing was written
	}
}
