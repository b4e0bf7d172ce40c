package snapshot

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

var (
	//go:embed postgres_keepable.sql
	postgresKeepable string
	//go:embed postgres_parts.sql
	postgresParts string
	//go:embed postgres_guard.sql
	postgresGuard string
)

// guard refuses every write to a kept table, also by its owner: to write one has to switch the trigger off first.
const guard = "dbrollback_guard"

func (d postgresDialect) keepable(ctx context.Context, q engine.Querier, t *engine.Table, cascade bool) (bool, error) {
	if t.Kind != "table" && t.Kind != "partition" {
		return false, nil
	}
	var can sql.NullBool
	if err := q.QueryRowContext(ctx, postgresKeepable, append(engine.Prepared(d.s.db), int64(t.OID), cascade)...).Scan(&can); err != nil {
		return false, fmt.Errorf("see whether %s can be kept: %w", t.Name, err)
	}
	return can.Bool, nil
}

// takenOff are the kinds of objects that hang on a table and lean on others, or let others reach it. What Down does not
// make again comes back from the recorded definitions.
var takenOff = []string{"trigger", "rule", "policy", "row security", "statistics", "publication membership", "grant"}

// aside takes off what would hold others back or let them in, renames what has a name in the schema, and moves the table.
func (d postgresDialect) aside(ctx context.Context, q engine.Querier, x *capture, cascade, twin bool) error {
	s, t := d.s, x.live
	if t.Kind == "partition" { // from here on it is a table like others, and what it had from its parent is its own
		if _, err := exec(ctx, q, "keep "+t.Name.String(), "SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE "+s.db.Quote(t.Parent)+" DETACH PARTITION "+s.db.Quote(t.Name)); err != nil {
			return err
		}
	}
	hung, err := verify.Take(ctx, s.db, q, verify.Scope{Tables: []engine.Name{t.Name}})
	if err != nil {
		return err
	}
	parts, defaults, err := d.parts(ctx, q, t)
	if err != nil {
		return err
	}
	script := d.takeOff(t, hung, defaults, cascade)
	for i, p := range parts {
		p.Now = fmt.Sprintf("%s_%s%d", x.data(), strings.ToLower(p.Kind[:1]), i+1)
		script = append(script, fmt.Sprintf("ALTER %s %s RENAME TO %s", p.Kind, s.db.Quote(engine.Name{Schema: t.Name.Schema, Name: p.Was}), s.q(p.Now)))
		x.Renamed = append(x.Renamed, p)
	}
	home, kept := s.db.Own(x.data()).Schema, s.own(x.data())
	script = append(script,
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", s.db.Quote(t.Name), s.q(x.data())),
		fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", s.db.Quote(engine.Name{Schema: t.Name.Schema, Name: x.data()}), s.q(home)))
	made, err := number(ctx, q, "look for the guard", "SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = 'dbrollback_guard' AND pronamespace = to_regnamespace('dbrollback')")
	if err != nil {
		return err
	}
	if made == 0 {
		script = append(script, postgresGuard)
	}
	script = append(script,
		fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()", guard, kept, s.own(guard)),
		fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", kept, guard))
	if twin {
		script = append(script, fmt.Sprintf("CREATE TABLE %s ()", s.db.Quote(t.Name)))
		var me string
		if err := q.QueryRowContext(ctx, "SELECT current_user").Scan(&me); err != nil {
			return fmt.Errorf("keep %s: %w", t.Name, err)
		}
		if t.Owner != me {
			script = append(script, fmt.Sprintf("ALTER TABLE %s OWNER TO %s", s.db.Quote(t.Name), s.q(t.Owner)))
		}
	}
	// Checks of rows that this migration wrote come due now: a table with checks outstanding cannot be altered.
	if _, err := q.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE;\n"+strings.Join(script, ";\n")); err != nil {
		return fmt.Errorf("keep %s: %w", t.Name, err)
	}
	return d.measure(ctx, q, x)
}

// takeOff gives the statements that take off what hangs on a table, with the views and foreign keys of others under CASCADE.
func (d postgresDialect) takeOff(t *engine.Table, hung verify.Fingerprint, defaults []string, cascade bool) []string {
	own := func(o verify.Object) string { return strings.TrimPrefix(o.Name, t.Name.String()+".") }
	var off []verify.Object
	for _, o := range hung {
		switch {
		case o.Kind == "view" || o.Kind == "materialized view":
			if cascade {
				o.Drop = []string{strings.Replace(o.Drop[0], "VIEW ", "VIEW IF EXISTS ", 1) + " CASCADE"}
				off = append(off, o)
			}
		case o.Kind == "foreign key" && o.Table == t.Name:
			if !slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool { return fk.Name == own(o) && fk.Parent == t.Name }) {
				off = append(off, o) // one that points to the table itself goes along
			}
		case o.Kind == "foreign key":
			off = append(off, o)
		case o.Table == t.Name && (slices.Contains(takenOff, o.Kind) || o.Kind == "default" && slices.Contains(defaults, own(o))):
			off = append(off, o)
		}
	}
	slices.SortFunc(off, func(a, b verify.Object) int { return b.Rank - a.Rank })
	var out []string
	for _, o := range off {
		out = append(out, o.Drop...)
	}
	return out
}

