package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// On MySQL and MariaDB an UPDATE of a column that Down has just made again writes each row a second time, with what was there into the undo log and
// the binary log. To build a twin of the table with the captured values in it, its indexes after, and to give it the table's name takes a sixth of
// that. Nobody may write between the last row that is copied and the exchange of names, and a client that dies must leave either table whole
// under the name. The table and the twin are locked from before the copy on. MySQL renames under that lock. MariaDB refuses to; there another
// connection asks for the exchange meanwhile, and stands first in the queue of the table when the lock is let go. Until it is seen to stand
// there a table of the name that the old one is to get is in its way: were the lock lost before, the exchange would fail, and be a whole failure,
// as several renames in one statement are. RENAME takes its locks in the order of names, so that ours sort behind the user's.

// besideTwin and besideGone begin the names of the twin, and of what the table is called once the twin has its name.
const (
	besideTwin = "~dbrollback_twin_"
	besideGone = "~dbrollback_gone_"
)

// worthwhile is how many captured rows make a twin worth its preparations.
const worthwhile = 5_000

// errNoTwin: the table cannot have a twin, for a reason that no error of the server tells.
var errNoTwin = errors.New("the table stays the one that it is")

func (d mysqlDialect) rewrites(ctx context.Context, q engine.Querier, t *engine.Table, _ []engine.Column, hits int64, _ bool) (bool, error) {
	maria := d.s.db.Kind == engine.MariaDB
	if hits < worthwhile || hits*share < t.Rows || t.Kind != "table" || t.Engine != "InnoDB" || t.Versioned || t.Name.Schema != "" ||
		len(t.ForeignKeys)+len(t.Referenced)+len(t.Triggers)+len(t.Partitions) > 0 || maria && t.Name.Name >= besideGone ||
		slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return c.Generated || engine.Aside(c.Name) }) {
		return false, nil
	}
	if maria { // else it cannot be seen who waits for the table
		n, err := number(ctx, q, "look at rights", `SELECT count(*) FROM information_schema.user_privileges
			WHERE privilege_type = 'PROCESS' AND grantee = concat('''', replace(current_user(), '@', '''@'''), '''')`)
		if err != nil || n == 0 {
			return false, err
		}
	}
	// Where several servers of a cluster take writes, the lock of one of them keeps nobody from the others; and where writers get their turn after so many
	// exclusive locks, one that waits for the table may come before the exchange of names.
	many, err := engine.Texts(ctx, q, "SHOW GLOBAL VARIABLES WHERE Variable_name = 'wsrep_on' AND Value = 'ON' OR Variable_name = 'group_replication_single_primary_mode' AND Value = 'OFF' OR Variable_name = 'max_write_lock_count' AND Value + 0 < 1000000")
	return len(many) == 0, err
}

// twin is a table on its way to another one's name.
type twin struct {
	d          mysqlDialect
	q          engine.Querier
	table      string // all quoted
	twin, gone string
	name       string
}

func (mysqlDialect) twinName(capture string) string { return besideTwin + compact(capture) }

