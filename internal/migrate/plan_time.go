package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// The rates of estimates are low readings of what was measured on two cores, so that an estimate errs on the long side.
const (
	captureRate = 60 << 20  // bytes a second that are copied, summed and sealed (391 MB in 3.4 s), or written by a rewrite
	scanRate    = 400 << 20 // bytes a second that are read
	rowRate     = 100_000   // rows a second that are written one by one, with their indexes
)

// keptOut says who waits for each kind of lock.
var keptOut = map[string]string{
	"ACCESS EXCLUSIVE": "readers and writers", "SHARE ROW EXCLUSIVE": "writers", "SHARE": "writers",
	"SHARE UPDATE EXCLUSIVE": "nobody but VACUUM and changes of the table", rowLocks: "writers of the same rows", aloneWith: "readers and writers",
}

// foresee estimates, from the server's statistics, for how long each step of a plan keeps others out, and says how captured data
// will go back. Both are left out of the plan's hash.
func (m *Migrator) foresee(ctx context.Context, q engine.Querier, p *Plan, online bool) error {
	sizes := map[string]*engine.Table{}
	size := func(name engine.Name) (*engine.Table, error) {
		key := name.String()
		if t, ok := sizes[key]; ok {
			return t, nil
		}
		t, err := m.db.Inspect(ctx, q, name)
		if errors.Is(err, engine.ErrNoTable) {
			t, err = nil, nil
		}
		sizes[key] = t
		return t, err
	}
	filled := map[string]bool{} // tables whose rows come back on the way: their size of now says nothing
	for i := range p.Migrations {
		pm := &p.Migrations[i]
		if p.Direction == Down {
			ways, err := m.ways(ctx, q, pm.Version, online)
			if err != nil {
				return err
			}
			for j := range ways {
				switch w := &ways[j]; w.Way.Way {
				case snapshot.ByBatches:
				case snapshot.ByUpdate, snapshot.ByRewrite, snapshot.BySize:
					if filled[w.Table] {
						w.Way.Way, w.Twin, w.Of, w.Seconds = snapshot.BySize, "", -1, float64(w.Rows)/rowRate
					}
				default:
					filled[w.Table] = true
				}
			}
			pm.Back = ways
		}
		took := make([]float64, len(pm.Steps))
		for j, st := range pm.Steps {
			for _, c := range st.Captures {
				if !c.Kind.Stays() { // moved in no time, whatever its size
					took[j] += float64(max(c.Bytes, 0)) / captureRate
				}
			}
			for k := range st.Locks {
				l := &st.Locks[k]
				l.KeepsOut = keptOut[l.Mode]
				t, err := size(l.name)
				if err != nil {
					return err
				}
				if t != nil {
					took[j] += working(st, l.name, t)
				}
			}
		}
		var after float64 // what comes after a step in the same transaction
		for _, w := range pm.Back {
			if !w.Online {
				after += w.Seconds
			}
		}
		for j := len(pm.Steps) - 1; j >= 0; j-- {
			hold := took[j]
			if pm.Transactional {
				after += took[j]
				hold = after
			}
			for k := range pm.Steps[j].Locks {
				pm.Steps[j].Locks[k].Seconds = hold
			}
		}
	}
	return nil
}

// working is how long a statement itself works on a table, in seconds.
func working(st PlanStep, n engine.Name, t *engine.Table) (seconds float64) {
	bytes, rows := float64(max(t.Bytes, 0)), float64(max(t.Rows, 0))
	for _, e := range st.Effects {
		if e.table != effects.Name(n) {
			continue
		}
		switch e.Kind {
		case effects.AlterColumnType:
			seconds += bytes / captureRate
		case effects.Create:
			if e.ObjectKind == "index" {
				seconds += bytes / captureRate
			}
		case effects.AddConstraint, effects.SetNotNull, effects.ValidateConstraint:
			seconds += bytes / scanRate
		case effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
			hit := rows
			for _, c := range st.Captures {
				if c.Name == t.Name && c.Rows >= 0 {
					hit = float64(c.Rows)
				}
			}
			seconds += hit / rowRate
		}
	}
	return seconds
}

// ways says how what Up captured goes back, and about how long that takes.
func (m *Migrator) ways(ctx context.Context, q engine.Querier, version int64, online bool) ([]PlanBack, error) {
	var waits *snapshot.Waits
	ours, err := m.catalog.exists(ctx, q)
	if err != nil {
		return nil, err
	}
	if online && ours {
		rec, err := m.catalog.load(ctx, q, version)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			mig, _, err := m.migration(ctx, version, Down, rec)
			if err != nil {
				return nil, err
			}
			w := m.waits(mig, rec.changes(Up))
			waits = &w
		}
	}
	list, err := m.store.Ways(ctx, q, version, string(Up), waits)
	if err != nil {
		return nil, err
	}
	var out []PlanBack
	for _, w := range list {
		b := PlanBack{Way: w}
		switch w.Way {
		case snapshot.ByRewrite:
			b.Seconds = float64(max(w.Bytes, 0))/captureRate + float64(w.Rows)/(5*rowRate) // found by key, and proven
		case snapshot.ByUpdate, snapshot.ByInsert, snapshot.ByBatches, snapshot.BySize:
			b.Seconds = float64(w.Rows) / rowRate
		}
		out = append(out, b)
	}
	return out, nil
}

// hold estimates how long the captures of a migration keep writers out.
func (pm *PlanMigration) hold() time.Duration {
	var bytes int64
	for _, st := range pm.Steps {
		for _, c := range st.Captures {
			if c.Kind.Stays() {
				continue
			}
			bytes += max(c.Bytes, 0)
		}
	}
	return time.Duration(float64(bytes) / captureRate * float64(time.Second))
}
