package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// still is what a database holds at one moment: the definition of every object, a checksum of every table's rows.
type still struct {
	objects verify.Fingerprint
	tables  map[engine.Name]stillTable
}

type stillTable struct {
	all     verify.Checksum
	columns map[string]verify.Checksum // each with the key; of tables that are not too large
}

// mostByColumn is up to how many rows each column is summed by itself, so that the report can name the ones that differ.
const mostByColumn = 100_000

func (s *still) String() string {
	var rows int64
	for _, t := range s.tables {
		rows += t.all.Rows
	}
	return fmt.Sprintf("%s, %s, %s", plural(int64(len(s.objects)), "object"), plural(int64(len(s.tables)), "table"), plural(rows, "row"))
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func takeStill(ctx context.Context, db *engine.DB) (_ *still, err error) {
	s, err := db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	out := &still{tables: map[engine.Name]stillTable{}}
	if out.objects, err = verify.Take(ctx, db, s, verify.Scope{}); err != nil {
		return nil, err
	}
	names, err := db.Tables(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		t, err := db.Inspect(ctx, s, n)
		if err != nil {
			return nil, err
		}
		if t.Kind == "partitioned" {
			continue // its rows lie in its partitions
		}
		if out.tables[n], err = sumTable(ctx, db, s, t); err != nil {
			return nil, fmt.Errorf("checksum of %s: %w", n, err)
		}
	}
	return out, nil
}

func sumTable(ctx context.Context, db *engine.DB, q engine.Querier, t *engine.Table) (stillTable, error) {
	// By name: a column that was dropped and came back stands at the end, where that cannot be helped.
	columns := slices.Clone(t.Columns)
	slices.SortFunc(columns, func(a, b engine.Column) int { return strings.Compare(a.Name, b.Name) })
	from := db.Quote(t.Name)
	if db.Caps.Schemas {
		from = "ONLY " + from
	}
	var out stillTable
	var err error
	if out.all, err = verify.Sum(ctx, db, q, from, verify.HashExprs(db, columns, "")); err != nil {
		return out, err
	}
	if out.all.Rows > mostByColumn || len(t.Keys) == 0 {
		return out, nil
	}
	key := slices.DeleteFunc(slices.Clone(columns), func(c engine.Column) bool { return !slices.Contains(t.Keys[0].Columns, c.Name) })
	out.columns = map[string]verify.Checksum{}
	for _, c := range columns {
		if out.columns[c.Name], err = verify.Sum(ctx, db, q, from, verify.HashExprs(db, append(slices.Clone(key), c), "")); err != nil {
			return out, err
		}
	}
	return out, nil
}

// compare is the phase that decides: every object and every row must be as before.
func (d *drill) compare(ctx context.Context) error {
	began := time.Now()
	d.o.Events("comparing every object and row")
	after, err := takeStill(ctx, d.m.db)
	if err != nil {
		return err
	}
	d.r.Differences = material(verify.Diff(d.before.objects, after.objects))
	if d.r.Differences == nil {
		d.r.Differences = []verify.Difference{}
	}
	var wrong []string
	for _, x := range d.r.Differences {
		wrong = append(wrong, x.Kind+" "+x.Object+" is not as it was")
	}
	for _, n := range everyTable(d.before, d.applied, after) {
		t := DrillTable{Table: n.String(), Before: rowsIn(d.before, n), Applied: rowsIn(d.applied, n), After: rowsIn(after, n)}
		if t.Before < 0 && t.After < 0 {
			continue // it was there in between
		}
		b, a := d.before.tables[n], after.tables[n]
		t.Equal = t.Before >= 0 && t.After >= 0 && b.all == a.all
		if !t.Equal {
			for c, sum := range b.columns {
				if now, ok := a.columns[c]; ok && now != sum {
					t.Columns = append(t.Columns, c)
				}
			}
			slices.Sort(t.Columns)
			wrong = append(wrong, unequal(t))
		}
		d.r.Tables = append(d.r.Tables, t)
	}
	d.phase("verify", began, after.String()+" compared", strings.Join(wrong, "\n"))
	return nil
}

func unequal(t DrillTable) string {
	switch {
	case t.After < 0:
		return fmt.Sprintf("%s is gone, with %d rows", t.Table, t.Before)
	case t.Before < 0:
		return fmt.Sprintf("%s is left over, with %d rows", t.Table, t.After)
	case t.Before != t.After:
		return fmt.Sprintf("%s has %d rows instead of %d", t.Table, t.After, t.Before)
	case len(t.Columns) > 0:
		return fmt.Sprintf("values of %s differ: %s", t.Table, strings.Join(t.Columns, ", "))
	}
	return fmt.Sprintf("rows of %s differ", t.Table)
}

func rowsIn(s *still, n engine.Name) int64 {
	if t, ok := s.tables[n]; ok {
		return t.all.Rows
	}
	return -1
}

func everyTable(stills ...*still) []engine.Name {
	var out []engine.Name
	for _, s := range stills {
		for n := range s.tables {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	slices.SortFunc(out, func(a, b engine.Name) int { return strings.Compare(a.String(), b.String()) })
	return out
}
