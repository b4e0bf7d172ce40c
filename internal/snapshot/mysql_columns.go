package snapshot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// There one ALTER TABLE renames the columns in place of the one that drops them, makes them INVISIBLE and gives those that may not be NULL a default, so
// that programs insert as if they were gone. It either happened or did not. On the way back another one drops what Down has made and
// gives the names back.

func (d mysqlDialect) columnsKeepable(ctx context.Context, q engine.Querier, t *engine.Table, columns []string) (bool, error) {
	linked := func(list []string) bool {
		return slices.ContainsFunc(list, func(n string) bool {
			return slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(n, c) })
		})
	}
	if t.Kind != "table" || t.Name.Schema != "" {
		return false, nil
	}
	ours, err := number(ctx, q, "look for triggers", "SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = database() AND event_object_table = ?", t.Name.Name)
	return ours == 0 && t.Engine == "InnoDB" && t.Name.Schema == "" && !t.Versioned && len(t.Triggers)+len(t.Partitions) == 0 &&
		!slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool { return linked(fk.Columns) }) &&
		!slices.ContainsFunc(t.Referenced, func(fk engine.ForeignKey) bool { return linked(fk.ParentColumns) }), err
}

var (
	mysqlDefault = regexp.MustCompile(` DEFAULT ('(?:[^'\\]|''|\\.)*'|NULL|-?[0-9]+(\.[0-9]+)?)( |$)`)
	mysqlEnum    = regexp.MustCompile(`^enum\(('(?:[^']|'')*')`)
	mysqlNumber  = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|decimal|float|double)\b`)
	mysqlString  = regexp.MustCompile(`^(char|varchar|binary|varbinary|set)\b`)
)

// hidden is a column's definition while it lies aside, and whether rows inserted then have a value; false when an INSERT would fail, or the
// value would be another one for each row.
func mysqlHidden(col engine.Column, text string) (hidden string, given, ok bool) {
	plain, comment, commented := strings.Cut(text, " COMMENT '")
	if strings.Contains(plain, " CHECK (") || strings.Contains(plain, "AUTO_INCREMENT") || strings.Contains(plain, " ON UPDATE ") {
		return "", false, false
	}
	said := mysqlDefault.FindStringSubmatch(plain)
	switch kind := strings.ToLower(col.Type); {
	case said != nil:
		given = said[1] != "NULL"
	case strings.Contains(plain, " DEFAULT "):
		return "", false, false
	case !col.NotNull:
	default: // what the server itself gives the rows that are there when such a column is added
		value := ""
		if first := mysqlEnum.FindStringSubmatch(kind); first != nil {
			value = mysqlEnum.FindStringSubmatch(col.Type)[1]
		} else if mysqlNumber.MatchString(kind) {
			value = "0"
		} else if mysqlString.MatchString(kind) {
			value = "''"
		}
		if value == "" {
			return "", false, false
		}
		plain, given = plain+" DEFAULT "+value, true
	}
	if !col.Invisible {
		plain += " INVISIBLE"
	}
	if commented {
		plain += " COMMENT '" + comment
	}
	return plain, given, true
}

// split reads how a table is defined.
func (d mysqlDialect) split(ctx context.Context, n engine.Name) (out verify.TableText, err error) {
	err = d.s.with(ctx, func(c engine.Querier) error {
		var name, text string
		if err := c.QueryRowContext(ctx, "SHOW CREATE TABLE "+d.s.db.Quote(n)).Scan(&name, &text); err != nil {
			return fmt.Errorf("look at %s: %w", n, err)
		}
		var err error
		out, err = verify.SplitText(text)
		return err
	})
	return out, err
}

func (d mysqlDialect) asideColumns(ctx context.Context, c *Capturer, q engine.Querier, x *capture, _ bool, run, record func() error) error {
	s, t := d.s, x.live
	var name, text string // a temporary table of the session may hide it
	if err := q.QueryRowContext(ctx, "SHOW CREATE TABLE "+s.db.Quote(t.Name)).Scan(&name, &text); err != nil {
		return fmt.Errorf("look at %s: %w", t.Name, err)
	}
	parts, err := d.split(ctx, t.Name)
	if err != nil {
		return err
	}
	if !c.meta.Instead || strings.HasPrefix(text, "CREATE TEMPORARY") {
		return errCopied
	}
	changes, marked, ok := d.unname(c, x, parts)
	if !ok {
		return errCopied
	}
	alter := "ALTER TABLE " + s.db.Quote(t.Name) + " "
	if marked {
		x.Aside.Since = engine.SinceColumn + compact(x.ID)
	}
	had := len(c.captures)
	if err := record(); err != nil {
		return err
	}
	if marked { // rows that are there have 0; the same statement that hides the columns lets those to come have 1
		_, err := q.ExecContext(ctx, alter+"ADD COLUMN "+s.q(x.Aside.Since)+" tinyint NOT NULL DEFAULT 0 INVISIBLE, ALGORITHM=INSTANT")
		if e, server := engine.AsError(err); server && e.Class != engine.ConnectionLost && ctx.Err() == nil {
			if err := c.unrecord(ctx, q, had); err != nil || e.Class == engine.LockTimeout {
				return errors.Join(err, e)
			}
			return errCopied
		}
		if err != nil {
			return fmt.Errorf("keep columns of %s: %w", t.Name, err)
		}
		changes = append(changes, "ALTER COLUMN "+s.q(x.Aside.Since)+" SET DEFAULT 1")
	}
	c.instead = alter + list(changes)
	defer func() { c.instead = "" }()
	if err := run(); err != nil {
		calm := context.WithoutCancel(ctx)
		if now, look := s.db.Inspect(calm, s.db, t.Name); look == nil && !holds(now, x) {
			return errors.Join(err, s.dropReserved(calm, q, x), c.unrecord(calm, q, had))
		}
		return err
	}
	now, err := s.db.Inspect(ctx, s.db, t.Name)
	if err != nil {
		return err
	}
	if !holds(now, x) {
		return &UncapturedError{Tables: []string{t.Name.String() + " (columns dropped, not renamed)"}}
	}
	return nil
}

// unname gives what an ALTER TABLE has to say so that the columns are out of sight; marked: rows inserted since have to be told apart.
func (d mysqlDialect) unname(c *Capturer, x *capture, parts verify.TableText) (changes []string, marked, ok bool) {
	s, t := d.s, x.live
	for i, f := range x.Fields {
		col := t.Columns[columnIndex(t, f.At)]
		quoted := s.q(f.At)
		at := slices.IndexFunc(parts.Columns, func(p verify.ColumnText) bool { return p.Name == f.At })
		if at < 0 {
			return nil, false, false
		}
		hidden, given, ok := mysqlHidden(col, parts.Columns[at].Text)
		if !ok || slices.ContainsFunc(parts.Columns, func(p verify.ColumnText) bool { return p.Name != f.At && strings.Contains(p.Text, quoted) }) {
			return nil, false, false
		}
		for _, p := range parts.Parts {
			switch {
			case !strings.Contains(p.Text, quoted):
			case (p.Kind == "index" || p.Kind == "unique") && strings.Count(p.Text, "`") == 2*strings.Count(p.Text, quoted)+2 && p.Name != f.At,
				(p.Kind == "index" || p.Kind == "unique") && strings.Count(p.Text, "`") == 4 && p.Name == f.At: // over this column alone
				changes = append(changes, "DROP INDEX "+s.q(p.Name))
			default:
				return nil, false, false
			}
		}
		x.Aside.Given, x.Aside.Text = append(x.Aside.Given, given), append(x.Aside.Text, parts.Columns[at].Text)
		marked = marked || given || c != nil && !col.NotNull && c.given(t, f.At)
		changes = append(changes, fmt.Sprintf("CHANGE COLUMN %s %s %s", quoted, s.q(x.Aside.Names[i]), hidden))
	}
	return changes, marked, true
}

