package journal

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// postgres records updates and deletes with row triggers, because only those see who made the row that is written: of what one transaction
// wrote, that tells the first write from those that came later, in whatever order triggers fired. For one row they cost less than
// transition tables, and more for many; inserts, of which many rows come at once, and to whose order nothing falls, have a
// statement trigger with a transition table. The first record of a transaction leaves a row in dbrollback_journal_open, whose deferred
// trigger writes down when the transaction ends; nobody reads that row, so it is in no log.
type postgres struct{ j *Journal }

//go:embed postgres_ensure.sql
var postgresEnsure string

//go:embed postgres_install.sql
var postgresInstall string

//go:embed postgres_order.sql
var postgresOrder string

//go:embed postgres_truncate.sql
var postgresTruncate string

//go:embed postgres_made.sql
var postgresMade string

const pgTime = "to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

func (p postgres) spelling() spelling {
	return spelling{
		columns: []string{"n bigint GENERATED ALWAYS AS IDENTITY", "x bigint NOT NULL", "s bigint NOT NULL", "at timestamptz NOT NULL"},
		x:       "j.x", s: fmt.Sprintf("CASE WHEN j.s = 0 THEN j.n ELSE j.n + %d END", int64(segmentStride/2)), // the first write of a row, then the others
		at:   fmt.Sprintf(pgTime, "coalesce(c.at, j.at)"),
		who:  "coalesce(c.who || CASE WHEN c.program <> '' THEN ' (' || c.program || ')' ELSE '' END, '')",
		tx:   "j.x::text",
		join: " LEFT JOIN (SELECT x, max(at) AS at, max(who) AS who, max(program) AS program FROM dbrollback.dbrollback_journal_commits GROUP BY x) c ON c.x = j.x",
		now:  fmt.Sprintf(pgTime, "clock_timestamp()"),
		// Records are in the order of time, so that the ends of blocks of them are index enough.
		indexes: []string{"CREATE INDEX %[2]s ON %[1]s USING brin (at) WITH (pages_per_range = 16, autosummarize = on)"},
		size:    "SELECT pg_total_relation_size(to_regclass($1::text))",
		since: func(_ *segment, all []*segment, at time.Time) string {
			late := p.late(all, at)
			return fmt.Sprintf("j.at >= (SELECT least(min(b.began), %s) FROM (%s) b) AND j.x IN (SELECT b.x FROM (%s) b)", pgMoment(at), late, late)
		},
		old: func(_ *segment, all []*segment, before time.Time) string {
			return fmt.Sprintf("j.at < %s AND j.x NOT IN (SELECT b.x FROM (%s) b)", pgMoment(before), p.late(all, before))
		},
		long: func(before time.Time) []string {
			return []string{
				"DELETE FROM dbrollback.dbrollback_journal_commits WHERE at < " + pgMoment(before),
				"DELETE FROM dbrollback.dbrollback_journal_open WHERE at < " + pgMoment(before),
			}
		},
		storage: "SELECT pg_catalog.pg_relation_filenode(to_regclass($1::text))::text",
		vanish: []string{
			"DROP TABLE IF EXISTS dbrollback.dbrollback_journal_open, dbrollback.dbrollback_journal_commits",
			"DROP FUNCTION IF EXISTS dbrollback.dbrollback_journal_end()",
		},
		some: "DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(SELECT j.ctid FROM %[1]s j WHERE %[2]s LIMIT %[3]d))",
	}
}

func pgMoment(t time.Time) string { return "'" + stamp(t) + "'::timestamptz" }

// late gives the transactions that were not committed at a moment, and when they began: those that ended later, and those that wrote later,
// whatever was written down of their end.
func (p postgres) late(all []*segment, at time.Time) string {
	parts := []string{"SELECT x, began FROM dbrollback.dbrollback_journal_commits WHERE at > " + pgMoment(at)}
	for _, g := range all {
		if g.source != Slot && (g.open() || g.ended.After(at)) {
			parts = append(parts, fmt.Sprintf("SELECT x, at FROM %s WHERE at > %s", p.j.own(g.data()), pgMoment(at)))
		}
	}
	return strings.Join(parts, " UNION ")
}

func (p postgres) ensure(ctx context.Context, q engine.Querier) error {
	for _, query := range strings.Split(postgresEnsure, "\n\n") {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("make the journal: %w", err)
		}
	}
	return nil
}

