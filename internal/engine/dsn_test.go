package engine

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Setenv("PGHOST", "")
	for dsn, want := range map[string]Target{
		"postgres://ann:pw@db.example:6543/shop?sslmode=disable": {Postgres, "db.example:6543", "shop", "ann"},
		"postgresql://ann@[::1]/shop":                            {Postgres, "[::1]:5432", "shop", "ann"},
		"postgres://ann@/shop?host=/var/run/pg":                  {Postgres, "/var/run/pg", "shop", "ann"},
		"mysql://ann:p%40w@db:3307/shop?tls=true":                {MySQL, "db:3307", "shop", "ann"},
		"mariadb://ann@db/shop":                                  {MariaDB, "db:3306", "shop", "ann"},
		"sqlite:rel.db":                                          {SQLite, "", "rel.db", ""},
		"sqlite:dir/a b%20#.db":                                  {SQLite, "", "dir/a b%20#.db", ""},
		"sqlite://rel.db":                                        {SQLite, "", "rel.db", ""},
		"sqlite:///abs/x.db?_pragma=foreign_keys(1)":             {SQLite, "", "/abs/x.db", ""},
		"sqlite:/abs/x.db":                                       {SQLite, "", "/abs/x.db", ""},
		"file:a%20b.db?mode=ro":                                  {SQLite, "", "a b.db", ""},
		"sqlite:file:a%20b.db":                                   {SQLite, "", "a b.db", ""},
	} {
		got, err := Parse(dsn)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", dsn, got, err, want)
		}
	}
}

// Whatever is wrong with a URL, its password is not in the error.
func TestParseErrorsKeepThePassword(t *testing.T) {
	const secret = "hunter2"
	for _, dsn := range []string{
		"postgres://ann:hunter2@db:port/shop", "postgres://ann:hunter2%zz@db/shop", "postgres://ann:hunter2@db/shop?sslmode=perhaps",
		"postgres://ann:a/hunter2@db/shop?port=x", "postgres://ann:hunter2@db:1:2/shop", "postgres://ann@db/shop?password=hunter2&sslmode=perhaps",
		"mysql://ann:hunter2@db", "mysql://ann:hunter2@db:port/x", "mysql://ann:hunter2%zz@db/shop", "mariadb:ann:hunter2", "mysql://ann:hunter2@db/a/b",
		"oracle://ann:hunter2@db/shop", "hunter2", "hunter2:x", "ann:hunter2@tcp(db)/shop", "sqlite:", "sqlite::memory:", "sqlite:a?password=hunter2;%zz",
		"file:%zzhunter2", "host=db password=hunter2",
	} {
		_, err := Parse(dsn)
		var e *Error
		if !errors.As(err, &e) || e.Class != Usage || e.Hint == "" {
			t.Errorf("%s: %v is no usage error with a hint", dsn, err)
			continue
		}
		for ; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error says %q", dsn, err)
			}
		}
	}
}

func FuzzParseKeepsThePassword(f *testing.F) {
	f.Add("postgres://ann:", "@db:x/shop")
	f.Add("mysql://ann:", "@db:99999/shop?%")
	f.Add("sqlite:a?password=", "&%zz")
	const secret = "Geheimnis73"
	f.Fuzz(func(t *testing.T, before, after string) {
		target, err := Parse(before + secret + after)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("error: %v", err)
		}
		if _, err := json.Marshal(target); err != nil {
			t.Error(err)
		}
	})
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"connect to postgres://ann:hunter2@db/shop failed":          "connect to postgres://ann:xxxxx@db/shop failed",
		"postgres://ann:a@b/hunter2@db/shop?sslmode=disable":        "postgres://ann:xxxxx@db/shop?sslmode=disable",
		"mysql://:hunter2@db/x and mysql://b:hunter2@db/y":          "mysql://:xxxxx@db/x and mysql://b:xxxxx@db/y",
		"user=ann password=hunter2 host=db":                         "user=ann password=xxxxx host=db",
		"user=ann password='hun ter2\\'x' host=db":                  "user=ann password=xxxxx host=db",
		"postgres://ann@db/shop?sslpassword=hunter2&a=b":            "postgres://ann@db/shop?sslpassword=xxxxx&a=b",
		"postgres://ann@db:5432/shop has no password":               "postgres://ann@db:5432/shop has no password",
		"ALTER TABLE users DROP COLUMN password -- nothing to hide": "ALTER TABLE users DROP COLUMN password -- nothing to hide",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}