// parts lists what of a table has a name of its own, and the columns whose defaults lean on something else.
func (d postgresDialect) parts(ctx context.Context, q engine.Querier, t *engine.Table) (parts []part, defaults []string, err error) {
	rows, err := q.QueryContext(ctx, postgresParts, int64(t.OID))
	if err != nil {
		return nil, nil, fmt.Errorf("read the parts of %s: %w", t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var p part
		if err := rows.Scan(&p.Kind, &p.Was); err != nil {
			return nil, nil, fmt.Errorf("read the parts of %s: %w", t.Name, err)
		}
		if p.Kind == "DEFAULT" {
			defaults = append(defaults, p.Was)
			continue
		}
		parts = append(parts, p)
	}
	return parts, defaults, rows.Err()
}

// countable is the size up to which the rows of a kept table are counted; of a larger one their number is an estimate.
const countable = 8 << 20

// measure notes size and rows of a kept table.
func (d postgresDialect) measure(ctx context.Context, q engine.Querier, x *capture) error {
	var err error
	if x.Bytes, err = d.s.f.size(ctx, q, d.s.own(x.data())); err != nil {
		return err
	}
	if x.Rows = max(x.live.Rows, 1); x.Bytes <= countable || x.live.Rows < 0 {
		x.Rows, err = number(ctx, q, "count kept rows", "SELECT count(*) FROM ONLY "+d.s.own(x.data()))
	}
	return err
}

func (d postgresDialect) intact(ctx context.Context, q engine.Querier, x *capture) (string, error) {
	t, err := d.s.db.Inspect(ctx, q, d.s.db.Own(x.data()))
	if errors.Is(err, engine.ErrNoTable) {
		return keptIsGone, nil
	}
	if err != nil {
		return "", err
	}
	on, err := number(ctx, q, "look for the guard", `SELECT count(*) FROM pg_catalog.pg_trigger g
		WHERE g.tgrelid = $1::bigint::oid AND g.tgname = 'dbrollback_guard' AND g.tgenabled = 'A' AND g.tgtype = 62
		  AND g.tgfoid = (SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.proname = 'dbrollback_guard' AND p.pronamespace = to_regnamespace('dbrollback'))`, int64(t.OID))
	switch {
	case err != nil:
		return "", err
	case on == 0:
		return "the trigger that keeps writers off it was switched off", nil
	case !sameColumns(x.Shape, t):
		return "its columns are not what they were", nil
	}
	return "", nil
}

// back puts a kept table into the place of another one.
func (d postgresDialect) back(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) error {
	s := d.s
	off, on, err := d.pointing(ctx, q, t)
	if err != nil {
		return err
	}
	attach, err := d.attach(ctx, q, t)
	if err != nil {
		return err
	}
	home, lies := t.Name.Schema, s.db.Own(x.data())
	script := append([]string{"SET CONSTRAINTS ALL IMMEDIATE"}, off...)
	script = append(script, "DROP TABLE "+s.db.Quote(t.Name),
		fmt.Sprintf("DROP TRIGGER %s ON %s", guard, s.db.Quote(lies)),
		fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", s.db.Quote(lies), s.q(home)),
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", s.db.Quote(engine.Name{Schema: home, Name: lies.Name}), s.q(t.Name.Name)))
	for _, p := range x.Renamed {
		script = append(script, fmt.Sprintf("ALTER %s %s RENAME TO %s", p.Kind, s.db.Quote(engine.Name{Schema: home, Name: p.Now}), s.q(p.Was)))
	}
	script = append(script, attach...)
	if _, err := q.ExecContext(ctx, strings.Join(append(script, on...), ";\n")); err != nil {
		return fmt.Errorf("put %s back: %w", x.Home, err)
	}
	return nil
}

// attach gives the statement that makes the table which takes the place of a partition one again. It reads the table, to see that its rows
// are within the bounds, and rows of the default partition; it writes none.
func (d postgresDialect) attach(ctx context.Context, q engine.Querier, t *engine.Table) ([]string, error) {
	if t.Kind != "partition" {
		return nil, nil
	}
	if len(t.Referenced) > 0 {
		return nil, errGivesWay
	}
	var bound string
	if err := q.QueryRowContext(ctx, "SELECT pg_catalog.pg_get_expr(relpartbound, oid) FROM pg_catalog.pg_class WHERE oid = $1::bigint::oid", int64(t.OID)).Scan(&bound); err != nil {
		return nil, fmt.Errorf("read the bounds of %s: %w", t.Name, err)
	}
	return []string{fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", d.s.db.Quote(t.Parent), d.s.db.Quote(t.Name), bound)}, nil
}

// pointing gives the statements that take off the foreign keys of others that point to a table, and make them again.
func (d postgresDialect) pointing(ctx context.Context, q engine.Querier, t *engine.Table) (off, on []string, err error) {
	rows, err := q.QueryContext(ctx, postgresKeys, int64(t.OID))
	if err != nil {
		return nil, nil, fmt.Errorf("read foreign keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, child, parent int64
		var schema, table, name, definition string
		var deferrable, validated bool
		if err := rows.Scan(&id, &child, &parent, &schema, &table, &name, &definition, &deferrable, &validated); err != nil {
			return nil, nil, fmt.Errorf("read foreign keys: %w", err)
		}
		if child == int64(t.OID) {
			continue // goes with the table
		}
		alter := "ALTER TABLE " + d.s.db.Quote(engine.Name{Schema: schema, Name: table})
		off = append(off, alter+" DROP CONSTRAINT "+d.s.q(name))
		on = append(on, alter+" ADD CONSTRAINT "+d.s.q(name)+" "+definition)
	}
	return off, on, rows.Err()
}
