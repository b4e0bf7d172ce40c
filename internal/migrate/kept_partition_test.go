package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// calendar is a partitioned table with what a partition has from it, and what one has of its own.
const calendar = people + `
CREATE SEQUENCE event_codes START 500;
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
CREATE TABLE events (id integer NOT NULL, at date NOT NULL, person integer REFERENCES people ON DELETE CASCADE, note text DEFAULT 'n', code bigint DEFAULT nextval('event_codes'), nr serial, CHECK (id > 0), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX events_note ON events (note);
CREATE TRIGGER events_loud BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-07-01') WITH (fillfactor = 70);
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
ALTER TABLE events_a ADD CONSTRAINT short CHECK (length(note) < 50);
CREATE INDEX events_a_own ON events_a (person);
COMMENT ON TABLE events_a IS 'the first half';
CREATE TRIGGER events_a_own BEFORE UPDATE ON events_a FOR EACH ROW EXECUTE FUNCTION loud();
INSERT INTO events (id, at, person, note) SELECT g, date '2026-01-01' + g, 1 + g % 4, 'note ' || g FROM generate_series(1, 400) g;
`

// TestKeptPartition: a partition that is dropped lies aside as a table, and becomes a partition again with everything that it had.
func TestKeptPartition(t *testing.T) {
	t.Parallel()
	const (
		again   = "CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');"
		beside  = "CREATE TABLE events_a (LIKE events INCLUDING DEFAULTS);\nALTER TABLE events ATTACH PARTITION events_a FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');"
		rest    = "CREATE TABLE events_rest PARTITION OF events DEFAULT;"
		kept    = "kept events_a complete"
		rows    = "SELECT count(*), sum(id), count(DISTINCT code) FROM events"
		storage = "SELECT coalesce(pg_relation_filenode('events_a')::text, '') FROM (SELECT 1) x"
	)
	for _, c := range []struct {
		name, setup, up, down, kinds string
		copied, moved                bool
	}{
		{name: "dropped", up: "DROP TABLE events_a;", down: again, kinds: kept},
		{name: "dropped, made beside", up: "DROP TABLE events_a;", down: beside, kinds: kept},
		{name: "detached, then dropped", up: "ALTER TABLE events DETACH PARTITION events_a;\nDROP TABLE events_a;", down: again, kinds: kept},
		{name: "the default one", up: "DROP TABLE events_rest;", down: rest, kinds: "kept events_rest complete"},
		{name: "dropped, filled by Down", up: "DROP TABLE events_a;", down: again + "\nINSERT INTO events (id, at) VALUES (5, '2026-01-06');", kinds: kept, moved: true},
		{name: "changed before", up: "UPDATE events SET note = 'x' WHERE id < 3;\nDROP TABLE events_a;", down: again, kinds: "rows events complete, table events_a complete", moved: true},
		{name: "referenced", setup: "CREATE TABLE seen (id integer, at date, FOREIGN KEY (id, at) REFERENCES events);", up: "DROP TABLE seen;\nALTER TABLE events DETACH PARTITION events_a;\nDROP TABLE events_a;",
			down: again + "\nCREATE TABLE seen (id integer, at date, FOREIGN KEY (id, at) REFERENCES events);", kinds: kept},
		{name: "dropped, copied", up: "DROP TABLE events_a;", down: again, kinds: "table events_a complete", copied: true, moved: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), calendar+c.setup, map[string]string{"00001_a.sql": migration(c.up, c.down)})
			f.copy = c.copied
			before, file := f.dump(), testdb.Query(t, f.dsn, storage)[0]
			sums := testdb.Query(t, f.dsn, rows)[0]
			f.up()
			after := f.dump()
			if got := f.kinds(); got != c.kinds && !strings.Contains(c.name, "referenced") {
				t.Errorf("captured %s, want %s", got, c.kinds)
			}
			if got := testdb.Query(t, f.dsn, rows)[0]; strings.HasPrefix(c.kinds, "kept") && got == sums {
				t.Error("nothing went")
			}
			res := f.rollback(migrate.RollbackRequest{Steps: 1})
			if !res.Verified || len(res.Conflicts) > 0 {
				t.Errorf("verified: %v, conflicts: %v", res.Verified, res.Conflicts)
			}
			f.same(before, f.dump(), "after the rollback")
			if got := testdb.Query(t, f.dsn, storage)[0]; (got != file) != c.moved {
				t.Errorf("the partition lies in file %s, was in %s", got, file)
			}
			f.up()
			f.same(after, f.dump(), "after up again")
			f.rollback(migrate.RollbackRequest{Steps: 1})
			f.same(before, f.dump(), "after the rollback again")
		})
	}
}
