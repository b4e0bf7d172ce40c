package snapshot

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// capture is one row of the catalog, with all that is needed to put it back.
type capture struct {
	Info
	detail
	position int // order within the snapshot

	later   bool          // while capturing: a later statement of the migration concerns the table
	live    *engine.Table // while capturing: the table as it was then
	reduce  bool          // while capturing: drop what the statement did not change
	chain   bool          // while capturing: one row may be written more than once
	each    bool          // while capturing: rows are observed one by one
	trail   bool          // while capturing: it is not kept, see trail.go
	sought  bool          // while capturing: others are, by its keys
	events  events        // while capturing: what to record
	named   *named        // while capturing: how the rows can be asked for
	moments *capture      // while capturing: where columns go that say when rows were written, see sift.go
	parts   []string      // while capturing: the partitions whose rows are copied; nil: all
	suffix  string        // while capturing: of the names t and d
	copy    string        // while it goes back: a table of its rows under other keys, see otherkey.go
	first   *capture      // of one with such a table: as it was captured

	// While seals follow the statements, see follow.go: where the next seal lies, in a table that is there already; whether that has
	// keys; how many rows somebody else wrote, as far as that can be told; and whether the seal does not hold any more.
	next     string
	nextKeys bool
	theirs   int64
	mixed    bool
	stale    bool
	full     bool          // all of its rows were there when it was sealed
	coming   *engine.Table // the one that is about to get its name
	stood    string        // of one that goes back: where the last seal lies, which says where its rows stood then; "" where that is where they were captured
	stoodAt  int           // and behind which statement that was
	atHome   bool          // its rows stand where the migration found them, whatever keys they were captured under,
	homes    string        // which is in this table; "" where the entries say it
}

// events says which kinds of writes are observed.
type events struct{ insert, update, remove bool }

// detail is the part of a capture that only this package reads; kept as JSON.
type detail struct {
	Home      engine.Name     `json:"home"`              // the table's name when the migration began, where the data goes back to
	Identity  string          `json:"identity"`          // of the table, stable across renames where the engine has such
	At        engine.Name     `json:"at"`                // the table's name when it was captured
	Key       []field         `json:"key"`               // what identifies a row; none: the table is captured whole
	Fields    []field         `json:"fields"`            // what was captured
	Whole     bool            `json:"whole"`             // Fields are all columns: a missing row can be inserted
	Ops       bool            `json:"ops"`               // rows have an op: i(nserted), u(pdated), d(eleted)
	Moved     bool            `json:"moved"`             // rows have an old key besides the one that locates them
	Still     bool            `json:"still,omitempty"`   // of Moved: none of them differs
	Seal      seal            `json:"seal"`              // how the places looked when the migration ended
	Sequences []Sequence      `json:"sequences"`         // where the generators of numbers stood
	Parents   []engine.Name   `json:"parents"`           // tables that foreign keys of this one point to
	Shape     *engine.Table   `json:"shape"`             // the shape of the table when it was captured
	Objects   []verify.Object `json:"objects"`           // of Definition
	Renamed   []part          `json:"renamed,omitempty"` // of Kept: what had to give up its name
	Emptied   bool            `json:"emptied,omitempty"` // of Kept: an empty table took its place
	// Bystander: rows that the migration left alone and the opposite direction would write. What others do to them is theirs.
	Bystander bool          `json:"bystander,omitempty"`
	Aside     *asideColumns `json:"aside,omitempty"`  // of KeptColumns, also when they became a copy
	Early     bool          `json:"early,omitempty"`  // of a run that may be taken back: what stood where rows went back before its end; see early.go
	Refill    bool          `json:"refill,omitempty"` // of an up: what it wrote came from the captures of an earlier rollback
	Of        string        `json:"of,omitempty"`     // the capture of the same rows without the columns of this one; see sift.go
	Spare     []field       `json:"spare,omitempty"`  // what else of whole rows lies in the data table: neither sealed nor put back, unless a row is gone; see sift.go
	Relay     bool          `json:"relay,omitempty"`  // rows of a table that the migration made, from which the opposite direction writes captured ones: they are only looked at
	// Above, of Relay: the partitioned tables that the table is a part of.
	Above []engine.Name `json:"above,omitempty"`
	// Apart are tables that may be partitions of this one, and were not when it was captured; see apart.go.
	Apart  []standing `json:"apart,omitempty"`
	Here   bool       `json:"here,omitempty"`   // of one that goes back: the table that was sealed last, and none that had its name before
	New    bool       `json:"new,omitempty"`    // rows that were put into a table made in the place of another one, by key
	Ahead  bool       `json:"ahead,omitempty"`  // it was there before its statement began, which commits by itself
	Stands bool       `json:"stands,omitempty"` // of a table that the migration had put in the place of a captured one
	// Pairs are columns that the run made, beside a column of the key by which captures that it puts back know their rows; see otherkey.go.
	Pairs []field `json:"pairs,omitempty"`
}

