package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// spies are statements that make, in a schema, an operator for whatever types the server itself has one of that name and a few more, and functions of the
// names that ours call. Each writes down who runs it.
func spies(schema, into string) []string {
	types := []string{"text", "name", "bool", "int2", "int4", "int8", "oid", "xid", "xid8", "regclass", "timestamptz", "numeric", "json", "int4range", "varchar", "pg_lsn"}
	var out []string
	n := 0
	make := func(name, operator, left, right, gives string) {
		args, operands := "a "+left, "LEFTARG = "+left
		if right != "" {
			args, operands = args+", b "+right, operands+", RIGHTARG = "+right
		}
		out = append(out, fmt.Sprintf("CREATE FUNCTION %s.%s(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN INSERT INTO %s VALUES (current_user, '%s(%s)'); RETURN NULL; END $$", schema, name, args, gives, into, name, args))
		if operator != "" {
			out = append(out, fmt.Sprintf("CREATE OPERATOR %s.%s (FUNCTION = %s.%s, %s)", schema, operator, schema, name, operands))
		}
	}
	for _, t := range types {
		for _, o := range []string{"=", "<>", "<", ">", "<=", ">="} {
			n++
			make(fmt.Sprintf("spy%d", n), o, t, t, "bool")
		}
		for _, o := range []string{"+", "-", "&", "||", "%"} {
			n++
			make(fmt.Sprintf("spy%d", n), o, t, t, t)
		}
		for _, f := range []string{"current_setting", "concat", "num_nulls", "lower", "pg_xact_status", "nextval"} {
			make(f, "", t, "", t)
		}
		make("format", "", t, t, "text")
		make("concat_ws", "", t, t, "text")
		make("set_config", "", t, t, "text")
	}
	for _, p := range [][2]string{{"int8", "int4"}, {"int4", "int8"}, {"name", "text"}, {"text", "name"}, {"xid", "int4"}, {"int8", "numeric"}} {
		for _, o := range []string{"=", "<>", "<", ">", "<=", ">="} {
			n++
			make(fmt.Sprintf("spy%d", n), o, p[0], p[1], "bool")
		}
	}
	for _, f := range []string{"txid_current", "clock_timestamp", "transaction_timestamp"} {
		out = append(out, fmt.Sprintf("CREATE FUNCTION %s.%s() RETURNS int8 LANGUAGE plpgsql AS $$ BEGIN INSERT INTO %s VALUES (current_user, '%s'); RETURN NULL; END $$", schema, f, into, f))
	}
	return out
}

// TestWritersOperators: whoever may write to a journalled table, and make operators and functions in a schema that his session looks in first, has
// none of them run with the rights of the one who enabled the journal.
func TestWritersOperators(t *testing.T) {
	t.Parallel()
	for _, source := range []string{journal.Trigger, journal.Slot} {
		for _, column := range []string{"integer", "positive", "pg_catalog.regclass"} { // one that is kept as it is, one as text
			t.Run(source+" "+column, func(t *testing.T) {
				t.Parallel()
				dsn := testdb.Postgres(t)
				login, me := testdb.Role(t, dsn)
				w := newWorld(t, dsn, "CREATE DOMAIN positive AS integer", "CREATE TABLE item (id integer NOT NULL PRIMARY KEY, v "+column+", name varchar(20), at timestamptz, n numeric(10,2))",
					`GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON item TO "`+me+`"`, `CREATE SCHEMA evil AUTHORIZATION "`+me+`"`, `CREATE TABLE ran (who text, what text)`, `GRANT INSERT ON ran TO PUBLIC`)
				w.source = source
				w.enable("item")
				application := testdb.Open(t, login)
				conn, err := application.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for _, s := range append(spies("evil", "public.ran"), "GRANT USAGE ON SCHEMA evil TO PUBLIC", "SET search_path = evil, pg_catalog, public") {
					if _, err := conn.ExecContext(t.Context(), s); err != nil {
						t.Fatalf("%s: %v", s, err)
					}
				}
				at, want := w.now(), w.rows("item", []string{"id"}, []string{"v", "name", "at", "n"})
				for _, s := range []string{
					"INSERT INTO public.item VALUES (1, 1, 'a', pg_catalog.now(), 1), (2, 2, 'b', pg_catalog.now(), 2), (3, 3, 'c', pg_catalog.now(), 3)",
					"BEGIN", "UPDATE public.item SET v = 7, name = 'x'", "INSERT INTO public.item VALUES (4, 4)", "SAVEPOINT a", "UPDATE public.item SET v = 8", "DELETE FROM public.item WHERE id OPERATOR(pg_catalog.=) 2", "COMMIT",
					"BEGIN", "DELETE FROM public.item WHERE id OPERATOR(pg_catalog.=) 1", "INSERT INTO public.item VALUES (5, 5)", "TRUNCATE public.item", "INSERT INTO public.item VALUES (6, 6)", "COMMIT",
					"SET ROLE \"" + me + "\"", "UPDATE public.item SET v = 9", "RESET ROLE", "TRUNCATE public.item", "INSERT INTO public.item VALUES (7, 7)",
				} {
					if _, err := conn.ExecContext(t.Context(), s); err != nil {
						t.Fatalf("%s: %v", s, err)
					}
				}
				if _, err := conn.ExecContext(t.Context(), "SELECT 1 WHERE 'a'::text = 'b'::text"); err != nil { // that they are what the session finds
					t.Fatal(err)
				}
				if got := w.query("SELECT DISTINCT what FROM ran WHERE who = '" + me + "'"); len(got) == 0 {
					t.Error("the operators are not those that the session uses")
				}
				if got := w.query("SELECT DISTINCT who || ' ran ' || what FROM ran WHERE who <> '" + me + "'"); len(got) > 0 {
					t.Errorf("with the rights of another: %s", strings.Join(got, "; "))
				}
				if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
					t.Fatal(err)
				}
				w.same("restored", want, w.rows("item", []string{"id"}, []string{"v", "name", "at", "n"}))
			})
		}
	}
}

