package journal

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// walk is one pass over a stretch of the log.
type walk struct {
	b     *Binlog
	q     engine.Querier
	check bool // look whether keys that are known are written, and put nothing by
	file  string
	at    time.Time // of its commit, as near as is known
	wrote []*watched
	// after is set from the first transaction that was committed after the moment: what comes behind it in the log was committed later.
	after    bool
	prepared map[string]bool // transactions of XA that were prepared in what was read: whether they wrote a table asked for
	xa       string
	// saved is how many records there were of each table at the savepoints of the transaction.
	saved map[string]map[*watched]int64
}

// read takes in what the log has up to a position.
func (b *Binlog) read(ctx context.Context, q engine.Querier, end position, check bool) error {
	if b.upto == end {
		return nil
	}
	w := &walk{b: b, q: q, check: check, file: b.upto.file, after: b.upto.at > 4, prepared: map[string]bool{}}
	err := b.stream(ctx, b.upto, func(t *replication.TableMapEvent) bool { return b.ours(string(t.Schema), string(t.Table)) != nil },
		func(e *replication.BinlogEvent) (bool, error) {
			if r, ok := e.Event.(*replication.RotateEvent); ok {
				if name := string(r.NextLogName); name != w.file { // the one that comes first in a dump names the file itself
					w.file = name
					return false, nil
				}
			}
			if err := w.event(ctx, e); err != nil {
				return false, err
			}
			artificial := e.Header.Flags&replication.LOG_EVENT_ARTIFICIAL_F != 0 && e.Header.EventType != replication.HEARTBEAT_EVENT
			return w.file == end.file && !artificial && e.Header.LogPos >= end.at, nil
		})
	if err != nil {
		return err
	}
	b.upto = end
	if check {
		return nil
	}
	for _, t := range b.watched {
		if t.refused == nil {
			if err := t.insert.flush(ctx, q); err != nil {
				return err
			}
		}
	}
	return nil
}

// event looks at one event of the log. One that is not known may be anything.
func (w *walk) event(ctx context.Context, e *replication.BinlogEvent) error {
	switch x := e.Event.(type) {
	case *replication.GTIDEvent:
		w.begin(commitTime(x.ImmediateCommitTimestamp, e.Header))
	case *replication.GtidTaggedLogEvent:
		w.begin(commitTime(x.ImmediateCommitTimestamp, e.Header))
	case *replication.MariadbGTIDEvent:
		w.begin(commitTime(0, e.Header))
	case *replication.QueryEvent:
		return w.query(ctx, string(x.Schema), string(x.Query))
	case *replication.ExecuteLoadQueryEvent, *replication.BeginLoadQueryEvent:
		return w.statements("LOAD DATA")
	case *replication.RowsEvent:
		return w.rows(ctx, x)
	case *replication.TransactionPayloadEvent:
		for _, inner := range x.Events {
			if r, ok := inner.Event.(*replication.RowsEvent); ok && w.b.ours(string(r.Table.Schema), string(r.Table.Table)) != nil {
				// It was read in the library's way: once more in ours.
				at, err := r.DecodeHeader(inner.RawData[replication.EventHeaderSize:])
				if err == nil {
					r.Rows, r.SkippedColumns = nil, nil
					err = decodeRows(r, at, inner.RawData[replication.EventHeaderSize:])
				}
				if err != nil {
					return w.b.explain("read the binary log ("+w.file+")", err)
				}
			}
			if err := w.event(ctx, inner); err != nil {
				return err
			}
		}
	case *replication.GenericEvent:
		return w.other(e.Header)
	}
	return nil
}

func commitTime(micros uint64, h *replication.EventHeader) time.Time {
	if micros > 0 {
		return time.UnixMicro(int64(micros))
	}
	return time.Unix(int64(h.Timestamp), 0)
}

func (w *walk) begin(at time.Time) {
	w.b.x++
	w.at, w.wrote, w.xa, w.saved = at, nil, "", nil
	w.after = w.after || at.After(w.b.at)
}

// harmless are the events that are no part of a transaction, or say nothing of rows.
var harmless = []replication.EventType{replication.STOP_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.IGNORABLE_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT,
	replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT, replication.MARIADB_START_ENCRYPTION_EVENT, replication.SLAVE_EVENT}

