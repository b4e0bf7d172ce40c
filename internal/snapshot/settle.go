package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// unchain joins the writes of one statement to the same row: what counts is how the row was before the first
// and where it is after the last. Triggers and cascades do not report in the order in which they wrote, so
// one write follows another when it found the row exactly as the other left it.
func (c *Capturer) unchain(ctx context.Context, tx engine.Querier, x *capture) error {
	data := c.s.own(x.data())
	if x.events.update { // an update that left the row as it was is no link of a chain
		if _, err := exec(ctx, tx, "follow rows", fmt.Sprintf("DELETE FROM %s WHERE op = 'u' AND b = a", data)); err != nil {
			return err
		}
	}
	links, err := number(ctx, tx, "follow rows", fmt.Sprintf("SELECT count(*) FROM %s y JOIN %s z ON z.b = y.a WHERE z.n <> y.n", data, data))
	if err != nil {
		return err
	}
	if links > 0 {
		if err := c.follow(ctx, tx, x); err != nil {
			return err
		}
	}
	// A row removed and another one put under its key: the place holds a row before and after.
	for _, q := range []string{
		fmt.Sprintf("UPDATE %s SET op = 'u' WHERE op = 'd' AND EXISTS (SELECT 1 FROM %s i WHERE i.op = 'i' AND %s)", data, data, c.sameKey(x, "i", x.data())),
		fmt.Sprintf("DELETE FROM %s WHERE op = 'i' AND EXISTS (SELECT 1 FROM %s i WHERE i.op = 'u' AND %s)", data, data, c.sameKey(x, "i", x.data())),
	} {
		if !x.events.insert || !x.events.remove {
			break
		}
		if _, err := exec(ctx, tx, "follow rows", q); err != nil {
			return err
		}
	}
	// An update that left the row as it was.
	if x.events.update {
		if _, err := exec(ctx, tx, "follow rows", fmt.Sprintf("DELETE FROM %s WHERE op = 'u' AND b = a", data)); err != nil {
			return err
		}
	}
	return nil
}

// sameKey compares the place of another entry with that of the row of the data table, by bytes: both are kept values.
func (c *Capturer) sameKey(x *capture, other, data string) string {
	var parts []string
	for i := range x.Key {
		parts = append(parts, other+"."+k(i)+" = "+c.s.own(data)+"."+k(i))
	}
	return all(parts...)
}

// follow collapses chains of writes.
func (c *Capturer) follow(ctx context.Context, tx engine.Querier, x *capture) error {
	data := c.s.own(x.data())
	twice, err := number(ctx, tx, "follow rows", fmt.Sprintf(
		"SELECT count(*) FROM (SELECT 1 FROM %s WHERE a IS NOT NULL GROUP BY a HAVING count(*) > 1 UNION ALL SELECT 1 FROM %s WHERE b IS NOT NULL GROUP BY b HAVING count(*) > 1) y", data, data))
	if err != nil {
		return err
	}
	if twice > 0 {
		return c.part(ctx, tx, x)
	}
	// From each first write to the last one of the same row. A ring (a row that came back to what it was) has no
	// first write, changes nothing and falls out.
	chain := c.s.own("dbrollback_work_" + compact(x.ID))
	if _, err := exec(ctx, tx, "follow rows", "CREATE TABLE "+chain+" (first bigint, step bigint)"); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "follow rows", fmt.Sprintf(`INSERT INTO %[1]s (first, step)
WITH RECURSIVE f(first, last, a) AS (
	SELECT n, n, a FROM %[2]s y WHERE y.b IS NULL OR NOT EXISTS (SELECT 1 FROM %[2]s z WHERE z.a = y.b)
	UNION ALL
	SELECT f.first, y.n, y.a FROM f JOIN %[2]s y ON y.b = f.a
) SELECT f.first, f.last FROM f WHERE f.a IS NULL OR NOT EXISTS (SELECT 1 FROM %[2]s z WHERE z.b = f.a)`, chain, data)); err != nil {
		return err
	}
	sets := []string{"a = (SELECT l.a FROM %[2]s w JOIN %[1]s l ON l.n = w.step WHERE w.first = %[1]s.n)",
		"op = (SELECT CASE WHEN l.op = 'd' THEN 'd' WHEN %[1]s.op = 'i' THEN 'i' ELSE 'u' END FROM %[2]s w JOIN %[1]s l ON l.n = w.step WHERE w.first = %[1]s.n)"}
	for i := range x.Key {
		// A row that is gone is looked for where it was first: that is where it comes back.
		sets = append(sets, fmt.Sprintf("%[3]s = (SELECT CASE WHEN l.op = 'd' AND %[1]s.op <> 'i' THEN %[1]s.%[4]s ELSE l.%[3]s END FROM %[2]s w JOIN %[1]s l ON l.n = w.step WHERE w.first = %[1]s.n)",
			data, chain, k(i), x.old(i)))
	}
	sets[0], sets[1] = fmt.Sprintf(sets[0], data, chain), fmt.Sprintf(sets[1], data, chain)
	for _, q := range []string{
		// First what begins and ends in nothing: rows inserted and removed again by the same statement.
		fmt.Sprintf("UPDATE %[1]s SET op = 'x' WHERE op = 'i' AND EXISTS (SELECT 1 FROM %[2]s w JOIN %[1]s l ON l.n = w.step WHERE w.first = %[1]s.n AND l.op = 'd')", data, chain),
		fmt.Sprintf("UPDATE %[1]s SET %[3]s WHERE op <> 'x' AND EXISTS (SELECT 1 FROM %[2]s w WHERE w.first = %[1]s.n AND w.step <> w.first)", data, chain, list(sets)),
		fmt.Sprintf("DELETE FROM %[1]s WHERE op = 'x' OR NOT EXISTS (SELECT 1 FROM %[2]s w WHERE w.first = %[1]s.n)", data, chain),
		"DROP TABLE " + chain,
	} {
		if _, err := exec(ctx, tx, "follow rows", q); err != nil {
			return err
		}
	}
	return nil
}

