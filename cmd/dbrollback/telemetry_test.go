package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// What runs tell machines: a file of metrics, which a Prometheus parser reads, and spans, which a server receives.
func TestTelling(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		var mu sync.Mutex
		var bodies []string
		var spans []*tracepb.Span
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var d tracepb.TracesData
			if err == nil {
				err = proto.Unmarshal(body, &d)
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			bodies, spans = append(bodies, string(body)), d.ResourceSpans[0].ScopeSpans[0].Spans
		}))
		defer server.Close()
		dir := t.TempDir()
		for name, text := range map[string]string{
			"migrations/00001_users.sql": "-- +goose Up\nCREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n-- +goose Down\nDROP TABLE users;\n",
			"later/00002_gone.sql":       "-- +goose Up\nDELETE FROM users WHERE id < 3;\n-- +goose Down\nSELECT 1;\n",
			"later/00003_bad.sql":        "-- +goose Up\nINSERT INTO users (id, name) VALUES (3, 'taken');\n-- +goose Down\nSELECT 1;\n",
			"dbrollback.yml":             "metrics-file: run.prom\nkeep: 7d\n",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := func(exit int, arguments ...string) (said string) {
			t.Helper()
			cmd := exec.Command("dbrollback", arguments...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "DBROLLBACK_DSN="+dsn, "DBROLLBACK_NO_PROGRESS=1", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)
			var b bytes.Buffer
			cmd.Stderr = &b
			if err := cmd.Run(); cmd.ProcessState.ExitCode() != exit {
				t.Fatalf("%v: %v\n%s", arguments, err, b.String())
			}
			return b.String()
		}
		metric := func(name, label string) float64 {
			t.Helper()
			text, err := os.ReadFile(filepath.Join(dir, "run.prom"))
			if err != nil {
				t.Fatal(err)
			}
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, m := range families["dbrollback_"+name].GetMetric() {
				for _, l := range m.Label {
					if label == "" || l.GetValue() == label {
						return m.Gauge.GetValue()
					}
				}
				if len(m.Label) == 0 {
					return m.Gauge.GetValue()
				}
			}
			t.Errorf("no metric %s of %s in\n%s", name, label, text)
			return -1
		}
		expect := func(name, label string, want float64) {
			t.Helper()
			if got := metric(name, label); got != want {
				t.Errorf("%s %s is %v, want %v", name, label, got, want)
			}
		}
		names := func() string {
			mu.Lock()
			defer mu.Unlock()
			var out []string
			for _, s := range spans {
				out = append(out, s.Name)
			}
			return strings.Join(out, ", ")
		}

		run(0, "up")
		testdb.Exec(t, dsn, "INSERT INTO users VALUES (1, 'a-name-of-somebody'), (2, 'b'), (3, 'c')")
		copyFile(t, filepath.Join(dir, "later/00002_gone.sql"), filepath.Join(dir, "migrations/00002_gone.sql"))
		run(0, "up")
		expect("run_success", "up", 1)
		expect("run_rows", "captured", 2)
		expect("schema_version", "", 2)
		expect("captured_rows", "", 2)
		if metric("capture_first_expiry_timestamp_seconds", "")-metric("run_timestamp_seconds", "up") < 6*24*3600 {
			t.Error("the end of a capture is not when it is")
		}
		if got := names(); got != "dbrollback up, migration up, capture" {
			t.Error(got)
		}
		copyFile(t, filepath.Join(dir, "later/00003_bad.sql"), filepath.Join(dir, "migrations/00003_bad.sql"))
		run(1, "up")
		expect("run_success", "up", 0)
		expect("run_exit_code", "up", 1)
		if spans[0].Status.Code != tracepb.Status_STATUS_CODE_ERROR {
			t.Error(spans[0])
		}
		run(0, "status")
		expect("pending_migrations", "", 1)
		expect("unfinished_runs", "", 0)
		run(0, "rollback")
		expect("run_rows", "inserted", 2)
		expect("run_migrations", "rollback", 1)
		if got := names(); !strings.HasPrefix(got, "dbrollback rollback, migration down") {
			t.Error(got)
		}
		if run(2, "snapshot", "show", "nothing"); names() != "dbrollback snapshot show" {
			t.Error(names())
		}
		// Neither a row, nor a statement, nor the password.
		all := strings.Join(bodies, "\n")
		text, err := os.ReadFile(filepath.Join(dir, "run.prom"))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"a-name-of-somebody", "DELETE FROM", "taken", dsn} {
			if strings.Contains(all+string(text), secret) {
				t.Errorf("%q is told", secret)
			}
		}
		// What cannot be told is a warning: the run did what it did.
		server.Close()
		if said := run(0, "status", "--metrics-file", "nowhere/run.prom"); !strings.Contains(said, "warning: no metrics: nowhere/run.prom cannot be written") ||
			!strings.Contains(said, "warning: the spans could not be sent: ") {
			t.Error(said)
		}
	}, testdb.OnSQLite, testdb.OnPostgres)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
