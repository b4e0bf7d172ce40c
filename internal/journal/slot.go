package journal

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// slot records what PostgreSQL's own log says was written, through a logical replication slot with the plugin pgoutput: what is written costs
// no trigger. Rows come with their old values because the tables' REPLICA IDENTITY is FULL, with the moment of the commit, and in
// the order of the commits. A reader (Run, or whoever wants to know) writes them into the segments.
//
// What changes about a table is said in the log itself, by messages in the transaction that changes it: from there on its rows go to
// another segment. So a reader may be far behind. The log has no rows of a TRUNCATE; the one trigger that is left puts them by
// in the segment, with a positive number for the transaction, and the reader puts them in their place.
//
// x is the place of the commit in the log, below zero, so that it is no transaction number of a trigger's; s is the transaction's number.
type slot struct{ j *Journal }

//go:embed slot_ensure.sql
var slotEnsure string

//go:embed slot_install.sql
var slotInstall string

//go:embed slot_table.sql
var slotTable string

// slotVanish drops, in a transaction, what all segments of a slot have in common. The slot itself goes after it (Settle).
var slotVanish = []string{"DROP PUBLICATION IF EXISTS " + publication, "DROP TABLE IF EXISTS " + slotTableName}

const (
	publication   = "dbrollback_journal" // and the prefix of our messages
	slotTableName = "dbrollback.dbrollback_journal_slot"
)

func (p slot) spelling() spelling {
	sp := postgres(p).spelling()
	sp.at, sp.who, sp.tx, sp.join, sp.seen = fmt.Sprintf(pgTime, "j.at"), "''", "j.s::text", "", " AND j.x < 0"
	sp.since = func(_ *segment, _ []*segment, at time.Time) string { return "j.at > " + pgMoment(at) + sp.seen }
	sp.old = func(_ *segment, _ []*segment, before time.Time) string {
		return "j.at <= " + pgMoment(before) + sp.seen
	}
	sp.note = "the server's log has the moment of each commit, and not who wrote"
	return sp
}

// slotMark is what a segment of a slot remembers of its table.
type slotMark struct {
	Slot    string       `json:"slot"` // the token of the slot: one that was made anew lacks what was written in between
	OID     int64        `json:"oid"`
	Was     string       `json:"identity"`  // d, n, f, or the name of an index; "" when it was put back
	Member  int64        `json:"published"` // the table's entry in the publication: one that is another was not there for a while
	Columns []slotColumn `json:"columns"`
	Made    string       `json:"made"` // what nothing done to rows changes
}

// slotColumn is a column as the log has it.
type slotColumn struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Type   uint32 `json:"type"`
	Mod    int32  `json:"mod"`
	Read   string `json:"read"` // the type that its values are read as
}

func (g *segment) slotMark() (slotMark, error) {
	var m slotMark
	if err := json.Unmarshal([]byte(g.mark), &m); err != nil {
		return m, fmt.Errorf("read the journal of %s: %w", g.table, err)
	}
	return m, nil
}

// sameColumns tells whether the columns are what they were.
func (m slotMark) sameColumns(now []slotColumn) bool {
	if len(m.Columns) != len(now) {
		return false
	}
	for i, c := range m.Columns {
		if c != now[i] {
			return false
		}
	}
	return true
}

func (p slot) ensure(ctx context.Context, q engine.Querier) error { return p.j.src.ensure(ctx, q) }

func (p slot) unfit(ctx context.Context, q engine.Querier, t *engine.Table) (string, string, error) {
	if t.Kind == "partitioned" {
		return postgres(p).unfit(ctx, q, t)
	}
	if why, hint, err := postgres(p).hidden(ctx, q, t); why != "" || err != nil {
		return why, hint, err
	}
	var unlogged bool
	if err := q.QueryRowContext(ctx, "SELECT relpersistence = 'u' FROM pg_catalog.pg_class WHERE oid = $1::bigint::oid", int64(t.OID)).Scan(&unlogged); err != nil {
		return "", "", fmt.Errorf("look at %s: %w", t.Name, err)
	}
	if unlogged {
		return "it is UNLOGGED: what is written to it is in no log", "ALTER TABLE " + t.Name.String() + " SET LOGGED; or --source trigger", nil
	}
	for _, k := range t.Keys[0].Columns {
		if t.Columns[indexOf(t, k)].Generated {
			return "column " + k + " of its key is generated, and the log does not have it", "--source trigger", nil
		}
	}
	return "", "", nil
}