func (p postgres) unfit(ctx context.Context, q engine.Querier, t *engine.Table) (string, string, error) {
	switch {
	case t.Kind == "partitioned":
		var parts []string
		for _, n := range t.Children {
			parts = append(parts, n.Arg())
		}
		return "it is a partitioned table: partitions that are attached or detached, or emptied by TRUNCATE, bring and take rows, and that fires no trigger of it",
			strings.TrimSpace("journal its partitions, each by its name, and new ones when they are made: dbrollback journal enable " + strings.Join(parts, " ")), nil
	case t.Rules:
		return "it has rules, which may write something else than what was asked for", "replace its rules with triggers", nil
	}
	return p.hidden(ctx, q, t)
}

// hidden refuses a table of which the role that journals it, and restores it, sees only some rows.
func (p postgres) hidden(ctx context.Context, q engine.Querier, t *engine.Table) (string, string, error) {
	var active bool
	var role string
	if err := q.QueryRowContext(ctx, "SELECT row_security_active($1::bigint::oid), current_user::text", int64(t.OID)).Scan(&active, &role); err != nil {
		return "", "", fmt.Errorf("look for row-level security: %w", err)
	}
	if active {
		return "its row-level security hides rows from " + role, "let its owner do it, without FORCE ROW LEVEL SECURITY, or a role with BYPASSRLS", nil
	}
	return "", "", nil
}

// postgresEvents have a trigger and a function each: there is less to do in one that need not ask what it was called for.
var postgresEvents = []struct{ name, when, each string }{
	{"insert", "AFTER INSERT", " REFERENCING NEW TABLE AS dbrollback_new FOR EACH STATEMENT"},
	{"update", "AFTER UPDATE", " FOR EACH ROW"},
	{"delete", "AFTER DELETE", " FOR EACH ROW"},
	{"truncate", "BEFORE TRUNCATE", " FOR EACH STATEMENT"},
}

// each says for what an event fires. What is written by way of the table that a partition is of fires its row triggers, and no others.
func (p postgres) each(event, otherwise string, t *engine.Table) string {
	if event == "insert" && t.Kind == "partition" {
		return " FOR EACH ROW"
	}
	return otherwise
}

func (g *segment) trigger(event string) string { return "dbrollback_journal_" + event + "_" + g.id }

