package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/verify"
)

// Status describes the target. It only reads, and works on a database that dbrollback has never touched.
func (m *Migrator) Status(ctx context.Context) (_ *Status, err error) {
	s, err := m.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	st := &Status{Version: 1, Target: m.db.Target, Migrations: []StatusMigration{}, Unfinished: []Unfinished{}, Drift: []verify.Difference{}}
	applied, err := m.applied(ctx, s)
	if err != nil {
		return nil, err
	}
	st.Current = current(applied)
	known := map[int64]brief{}
	names := map[int64]string{}
	ours, err := m.catalog.exists(ctx, s)
	if err != nil {
		return nil, err
	}
	if ours {
		if known, err = m.catalog.applied(ctx, s); err != nil {
			return nil, err
		}
		list, err := m.catalog.releases(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, r := range slices.Backward(list) {
			names[r.Version] = r.Name // the newest name of a version wins
		}
		if st.Unfinished, err = m.unfinished(ctx, s); err != nil {
			return nil, err
		}
		if st.Captures, err = m.store.Usage(ctx, s); err != nil {
			return nil, err
		}
		if st.Drift, err = m.drift(ctx, s, applied); err != nil {
			return nil, err
		}
		if st.Drill, err = m.lastDrill(ctx, s); err != nil {
			return nil, err
		}
	}
	versions := slices.Clone(applied)
	for _, v := range m.src.versions {
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	for _, v := range versions {
		sm := StatusMigration{Version: v, File: m.src.file(v)}
		b, ok := known[v]
		sm.Captured = ok && slices.Contains(applied, v)
		if sm.File == "" {
			sm.File = b.File
		}
		if slices.Contains(applied, v) {
			at := b.AppliedAt
			if !ok {
				if at, err = m.appliedAt(ctx, s, v); err != nil {
					return nil, err
				}
			}
			sm.AppliedAt = &at
			if n, ok := names[v]; ok {
				sm.Release = &n
			}
			if _, onDisk := m.src.paths[v]; onDisk && ok {
				text, err := m.src.text(v)
				if err != nil {
					return nil, err
				}
				sm.Edited = sumOf(text) != b.Sum
			}
		}
		st.Migrations = append(st.Migrations, sm)
	}
	return st, nil
}

// drift compares each object that an applied migration changed with what the last of them left, and the columns of its tables.
func (m *Migrator) drift(ctx context.Context, q database.DBTxConn, applied []int64) ([]verify.Difference, error) {
	last, columns := changes{}, standing{}
	for _, v := range applied {
		rec, err := m.catalog.load(ctx, q, v)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			columns = standing{} // goose ran it, and nobody noted what became of which table
			continue
		}
		maps.Copy(last, rec.Up)
		columns.follow(rec)
	}
	if len(last) == 0 {
		return []verify.Difference{}, nil
	}
	now, err := reach{}.with(last).take(ctx, m.db, q)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	d := material(verify.Diff(last.side(true), columns.strangers(last.among(now, true), now)))
	if d == nil {
		d = []verify.Difference{}
	}
	return d, nil
}
