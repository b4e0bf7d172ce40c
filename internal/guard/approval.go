package guard

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Approval is a person's consent to one plan, until a moment. It says which plan by its hash, over the statements, the captures, the
// versions and the target, so that it is good for nothing else.
type Approval struct {
	Version   int       `json:"version"`
	Plan      string    `json:"plan"`
	Expires   time.Time `json:"expires"`
	By        string    `json:"by"`
	Signature string    `json:"signature"` // ed25519, base64
}

// signed is what the signature covers. The first line keeps signatures of other protocols from being taken for ours.
func (a *Approval) signed() []byte {
	return []byte("dbrollback approval 1\n" + a.Plan + "\n" + a.Expires.UTC().Format(time.RFC3339) + "\n" + a.By + "\n")
}

// Sign consents to a plan.
func Sign(key ed25519.PrivateKey, plan, by string, expires time.Time) *Approval {
	a := &Approval{Version: 1, Plan: plan, By: by, Expires: expires.UTC().Truncate(time.Second)}
	a.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, a.signed()))
	return a
}

// RefusedApproval says why there is no consent. Nothing was done.
type RefusedApproval struct{ Reason string }

func (e *RefusedApproval) Error() string { return "not approved: " + e.Reason }

func refuse(format string, args ...any) error { return &RefusedApproval{fmt.Sprintf(format, args...)} }

// Check says whether the approval is one for the plan, now; the error is a *RefusedApproval.
func (a *Approval) Check(key ed25519.PublicKey, plan string, now time.Time) error {
	signature, err := base64.StdEncoding.DecodeString(a.Signature)
	switch {
	case a.Version != 1:
		return refuse("the approval has version %d, not 1", a.Version)
	case err != nil || !ed25519.Verify(key, a.signed(), signature):
		return refuse("the signature is not that of the key")
	case a.Plan != plan:
		return refuse("the approval is for another plan")
	case !now.Before(a.Expires):
		return refuse("the approval expired at %s", a.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// ReadApproval reads the file of an approval; that it is not there is a *RefusedApproval, too.
func ReadApproval(file string) (*Approval, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, refuse("there is no file %s", file)
	}
	if err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	a := &Approval{}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, refuse("%s is no approval: %v", file, err)
	}
	return a, nil
}

// NewKey makes a pair of keys in the files' usual form.
func NewKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	p, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p}), nil
}

// ReadPrivateKey reads the key that approves, as NewKey and openssl write it.
func ReadPrivateKey(file string) (ed25519.PrivateKey, error) {
	der, err := readPEM(file, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if k, ok := key.(ed25519.PrivateKey); err == nil && ok {
		return k, nil
	}
	return nil, fmt.Errorf("%s holds no ed25519 key", file)
}

// ReadPublicKey reads the key that approvals are checked with.
func ReadPublicKey(file string) (ed25519.PublicKey, error) {
	der, err := readPEM(file, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if k, ok := key.(ed25519.PublicKey); err == nil && ok {
		return k, nil
	}
	return nil, fmt.Errorf("%s holds no ed25519 key", file)
}

func readPEM(file, kind string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %s in PEM form", file, strings.ToLower(kind))
	}
	return block.Bytes, nil
}

// Request is what a webhook is asked.
type Request struct {
	Version   int    `json:"version"`
	Plan      string `json:"plan"`
	Direction string `json:"direction"` // up | down
	Target    any    `json:"target"`
	Reason    string `json:"reason,omitempty"` // of a rollback
	Details   any    `json:"details"`          // the plan itself
}

// ErrPending says that a webhook has no answer yet.
var ErrPending = errors.New("nobody has answered yet")

// AskWebhook posts a request. The answer is {"approved": true, "plan": "…", "by": "…"} with status 200; 202 means that nobody has
// answered yet. Anything else is a *RefusedApproval: consent is never assumed.
func AskWebhook(ctx context.Context, url string, r Request) (by string, err error) {
	client, err := newClient(url, "")
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", refuse("the webhook's URL cannot be asked")
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", refuse("the webhook: %s", reachable(err))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostBody))
	switch {
	case err != nil:
		return "", refuse("the webhook: %s", reachable(err))
	case response.StatusCode == http.StatusAccepted:
		return "", ErrPending
	case response.StatusCode != http.StatusOK:
		return "", refuse("the webhook answers with status %d", response.StatusCode)
	}
	var a struct {
		Approved bool
		Plan, By string
	}
	switch err := json.Unmarshal(answer, &a); {
	case err != nil:
		return "", refuse("the webhook's answer is no JSON")
	case a.Plan != r.Plan:
		return "", refuse("the webhook's answer is for another plan")
	case !a.Approved && a.By != "":
		return "", refuse("%s declined", a.By)
	case !a.Approved:
		return "", refuse("the webhook declined")
	}
	return a.By, nil
}
