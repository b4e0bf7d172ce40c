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

// exchange makes all triggers of a table again, in their order, when change wants that for one of them. The table is locked
// meanwhile, so that no row is written without them.
func (d mysqlDialect) exchange(ctx context.Context, t *engine.Table, change func(string) (string, bool)) error {
	return d.s.with(ctx, func(c engine.Querier) (err error) {
		all, err := d.triggers(ctx, c, t)
		if err != nil {
			return err
		}
		wanted := false
		made := make([]string, len(all))
		for i, g := range all {
			var yes bool
			made[i], yes = change(g.text)
			wanted = wanted || yes
		}
		if !wanted {
			return nil
		}
		table := d.s.db.Quote(t.Name)
		if _, err := exec(ctx, c, "lock "+t.Name.String(), "LOCK TABLES "+table+" WRITE"); err != nil {
			return err
		}
		calm := context.WithoutCancel(ctx) // from here on it has to come to an end
		var mode, charset, collation string
		if err := c.QueryRowContext(calm, "SELECT @@SESSION.sql_mode, @@SESSION.character_set_client, @@SESSION.collation_connection").Scan(&mode, &charset, &collation); err != nil {
			return err
		}
		defer func() {
			_, back := exec(calm, c, "fix settings", fmt.Sprintf("SET SESSION sql_mode = '%s', SESSION character_set_client = %s, SESSION collation_connection = %s", mode, charset, collation))
			_, unlock := exec(calm, c, "unlock "+t.Name.String(), "UNLOCK TABLES")
			err = errors.Join(err, back, unlock)
		}()
		in := ""
		if t.Name.Schema != "" {
			in = d.s.q(t.Name.Schema) + "."
		}
		for i, g := range all {
			if err := d.remake(calm, c, in, g, made[i]); err != nil {
				// Those that are gone by now come back as they were; the error tells of the first that did not.
				for _, h := range all[i:] {
					err = errors.Join(err, d.remake(calm, c, in, h, h.text))
				}
				return err
			}
		}
		return nil
	})
}

// remake drops a trigger and makes it from a text, under the settings that it was made under.
func (d mysqlDialect) remake(ctx context.Context, c engine.Querier, in string, g mysqlTrigger, text string) error {
	charset := "utf8mb4"
	if !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
		charset = g.charset // what has nothing but ASCII is the same in each
	}
	for _, query := range []string{
		fmt.Sprintf("SET SESSION sql_mode = '%s', SESSION character_set_client = %s, SESSION collation_connection = %s", g.mode, charset, g.collation),
		"DROP TRIGGER IF EXISTS " + in + d.s.q(g.name),
		text,
	} {
		if _, err := c.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("trigger %s: %w", g.name, err)
		}
	}
	return nil
}

// triggers reads the triggers of a table in the order in which they fire.
func (d mysqlDialect) triggers(ctx context.Context, q engine.Querier, t *engine.Table) ([]mysqlTrigger, error) {
	rows, err := q.QueryContext(ctx, `SELECT trigger_name, sql_mode, character_set_client, collation_connection FROM information_schema.triggers
		WHERE event_object_schema = coalesce(nullif(?, ''), database()) AND event_object_table = ? AND left(trigger_name, 11) <> 'dbrollback_' ORDER BY action_timing, event_manipulation, action_order`, t.Name.Schema, t.Name.Name)
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
	now, err := d.s.db.Inspect(ctx, q, t.Name)
	if err != nil {
		return nil, err
	}
	for i := range out {
		j := slices.IndexFunc(now.Triggers, func(g engine.Trigger) bool { return g.Name == out[i].name })
		if j < 0 {
			return nil, fmt.Errorf("the definition of trigger %s cannot be read", out[i].name)
		}
		out[i].text = now.Triggers[j].SQL
	}
	return out, nil
}

// Mend makes triggers again that a restore which was cut off left exchanged. It is cheap when there are none.
func (s *Store) Mend(ctx context.Context, q engine.Querier) error {
	d, ok := s.d.(mysqlDialect)
	if !ok {
		return nil
	}
	tables, err := engine.Texts(ctx, q, `SELECT DISTINCT event_object_table FROM information_schema.triggers
		WHERE event_object_schema = database() AND action_statement LIKE '%IF @dbrollback_quiet IS NULL THEN /* dbrollback: kept from rows%'`)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	for _, n := range tables {
		if err := d.exchange(ctx, &engine.Table{Name: engine.Name{Name: n}}, unquiet); err != nil {
			return err
		}
	}
	return nil
}

// mysqlBody is where the body of a trigger begins in its CREATE statement; -1 when that cannot be told.
func mysqlBody(text string) int {
	words := mysqlWords(text)
	for i := 0; i+3 < len(words); i++ {
		if !words[i].is("FOR") || !words[i+1].is("EACH") || !words[i+2].is("ROW") {
			continue
		}
		i += 3
		if (words[i].is("FOLLOWS") || words[i].is("PRECEDES")) && i+2 < len(words) {
			i += 2
		}
		return words[i].start
	}
	return -1
}

// mysqlWord is a word, a quoted name or a single sign of a statement; comments are left out.
type mysqlWord struct {
	text   string
	start  int
	quoted bool
}

func (w mysqlWord) is(keyword string) bool { return !w.quoted && strings.EqualFold(w.text, keyword) }

func mysqlWords(text string) []mysqlWord {
	var out []mysqlWord
	letter := func(c byte) bool {
		return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"' || c == '`':
			end := i + 1
			for end < len(text) {
				if text[end] == '\\' && c != '`' {
					end += 2
					continue
				}
				if text[end] == c {
					if end+1 < len(text) && text[end+1] == c {
						end += 2
						continue
					}
					break
				}
				end++
			}
			end = min(end+1, len(text))
			if c != '\'' { // a text or, under ANSI_QUOTES, a name
				out = append(out, mysqlWord{strings.ReplaceAll(strings.Trim(text[i:end], string(c)), string([]byte{c, c}), string(c)), i, true})
			} else {
				out = append(out, mysqlWord{"'", i, true})
			}
			i = end
		case c == '#' || strings.HasPrefix(text[i:], "-- ") || strings.HasPrefix(text[i:], "--\n"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return out
			}
			i += end
		case strings.HasPrefix(text[i:], "/*") && !strings.HasPrefix(text[i:], "/*!") && !strings.HasPrefix(text[i:], "/*M!"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return out
			}
			i += end + 4
		case letter(c):
			end := i
			for end < len(text) && letter(text[end]) {
				end++
			}
			out = append(out, mysqlWord{text[i:end], i, false})
			i = end
		default:
			out = append(out, mysqlWord{text[i : i+1], i, false})
			i++
		}
	}
	return out
}

// mysqlReady exchanges triggers and raises AUTO_INCREMENT, which commits wherever it is done.
func mysqlReady(ctx context.Context, s *Store, q engine.Querier, tables []*engine.Table, old []sequence) (func(context.Context, error) error, error) {
	for _, t := range tables {
		if err := mysqlRaise(ctx, q, s, t, old); err != nil {
			return nil, err
		}
	}
	return s.d.(mysqlDialect).hush(ctx, q, tables)
}

// mysqlRaise makes AUTO_INCREMENT continue after every number that was handed out. Rows that come back raise it by themselves.
func mysqlRaise(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []sequence) error {
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