// TestOlderTriggers: a journal of a program that made other triggers says so, enable makes it what it should be, and what was recorded can be had.
func TestOlderTriggers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testdb.Postgres(t), item, "INSERT INTO item SELECT g, g FROM generate_series(1, 9) g")
	w.enable("item")
	at, want := w.now(), w.rows("item", []string{"id"}, []string{"v"})
	w.exec("DELETE FROM item WHERE id < 4", "UPDATE item SET v = 0 WHERE id < 7")
	// What older programs made: one trigger and one function for updates and deletes.
	id := w.query("SELECT right(tgname, 32) FROM pg_trigger WHERE tgrelid = 'item'::regclass")[0]
	data := "dbrollback.dbrollback_journal_" + id
	w.exec("DROP FUNCTION "+data+"_update() CASCADE", "DROP FUNCTION "+data+"_delete() CASCADE",
		"CREATE FUNCTION "+data+"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO "+data+" (x, s, at, op, k1, o1, c1, c2) "+
			"SELECT txid_current(), 0, clock_timestamp(), lower(left(TG_OP, 1)), coalesce(NEW.id, OLD.id), OLD.id, OLD.id, OLD.v; RETURN NULL; END $$",
		"CREATE TRIGGER dbrollback_journal_write_"+id+" AFTER UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION "+data+"()",
		"ALTER TABLE item ENABLE ALWAYS TRIGGER dbrollback_journal_write_"+id)
	mark, err := os.ReadFile("postgres_made.sql")
	if err != nil {
		t.Fatal(err)
	}
	w.exec("UPDATE dbrollback.dbrollback_journal SET mark = (" + strings.NewReplacer("$1", "'item'::regclass", "$2", "'"+id+"'").Replace(string(mark)) + ")")
	w.exec("DELETE FROM item WHERE id = 8", "UPDATE item SET v = 1 WHERE id = 9")
	all, err := w.j.Status(ctx, w.db)
	if err != nil || len(all) != 1 || all[0].Recording || !strings.Contains(all[0].Why, "older dbrollback") {
		t.Errorf("status says %+v, %v", all, err)
	}
	ask := snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}
	var nothing *snapshot.NothingError
	if _, err := w.restore(ask); !errors.As(err, &nothing) || !strings.Contains(err.Error(), "older dbrollback") {
		t.Errorf("restored by them: %v", err)
	}
	w.enable("item")
	w.exec("INSERT INTO item VALUES (1, 5)")
	if all, err = w.j.Status(ctx, w.db); err != nil || len(all) != 1 || !all[0].Recording {
		t.Errorf("enabled again, status says %+v, %v", all, err)
	}
	if _, err := w.restore(ask); err != nil {
		t.Fatal(err)
	}
	w.same("restored over what the older triggers recorded", want, w.rows("item", []string{"id"}, []string{"v"}))
	w.disable("item")
	if left := w.query("SELECT proname FROM pg_proc WHERE pronamespace = 'dbrollback'::regnamespace"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestHiddenRows: a table of which row-level security hides rows from the one who journals it is refused; where that comes later, TRUNCATE, which would
// be recorded in part, fails, and says why.
func TestHiddenRows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dsn := testdb.Postgres(t)
	login, me := testdb.Role(t, dsn)
	testdb.Exec(t, dsn, `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "`+me+`"', current_database()); END $$`)
	testdb.Exec(t, dsn, `GRANT CREATE ON SCHEMA public TO "`+me+`"`)
	w := newWorld(t, login, item, "INSERT INTO item SELECT g, g FROM generate_series(1, 9) g", "CREATE POLICY low ON item USING (id < 5)", "ALTER TABLE item ENABLE ROW LEVEL SECURITY", "ALTER TABLE item FORCE ROW LEVEL SECURITY")
	var refused *journal.RefusedError
	for _, source := range []string{journal.Trigger, journal.Slot} {
		err := w.try(func(q engine.Querier) error {
			return w.j.Enable(ctx, q, names([]string{"item"}), journal.Options{Source: source}, "test")
		})
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "row-level security hides rows from "+me) {
			t.Errorf("%s: %v", source, err)
		}
	}
	w.exec("ALTER TABLE item NO FORCE ROW LEVEL SECURITY")
	w.enable("item")
	at, want := w.now(), w.rows("item", []string{"id"}, []string{"v"})
	w.exec("ALTER TABLE item FORCE ROW LEVEL SECURITY")
	application := testdb.Open(t, login)
	if _, err := application.Exec("TRUNCATE item"); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("TRUNCATE of rows that are hidden: %v", err)
	}
	if _, err := application.Exec("UPDATE item SET v = 0"); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE item NO FORCE ROW LEVEL SECURITY", "TRUNCATE item")
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("restored", want, w.rows("item", []string{"id"}, []string{"v"}))
}
