package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// deployment is all that a checkpoint is taken of and restored into.
type deployment struct {
	s *session
	c *rollbackConfig
	m *migrate.Migrator
}

// deployment reads what belongs to it and opens its database.
func (s *session) deployment(ctx context.Context, config string) (*deployment, error) {
	c, err := s.readRollbackConfig(config)
	if err != nil {
		return nil, err
	}
	if c.database != nil && c.database.catalog != "" {
		if s.Catalog != "" && s.Catalog != c.database.catalog {
			return nil, &usageError{message: "the catalog is " + s.Catalog + ", but " + c.path + " names " + c.database.catalog + " as snapshot_table", hint: "name the same one in both"}
		}
		s.Catalog = c.database.catalog
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	return &deployment{s: s, c: c, m: m}, nil
}

// target is the database as a checkpoint remembers it.
func (d *deployment) target() checkpoint.Target {
	t := d.s.db.Target
	out := checkpoint.Target{Engine: string(t.Kind), Host: t.Host, Database: t.Database}
	if t.Kind == engine.SQLite {
		if abs, err := filepath.Abs(t.Database); err == nil {
			out.Database = filepath.ToSlash(abs)
		}
	}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} { // names of the same
		if rest, ok := strings.CutPrefix(out.Host, name); ok && (rest == "" || rest[0] == ':') {
			out.Host = "localhost" + rest
		}
	}
	return out
}

// chosen are the components that are meant: all that have a strategy, or those that were named.
func (d *deployment) chosen(named []string) ([]string, error) {
	all := d.c.names()
	if len(named) == 0 {
		return all, nil
	}
	for _, n := range named {
		if !slices.Contains(all, n) {
			return nil, &usageError{message: d.c.path + " has no " + n, hint: "it has " + strings.Join(all, ", ")}
		}
	}
	return slices.DeleteFunc(all, func(n string) bool { return !slices.Contains(named, n) }), nil
}

func runCheckpointCreate(ctx context.Context, s *session, o checkpointOptions) error {
	d, err := s.deployment(ctx, o.Config)
	if err != nil {
		return err
	}
	chosen, err := d.chosen(o.Components)
	if err != nil {
		return err
	}
	release, err := checkpoint.Lock(d.c.path)
	if err != nil {
		return err
	}
	defer release()
	s.announce()
	man, hash, err := d.take(ctx, taking{components: chosen, label: o.Label, release: o.Release})
	s.progress.end()
	if err != nil {
		return err
	}
	return s.out.result(checkpointDocument{Version: 1, State: migrate.CheckpointComplete, Hash: hash, Checkpoint: man}, func(w *page) {
		writeCheckpoint(w, man)
		w.line("to see what a restore would do: dbrollback checkpoint restore %s", man.ID)
	})
}

// taking is how a checkpoint is taken.
type taking struct {
	components     []string
	label, release string
	before         string // taken ahead of a restore: what is missing then is missing
	progress       string
}

// take captures the components together: what is cheap and may be refused first, the rows last, so that little time lies between
// the copies and the moment of the rows. It is recorded when all of it is there.
func (d *deployment) take(ctx context.Context, t taking) (man *checkpoint.Manifest, hash string, err error) {
	begun := time.Now()
	man = &checkpoint.Manifest{Version: 1, TakenAt: begun.UTC().Truncate(time.Microsecond), TakenBy: migrate.CurrentUser(), Environment: d.s.Env, Label: t.label, Release: t.release,
		Target: d.target(), Before: t.before}
	if man.ID, err = migrate.NewCheckpointID(man.TakenAt); err != nil {
		return nil, "", err
	}
	man.Machine, _ = os.Hostname()
	if man.Release == "" {
		if man.Release, err = d.release(ctx); err != nil {
			return nil, "", err
		}
	}
	has := func(c string) bool { return slices.Contains(t.components, c) }
	if has(checkpoint.Code) {
		if man.Code, err = d.revision(ctx, man.Release, t.before == ""); err != nil {
			return nil, "", err
		}
	}
	if has(checkpoint.Flags) {
		man.Flags = &checkpoint.FlagsPart{Values: []checkpoint.Flag{}}
		if f := d.c.flags.file; f != nil {
			man.Flags.File = f.Abs()
			if man.Flags.Values, err = f.Read(d.c.flags.names, t.before == ""); err != nil {
				return nil, "", err
			}
		}
	}
	location := ""
	if has(checkpoint.Configuration) {
		location = d.c.configuration.location
		folder := checkpoint.Unfinished(location, man.ID)
		defer func() {
			if err != nil {
				err = errors.Join(err, os.RemoveAll(folder))
			}
		}()
		if man.Configuration, err = d.c.configuration.tree.Capture(ctx, folder, t.before == ""); err != nil {
			return nil, "", err
		}
		man.Configuration.Location = location
	}
	if has(checkpoint.Database) {
		if man.Database, err = d.rows(ctx, man, t.before == ""); err != nil {
			return nil, "", err
		}
	}
	hash, err = d.record(ctx, man, location, t, begun)
	return man, hash, err
}

