package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"

	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func check(t *testing.T, p Probe, timeout time.Duration) (State, string) {
	t.Helper()
	f := ask(t.Context(), p, timeout)
	return f.State, f.Reason
}

// newExpired is a service whose certificate, from an authority of its own, is over since yesterday.
func newExpired(t *testing.T, service http.Handler) (*httptest.Server, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(time.Hour)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-24 * time.Hour)}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(service)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about clients that go away
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "expired.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, ca
}

func TestHTTPProbe(t *testing.T) {
	hang := make(chan struct{})
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/well":
			fmt.Fprint(w, `{"status": "ok"}`)
		case "/ill":
			http.Error(w, "no", http.StatusInternalServerError)
		case "/moved":
			http.Redirect(w, r, "/well", http.StatusFound)
		case "/broken":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "short")
		case "/hang":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
	})
	plain, secure := httptest.NewServer(service), httptest.NewTLSServer(service)
	defer plain.Close()
	defer secure.Close()
	defer close(hang)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	expired, expiredCA := newExpired(t, service)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()
	for _, c := range []struct {
		name, url, ca string
		set           func(*HTTP)
		state         State
		reason        string
	}{
		{name: "well", url: plain.URL + "/well", state: Healthy},
		{name: "ill", url: plain.URL + "/ill", state: Failed, reason: "status 500"},
		{name: "500 is well here", url: plain.URL + "/ill", set: func(h *HTTP) { h.Status = []int{200, 500} }, state: Healthy},
		{name: "200 is not", url: plain.URL + "/well", set: func(h *HTTP) { h.Status = []int{204} }, state: Failed, reason: "status 200"},
		{name: "not followed", url: plain.URL + "/moved", state: Failed, reason: "status 302"},
		{name: "body", url: plain.URL + "/well", set: func(h *HTTP) { h.Body = regexp.MustCompile(`"status": "ok"`) }, state: Healthy},
		{name: "another body", url: plain.URL + "/well", set: func(h *HTTP) { h.Body = regexp.MustCompile("degraded") }, state: Failed, reason: "does not match degraded"},
		{name: "broken off", url: plain.URL + "/broken", state: Failed, reason: "broke off"},
		{name: "slow", url: plain.URL + "/well", set: func(h *HTTP) { h.Latency = time.Nanosecond }, state: Failed, reason: "more than 1ns"},
		{name: "hangs", url: plain.URL + "/hang", state: Failed, reason: "no answer within"},
		{name: "nobody", url: nobody, state: Failed, reason: "refused"},
		{name: "unknown host", url: "http://does-not-exist.invalid/", state: Failed, reason: "host name is not known"},
		{name: "not trusted", url: secure.URL + "/well", state: Failed, reason: "certificate is not trusted"},
		{name: "trusted", url: secure.URL + "/well", ca: ca, state: Healthy},
		{name: "of another host", url: strings.Replace(secure.URL, "127.0.0.1", "localhost", 1) + "/well", ca: ca, state: Failed, reason: "certificate is not trusted"},
		{name: "expired", url: expired.URL + "/well", ca: expiredCA, state: Failed, reason: "expired"},
		{name: "no TLS there", url: strings.Replace(plain.URL, "http:", "https:", 1) + "/well", state: Failed, reason: "HTTP response to HTTPS client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := NewHTTP(c.url, c.ca)
			if err != nil {
				t.Fatal(err)
			}
			if c.set != nil {
				c.set(h)
			}
			timeout := 10 * time.Second
			if c.name == "hangs" {
				timeout = 50 * time.Millisecond
			}
			if state, reason := check(t, h, timeout); state != c.state || !strings.Contains(reason, c.reason) {
				t.Errorf("%s, %q", state, reason)
			}
		})
	}
	h, err := NewHTTP("https://me:secret@host/health?token=secret", "")
	if err != nil || strings.Contains(h.Name(), "secret") {
		t.Errorf("%v, %s", err, h.Name())
	}
	for _, bad := range []string{"localhost:8080", "ftp://host/", "http://", "://", "http://user:secret@%zz/"} {
		if _, err := NewHTTP(bad, ""); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := NewHTTP(secure.URL, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("certificates that are not there")
	}
}

