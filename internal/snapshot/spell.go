package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// update spells an UPDATE of a table, under an alias, from another one. The columns that are set are quoted.
func (s *Store) update(table, alias string, sets [][2]string, from, where string) string {
	parts := make([]string, len(sets))
	for i, p := range sets {
		parts[i] = p[0] + " = " + p[1]
		if s.f.joined {
			parts[i] = alias + "." + parts[i]
		}
	}
	if s.f.joined {
		return fmt.Sprintf("UPDATE %s AS %s, %s SET %s WHERE %s", table, alias, from, list(parts), where)
	}
	return fmt.Sprintf("UPDATE %s AS %s SET %s FROM %s WHERE %s", table, alias, list(parts), from, where)
}

// remove spells a DELETE of the rows of a table, under an alias, that go with one of another.
func (s *Store) remove(table, alias, from, where string) string {
	if s.f.joined {
		return fmt.Sprintf("DELETE %s FROM %s AS %s, %s WHERE %s", alias, table, alias, from, where)
	}
	return fmt.Sprintf("DELETE FROM %s AS %s WHERE EXISTS (SELECT 1 FROM %s WHERE %s)", table, alias, from, where)
}

// image is what of a value, in the form in which it is kept, goes into a hash.
func (s *Store) image(ref string, f field) string {
	if s.f.image == nil {
		return ref
	}
	return s.f.image(ref, f)
}

// typed is the type of a live column with all that its values depend on.
func (s *Store) typed(c engine.Column) string {
	if s.f.typed == nil {
		return c.Type
	}
	return s.f.typed(c)
}

// differ is the condition that two rows, given by their images, are not the same by bytes.
func (s *Store) differ(a, b []string) string {
	if s.f.apart != nil {
		return s.f.apart(a, b)
	}
	return s.hash(a) + " <> " + s.hash(b)
}

// as makes a value, as back gives it, exactly one of the live column's type.
func (s *Store) as(ref string, now engine.Column) string {
	if s.f.as == nil {
		return ref
	}
	return s.f.as(ref, now)
}

// put makes a value, as back gives it, what a live column makes of it when it is written there; on MySQL and MariaDB a number only: another cast may fail.
func (s *Store) put(ref string, f field, now engine.Column) string {
	if s.f.keyed && slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint", "decimal"}, mysqlTyped(f.Type).kind) {
		return mysqlAs(ref, now)
	}
	return s.as(ref, now)
}

// kept describes how the values of a live column are kept.
func (s *Store) kept(c engine.Column) field {
	f := field{Name: c.Name, At: c.Name, Type: s.typed(c)}
	f.Decl, f.Text = s.f.store(c)
	if s.f.typed != nil {
		f.Set = mysqlTyped(f.Type).charset
	}
	return f
}

// normal spells the names of tables as the catalog does, where that is not the text's business alone: MySQL may fold their
// case, and calls the tables of the database at hand by its name, too.
func (s *Store) normal(ctx context.Context, q engine.Querier, es []effects.Effect) ([]effects.Effect, error) {
	if s.f.choose == nil {
		return es, nil
	}
	database, fold, err := s.naming(ctx, q)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(es)
	for i := range out {
		for _, n := range []*effects.Name{&out[i].Table, &out[i].NewName} {
			if out[i].Kind == effects.RenameColumn && n == &out[i].NewName {
				continue
			}
			if n.Schema == database || fold > 0 && strings.EqualFold(n.Schema, database) {
				n.Schema = ""
			}
			if fold > 0 {
				n.Name = strings.ToLower(n.Name)
			}
		}
	}
	return out, nil
}

// naming is the database at hand and how the server folds the names of tables.
type naming struct {
	database string
	fold     int
}

// naming asks for them. On the pool's connections, which no migration uses, they stay as they are.
func (s *Store) naming(ctx context.Context, q engine.Querier) (database string, fold int, err error) {
	pool := q == engine.Querier(s.db)
	if known := s.named.Load(); pool && known != nil {
		return known.database, known.fold, nil
	}
	if err := q.QueryRowContext(ctx, "SELECT database(), @@lower_case_table_names").Scan(&database, &fold); err != nil {
		return "", 0, fmt.Errorf("read settings: %w", err)
	}
	if pool {
		s.named.Store(&naming{database, fold})
	}
	return database, fold, nil
}

// ready runs f with the tables prepared for rows that come back.
func (r *Restorer) ready(ctx context.Context, tx engine.Querier, tables []*engine.Table, f func() error) error {
	if r.s.f.ready == nil {
		return f()
	}
	var old []Sequence
	for _, x := range r.captures {
		for _, q := range x.Sequences {
			if q.Name == x.At {
				q.Name = x.Home
			}
			old = append(old, q)
		}
	}
	done, err := r.s.f.ready(ctx, r.s, tx, tables, old)
	if err != nil {
		return err
	}
	r.bare = slices.ContainsFunc(tables, func(t *engine.Table) bool { return t.Engine != "" && t.Engine != "InnoDB" })
	if r.bare { // tables that take part in no transaction may be refused in one
		if _, err := exec(ctx, tx, "put back", "COMMIT"); err != nil {
			return err
		}
	}
	err = f()
	return errors.Join(err, done(ctx, err))
}
