package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A virtual table's rows lie with its module: no trigger sees them written, and to write into its shadow tables behind its back can break
// it. So what destroys them is refused. One kind is followed: a full-text index over the rows of another table (content=docs), as the
// triggers of that table write it. It holds nothing of its own, it can be asked whether it fits its table, and it can be built again: rows
// that come back into the table do so without its triggers.

// textIndex is a full-text index over another table.
type textIndex struct{ name, content string }

// IsTextIndex tells whether the statement makes a full-text index that holds nothing but what stands in another table.
func IsTextIndex(create string) bool { return textIndexOf("", create) != nil }

// textIndexOf reads the definition of a virtual table; nil when it is no such index.
func textIndexOf(name, create string) *textIndex {
	x := &textIndex{name: name}
	depth, start, module := 0, false, ""
	tokens := engine.SQLiteScan(create)
	for i, t := range tokens {
		switch {
		case t.Text == "(":
			depth++
			start = true
		case t.Text == ")":
			depth--
		case depth == 1 && t.Text == ",":
			start = true
		case depth == 0 && t.Text == "USING" && !t.Quoted && i+1 < len(tokens):
			module = strings.ToLower(tokens[i+1].Name)
		case start:
			start = false
			if strings.EqualFold(t.Name, "content") && i+2 < len(tokens) && tokens[i+1].Text == "=" {
				x.content = tokens[i+2].Name
				if x.content == "" {
					x.content = strings.Trim(tokens[i+2].Text, "'")
				}
			}
		}
	}
	if x.content == "" || module != "fts5" {
		return nil
	}
	return x
}

