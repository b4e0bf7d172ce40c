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
)

// A column that Down has made again is empty in every row: to fill it by an UPDATE writes each row, and an entry in each index, a second time.
// ALTER COLUMN … TYPE … USING writes the table once and builds its indexes after, at the speed of any rewrite, and leaves the table the one
// that it is: views, keys, rights and triggers stay, and no trigger fires. What USING evaluates is a function that finds the captured
// value by the row's key. Captures are in the order of the table as it was, which mostly is that of the table as it is, so it
// reads them through a cursor and checks the key; where that does not fit it goes by an index.

// rewriter is an engine that can fill columns by one rewrite of their table.
type rewriter interface {
	// rewrites tells whether it can, and whether that is worth its while for so many rows hit. stood: the columns were there all along.
	rewrites(ctx context.Context, q engine.Querier, t *engine.Table, columns []engine.Column, hits int64, stood bool) (bool, error)
	// rewrite does it.
	rewrite(ctx context.Context, q engine.Querier, r *Restorer, g *target, fields []int) error
}

//go:embed postgres_rewrite.sql
var postgresRewrite string

// smallest is the size of a table from which a rewrite is worth its preparations; below one row in share hit an UPDATE is cheaper.
const (
	smallest = 4 << 20
	share    = 3
)

func (d postgresDialect) rewrites(ctx context.Context, q engine.Querier, t *engine.Table, columns []engine.Column, hits int64, stood bool) (bool, error) {
	if hits*share < t.Rows {
		return false, nil
	}
	var numbers []string
	for _, c := range columns {
		numbers = append(numbers, fmt.Sprint(c.Ordinal))
	}
	var size sql.NullInt64
	err := q.QueryRowContext(ctx, postgresRewrite, append(engine.Prepared(d.s.db), int64(t.OID), strings.Join(numbers, ","), stood)...).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("see whether %s can be rewritten: %w", t.Name, err)
	}
	return size.Int64 >= smallest, nil
}

// anew fills columns that Down has just made again by one rewrite of their table. It is false where that is not possible, or not
// worth it: then they are filled by an UPDATE.
func (r *Restorer) anew(ctx context.Context, tx engine.Querier, g *target, fields []int) (bool, error) {
	w, ok := r.s.d.(rewriter)
	x := g.x
	if !ok || len(fields) == 0 || x.final != "" || len(g.left()) > 0 || r.capturer != nil && r.bare || !r.rewritable(g) {
		return false, nil
	}
	var columns []engine.Column
	for _, i := range fields {
		columns = append(columns, r.live(g, i))
	}
	can, err := w.rewrites(ctx, tx, g.t, columns, x.Rows, false)
	if err != nil || !can {
		return false, err
	}
	only := r.alonePut(g, fields)
	var hits int64
	if x.uncount = only && !slices.ContainsFunc(columns, func(c engine.Column) bool { return c.Default != "" || c.NotNull || !c.Portable }); !x.uncount {
		if hits, err = r.fills(ctx, tx, g, fields); err != nil {
			return false, err
		}
	}
	if !r.s.db.Caps.TransactionalDDL { // it ends the transaction: what was written in it so far must be of this table alone, and what comes after, too
		if !only || !r.single || r.capturer != nil && r.capturer.among {
			x.uncount = false
			return false, nil
		}
		err = w.rewrite(ctx, tx, r, g, fields)
	} else {
		err = r.s.within(ctx, tx, "dbrollback_anew", true, func() error { return w.rewrite(ctx, tx, r, g, fields) })
	}
	if err != nil {
		x.uncount = false
		if _, server := engine.AsError(err); (server || errors.Is(err, errNoTwin)) && ctx.Err() == nil {
			return false, nil // what the server has against a rewrite it may not have against an UPDATE, or says better there
		}
		return false, err
	}
	r.of(x.Home).Updated += hits
	x.anew = only
	x.wrote = x.wrote || slices.ContainsFunc(fields, func(i int) bool { return x.Fields[i].Seal != "" })
	return true, nil
}

// rewritable tells whether a capture is of columns of all rows, which an index on its keys finds.
func (r *Restorer) rewritable(g *target) bool {
	x := g.x
	if len(x.Key) == 0 || x.Ops || x.Moved {
		return false
	}
	for i, f := range x.Key {
		j := columnIndex(g.t, g.name(i))
		if j < 0 || f.Text {
			return false
		}
		if plain := r.s.f.match("l", "k", f, g.t.Columns[j]); plain != "l = k" && plain != `l COLLATE "C" = k` {
			return false
		}
	}
	return true
}

