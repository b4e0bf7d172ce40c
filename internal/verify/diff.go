package verify

import (
	"cmp"
	"maps"
	"slices"
)

// Diff lists the objects that differ, sorted by kind and name. A column that only moved, and a pair of objects
// that differ only in a name that the engine made up, are cosmetic; such a pair is one difference.
func Diff(before, after Fingerprint) []Difference {
	if before.same(after) {
		return nil
	}
	var out []Difference
	var lost, found []Object
	for _, key := range slices.Sorted(maps.Keys(before)) {
		b := before[key]
		a, ok := after[key]
		switch {
		case !ok:
			lost = append(lost, b)
		case a.Definition != b.Definition:
			out = append(out, Difference{Kind: b.Kind, Object: b.Name, Before: b.Definition, After: a.Definition})
		case a.Position != b.Position:
			out = append(out, Difference{
				Kind: b.Kind, Object: b.Name, Cosmetic: true,
				Before: positioned(b), After: positioned(a),
			})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[key]; !ok {
			found = append(found, after[key])
		}
	}
	for _, b := range lost {
		i := slices.IndexFunc(found, func(a Object) bool { return SameButName(b, a) })
		if i < 0 {
			out = append(out, Difference{Kind: b.Kind, Object: b.Name, Before: shown(b)})
			continue
		}
		out = append(out, Difference{
			Kind: b.Kind, Object: b.Name, Cosmetic: true,
			Before: b.Name + ": " + b.Definition, After: found[i].Name + ": " + found[i].Definition,
		})
		found = slices.Delete(found, i, i+1)
	}
	for _, a := range found {
		out = append(out, Difference{Kind: a.Kind, Object: a.Name, After: shown(a)})
	}
	slices.SortFunc(out, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object))
	})
	return out
}

// shown is the definition, never empty: an empty side of a Difference means that the object is missing.
func shown(o Object) string { return cmp.Or(o.Definition, o.Kind) }

func positioned(o Object) string {
	return o.Definition + " (column " + itoa(o.Position) + ")"
}

// SameButName tells whether two objects are one, but for a name of which the engine made up at least one.
func SameButName(a, b Object) bool {
	return (a.Generated || b.Generated) && a.Kind == b.Kind && a.Table == b.Table && a.Definition == b.Definition
}

// same tells whether there is no difference at all.
func (f Fingerprint) same(other Fingerprint) bool {
	if len(f) != len(other) {
		return false
	}
	for key, o := range f {
		if x, ok := other[key]; !ok || x.Definition != o.Definition || x.Position != o.Position {
			return false
		}
	}
	return true
}
