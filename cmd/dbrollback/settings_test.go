package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

const settingsFile = `
dsn: sqlite:top.db
dir: from-file
keep: 1h
keep-count: 7
environments:
  staging:
    dsn: sqlite:staging.db
    keep: 2h
    dir: from-staging
  secret:
    dsn: postgres://shop:${PW}@db.example/shop
  bare: {keep: 3h}
`

// resolved reads the settings of a command line, in a folder with settingsFile.
func resolved(t *testing.T, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(configName, []byte(settingsFile), 0o600); err != nil {
		t.Fatal(err)
	}
	var got *settings
	app := (&program{}).app()
	app.Commands = []*cli.Command{{Name: "up", Flags: keepFlags(), Action: func(c *cli.Context) (err error) {
		got, err = resolve(c, func(name string) string { return env[name] })
		return err
	}}}
	arranged, err := arrange(app, append([]string{"up"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	err = app.Run(arranged)
	if err == nil {
		err = got.dsnErr
	}
	return got, err
}

func TestWhichDatabase(t *testing.T) {
	dsnVar := map[string]string{"DBROLLBACK_DSN": "sqlite:variable.db"}
	envVar := map[string]string{"DBROLLBACK_ENV": "staging"}
	both := map[string]string{"DBROLLBACK_DSN": "sqlite:variable.db", "DBROLLBACK_ENV": "staging"}
	for name, c := range map[string]struct {
		env  map[string]string
		args string
		dsn  string
		from string
		err  string
	}{
		"file":                              {nil, "", "sqlite:top.db", "dbrollback.yml", ""},
		"variable over file":                {dsnVar, "", "sqlite:variable.db", "DBROLLBACK_DSN", ""},
		"flag over variable":                {dsnVar, "--dsn sqlite:flag.db", "sqlite:flag.db", "--dsn", ""},
		"flag over environment variable":    {envVar, "--dsn sqlite:flag.db", "sqlite:flag.db", "--dsn", ""},
		"flag over both variables":          {both, "--dsn sqlite:flag.db", "sqlite:flag.db", "--dsn", ""},
		"environment over file":             {envVar, "", "sqlite:staging.db", "DBROLLBACK_ENV=staging", ""},
		"typed environment over variable":   {dsnVar, "--env staging", "sqlite:staging.db", "--env staging", ""},
		"both typed":                        {nil, "--env staging --dsn sqlite:flag.db", "", "", "--dsn names sqlite flag.db, but --env staging names sqlite staging.db"},
		"both typed, the same":              {nil, "--env staging --dsn sqlite:staging.db", "sqlite:staging.db", "--dsn", ""},
		"both in the environment":           {both, "", "", "", "DBROLLBACK_DSN names sqlite variable.db, but DBROLLBACK_ENV=staging names sqlite staging.db"},
		"environment without a database":    {nil, "--env bare", "", "", ""},
		"the same, with a variable":         {dsnVar, "--env bare", "sqlite:variable.db", "DBROLLBACK_DSN", ""},
		"a secret of the environment":       {map[string]string{"PW": "p:w"}, "--env secret", "postgres://shop:p:w@db.example/shop", "--env secret", ""},
		"a secret that is not there":        {nil, "--env secret", "", "", "PW is not set"},
		"the secret of another one is idle": {nil, "--env staging", "sqlite:staging.db", "--env staging", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := resolved(t, c.env, strings.Fields(c.args)...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.DSN != c.dsn || s.DSNFrom != c.from && c.dsn != "" {
				t.Errorf("%q from %q, want %q from %q", s.DSN, s.DSNFrom, c.dsn, c.from)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	s, err := resolved(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Keep != time.Hour || s.KeepCount != 7 || s.Dir != "from-file" || s.LockTimeout != 5*time.Second || s.MaxLock != time.Minute {
		t.Errorf("file and defaults: %+v", s)
	}
	s, err = resolved(t, nil, "--env", "staging")
	if err != nil || s.Keep != 2*time.Hour || s.KeepCount != 7 || s.Dir != "from-staging" {
		t.Errorf("environment over file: %+v, %v", s, err)
	}
	env := map[string]string{"DBROLLBACK_KEEP": "4h", "DBROLLBACK_DIR": "from-variable", "DBROLLBACK_YES": "1", "DBROLLBACK_LOCK_TIMEOUT": "9s"}
	s, err = resolved(t, env, "--env", "staging")
	if err != nil || s.Keep != 4*time.Hour || s.Dir != "from-variable" || !s.Yes || s.LockTimeout != 9*time.Second {
		t.Errorf("variable over environment: %+v, %v", s, err)
	}
	s, err = resolved(t, env, "--keep", "2d", "--dir", "from-flag", "--yes=false", "--lock-timeout=1s")
	if err != nil || s.Keep != 48*time.Hour || s.Dir != "from-flag" || s.Yes || s.LockTimeout != time.Second {
		t.Errorf("flag over variable: %+v, %v", s, err)
	}
	_, err = resolved(t, map[string]string{"DBROLLBACK_YES": "maybe"})
	var usage *usageError
	if !errors.As(err, &usage) {
		t.Errorf("DBROLLBACK_YES=maybe: %v", err)
	}
}

// Paths of a configuration file elsewhere are meant from where it lies.
func TestConfigElsewhere(t *testing.T) {
	c := &config{path: "deploy/dbrollback.yml"}
	for dsn, want := range map[string]string{
		"sqlite:app.db":            "sqlite:deploy/app.db",
		"sqlite://data/app.db?a=b": "sqlite://deploy/data/app.db?a=b",
		"sqlite:/abs/app.db":       "sqlite:/abs/app.db",
		"postgres://h/d":           "postgres://h/d",
	} {
		if got := c.besideDSN(dsn); got != want {
			t.Errorf("%s: %s, want %s", dsn, got, want)
		}
	}
	if got := c.beside("migrations"); got != "deploy/migrations" {
		t.Error(got)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(settingsFile)
	f.Add("dsn: [")
	f.Add("environments: {a: {b: c}}")
	f.Add("? {a: b}\n: c")
	f.Add("<<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("f.yml", []byte(text))
		var ce *configError
		if err != nil && !errors.As(err, &ce) {
			t.Errorf("%v is no configError", err)
		}
		if err == nil && c == nil {
			t.Error("neither a configuration nor an error")
		}
	})
}