func TestPrometheusProbe(t *testing.T) {
	answers := map[string]string{
		"low":     `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.5"]}]}}`,
		"high":    `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.5"]},{"metric":{},"value":[1,"5.01"]}]}}`,
		"scalar":  `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`,
		"endless": `{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}`,
		"traffic": `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`,
		"empty":   `{"status":"success","data":{"resultType":"vector","result":[]}}`,
		"matrix":  `{"status":"success","data":{"resultType":"matrix","result":[]}}`,
		"error":   `{"status":"error","errorType":"bad_data","error":"parse error at char 3"}`,
		"html":    `<html>`,
		"odd":     `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,2]}]}}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/prefix/api/v1/query" {
			fmt.Fprint(w, answers[r.URL.Query().Get("query")])
		}
	}))
	defer server.Close()
	for query, want := range map[string]struct {
		state  State
		reason string
	}{
		"low": {Healthy, ""}, "high": {Failed, "5.01 is above 5"}, "scalar": {Failed, "7 is above 5"}, "endless": {Failed, "+Inf is above 5"},
		"traffic": {Unknown, NoResult}, "empty": {Unknown, NoResult}, "matrix": {Unknown, "gives a matrix"}, "error": {Unknown, "parse error at char 3"},
		"html": {Unknown, "no answer of Prometheus"}, "odd": {Unknown, "is no number"},
	} {
		p, err := NewPrometheus(server.URL+"/prefix/", query, 5, "")
		if err != nil {
			t.Fatal(err)
		}
		if state, reason := check(t, p, 10*time.Second); state != want.state || !strings.Contains(reason, want.reason) {
			t.Errorf("%s: %s, %q", query, state, reason)
		}
	}
	server.Close()
	p, err := NewPrometheus(server.URL, "low", 5, "")
	if err != nil {
		t.Fatal(err)
	}
	if state, reason := check(t, p, time.Second); state != Unknown || !strings.Contains(reason, "prometheus: ") {
		t.Errorf("gone: %s, %q", state, reason)
	}
}

func TestCommandProbe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("the commands are the shell's of Unix")
		return
	}
	dir := t.TempDir()
	for _, c := range []struct {
		line   string
		state  State
		reason string
	}{
		{"true", Healthy, ""},
		{"echo no luck >&2; exit 7", Failed, "exit code 7: no luck"},
		{"dbrollback-no-such-program", Failed, "exit code 127"},
		{`test "$WORD" = given`, Healthy, ""},
		{"i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 1", Failed, "line 2999"},
	} {
		if state, reason := check(t, &Command{Line: c.line, Env: []string{"WORD=given"}}, time.Minute); state != c.state || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: %s, %q", c.line, state, reason)
		}
	}
	// One that hangs is ended, with what it started.
	pid := filepath.Join(dir, "pid")
	p := &Command{Line: "sleep 300 & echo $! > " + pid + "; wait"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan string, 1)
	go func() {
		_, reason := p.Check(ctx)
		done <- reason
	}()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if b, err := os.ReadFile(pid); err == nil && len(b) > 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not begin")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if reason := <-done; reason != "no answer in time" {
		t.Errorf("%q", reason)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if state := processState(strings.TrimSpace(string(b))); state == "" || state == "Z" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what it started lives on")
		}
		time.Sleep(time.Millisecond)
	}
}

// processState is the letter of Linux; "" when there is no such process, or no such list.
func processState(pid string) string {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func TestAssertion(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE orders (id integer PRIMARY KEY, total integer)", "INSERT INTO orders VALUES (1, 5), (2, NULL)")
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		for _, c := range []struct {
			query   string
			state   State
			reason  string
			mistake bool
		}{
			{"SELECT count(*) = 0 FROM orders WHERE total < 0", Healthy, "", false},
			{"SELECT count(*) = 0 FROM orders WHERE total > 0", Failed, "it is false", false},
			{"SELECT total > 0 FROM orders WHERE id = 2", Failed, "it is NULL", false},
			{"SELECT 1 = 1", Healthy, "", false},
			{"SELECT 'x'", Failed, `it is "x", neither true nor false`, true},
			{"SELECT 1, 2", Failed, "2 columns; one is wanted", true},
			{"SELECT total = 5 FROM orders", Failed, "2 rows; one is wanted", true},
			{"SELECT count(*) = 0 FROM nothing", Failed, "nothing", false},
			{"DELETE FROM orders RETURNING 1 = 1", Failed, "", false},
		} {
			a := &Assertion{DB: db, SQL: c.query}
			if state, reason := check(t, a, time.Minute); state != c.state || !strings.Contains(reason, c.reason) {
				t.Errorf("%s: %s, %q", c.query, state, reason)
			}
			if mistake, reason := a.Try(t.Context()); mistake != c.mistake {
				t.Errorf("%s: a mistake: %v, %s", c.query, mistake, reason)
			}
		}
		if n := testdb.Query(t, dsn, "SELECT count(*) FROM orders"); n[0] != "2" {
			t.Error("an assertion has written")
		}
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL)
}