func (d mysqlDialect) reserved(ctx context.Context, q engine.Querier) ([]reservedColumn, error) {
	return d.s.reservedBy(ctx, q, `SELECT '', table_name, column_name FROM information_schema.columns WHERE table_schema = database() AND column_name LIKE 'dbrollback\_%'`)
}

func (d mysqlDialect) columnsBack(ctx context.Context, _ engine.Querier, x *capture, t *engine.Table, update []string) error {
	s := d.s
	if len(t.Triggers) > 0 && len(update) > 0 || t.Versioned || t.Engine != "InnoDB" {
		return errCopied
	}
	var changes []string
	for i, f := range x.Fields {
		changes = append(changes, "DROP COLUMN "+s.q(f.Name), fmt.Sprintf("CHANGE COLUMN %s %s %s", s.q(x.Aside.Names[i]), s.q(f.Name), x.Aside.Text[i]))
	}
	if x.Aside.Since != "" && columnIndex(t, x.Aside.Since) >= 0 {
		changes = append(changes, "DROP COLUMN "+s.q(x.Aside.Since))
	}
	if err := s.aside(ctx, append(update, "ALTER TABLE "+s.db.Quote(t.Name)+" "+list(changes))...); err != nil {
		if e, server := engine.AsError(err); server && e.Class != engine.ConnectionLost && e.Class != engine.LockTimeout && ctx.Err() == nil {
			return errCopied // something hangs on the column that Down has made
		}
		return fmt.Errorf("put columns of %s back: %w", x.Home, err)
	}
	return nil
}

func (d mysqlDialect) columnsAgain(ctx context.Context, _ engine.Querier, x *capture, t *engine.Table) error {
	s := d.s
	parts, err := d.split(ctx, t.Name)
	if err != nil {
		return err
	}
	x.live, x.Aside.Given, x.Aside.Text = t, nil, nil
	changes, _, ok := d.unname(nil, x, parts)
	if !ok {
		return errCopied
	}
	alter := "ALTER TABLE " + s.db.Quote(t.Name) + " "
	var script []string
	if x.Aside.Since != "" {
		if columnIndex(t, x.Aside.Since) < 0 {
			script = append(script, alter+"ADD COLUMN "+s.q(x.Aside.Since)+" tinyint NOT NULL DEFAULT 0 INVISIBLE")
		}
		changes = append(changes, "ALTER COLUMN "+s.q(x.Aside.Since)+" SET DEFAULT 1")
	}
	return s.aside(ctx, append(script, alter+list(changes))...)
}
