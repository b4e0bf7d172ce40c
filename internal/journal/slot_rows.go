package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
)

// slotLot is what waits to be written into a segment.
type slotLot struct {
	g      *segment
	mark   slotMark
	oid    uint32
	key    []int // of the columns of the mark, those of the key
	places []int // where the columns are in what the log sends now; nil when that is to be looked for
	query  string

	x, s    []int64
	at, op  []string
	old     [][]*string // by column
	now     [][]*string // by column of the key
	waiting int
}

// lot finds the segment of an id; nil when it was dropped.
func (r *reader) lot(ctx context.Context, id string) (*slotLot, error) {
	if l, ok := r.lots[id]; ok {
		return l, nil
	}
	all, err := r.p.j.segments(ctx, r.q())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(g *segment) bool { return g.id == id && g.source == Slot })
	if i < 0 {
		r.lots[id] = nil
		return nil, nil
	}
	l := &slotLot{g: all[i]}
	if l.mark, err = l.g.slotMark(); err != nil {
		return nil, err
	}
	l.oid = uint32(l.mark.OID)
	for _, k := range l.g.form.Key() {
		l.key = append(l.key, slices.IndexFunc(l.mark.Columns, func(c slotColumn) bool { return c.Name == k }))
	}
	l.old, l.now = make([][]*string, len(l.mark.Columns)), make([][]*string, len(l.key))
	r.prepare(l)
	r.lots[id] = l
	return l, nil
}

// prepare spells the statement that writes a lot: values come as texts, become what they were, and then what the segment keeps of them.
func (r *reader) prepare(l *slotLot) {
	j := r.p.j
	names, _ := l.g.form.Columns()
	var args, given, old, now []string
	add := func(name, array string) {
		given = append(given, name)
		args = append(args, fmt.Sprintf("$%d::%s[]", len(given), array))
	}
	read := func(name string, c slotColumn) string {
		value := "b." + name + "::" + c.Read
		if c.Read == "pg_catalog.regclass" { // what is cast from text is a name always, and of a table that is gone the log has the number
			value = "pg_catalog.regclassin(b." + name + "::pg_catalog.cstring)"
		}
		return value + " AS " + j.db.Ident(c.Name)
	}
	add("x", "bigint")
	add("s", "bigint")
	add("at", "text")
	add("op", "text")
	for i, c := range l.mark.Columns {
		name := fmt.Sprintf("o%d", i)
		add(name, "text")
		old = append(old, read(name, c))
	}
	for i, k := range l.key {
		name := fmt.Sprintf("k%d", i)
		add(name, "text")
		now = append(now, read(name, l.mark.Columns[k]))
	}
	l.query = fmt.Sprintf("INSERT INTO %s (x, s, at, %s) SELECT b.x, b.s, b.at::timestamptz, b.op, %s FROM unnest(%s) WITH ORDINALITY AS b(%s, i) CROSS JOIN LATERAL (SELECT %s) r CROSS JOIN LATERAL (SELECT %s) w ORDER BY b.i",
		j.own(l.g.data()), strings.Join(names, ", "), strings.Join(j.store.Values(l.g.form, "r", "w"), ", "), strings.Join(args, ", "), strings.Join(given, ", "), strings.Join(old, ", "), strings.Join(now, ", "))
}

// unlike says why rows as the log sends them now do not go into a segment; "" when they do. Further columns are no hindrance: a statement may
// add one and write to it.
func (l *slotLot) unlike(rel *pglogrepl.RelationMessage) string {
	if l.places != nil {
		return ""
	}
	var places []int
	for _, c := range l.mark.Columns {
		i := slices.IndexFunc(rel.Columns, func(o *pglogrepl.RelationMessageColumn) bool { return o.Name == c.Name })
		if i < 0 || rel.Columns[i].DataType != c.Type || rel.Columns[i].TypeModifier != c.Mod {
			return "its column " + c.Name + " was dropped, renamed or given another type, and rows were written then"
		}
		places = append(places, i)
	}
	l.places = places
	return ""
}