// alonePut tells whether a rewrite puts back all that there is of a table, so that nothing is left to be done about it but the proof, which
// compares the very images that an UPDATE would.
func (r *Restorer) alonePut(g *target, fields []int) bool {
	x := g.x
	if x.Bystander || x.Seal.Mode != sealPresent || len(fields) != len(g.fields) || len(fields) != len(x.Fields) ||
		slices.ContainsFunc(r.captures, func(y *restoring) bool { return y != x && y.Home == x.Home && y.Kind != Definition }) {
		return false
	}
	kept, live := r.images(g, fields, false)
	proof, stands := r.images(g, fields, true)
	return slices.Equal(kept, proof) && slices.Equal(live, stands)
}

// retype fills columns whose types a statement of Down has just changed back by one more rewrite of their table, instead of an UPDATE of most rows; done is
// false where that is not possible, or not worth it, and nothing was written. What the application wrote in them since stays. Where each statement
// commits by itself that cannot be: a rewrite would end the transaction in which what Down captured of the same rows is sealed anew.
func (r *Restorer) retype(ctx context.Context, tx engine.Querier, g *target, fields []int) (n int64, done bool, err error) {
	x := g.x
	if x.at != "" || len(g.left()) > 0 {
		return 0, false, nil
	}
	g.stood = true
	defer func() { g.stood = false }()
	w, err := r.retypable(ctx, tx, g, fields)
	if err != nil || w == nil {
		return 0, false, err
	}
	if n, err = r.fills(ctx, tx, g, fields); err != nil || n*share < x.Rows || n*share < g.t.Rows { // most of them the type had not changed
		return 0, false, err
	}
	err = r.s.within(ctx, tx, "dbrollback_anew", true, func() error { return w.rewrite(ctx, tx, r, g, fields) })
	if _, server := engine.AsError(err); server && ctx.Err() == nil {
		return 0, false, nil // what the server has against a rewrite it may not have against an UPDATE, or says better there
	}
	return n, err == nil, err
}

// retypable gives the engine where columns that stood can be filled by one rewrite, and may be: that is worth its while when most rows differ. Else nil.
func (r *Restorer) retypable(ctx context.Context, q engine.Querier, g *target, fields []int) (rewriter, error) {
	w, ok := r.s.d.(rewriter)
	x := g.x
	if !ok || !r.s.db.Caps.TransactionalDDL || r.bare || x.Kind != Columns || x.Part || x.final != "" || x.Rows*share < g.t.Rows || !r.rewritable(g) {
		return nil, nil
	}
	var columns []engine.Column
	for _, i := range fields {
		if x.Fields[i].Seal == "" { // it was made again
			return nil, nil
		}
		columns = append(columns, r.live(g, i))
	}
	can, err := w.rewrites(ctx, q, g.t, columns, x.Rows, true)
	if err != nil || !can {
		return nil, err
	}
	return w, nil
}

// entriesOf is the data of a capture without the entries of rows that the application put there since, or, in columns that stood, has written to.
func (r *Restorer) entriesOf(g *target) string {
	x := g.x
	if !x.work {
		return r.s.own(x.data()) + " d"
	}
	if g.stood {
		return fmt.Sprintf("(SELECT d.* FROM %s d WHERE %s) d", r.s.own(x.data()), r.free(x))
	}
	return fmt.Sprintf("(SELECT d.* FROM %s d WHERE NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')) d", r.s.own(x.data()), r.s.own(x.conflicts()), insertedSince)
}

// fills counts the rows that a rewrite will change.
func (r *Restorer) fills(ctx context.Context, tx engine.Querier, g *target, fields []int) (int64, error) {
	s := r.s
	kept, live := r.images(g, fields, false)
	return number(ctx, tx, "compare "+g.x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s JOIN %s t ON %s WHERE %s", r.entriesOf(g), s.f.from(s.db, g.t),
		s.on(g.x.capture, g.t, "t", "d", g.name, k), s.differ(live, kept)))
}