// part turns a tangle that cannot be followed (the same image written twice) into its net effect: rows that were
// there before all writes and not after come back, rows that are there after and were not before go.
func (c *Capturer) part(ctx context.Context, tx engine.Querier, x *capture) error {
	data, work := c.s.own(x.data()), c.s.own("dbrollback_work_"+compact(x.ID))
	names, _ := x.columns()
	gone, come := []string{"'d'"}, []string{"'i'"}
	for i := range x.Key {
		gone, come = append(gone, x.old(i)), append(come, k(i))
	}
	if x.Moved {
		for i := range x.Key {
			gone, come = append(gone, o(i)), append(come, k(i))
		}
	}
	for i := range x.Fields {
		gone, come = append(gone, x.v(i)), append(come, x.v(i))
	}
	names = append(names, "b", "a")
	for i := range gone {
		gone[i] += " AS " + append(names, "", "")[i]
	}
	net := func(this, that string) string {
		return fmt.Sprintf("n = (SELECT min(z.n) FROM %[1]s z WHERE z.%[2]s = y.%[2]s) AND (SELECT count(*) FROM %[1]s z WHERE z.%[2]s = y.%[2]s) > (SELECT count(*) FROM %[1]s z WHERE z.%[3]s = y.%[2]s)", data, this, that)
	}
	for _, q := range []string{
		// What a row became is not what the write that first found it made of it.
		fmt.Sprintf("CREATE TABLE %s AS SELECT %s, b, CASE WHEN 1 = 0 THEN a END AS a FROM %s y WHERE %s", work, list(gone), data, net("b", "a")),
		fmt.Sprintf("INSERT INTO %s (%s) SELECT %s, CASE WHEN 1 = 0 THEN b END, a FROM %s y WHERE %s", work, list(names), list(come), data, net("a", "b")),
		"DELETE FROM " + data,
		fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", data, list(names), list(names), work),
		"DROP TABLE " + work,
	} {
		if _, err := exec(ctx, tx, "follow rows", q); err != nil {
			return err
		}
	}
	return nil
}

// reduce keeps of a copy of all rows those that the statement changed or removed, and adds those that it inserted. Of a table that
// is another one now nothing is taken off; of one that lost a column all rows are changed.
func (c *Capturer) reduce(ctx context.Context, tx engine.Querier, x *capture) error {
	if c.s.f.reduce != nil {
		return c.s.f.reduce(ctx, c, tx, x)
	}
	t, err := c.s.db.Inspect(ctx, tx, x.At)
	if errors.Is(err, engine.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	if identity(t) != x.Identity && t.OID != 0 || slices.ContainsFunc(x.Key, func(f field) bool { return columnIndex(t, f.At) < 0 }) {
		return nil
	}
	data := c.s.own(x.data())
	from := c.s.f.from(c.s.db, t)
	at := func(i int) string { return x.Key[i].At }
	on := c.s.on(x, t, "t", "d", at, k)
	var kept, live []string
	whole := true
	for i, f := range x.Fields {
		j := columnIndex(t, f.At)
		if whole = whole && j >= 0 && c.s.typed(t.Columns[j]) == f.Type; !whole {
			break
		}
		kept = append(kept, c.s.image("d."+x.v(i), f))
		live = append(live, c.s.image(c.s.f.value("t."+c.s.q(f.At), f), f))
	}
	var keys, values []string
	for i, f := range x.Key {
		keys = append(keys, k(i))
		values = append(values, c.s.f.value("t."+c.s.q(f.At), f))
	}
	queries := []string{
		fmt.Sprintf("INSERT INTO %[1]s (op, %[2]s) SELECT 'i', %[3]s FROM %[4]s t WHERE NOT EXISTS (SELECT 1 FROM %[1]s d WHERE %[5]s)", data, list(keys), list(values), from, on),
		fmt.Sprintf("UPDATE %[1]s SET op = 'd' WHERE op = 'u' AND n IN (SELECT d.n FROM %[1]s d WHERE NOT EXISTS (SELECT 1 FROM %[2]s t WHERE %[3]s))", data, from, on),
	}
	if whole {
		queries = append(queries, fmt.Sprintf("DELETE FROM %[1]s WHERE op = 'u' AND n IN (SELECT d.n FROM %[1]s d JOIN %[2]s t ON %[3]s WHERE %[4]s = %[5]s)", data, from, on, c.s.hash(kept), c.s.hash(live)))
	}
	for _, q := range queries {
		if _, err := exec(ctx, tx, "reduce the capture of "+x.At.String(), q); err != nil {
			return err
		}
	}
	return nil
}
