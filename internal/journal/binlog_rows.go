package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// imaged is a column as the rows of the binary log have it: by its place, raw, of a type that the log does not name. What comes of a value
// is what a capture keeps of it: text and bytes as bytes, a TIMESTAMP as seconds, an ENUM and a SET by number.
type imaged struct {
	name     string
	place    int // in the row
	kind     string
	unsigned bool
	width    int  // of BINARY: what is missing are zeros
	json     bool // MySQL's own form
}

var imageBits = map[string]uint{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}

// newImaged says how to read a column; false when that is not known.
func newImaged(c engine.Column, place int, decl string) (imaged, bool) {
	end := strings.IndexFunc(c.Type, func(r rune) bool { return r == '(' || r == ' ' })
	if end < 0 {
		end = len(c.Type)
	}
	m := imaged{name: c.Name, place: place, kind: strings.ToLower(c.Type[:end])}
	rest := strings.ToLower(c.Type[end:])
	if m.kind != "enum" && m.kind != "set" {
		m.unsigned = strings.Contains(rest, "unsigned")
		if strings.Contains(rest, "compressed") {
			return m, false
		}
	}
	switch m.kind {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "bit", "year", "float", "double", "real", "decimal", "numeric",
		"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "varbinary", "tinyblob", "blob", "mediumblob", "longblob",
		"timestamp", "datetime", "date", "time", "enum", "set",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return m, true
	case "binary":
		m.width = 1
		_, _ = fmt.Sscanf(rest, "(%d)", &m.width)
		return m, true
	case "json":
		m.json = true
		return m, strings.HasPrefix(decl, "json")
	}
	return m, false
}

// value gives what is put by, as a placeholder with its arguments.
func (m imaged) value(v any) (string, []any, error) {
	if v == nil {
		return "?", []any{nil}, nil
	}
	out, err := m.plain(v)
	if x, ok := out.(expression); ok {
		return x.sql, x.args, err
	}
	return "?", []any{out}, err
}

func (m imaged) plain(v any) (any, error) {
	switch m.kind {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint":
		n, ok := whole(v)
		if !ok {
			break
		}
		if m.unsigned {
			return uint64(n) & (math.MaxUint64 >> (64 - imageBits[m.kind])), nil
		}
		return n, nil
	case "year":
		if n, ok := whole(v); ok {
			return n, nil
		}
	case "bit", "set":
		if n, ok := whole(v); ok {
			return uint64(n), nil
		}
	case "enum":
		if n, ok := whole(v); ok {
			if n == 0 {
				return nil, fmt.Errorf("column %s holds what is no label of it", m.name)
			}
			return n, nil
		}
	case "float": // as text: a literal -0 would be a whole number, which has no sign
		if f, ok := v.(float32); ok {
			return strconv.FormatFloat(float64(f), 'g', -1, 64), nil
		}
	case "double", "real":
		if f, ok := v.(float64); ok {
			return strconv.FormatFloat(f, 'g', -1, 64), nil
		}
	case "decimal", "numeric":
		if s, ok := v.(string); ok {
			return s, nil
		}
	case "timestamp":
		if s, ok := v.(string); ok {
			return seconds(s)
		}
	case "datetime", "date", "time":
		if s, ok := v.(string); ok {
			return s, nil
		}
	case "json":
		if b, ok := v.([]byte); ok {
			return documented(b)
		}
	default:
		var b []byte
		switch x := v.(type) {
		case string:
			b = []byte(x)
		case []byte:
			b = x
		default:
			return nil, m.strange(v)
		}
		if len(b) < m.width {
			b = append(append([]byte{}, b...), make([]byte, m.width-len(b))...)
		}
		return b, nil
	}
	return nil, m.strange(v)
}

func (m imaged) strange(v any) error {
	return fmt.Errorf("column %s, of type %s, is in the log as %T", m.name, m.kind, v)
}

func whole(v any) (int64, bool) {
	switch n := v.(type) {
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case int:
		return int64(n), true
	}
	return 0, false
}

// seconds turns a TIMESTAMP into seconds since 1970, exactly; the moment of zeros is 0.
func seconds(s string) (string, error) {
	if strings.HasPrefix(s, "0000-00-00") {
		return "0", nil
	}
	t, err := time.Parse("2006-01-02 15:04:05.999999", s)
	if err != nil {
		return "", fmt.Errorf("a TIMESTAMP is in the log as %q", s)
	}
	return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000), nil
}

// keyHash tells keys apart: different ones may have one hash, and then one is taken for the other, but never the other way round.
func keyHash(w *watched, row []any) (uint64, error) {
	var b []byte
	for _, m := range w.key {
		v, err := m.plain(row[m.place])
		if err != nil {
			return 0, err
		}
		switch x := v.(type) {
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
		case int64:
			b = strconv.AppendInt(append(b, ' '), x, 10)
		case uint64:
			b = strconv.AppendUint(append(b, ' '), x, 10)
		default:
			return 0, m.strange(v)
		}
	}
	return xxh3.Hash(b), nil
}

// record puts by what one row of an event was. before and now are the row's images; nil for none.
func (b *Binlog) record(ctx context.Context, q engine.Querier, w *watched, x int64, op string, before, now []any) error {
	place := now
	if place == nil {
		place = before
	}
	cells := []string{"?", "?", "?"}
	args := []any{w.n + 1, x, op}
	add := func(row []any, columns []imaged) error {
		for _, m := range columns {
			if row == nil {
				cells = append(cells, "NULL")
				continue
			}
			sql, more, err := m.value(row[m.place])
			if err != nil {
				return err
			}
			cells, args = append(cells, sql), append(args, more...)
		}
		return nil
	}
	for _, part := range []struct {
		row     []any
		columns []imaged
	}{{place, w.key}, {before, w.key}, {before, w.columns}} {
		if err := add(part.row, part.columns); err != nil {
			return err
		}
	}
	for _, row := range [][]any{before, now} {
		if row != nil {
			h, err := keyHash(w, row)
			if err != nil {
				return err
			}
			w.keys[h] = struct{}{}
		}
	}
	w.n++
	return w.insert.add(ctx, q, cells, args)
}

// inserting gathers rows into statements.
type inserting struct {
	into    string
	columns []string
	table   engine.Name
	rows    []string
	args    []any
	size    int
}

func (i *inserting) add(ctx context.Context, q engine.Querier, cells []string, args []any) error {
	i.rows, i.args = append(i.rows, "("+strings.Join(cells, ", ")+")"), append(i.args, args...)
	for _, a := range args {
		switch v := a.(type) {
		case []byte:
			i.size += len(v)
		case string:
			i.size += len(v)
		}
		i.size += 12
	}
	if i.size < 256<<10 && len(i.args) < 20_000 {
		return nil
	}
	return i.flush(ctx, q)
}

func (i *inserting) flush(ctx context.Context, q engine.Querier) error {
	if len(i.rows) == 0 {
		return nil
	}
	query := "INSERT INTO " + i.into + " (" + strings.Join(i.columns, ", ") + ") VALUES " + strings.Join(i.rows, ", ")
	if _, err := q.ExecContext(ctx, query, i.args...); err != nil {
		return fmt.Errorf("put by what the binary log has of %s: %w", i.table, err)
	}
	i.rows, i.args, i.size = nil, nil, 0
	return nil
}
