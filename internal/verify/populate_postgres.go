package verify

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// postgresFiller writes every value as the text of its type, which the server itself reads.
type postgresFiller struct{ db *engine.DB }

//go:embed populate_postgres.sql
var postgresFillFacts string

// postgresFacts is the answer of populate_postgres.sql.
type postgresFacts struct {
	Columns []struct {
		Name     string
		Type     string // its base type
		Category string
		Mod      int
		Labels   []string
		Element  string
		ECat     string
		ELabels  []string
		Checks   []string // of its domains
		Filled   bool     // one of them is NOT NULL
	}
	Checks []struct {
		Columns []string
		Text    string
	}
	Unique []struct {
		Columns []string
		Text    string // when it has expressions
	}
	Bounds []string // of the partitions
	Key    string   // the partition key
}

func (f postgresFiller) facts(ctx context.Context, q engine.Querier, t *engine.Table) (*fillTable, error) {
	var text []byte
	if err := q.QueryRowContext(ctx, postgresFillFacts, append(engine.Prepared(f.db), int64(t.OID))...).Scan(&text); err != nil {
		return nil, err
	}
	var facts postgresFacts
	if err := json.Unmarshal(text, &facts); err != nil {
		return nil, fmt.Errorf("read the catalog's answer: %w", err)
	}
	out := &fillTable{Table: t, source: string(text)}
	for _, c := range t.Columns {
		fc := &fillColumn{Column: c}
		for _, f := range facts.Columns {
			if f.Name != c.Name {
				continue
			}
			fc.postgresType(f.Type, f.Category, f.Mod)
			fc.labels = f.Labels
			fc.NotNull = fc.NotNull || f.Filled
			if len(f.Labels) > 0 {
				fc.class = enums
			}
			if f.Category == "A" {
				fc.class, fc.size = arrays, 0
				fc.element = &fillColumn{labels: f.ELabels}
				fc.element.postgresType(f.Element, f.ECat, f.Mod)
			}
			for _, check := range f.Checks {
				fc.read(check)
			}
		}
		for _, check := range facts.Checks {
			if containsName(check.Columns, c.Name) {
				fc.read(check.Text)
			}
		}
		for _, u := range facts.Unique {
			if containsName(u.Columns, c.Name) || u.Text != "" && regexp.MustCompile(`\b`+regexp.QuoteMeta(c.Name)+`\b`).MatchString(u.Text) {
				fc.unique = true
			}
		}
		if facts.Key != "" && regexp.MustCompile(`\b`+regexp.QuoteMeta(c.Name)+`\b`).MatchString(facts.Key) {
			fc.bounds = postgresBounds(facts.Bounds)
		}
		out.columns = append(out.columns, fc)
	}
	return out, nil
}

func containsName(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// postgresBounds are the values that partitions take for sure: the lower bound of a range, those of a list. The upper
// bound of a range is not within.
func postgresBounds(partitions []string) []string {
	var out []string
	for _, p := range partitions {
		from, _, isRange := strings.Cut(p, " TO ")
		if isRange {
			p = from
		}
		if !isRange && !strings.Contains(p, "IN (") {
			continue // hash, default: they take anything
		}
		for _, m := range quoted.FindAllStringSubmatch(p, -1) {
			out = append(out, strings.ReplaceAll(m[1], "''", "'"))
		}
	}
	return out
}

var postgresClasses = map[string]class{
	"int2": integers, "int4": integers, "int8": integers, "oid": integers,
	"numeric": numerics, "money": numerics, "float4": floats, "float8": floats, "bool": booleans,
	"text": strs, "varchar": strs, "bpchar": strs, "citext": strs, "name": strs, "char": strs,
	"bytea": bytess, "date": dates, "time": times, "timetz": times, "timestamp": moments, "timestamptz": moments, "interval": intervals,
	"uuid": uuids, "json": jsons, "jsonb": jsons, "xml": xmls, "inet": addresses, "cidr": networks, "macaddr": macs, "bit": bits, "varbit": bits,
	"int4range": ranges, "int8range": ranges, "numrange": ranges,
}

// postgresType says what the values of a type look like; mod is pg_attribute.atttypmod.
func (c *fillColumn) postgresType(name, category string, mod int) {
	c.class = others
	if known, ok := postgresClasses[name]; ok {
		c.class = known
	} else if category == "R" {
		c.class = ranges
	}
	switch name {
	case "int2", "int4", "int8":
		c.size = int(name[3] - '0')
	case "oid":
		c.size = 4
	case "char":
		c.size = 1
	case "name":
		c.size = 63
	case "money":
		c.size, c.scale = 15, 2
	case "varchar", "bpchar":
		c.size = max(0, mod-4)
	case "bit", "varbit":
		c.size = max(1, mod)
	case "numeric":
		if mod > 4 {
			c.size, c.scale = (mod-4)>>16&0xffff, (mod-4)&0x7ff
		}
	}
}

func (postgresFiller) value(_ *engine.DB, c *fillColumn, v any, n int) (string, any) {
	expr := fmt.Sprintf("$%d::text::%s", n, c.Type)
	if v == nil {
		return expr, nil
	}
	return expr, asText(v)
}

func (postgresFiller) text(db *engine.DB, c *fillColumn) string { return db.Ident(c.Name) + "::text" }

func (postgresFiller) override() string { return " OVERRIDING SYSTEM VALUE" }

func (postgresFiller) defaults() string { return " DEFAULT VALUES" }

// calm takes a superuser; others get along with the triggers as they are.
func (postgresFiller) calm(ctx context.Context, q engine.Querier) error {
	_, err := q.ExecContext(ctx, "SET LOCAL session_replication_role = replica")
	return err
}

func (postgresFiller) stir(ctx context.Context, q engine.Querier) error {
	_, err := q.ExecContext(ctx, "SET LOCAL session_replication_role = origin")
	return err
}
