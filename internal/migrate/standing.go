package migrate

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// standing are the names of all columns of the tables whose definitions a migration changed, as it left them, by table; nil where it left no table. changes alone would
// not tell of a column that somebody else has added since.
type standing map[engine.Name][]string

// standing gives the columns of the changed tables, from a fingerprint that has all of each table or nothing.
func (ch changes) standing(f verify.Fingerprint) standing {
	out := standing{}
	for _, c := range ch {
		if o := c.object(); o.Kind == "table" {
			out[o.Table] = nil
		}
	}
	for _, o := range f { // some of ch hangs on tables of which f has nothing else: a foreign key that points here
		if o.Kind == "table" && ch.touch(o.Table) {
			out[o.Table] = []string{}
		}
	}
	for _, o := range f {
		if list := out[o.Table]; o.Kind == "column" && list != nil {
			out[o.Table] = append(list, columnName(o))
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

func columnName(o verify.Object) string { return strings.TrimPrefix(o.Name, o.Table.String()+".") }

// touch tells whether something of a table was changed.
func (ch changes) touch(n engine.Name) bool {
	for _, c := range ch {
		if c.object().Table == n {
			return true
		}
	}
	return false
}

// beside is how the catalog keeps them.
func (s standing) beside(ch changes) changes {
	if s == nil {
		return ch
	}
	entry := change{Left: []left{}}
	for n, list := range s {
		entry.Left = append(entry.Left, left{Table: n, Columns: list})
	}
	slices.SortFunc(entry.Left, func(a, b left) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	out := changes{"": entry}
	maps.Copy(out, ch)
	return out
}

// follow goes on to what the next migration left.
func (s standing) follow(rec *record) {
	if rec.Columns == nil {
		for _, c := range rec.Up {
			delete(s, c.object().Table)
		}
	}
	maps.Copy(s, rec.Columns)
}

// strangers adds to the objects of f that are compared the columns of now that the tables did not have.
func (s standing) strangers(f, now verify.Fingerprint) verify.Fingerprint {
	for key, o := range now {
		if list, known := s[o.Table]; known && o.Kind == "column" && list != nil && !slices.Contains(list, columnName(o)) {
			f[key] = o
		}
	}
	return f
}

// newest tells whether nothing was applied after a version: the columns that it left are those that there should be.
func (m *Migrator) newest(ctx context.Context, q database.DBTxConn, version int64) (bool, error) {
	applied, err := m.applied(ctx, q)
	return err == nil && len(applied) > 0 && applied[len(applied)-1] == version, err
}

// letGo has an Up leave alone what the Down before it did not change but for its place among the columns, and what somebody has removed since.
func (w *work) letGo() {
	if w.r.dir == Up {
		maps.DeleteFunc(w.undo, func(key string, c change) bool {
			_, there := w.before[key]
			return !there && c.Before != nil && c.After != nil && c.Before.Definition == c.After.Definition
		})
	}
}
