package verify

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysqlFiller writes numbers and bytes as they are and the rest as text, which the server reads as the column's type.
type mysqlFiller struct{ db *engine.DB }

// mysqlFillFacts are read for each table: the checks, the columns of unique indexes, the values that partitions list.
var mysqlFillFacts = struct{ mariaChecks, mysqlChecks, unique, partitions string }{
	mariaChecks: `SELECT check_clause FROM information_schema.check_constraints WHERE constraint_schema = database() AND table_name = ? ORDER BY constraint_name`,
	mysqlChecks: `SELECT c.check_clause FROM information_schema.table_constraints t JOIN information_schema.check_constraints c USING (constraint_schema, constraint_name)
		WHERE t.table_schema = database() AND t.table_name = ? AND t.constraint_type = 'CHECK' ORDER BY constraint_name`,
	unique: `SELECT DISTINCT column_name FROM information_schema.statistics WHERE table_schema = database() AND table_name = ? AND non_unique = 0 AND column_name IS NOT NULL`,
	partitions: `SELECT concat(partition_method, ' ', partition_expression, ' ', partition_description) FROM information_schema.partitions
		WHERE table_schema = database() AND table_name = ? AND partition_method LIKE 'LIST%' AND partition_description IS NOT NULL ORDER BY partition_ordinal_position`,
}

func (f mysqlFiller) facts(ctx context.Context, q engine.Querier, t *engine.Table) (*fillTable, error) {
	checks := mysqlFillFacts.mysqlChecks
	if f.db.Kind == engine.MariaDB {
		checks = mysqlFillFacts.mariaChecks
	}
	var read [3][]string
	for i, query := range []string{checks, mysqlFillFacts.unique, mysqlFillFacts.partitions} {
		var err error
		if read[i], err = engine.Texts(ctx, q, query, t.Name.Name); err != nil {
			return nil, err
		}
	}
	out := &fillTable{Table: t}
	for _, c := range t.Columns {
		fc := &fillColumn{Column: c}
		fc.mysqlType(c.Type)
		fc.ascii = strings.Contains(c.Base, " CHARACTER SET ") && !strings.Contains(c.Base, " CHARACTER SET utf8mb4")
		fc.unique = containsName(read[1], c.Name)
		quoted := f.db.Ident(c.Name)
		for _, check := range read[0] {
			check = strings.NewReplacer(`\'`, "'", "_utf8mb4", "").Replace(check) // MySQL escapes what it shows
			switch {
			case strings.EqualFold(strings.Trim(check, "()"), "json_valid("+quoted):
				fc.class, fc.size = jsons, 0 // what MariaDB makes of JSON
			case strings.Contains(check, quoted):
				fc.read(check)
			}
		}
		for _, p := range read[2] {
			if kind, list, ok := strings.Cut(p, " "+quoted+" "); ok && strings.HasPrefix(kind, "LIST") {
				for v := range strings.SplitSeq(list, ",") {
					fc.bounds = append(fc.bounds, strings.Trim(v, "'"))
				}
			}
		}
		out.columns = append(out.columns, fc)
	}
	return out, nil
}

var mysqlClasses = map[string]class{
	"tinyint": integers, "smallint": integers, "mediumint": integers, "int": integers, "bigint": integers,
	"decimal": numerics, "float": floats, "double": floats, "bit": bits, "year": years,
	"char": strs, "varchar": strs, "tinytext": strs, "text": strs, "mediumtext": strs, "longtext": strs,
	"binary": bytess, "varbinary": bytess, "tinyblob": bytess, "blob": bytess, "mediumblob": bytess, "longblob": bytess,
	"date": dates, "time": times, "datetime": moments, "timestamp": stamps, "json": jsons, "enum": enums, "set": enums,
	"uuid": uuids, "inet6": addresses, "inet4": addresses,
	"geometry": shapes, "point": shapes, "linestring": shapes, "polygon": shapes,
}

var mysqlLabel = regexp.MustCompile(`'((?:[^']|'')*)'`)

// mysqlType reads a type as information_schema.columns spells it.
func (c *fillColumn) mysqlType(declared string) {
	name, _, _ := strings.Cut(declared, "(")
	name, rest, _ := strings.Cut(name, " ")
	c.unsigned = strings.Contains(rest, "unsigned") || strings.Contains(declared, ") unsigned")
	c.class = others
	if known, ok := mysqlClasses[name]; ok {
		c.class = known
	}
	if m := sizes.FindStringSubmatch(declared); m != nil {
		c.size, _ = strconv.Atoi(m[1]) // digits
		c.scale, _ = strconv.Atoi(m[2])
	}
	switch name {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		c.size = map[string]int{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}[name]
		if declared == "tinyint(1)" {
			c.class = booleans
		}
	case "tinytext", "tinyblob":
		c.size = 255
	case "enum", "set":
		for _, m := range mysqlLabel.FindAllStringSubmatch(declared, -1) {
			c.labels = append(c.labels, strings.ReplaceAll(m[1], "''", "'"))
		}
	case "time", "datetime", "timestamp":
		c.size = 0
	case "inet4":
		c.hints = []string{"10.0.0.1", "192.168.0.1"}
		c.class = others
	case "inet6":
		c.hints = []string{"::1", "2001:db8::1"}
		c.class = others
	case "point":
		c.hints = []string{"POINT(1 2)", "POINT(-1 0)"}
	case "linestring":
		c.hints = []string{"LINESTRING(0 0,1 1)"}
	case "polygon":
		c.hints = []string{"POLYGON((0 0,1 0,1 1,0 0))"}
	}
}

func (mysqlFiller) value(_ *engine.DB, c *fillColumn, v any, _ int) (string, any) {
	switch v := v.(type) {
	case bool:
		if v {
			return "?", int64(1)
		}
		return "?", int64(0)
	case []byte:
		if c.class != bytess { // as the driver reads texts
			return "?", string(v)
		}
	case string:
		switch c.class {
		case shapes:
			return "ST_GeomFromText(?)", v
		case bits:
			if n, err := strconv.ParseUint(v, 2, 64); err == nil {
				return "?", n
			}
		}
	}
	return "?", v
}

func (mysqlFiller) text(db *engine.DB, c *fillColumn) string {
	if c.class == bits {
		return "bin(" + db.Ident(c.Name) + ")"
	}
	return db.Ident(c.Name)
}

func (mysqlFiller) override() string { return "" }

func (mysqlFiller) defaults() string { return " () VALUES ()" }

// calm: triggers cannot be switched off there.
func (mysqlFiller) calm(context.Context, engine.Querier) error { return nil }

func (mysqlFiller) stir(context.Context, engine.Querier) error { return nil }
