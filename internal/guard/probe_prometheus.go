package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Prometheus asks a Prometheus server for a number and fails when it is above a limit. That the server cannot be asked, or has
// no such number, says nothing about the service: unknown.
type Prometheus struct {
	Query  string
	Above  float64
	url    string
	client *http.Client
}

// NoResult is what Check says when the server answers but has no number: where there was no traffic yet, for instance.
const NoResult = "the query has no result"

// NewPrometheus prepares a probe of the server at a base URL.
func NewPrometheus(base, query string, above float64, caFile string) (*Prometheus, error) {
	client, err := newClient(base, caFile)
	if err != nil {
		return nil, err
	}
	return &Prometheus{Query: query, Above: above, url: strings.TrimRight(base, "/") + "/api/v1/query", client: client}, nil
}

// Name is the query.
func (p *Prometheus) Name() string { return "prometheus " + p.Query }

// Check asks once.
func (p *Prometheus) Check(ctx context.Context) (State, string) {
	values, err := p.ask(ctx)
	switch {
	case err != nil:
		return Unknown, err.Error()
	case len(values) == 0:
		return Unknown, NoResult
	}
	for _, v := range values {
		if v > p.Above {
			return Failed, fmt.Sprintf("%s is above %s", number(v), number(p.Above))
		}
	}
	return Healthy, ""
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// ask gives the numbers of the answer, without those that are none: 0/0 is a rate where there is no traffic.
func (p *Prometheus) ask(ctx context.Context) ([]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"?"+url.Values{"query": {p.Query}}.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("the URL cannot be asked")
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %s", reachable(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBody))
	if err != nil {
		return nil, fmt.Errorf("prometheus: %s", reachable(err))
	}
	var answer struct {
		Status string
		Error  string
		Data   struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("prometheus: status %d, and no answer of Prometheus", response.StatusCode)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("prometheus: %s", answer.Error)
	}
	var samples [][2]any
	switch answer.Data.ResultType {
	case "scalar":
		samples = make([][2]any, 1)
		err = json.Unmarshal(answer.Data.Result, &samples[0])
	case "vector":
		var vector []struct{ Value [2]any }
		err = json.Unmarshal(answer.Data.Result, &vector)
		for _, v := range vector {
			samples = append(samples, v.Value)
		}
	default:
		return nil, fmt.Errorf("prometheus: the query gives a %s; a number is wanted", answer.Data.ResultType)
	}
	if err != nil {
		return nil, fmt.Errorf("prometheus: the answer cannot be read: %w", err)
	}
	var out []float64
	for _, s := range samples {
		text, ok := s[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("prometheus: %v is no number", s[1])
		}
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out, nil
}