// columns reads the columns of a table as the log has them.
func (p slot) columns(ctx context.Context, q engine.Querier, t *engine.Table) ([]slotColumn, error) {
	rows, err := q.QueryContext(ctx, slotTable, int64(t.OID))
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", t.Name, err)
	}
	defer rows.Close()
	var out []slotColumn
	for rows.Next() {
		var c slotColumn
		if err := rows.Scan(&c.Number, &c.Name, &c.Type, &c.Mod, &c.Read); err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", t.Name, err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// identity is the REPLICA IDENTITY of a table: d, n, f, or the name of an index. full tells whether it is FULL now.
func (p slot) identity(ctx context.Context, q engine.Querier, oid int64) (is string, err error) {
	err = q.QueryRowContext(ctx, `SELECT CASE WHEN c.relreplident = 'i' THEN coalesce((SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), 'd')
		ELSE c.relreplident::text END FROM pg_catalog.pg_class c WHERE c.oid = $1::bigint::oid`, oid).Scan(&is)
	if err != nil {
		return "", fmt.Errorf("read the replica identity: %w", err)
	}
	return is, nil
}

// state is what is kept of the slot.
type slotState struct {
	slot, token string
	lsn         string // "" while it is being made
	reads       map[uint32]string
	committed   time.Time
}

// state reads it; nil when there is none. locked: nobody else writes it until the transaction ends.
func (p slot) state(ctx context.Context, q engine.Querier, locked bool) (*slotState, error) {
	if _, err := p.j.db.Resolve(ctx, q, p.j.db.Own("dbrollback_journal_slot")); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	query := "SELECT slot, token, coalesce(lsn::text, ''), reads, coalesce(" + fmt.Sprintf(pgTime, "committed") + ", '') FROM " + slotTableName
	if locked {
		query += " FOR UPDATE"
	}
	var s slotState
	var reads, committed string
	err := q.QueryRowContext(ctx, query).Scan(&s.slot, &s.token, &s.lsn, &reads, &committed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the slot: %w", err)
	}
	s.committed = parse(committed)
	if err := json.Unmarshal([]byte(reads), &s.reads); err != nil {
		return nil, fmt.Errorf("read the state of the slot: %w", err)
	}
	return &s, nil
}

// say writes a message for the reader into the log, as part of the transaction.
func (p slot) say(ctx context.Context, q engine.Querier, words ...string) error {
	_, err := q.ExecContext(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, $1, token || ' ' || $2) FROM "+slotTableName, publication, strings.Join(words, " "))
	if err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	return nil
}

func (p slot) install(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) error {
	j, db := p.j, p.j.db
	state, err := p.state(ctx, q, false)
	if err != nil {
		return err
	}
	if state == nil || state.lsn == "" {
		return &RefusedError{Message: "there is no replication slot to journal " + t.Name.String() + " by", Hint: "dbrollback journal enable " + t.Name.Arg() + " --source slot"}
	}
	table := db.Quote(t.Name)
	if _, err := q.ExecContext(ctx, "LOCK TABLE ONLY "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	m := slotMark{Slot: state.token, OID: int64(t.OID)}
	if m.Columns, err = p.columns(ctx, q, t); err != nil {
		return err
	}
	if m.Was, err = p.identity(ctx, q, m.OID); err != nil {
		return err
	}
	others, err := p.sharing(ctx, q, m.OID)
	if err != nil {
		return err
	}
	if len(others) > 0 { // it is FULL because of us
		m.Was = others[0].Was
	}
	_, settings := settingsOf(g.form)
	names, _ := g.form.Columns()
	values := append([]string{"dbrollback_x", "0", "'-infinity'", "'t'"}, j.store.Values(g.form, "r", "")...)
	trigger := db.Ident(g.trigger("truncate"))
	queries := []string{
		"ALTER TABLE ONLY " + table + " REPLICA IDENTITY FULL",
		strings.NewReplacer("@function", db.Quote(db.Own(g.data())), "@settings", settings, "@tag", "$dbrollback_"+g.id+"$", "@segment", g.id,
			"@numbers", strings.ReplaceAll(j.own(g.data()+"_n"), "'", "''"),
			"@truncate", postgresTruncate+fmt.Sprintf("INSERT INTO %s (x, s, at, %s) SELECT %s FROM ONLY %s r;", j.own(g.data()), strings.Join(names, ", "), strings.Join(values, ", "), table)).Replace(slotInstall),
		"REVOKE ALL ON FUNCTION " + j.own(g.data()) + "() FROM PUBLIC",
		"CREATE SEQUENCE " + j.own(g.data()+"_n") + " OWNED BY " + j.own(g.data()) + ".x",
		"CREATE TRIGGER " + trigger + " BEFORE TRUNCATE ON " + table + " FOR EACH STATEMENT EXECUTE FUNCTION " + j.own(g.data()) + "()",
		"ALTER TABLE ONLY " + table + " ENABLE ALWAYS TRIGGER " + trigger,
	}
	if m.Member, err = p.member(ctx, q, m.OID); err != nil {
		return err
	}
	if m.Member == 0 {
		queries = append(queries, "ALTER PUBLICATION "+publication+" ADD TABLE ONLY "+table)
	}
	for _, query := range queries {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	if m.Member, err = p.member(ctx, q, m.OID); err != nil {
		return err
	}
	if m.Made, err = postgres(p).made(ctx, q, t, g.id); err != nil {
		return err
	}
	mark, err := json.Marshal(m)
	if err != nil {
		return err
	}
	g.mark = string(mark)
	if err := p.say(ctx, q, "begin", strconv.FormatInt(m.OID, 10), g.id); err != nil {
		return err
	}
	g.started, err = j.now(ctx, q)
	return err
}

// member is a table's entry in the publication, 0 for none.
func (p slot) member(ctx context.Context, q engine.Querier, oid int64) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(r.oid::bigint), 0) FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1::bigint::oid AND p.pubname = $2", oid, publication).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("look for the publication: %w", err)
	}
	return n, nil
}

