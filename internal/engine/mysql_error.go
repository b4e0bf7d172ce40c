package engine

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

// mysqlAnswer is what an error number of the server means.
type mysqlAnswer struct {
	class Class
	hint  string
}

// The hints that several numbers share.
const (
	hintGrant     = "GRANT the right that the message names to this account"
	hintAccount   = "check user and password of the URL, and the hosts that the account may come from"
	hintPrimary   = "an option of the server or session forbids it; connect to a writable server (the primary)"
	hintDisk      = "free space on the server (its data directory and tmpdir), then run the same command again"
	hintRow       = "change the row that the message names, or the migration, and run it again"
	hintParent    = "another table's rows need this one: change those first, or the foreign key"
	hintGone      = "check that the server runs; dbrollback recover says what took effect"
	hintFunction  = "ask an administrator to SET GLOBAL log_bin_trust_function_creators = 1, or to GRANT SUPER"
	hintPrimKey   = "the server demands a primary key (sql_require_primary_key, innodb_force_primary_key): give the table one, or switch the setting off for this account"
	hintNoDefault = "the column is NOT NULL and has no DEFAULT: name it in the statement, or give it one"
	hintValue     = "a value does not fit its column: change it, or the column, and run it again"
)

var mysqlAnswers = map[uint16]mysqlAnswer{
	1205: {LockTimeout, "another session holds the lock; wait for it, or raise --lock-timeout"},
	3572: {LockTimeout, "another session holds the lock; wait for it, or raise --lock-timeout"},
	1213: {LockTimeout, "two sessions waited for each other; run it again"},
	3024: {StatementTimeout, "raise --statement-timeout"},
	1969: {StatementTimeout, "raise --statement-timeout"},
	1317: {Cancelled, ""},

	1044: {Privilege, "GRANT the right on this database to the account: CREATE, DROP, ALTER, INDEX, SELECT, INSERT, UPDATE, DELETE, LOCK TABLES and TRIGGER are used, and EVENT, CREATE ROUTINE or CREATE VIEW by a migration that makes such things"},
	1142: {Privilege, hintGrant}, 1143: {Privilege, hintGrant}, 1227: {Privilege, hintGrant}, 1370: {Privilege, hintGrant}, 1410: {Privilege, hintGrant},
	1419: {Privilege, hintFunction}, 1418: {Privilege, hintFunction},
	1345: {Privilege, "GRANT SHOW VIEW on the database to this account"},

	1045: {Auth, hintAccount}, 1130: {Auth, hintAccount}, 1251: {Auth, hintAccount}, 1698: {Auth, hintAccount}, 1820: {Auth, hintAccount},
	1862: {Auth, hintAccount}, 1873: {Auth, hintAccount}, 3118: {Auth, "the account is locked: ALTER USER … ACCOUNT UNLOCK"}, 4151: {Auth, hintAccount},
	1049: {Unreachable, "create the database first, or correct the URL"},
	1040: {Unreachable, "the server takes no more connections"}, 1203: {Unreachable, "the account takes no more connections"}, 1226: {Unreachable, "the account has used up what it may use"},

	1290: {ReadOnly, hintPrimary}, 1792: {ReadOnly, hintPrimary}, 1836: {ReadOnly, hintPrimary}, 3906: {ReadOnly, hintPrimary}, 3989: {ReadOnly, hintPrimary},
	1021: {DiskFull, hintDisk}, 1114: {DiskFull, hintDisk}, 1041: {DiskFull, "the server is out of memory"}, 3: {DiskFull, hintDisk}, 28: {DiskFull, hintDisk}, 1878: {DiskFull, hintDisk}, 3664: {DiskFull, hintDisk}, // of the last, where a table is made
	1053: {ConnectionLost, hintGone}, 1927: {ConnectionLost, hintGone}, 2006: {ConnectionLost, hintGone}, 2013: {ConnectionLost, hintGone}, 3169: {ConnectionLost, hintGone}, 1080: {ConnectionLost, hintGone},

	1062: {Constraint, hintRow}, 1557: {Constraint, hintRow}, 1586: {Constraint, hintRow}, 1761: {Constraint, hintRow}, 1762: {Constraint, hintRow},
	1048: {Constraint, hintRow}, 1364: {Constraint, hintNoDefault}, 1138: {Constraint, hintValue},
	1216: {Constraint, "the row that it refers to is missing: add it first"}, 1452: {Constraint, "the row that it refers to is missing: add it first"},
	1217: {Constraint, hintParent}, 1451: {Constraint, hintParent}, 3730: {Constraint, hintParent},
	1264: {Constraint, hintValue}, 1265: {Constraint, hintValue}, 1292: {Constraint, hintValue}, 1366: {Constraint, hintValue}, 1406: {Constraint, hintValue}, 1690: {Constraint, hintValue},
	3819: {Constraint, hintRow}, 4025: {Constraint, hintRow}, 3140: {Constraint, "the text is no JSON"},
	1526: {Constraint, "no partition takes the value: add one first"},
	3750: {Unknown, hintPrimKey}, 1173: {Unknown, hintPrimKey},
	1785: {Unknown, "the table is not InnoDB's, and this server keeps such ones out of everything that belongs together: ALTER TABLE … ENGINE = InnoDB, in a migration before this one"},
	1118: {Unknown, "the columns together are longer than a row may be: make some of them shorter, or TEXT, which is kept elsewhere"},
	1235: {Unsupported, ""},
	1356: {Syntax, "a view that it reads is broken: mend that one, or leave it out"},
	4161: {Syntax, "a type that this server does not know"},
}

