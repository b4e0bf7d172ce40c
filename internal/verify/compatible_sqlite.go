package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// checks reads the text of the table: SQLite keeps its checks nowhere else.
func (v sqlite) checks(ctx context.Context, q engine.Querier, t *engine.Table) ([]rowCheck, error) {
	text, err := v.text(ctx, q, t)
	if err != nil {
		return nil, err
	}
	var out []rowCheck
	tokens := engine.SQLiteScan(text)
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].Quoted || tokens[i].Text != "CHECK" || tokens[i+1].Text != "(" {
			continue
		}
		depth, end := 0, i+1
		for ; end < len(tokens); end++ {
			if tokens[end].Text == "(" {
				depth++
			} else if tokens[end].Text == ")" {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if end == len(tokens) {
			return nil, fmt.Errorf("the definition of %s cannot be read", t.Name)
		}
		name := ""
		if i >= 2 && !tokens[i-2].Quoted && tokens[i-2].Text == "CONSTRAINT" {
			name = tokens[i-1].Name
		}
		out = append(out, checkOf(name, strings.TrimSpace(text[tokens[i+1].End:tokens[end].Start])))
		i = end
	}
	return out, nil
}

func (v sqlite) text(ctx context.Context, q engine.Querier, t *engine.Table) (text string, err error) {
	err = q.QueryRowContext(ctx, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", t.Name.Name).Scan(&text)
	return text, err
}

// misfits lets a column of the type of now take every value, and looks what it made of them.
func (v sqlite) misfits(ctx context.Context, q engine.Querier, f Fit, c Captured, now engine.Column) (int64, error) {
	text, err := v.text(ctx, q, f.Now)
	if err != nil {
		return 0, err
	}
	split, _ := splitTable(text)
	only := map[string]string{"INT": "integer", "INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}
	takes := ""
	if slices.Contains(engine.SQLiteTokens(split.options), "STRICT") {
		takes = only[strings.ToUpper(now.Type)]
	}
	if f.Now.RowID && len(f.Now.Keys) > 0 && f.Now.Keys[0].Primary && slices.Equal(f.Now.Keys[0].Columns, []string{now.Name}) && strings.EqualFold(now.Type, "INTEGER") {
		takes = "integer" // another name of the rowid
	}
	differ := v.rowHash([]string{"v"}) + " <> " + v.rowHash([]string{"raw"})
	if takes != "" {
		differ = "(" + differ + ") OR typeof(v) NOT IN ('null', '" + takes + "')"
	}
	if _, err := q.ExecContext(ctx, "CREATE TEMP TABLE dbrollback_fit (raw, v "+now.Type+")"); err != nil {
		return 0, err
	}
	if _, err := q.ExecContext(ctx, fmt.Sprintf("INSERT INTO temp.dbrollback_fit SELECT %s, %s FROM %s", c.Ref, c.Ref, f.From)); err != nil {
		return 0, err
	}
	var n int64
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM temp.dbrollback_fit WHERE "+differ).Scan(&n); err != nil {
		return 0, err
	}
	_, err = q.ExecContext(ctx, "DROP TABLE temp.dbrollback_fit")
	return n, err
}
