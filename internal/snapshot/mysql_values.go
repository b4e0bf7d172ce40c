package snapshot

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// How values are kept on MySQL and MariaDB, so that nothing of a session or a collation has a say in them: whole numbers as
// BIGINT, FLOAT as the DOUBLE that equals it, text as its bytes, TIMESTAMP as seconds since 1970, and the rest as it is.

// mysqlType is a type as the catalog prints it, taken apart.
type mysqlType struct {
	kind, args        string // "decimal", "(10,2)"
	unsigned          bool
	zerofill          bool
	charset, collated string
}

func mysqlTyped(s string) mysqlType {
	t := mysqlType{}
	end := strings.IndexFunc(s, func(r rune) bool { return r == '(' || r == ' ' })
	if end < 0 {
		end = len(s)
	}
	t.kind = strings.ToLower(s[:end])
	rest := s[end:]
	if strings.HasPrefix(rest, "(") {
		if end := closing(rest); end > 0 {
			t.args, rest = rest[:end], rest[end:]
		}
	}
	lower := strings.ToLower(rest)
	t.unsigned, t.zerofill = strings.Contains(lower, "unsigned"), strings.Contains(lower, "zerofill")
	if _, after, ok := strings.Cut(rest, " CHARACTER SET "); ok {
		t.charset, after, _ = strings.Cut(after, " ")
		_, t.collated, _ = strings.Cut(after, "COLLATE ")
	}
	return t
}

// closing is the index behind the bracket that closes the one that s begins with. The labels of an ENUM may hold brackets.
func closing(s string) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted // a doubled quote closes and opens again
		case s[i] == ')' && !quoted:
			return i + 1
		}
	}
	return 0
}

// The families of types that are kept alike.
const (
	wholeNumber = iota
	floating
	fixed
	letters // kept as bytes
	bytes
	moment
	label
	labels
	shape
	other
)

func (t mysqlType) family() int {
	switch t.kind {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "bit", "year":
		return wholeNumber
	case "float", "double", "real":
		return floating
	case "decimal", "numeric":
		return fixed
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return letters
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return bytes
	case "timestamp":
		return moment
	case "enum":
		return label
	case "set":
		return labels
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return shape
	}
	return other
}

// Text is kept in the row up to mysqlLongest bytes. What is longer than mysqlInline and may be shorter than 256 counts
// in full towards InnoDB's limit of a row, in which the user's keys stand twice: so none is between the two.
const mysqlLongest, mysqlInline = 1020, 40

func mysqlBytes(length int) string {
	switch {
	case length <= 0 || length > mysqlLongest:
		return "longblob"
	case length > mysqlInline:
		length = max(length, 256)
	}
	return fmt.Sprintf("varbinary(%d)", length)
}

// mysqlFit keeps more of a wide row's texts outside of it: all columns together have a limit of 65,535 bytes.
func mysqlFit(x *capture) {
	sum, all := 0, [][]field{x.Key, x.Key, x.Fields} // keys that move are there twice
	for _, fields := range all {
		for _, f := range fields {
			length := 9
			_, _ = fmt.Sscanf(f.Decl, "varbinary(%d)", &length)
			sum += length
		}
	}
	if sum < 32000 {
		return
	}
	for _, fields := range all[1:] {
		for i, f := range fields {
			var length int
			if _, err := fmt.Sscanf(f.Decl, "varbinary(%d)", &length); err == nil && length > mysqlInline {
				fields[i].Decl = "longblob"
			}
		}
	}
}

// mysqlWidth is the number of bytes of the longest character of a set; those that are missing have four at most.
var mysqlWidth = map[string]int{
	"latin1": 1, "ascii": 1, "latin2": 1, "latin5": 1, "latin7": 1, "cp1250": 1, "cp1251": 1, "cp1256": 1, "cp1257": 1, "cp850": 1, "cp852": 1, "cp866": 1,
	"koi8r": 1, "koi8u": 1, "greek": 1, "hebrew": 1, "tis620": 1, "macroman": 1, "macce": 1, "hp8": 1, "dec8": 1, "swe7": 1, "keybcs2": 1, "geostd8": 1, "armscii8": 1, "binary": 1,
	"ucs2": 2, "gbk": 2, "big5": 2, "sjis": 2, "cp932": 2, "euckr": 2, "gb2312": 2, "utf8": 3, "utf8mb3": 3, "ujis": 3, "eucjpms": 3,
}

