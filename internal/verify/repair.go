package verify

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// holdsData are the kinds that Repair never removes: rows, or numbers handed out, would go with them, or
// what it cannot see may be using them.
var holdsData = []string{
	"table", "foreign table", "column", "sequence", "schema", "extension", "type", "enum", "domain",
	"composite", "range", "function", "procedure", "aggregate", "collation", "server", "publication", "event trigger",
}

// HoldsData tells whether Repair leaves an object alone that is left over.
func HoldsData(o Object) bool { return slices.Contains(holdsData, o.Kind) }

// Repair gives the statements that lead from after back towards before, in the order to run them: what
// differs is altered in place or, when it holds no rows, removed and made again; what is missing is made;
// what is left over is removed when no data goes with it. Tables, columns, sequences, types and functions
// that are left over stay. A column that is missing is made empty, a table likewise: their rows are not
// Repair's business, and neither is a NOT NULL that rows yet to come make true, so run it when they are back.
//
// What cannot be led back by statements (a label that an enum has too many) is left out: compare again
// after running them.
func Repair(before, after Fingerprint) []string {
	var drop, alter, create []Object
	again := map[string]bool{} // keys of after that must give way, and come back if before has them
	newTable := map[string]bool{}
	matched, recast := cosmeticPairs(before, after), Recast(before, after)

	for key, b := range before {
		a, ok := after[key]
		switch {
		case matched[key]:
		case !ok && len(b.Alter) > 0 && inItsPlace(b, after):
			alter = append(alter, b)
		case !ok:
			create = append(create, b)
			if b.Kind == "table" || b.Kind == "foreign table" {
				newTable[b.Table.String()] = true
			}
		case a.Definition == b.Definition && !recast[key]:
		case len(b.Alter) > 0 && alterable(b, a):
			alter = append(alter, b)
			if b.Kind == "column" {
				// A default of the old type may not fit the new one, and views fix the type they read.
				again["default "+b.Name] = true
				yield(again, after, "table "+tableKey(b, before))
				yield(again, after, "foreign table "+tableKey(b, before))
			}
		case slices.Contains(holdsData, b.Kind) && !routine(b.Kind):
		default:
			again[key] = true
			yield(again, after, key)
		}
	}
	was, is := relations(before), relations(after)
	for key, a := range after {
		_, wanted := before[key]
		leftTable := a.Table.Name != "" && !was[a.Table] && is[a.Table]
		if !wanted && len(before[otherIndex(a)].Alter) > 0 && after[otherIndex(a)].Kind == "" {
			continue // what is wanted takes its place
		}
		if !wanted && !matched[key] && !slices.Contains(holdsData, a.Kind) && !leftTable {
			again[key] = true
			yield(again, after, key)
		}
	}
	for key := range again {
		if a, ok := after[key]; ok {
			drop = append(drop, a)
			create = append(create, missing(before, a, create)...)
		}
	}

	create = append(create, columnGrants(before, drop, create)...)

	var out []string
	slices.SortFunc(drop, func(a, b Object) int { return cmp.Or(b.Rank-a.Rank, cmp.Compare(b.Key(), a.Key())) })
	drop, last := replacedIndexes(drop, create)
	for _, o := range drop {
		out = append(out, o.Drop...)
	}
	byRank := func(a, b Object) int {
		return cmp.Or(a.Rank-b.Rank, a.Position-b.Position, cmp.Compare(a.Key(), b.Key()))
	}
	steps := slices.Clone(create)
	altered := map[string]bool{}
	for _, o := range alter {
		altered[o.Key()] = true
	}
	steps = append(steps, alter...)
	slices.SortFunc(steps, byRank)
	for _, o := range byNeed(steps) {
		switch {
		case altered[o.Key()]:
			out = append(out, o.Alter...)
		case (o.Kind == "column" || o.Inline) && newTable[o.Table.String()]: // made with its table
		default:
			out = append(out, o.Create...)
		}
	}
	for _, o := range last {
		out = append(out, o.Drop...)
	}
	return out
}

// replacedIndexes takes out the indexes that go because another one is to be there: a foreign key may need one of the two at any time. The other one is the same
// under another name, or, on servers that take away what they made for a foreign key as soon as another index serves it, begins with the same column.
func replacedIndexes(drop, create []Object) (first, last []Object) {
	for _, o := range drop {
		if (o.Kind == "index" || o.Kind == "unique") && slices.ContainsFunc(create, func(c Object) bool {
			same := c.Kind == o.Kind && c.Definition == o.Definition
			serves := (c.Kind == "index" || c.Kind == "unique") && o.First != "" && c.First == o.First
			return c.Table == o.Table && c.Name != o.Name && (same || serves)
		}) {
			last = append(last, o)
		} else {
			first = append(first, o)
		}
	}
	return first, last
}

// byNeed moves up the views that other views in front of them read: one that was replaced can read one
// that is younger than itself.
func byNeed(steps []Object) []Object {
	at := map[string]Object{}
	for _, o := range steps {
		at[o.Key()] = o
	}
	var out []Object
	var visit func(o Object)
	done := map[string]bool{}
	visit = func(o Object) {
		if done[o.Key()] {
			return
		}
		done[o.Key()] = true
		for _, key := range o.Needs {
			if n, ok := at[key]; ok {
				visit(n)
			}
		}
		out = append(out, o)
	}
	for _, o := range steps {
		visit(o)
	}
	return out
}