func (w *walk) other(h *replication.EventHeader) error {
	switch {
	case h.EventType == replication.XA_PREPARE_LOG_EVENT:
		if w.prepared[w.xa] = len(w.wrote) > 0; len(w.wrote) > 0 {
			return w.gap("a distributed transaction (XA) that wrote " + w.wrote[0].name.String() + " was prepared there")
		}
	case h.EventType == replication.INCIDENT_EVENT:
		return w.gap("the server lost events there")
	case !slices.Contains(harmless, h.EventType):
		return w.gap(fmt.Sprintf("an event of a kind that is not known (%d) stands there", h.EventType))
	}
	return nil
}

// gap refuses what cannot be read past. Before the moment it does not matter.
func (w *walk) gap(why string) error {
	if !w.after {
		return nil
	}
	return nothing("a moment after that, and after what altered the table last, can be had; dbrollback snapshot list shows captures, to be given to --snapshot", "the binary log cannot be read back past %s (%s): %s", stamp(w.at), w.file, why)
}

func (w *walk) statements(what string) error {
	return w.gap("it holds a statement instead of rows (" + what + ")")
}

// rows takes in the rows of an event.
func (w *walk) rows(ctx context.Context, e *replication.RowsEvent) error {
	t := w.b.ours(string(e.Table.Schema), string(e.Table.Table))
	if t == nil {
		return nil
	}
	w.wrote = append(w.wrote, t)
	if !w.after {
		return nil
	}
	if e.Type() == replication.EnumRowsEventTypeUnknown {
		return w.gap("rows of " + t.name.String() + " are in it in part only (binlog_row_value_options was PARTIAL_JSON)")
	}
	if err := w.fits(t, e); err != nil {
		return err
	}
	per, op := 1, map[replication.EnumRowsEventType]string{replication.EnumRowsEventTypeInsert: "i", replication.EnumRowsEventTypeUpdate: "u", replication.EnumRowsEventTypeDelete: "d"}[e.Type()]
	if op == "u" {
		per = 2
	}
	for i := 0; i+per <= len(e.Rows); i += per {
		before, now := e.Rows[i], e.Rows[i]
		whole := e.SkippedColumns[i]
		switch op {
		case "i":
			before = nil
		case "d":
			now = nil
		default:
			now = e.Rows[i+1]
			if missing(t.key, e.SkippedColumns[i+1]) {
				return w.gap("rows of " + t.name.String() + " are in it in part only (binlog_row_image was not FULL)")
			}
		}
		if missing(t.columns, whole) || missing(t.key, whole) {
			return w.gap("rows of " + t.name.String() + " are in it in part only (binlog_row_image was not FULL)")
		}
		if w.check {
			for _, row := range [][]any{before, now} {
				if row == nil {
					continue
				}
				h, err := keyHash(t, row)
				if err != nil {
					return w.gap(err.Error())
				}
				if _, known := t.keys[h]; known {
					return w.b.busy(t.name)
				}
			}
			continue
		}
		if err := w.b.record(ctx, w.q, t, w.b.x, op, before, now); err != nil {
			if _, server := engine.AsError(err); server {
				return err
			}
			return w.gap("a row of " + t.name.String() + ": " + err.Error())
		}
	}
	return nil
}

func missing(columns []imaged, skipped []int) bool {
	return slices.ContainsFunc(columns, func(m imaged) bool { return slices.Contains(skipped, m.place) })
}

// fits makes sure that the columns in the log are those of now.
func (w *walk) fits(t *watched, e *replication.RowsEvent) error {
	shape := fmt.Sprintf("%d %d", e.Table.ColumnType, e.Table.ColumnMeta)
	if t.shape == shape {
		return nil
	}
	altered := t.shape != "" || len(e.Table.ColumnType) < len(t.live.Columns)
	for _, m := range slices.Concat(t.key, t.columns) {
		if m.place < len(e.Table.ColumnType) && !slices.Contains(stored[m.kind], logged(e.Table, m.place)) {
			altered = true
		}
	}
	if altered {
		return w.gap(t.name.String() + " has other columns in it than now")
	}
	t.shape = shape
	return nil
}

// logged is the type of a column in the log: what is in a CHAR's place may be an ENUM or a SET.
func logged(t *replication.TableMapEvent, i int) byte {
	kind := t.ColumnType[i]
	if kind == protocol.MYSQL_TYPE_STRING {
		if real := byte(t.ColumnMeta[i] >> 8); real == protocol.MYSQL_TYPE_ENUM || real == protocol.MYSQL_TYPE_SET {
			return real
		}
	}
	return kind
}