func (d *deployment) record(ctx context.Context, man *checkpoint.Manifest, location string, t taking, begun time.Time) (hash string, err error) {
	text, hash, err := man.Encode()
	if err != nil {
		return "", err
	}
	if location != "" {
		if err := checkpoint.Finish(location, man.ID, text); err != nil {
			return "", err
		}
	}
	version, err := d.m.Current(ctx)
	if err != nil {
		return "", err
	}
	c := migrate.Checkpoint{ID: man.ID, TakenAt: man.TakenAt, Migration: version, Hash: hash, Before: man.Before, State: migrate.CheckpointComplete, Manifest: string(text)}
	if t.before != "" {
		c.State, c.Progress = migrate.CheckpointRestoring, t.progress
	}
	detail := map[string]string{"checkpoint": man.ID, "hash": hash, "components": strings.Join(man.Components(), ", ")}
	for k, v := range map[string]string{"environment": man.Environment, "label": man.Label, "release": man.Release, "before the restore of": man.Before} {
		if v != "" {
			detail[k] = v
		}
	}
	if man.Code != nil && man.Code.Commit != "" {
		detail["commit"] = man.Code.Commit
	}
	if man.Database != nil && man.Database.Snapshot != "" {
		detail["snapshot"] = man.Database.Snapshot
	}
	return hash, d.m.RecordCheckpoint(ctx, c, audit.Entry{Run: man.ID, At: time.Now(), Action: "checkpoint create", From: version, To: version, Outcome: audit.Done,
		DurationSeconds: time.Since(begun).Seconds(), Detail: detail})
}

// release is the name of the version that the database is at, "" when it has none.
func (d *deployment) release(ctx context.Context) (string, error) {
	all, err := d.m.Releases(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if r.State == migrate.ReleaseCurrent {
			return r.Name, nil
		}
	}
	return "", nil
}

// revision is the code as it is checked out. What a command deploys may lie elsewhere: then the version is all that it needs, and ahead of a
// restore not even that is known.
func (d *deployment) revision(ctx context.Context, release string, strict bool) (*checkpoint.CodePart, error) {
	part := &checkpoint.CodePart{Version: release}
	repo, err := checkpoint.OpenRepo(ctx, d.c.code.repository)
	if err == nil {
		part.Commit, err = repo.Head(ctx)
	}
	if err != nil {
		if d.c.code.redeploy && (release != "" || !strict) {
			return part, nil
		}
		return nil, err
	}
	part.Branch = repo.Branch(ctx)
	if part.Version == "" {
		part.Version, err = repo.Describe(ctx, part.Commit)
	}
	return part, err
}

// rows captures the tables, all as of one moment.
func (d *deployment) rows(ctx context.Context, man *checkpoint.Manifest, strict bool) (*checkpoint.DatabasePart, error) {
	version, err := d.m.Current(ctx)
	if err != nil {
		return nil, err
	}
	tables := d.c.database.tables
	if d.c.database.full {
		if tables, err = d.s.db.Tables(ctx, d.s.db); err != nil {
			return nil, err
		}
		catalog := d.s.db.Own(d.s.Catalog)
		tables = slices.DeleteFunc(tables, func(n engine.Name) bool { return n == catalog })
	} else if !strict {
		if tables, err = d.m.Exists(ctx, tables); err != nil {
			return nil, err
		}
	}
	part := &checkpoint.DatabasePart{Migration: version, Tables: []string{}}
	if len(tables) == 0 {
		return part, nil
	}
	sn, err := d.m.CreateSnapshot(ctx, migrate.SnapshotRequest{Tables: tables, Label: "checkpoint " + man.ID})
	if err != nil {
		return nil, err
	}
	part.Snapshot = sn.ID
	for _, c := range sn.Captures {
		if !slices.Contains(part.Tables, c.Table) {
			part.Tables = append(part.Tables, c.Table)
		}
	}
	now, err := d.m.Current(ctx)
	if err == nil && now != version {
		err = &refusedError{message: "a migration ran while the checkpoint was taken; it was not recorded", hint: "run it again"}
	}
	return part, err
}
