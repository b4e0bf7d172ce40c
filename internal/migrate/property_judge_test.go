package migrate_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// row is a row as text, by column; nil is NULL.
type row map[string]*string

func (r row) String() string {
	var parts []string
	for c, v := range r {
		parts = append(parts, c+"="+show(v))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func show(v *string) string {
	if v == nil {
		return "NULL"
	}
	return strconv.Quote(*v)
}

func alike(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// tableRows are all rows of a table.
type tableRows struct {
	columns []string
	rows    []row
}

// byTag finds rows by what they are.
func (t *tableRows) byTag(by string) map[string][]row {
	out := map[string][]row{}
	if t == nil {
		return out
	}
	for _, r := range t.rows {
		if v := r[by]; v != nil {
			out[*v] = append(out[*v], r)
		}
	}
	return out
}

// fill reads the rows that a query gives.
func (t *tableRows) fill(p *proving, query string) {
	p.t.Helper()
	rows, err := p.db.QueryContext(p.t.Context(), query)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values := make([]*string, len(t.columns))
		into := make([]any, len(t.columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			p.t.Fatal(err)
		}
		r := row{}
		for i, c := range t.columns {
			r[c] = values[i]
		}
		t.rows = append(t.rows, r)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
}

// read reads every table of the user's.
func (p *proving) read() map[string]*tableRows {
	p.t.Helper()
	ctx := p.t.Context()
	names, err := p.db.Tables(ctx, p.db)
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]*tableRows{}
	for _, n := range names {
		t, err := p.db.Inspect(ctx, p.db, n)
		if err != nil {
			p.t.Fatal(err)
		}
		tr := &tableRows{}
		var exprs []string
		for _, c := range t.Columns {
			tr.columns = append(tr.columns, c.Name)
			if isFamily(p.db.Kind) {
				exprs = append(exprs, "CAST("+p.db.Ident(c.Name)+" AS CHAR)")
			} else if p.db.Kind == engine.Postgres {
				exprs = append(exprs, p.db.Ident(c.Name)+"::text")
			} else {
				exprs = append(exprs, "CASE typeof("+p.db.Ident(c.Name)+") WHEN 'null' THEN NULL ELSE CAST("+p.db.Ident(c.Name)+" AS TEXT) END")
			}
		}
		out[n.Name] = tr
		if len(exprs) == 0 {
			continue
		}
		tr.fill(p, "SELECT "+strings.Join(exprs, ", ")+" FROM "+p.db.Quote(n))
	}
	return out
}

// keyOf strips what the steps add to keys, so that the keys that a row ever had are one.
func keyOf(v *string) string {
	if v == nil {
		return "NULL"
	}
	i, err := strconv.Atoi(*v)
	if err != nil {
		return *v
	}
	return strconv.Itoa(((i % 1000) + 1000) % 1000)
}

// judgement is the reference model: it knows the rows before the migration (0), after it (1), after the application wrote (2)
// and after the rollback (3), which row is which by its tag, and what the conflicts name.
type judgement struct {
	table     *genTable
	where     *whereTable
	policy    snapshot.Policy
	conflicts []snapshot.Conflict
	halves    bool  // there are two migrations
	twins     []row // without a key: all rows of the tag after the rollback
	gone      []row // that the application deleted, as the migration left them
	bad       []string
}

func (j *judgement) complain(format string, args ...any) {
	j.bad = append(j.bad, j.table.origin+": "+fmt.Sprintf(format, args...))
}

// listed finds the conflicts that name a row by one of its keys.
func (j *judgement) listed(rows ...row) []snapshot.Conflict {
	if len(j.table.key) == 0 {
		return j.conflicts
	}
	var out []snapshot.Conflict
	for _, c := range j.conflicts {
		for _, r := range rows {
			if r != nil && j.names(c, r) {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

func (j *judgement) names(c snapshot.Conflict, r row) bool {
	var parts []string
	for _, k := range j.table.key {
		parts = append(parts, k+"="+keyOf(r[k]))
	}
	var have []string
	for _, part := range strings.Split(c.Key, ", ") {
		name, v, _ := strings.Cut(part, "=")
		have = append(have, name+"="+keyOf(&v))
	}
	return slices.Equal(parts, have)
}

// judge says what does not hold after a rollback.
//
// A row that the migration removed is back, one that it inserted is gone, one that the application inserted stays, one that it
// deleted stays away. A value that the application changed stays (keep), any other one is as it was before the migration.
// Whatever is otherwise is named by a conflict, and every conflict names a row that the application wrote to, or one whose
// place or parent is gone.
func judge(c *trial, policy snapshot.Policy, first, after, later, end map[string]*tableRows, conflicts []snapshot.Conflict) error {
	where := c.where(first)
	var bad []string
	for name, start := range first {
		if name == "heir" || name == "t_low" || name == "t_high" || name == "goose_db_version" {
			continue
		}
		j := &judgement{policy: policy, where: where[name], halves: c.split > 0 && c.split < len(c.steps)}
		j.table = &genTable{origin: name, key: originKey(c, name)}
		by := "tag"
		if name == "l" {
			by = "id"
		}
		for _, x := range conflicts {
			if n := x.Table[strings.LastIndex(x.Table, ".")+1:]; n == name || slices.Contains(where[name].names, n) || name == "t" && (n == "heir" || n == "t_low" || n == "t_high") {
				j.conflicts = append(j.conflicts, x)
			}
		}
		now := where[name].now
		s0, s1, s2, s3 := start.byTag(by), after[now].byTag(by), later[now].byTag(by), end[name].byTag(by)
		if end[name] == nil {
			j.complain("the table is not back")
			bad = append(bad, j.bad...)
			continue
		}
		tags := map[string]bool{}
		for _, s := range []map[string][]row{s0, s1, s2, s3} {
			for tag := range s {
				tags[tag] = true
			}
		}
		for tag, rows := range s1 {
			if len(s2[tag]) == 0 {
				j.gone = append(j.gone, rows...)
			}
		}
		var touched []row
		for tag := range tags {
			one := func(s map[string][]row) row {
				if len(s[tag]) == 0 {
					return nil
				}
				return s[tag][0]
			}
			r0, r1, r2, r3 := one(s0), one(s1), one(s2), one(s3)
			if (r1 == nil) != (r2 == nil) || r1 != nil && r1.String() != r2.String() {
				touched = append(touched, r0, r1, r2)
			}
			if len(s3[tag]) > 1 && (policy != snapshot.Restore || len(j.listed(r0, r1, r2)) == 0) && len(s3[tag]) > max(len(s0[tag]), len(s2[tag])) {
				j.complain("%s is there %d times", tag, len(s3[tag]))
			}
			if j.twins = nil; len(j.table.key) == 0 {
				j.twins = s3[tag]
			}
			j.row(tag, r0, r1, r2, r3)
			for _, twin := range j.twins[min(1, len(j.twins)):] {
				j.row(tag, r0, r1, r2, twin)
			}
		}
		for _, x := range j.conflicts {
			if len(j.table.key) == 0 || strings.Contains(x.Reason, "taken") || strings.Contains(x.Reason, "parent") || strings.Contains(x.Reason, "referenced") ||
				strings.Contains(x.Reason, "not there") || strings.Contains(x.Reason, "by the migration") {
				continue
			}
			if j.halves && x.Reason == "deleted since" && slices.ContainsFunc(j.conflicts, func(y snapshot.Conflict) bool {
				return y.Key == x.Key && (strings.Contains(y.Reason, "taken") || strings.Contains(y.Reason, "parent"))
			}) {
				continue // the rollback of the later migration left it out
			}
			if !slices.ContainsFunc(touched, func(r row) bool { return r != nil && j.names(x, r) }) {
				j.complain("conflict %s (%s) names a row that nobody wrote to", x.Key, x.Reason)
			}
		}
		bad = append(bad, j.bad...)
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return errors.New(strings.Join(bad, "\n"))
}

func originKey(c *trial, name string) []string {
	for _, t := range newTrial(c.seed, c.world.kind).world.first {
		if t.origin == name {
			return t.key
		}
	}
	return nil
}

// row judges one row.
func (j *judgement) row(tag string, r0, r1, r2, r3 row) {
	listed := j.listed(r0, r1, r2, r3)
	switch {
	case r0 == nil && r1 == nil && r2 == nil:
		j.complain("%s came from nowhere: %v", tag, r3)
	case r0 == nil && r1 == nil: // the application's
		if r3 == nil && (j.policy == snapshot.Keep || len(listed) == 0) {
			j.complain("%s, inserted by the application, is gone: %v", tag, r2)
		}
	case r0 == nil && r2 == nil: // the migration's, and deleted by the application
		if r3 != nil {
			j.complain("%s, inserted by the migration and deleted since, is back: %v", tag, r3)
		}
	case r0 == nil: // the migration's
		changed := r1.String() != r2.String()
		if changed && j.sameKnown(r1, r2) && (r3 == nil || j.halves) {
			return // only in columns that the migrations made, which Down captures: the row is the migration's still
		}
		switch {
		case changed && r3 == nil && (j.policy == snapshot.Keep || len(listed) == 0):
			j.complain("%s, inserted by the migration and changed since, is gone: %v", tag, r2)
		case r3 != nil && len(listed) == 0 && alike(r1[j.first()], r2[j.first()]): // with another key it is another row
			j.complain("%s, inserted by the migration, is still there and no conflict: %v", tag, r3)
		}
	case r1 == nil && r2 != nil:
		// The application made a row of the same tag: it is not told apart.
	case r1 == nil: // the migration removed it
		if r3 == nil {
			if len(listed) == 0 {
				j.complain("%s, removed by the migration, is not back and no conflict: %v", tag, r0)
			}
			return
		}
		for c, v0 := range r0 {
			if !alike(v0, r3[c]) && !j.excused(c, r0, r3) {
				j.complain("%s, removed by the migration, is back with %s = %s instead of %s", tag, c, show(r3[c]), show(v0))
			}
		}
	case r2 == nil: // the application deleted it
		if r3 != nil && (j.policy == snapshot.Keep || len(listed) == 0) {
			j.complain("%s, deleted by the application, is back: %v", tag, r3)
		}
	case r3 == nil:
		j.complain("%s is gone: it was %v, then %v", tag, r0, r2)
	default:
		j.values(tag, r0, r1, r2, r3, listed)
		return
	}
	if r0 == nil && r2 != nil && r3 != nil && (j.policy == snapshot.Keep || len(listed) == 0) { // values of a row that stays
		for c, w := range j.where.cols {
			if w.now != "" && r2[w.now] != nil && (r1 == nil || !alike(r1[w.now], r2[w.now])) && !j.excused(c, r2, r3) && !j.remade(r2, w.now) && !alike(w.value(r2[w.now]), r3[c]) {
				j.complain("%s, which stays, has %s = %s instead of %s", tag, c, show(r3[c]), show(w.value(r2[w.now])))
			}
		}
	}
}

// remade tells whether a row of the application's has the key of one that it deleted, and in a column the very value that the migration had
// written there: by all that is captured they are one row, and it goes back (docs/rollback.md).
func (j *judgement) remade(r row, column string) bool {
	return len(j.table.key) > 0 && slices.ContainsFunc(j.gone, func(g row) bool {
		for _, k := range j.table.key {
			if w := j.where.cols[k]; w == nil || !alike(g[w.now], r[w.now]) {
				return false
			}
		}
		return alike(g[column], r[column])
	})
}

// sameKnown tells whether two states of a row differ in nothing that was there before the migrations.
func (j *judgement) sameKnown(a, b row) bool {
	for _, w := range j.where.cols {
		if w.now != "" && !alike(a[w.now], b[w.now]) {
			return false
		}
	}
	return true
}

// excused are columns in which a value may be otherwise: keys that moved, the database's own.
func (j *judgement) excused(c string, r2, r3 row) bool {
	switch c {
	case "id", "pid", "x":
		return keyOf(r2[c]) == keyOf(r3[c])
	case "g":
		return true
	}
	return false
}

// values judges the values of a row that was there all along.
func (j *judgement) values(tag string, r0, r1, r2, r3 row, listed []snapshot.Conflict) {
	touched := r1.String() != r2.String()
	for c, v0 := range r0 {
		w := j.where.cols[c]
		v3 := r3[c]
		if w == nil || c == "g" {
			continue
		}
		at := w.now
		if w.from != "" {
			at = w.from
		}
		v1, there := r1[at]
		v2 := r2[at]
		if !there || at == "" {
			lost := len(j.table.key) == 0 || touched && !alike(r1[j.first()], r2[j.first()]) || slices.ContainsFunc(listed, func(x snapshot.Conflict) bool { return strings.Contains(x.Reason, "taken") })
			if !alike(v3, v0) && !(len(listed) > 0 && lost) {
				j.complain("%s.%s, a column that was dropped, is %s instead of %s", tag, c, show(v3), show(v0))
			}
			continue
		}
		kept := w.value(v2)
		equal := func(a, b *string) bool {
			return alike(a, b) || (c == "id" || c == "pid" || c == "x") && keyOf(a) == keyOf(b)
		}
		switch {
		case alike(v1, v2):
			// A row whose key is taken stays as the migration had it when it moved the key: the line that lists it names the column, too.
			between := equal(v3, v1) && slices.ContainsFunc(listed, func(x snapshot.Conflict) bool {
				return strings.Contains(x.Reason, "taken") && slices.Contains(x.Columns, c)
			})
			if !equal(v3, v0) && !(len(listed) > 0 && equal(v3, kept)) && !between {
				j.complain("%s.%s is %s instead of %s (after the migration %s; the row was written to: %v, conflicts %v)", tag, c, show(v3), show(v0), show(v1), touched, listed)
			}
		case j.policy == snapshot.Keep:
			if !equal(v3, kept) {
				j.complain("%s.%s, which the application set to %s, is %s instead of %s", tag, c, show(v2), show(v3), show(kept))
			}
			if !alike(v0, v1) && !equal(v0, kept) && !equal(w.value(v1), v0) && len(listed) == 0 {
				j.complain("%s.%s was %s, then %s, then the application's %s, and no conflict", tag, c, show(v0), show(v1), show(v2))
			}
		default:
			if !equal(v3, kept) && !(equal(v3, v0) && len(listed) > 0) {
				j.complain("%s.%s is %s, neither %s nor %s with a conflict %v", tag, c, show(v3), show(kept), show(v0), listed)
			}
			restored := len(listed) > 0 && !slices.ContainsFunc(listed, func(x snapshot.Conflict) bool { return x.Resolved != snapshot.Restore })
			// Without a key a row that was changed is one deleted and one inserted: the old one comes back beside it.
			beside := slices.ContainsFunc(j.twins, func(r row) bool { return equal(r[c], v0) })
			if restored && !alike(v0, v1) && !equal(v3, v0) && !equal(kept, v0) && !beside {
				j.complain("%s.%s was restored over, and is %s instead of %s", tag, c, show(v3), show(v0))
			}
		}
	}
}

func (j *judgement) first() string {
	if len(j.table.key) == 0 {
		return "tag"
	}
	return j.table.key[0]
}

// restocked says what of the tables that the migration makes did not come back with the next up: whatever stood in them, the
// rollback had captured it.
func restocked(later, again map[string]*tableRows) error {
	for name, t := range later {
		if !strings.HasPrefix(name, "made") {
			continue
		}
		have := map[string]int{}
		if again[name] == nil {
			return fmt.Errorf("%s is not there", name)
		}
		for _, r := range again[name].rows {
			have[r.String()]++
		}
		for _, r := range t.rows {
			if have[r.String()]--; have[r.String()] < 0 {
				return fmt.Errorf("%s lost %v", name, r)
			}
		}
	}
	return nil
}