// stored says as what the log has the types.
var stored = func() map[string][]byte {
	out := map[string][]byte{
		"tinyint": {protocol.MYSQL_TYPE_TINY}, "smallint": {protocol.MYSQL_TYPE_SHORT}, "mediumint": {protocol.MYSQL_TYPE_INT24}, "int": {protocol.MYSQL_TYPE_LONG}, "integer": {protocol.MYSQL_TYPE_LONG},
		"bigint": {protocol.MYSQL_TYPE_LONGLONG}, "bit": {protocol.MYSQL_TYPE_BIT}, "year": {protocol.MYSQL_TYPE_YEAR}, "float": {protocol.MYSQL_TYPE_FLOAT}, "double": {protocol.MYSQL_TYPE_DOUBLE},
		"real": {protocol.MYSQL_TYPE_DOUBLE}, "decimal": {protocol.MYSQL_TYPE_NEWDECIMAL}, "numeric": {protocol.MYSQL_TYPE_NEWDECIMAL}, "char": {protocol.MYSQL_TYPE_STRING}, "binary": {protocol.MYSQL_TYPE_STRING},
		"varchar": {protocol.MYSQL_TYPE_VARCHAR, protocol.MYSQL_TYPE_VAR_STRING}, "varbinary": {protocol.MYSQL_TYPE_VARCHAR, protocol.MYSQL_TYPE_VAR_STRING},
		// Of the old forms of these MariaDB has one with fractions that does not say so.
		"timestamp": {protocol.MYSQL_TYPE_TIMESTAMP2}, "datetime": {protocol.MYSQL_TYPE_DATETIME2}, "time": {protocol.MYSQL_TYPE_TIME2},
		"date": {protocol.MYSQL_TYPE_DATE, protocol.MYSQL_TYPE_NEWDATE}, "enum": {protocol.MYSQL_TYPE_ENUM}, "set": {protocol.MYSQL_TYPE_SET},
	}
	for _, k := range []string{"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "json"} {
		out[k] = []byte{protocol.MYSQL_TYPE_BLOB}
	}
	for _, k := range []string{"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"} {
		out[k] = []byte{protocol.MYSQL_TYPE_GEOMETRY}
	}
	return out
}()

// binlogRoutine matches statements about what is run later.
var binlogRoutine = regexp.MustCompile(`(?i)^\s*(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(DEFINER\s*=\s*\S+\s+)?(AGGREGATE\s+)?(PROCEDURE|FUNCTION|TRIGGER|EVENT)\s`)

// query looks at a statement of the log: where a transaction begins and ends, and what changes tables besides rows.
func (w *walk) query(ctx context.Context, schema, text string) error {
	word, rest := firstWord(text)
	second, _ := firstWord(rest)
	switch word {
	case "SAVEPOINT":
		w.save(rest)
		return nil
	case "BEGIN", "COMMIT", "RELEASE", "SET", "USE", "FLUSH", "ANALYZE", "GRANT", "REVOKE":
		return nil
	case "ROLLBACK":
		return w.undone(ctx, rest)
	case "XA":
		return w.distributed(second, rest)
	case "INSERT", "UPDATE", "REPLACE", "LOAD", "CALL", "SELECT", "DO", "WITH":
		return w.statements(word)
	}
	if !w.after {
		return nil
	}
	touched, ok := w.b.reads(text)
	if word == "DELETE" { // a table in memory is emptied so when the server has started
		if ok && !slices.ContainsFunc(touched, func(t Touched) bool { return w.names(t, schema) != nil }) {
			return nil
		}
		return w.statements(word)
	}
	if !ok {
		if binlogRoutine.MatchString(text) { // it changes no rows, and what it does later is in the log then
			return nil
		}
		database := w.b.j.db.Target.Database
		here := w.b.same(schema, database) || mentions(text, database) || strings.Contains(database, "`")
		for _, t := range w.b.watched {
			if here && mentions(text, t.name.Name) { // what names no database is about that which was in use
				return w.gap(word + " " + second + " stands there, which is not understood and may have changed " + t.name.String())
			}
		}
		if word == "DROP" && (second == "DATABASE" || second == "SCHEMA") && mentions(text, database) {
			return w.gap("DROP DATABASE stands there")
		}
		return nil
	}
	for _, one := range touched {
		if t := w.names(one, schema); t != nil && !one.Kept {
			return w.gap(word + " " + second + " changed or emptied " + t.name.String() + " there, and the rows of before are not in the log")
		}
	}
	return nil
}

