package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Triggers cannot be switched off there. For as long as rows come back they are exchanged for ones that do the same for
// everybody but the session that restores: their body stands behind a condition on a variable of the session. A run that is cut
// off leaves triggers that work as before, and that hold the original text, by which Mend finds and makes them again.

const (
	quietOpen  = "IF @dbrollback_quiet IS NULL THEN /* dbrollback: kept from rows that come back */ "
	quietClose = "\n; END IF"
)

// hush exchanges the triggers of tables. It comes before the transaction has used one of them. done makes them again when the
// rows are written, and ends the transaction before: it commits unless failed says otherwise.
func (d mysqlDialect) hush(ctx context.Context, q engine.Querier, tables []*engine.Table) (done func(ctx context.Context, failed error) error, err error) {
	var with []*engine.Table
	for _, t := range tables {
		if len(t.Triggers) > 0 {
			with = append(with, t)
		}
	}
	if len(with) == 0 {
		return func(context.Context, error) error { return nil }, nil
	}
	again := func(ctx context.Context) (err error) {
		for _, t := range with {
			err = errors.Join(err, d.exchange(ctx, t, func(text string) (string, bool) {
				inner, was := unquiet(text)
				return inner, was
			}))
		}
		return err
	}
	for _, t := range with {
		if err := d.exchange(ctx, t, quiet); err != nil {
			return nil, errors.Join(fmt.Errorf("switch triggers off: %w", err), again(context.WithoutCancel(ctx)))
		}
	}
	if _, err := exec(ctx, q, "switch triggers off", "SET @dbrollback_quiet = 1"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, failed error) error {
		end := "COMMIT"
		if failed != nil {
			end = "ROLLBACK"
		}
		ctx = context.WithoutCancel(ctx)
		for _, query := range []string{end, "SET @dbrollback_quiet = NULL"} {
			if _, err := exec(ctx, q, "switch triggers on again", query); err != nil {
				return err
			}
		}
		if err := again(ctx); err != nil {
			return fmt.Errorf("switch triggers on again: %w", err)
		}
		return nil
	}, nil
}

// quiet gives a trigger that does not fire for the session that restores; false when it is one already.
func quiet(text string) (string, bool) {
	at := mysqlBody(text)
	if at < 0 || strings.HasPrefix(text[at:], quietOpen) {
		return text, false
	}
	return text[:at] + quietOpen + text[at:] + quietClose, true
}

// unquiet gives the trigger that another one was made from; false when it is an ordinary one.
func unquiet(text string) (string, bool) {
	at := mysqlBody(text)
	if at < 0 || !strings.HasPrefix(text[at:], quietOpen) || !strings.HasSuffix(text, quietClose) {
		return text, false
	}
	return text[:at] + strings.TrimSuffix(text[at+len(quietOpen):], quietClose), true
}

// mysqlTrigger is a trigger with all that making it again takes.
type mysqlTrigger struct {
	name, mode, charset, collation, text string
}

