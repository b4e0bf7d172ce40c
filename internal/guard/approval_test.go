package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestApproval(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ReadPrivateKey(file("key", private))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ReadPublicKey(file("key.pub", public))
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Repeat("ab", 32)
	good := Sign(key, plan, "ada", start.Add(time.Hour))
	written, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadApproval(file("approval.json", written))
	if err != nil || read.Check(pub, plan, start) != nil {
		t.Fatalf("%v, %v", err, read)
	}
	for name, c := range map[string]struct {
		change func(*Approval)
		plan   string
		at     time.Time
		says   string
	}{
		"expired":      {plan: plan, at: start.Add(time.Hour), says: "expired at 2026-11-26T11:00:00Z"},
		"another plan": {plan: strings.Repeat("cd", 32), at: start, says: "for another plan"},
		"forged plan":  {change: func(a *Approval) { a.Plan = strings.Repeat("cd", 32) }, plan: strings.Repeat("cd", 32), at: start, says: "signature"},
		"prolonged":    {change: func(a *Approval) { a.Expires = a.Expires.Add(time.Hour) }, plan: plan, at: start, says: "signature"},
		"another name": {change: func(a *Approval) { a.By = "bob" }, plan: plan, at: start, says: "signature"},
		"unsigned":     {change: func(a *Approval) { a.Signature = "" }, plan: plan, at: start, says: "signature"},
		"no base64":    {change: func(a *Approval) { a.Signature = "%" }, plan: plan, at: start, says: "signature"},
		"version":      {change: func(a *Approval) { a.Version = 2 }, plan: plan, at: start, says: "version 2"},
	} {
		a := *good
		if c.change != nil {
			c.change(&a)
		}
		var refused *RefusedApproval
		if err := a.Check(pub, c.plan, c.at); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ReadPublicKey(file("other.pub", other))
	if err != nil {
		t.Fatal(err)
	}
	if good.Check(stranger, plan, start) == nil {
		t.Error("another key's signature")
	}
	if _, err := ReadApproval(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("none: %v", err)
	}
	if _, err := ReadApproval(file("garbage", []byte("{"))); err == nil {
		t.Error("garbage")
	}
	for _, bad := range []string{file("empty", nil), file("swapped", public), filepath.Join(dir, "none")} {
		if _, err := ReadPrivateKey(bad); err == nil {
			t.Errorf("%s is a private key", bad)
		}
	}
}

func TestAskWebhook(t *testing.T) {
	plan := strings.Repeat("ab", 32)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked Request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.Method != http.MethodPost || asked.Plan != plan || asked.Direction != "up" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		switch r.URL.Path {
		case "/yes":
			fmt.Fprintf(w, `{"approved": true, "plan": %q, "by": "ada"}`, plan)
		case "/no":
			fmt.Fprintf(w, `{"approved": false, "plan": %q, "by": "ada"}`, plan)
		case "/other":
			fmt.Fprint(w, `{"approved": true, "plan": "cd"}`)
		case "/later":
			w.WriteHeader(http.StatusAccepted)
		case "/empty":
		case "/gone":
			http.NotFound(w, r)
		}
	}))
	defer hook.Close()
	for path, want := range map[string]string{"/yes": "", "/no": "ada declined", "/other": "for another plan", "/later": "nobody has answered yet", "/empty": "no JSON", "/gone": "status 404"} {
		by, err := AskWebhook(t.Context(), hook.URL+path, Request{Version: 1, Plan: plan, Direction: "up"})
		if want == "" && (err != nil || by != "ada") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v", path, by, err)
		}
	}
	hook.Close()
	var refused *RefusedApproval
	if _, err := AskWebhook(t.Context(), hook.URL+"/yes", Request{Plan: plan}); !errors.As(err, &refused) {
		t.Errorf("a hook that is gone: %v", err)
	}
}
