package snapshot

import (
	"encoding/json"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Form says how the rows of a table are kept in a table of ours, in typed columns: op, the key of the row after the write (k1…),
// its key before (o1…) and its values before (c1…). It is the form of captures, so that what is kept in it goes back in the same way.
type Form struct{ c capture }

// Form describes how rows of a table are kept; the table has a key.
func (s *Store) Form(t *engine.Table) *Form {
	f := &Form{capture{detail: detail{Home: t.Name, Identity: identity(t), At: t.Name, Shape: t, Whole: true, Ops: true, Moved: true}}}
	x := &f.c
	x.Kind = Rows
	field := func(c engine.Column) field {
		out := s.kept(c)
		out.Num, out.Exact = columnIdentity(t, c), c.Collation != ""
		return out
	}
	for _, name := range t.Keys[0].Columns {
		x.Key = append(x.Key, field(t.Columns[columnIndex(t, name)]))
	}
	for _, c := range t.Columns {
		if !c.Generated {
			x.Fields, x.Columns = append(x.Fields, field(c)), append(x.Columns, c.Name)
		}
	}
	if s.f.keyed {
		mysqlFit(x)
	}
	return f
}

// MarshalJSON gives a form as it is kept in a catalog.
func (f *Form) MarshalJSON() ([]byte, error) { return json.Marshal(f.c.detail) }

// UnmarshalJSON reads it back.
func (f *Form) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &f.c.detail); err != nil {
		return err
	}
	f.c.Kind = Rows
	for _, x := range f.c.Fields {
		f.c.Columns = append(f.c.Columns, x.Name)
	}
	return nil
}

// Columns are the columns of a table of ours that keeps rows, op first, and their types.
func (f *Form) Columns() (names, decls []string) { return f.c.columns() }

// Key names the columns by which a row is known, Names those that are kept.
func (f *Form) Key() []string {
	var out []string
	for _, k := range f.c.Key {
		out = append(out, k.Name)
	}
	return out
}

// Names of the columns that are kept.
func (f *Form) Names() []string { return slices.Clone(f.c.Columns) }

// Table is the table as it was when the form was made.
func (f *Form) Table() *engine.Table { return f.c.Shape }

// Same tells whether a table has the columns and the key that the form was made for.
func (f *Form) Same(s *Store, t *engine.Table) bool {
	now := s.Form(t)
	return slices.Equal(f.c.Fields, now.c.Fields) && slices.Equal(f.c.Key, now.c.Key) && f.c.Identity == now.c.Identity
}

// Within gives, for each column of Columns behind op, the column that holds the same in another form; false when that one lacks some.
func (f *Form) Within(o *Form) ([]string, bool) {
	if !slices.EqualFunc(f.c.Key, o.c.Key, same) {
		return nil, false
	}
	var keys, olds, values []string
	for i := range f.c.Key {
		keys, olds = append(keys, k(i)), append(olds, f.c.old(i))
	}
	for _, x := range f.c.Fields {
		j := slices.IndexFunc(o.c.Fields, func(y field) bool { return same(x, y) })
		if j < 0 {
			return nil, false
		}
		values = append(values, v(j))
	}
	return slices.Concat(keys, olds, values), true
}

func same(x, y field) bool {
	return x.Name == y.Name && x.Type == y.Type && x.Decl == y.Decl && x.Text == y.Text
}

// Values gives the expressions that fill Columns behind op, from the row before and after the write under two aliases; "" for none.
func (s *Store) Values(f *Form, old, now string) []string {
	read := func(row string, x field) string {
		if row == "" {
			return "NULL"
		}
		return s.f.value(row+"."+s.q(x.At), x)
	}
	place := now
	if place == "" {
		place = old
	}
	var out []string
	for _, x := range f.c.Key {
		out = append(out, read(place, x))
	}
	for _, x := range f.c.Key {
		out = append(out, read(old, x))
	}
	for _, x := range f.c.Fields {
		out = append(out, read(old, x))
	}
	return out
}

// AsText tells whether values are kept as text, so that how they look must not depend on the session.
func (f *Form) AsText() bool {
	return slices.ContainsFunc(append(slices.Clone(f.c.Key), f.c.Fields...), func(x field) bool { return x.Text })
}

// Cast tells whether values are kept as another type than theirs that is not text.
func (f *Form) Cast() bool {
	return slices.ContainsFunc(append(slices.Clone(f.c.Key), f.c.Fields...), func(x field) bool { return !x.Text && x.Type != x.Decl })
}

// Found is the condition that a row of the table of now, under an alias, has the key that is kept under another.
func (s *Store) Found(f *Form, t *engine.Table, live, kept string, old bool) string {
	col := k
	if old {
		col = o
	}
	return s.on(&f.c, t, live, kept, func(i int) string { return f.c.Key[i].Name }, col)
}

// Shown shows a column to a person, as text or NULL: of the table of now, or as it is kept, under an alias.
func (s *Store) Shown(f *Form, alias, column string, kept bool) string {
	i := slices.IndexFunc(f.c.Fields, func(x field) bool { return x.Name == column })
	if kept {
		return s.shown(alias+"."+v(i), f.c.Fields[i])
	}
	return s.shown(s.f.value(alias+"."+s.q(column), f.c.Fields[i]), f.c.Fields[i])
}

// KeyShown does the same with the i-th column of a kept key, as it was before the write or after.
func (s *Store) KeyShown(f *Form, alias string, i int, old bool) string {
	col := k
	if old {
		col = o
	}
	return s.shown(alias+"."+col(i), f.c.Key[i])
}