// mentions tells whether a name stands in a text as a word of its own.
func mentions(text, name string) bool {
	text, name = strings.ToLower(text), strings.ToLower(name)
	word := func(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		behind, _ := utf8.DecodeRuneInString(text[end:])
		if !word(before) && !word(behind) {
			return true
		}
		from = start + 1
	}
}

// names gives a table asked for that a statement touched.
func (w *walk) names(one Touched, schema string) *watched {
	if one.Schema != "" {
		schema = one.Schema
	}
	if one.Name.Name != "" {
		return w.b.ours(schema, one.Name.Name)
	}
	if !w.b.same(schema, w.b.j.db.Target.Database) {
		return nil
	}
	i := slices.IndexFunc(w.b.watched, func(t *watched) bool { return t.refused == nil })
	if i < 0 {
		return nil
	}
	return w.b.watched[i]
}

// save remembers where a transaction stands. The server takes names for the same that it writes in several ways: of others than plain ones none is known.
func (w *walk) save(name string) {
	m := binlogSavepoint.FindStringSubmatch("TO " + name)
	if m == nil {
		w.saved = nil
		return
	}
	if w.saved == nil {
		w.saved = map[string]map[*watched]int64{}
	}
	n := map[*watched]int64{}
	for _, t := range w.b.watched {
		n[t] = t.n
	}
	w.saved[strings.ToLower(m[1])] = n
}

var binlogSavepoint = regexp.MustCompile("(?i)^\\s*(?:WORK\\s+)?TO\\s+(?:SAVEPOINT\\s+)?`?([a-z0-9_$]+)`?\\s*$")

// undone takes back what was read of a transaction, or of a part of it, that was rolled back: it is in the log for tables without transactions.
func (w *walk) undone(ctx context.Context, rest string) error {
	if len(w.wrote) == 0 || !w.after || w.check {
		return nil
	}
	var kept map[*watched]int64
	if word, more := firstWord(rest); word == "TO" || strings.TrimSpace(more) != "" {
		if m := binlogSavepoint.FindStringSubmatch(rest); m != nil {
			kept = w.saved[strings.ToLower(m[1])]
		}
		if kept == nil {
			return w.gap("a part of a transaction that wrote " + w.wrote[0].name.String() + " was rolled back, together with a table without transactions")
		}
	}
	for _, t := range w.wrote {
		if err := t.insert.flush(ctx, w.q); err != nil {
			return err
		}
		if _, err := w.q.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE x = %d AND n > %d", w.b.j.db.Ident(t.staging), w.b.x, kept[t])); err != nil {
			return fmt.Errorf("put by what the binary log has of %s: %w", t.name, err)
		}
	}
	return nil
}

// distributed follows transactions of XA: their rows stand where they are prepared, and count, or do not, where they end.
func (w *walk) distributed(what, rest string) error {
	_, id := firstWord(rest)
	id = strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(id)), " ", "")
	switch what {
	case "START", "BEGIN":
		w.xa = id
	case "COMMIT":
		id = strings.TrimSuffix(id, "ONEPHASE")
		if wrote, known := w.prepared[id]; wrote || !known {
			return w.gap("a distributed transaction (XA) ended there, whose rows stand elsewhere")
		}
	case "ROLLBACK":
		if w.prepared[id] {
			return w.gap("a distributed transaction (XA) was rolled back there, whose rows stand elsewhere")
		}
	}
	return nil
}

// firstWord is the first word of a statement, in capitals, and what follows; comments in front are left out.
func firstWord(text string) (word, rest string) {
	for {
		text = strings.TrimLeft(text, " \t\r\n(")
		switch {
		case strings.HasPrefix(text, "/*") && !strings.HasPrefix(text, "/*!") && !strings.HasPrefix(text, "/*M!"):
			_, after, ok := strings.Cut(text[2:], "*/")
			if !ok {
				return "", ""
			}
			text = after
			continue
		case strings.HasPrefix(text, "-- "), strings.HasPrefix(text, "#"):
			_, after, ok := strings.Cut(text, "\n")
			if !ok {
				return "", ""
			}
			text = after
			continue
		}
		break
	}
	end := strings.IndexFunc(text, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_') })
	if end < 0 {
		end = len(text)
	}
	return strings.ToUpper(text[:end]), text[end:]
}
