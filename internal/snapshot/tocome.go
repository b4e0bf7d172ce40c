package snapshot

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// What the statements still to come may do decides what can be put back before them.

// insertedInto tells whether a statement still to come inserts rows into a table.
func (r *Restorer) insertedInto(n engine.Name, rest []effects.Statement) bool {
	for _, st := range rest {
		if mentions(st, n) {
			return true // it may
		}
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.Insert, effects.Upsert, effects.Merge, effects.Replace:
				if r.s.sameName(e.Table.Name, n.Name) && (e.Table.Schema == "" || e.Table.Schema == n.Schema) {
					return true
				}
			}
		}
	}
	return false
}

// inserts tells whether a statement still to come inserts rows: triggers may carry them into any table.
func inserts(rest []effects.Statement) bool {
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Insert })
	})
}

// rekeyed tells whether a statement still to come may move keys of a table: a row put back before it would be moved along, and be
// missed, and made once more, in the end.
func (r *Restorer) rekeyed(x *restoring, rest []effects.Statement) bool {
	for _, st := range rest {
		if orders(st, x.Home, "update", "merge into") {
			return true
		}
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.Update, effects.Upsert, effects.Merge:
				if r.s.sameName(e.Table.Name, x.Home.Name) && (e.Table.Schema == "" || e.Table.Schema == x.Home.Schema) && (e.Kind == effects.Update && len(e.Columns) == 0 ||
					slices.ContainsFunc(x.Key, func(f field) bool {
						return slices.ContainsFunc(e.Columns, func(c string) bool { return r.s.sameName(c, f.Name) })
					})) {
					return true
				}
			}
		}
	}
	return false
}

// parentRekeyed tells the same of a table that others point to, when its rows are to come back.
func (r *Restorer) parentRekeyed(n engine.Name, rest []effects.Statement) bool {
	return slices.ContainsFunc(r.tables(), func(y *restoring) bool { return y.Home == n && y.Rows > 0 && len(y.Key) > 0 && r.rekeyed(y, rest) })
}

// parentsCome tells whether captured rows point, by way of others or not, to captured rows of a table that was made anew and that statements still to
// come fill: those are put back after that, and these behind them.
func (r *Restorer) parentsCome(ctx context.Context, q engine.Querier, x *restoring, rest []effects.Statement) (bool, error) {
	family := []*restoring{x}
	for i := 0; i < len(family); i++ {
		for _, y := range r.tables() {
			if y.Rows == 0 || y.settled || y.placed || slices.Contains(family, y) || !slices.Contains(family[i].Parents, y.Home) {
				continue
			}
			family = append(family, y)
			if !r.insertedInto(y.Home, rest) {
				continue
			}
			if t, err := r.inspect(ctx, q, y.Home); err != nil || t != nil && r.made(t, nil) {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// mentions tells whether a statement that cannot be understood has the name of a table in its text.
func mentions(st effects.Statement, n engine.Name) bool {
	return st.Opaque() && strings.Contains(strings.ToLower(st.SQL), strings.ToLower(n.Name))
}

// orders tells whether a statement that cannot be understood has, in its text, one of some verbs right before the name of a table.
func orders(st effects.Statement, n engine.Name, verbs ...string) bool {
	if !mentions(st, n) {
		return false
	}
	for i, v := range verbs {
		verbs[i] = strings.ReplaceAll(v, " ", `\s+`)
	}
	const quote = "[\"`]?"
	return regexp.MustCompile(`(?i)\b(` + strings.Join(verbs, "|") + `)\s+(only\s+)?(` + quote + `[\w$]+` + quote + `\s*\.\s*)?` + quote + regexp.QuoteMeta(n.Name) + `($|[^\w$])`).MatchString(st.SQL)
}

// touchedBy tells whether a statement still to come writes to a table.
func (r *Restorer) touchedBy(n engine.Name, rest []effects.Statement) bool {
	for _, st := range rest {
		for _, e := range st.Effects {
			if (e.Kind == effects.Update || e.Kind == effects.Delete || e.Kind == effects.Opaque) && (e.Table.Name == "" || r.s.sameName(e.Table.Name, n.Name)) {
				return true
			}
		}
	}
	return false
}

// droppedBy tells whether a statement still to come drops a table: another one may be made of it.
func (r *Restorer) droppedBy(n engine.Name, rest []effects.Statement) bool {
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind == effects.DropTable && r.s.sameName(e.Table.Name, n.Name)
		})
	})
}

// renamed tells whether a statement still to come gives a table another name, under which others may write to it.
func (r *Restorer) renamed(n engine.Name, rest []effects.Statement) bool {
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind == effects.RenameTable && r.s.sameName(e.Table.Name, n.Name)
		})
	})
}

// reached tells whether foreign keys of captured tables carry what statements do to other tables on to that of a capture, by way of others if need be.
func (r *Restorer) reached(x *restoring, by []effects.Statement) bool {
	written := func(n engine.Name) bool {
		return slices.ContainsFunc(by, func(st effects.Statement) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
				return (e.Kind == effects.Delete || e.Kind == effects.Update) && r.s.sameName(e.Table.Name, n.Name)
			})
		})
	}
	var seen []engine.Name
	var to func(n engine.Name, keys []engine.ForeignKey) bool
	to = func(n engine.Name, keys []engine.ForeignKey) bool {
		if seen = append(seen, n); len(seen) > len(r.captures) {
			return false
		}
		return slices.ContainsFunc(keys, func(fk engine.ForeignKey) bool {
			if !carries(fk.OnDelete) && !carries(fk.OnUpdate) || slices.Contains(seen, fk.Parent) {
				return false
			}
			return written(fk.Parent) || slices.ContainsFunc(r.captures, func(y *restoring) bool {
				return y.Shape != nil && y.Home == fk.Parent && to(y.Home, y.Shape.ForeignKeys)
			})
		})
	}
	return x.Shape != nil && to(x.Home, x.Shape.ForeignKeys)
}

