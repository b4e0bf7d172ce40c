package effects_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// What EXECUTE runs is known where the migration says it, and opaque where data says it.
func TestDynamic(t *testing.T) {
	const cond = "(SELECT count(*) FROM information_schema.columns WHERE table_name = 't') > 0"
	for _, x := range []struct{ sql, want string }{
		{"SET @s = 'DROP TABLE t'; PREPARE p FROM @s; EXECUTE p", "drop_table t [commits]"},
		{"SET @s = 'UPDATE t SET c = ''x'' WHERE id = 1'; PREPARE p FROM @s; EXECUTE p", "update t"},
		{"PREPARE p FROM 'ALTER TABLE t DROP COLUMN c'; EXECUTE P; DEALLOCATE PREPARE p", "drop_column t [commits]"},
		{"SET @s := IF(" + cond + ", 'SELECT 1', 'ALTER TABLE t DROP COLUMN c'); PREPARE p FROM @s; EXECUTE p", "read,drop_column t? [commits]"},
		{"SET @s = (SELECT IF(" + cond + ", 'ALTER TABLE t DROP COLUMN c', 'DO 0') FROM dual); PREPARE p FROM @s; EXECUTE p", "drop_column t?,read [commits]"},
		{"SELECT IF(" + cond + ", 'ALTER TABLE t DROP COLUMN c', 'DO 0') INTO @s; PREPARE p FROM @s; EXECUTE p", "drop_column t?,read [commits]"},
		{"SET @a = 'DROP ', @s = CONCAT(@a, 'TABLE ', 't'); PREPARE p FROM @s; EXECUTE p", "opaque"}, // in one SET @a may be the old one
		{"SET @a = 'DROP '; SET @s = CONCAT(@a, 'TABLE ', 't'); PREPARE p FROM @s; EXECUTE p", "drop_table t [commits]"},
		{"SET @t = 't'; SET @s = (SELECT IF((SELECT count(*) FROM information_schema.tables WHERE table_name = @t) > 0, 'SELECT 1', CONCAT('ALTER TABLE ', @t, ' ADD COLUMN c int;'))); SET @t = 'u'; PREPARE p FROM @s; EXECUTE p", "read,add_column t? [commits]"},
		{"SET @s = CASE WHEN " + cond + " THEN 'DROP TABLE t' ELSE 'DROP TABLE u' END; PREPARE p FROM @s; EXECUTE p", "drop_table t?,drop_table u? [commits]"},
		{"SET @s = 'DROP TABLE t'; SET @s = (SELECT x FROM y); PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = 'DROP TABLE t'; SELECT @s := x FROM y; PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = 'DROP TABLE t'; CALL other(); PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = 'DROP TABLE t'; PREPARE p FROM @s; PREPARE p FROM @z; EXECUTE p", "opaque"},
		{"SET @s = CONCAT('DROP TABLE ', (SELECT x FROM y)); PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = 'DELETE FROM t WHERE id = ?', @i = 1; PREPARE p FROM @s; EXECUTE p USING @i", "opaque"},
		{"SET @s = 'CALL other()'; PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = 'DROP TABLE t; DROP TABLE u'; PREPARE p FROM @s; EXECUTE p", "opaque"},
		{`SET @s = 'DROP TABLE \t'; PREPARE p FROM @s; EXECUTE p`, "opaque"},
		{"SET @s = IF(" + cond + ", 'DROP TABLE t', 'DELETE FROM t'); PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"SET @s = IF(" + cond + ", 'DROP TABLE t', NULL); PREPARE p FROM @s; EXECUTE p", "opaque"},
		{"EXECUTE p", "opaque"},
	} {
		for _, d := range []effects.Dialect{effects.MySQL, effects.MariaDB} {
			if got := dynamic(t, d, x.sql); got != x.want && !(x.want == "opaque" && strings.HasPrefix(got, "opaque")) {
				t.Errorf("%s: %s\n got %s\nwant %s", d, x.sql, got, x.want)
			}
		}
	}
	if got := dynamic(t, effects.MariaDB, "EXECUTE IMMEDIATE 'DROP TABLE t'"); got != "drop_table t [commits]" {
		t.Errorf("EXECUTE IMMEDIATE: %s", got)
	}
}

// dynamic tells of the last EXECUTE.
func dynamic(t *testing.T, d effects.Dialect, sql string) (out string) {
	t.Helper()
	list, err := effects.Parse(d, sql)
	if err != nil {
		t.Fatal(err)
	}
	each := make([]*effects.Statement, len(list))
	for i := range list {
		each[i] = &list[i]
	}
	effects.Dynamic(d, each)
	for _, st := range list {
		if !strings.HasPrefix(st.SQL, "EXECUTE") {
			continue
		}
		var parts []string
		for _, e := range st.Effects {
			part := string(e.Kind)
			if e.Table.Name != "" {
				part += " " + e.Table.String()
			}
			if e.IfExists && e.Kind != effects.Read {
				part += "?"
			}
			parts = append(parts, part)
		}
		out = fmt.Sprint(strings.Join(parts, ","))
		if st.ImplicitCommit {
			out += " [commits]"
		}
	}
	return out
}