// mysqlStore is the type that a column's values are kept as.
func mysqlStore(c engine.Column) string {
	t := mysqlTyped(c.Base)
	length := 0
	_, _ = fmt.Sscanf(t.args, "(%d)", &length)
	switch t.family() {
	case wholeNumber:
		if t.unsigned || t.kind == "bit" {
			return "bigint unsigned"
		}
		return "bigint"
	case floating:
		return "double"
	case fixed:
		return "decimal" + t.args
	case letters:
		if t.kind == "tinytext" {
			return mysqlBytes(255)
		}
		width := mysqlWidth[t.charset]
		if width == 0 {
			width = 4
		}
		return mysqlBytes(length * width)
	case bytes:
		return mysqlBytes(length)
	case moment:
		return "decimal(20,6)"
	case shape:
		return "geometry"
	}
	return c.Base
}

// mysqlValue reads a live column, of type f.Type, in the form f.Decl in which it is kept.
func mysqlValue(ref string, f field) string {
	live, kept := mysqlTyped(f.Type), mysqlTyped(f.Decl)
	switch kept.kind {
	case "bigint":
		switch {
		case live.family() == wholeNumber && (live.zerofill || live.kind == "bit" || live.kind == "year"):
			return "(" + ref + " + 0)"
		case live.family() == wholeNumber:
			return ref
		case kept.unsigned:
			return "CAST(" + ref + " AS UNSIGNED)"
		}
		return "CAST(" + ref + " AS SIGNED)"
	case "double":
		return "(" + ref + " * 1e0)"
	case "decimal":
		switch {
		case live.family() == moment && kept.args == "(20,6)":
			return "CAST(UNIX_TIMESTAMP(" + ref + ") AS DECIMAL(20,6))"
		case live.family() == fixed && live.args == kept.args && !live.zerofill:
			return ref
		}
		return "CAST(" + ref + " AS DECIMAL" + kept.args + ")"
	case "varbinary", "longblob":
		switch live.family() {
		case letters:
			if f.Set != "" && live.charset != "" && f.Set != live.charset {
				return "CAST(CONVERT(" + ref + " USING " + f.Set + ") AS BINARY)"
			}
			return ref
		case bytes:
			return ref
		}
		return "CAST(" + ref + " AS BINARY)"
	}
	return ref
}

// mysqlBack turns a kept value into what the live column takes.
func mysqlBack(ref string, f field, now engine.Column) string {
	live, kept := mysqlTyped(now.Base), mysqlTyped(f.Type)
	switch kept.family() {
	case letters:
		if live.family() == bytes || live.family() == letters && live.charset == f.Set {
			return ref
		}
		return "CONVERT(" + ref + " USING " + f.Set + ")"
	case moment:
		return "IF(" + ref + " = 0, '0000-00-00 00:00:00', FROM_UNIXTIME(" + ref + "))"
	}
	return ref
}

// mysqlAs rounds where a column does. What does not fit otherwise (a text, a number out of range) is refused when it is written.
func mysqlAs(ref string, now engine.Column) string {
	t := mysqlTyped(now.Base)
	switch t.kind {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if t.unsigned {
			return "CAST(" + ref + " AS UNSIGNED)"
		}
		return "CAST(" + ref + " AS SIGNED)"
	case "decimal":
		return "CAST(" + ref + " AS DECIMAL" + t.args + ")"
	}
	return ref
}

// mysqlAlike compares as the column does, whose collation may call different letters the same.
func mysqlAlike(live, kept string, f field, now engine.Column) string {
	t, was := mysqlTyped(now.Base), mysqlTyped(f.Type)
	if was.family() != letters || t.family() != letters {
		return mysqlMatch(live, kept, f, now)
	}
	as := "CONVERT(" + kept + " USING " + f.Set + ")"
	if f.Set != t.charset {
		as = "CONVERT(" + as + " USING " + t.charset + ")"
	}
	return live + " = " + as + " COLLATE " + now.Collation
}

// mysqlMatch compares a live key column with a kept one. Text is compared by the column's collation, so that its
// index serves, and then by bytes.
func mysqlMatch(live, kept string, f field, now engine.Column) string {
	t, was := mysqlTyped(now.Base), mysqlTyped(f.Type)
	switch was.family() {
	case letters:
		switch t.family() {
		case letters:
			exact := "CAST(" + live + " AS BINARY) = " + kept
			if f.Set != t.charset {
				exact = "CAST(CONVERT(" + live + " USING " + f.Set + ") AS BINARY) = " + kept
			}
			return mysqlAlike(live, kept, f, now) + " AND " + exact
		case bytes:
			return live + " = " + kept
		}
		return "CAST(" + live + " AS BINARY) = " + kept
	case moment:
		if t.family() == moment {
			return "UNIX_TIMESTAMP(" + live + ") = " + kept
		}
	case wholeNumber, fixed:
		if t.family() == letters && !was.zerofill && was.kind != "bit" { // as numbers, texts that are none are an error, and several are the same
			as := "CAST(" + kept + " AS CHAR)"
			return live + " = CONVERT(" + as + " USING " + t.charset + ") COLLATE " + now.Collation + " AND CAST(CONVERT(" + live + " USING utf8mb4) AS BINARY) = CAST(CONVERT(" + as + " USING utf8mb4) AS BINARY)"
		}
	case label, labels:
		return "CAST(" + live + " AS BINARY) = CAST(" + kept + " AS BINARY) AND (" + live + " = 0) = (" + kept + " = 0)"
	}
	return live + " = " + kept
}

