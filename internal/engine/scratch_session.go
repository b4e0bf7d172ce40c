package engine

import (
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ResetSession gives the statements that take off whatever was set on a session, our own settings included; they
// run in a transaction as well as outside. Where there are none a new session does it.
func ResetSession(db *DB) []string {
	if db.Kind == Postgres {
		return []string{"RESET SESSION AUTHORIZATION", "RESET ALL", "DISCARD TEMP", "UNLISTEN *"}
	}
	return nil
}

// CheckDeferred gives the statements that check, within a transaction, what is else checked when it commits.
func CheckDeferred(db *DB) []string {
	if db.Kind == Postgres {
		return []string{"SET CONSTRAINTS ALL IMMEDIATE"}
	}
	return nil
}

// Definite tells of an error in a transaction that has run other statements before whether the statement fails without them,
// too: it names what is not there, or what others depend on. What has to do with the transaction itself is not definite.
func Definite(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "42") || pg.Code == "2BP01"
	}
	e, ok := AsError(err)
	return ok && e.Class == Syntax
}

// What a database may find missing on its server.
const (
	LacksRole      = "role"
	LacksExtension = "extension"
)

var (
	missingRole      = regexp.MustCompile(`^role "(.+)" does not exist`)
	missingExtension = regexp.MustCompile(`extension "([^"]+)"|extension control file .*/([^/"]+)\.control`)
)

// Lacking tells what of the server, outside of any database, an error found missing: LacksRole or LacksExtension,
// and its name; "" for every other error. The server's codes do not tell these from other missing objects; the words
// of a server that speaks another language go unrecognised.
func Lacking(err error) (what, name string) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "", ""
	}
	switch pg.Code {
	case "42704":
		if m := missingRole.FindStringSubmatch(pg.Message); m != nil {
			return LacksRole, m[1]
		}
	case "0A000", "58P01":
		if m := missingExtension.FindStringSubmatch(pg.Message); m != nil {
			return LacksExtension, m[1] + m[2]
		}
	}
	return "", ""
}