// rewrite ends the transaction of q and begins another one: what was written in it so far can be done again.
func (d mysqlDialect) rewrite(ctx context.Context, q engine.Querier, r *Restorer, g *target, fields []int) (err error) {
	s, x := d.s, g.x
	b := &twin{d: d, q: q, table: s.db.Quote(g.t.Name), twin: s.own(d.twinName(x.ID)), gone: s.own(besideGone + compact(x.ID)), name: g.t.Name.Name}
	what := "put back columns of " + x.Home.String()
	if err := b.run(ctx, "COMMIT"); err != nil {
		return err
	}
	defer func() {
		calm := context.WithoutCancel(ctx)
		err = errors.Join(err, b.run(calm, "UNLOCK TABLES"), b.leave(calm), b.run(calm, committed, "START TRANSACTION"))
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}()
	found, err := number(ctx, q, "look for an index", "SELECT count(*) FROM information_schema.statistics WHERE table_schema = database() AND table_name = ? AND index_name = 'dbrollback_k'", x.data())
	if err != nil || found == 0 {
		return errors.Join(errNoTwin, err)
	}
	if err := b.leave(ctx); err != nil {
		return err
	}
	if err := b.run(ctx, "CREATE TABLE "+b.twin+" LIKE "+b.table, "CREATE TABLE "+b.gone+" (n integer PRIMARY KEY) ENGINE = InnoDB"); err != nil {
		return err
	}
	work := ""
	if x.work {
		work = ", " + s.own(x.conflicts()) + " AS w READ"
	}
	mode := "READ" // readers go on
	if s.db.Kind == engine.MySQL {
		mode = "WRITE" // which it takes to give the table another name
	}
	if err := b.run(ctx, fmt.Sprintf("LOCK TABLES %[1]s %[6]s, %[1]s AS t %[6]s, %[2]s WRITE, %[3]s WRITE, %[4]s AS d READ%[5]s", b.table, b.twin, b.gone, s.own(x.data()), work, mode)); err != nil {
		return err
	}
	keys, next, err := b.alike(ctx)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		var drops, adds []string
		for _, k := range keys {
			drops, adds = append(drops, "DROP INDEX "+k.name), append(adds, "ADD "+k.text)
		}
		if err := b.run(ctx, "ALTER TABLE "+b.twin+" "+list(drops)); err != nil {
			return err
		}
		if err := b.fill(ctx, r, g, fields); err != nil {
			return err
		}
		if err := b.run(ctx, "ALTER TABLE "+b.twin+" "+list(adds)); err != nil {
			return err
		}
	} else if err := b.fill(ctx, r, g, fields); err != nil {
		return err
	}
	if next != "" {
		if err := b.run(ctx, "ALTER TABLE "+b.twin+" AUTO_INCREMENT = "+next); err != nil {
			return err
		}
	}
	if _, again, err := b.alike(ctx); err != nil || again != next {
		return errors.Join(errNoTwin, err)
	}
	if s.db.Kind == engine.MySQL {
		return b.run(ctx, "DROP TABLE "+b.gone, fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", b.table, b.gone, b.twin, b.table))
	}
	return b.exchange(ctx)
}

