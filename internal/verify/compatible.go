package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Finding is one thing in which captured rows and the table of now differ.
type Finding struct {
	Kind    string `json:"kind"`
	Object  string `json:"object"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
	Rows    int64  `json:"rows"`           // captured rows that it concerns
	Blocks  bool   `json:"blocks"`         // rows cannot be put back as things are
	Flag    string `json:"flag,omitempty"` // what makes them fit: "--map old=new", "--columns …"
}

// Compatibility sums findings up: "compatible", "compatible with --map a=b", "incompatible".
func Compatibility(fs []Finding) string {
	var flags []string
	for _, f := range fs {
		switch {
		case !f.Blocks:
		case f.Flag == "":
			return "incompatible"
		case !slices.Contains(flags, f.Flag):
			flags = append(flags, f.Flag)
		}
	}
	if len(flags) > 0 {
		return "compatible with " + strings.Join(flags, " ")
	}
	return "compatible"
}

// Blocked tells whether any finding stands in the way.
func Blocked(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Blocks })
}

// Captured is one captured column on its way into a table of now.
type Captured struct {
	Name  string // of the column of now that it goes into
	Type  string // when it was captured
	Num   string // identity of the column, stable across renames; "" where there is none
	Decl  string // what its values are kept as
	Ref   string // a value, in SQL over From
	Asked bool   // it is to be written
	// Round gives the value that a reference stands for in a form that can be hashed, and the same after it went through the type of now.
	Round func(ref string) (kept, again string)
}

// Fit is the question whether captured rows fit into a table of now.
type Fit struct {
	Now     *engine.Table
	Same    bool // it is the table that was captured, not another of its name
	Columns []Captured
	Key     []string // by which its rows were known, names of now; none: it had no key
	From    string   // FROM item of the captured rows
}

// Shape compares columns and keys; it reads nothing.
func (f Fit) Shape(db *engine.DB) []Finding {
	var out []Finding
	var there []string
	for _, c := range f.Columns {
		if i := index(f.Now, c.Name); i >= 0 && c.Asked {
			there = append(there, f.Now.Columns[i].Name)
		}
	}
	for _, c := range f.Columns {
		if !c.Asked {
			continue
		}
		i := index(f.Now, c.Name)
		if i < 0 {
			out = append(out, f.missing(c, there))
			continue
		}
		if f.Now.Columns[i].Generated {
			out = append(out, Finding{Kind: "generated column", Object: f.column(c.Name), Message: fmt.Sprintf("%s is computed now: its captured values are not written", f.column(c.Name)),
				Remedy: "nothing to do; --mode copy shows the captured values"})
		}
	}
	known := f.Now.Keys
	for _, k := range f.Now.Unique { // a primary key of SQLite that came to hold NULL: no captured row has one
		if k.Primary {
			known = append(slices.Clip(known), k)
		}
	}
	if len(f.Key) > 0 && !slices.ContainsFunc(known, func(k engine.Key) bool { return sameColumns(k.Columns, f.Key) }) {
		out = append(out, Finding{Kind: "key", Object: f.Now.Name.String(), Blocks: true,
			Message: fmt.Sprintf("rows of %s were known by (%s), which is not a key of it any more", f.Now.Name, strings.Join(f.Key, ", ")),
			Remedy:  "make it a primary or unique key (NOT NULL) again, or look at the rows with --mode copy --into NAME"})
	}
	return out
}

func (f Fit) column(name string) string { return f.Now.Name.String() + "." + name }

// missing says what became of a column that has no place now.
func (f Fit) missing(c Captured, there []string) Finding {
	out := Finding{Kind: "missing column", Object: f.column(c.Name), Blocks: true}
	var alike []string
	for _, n := range f.Now.Columns {
		if slices.ContainsFunc(f.Columns, func(o Captured) bool { return strings.EqualFold(o.Name, n.Name) }) || n.Generated {
			continue
		}
		if f.Same && c.Num != "" && c.Num == fmt.Sprint(n.Ordinal) && f.Now.OID != 0 {
			out.Kind, out.Flag = "renamed column", "--map "+c.Name+"="+n.Name
			out.Message = fmt.Sprintf("%s is called %s now", f.column(c.Name), n.Name)
			out.Remedy = out.Flag
			return out
		}
		if n.Type == c.Type {
			alike = append(alike, n.Name)
		}
	}
	out.Message = fmt.Sprintf("%s is gone", f.column(c.Name))
	out.Flag = "--columns " + strings.Join(there, ",")
	out.Remedy = out.Flag + " leaves it out"
	if len(alike) > 0 {
		out.Remedy = fmt.Sprintf("--map %s=%s if that is its name now; %s", c.Name, alike[0], out.Remedy)
	}
	if len(there) == 0 {
		out.Flag, out.Remedy = "", "look at the rows with --mode copy --into NAME"
	}
	return out
}

// Values counts the captured values that do not fit into the columns of now: those that their types refuse, and those that they would
// change.
func (f Fit) Values(ctx context.Context, db *engine.DB, q engine.Querier) ([]Finding, error) {
	v, err := verifier(db)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, c := range f.Columns {
		i := index(f.Now, c.Name)
		if i < 0 || !c.Asked || f.Now.Columns[i].Generated {
			continue
		}
		now := f.Now.Columns[i]
		if now.Type == c.Type && now.Portable {
			continue
		}
		n, err := v.misfits(ctx, q, f, c, now)
		if err != nil {
			return nil, fmt.Errorf("compare %s with what was captured: %w", f.column(c.Name), err)
		}
		if n > 0 {
			out = append(out, Finding{Kind: "type", Object: f.column(c.Name), Rows: n, Blocks: true,
				Message: fmt.Sprintf("%s was %s and is %s: %d captured value(s) do not fit into it", f.column(c.Name), orNone(c.Type), orNone(now.Type), n),
				Remedy:  "make the column wide enough, or leave it out with --columns, or look at the rows with --mode copy --into NAME"})
		}
	}
	return out, nil
}

func orNone(kind string) string {
	if kind == "" {
		return "without a type"
	}
	return kind
}

// Rows counts the rows that the table would refuse. from is a FROM item of the rows as they would be, with the names of now; inserted
// is the condition on it that a row is a new one.
func (f Fit) Rows(ctx context.Context, db *engine.DB, q engine.Querier, from, inserted string) ([]Finding, error) {
	v, err := verifier(db)
	if err != nil {
		return nil, err
	}
	var out []Finding
	count := func(where string) (n int64, err error) {
		err = q.QueryRowContext(ctx, "SELECT count(*) FROM "+from+" WHERE "+where).Scan(&n)
		return n, err
	}
	for _, c := range f.Now.Columns {
		captured := slices.ContainsFunc(f.Columns, func(x Captured) bool { return x.Asked && strings.EqualFold(x.Name, c.Name) })
		if !c.NotNull || c.Generated || !captured && (c.Default != "" || c.Identity != "") {
			continue
		}
		if !captured && len(f.Now.Keys) > 0 && f.Now.RowID && slices.Equal(f.Now.Keys[0].Columns, []string{c.Name}) {
			continue // a rowid fills itself
		}
		where := db.Ident(c.Name) + " IS NULL"
		if !captured {
			where = inserted
		}
		n, err := count(where)
		if err != nil {
			return nil, fmt.Errorf("compare %s with what was captured: %w", f.column(c.Name), err)
		}
		switch {
		case n == 0:
		case captured:
			out = append(out, Finding{Kind: "not null", Object: f.column(c.Name), Rows: n, Blocks: true,
				Message: fmt.Sprintf("%s takes no NULL now, and %d captured row(s) have one", f.column(c.Name), n), Remedy: "ALTER TABLE … DROP NOT NULL, or leave these rows out with --where"})
		default:
			out = append(out, Finding{Kind: "new column", Object: f.column(c.Name), Rows: n, Blocks: true,
				Message: fmt.Sprintf("%s is new, takes no NULL and has no default: %d row(s) that are gone cannot come back without a value for it", f.column(c.Name), n), Remedy: "give the column a DEFAULT, or look at the rows with --mode copy --into NAME"})
		}
	}
	checks, err := v.checks(ctx, q, f.Now)
	if err != nil {
		return nil, fmt.Errorf("read the checks of %s: %w", f.Now.Name, err)
	}
	for _, c := range checks {
		n, err := count("NOT (" + c.expr + ")")
		if err != nil {
			return nil, fmt.Errorf("try %s of %s on what was captured: %w", c.name, f.Now.Name, err)
		}
		if n > 0 {
			out = append(out, Finding{Kind: c.kind, Object: c.name, Rows: n, Blocks: true, Message: fmt.Sprintf(c.message, n, f.Now.Name), Remedy: c.remedy})
		}
	}
	return out, nil
}

// rowCheck is a condition that every row of a table fulfils.
type rowCheck struct{ kind, name, expr, message, remedy string }

func checkOf(name, expr string) rowCheck {
	if name == "" {
		name = "CHECK (" + expr + ")"
	}
	return rowCheck{kind: "check", name: name, expr: expr, message: "%d captured row(s) break the check " + strings.ReplaceAll(name, "%", "%%") + " of %s",
		remedy: "leave these rows out with --where, drop the check, or look at the rows with --mode copy --into NAME"}
}

func index(t *engine.Table, name string) int {
	if i := slices.IndexFunc(t.Columns, func(c engine.Column) bool { return c.Name == name }); i >= 0 || t.OID != 0 {
		return i
	}
	return slices.IndexFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, name) })
}

func sameColumns(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x string) bool {
		return !slices.ContainsFunc(b, func(y string) bool { return strings.EqualFold(x, y) })
	})
}