func (d postgresDialect) rewrite(ctx context.Context, q engine.Querier, r *Restorer, g *target, fields []int) error {
	s, x := d.s, g.x
	var index, keys []string
	for i := range x.Key {
		column := k(i)
		if g.t.Columns[columnIndex(g.t, g.name(i))].Collation != "" {
			column += ` COLLATE "C"`
		}
		index, keys = append(index, column), append(keys, "d."+k(i))
	}
	var synchronized string
	if err := q.QueryRowContext(ctx, "SELECT current_setting('synchronize_seqscans')").Scan(&synchronized); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	script := []string{
		"SET LOCAL synchronize_seqscans = off", // the table is read from its beginning
		fmt.Sprintf("CREATE INDEX %s ON %s (%s)", s.q("dbrollback_find_"+compact(x.ID)), s.own(x.data()), list(index)),
	}
	var alters, after []string
	for at, i := range fields {
		now := r.live(g, i)
		name := fmt.Sprintf("dbrollback_put%d_%s", at, compact(x.ID))
		function, arguments := d.finder(r, g, i, name)
		var columns []string
		for i := range x.Key {
			columns = append(columns, s.q(g.name(i)))
		}
		as := now.Type
		if now.Collation != "" {
			as += " COLLATE " + now.Collation
		}
		script = append(script, function, fmt.Sprintf("DECLARE %s SCROLL CURSOR FOR SELECT d.n, %s, %s FROM %s", s.q(name), list(keys), s.f.back("d."+x.v(i), x.Fields[i], now), r.entriesOf(g)))
		alters = append(alters, fmt.Sprintf("ALTER COLUMN %s TYPE %s USING %s(%s)", s.q(now.Name), as, s.own(name), list(append(columns, s.q(now.Name)))))
		after = append(after, "CLOSE "+s.q(name), fmt.Sprintf("DROP FUNCTION %s(%s)", s.own(name), list(arguments)))
	}
	script = append(script, fmt.Sprintf("ALTER TABLE ONLY %s %s", s.db.Quote(g.t.Name), list(alters)))
	script = append(append(script, after...), "DROP INDEX "+s.own("dbrollback_find_"+compact(x.ID)), "SET LOCAL synchronize_seqscans = "+synchronized)
	for _, query := range script {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("put back columns of %s: %w", x.Home, err)
		}
	}
	return nil
}

// ahead is how far the function looks on in the captures for a row that is not the next one. One that it finds by the index then says
// whether the cursor is to go on or back: rows that are gone, and rows that moved, put it out of step for a while only.
const ahead = 6

// finder makes the function that gives the captured value of a field for a row's key, or what the row has where none was captured.
func (d postgresDialect) finder(r *Restorer, g *target, i int, name string) (text string, arguments []string) {
	s, x := d.s, g.x
	now := r.live(g, i)
	var into, found, same, declared []string
	for j, f := range x.Key {
		live := g.t.Columns[columnIndex(g.t, g.name(j))]
		arguments = append(arguments, live.Type)
		declared = append(declared, fmt.Sprintf("n%d %s", j, f.Decl))
		into = append(into, fmt.Sprintf("n%d", j))
		argument := fmt.Sprintf("$%d", j+1)
		same = append(same, s.f.match(argument, fmt.Sprintf("n%d", j), f, live))
		found = append(found, s.f.match(argument, "d."+k(j), f, live))
	}
	was := fmt.Sprintf("$%d", len(arguments)+1)
	arguments = append(arguments, now.Type)
	body := fmt.Sprintf(`
#variable_conflict use_column
DECLARE
	c CONSTANT refcursor := %[1]s;
	%[2]s;
	value %[3]s;
	steps integer := 0;
	last bigint;
	reached bigint;
	here bigint;
BEGIN
	LOOP
		FETCH NEXT FROM c INTO last, %[4]s, value;
		EXIT WHEN NOT FOUND;
		steps := steps + 1;
		reached := last;
		IF %[5]s THEN RETURN value; END IF;
		EXIT WHEN steps = %[6]d;
	END LOOP;
	IF steps < %[6]d THEN
		steps := steps + 1; -- it stands behind the last row
	END IF;
	SELECT d.n, %[7]s INTO here, value FROM %[8]s WHERE %[9]s;
	IF NOT FOUND THEN
		MOVE BACKWARD steps FROM c;
		RETURN %[10]s;
	END IF;
	IF here < reached OR reached IS NULL THEN
		MOVE BACKWARD steps + %[6]d FROM c;
	END IF;
	RETURN value;
END`, literal(name), strings.Join(declared, ";\n\t"), now.Type, list(into), all(same...), ahead, s.f.back("d."+x.v(i), x.Fields[i], now), r.entriesOf(g), all(found...), was)
	return fmt.Sprintf("CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE plpgsql AS %s", s.own(name), list(arguments), now.Type, literal(body)), arguments
}
