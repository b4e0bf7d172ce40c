package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// HTTP probes a URL. Each check is a connection of its own, so that it sees what a new client sees; redirects are not
// followed.
type HTTP struct {
	URL     string
	Status  []int          // those that are well; none: 200 to 299
	Body    *regexp.Regexp // what the body must match; may be nil
	Latency time.Duration  // longest time to the end of the answer; 0: the probe's timeout
	client  *http.Client
}

// mostBody is how much of an answer is looked at.
const mostBody = 1 << 20

// NewHTTP prepares a probe. caFile names certificates to trust besides the system's; "" for none.
func NewHTTP(rawURL, caFile string) (*HTTP, error) {
	client, err := newClient(rawURL, caFile)
	if err != nil {
		return nil, err
	}
	return &HTTP{URL: rawURL, client: client}, nil
}

func newClient(rawURL, caFile string) (*http.Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL: write http://host/path or https://host/path", withoutSecrets(rawURL))
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates: %s holds none", caFile)
		}
	}
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// withoutSecrets leaves user, password and parameters of a URL out.
func withoutSecrets(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// Name is the URL without its secrets.
func (h *HTTP) Name() string { return "http " + withoutSecrets(h.URL) }

// Check asks once.
func (h *HTTP) Check(ctx context.Context) (State, string) {
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return Failed, "the URL cannot be asked"
	}
	request.Header.Set("User-Agent", "dbrollback guard")
	response, err := h.client.Do(request)
	if err != nil {
		return Failed, reachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBody))
	took := time.Since(began)
	good := response.StatusCode >= 200 && response.StatusCode < 300
	if len(h.Status) > 0 {
		good = slices.Contains(h.Status, response.StatusCode)
	}
	switch {
	case !good:
		return Failed, fmt.Sprintf("status %d", response.StatusCode)
	case err != nil:
		return Failed, "the answer broke off: " + reachable(err)
	case h.Body != nil && !h.Body.Match(body):
		return Failed, fmt.Sprintf("the body does not match %s", h.Body)
	case h.Latency > 0 && took > h.Latency:
		return Failed, fmt.Sprintf("it took %s, more than %s", took.Round(time.Millisecond), h.Latency)
	}
	return Healthy, ""
}

// reachable is why no answer came, without the URL, which http's errors repeat.
func reachable(err error) string {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns):
		return "the host name is not known"
	case errors.As(err, &cert):
		return "its certificate is not trusted: " + cert.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return strings.TrimSpace(err.Error())
}