// record puts a write by, for the segment that the table's rows go to.
func (r *reader) record(ctx context.Context, oid uint32, op string, before, after *pglogrepl.TupleData) error {
	id, ok := r.state.reads[oid]
	if !ok {
		return nil // it is not journalled, or no more
	}
	l, err := r.lot(ctx, id)
	if l == nil || err != nil {
		return err
	}
	r.touch()
	why := l.unlike(r.relations[oid])
	if op != "i" && before == nil {
		why = "a row was written while its REPLICA IDENTITY was not FULL"
	}
	if why != "" {
		return r.broken(ctx, l, oid, why)
	}
	value := func(t *pglogrepl.TupleData, i int) *string {
		c := t.Columns[i]
		if c.DataType != pglogrepl.TupleDataTypeText {
			return nil
		}
		s := string(c.Data)
		r.bytes += len(s)
		return &s
	}
	l.x, l.s, l.at, l.op = append(l.x, r.x), append(l.s, r.s32), append(l.at, stamp(r.moment)), append(l.op, op)
	for i, place := range l.places {
		var v *string
		if before != nil {
			v = value(before, place)
		}
		l.old[i] = append(l.old[i], v)
	}
	for i, k := range l.key {
		place := l.places[k]
		from := after
		if after == nil || after.Columns[place].DataType == pglogrepl.TupleDataTypeToast { // unchanged, and too long to be sent again
			from = before
		}
		l.now[i] = append(l.now[i], value(from, place))
	}
	l.waiting++
	r.rows++
	if r.rows >= slotBatchRows || r.bytes >= slotBatchBytes {
		return r.flush(ctx)
	}
	return nil
}

// flush writes what waits.
func (r *reader) flush(ctx context.Context) error {
	for _, l := range r.lots {
		if l == nil || l.waiting == 0 {
			continue
		}
		if err := r.begin(ctx); err != nil {
			return err
		}
		args := []any{l.x, l.s, l.at, l.op}
		for _, c := range l.old {
			args = append(args, c)
		}
		for _, c := range l.now {
			args = append(args, c)
		}
		if _, err := r.tx.ExecContext(ctx, l.query, args...); err != nil {
			return fmt.Errorf("write the journal of %s: %w", l.g.table, err)
		}
		r.written += l.waiting
		l.x, l.s, l.at, l.op, l.waiting = nil, nil, nil, nil, 0
		clear(l.old)
		clear(l.now)
	}
	r.rows, r.bytes = 0, 0
	return nil
}

// truncated puts the rows of a TRUNCATE, which its trigger put by, where they belong.
func (r *reader) truncated(ctx context.Context, id, number string) error {
	l, err := r.lot(ctx, id)
	if l == nil || err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	data := r.p.j.own(l.g.data())
	names, _ := l.g.form.Columns()
	columns := strings.Join(names, ", ")
	done, err := r.tx.ExecContext(ctx, fmt.Sprintf("WITH d AS (DELETE FROM %s WHERE at = '-infinity' AND x = $1::bigint RETURNING *) INSERT INTO %s (x, s, at, %s) SELECT $2::bigint, $3::bigint, $4::timestamptz, %s FROM d", data, data, columns, columns),
		number, r.x, r.s32, stamp(r.moment))
	if err != nil {
		return fmt.Errorf("write the journal of %s: %w", l.g.table, err)
	}
	n, err := done.RowsAffected()
	r.written += int(n)
	return err
}

// emptied looks whether the rows of a TRUNCATE were put by.
func (r *reader) emptied(ctx context.Context, oid uint32) error {
	id, ok := r.state.reads[oid]
	if !ok {
		return nil
	}
	if r.empty[oid]--; r.empty[oid] >= 0 {
		return nil
	}
	l, err := r.lot(ctx, id)
	if l == nil || err != nil {
		return err
	}
	r.touch()
	return r.broken(ctx, l, oid, "it was emptied by TRUNCATE while its trigger for that was off")
}

// broken ends a segment of which something that was written is not known. One that ended already is not what the next one goes on from.
func (r *reader) broken(ctx context.Context, l *slotLot, oid uint32, why string) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	j := r.p.j
	all, err := j.segments(ctx, r.tx)
	if err != nil {
		return err
	}
	mine := j.of(all, l.g.table)
	i := slices.IndexFunc(mine, func(g *segment) bool { return g.id == l.g.id })
	if i >= 0 {
		if mine[i].open() {
			now, err := j.now(ctx, r.tx)
			if err != nil {
				return err
			}
			if err := j.set(ctx, r.tx, mine[i], "ended_at", stamp(now)); err != nil {
				return err
			}
		}
		if err := j.set(ctx, r.tx, mine[i], "reason", why); err != nil {
			return err
		}
		if i+1 < len(mine) {
			if err := j.set(ctx, r.tx, mine[i+1], "joined", 0); err != nil {
				return err
			}
		}
	}
	delete(r.state.reads, oid)
	return nil
}
