package engine

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mysqlNeeded are the rights on the database that a run may need: to copy, lock, change and make again any of its
// tables. Without TRIGGER an account does not even see that a table has triggers.
var mysqlNeeded = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "LOCK TABLES", "TRIGGER"}

// rights refuses an account that lacks one of them, ahead of everything else.
func (d mysqlDialect) rights(ctx context.Context, q Querier) error {
	var database string
	if err := q.QueryRowContext(ctx, "SELECT database()").Scan(&database); err != nil {
		return err
	}
	grants, err := d.grants(ctx, q)
	if err != nil {
		return err
	}
	if missing := mysqlMissing(grants, database); len(missing) > 0 {
		list := strings.Join(missing, ", ")
		return &Error{
			Class: Privilege, Message: fmt.Sprintf("this account lacks %s on the database %s; without that not everything could be captured, so nothing was done", list, database),
			Hint: fmt.Sprintf("GRANT %s ON `%s`.* TO it", list, strings.ReplaceAll(database, "`", "``")),
		}
	}
	return nil
}

var (
	mysqlGrant  = regexp.MustCompile("^GRANT (.*) ON (\\*|`(?:[^`]|``)*`)\\.\\* TO ")
	mysqlRevoke = regexp.MustCompile("^REVOKE (.*) ON (\\*|`(?:[^`]|``)*`)\\.\\* FROM ")
)

// mysqlMissing lists the needed rights that the lines of SHOW GRANTS do not give on the database.
func mysqlMissing(grants []string, database string) []string {
	has := map[string]bool{}
	each := func(form *regexp.Regexp, value bool) {
		for _, line := range grants {
			m := form.FindStringSubmatch(line)
			if m == nil || m[2] != "*" && !mysqlLike(strings.ReplaceAll(m[2][1:len(m[2])-1], "``", "`"), database) {
				continue
			}
			for _, right := range strings.Split(m[1], ", ") {
				has[right] = value
				if right == "ALL PRIVILEGES" || right == "ALL" {
					for _, needed := range mysqlNeeded {
						has[needed] = value
					}
				}
			}
		}
	}
	each(mysqlGrant, true)
	each(mysqlRevoke, false)
	return slices.DeleteFunc(slices.Clone(mysqlNeeded), func(r string) bool { return has[r] })
}

// mysqlLike tells whether a database's name fits that of a grant, in which % and _ stand for anything.
func mysqlLike(pattern, name string) bool {
	var re strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case c == '%':
			re.WriteString(".*")
		case c == '_':
			re.WriteString(".")
		case c < 0x80:
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			re.WriteByte(c)
		}
	}
	ok, err := regexp.MatchString("(?is)^"+re.String()+"$", name)
	return err == nil && ok
}