func (p postgres) install(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) error {
	j, db := p.j, p.j.db
	if _, err := q.ExecContext(ctx, "LOCK TABLE ONLY "+db.Quote(t.Name)+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	names, _ := g.form.Columns()
	record := func(op, order, old, now, from string) string {
		values := append([]string{"dbrollback_x", order, "pg_catalog.clock_timestamp()", "'" + op + "'"}, j.store.Values(g.form, old, now)...)
		return fmt.Sprintf("INSERT INTO %s (x, s, at, %s) SELECT %s%s;", j.own(g.data()), strings.Join(names, ", "), strings.Join(values, ", "), from)
	}
	const ifAny = " IF NOT FOUND THEN RETURN NULL; END IF;"
	inserted := record("i", "0", "", "r", " FROM dbrollback_new r") + ifAny
	if t.Kind == "partition" {
		inserted = record("i", "0", "", "NEW", "")
	}
	each, once := settingsOf(g.form)
	var queries []string
	for _, e := range postgresEvents {
		body, settings := "", each
		switch e.name {
		case "insert":
			body, settings = inserted, once
		case "update":
			body = postgresOrder + record("u", "dbrollback_s", "OLD", "NEW", "")
		case "delete":
			body = postgresOrder + record("d", "dbrollback_s", "OLD", "", "")
		default: // of what the transaction wrote before there are records before
			body, settings = postgresTruncate+record("t", "1", "r", "", " FROM ONLY "+db.Quote(t.Name)+" r")+ifAny, once
		}
		function, trigger := p.function(g, e.name), db.Ident(g.trigger(e.name))
		queries = append(queries,
			strings.NewReplacer("@function", function, "@settings", settings, "@tag", "$dbrollback_"+g.id+"$", "@record", body).Replace(postgresInstall),
			"REVOKE ALL ON FUNCTION "+function+"() FROM PUBLIC",
			fmt.Sprintf("CREATE TRIGGER %s %s ON %s%s EXECUTE FUNCTION %s()", trigger, e.when, db.Quote(t.Name), p.each(e.name, e.each, t), function),
			fmt.Sprintf("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %s", db.Quote(t.Name), trigger)) // what a replica or a tool writes counts as well
	}
	for _, query := range queries {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	var err error
	if g.mark, err = p.made(ctx, q, t, g.id); err != nil {
		return err
	}
	g.started, err = j.now(ctx, q)
	return err
}

// function is what an event of a table calls.
func (p postgres) function(g *segment, event string) string { return p.j.own(g.data() + "_" + event) }

// settingsOf gives the settings of functions: of those that are called for each row none that is not needed, because a setting costs more than
// what they do, and of those that are called once for a statement. These read from a table, where what looks like a column that is gone calls a
// function of that name, and row-level security may hide rows: that is an error then.
func settingsOf(f *snapshot.Form) (each, once string) {
	const path = " SET search_path = pg_catalog, pg_temp"
	if f.AsText() {
		each = " SET DateStyle = 'ISO', 'MDY' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits = '3' SET bytea_output = 'hex' SET lc_monetary = 'C' SET xmloption = 'content'"
	}
	once = path + " SET row_security = off" + each
	if each != "" || f.Cast() {
		each = path + each
	}
	return each, once
}

// made is by what a table is known to be the one that is recorded, with nothing done to it that fires no trigger. What is altered of a column changes
// its row of the catalog, and so does ATTACH PARTITION, after which rows come that a statement trigger does not see; the row of the table's type changes when
// the table changes its name or its schema, so that another one can bear them for a while; a trigger's changes when it is switched off, and on again. None of
// it changes by what is done to rows, by TRUNCATE or by VACUUM.
func (p postgres) made(ctx context.Context, q engine.Querier, t *engine.Table, triggers string) (string, error) {
	var mark string
	err := q.QueryRowContext(ctx, postgresMade, int64(t.OID), triggers).Scan(&mark)
	if err != nil {
		return "", fmt.Errorf("read what was done to %s: %w", t.Name, err)
	}
	return mark, nil
}

// olderProgram is what is said of a table whose triggers record all that is written, but not safely. A new segment joins what they recorded.
const olderProgram = "its triggers are of an older dbrollback, and give those who write to it rights of the one who enabled them; enable mends that, and nothing that was recorded is lost"

// alteredBy is what is said of a table of which that is not what it was.
const alteredBy = "it, a column of it or a trigger of its journal was altered, or had another name or was switched off for a while, by something else than dbrollback up"

func (p postgres) remove(ctx context.Context, q engine.Querier, g *segment) error {
	// With its functions go the triggers, wherever the table is.
	gone := []string{p.j.own(g.data()) + "()"} // of an older program
	for _, e := range postgresEvents {
		gone = append(gone, p.function(g, e.name)+"()")
	}
	_, err := q.ExecContext(ctx, "DROP FUNCTION IF EXISTS "+strings.Join(gone, ", ")+" CASCADE")
	return err
}

func (p postgres) sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error) {
	var on int
	var older bool
	err := q.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE tgenabled = 'A' AND NOT ($3::boolean AND tgname LIKE '%\_insert\_%' AND tgtype & 1 = 0)), coalesce(bool_or(tgname LIKE '%\_write\_%'), false)
		FROM pg_catalog.pg_trigger WHERE tgrelid = $1::bigint::oid AND tgname LIKE 'dbrollback\_journal\_%' AND right(tgname, 32) = $2::text`, int64(t.OID), g.id, t.Kind == "partition").Scan(&on, &older)
	if err != nil {
		return "", fmt.Errorf("look for triggers: %w", err)
	}
	triggers := len(postgresEvents)
	if older { // updates and deletes had one trigger, of a function under which whoever writes could run his own operators
		triggers--
	}
	if on < triggers {
		why := "its triggers are gone, or switched off"
		if t.Kind == "partition" {
			why += ", or it has become a partition since"
		}
		return why, nil
	}
	mark, err := p.made(ctx, q, t, g.id)
	if err != nil {
		return "", err
	}
	if mark != g.mark {
		return alteredBy, nil
	}
	if older {
		return olderProgram, nil
	}
	return "", nil
}
