package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Recovery is how long the rollback is expected to take where it matters.
type Recovery struct {
	Measured float64         `json:"measured_seconds"` // of the rollback that was practised
	Expected float64         `json:"expected_seconds"`
	Basis    string          `json:"basis"` // how Expected was computed
	Tables   []RecoveryTable `json:"tables"`
}

// RecoveryTable is a table whose size makes the rollback slower there than here.
type RecoveryTable struct {
	Table      string  `json:"table"`
	Rows       int64   `json:"rows"`            // here
	Production int64   `json:"production_rows"` // there
	Factor     float64 `json:"factor"`
}

// recovery scales what was measured. Most of a rollback's time grows with the rows of the tables that it rewrites or puts rows
// back into, so each migration's time is multiplied by the largest ratio of rows, there to here, among the tables that it touches. What
// does not grow, such as a table that is moved back as it is, is counted as if it did: the result errs on the long side, the more
// the smaller the tables of the drill are.
func (d *drill) recovery(ctx context.Context) error {
	began := time.Now()
	r := &Recovery{Tables: []RecoveryTable{}}
	for _, p := range d.r.Phases {
		if p.Name == "rollback" {
			r.Measured = p.Seconds
		}
	}
	r.Expected, r.Basis = r.Measured, "measured, for data of this size"
	if d.o.Production != nil {
		scaled, fixed := 0.0, r.Measured
		for _, m := range d.r.Migrations {
			factor := 1.0
			for _, n := range d.touched(m.Version) {
				t, known := d.ratio(n)
				if !known {
					continue
				}
				factor = max(factor, t.Factor)
				if !slices.ContainsFunc(r.Tables, func(x RecoveryTable) bool { return x.Table == t.Table }) {
					r.Tables = append(r.Tables, t)
				}
			}
			scaled += m.RollbackSeconds * factor
			fixed -= m.RollbackSeconds
		}
		r.Expected = scaled + max(fixed, 0)
		r.Basis = "each migration's time, times the largest ratio of rows among the tables that it touches; an upper bound where the tables of the drill are small"
	}
	d.r.Recovery = r
	if d.o.MaxRecovery > 0 {
		failure := ""
		if r.Expected > d.o.MaxRecovery.Seconds() {
			failure = fmt.Sprintf("a rollback is expected to take %.6g seconds, more than %s", r.Expected, d.o.MaxRecovery)
		}
		d.phase("recovery time", began, "at most "+d.o.MaxRecovery.String(), failure)
	}
	return ctx.Err()
}

// touched lists the tables that a migration's rollback works on.
func (d *drill) touched(version int64) []string {
	var out []string
	add := func(n string) {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, sn := range d.captured {
		for _, c := range sn.Captures {
			if sn.Migration == version && sn.Direction == string(Up) && !c.Kind.Stays() {
				add(c.Table)
			}
		}
	}
	for _, pm := range d.plan.Migrations {
		if pm.Version != version {
			continue
		}
		for _, st := range pm.Steps {
			for _, c := range st.Captures {
				if !c.Kind.Stays() {
					add(c.Table)
				}
			}
			for _, l := range st.Locks {
				add(l.Table)
			}
			for _, e := range st.Effects {
				add(e.Object)
			}
		}
	}
	return out
}

// ratio finds a table, as the plan spells it, here and there.
func (d *drill) ratio(name string) (RecoveryTable, bool) {
	short := func(n string) string { return n[strings.LastIndexByte(n, '.')+1:] }
	same := func(a, b string) bool {
		return a == b || short(a) == short(b) && (a == short(a) || b == short(b))
	}
	t := RecoveryTable{Rows: -1, Production: -1}
	for _, s := range []*still{d.before, d.applied} {
		for n, x := range s.tables {
			if same(n.String(), name) {
				t.Table, t.Rows = n.String(), max(t.Rows, x.all.Rows)
			}
		}
	}
	for n, rows := range d.o.Production {
		if same(n, t.Table) {
			t.Production = max(t.Production, rows)
		}
	}
	if t.Table == "" || t.Production < 0 {
		return t, false
	}
	t.Factor = max(1, float64(t.Production)/float64(max(t.Rows, 1)))
	return t, true
}

// RowCounts gives the rows of each table, from the server's statistics where it has them: a look that costs nothing, also
// on a production server.
func RowCounts(ctx context.Context, db *engine.DB) (_ map[string]int64, err error) {
	s, err := db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	names, err := db.Tables(ctx, s)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, n := range names {
		t, err := db.Inspect(ctx, s, n)
		if err != nil {
			return nil, err
		}
		rows := t.Rows
		if rows < 0 {
			if err := s.QueryRowContext(ctx, "SELECT count(*) FROM "+db.Quote(n)).Scan(&rows); err != nil {
				return nil, fmt.Errorf("count the rows of %s: %w", n, err)
			}
		}
		out[n.String()] = rows
	}
	return out, nil
}