// virtuals lists the virtual tables with their definitions.
func virtuals(ctx context.Context, q engine.Querier) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT s.name, s.sql FROM pragma_table_list l JOIN main.sqlite_schema s ON s.type = 'table' AND s.name = l.name WHERE l.schema = 'main' AND l.type = 'virtual'`)
	if err != nil {
		return nil, fmt.Errorf("list virtual tables: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("list virtual tables: %w", err)
		}
		out[name] = text
	}
	return out, rows.Err()
}

// fits asks an index whether it is what its table would give.
func (d sqliteDialect) fits(ctx context.Context, q engine.Querier, x *textIndex) (bool, error) {
	name := d.s.q(x.name)
	_, err := q.ExecContext(ctx, fmt.Sprintf("INSERT INTO main.%s (%s, rank) VALUES ('integrity-check', 1)", name, name))
	if err != nil && ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil, nil // it does not, or there is no table to compare it with
}

// over lists the indexes over the tables that fit them.
func (d sqliteDialect) over(ctx context.Context, q engine.Querier, tables []*engine.Table) ([]*textIndex, error) {
	all, err := virtuals(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []*textIndex
	for name, text := range all {
		x := textIndexOf(name, text)
		if x == nil || !slices.ContainsFunc(tables, func(t *engine.Table) bool { return strings.EqualFold(t.Name.Name, x.content) }) {
			continue
		}
		if is, err := d.fits(ctx, q, x); err != nil {
			return nil, err
		} else if is {
			out = append(out, x)
		}
	}
	return out, nil
}

// rebuild builds those indexes again that do not fit their tables any more.
func (d sqliteDialect) rebuild(ctx context.Context, q engine.Querier, indexes []*textIndex) error {
	for _, x := range indexes {
		is, err := d.fits(ctx, q, x)
		if err != nil {
			return err
		}
		if is {
			continue
		}
		name := d.s.q(x.name)
		if _, err := exec(ctx, q, "build "+x.name+" again", fmt.Sprintf("INSERT INTO main.%s (%s) VALUES ('rebuild')", name, name)); err != nil {
			return err
		}
		if is, err = d.fits(ctx, q, x); err != nil {
			return err
		}
		if !is {
			return &ProofError{Table: engine.Name{Name: x.name}, Reason: "the full-text index does not fit the rows of " + x.content}
		}
	}
	return nil
}

// virtualLoss says why what a statement does to a virtual table, or to its shadow tables, cannot be taken back; nil when it can.
func virtualLoss(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, does effects.Kind) error {
	all, err := virtuals(ctx, q)
	if err != nil {
		return err
	}
	lost := &LossError{Object: t.Name.String(), Reason: "it is a virtual table, whose rows lie with its module",
		Hint: "say in front of the statement that they can be made again: -- +dbrollback no-capture: <reason>"}
	text, there := all[t.Name.Name]
	if !there {
		lost.Reason = "it is the storage of a virtual table"
		return lost
	}
	x := textIndexOf(t.Name.Name, text)
	if x == nil {
		return lost
	}
	if does == effects.DropTable {
		return nil
	}
	is, err := sqliteDialect{s}.fits(ctx, q, x)
	if err == nil && !is {
		lost.Reason = fmt.Sprintf("it is an index that does not fit the rows of %s, so that it could not be built again as it is", x.content)
		lost.Hint = fmt.Sprintf("build it again: INSERT INTO %[1]s (%[1]s) VALUES ('rebuild'); or say that it may get lost: -- +dbrollback no-capture: <reason>", s.q(x.name))
		return lost
	}
	return err
}

// fillsVirtual refuses a statement whose triggers write into virtual tables that could not be built again.
func fillsVirtual(ctx context.Context, q engine.Querier, c *Capturer, st effects.Statement) error {
	if !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.DestroysData() || e.Kind == effects.Insert }) {
		return nil
	}
	all, err := virtuals(ctx, q)
	if err != nil || len(all) == 0 {
		return err
	}
	writes, err := writesVirtual(ctx, q, st.SQL)
	if err != nil || !writes {
		return err
	}
	texts, err := engine.Texts(ctx, q, `SELECT sql FROM main.sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	named := map[string]bool{}
	for _, text := range texts {
		for _, word := range engine.SQLiteScan(text) {
			named[strings.ToLower(word.Name)] = true
		}
	}
	for name := range all {
		t := &engine.Table{Name: engine.Name{Name: name}, Kind: "virtual"}
		if !named[strings.ToLower(name)] || c.track.made(t) {
			continue
		}
		err := virtualLoss(ctx, q, c.s, t, effects.Update)
		var lost *LossError
		if errors.As(err, &lost) {
			lost.Reason = "a trigger writes into it, and " + lost.Reason
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writesVirtual asks the server whether a statement, with all triggers that it fires, writes into a virtual table.
func writesVirtual(ctx context.Context, q engine.Querier, text string) (bool, error) {
	rows, err := q.QueryContext(ctx, "EXPLAIN "+text)
	if err != nil {
		return false, ctx.Err() // the statement itself will say what is wrong with it
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return false, err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	var opcode string
	values[1] = &opcode
	found := false
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return false, fmt.Errorf("explain: %w", err)
		}
		found = found || opcode == "VUpdate"
	}
	return found, rows.Err()
}

// hiddenName refuses what would go on beside a temporary table of the same name: which of the two a name means changes on the way.
func hiddenName(ctx context.Context, q engine.Querier, e effects.Effect) error {
	name := e.Table.Name
	if name == "" && e.Temporary && e.Kind == effects.Create && e.Object.Kind == "view" {
		name = e.Object.Name.Name
	}
	if name == "" {
		return nil
	}
	const count = "SELECT count(*) FROM %s.sqlite_schema WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
	hidden := e.Temporary && (e.Kind == effects.CreateTable || e.Kind == effects.Create)
	if !hidden {
		n, err := number(ctx, q, "look for a temporary table", fmt.Sprintf(count, "temp"), name)
		if err != nil {
			return err
		}
		hidden = n > 0
	}
	if !hidden {
		return nil
	}
	n, err := number(ctx, q, "look for a table", fmt.Sprintf(count, "main"), name)
	if err != nil || n == 0 {
		return err
	}
	return &LossError{Object: name, Reason: "a temporary table or view of the same name hides it", Hint: "give the temporary one another name"}
}
