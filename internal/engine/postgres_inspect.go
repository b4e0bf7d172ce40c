package engine

import "strings"

// postgresTable is the answer of postgres_inspect.sql and of postgresResolve.
type postgresTable struct {
	OID         uint32         `json:"oid"`
	Schema      string         `json:"schema"`
	Name        string         `json:"name"`
	Relkind     string         `json:"relkind"`
	Persistence string         `json:"persistence"`
	Partition   bool           `json:"partition"`
	Owner       string         `json:"owner"`
	RowSecurity bool           `json:"row_security"`
	Rows        int64          `json:"rows"`
	Bytes       int64          `json:"bytes"`
	Columns     []postgresCol  `json:"columns"`
	Keys        []postgresKey  `json:"keys"`
	ForeignKeys []postgresFK   `json:"foreign_keys"`
	Triggers    []postgresTrig `json:"triggers"`
	Rules       bool           `json:"rules"`
	Calls       string         `json:"calls"`
	Children    []Name         `json:"children"`
	Parent      Name           `json:"parent"`
	Heir        bool           `json:"heir"`
}

type postgresCol struct {
	Name      string `json:"name"`
	Ordinal   int    `json:"ordinal"`
	Type      string `json:"type"`
	NotNull   bool   `json:"not_null"`
	Default   string `json:"default"`
	Generated bool   `json:"generated"`
	Identity  string `json:"identity"`
	Portable  bool   `json:"portable"`
	Collation string `json:"collation"`
	Sequence  Name   `json:"sequence"`
}

type postgresKey struct {
	Name    string   `json:"name"`
	Primary bool     `json:"primary"`
	Columns []string `json:"columns"`
	Solid   bool     `json:"solid"` // no column can be NULL
}

type postgresFK struct {
	Name          string   `json:"name"`
	Table         Name     `json:"table"`
	Parent        Name     `json:"parent"`
	Columns       []string `json:"columns"`
	ParentColumns []string `json:"parent_columns"`
	OnDelete      string   `json:"on_delete"`
	OnUpdate      string   `json:"on_update"`
	Deferrable    bool     `json:"deferrable"`
	Deferred      bool     `json:"deferred"`
	Validated     bool     `json:"validated"`
	Period        bool     `json:"period"`
	From          bool     `json:"from"`
	To            bool     `json:"to"`
}

type postgresTrig struct {
	Name    string `json:"name"`
	Enabled string `json:"enabled"`
	Type    int    `json:"type"`
	SQL     string `json:"sql"`
}

func (r *postgresTable) table() *Table {
	t := &Table{
		Name: Name{Schema: r.Schema, Name: r.Name}, OID: r.OID, Kind: r.kind(), Rules: r.Rules, Calls: r.Calls,
		Children: r.Children, Parent: r.Parent, Heir: r.Heir, Rows: r.Rows, Bytes: r.Bytes, Owner: r.Owner, RowSecurity: r.RowSecurity,
	}
	for _, c := range r.Columns {
		col := Column{
			Name: c.Name, Ordinal: c.Ordinal, Type: c.Type, NotNull: c.NotNull, Default: c.Default, Generated: c.Generated,
			Identity: c.Identity, Portable: c.Portable, Collation: c.Collation, Sequence: c.Sequence,
		}
		if c.Portable {
			col.Base = c.Type
		}
		t.Columns = append(t.Columns, col)
	}
	for _, k := range r.Keys {
		if key := (Key{Name: k.Name, Primary: k.Primary, Columns: k.Columns}); k.Solid {
			t.Keys = append(t.Keys, key)
		} else {
			t.Unique = append(t.Unique, key)
		}
	}
	for _, f := range r.ForeignKeys {
		fk := ForeignKey{
			Name: f.Name, Table: f.Table, Columns: f.Columns, Parent: f.Parent, ParentColumns: f.ParentColumns,
			OnDelete: action[f.OnDelete], OnUpdate: action[f.OnUpdate],
			Deferrable: f.Deferrable, Deferred: f.Deferred, Validated: f.Validated, Period: f.Period,
		}
		if f.From {
			t.ForeignKeys = append(t.ForeignKeys, fk)
		}
		if f.To {
			t.Referenced = append(t.Referenced, fk)
		}
	}
	for _, g := range r.Triggers {
		t.Triggers = append(t.Triggers, Trigger{
			Name: g.Name, Enabled: g.Enabled, SQL: g.SQL,
			Before: g.Type&(tgRow|tgBefore) == tgRow|tgBefore, Events: events(g.Type),
		})
	}
	return t
}

func (r *postgresTable) kind() string {
	switch {
	case r.Relkind == "p":
		return "partitioned"
	case r.Relkind == "v":
		return "view"
	case r.Relkind == "m":
		return "materialized view"
	case r.Relkind == "f":
		return "foreign"
	case r.Persistence == "t":
		return "temporary"
	case r.Partition:
		return "partition"
	}
	return "table"
}

// action spells pg_constraint.confdeltype and confupdtype.
var action = map[string]string{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

// The bits of pg_trigger.tgtype.
const (
	tgRow = 1 << iota
	tgBefore
	tgInsert
	tgDelete
	tgUpdate
	tgTruncate
)

func events(tgtype int) string {
	var on []string
	for _, e := range []struct {
		bit  int
		name string
	}{{tgInsert, "INSERT"}, {tgUpdate, "UPDATE"}, {tgDelete, "DELETE"}, {tgTruncate, "TRUNCATE"}} {
		if tgtype&e.bit != 0 {
			on = append(on, e.name)
		}
	}
	return strings.Join(on, ",")
}
