package lint

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// typeBase is a type without its length.
func typeBase(t string) string {
	base, _, _ := strings.Cut(strings.ToLower(t), "(")
	base, _, _ = strings.Cut(base, " character set ") // of MySQL
	return strings.TrimSpace(strings.TrimSuffix(base, " binary"))
}

func describeColumn(c *Column) string {
	s := c.Type
	if c.Serial {
		s += " (sequence)"
	}
	if c.NotNull {
		s += " NOT NULL"
	}
	if c.HasDefault && c.Default != "" {
		s += " DEFAULT " + strings.Join(strings.Fields(c.Default), " ")
	}
	return s
}

func describeConstraint(c *Constraint) string {
	s := c.Kind
	if c.Kind != "check" && len(c.Columns) > 0 {
		s += " (" + strings.Join(c.Columns, ", ") + ")"
	}
	if c.Kind == "foreign key" {
		s += " to " + c.Parent.Name
		if c.OnDelete != "" && c.OnDelete != "NO ACTION" {
			s += " on delete " + strings.ToLower(c.OnDelete)
		}
		if c.OnUpdate != "" && c.OnUpdate != "NO ACTION" {
			s += " on update " + strings.ToLower(c.OnUpdate)
		}
	}
	if c.Expression != "" {
		s += " " + strings.Join(strings.Fields(c.Expression), " ")
	}
	if c.Deferrable {
		s += " deferrable"
	}
	return s
}

func describeIndex(x *Index) string {
	cols := make([]string, len(x.Columns))
	for i, c := range x.Columns {
		cols[i] = strings.TrimSpace(c + " " + x.mode(i))
	}
	s := pick(x.Unique, "unique index", "index") + " (" + strings.Join(cols, ", ") + ")"
	if x.Method != "" && x.Method != "btree" {
		s += " using " + x.Method
	}
	if len(x.Include) > 0 {
		s += " include (" + strings.Join(x.Include, ", ") + ")"
	}
	if x.NullsNotDistinct {
		s += " nulls not distinct"
	}
	if x.Where != "" {
		s += " where " + strings.Join(strings.Fields(x.Where), " ")
	}
	return s
}

func describeObject(o *Object) string {
	if o.Values != nil {
		return "values " + strings.Join(o.Values, ", ")
	}
	return "another definition"
}

// sortedKeys gives the keys of objects in an order of their own.
func sortedKeys(objects iter.Seq2[objectKey, *Object]) []objectKey {
	var out []objectKey
	for k := range objects {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

func compareKeys(a, b objectKey) int {
	return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.table.Schema, b.table.Schema), strings.Compare(a.table.Name, b.table.Name),
		strings.Compare(a.name.Schema, b.name.Schema), strings.Compare(a.name.Name, b.name.Name), strings.Compare(a.args, b.args))
}