// field is one captured column.
type field struct {
	Name  string `json:"name"`            // when the migration began
	At    string `json:"at"`              // when it was captured
	Num   string `json:"num"`             // identity, stable across renames where the engine has such
	Type  string `json:"type"`            // as the engine prints it
	Decl  string `json:"decl"`            // what it is kept as
	Text  bool   `json:"text,omitempty"`  // kept as exact text
	Exact bool   `json:"exact,omitempty"` // the column compares otherwise than by bytes
	Set   string `json:"set,omitempty"`   // character set of a text that is kept as its bytes
	Seal  string `json:"seal"`            // its name when the migration ended; "" when it was gone
	// Watched: it was gone, and the opposite direction computes its values; the seal covers what from.
	Watched bool `json:"watched,omitempty"`
	// Slot is the column of the data table that holds it; "" where its place among the fields says so. See sift.go.
	Slot string `json:"slot,omitempty"`
	Made bool   `json:"made,omitempty"` // by the run: one that was there in the beginning may have had its name
}

// Sequence is a generator of numbers, and the last one that it gave.
type Sequence struct {
	Name       engine.Name `json:"name"`
	ID         int64       `json:"id,omitempty"`   // PostgreSQL's: one that was made anew under the same name has another
	Table      engine.Name `json:"table,omitzero"` // whose column it feeds, where that matters
	Column     string      `json:"column"`
	Last       int64       `json:"last"`
	Descending bool        `json:"descending,omitempty"`
}

// Seal modes: how the places of the captured rows looked when the migration ended.
const (
	sealAbsent  = "absent"  // none of the rows, or no such table
	sealPresent = "present" // all of the rows, with nothing left of what was captured
	sealRows    = "rows"    // row by row, in a companion table: those that were there, with their hash
	sealBag     = "bag"     // a table without key: the hashes of all its rows, with their numbers
	sealNone    = "none"    // nothing was done to them: captured by hand
	sealCovered = "covered" // the key did not survive; a later capture of the whole table speaks for this one
)

// seal says how the places of the captured rows looked when the migration ended.
type seal struct {
	Mode    string      `json:"mode"`
	Table   engine.Name `json:"table"`             // the table's name then; "" when it was gone
	Columns []string    `json:"columns"`           // what the hash covers, names then
	All     []string    `json:"all"`               // what the hash of inserted rows covers: all columns then
	Key     []string    `json:"key"`               // names of the key columns then
	Places  bool        `json:"places"`            // the companion holds the key under which the row stood then
	Rows    int64       `json:"rows"`              // of a bag
	Sum     string      `json:"sum"`               // of a bag; "" when its companion says it
	Group   []string    `json:"group,omitempty"`   // of a bag: columns that tell most rows from most others, names then; see bag_groups.go
	At      string      `json:"at,omitempty"`      // what the name of the companion begins with
	After   int         `json:"after,omitempty"`   // the statement after which it was sealed; 0: the last one
	Coming  bool        `json:"coming,omitempty"`  // it was sealed ahead of that statement, which gives the table its name
	Mixed   bool        `json:"mixed,omitempty"`   // of a bag: somebody else wrote to the table between two statements
	Sources []string    `json:"sources,omitempty"` // of Columns, what the opposite direction computes captured columns from; see parts.go
	Vacated bool        `json:"vacated,omitempty"` // nothing of the migration's stood under the keys that rows had left; see vacated.go
	Waits   bool        `json:"waits,omitempty"`   // of one that goes back: its place, or a part of it, is there again, and its rows wait for more; see place.go
	Rest    []string    `json:"rest,omitempty"`    // what a second hash covers, by which a row is known that moved to another key; see reused.go
}

// data is the table that holds the rows: ours, or the kept one itself.
func (c *capture) data() string {
	if c.copy != "" {
		return c.copy
	}
	if c.Kind == Kept {
		return "dbrollback_kept_" + compact(c.ID)
	}
	return "dbrollback_data_" + compact(c.ID)
}
func (c *capture) companion() string {
	if c.Seal.At != "" {
		return c.companionAt(c.Seal.At)
	}
	return c.companionAt(sealFirst)
}
func (c *capture) conflicts() string { return "dbrollback_work_" + compact(c.ID) }

// more and fewer list the images that a table without a key has more often, and less often, than when it was sealed.
func more(id string) string  { return "dbrollback_plus_" + compact(id) }
func fewer(id string) string { return "dbrollback_minus_" + compact(id) }

// t and d name the table and its data in queries while it is captured; the user may have a table that is called as ours are
// elsewhere. LOCK TABLES wants every name once, and MariaDB waits for itself when it is to truncate a partition of a
// table that is locked under a second name: then the table has its own.
func (c *capture) t() string {
	if c.suffix != "" {
		return "`" + strings.ReplaceAll(c.At.Name, "`", "``") + "`"
	}
	return "dbrollback_t"
}