// carriedTo gives the statements still to come up to the last one of which a foreign key of a captured table carries on what becomes of the rows that it points to.
func (r *Restorer) carriedTo(x *restoring, rest []effects.Statement) []effects.Statement {
	last := -1
	for i, st := range rest {
		if x.Shape != nil && slices.ContainsFunc(x.Shape.ForeignKeys, func(fk engine.ForeignKey) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
				return r.s.sameName(e.Table.Name, fk.Parent.Name) && (e.Kind == effects.Delete && carries(fk.OnDelete) || e.Kind == effects.Update && carries(fk.OnUpdate) &&
					(len(e.Columns) == 0 || slices.ContainsFunc(fk.ParentColumns, func(n string) bool {
						return slices.ContainsFunc(e.Columns, func(c string) bool { return r.s.sameName(c, n) })
					})))
			})
		}) {
			last = i
		}
	}
	return rest[:last+1]
}

// emptiedBy tells whether one of some statements empties a table.
func (r *Restorer) emptiedBy(n engine.Name, rest []effects.Statement) bool {
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind == effects.Truncate && r.s.sameName(e.Table.Name, n.Name)
		})
	})
}

// constrains tells whether a statement may fail on rows that do not have their old values back yet.
func constrains(st effects.Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.SetNotNull || e.Kind == effects.AddConstraint || e.Kind == effects.ValidateConstraint || e.Kind == effects.Create && e.Index != nil && e.Index.Unique
	})
}

// retypes tells whether a statement reads values of a column anew, as another type.
func retypes(st effects.Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.AlterColumnType })
}

// runsAsBefore tells whether, in an up that follows a rollback, a statement still to come reads rows. It is to find what it found the
// first time: nothing of what was written since into what Up makes. What a constraint before it needs goes back at once all the same.
func (r *Restorer) runsAsBefore(rest []effects.Statement) bool {
	if r.capturer == nil || r.capturer.meta.Direction != "up" || !r.s.db.Caps.TransactionalDDL {
		return false
	}
	for _, st := range rest {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.Update, effects.Delete, effects.Upsert, effects.Merge, effects.Replace, effects.Opaque:
				return true
			case effects.Insert:
				if len(e.Sources) > 0 || e.Fills != nil {
					return true
				}
			}
		}
		if constrains(st) {
			return false
		}
	}
	return false
}

// renames tells whether a statement still to come gives a column the name of a captured one that is not there.
func (r *Restorer) renames(x *restoring, t *engine.Table, rest []effects.Statement) bool {
	return slices.ContainsFunc(x.Fields, func(f field) bool {
		return columnIndex(t, r.column(t, f.Name)) < 0 && slices.ContainsFunc(rest, func(st effects.Statement) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
				return e.Kind == effects.RenameColumn && r.s.sameName(e.NewName.Name, f.Name)
			})
		})
	})
}

// loosened tells whether a statement still to come may take a constraint from a table.
func (r *Restorer) loosened(n engine.Name, rest []effects.Statement) bool {
	for _, st := range rest {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.DropNotNull, effects.DropConstraint, effects.AlterColumnType:
				if r.s.sameName(e.Table.Name, n.Name) {
					return true
				}
			case effects.Drop:
				if e.Object.Kind == "index" || e.Object.Kind == "constraint" {
					return true
				}
			}
		}
	}
	return false
}

// partitionsCome tells whether a statement still to come makes or attaches a partition.
func partitionsCome(rest []effects.Statement) bool {
	for _, st := range rest {
		for _, e := range st.Effects {
			if e.Kind == effects.AttachPartition || e.Kind == effects.CreateTable && e.Define != nil && e.Define.PartitionOf.Name != "" {
				return true
			}
		}
	}
	return false
}

// Has tells whether something of a table, as it was called when the migration began, is to go back.
func (r *Restorer) Has(n engine.Name) bool {
	return slices.ContainsFunc(r.captures, func(x *restoring) bool { return x.Home == n && x.Kind != Definition })
}

// within tells whether the rows of a capture are rows of a table: its own, or those of one of its partitions.
func (r *Restorer) within(ctx context.Context, tx engine.Querier, x *restoring, n engine.Name) (bool, error) {
	for home, up := x.Home, x.Shape.Parent; ; {
		if home == n {
			return true, nil
		}
		if up.Name == "" {
			return false, nil
		}
		t, err := r.inspect(ctx, tx, up)
		if err != nil {
			return false, err
		}
		if home, up = up, (engine.Name{}); t != nil {
			up = t.Parent
		}
	}
}

// destroys tells whether a statement still to come may destroy rows, which its capture would then hold.
func destroys(rest []effects.Statement) bool {
	return slices.ContainsFunc(rest, func(st effects.Statement) bool { return st.DestroysData() || st.Opaque() })
}