// exchange makes those triggers of a table again for which change wants that. The table is locked meanwhile, so that what has to
// wait waits once, and should this program die, a spare does what the trigger did: see mysql_spare.go. It does so for writers, too,
// where there is no lock: MySQL 9.7 says of a locked table to which foreign keys with actions point that it has no triggers (error 3011).
func (d mysqlDialect) exchange(ctx context.Context, t *engine.Table, change func(string) (string, bool)) error {
	return d.s.with(ctx, func(c engine.Querier) (err error) {
		left, err := d.triggers(ctx, c, t, true)
		if err != nil {
			return err
		}
		all, err := d.triggers(ctx, c, t, false)
		if err != nil {
			return err
		}
		wants := func(g mysqlTrigger) bool { _, yes := change(g.text); return yes }
		if len(left) == 0 && !slices.ContainsFunc(all, wants) {
			return nil
		}
		acts := func(action string) bool { return action != "RESTRICT" && action != "NO ACTION" }
		if !slices.ContainsFunc(t.Referenced, func(fk engine.ForeignKey) bool { return acts(fk.OnUpdate) || acts(fk.OnDelete) }) {
			if _, err := exec(ctx, c, "lock "+t.Name.String(), "LOCK TABLES "+d.s.db.Quote(t.Name)+" WRITE"); err != nil {
				return err
			}
		}
		calm := context.WithoutCancel(ctx) // from here on it has to come to an end
		var schema, mode, charset, collation string
		if err := c.QueryRowContext(calm, "SELECT coalesce(nullif(?, ''), database()), @@SESSION.sql_mode, @@SESSION.character_set_client, @@SESSION.collation_connection", t.Name.Schema).
			Scan(&schema, &mode, &charset, &collation); err != nil {
			return err
		}
		defer func() {
			_, back := exec(calm, c, "fix settings", fmt.Sprintf("SET SESSION sql_mode = '%s', SESSION character_set_client = %s, SESSION collation_connection = %s", mode, charset, collation))
			_, unlock := exec(calm, c, "unlock "+t.Name.String(), "UNLOCK TABLES")
			err = errors.Join(err, back, unlock)
		}()
		for _, g := range left {
			if err := d.unspare(calm, c, schema, g, all); err != nil {
				return err
			}
		}
		if len(left) > 0 {
			if all, err = d.triggers(calm, c, t, false); err != nil {
				return err
			}
		}
		for _, g := range all {
			text, yes := change(g.text)
			if !yes {
				continue
			}
			if err := d.remake(calm, c, schema, g, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// triggers reads the triggers of a table in the order in which they fire: the user's, or the spares that were left.
func (d mysqlDialect) triggers(ctx context.Context, q engine.Querier, t *engine.Table, spares bool) ([]mysqlTrigger, error) {
	which := "left(trigger_name, 11) <> 'dbrollback_'"
	if spares {
		which = mysqlSpares
	}
	rows, err := q.QueryContext(ctx, `SELECT trigger_name, sql_mode, character_set_client, collation_connection FROM information_schema.triggers
		WHERE event_object_schema = coalesce(nullif(?, ''), database()) AND event_object_table = ? AND `+which+` ORDER BY action_timing, event_manipulation, action_order`, t.Name.Schema, t.Name.Name)
	if err != nil {
		return nil, fmt.Errorf("read triggers: %w", err)
	}
	defer rows.Close()
	var out []mysqlTrigger
	for rows.Next() {
		var g mysqlTrigger
		if err := rows.Scan(&g.name, &g.mode, &g.charset, &g.collation); err != nil {
			return nil, fmt.Errorf("read triggers: %w", err)
		}
		out = append(out, g)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read triggers: %w", err)
	}
	for i, g := range out {
		if out[i].text, err = engine.ShowCreate(ctx, q, "SHOW CREATE TRIGGER "+d.of(t.Name.Schema, g.name), "SQL Original Statement"); err != nil {
			return nil, fmt.Errorf("the definition of trigger %s cannot be read: %w", g.name, err)
		}
	}
	return out, nil
}

// of is the name of a trigger, in SQL.
func (d mysqlDialect) of(schema, name string) string {
	if schema == "" {
		return d.s.q(name)
	}
	return d.s.q(schema) + "." + d.s.q(name)
}

// Mend makes triggers again that a restore which was cut off left exchanged. It is cheap when there are none.
func (s *Store) Mend(ctx context.Context, q engine.Querier) error {
	d, ok := s.d.(mysqlDialect)
	if !ok {
		return nil
	}
	if err := d.tidy(ctx, q); err != nil {
		return err
	}
	tables, err := engine.Texts(ctx, q, `SELECT DISTINCT event_object_table FROM information_schema.triggers
		WHERE event_object_schema = database() AND (`+mysqlSpares+` OR action_statement LIKE '%IF @dbrollback_quiet IS NULL THEN /* dbrollback: kept from rows%')`)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	for _, n := range tables {
		t, err := s.db.Inspect(ctx, q, engine.Name{Name: n})
		if err != nil {
			return err
		}
		if err := d.exchange(ctx, t, unquiet); err != nil {
			return err
		}
	}
	return nil
}

// mysqlReady exchanges triggers and raises AUTO_INCREMENT, which commits wherever it is done.
func mysqlReady(ctx context.Context, s *Store, q engine.Querier, tables []*engine.Table, old []Sequence) (func(context.Context, error) error, error) {
	for _, t := range tables {
		if err := mysqlRaise(ctx, q, s, t, old); err != nil {
			return nil, err
		}
	}
	return s.d.(mysqlDialect).hush(ctx, q, tables)
}

// mysqlRaise makes AUTO_INCREMENT continue after every number that was handed out. Rows that come back raise it by themselves.
func mysqlRaise(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []Sequence) error {
	i := slices.IndexFunc(t.Columns, func(c engine.Column) bool { return c.Identity != "" })
	var want int64
	for _, o := range old {
		if o.Name == t.Name && i >= 0 {
			want = max(want, o.Last)
		}
	}
	if want == 0 || want == 1<<63-1 {
		return nil
	}
	next, err := mysqlNext(ctx, q, s, t)
	if err != nil || next > want {
		return err
	}
	if err := s.aside(ctx, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", s.db.Quote(t.Name), want+1)); err != nil {
		return fmt.Errorf("raise AUTO_INCREMENT of %s: %w", t.Name, err)
	}
	return nil
}

// mysqlStanding reads which number MariaDB's sequences give next, as far as the server has not yet kept it in reserve.
func mysqlStanding(ctx context.Context, q engine.Querier, s *Store, all bool, names []engine.Name) ([]Sequence, error) {
	if s.db.Kind != engine.MariaDB {
		return nil, nil
	}
	there, err := engine.Texts(ctx, q, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_type = 'SEQUENCE'")
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	var out []Sequence
	for _, name := range there {
		if !all && !slices.ContainsFunc(names, func(n engine.Name) bool { return n.Schema == "" && strings.EqualFold(n.Name, name) }) {
			continue
		}
		x := Sequence{Name: engine.Name{Name: name}}
		if err := q.QueryRowContext(ctx, "SELECT next_not_cached_value, increment < 0 FROM "+s.db.Quote(x.Name)).Scan(&x.Last, &x.Descending); err != nil {
			return nil, fmt.Errorf("read sequence %s: %w", name, err)
		}
		out = append(out, x)
	}
	return out, nil
}

// mysqlOnward lets a sequence of MariaDB continue with a number; the server itself goes back to none.
func mysqlOnward(ctx context.Context, q engine.Querier, s *Store, x Sequence) error {
	there, err := number(ctx, q, "look for a sequence", "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_type = 'SEQUENCE' AND table_name = ?", x.Name.Name)
	if err != nil || there == 0 {
		return err
	}
	_, err = exec(ctx, q, "set a sequence", fmt.Sprintf("SELECT setval(%s, ?, 0)", s.db.Quote(x.Name)), x.Last)
	return err
}
