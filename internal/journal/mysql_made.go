package journal

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// made is by what a table is known to be the one that triggers were made for, with nothing done to it that fires none. Each of the three
// sees what the others do not: ALTER, a column that was dropped and made again under its name, and one that changed its name for a while, change the
// time; TRUNCATE, on MySQL and of a partition, and the exchange of a partition leave that as it is, and change the numbers.
type made struct {
	at       string        // when the table was made or altered, in whole seconds
	age      time.Duration // how long that is ago
	numbers  []string      // by which InnoDB knows the table, or its partitions; none where they may not be seen
	triggers string        // when ours were made
}

func (d made) mark() string {
	return d.at + " | " + strings.Join(d.numbers, " ") + " | " + d.triggers
}

// dark says why not enough is to be seen; "" when it is.
func (d made) dark() string {
	if len(d.numbers) > 0 {
		return ""
	}
	return "this account cannot see whether it was emptied by TRUNCATE or got the rows of another by EXCHANGE PARTITION, which fires no trigger"
}

const wantsProcess = "GRANT PROCESS ON *.* to it lets it see that"

// made reads it; id is that of the segment whose triggers count.
func (m mysql) made(ctx context.Context, q engine.Querier, t *engine.Table, id string) (made, error) {
	var d made
	var micros int64
	err := q.QueryRowContext(ctx, `SELECT coalesce(CAST(unix_timestamp(create_time) AS CHAR), ''), coalesce(timestampdiff(MICROSECOND, create_time, now(6)), 0)
		FROM information_schema.tables WHERE table_schema = database() AND table_name = ?`, t.Name.Name).Scan(&d.at, &micros)
	if err != nil {
		return d, fmt.Errorf("read when %s was made: %w", t.Name, err)
	}
	d.age = time.Duration(micros) * time.Microsecond
	var when sql.NullString
	err = q.QueryRowContext(ctx, `SELECT group_concat(CAST(unix_timestamp(created) AS CHAR) ORDER BY trigger_name SEPARATOR ' ') FROM information_schema.triggers
		WHERE event_object_schema = database() AND event_object_table = ? AND left(trigger_name, 19) = 'dbrollback_journal_' AND right(trigger_name, 32) = ?`, t.Name.Name, id).Scan(&when)
	if err != nil {
		return d, fmt.Errorf("read when the triggers of %s were made: %w", t.Name, err)
	}
	d.triggers = when.String
	d.numbers, err = Numbers(ctx, m.j.db, q, t)
	return d, err
}

// Numbers are those by which InnoDB knows a table and its partitions, on MySQL and MariaDB. None means that they may not be seen, which takes the right PROCESS.
func Numbers(ctx context.Context, db *engine.DB, q engine.Querier, t *engine.Table) ([]string, error) {
	view := "innodb_sys_tables"
	if db.Kind == engine.MySQL {
		view = "innodb_tables"
	}
	var database string
	if err := q.QueryRowContext(ctx, "SELECT database()").Scan(&database); err != nil {
		return nil, err
	}
	start, all := innodbName(database, t.Name.Name)
	out, err := innodb(ctx, q, view, start, all)
	if e, ok := engine.AsError(err); ok && e.Class == engine.Privilege {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the number of %s: %w", t.Name, err)
	}
	slices.Sort(out)
	return out, nil
}

// innodb reads the numbers of the tables whose names fit.
func innodb(ctx context.Context, q engine.Querier, view, start string, all *regexp.Regexp) ([]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT name, CAST(table_id AS CHAR) FROM information_schema."+view+" WHERE left(lower(name), ?) = lower(?)", len(start), start)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name, number string
		if err := rows.Scan(&name, &number); err != nil {
			return nil, err
		}
		if all.MatchString(name) {
			out = append(out, number)
		}
	}
	return out, rows.Err()
}

// innodbName gives what the name of a table, and those of its partitions, begin with in InnoDB, where letters other than these are spelt in ways
// of its own, and a pattern for the whole. That may match another table with such letters as well: then what is done to that one counts, too.
func innodbName(database, table string) (start string, all *regexp.Regexp) {
	spelt := func(name string) string {
		var b strings.Builder
		for _, r := range name {
			if r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
				b.WriteRune(r)
			} else {
				b.WriteString("@([0-9a-z]{4}|[0-9a-z]{2})")
			}
		}
		return b.String()
	}
	pattern := spelt(database) + "/" + spelt(table)
	start, _, _ = strings.Cut(pattern, "@")
	return start, regexp.MustCompile("(?i)^" + pattern + "(#p#.*)?$")
}

// settledAfter is how old the last change of a table has to be: an other one after it could have the same time otherwise. It is a second, and what clocks of
// file systems may be behind.
const settledAfter = 1050 * time.Millisecond

// settle waits until a further change of a table would be seen; install makes sure of it.
func (m mysql) settle(ctx context.Context, q engine.Querier, t *engine.Table) error {
	for range 3 {
		d, err := m.made(ctx, q, t, "")
		if err != nil || d.age >= settledAfter {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(max(settledAfter-d.age, 10*time.Millisecond), settledAfter)):
		}
	}
	return nil
}