func (b *twin) run(ctx context.Context, queries ...string) error {
	for _, query := range queries {
		if _, err := b.q.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// committed makes the next transaction one of the kind in which rows are put back.
const committed = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

// leave drops what is left of the exchange, when the table is there.
func (b *twin) leave(ctx context.Context) error {
	if _, err := number(ctx, b.q, "look at "+b.name, "SELECT count(*) FROM (SELECT 1 FROM "+b.table+" LIMIT 1) t"); err != nil {
		return err
	}
	return b.run(ctx, "DROP TABLE IF EXISTS "+b.twin+", "+b.gone)
}

// tidy drops what a run that was cut off has left beside tables: a twin that took no place, or a table whose place one took. Who holds the
// run's lock has none. The exchange that a dead client had asked for may just be happening: a DROP waits for it, and then there is another name.
func (d mysqlDialect) tidy(ctx context.Context, q engine.Querier) error {
	for dropped := true; dropped; {
		names, err := engine.Texts(ctx, q, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND left(table_name, 12) = '~dbrollback_'")
		if err != nil {
			return fmt.Errorf("look for what is left beside tables: %w", err)
		}
		dropped = false
		for _, n := range names {
			err := d.s.aside(ctx, "DROP TABLE IF EXISTS "+d.s.own(n))
			if e, ok := engine.AsError(err); ok && e.Class == engine.LockTimeout {
				continue // Prune drops it
			}
			if err != nil {
				return fmt.Errorf("drop what is left beside tables: %w", err)
			}
			dropped = true
		}
	}
	return nil
}

// twinKey is an index that is made when the rows are there.
type twinKey struct{ name, text string }

var (
	mysqlPlainKey = regexp.MustCompile("(?m)^  (KEY (`(?:[^`]|``)+`) .*?),?$")
)

// alike makes sure that table and twin have the same definition, down to the server's text of it, and that nothing hangs on the table which would
// not go along. It gives the indexes that are not unique, and the number that the table would give out next.
func (b *twin) alike(ctx context.Context) (keys []twinKey, next string, err error) {
	var texts []string
	for _, t := range []string{b.table, b.twin} {
		text, err := engine.ShowCreate(ctx, b.q, "SHOW CREATE TABLE "+t, "Create Table")
		if err != nil {
			return nil, "", err
		}
		body, ok := strings.CutPrefix(text, "CREATE TABLE "+t+" (")
		if !ok {
			return nil, "", errNoTwin
		}
		end := max(strings.LastIndex(body, "\n)"), 0) // a comment of a column may look like an option
		if n := mysqlNextNumber.FindString(body[end:]); n != "" && t == b.table {
			next = strings.TrimPrefix(n, " AUTO_INCREMENT=")
		}
		texts = append(texts, body[:end]+mysqlNextNumber.ReplaceAllString(body[end:], ""))
	}
	if texts[0] != texts[1] || strings.Contains(texts[0], "FULLTEXT KEY") {
		return nil, "", errNoTwin
	}
	for _, m := range mysqlPlainKey.FindAllStringSubmatch(texts[0], -1) {
		keys = append(keys, twinKey{m[2], m[1]})
	}
	for _, query := range []string{
		"SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = database() AND event_object_table = ?",
		"SELECT count(*) FROM information_schema.referential_constraints WHERE unique_constraint_schema = database() AND referenced_table_name = ?",
	} {
		n, err := number(ctx, b.q, "look at what hangs on "+b.name, query, b.name)
		if err != nil {
			return nil, "", err
		}
		if n > 0 {
			return nil, "", errNoTwin
		}
	}
	return keys, next, nil
}

// fill copies the rows, with the captured values in the columns that are new.
func (b *twin) fill(ctx context.Context, r *Restorer, g *target, fields []int) error {
	s, x := b.d.s, g.x
	var names, values []string
	for _, c := range g.t.Columns {
		names, values = append(names, s.q(c.Name)), append(values, "t."+s.q(c.Name))
	}
	for _, i := range fields {
		now := r.live(g, i)
		values[columnIndex(g.t, now.Name)] = fmt.Sprintf("CASE WHEN d.n IS NULL THEN t.%s ELSE %s END", s.q(now.Name), s.f.back("d."+x.v(i), x.Fields[i], now))
	}
	on := []string{s.on(x.capture, g.t, "t", "d", g.name, k)}
	if x.work { // a row that the application put there is not the one that was captured
		on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')", s.own(x.conflicts()), insertedSince))
	}
	if err := b.run(ctx, committed); err != nil {
		return err
	}
	n, err := exec(ctx, b.q, "build a twin", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s t LEFT JOIN %s d ON %s", b.twin, list(names), list(values), b.table, s.own(x.data()), all(on...)))
	if err != nil {
		return err
	}
	of, err := number(ctx, b.q, "count", "SELECT count(*) FROM "+b.table)
	if err != nil {
		return err
	}
	if n != of {
		return errNoTwin
	}
	return nil
}

// exchange has another connection exchange the names.
func (b *twin) exchange(ctx context.Context) error {
	mine, err := number(ctx, b.q, "identify the session", "SELECT connection_id()")
	if err != nil {
		return err
	}
	c, err := b.d.s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := number(ctx, c, "identify the session", "SELECT connection_id()")
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", b.table, b.gone, b.twin, b.table))
		answer <- err
	}()
	giveUp := func(err error) error {
		_, kill := b.q.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("KILL QUERY %d", id))
		if <-answer == nil {
			return nil // it was done before anybody could stop it
		}
		return errors.Join(err, kill)
	}
	for until := time.Now().Add(5 * time.Second); ; {
		waits, others, err := b.queue(ctx, mine, id)
		switch {
		case err != nil:
			return giveUp(err)
		case others: // somebody else's change of the table would be done to the old one
			return giveUp(errNoTwin)
		case waits:
			// Whoever comes now comes behind it.
			if err := b.run(ctx, "DROP TABLE "+b.gone, "UNLOCK TABLES"); err != nil {
				return giveUp(err)
			}
			return <-answer
		}
		select {
		case err := <-answer:
			return errors.Join(errNoTwin, err)
		case <-ctx.Done():
			return giveUp(ctx.Err())
		default:
		}
		if time.Now().After(until) {
			return giveUp(errNoTwin)
		}
	}
}

// queue tells whether the connection that is to exchange the names stands in the queue of a table, and whether others stand there with more than
// rows to write.
func (b *twin) queue(ctx context.Context, mine, id int64) (waits, others bool, err error) {
	rows, err := b.q.QueryContext(ctx, "SELECT id, coalesce(info, '') FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' AND id <> ?", mine)
	if engine.Unlistable(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var info sql.NullString
		if err := rows.Scan(&n, &info); err != nil {
			return false, false, err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(info.String)), " ")
		switch {
		case n == id:
			waits = true
		case !slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "SELECT", "REPLACE"}, verb):
			others = true
		}
	}
	return waits, others, rows.Err()
}