func (c *capture) d() string { return "dbrollback_d" + c.suffix }

// live gives the table as an item of FROM, under the name t.
func (s *Store) live(c *capture, t *engine.Table) string {
	if c.suffix != "" {
		return s.f.from(s.db, t)
	}
	return s.f.from(s.db, t) + " AS " + c.t()
}

// k, o and v name the columns of the data table: positional, so that no name of the user's is in the way.
func k(i int) string { return "k" + itoa(i+1) }
func o(i int) string { return "o" + itoa(i+1) }
func v(i int) string { return "c" + itoa(i+1) }

// entire tells whether the data table has whole rows.
func (c *capture) entire() bool { return c.Whole || len(c.Spare) > 0 }

// v is the column of the data table that holds a captured field.
func (c *capture) v(i int) string {
	if slot := c.Fields[i].Slot; slot != "" {
		return slot
	}
	return v(i)
}

// itoa spares strconv for small numbers.
func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + string(rune('0'+i%10))
}

// old gives the name of the i-th column of the key as it was before the statement.
func (c *capture) old(i int) string {
	if c.Moved {
		return o(i)
	}
	return k(i)
}

// stands gives, as columns, the keys under which the rows of entries stood when they were sealed, in s.
func (c *capture) stands(entry string) []string {
	var out []string
	for i := range c.Key {
		if c.Seal.Places {
			out = append(out, fmt.Sprintf("coalesce(s.%[1]s, %[2]s.%[1]s) AS %[1]s", k(i), entry))
		} else {
			out = append(out, entry+"."+k(i))
		}
	}
	return out
}

// was gives the key of an entry as it was before the statement; of an inserted row as it was after.
func (c *capture) was(kept string, i int) string {
	if c.Moved {
		return "coalesce(" + kept + "." + o(i) + ", " + kept + "." + k(i) + ")"
	}
	return kept + "." + k(i)
}

// columns gives the columns of the data table and their types, the row number left out.
func (c *capture) columns() (names, decls []string) {
	if c.Ops {
		names, decls = append(names, "op"), append(decls, "char(1)")
	}
	for i, f := range c.Key {
		names, decls = append(names, k(i)), append(decls, f.Decl)
	}
	if c.Moved {
		for i, f := range c.Key {
			names, decls = append(names, o(i)), append(decls, f.Decl)
		}
	}
	for i, f := range c.Fields {
		names, decls = append(names, c.v(i)), append(decls, f.Decl)
	}
	for _, f := range c.Pairs {
		names, decls = append(names, f.Slot), append(decls, f.Decl)
	}
	return names, decls
}

// inserted gives the condition that a row of the data table is one that the migration inserted, or not.
func (c *capture) inserted(yes bool) string {
	switch {
	case c.Ops && yes:
		return "d.op = 'i'"
	case c.Ops:
		return "d.op <> 'i'"
	case yes:
		return "1 = 0"
	}
	return ""
}

// on gives the condition that a row of the live table t, under the alias live, stands in the place of an entry, under
// the alias kept. name picks the name of a key column in the live table, col its column in ours.
func (s *Store) on(c *capture, t *engine.Table, live, kept string, name, col func(int) string) string {
	var parts []string
	for i, f := range c.Key {
		n := name(i)
		j := columnIndex(t, n)
		if j < 0 {
			return "1 = 0"
		}
		parts = append(parts, s.f.match(live+"."+s.q(n), kept+"."+col(i), f, t.Columns[j]))
	}
	return strings.Join(parts, " AND ")
}

// drops tells whether this holds a table that was dropped.
func (c *capture) drops(table engine.Name) bool {
	return (c.Kind == Table || c.Kind == Kept) && !c.Ops && !c.Emptied && c.Home == table
}

// keyText shows the key of a captured row to a person.
func (s *Store) keyText(c *capture, kept string) string {
	var refs []string
	for i := range c.Key {
		refs = append(refs, c.was(kept, i))
	}
	if len(refs) == 0 {
		return s.concat([]string{"'row '", s.f.text(kept+".n", field{})})
	}
	return s.keyOf(c.Key, refs)
}

// keyOf shows a key: "id=7, part=2".
func (s *Store) keyOf(key []field, refs []string) string {
	var parts []string
	for i, f := range key {
		label := "'" + strings.ReplaceAll(f.Name, "'", "''") + "='"
		if i > 0 {
			label = "', " + label[1:]
		}
		parts = append(parts, label, s.f.text(refs[i], f))
	}
	return s.concat(parts)
}

// concat joins texts.
func (s *Store) concat(parts []string) string {
	if s.f.concat != nil {
		return s.f.concat(parts)
	}
	return strings.Join(parts, " || ")
}
