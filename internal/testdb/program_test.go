package testdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	t.Setenv("DBROLLBACK_DSN", "of the developer")
	program := buildProgram(t, "./internal/testdb/testdata/program")
	if again := buildProgram(t, "./internal/testdb/testdata/program"); again != program {
		t.Errorf("built twice: %s and %s", program, again)
	}
	r := Run(t, Command{Program: program, Args: []string{"exit", "3"}, Stdin: "in\n", Env: []string{"DBROLLBACK_X=1"}})
	if r.Code != 3 || r.Stdout != "out in\n" || r.Stderr != "DBROLLBACK_X=1\n" || r.Killed || r.Took <= 0 {
		t.Errorf("%v", r)
	}
	// killed later than it ends
	if r := Run(t, Command{Program: program, Args: []string{"exit", "0"}, KillAfter: time.Minute}); r.Code != 0 || r.Killed {
		t.Errorf("%v", r)
	}
}

func TestRunKills(t *testing.T) {
	t.Parallel()
	program := buildProgram(t, "./internal/testdb/testdata/program")
	file := filepath.Join(t.TempDir(), "f")
	r := Run(t, Command{Program: program, Args: []string{"write", file}, KillWhen: Grown(file, 5000)})
	if st, err := os.Stat(file); err != nil || st.Size() < 5000 || r.Code != -1 || !r.Killed {
		t.Errorf("%v; file: %v, %v", r, st, err)
	}
	if r := Run(t, Command{Program: program, Args: []string{"write", file}, KillAfter: 20 * time.Millisecond}); !r.Killed || r.Took > 20*time.Second {
		t.Errorf("%v", r)
	}
}

func TestProcessOutlivesNoTest(t *testing.T) {
	t.Parallel()
	program := buildProgram(t, "./internal/testdb/testdata/program")
	var p *Process
	t.Run("use", func(t *testing.T) {
		p = Start(t, Command{Program: program, Args: []string{"interrupt"}})
		eventually(t, "it starts", func() bool { return p.Stdout() == "ready\n" })
	})
	if alive(p.PID) {
		t.Error("it outlived the test")
	}
	p = Start(t, Command{Program: program, Args: []string{"interrupt"}})
	eventually(t, "it starts", func() bool { return p.Stdout() == "ready\n" })
	p.Signal(os.Interrupt)
	if r := p.Wait(); r.Code != 130 || r.Killed {
		t.Errorf("%v", r)
	}
}

func TestSees(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, dsn string) {
		sees := Sees(t, dsn, "%sleep%marker%")
		if sees() {
			t.Error("seen before it runs")
		}
		statement := `SELECT pg_sleep(60) /* marker */`
		if !strings.HasPrefix(dsn, "postgres") {
			statement = `SELECT sleep(60) /* marker */`
		}
		db, err := connect(dsn)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = db.ExecContext(t.Context(), statement) // ended by the test's context
		}()
		eventually(t, "the statement is seen", sees)
		t.Cleanup(func() {
			<-done
			_ = db.Close()
		})
	}, OnPostgres, OnMariaDB, OnMySQL)
}