// mysqlImage is what of a kept value goes into a hash. A label may be empty, and so is what stands there for none; long values
// are hashed by themselves, because the row as one text has a limit.
func mysqlImage(ref string, f field) string {
	switch t := mysqlTyped(f.Decl); t.kind {
	case "enum":
		return "CONCAT(" + ref + " <> 0, CAST(" + ref + " AS BINARY))"
	case "set":
		return "CONCAT(" + ref + " + 0, ':', CAST(" + ref + " AS BINARY))"
	case "longblob", "geometry", "json", "vector", "xmltype":
		return "SHA2(" + ref + ", 256)"
	}
	return ref
}

// mysqlLabelsAsText tells whether labels were captured of a column that holds texts by now: these have no number, and need not be labels.
func mysqlLabelsAsText(kept, live string) bool {
	family := mysqlTyped(kept).family()
	return (family == label || family == labels) && mysqlTyped(live).family() == letters
}

// mysqlLabelText is what of a label or of such a text is compared.
func mysqlLabelText(ref string) string { return "CAST(CONVERT(" + ref + " USING utf8mb4) AS BINARY)" }

// mysqlApart compares the images of two rows as the hash of them would, byte by byte, without making one.
func mysqlApart(a, b []string) string {
	same := make([]string, len(a))
	for i := range a {
		same[i] = "CAST(" + a[i] + " AS BINARY) <=> CAST(" + b[i] + " AS BINARY)"
	}
	return "NOT (" + all(same...) + ")"
}

// mysqlText shows a kept value to a person.
func mysqlText(ref string, f field) string {
	text := "CAST(" + ref + " AS CHAR CHARACTER SET utf8mb4)"
	switch {
	case f.Set != "" && mysqlTyped(f.Type).family() == letters:
		text = "CONVERT(CONVERT(" + ref + " USING " + f.Set + ") USING utf8mb4)"
	case mysqlTyped(f.Type).family() == bytes, mysqlTyped(f.Type).family() == shape, mysqlTyped(f.Type).kind == "vector": // not every server casts the latter
		text = "CONCAT('0x', HEX(" + ref + "))"
	case mysqlTyped(f.Type).family() == moment:
		text = "CAST(FROM_UNIXTIME(" + ref + ") AS CHAR CHARACTER SET utf8mb4)"
	}
	return "coalesce(" + text + ", 'NULL')"
}

// mysqlMade is what a key column will hold when an expression is assigned to it, in the form in which it is kept.
func mysqlMade(expr string, f field) string {
	switch t := mysqlTyped(f.Type); t.family() {
	case letters:
		return "CAST(CONVERT(" + expr + " USING " + f.Set + ") AS BINARY)"
	case moment:
		return "CAST(UNIX_TIMESTAMP(" + expr + ") AS DECIMAL(20,6))"
	}
	return expr
}

// mysqlAkin tells whether a value of one type could stand in a column of another.
func mysqlAkin(a, b string) bool {
	x, y := mysqlTyped(a), mysqlTyped(b)
	group := func(t mysqlType) string {
		switch t.family() {
		case wholeNumber, floating, fixed:
			return "number"
		case letters, label, labels:
			return "text"
		case bytes:
			return "bytes"
		case shape:
			return "shape"
		case moment:
			return "time"
		}
		if t.kind == "date" || t.kind == "datetime" {
			return "time"
		}
		return t.kind
	}
	return group(x) == group(y)
}

// mysqlRecent: the session's clock is the one in which moments are kept, UTC.
func mysqlRecent(ref string, c engine.Column, _ bool) string {
	switch mysqlTyped(c.Type).kind {
	case "timestamp", "datetime", "date":
		return ref + " BETWEEN UTC_TIMESTAMP() - INTERVAL 1 DAY AND UTC_TIMESTAMP() + INTERVAL 1 DAY"
	}
	return ""
}