// columnGrants gives the grants on columns that go when a grant on their table is taken back, and are not
// made anyway: REVOKE on a table reaches its columns, too.
func columnGrants(before Fingerprint, drop, create []Object) []Object {
	type right struct {
		table engine.Name
		role  string
	}
	of := func(o Object) right {
		return right{o.Table, o.Name[strings.LastIndex(o.Name, " to ")+1:]}
	}
	made := map[string]bool{}
	revoked := map[right]bool{}
	for _, o := range slices.Concat(drop, create) {
		if o.Kind == "grant" && o.Table.Name != "" && strings.HasPrefix(o.Name, o.Table.String()+" to ") {
			revoked[of(o)] = true
		}
	}
	for _, o := range create {
		made[o.Key()] = true
	}
	var out []Object
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if o := before[key]; o.Kind == "grant" && revoked[of(o)] && !made[key] && !strings.HasPrefix(o.Name, o.Table.String()+" to ") {
			out = append(out, o)
		}
	}
	return out
}

// missing gives what before has of a, and of what goes with a when it is a view, except what is in create.
func missing(before Fingerprint, a Object, create []Object) []Object {
	has := func(o Object) bool {
		return slices.ContainsFunc(create, func(c Object) bool { return c.Key() == o.Key() })
	}
	var out []Object
	if b, ok := before[a.Key()]; ok && !has(b) {
		out = append(out, b)
	}
	if a.Kind == "view" || a.Kind == "materialized view" {
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if b := before[key]; b.Table == a.Table && b.Key() != a.Key() && !has(b) && !slices.Contains([]string{"column", "table"}, b.Kind) {
				out = append(out, b)
			}
		}
	}
	return out
}

// yield marks the views over the object named by key, and the views over those.
func yield(again map[string]bool, f Fingerprint, key string) {
	for k, o := range f {
		if !again[k] && slices.Contains(o.Needs, key) {
			again[k] = true
			yield(again, f, k)
		}
	}
}

// otherIndex is the key under which an index would stand if it were unique, or a unique one if it were not.
func otherIndex(o Object) string {
	switch o.Kind {
	case "index":
		o.Kind = "unique"
	case "unique":
		o.Kind = "index"
	default:
		return ""
	}
	return o.Key()
}

// inItsPlace tells whether an index of another kind has the name of one that is missing.
func inItsPlace(b Object, after Fingerprint) bool {
	_, ok := after[otherIndex(b)]
	return ok
}

// InTheWay gives the indexes of now that have the name of one that is wanted and missing, unique or not, as the other is not. Only
// one of them can be.
func InTheWay(want, now Fingerprint) Fingerprint {
	local := func(o Object) string {
		return strings.TrimPrefix(strings.TrimPrefix(o.Name, o.Table.String()+"."), o.Table.Schema+".")
	}
	out := Fingerprint{}
	for key, w := range want {
		if _, there := now[key]; there || w.Kind != "index" && w.Kind != "unique" {
			continue
		}
		for k, o := range now {
			if _, wanted := want[k]; !wanted && (o.Kind == "index" || o.Kind == "unique") && o.Table == w.Table && local(o) == local(w) {
				out[k] = o
			}
		}
	}
	return out
}

// alterable tells whether b.Alter works on a: CREATE OR REPLACE keeps a function's signature and result.
func alterable(b, a Object) bool {
	if !routine(b.Kind) {
		return true
	}
	return head(b.Definition) == head(a.Definition)
}

func routine(kind string) bool {
	return kind == "function" || kind == "procedure" || kind == "aggregate"
}

// head is the first two lines of a function's definition: name, arguments and result.
func head(s string) string {
	lines := 0
	for i := range s {
		if s[i] == '\n' {
			if lines++; lines == 2 {
				return s[:i]
			}
		}
	}
	return s
}

// relations are the tables and views that f has.
func relations(f Fingerprint) map[engine.Name]bool {
	out := map[engine.Name]bool{}
	for _, o := range f {
		switch o.Kind {
		case "table", "foreign table", "view", "materialized view":
			out[o.Table] = true
		}
	}
	return out
}

// tableKey is the name, as objects spell it, of the table that o belongs to.
func tableKey(o Object, f Fingerprint) string {
	for _, t := range f {
		if (t.Kind == "table" || t.Kind == "foreign table") && t.Table == o.Table {
			return t.Name
		}
	}
	return o.Table.String()
}

// cosmeticPairs are the keys of both sides that differ only in a name that the engine made up.
func cosmeticPairs(before, after Fingerprint) map[string]bool {
	out := map[string]bool{}
	lost, found := onlyIn(before, after), onlyIn(after, before)
	for _, d := range lost {
		for _, k := range found {
			if before[d].Kind == "index" && !(before[d].Generated && after[k].Generated) {
				continue // MySQL takes an index away that it made for a foreign key when another one can serve it
			}
			if !out[k] && SameButName(before[d], after[k]) {
				out[d], out[k] = true, true
				break
			}
		}
	}
	return out
}

// onlyIn are the keys of f that other lacks, sorted.
func onlyIn(f, other Fingerprint) []string {
	var out []string
	for key := range f {
		if _, ok := other[key]; !ok {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func itoa(i int) string { return strconv.Itoa(i) }
