package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// computedKey is a unique index that is no key by which rows are known: over expressions or generated columns, over some of the rows, or checked late. What it asks of a row is spelled in the columns of
// the table.
type computedKey struct {
	Values []string
	Where  string // which rows are in it; "" for all
}

// computedKeys is a dialect that tells of such indexes, so that a preview can ask what rows would be in them.
type computedKeys interface {
	computedKeys(ctx context.Context, q engine.Querier, t *engine.Table) ([]computedKey, error)
}

// foreseeing has taken ask those indexes as well.
func (x *Restoration) foreseeing(ctx context.Context, q engine.Querier) (err error) {
	d, ok := x.s.d.(computedKeys)
	if !ok {
		return nil
	}
	for _, l := range x.keyed() {
		if l.g.computed, err = d.computedKeys(ctx, q, l.live); err != nil {
			return fmt.Errorf("read the indexes of %s: %w", l.name, err)
		}
		l.g.wouldBe = func() string { from, _ := x.wouldBe(l); return from }
	}
	return nil
}

// clash gives the FROM clause of entries d as they would be in such an index, and of the rows t that have the same values in it.
func (r *Restorer) clash(g *target, key computedKey) string {
	s := r.s
	entry, row, same := []string{s.q(entryNumber) + " AS n"}, []string{"t.*"}, []string{"d.n = w.n"}
	for i, value := range key.Values {
		name := s.q("dbrollback e" + itoa(i+1))
		entry, row, same = append(entry, "("+value+") AS "+name), append(row, "("+value+") AS "+name), append(same, "t."+name+" = w."+name)
	}
	where := all("")
	if key.Where != "" {
		where = "(" + key.Where + ")"
	}
	return fmt.Sprintf("(SELECT %s FROM %s WHERE %s) w JOIN (SELECT %s FROM %s t WHERE %s) t ON %s JOIN %s d ON %s", list(entry), g.wouldBe(), where, list(row), s.f.from(s.db, g.t), where,
		all(same[1:]...), s.own(g.x.data()), same[0])
}

const postgresComputedKeys = `SELECT coalesce(json_agg(json_build_object('Values', v, 'Where', p)), '[]') FROM (
	SELECT coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS p, json_agg(coalesce('(' || pg_get_expr(d.adbin, d.adrelid) || ')', pg_get_indexdef(i.indexrelid, k, true)) ORDER BY k) AS v
	FROM pg_index i CROSS JOIN generate_series(1, i.indnkeyatts) k
	LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum > 0 AND a.attgenerated <> ''
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE i.indrelid = $1 AND i.indisunique AND i.indislive
	GROUP BY i.indexrelid, i.indpred, i.indexprs, i.indrelid HAVING NOT bool_and(i.indimmediate) OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR count(a.attnum) > 0) x`

func (d postgresDialect) computedKeys(ctx context.Context, q engine.Querier, t *engine.Table) (out []computedKey, err error) {
	var text string
	if err = q.QueryRowContext(ctx, postgresComputedKeys, t.OID).Scan(&text); err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	return out, err
}

// computedKeys reads the text of an index: what a generated column is made of SQLite tells nowhere but in that of the table, so that indexes over those are left out.
func (d sqliteDialect) computedKeys(ctx context.Context, q engine.Querier, t *engine.Table) (out []computedKey, err error) {
	rows, err := q.QueryContext(ctx, `SELECT s.sql FROM pragma_index_list(?1, 'main') i JOIN main.sqlite_schema s ON s.type = 'index' AND s.name = i.name
		WHERE i."unique" = 1 AND (i.partial = 1 OR EXISTS (SELECT 1 FROM pragma_index_xinfo(i.name, 'main') x WHERE x.key = 1 AND x.cid = -2))
		AND NOT EXISTS (SELECT 1 FROM pragma_index_xinfo(i.name, 'main') x JOIN pragma_table_xinfo(?1, 'main') c ON c.cid = x.cid WHERE x.key = 1 AND c.hidden > 1)`, t.Name.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, sqliteComputedKey(text))
	}
	return out, rows.Err()
}

// sqliteComputedKey takes what an index asks of a row out of its text.
func sqliteComputedKey(text string) (key computedKey) {
	depth, from, on := 0, 0, false
	value := func(tokens []engine.SQLiteToken) {
		for len(tokens) > 0 { // the order is none of the value
			last := tokens[len(tokens)-1]
			if last.Quoted || last.Text != "ASC" && last.Text != "DESC" {
				key.Values = append(key.Values, text[tokens[0].Start:last.End])
				return
			}
			tokens = tokens[:len(tokens)-1]
		}
	}
	tokens := engine.SQLiteScan(text)
	for i, token := range tokens {
		switch {
		case !on:
			on = !token.Quoted && token.Text == "ON"
		case token.Text == "(":
			if depth++; depth == 1 {
				from = i + 1
			}
		case token.Text == "," && depth == 1:
			value(tokens[from:i])
			from = i + 1
		case token.Text == ")":
			if depth--; depth == 0 {
				value(tokens[from:i])
				if i+2 < len(tokens) {
					key.Where = strings.TrimSpace(text[tokens[i+2].Start:])
				}
				return key
			}
		}
	}
	return key
}