// mysqlError classifies a server's answer: by its number where that says more, else by its SQLSTATE.
func mysqlError(e *mysql.MySQLError, err error) *Error {
	out := &Error{Class: Unknown, Message: Redact(e.Message), Err: err}
	if a, ok := mysqlAnswers[e.Number]; ok {
		out.Class, out.Hint = a.class, a.hint
		switch e.Number {
		case 1062, 1557, 1586, 1761, 1762:
			out.Taken = true
		case 1356:
			out.Missing = true
		}
		return out
	}
	if slices.Contains([]uint16{1004, 1005, 1025, 1026, 1030}, e.Number) && mysqlNoRoom.MatchString(e.Message) {
		out.Class, out.Hint = DiskFull, hintDisk
		return out
	}
	switch string(e.SQLState[:2]) {
	case "42":
		out.Missing = slices.Contains([]uint16{1054, 1091, 1146, 1305}, e.Number)
		out.Class = Syntax
	case "22", "23":
		out.Class = Constraint
	case "28":
		out.Class = Auth
	case "08":
		out.Class = ConnectionLost
	case "70":
		out.Class = Cancelled
	}
	return out
}

// mysqlNoRoom is the number within a message of what else failed, with which the storage engine or the system says that there is no room:
// "Can't create table (errno: 135 …)", "Got error 28 from storage engine".
var mysqlNoRoom = regexp.MustCompile(`(?:errno:|Errcode:|error) (?:28|135|136)\b`)

var mysqlNear = regexp.MustCompile(`(?s) near '(.*)' at line (\d+)$`)

// mysqlPosition finds the place that a syntax error names, which is the line and the text from the place on,
// cut off somewhere: characters from the start, counted from 1, or 0.
func mysqlPosition(query, message string) int {
	m := mysqlNear.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	line, err := strconv.Atoi(m[2])
	if err != nil {
		return 0
	}
	start := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(query[start:], '\n')
		if i < 0 {
			return 0
		}
		start += i + 1
	}
	near := strings.ToValidUTF8(m[1], "") // cut within a character
	if near == "" {                       // the end of the text
		return utf8.RuneCountInString(strings.TrimRight(query, " \t\r\n;")) + 1
	}
	i := strings.Index(query[start:], near)
	if i < 0 {
		return 0
	}
	return utf8.RuneCountInString(query[:start+i]) + 1
}
