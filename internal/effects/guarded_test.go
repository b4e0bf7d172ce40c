package effects

import (
	"strings"
	"testing"
)

func TestGuarded(t *testing.T) {
	for sql, want := range map[string]string{
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN null; END $$":                                                   "CREATE TYPE mood AS ENUM ('a') true",
		"DO $$ BEGIN BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object OR duplicate_table THEN RAISE NOTICE 'x;'; END; END; $$":       "CREATE TYPE mood AS ENUM ('a') true",
		"DO $x$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE mood AS ENUM ('a;b'); END IF; END $x$":                "CREATE TYPE mood AS ENUM ('a;b') true",
		"DO $$ BEGIN ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c (id); EXCEPTION WHEN duplicate_object THEN NULL; END $$":                 "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c (id) true",
		"DO $$ BEGIN DROP TYPE mood; EXCEPTION WHEN undefined_object THEN NULL; END $$":                                                                   "DROP TYPE mood true",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood); END $$":                                                                     "CREATE TYPE mood AS ENUM ('a') false; CREATE TABLE t (m mood) false",
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'other') THEN CREATE TYPE mood AS ENUM ('a'); END IF; END $$":                   "",
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM t WHERE a = 'mood') OR b() THEN CREATE TYPE mood AS ENUM ('a'); END IF; END $$":                         "",
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE mood AS ENUM ('a'); ELSE DROP TABLE t; END IF; END $$": "",
		"DO $$ DECLARE x int; BEGIN CREATE TYPE mood AS ENUM ('a'); END $$":                                                                               "",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN others THEN NULL; END $$":                                                             "",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN DROP TABLE t; END $$":                                           "",
		"DO $$ BEGIN EXECUTE 'CREATE TYPE mood'; END $$":                                                                                                  "",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); DELETE FROM t; END $$":                                                                               "",
		"DO $$ BEGIN DROP TABLE t CASCADE; END $$":                                                                                                        "",
		"DO $$ BEGIN IF true THEN CREATE TYPE mood AS ENUM ('a'); END IF; END $$":                                                                         "",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a') $$":                                                                                                   "",
		"DO $$ BEGIN NULL; END $$": "",
		"DO $$ $$":                 "",
		"DO":                       "",
		"SELECT 'x'":               "",
		"DO $$ BEGIN ":             "",
	} {
		list, ok := Guarded(sql)
		var got []string
		for _, st := range list {
			word := " false"
			if st.Effects[0].IfExists {
				word = " true"
			}
			got = append(got, st.SQL+word)
		}
		if s := strings.Join(got, "; "); s != want || ok != (want != "") {
			t.Errorf("%s\ngot  %q, %v\nwant %q", sql, s, ok, want)
		}
	}
}