// sharing gives the marks of the segments for whose sake a table is as the slot needs it.
func (p slot) sharing(ctx context.Context, q engine.Querier, oid int64) ([]slotMark, error) {
	all, err := p.j.segments(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []slotMark
	for _, g := range all {
		if g.source != Slot {
			continue
		}
		m, err := g.slotMark()
		if err != nil {
			return nil, err
		}
		if m.OID == oid && m.Was != "" {
			out = append(out, m)
		}
	}
	return out, nil
}

// remove gives a table back what it had, unless another segment needs it as it is. It may be done again.
func (p slot) remove(ctx context.Context, q engine.Querier, g *segment) error {
	m, err := g.slotMark()
	if err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, "DROP FUNCTION IF EXISTS "+p.j.own(g.data())+"() CASCADE"); err != nil { // with its trigger, wherever the table is
		return err
	}
	if m.Was == "" {
		return nil
	}
	was := m.Was
	m.Was = ""
	mark, err := json.Marshal(m)
	if err != nil {
		return err
	}
	g.mark = string(mark)
	if err := p.j.set(ctx, q, g, "mark", g.mark); err != nil {
		return err
	}
	others, err := p.sharing(ctx, q, m.OID)
	if err != nil {
		return err
	}
	state, err := p.state(ctx, q, false)
	if err == nil && state != nil { // else nobody reads any more
		err = p.say(ctx, q, "end", strconv.FormatInt(m.OID, 10), g.id)
	}
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return nil
	}
	return p.giveBack(ctx, q, m.OID, was)
}

// giveBack puts the replica identity back, and takes the table out of the publication.
func (p slot) giveBack(ctx context.Context, q engine.Querier, oid int64, was string) error {
	var table string
	err := q.QueryRowContext(ctx, "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint::oid", oid).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it is gone, and all this with it
	}
	if err != nil {
		return err
	}
	member, err := p.member(ctx, q, oid)
	if err != nil {
		return err
	}
	if member != 0 {
		if _, err := q.ExecContext(ctx, "ALTER PUBLICATION "+publication+" DROP TABLE ONLY "+table); err != nil {
			return err
		}
	}
	is, err := p.identity(ctx, q, oid)
	if err != nil || is != "f" { // somebody else changed it since
		return err
	}
	to := "DEFAULT"
	switch was {
	case "f":
		return nil
	case "d":
	case "n":
		to = "NOTHING"
	default:
		var index *string
		err := q.QueryRowContext(ctx, "SELECT quote_ident(c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::bigint::oid AND i.indexrelid = to_regclass($2)", oid, was).Scan(&index)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if index != nil {
			to = "USING INDEX " + *index
		}
	}
	_, err = q.ExecContext(ctx, "ALTER TABLE ONLY "+table+" REPLICA IDENTITY "+to)
	return err
}

func (p slot) sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error) {
	m, err := g.slotMark()
	if err != nil {
		return "", err
	}
	if why, err := p.lost(ctx, q, m.Slot); why != "" || err != nil {
		return why, err
	}
	var on bool
	member, err := p.member(ctx, q, int64(t.OID))
	if err != nil {
		return "", err
	}
	is, err := p.identity(ctx, q, int64(t.OID))
	if err != nil {
		return "", err
	}
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = $1::bigint::oid AND tgname = $2 AND tgenabled = 'A')", int64(t.OID), g.trigger("truncate")).Scan(&on)
	if err != nil {
		return "", fmt.Errorf("look for triggers: %w", err)
	}
	now, err := p.columns(ctx, q, t)
	if err != nil {
		return "", err
	}
	made, err := postgres(p).made(ctx, q, t, g.id)
	if err != nil {
		return "", err
	}
	switch {
	case int64(t.OID) != m.OID:
		return "the table was made anew", nil
	case member != m.Member:
		return "it was taken out of the publication " + publication, nil
	case is != "f":
		return "its REPLICA IDENTITY is not FULL any more", nil
	case !on:
		return "its trigger for TRUNCATE is gone, or switched off", nil
	case !m.sameColumns(now):
		return "a column of it was altered by something else than dbrollback up", nil
	case made != m.Made:
		return alteredBy, nil
	}
	return "", nil
}
