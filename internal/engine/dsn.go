package engine

import (
	"net"
	"net/url"
	"os/user"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// dsn is a parsed URL, its secrets included; it stays inside this package.
type dsn struct {
	target Target
	raw    string     // as given
	params url.Values // what follows the "?"
	query  string     // the same, as text
	path   string     // SQLite: the file
	pgx    *pgx.ConnConfig
	pass   string // MySQL
}

// Parse says which database a URL means:
//
//	postgres://user:pw@host:port/db?sslmode=…     also postgresql://
//	mysql://user:pw@host:port/db                  also mariadb://
//	sqlite:file.db  sqlite:///folder/file.db  sqlite://file.db  file:file.db
//
// What follows a "?" is handed to the driver. The error never contains the password.
func Parse(dsn string) (Target, error) {
	d, err := parse(dsn)
	if err != nil {
		return Target{}, err
	}
	return d.target, nil
}

func parse(raw string) (dsn, error) {
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok {
		return dsn{}, &Error{Class: Usage, Message: "the database URL has no scheme", Hint: schemes}
	}
	d := dsn{raw: raw}
	if _, query, ok := strings.Cut(rest, "?"); ok {
		params, err := url.ParseQuery(query)
		if err != nil {
			return dsn{}, &Error{Class: Usage, Message: "the parameters of the database URL cannot be read",
				Hint: "percent-encode special characters after the \"?\""}
		}
		d.params, d.query = params, query
	}
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
		return d, d.parsePostgres()
	case "mysql":
		return d, d.parseMySQL(MySQL)
	case "mariadb":
		return d, d.parseMySQL(MariaDB)
	case "sqlite", "sqlite3", "file":
		return d, d.parseSQLite(strings.ToLower(scheme), rest)
	}
	// The scheme is all that is repeated: in a URL without one, what stands before ":" can be a secret.
	message := "the database URL has no known scheme"
	if regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,20}$`).MatchString(scheme) && strings.HasPrefix(rest, "//") {
		message = "unknown database scheme " + scheme + "://"
	}
	return dsn{}, &Error{Class: Usage, Message: message, Hint: schemes}
}

const schemes = "use postgres://user@host:port/db, mysql://…, mariadb://… or sqlite:file.db"

func (d *dsn) parsePostgres() error {
	c, err := pgx.ParseConfig(d.raw)
	if err != nil {
		// pgx repeats the URL in its message, and what it hides there depends on what it could parse.
		return &Error{Class: Usage, Message: "the postgres:// URL cannot be read",
			Hint: "percent-encode special characters in user and password; check port and parameters"}
	}
	d.pgx = c
	host := c.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, itoa(int(c.Port)))
	}
	d.target = Target{Kind: Postgres, Host: host, Database: c.Database, User: c.User}
	if d.target.Database == "" {
		d.target.Database = c.User
	}
	return nil
}

func (d *dsn) parseMySQL(kind Kind) error {
	u, err := url.Parse(d.raw)
	if err != nil || u.Opaque != "" {
		return &Error{Class: Usage, Message: "the " + string(kind) + ":// URL cannot be read",
			Hint: "write " + string(kind) + "://user:password@host:port/db, special characters percent-encoded"}
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "3306"
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return &Error{Class: Usage, Message: "the " + string(kind) + ":// URL names no database",
			Hint: "write " + string(kind) + "://user:password@host:port/db"}
	}
	address := net.JoinHostPort(host, port)
	if socket := d.params.Get("socket"); strings.HasPrefix(socket, "/") {
		address = socket
	}
	d.target = Target{Kind: kind, Host: address, Database: name, User: u.User.Username()}
	d.pass, _ = u.User.Password()
	if d.target.User == "" {
		if me, err := user.Current(); err == nil {
			d.target.User = me.Username
		}
	}
	return nil
}

func (d *dsn) parseSQLite(scheme, rest string) error {
	path, _, _ := strings.Cut(rest, "?")
	if inner, ok := strings.CutPrefix(path, "file:"); ok {
		scheme, path = "file", inner
	}
	path = strings.TrimPrefix(path, "//")
	if scheme == "file" { // a URI: its path is percent-encoded; after sqlite: it is a path as it is
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return &Error{Class: Usage, Message: "the path of the file: URL cannot be read", Hint: schemes}
		}
		path = decoded
	}
	if path == "" || path == ":memory:" || d.params.Get("mode") == "memory" {
		return &Error{Class: Usage, Message: "the sqlite: URL names no file",
			Hint: "write sqlite:file.db; a database in memory would end with this program"}
	}
	d.path = path
	d.target = Target{Kind: SQLite, Database: path}
	return nil
}

var (
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'"]*):[^\s'"]*@`)
	keyword  = regexp.MustCompile(`(?i)\b((?:ssl)?(?:password|passwd|pwd))(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'"]+)`)
)

// Redact takes the passwords out of text that may contain database URLs or key=value settings.
func Redact(s string) string {
	s = userinfo.ReplaceAllString(s, "$1:xxxxx@")
	return keyword.ReplaceAllString(s, "$1${2}xxxxx")
}
