package telemetry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Trace is the spans of one run. A nil one takes all calls and keeps nothing.
type Trace struct {
	mu       sync.Mutex
	to       *url.URL
	headers  http.Header
	timeout  time.Duration
	resource []*commonpb.KeyValue
	trace    []byte
	parent   []byte // of the first span: who started the run
	spans    []*tracepb.Span
}

// Span is a part of a run that is under way.
type Span struct {
	t *Trace
	s *tracepb.Span
}

// NewTrace reads the standard variables: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ask for spans, without them
// there is no trace. TRACEPARENT, when it is set, is the span that the run is a part of.
func NewTrace(getenv func(string) string, program, release string) (*Trace, error) {
	endpoint, err := endpointOf(getenv)
	if endpoint == nil || err != nil {
		return nil, err
	}
	t := &Trace{to: endpoint, headers: http.Header{}, timeout: 10 * time.Second, trace: random(16)}
	if protocol := first(getenv, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not spoken here: http/protobuf is", protocol)
	}
	if ms := first(getenv, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"); ms != "" {
		n, err := strconv.Atoi(ms)
		if err != nil || n <= 0 {
			return nil, errors.New("OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds")
		}
		t.timeout = time.Duration(n) * time.Millisecond
	}
	for name, value := range pairs(first(getenv, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")) {
		t.headers.Set(name, value)
	}
	resource := pairs(getenv("OTEL_RESOURCE_ATTRIBUTES"))
	if resource["service.name"] == "" || getenv("OTEL_SERVICE_NAME") != "" {
		resource["service.name"] = first(getenv, "OTEL_SERVICE_NAME")
	}
	if resource["service.name"] == "" {
		resource["service.name"] = program
	}
	resource["service.version"] = release
	for name, value := range resource {
		t.resource = append(t.resource, attribute(name, value))
	}
	// version-trace-span-flags
	if parts := strings.Split(getenv("TRACEPARENT"), "-"); len(parts) >= 4 && len(parts[1]) == 32 && len(parts[2]) == 16 {
		trace, terr := hex.DecodeString(parts[1])
		parent, perr := hex.DecodeString(parts[2])
		if terr == nil && perr == nil {
			t.trace, t.parent = trace, parent
		}
	}
	return t, nil
}

func endpointOf(getenv func(string) string) (*url.URL, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	if exporter := getenv("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "otlp" {
		return nil, nil
	}
	text, path := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), ""
	if text == "" {
		text, path = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "v1/traces"
	}
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is no http or https URL")
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	return u, nil
}

// Start begins a span. The first is the run, which the others are part of unless another is named.
func (t *Trace) Start(name string, within *Span, at time.Time) *Span {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &tracepb.Span{TraceId: t.trace, SpanId: random(8), ParentSpanId: t.parent, Name: name, Kind: tracepb.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: uint64(at.UnixNano())}
	switch {
	case within != nil:
		s.ParentSpanId = within.s.SpanId
	case len(t.spans) > 0:
		s.ParentSpanId = t.spans[0].SpanId
	}
	t.spans = append(t.spans, s)
	return &Span{t, s}
}

// Set notes something about a span: text, a number or a yes.
func (s *Span) Set(name string, value any) {
	if s == nil {
		return
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.s.Attributes = append(s.s.Attributes, attribute(name, value))
}

// End ends a span.
func (s *Span) End(at time.Time, ok bool) {
	if s == nil {
		return
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.s.EndTimeUnixNano = uint64(at.UnixNano())
	s.s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK}
	if !ok {
		s.s.Status.Code = tracepb.Status_STATUS_CODE_ERROR
	}
}

// Send ends what was cut off and sends the spans, once. The error names neither the URL nor its headers: they may hold a secret.
func (t *Trace) Send(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	now := uint64(time.Now().UnixNano())
	for _, s := range t.spans {
		if s.EndTimeUnixNano == 0 {
			s.EndTimeUnixNano, s.Status = now, &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
		}
	}
	// The same bytes as an ExportTraceServiceRequest, whose package needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: t.resource},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "dbrollback"}, Spans: t.spans}},
	}}})
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write spans: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.to.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the endpoint cannot be asked")
	}
	request.Header = t.headers.Clone()
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // what it says is of no interest
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the endpoint answers with status %d", response.StatusCode)
	}
	return nil
}

func first(getenv func(string) string, names ...string) string {
	for _, n := range names {
		if v := getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// pairs reads a=b,c=d with the values percent-encoded.
func pairs(text string) map[string]string {
	out := map[string]string{}
	for _, p := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			continue
		}
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); err == nil {
			out[strings.TrimSpace(name)] = plain
		}
	}
	return out
}

func attribute(name string, value any) *commonpb.KeyValue {
	v := &commonpb.AnyValue{}
	switch x := value.(type) {
	case int:
		v.Value = &commonpb.AnyValue_IntValue{IntValue: int64(x)}
	case int64:
		v.Value = &commonpb.AnyValue_IntValue{IntValue: x}
	case bool:
		v.Value = &commonpb.AnyValue_BoolValue{BoolValue: x}
	default:
		v.Value = &commonpb.AnyValue_StringValue{StringValue: strings.ToValidUTF8(fmt.Sprint(x), "\uFFFD")}
	}
	return &commonpb.KeyValue{Key: name, Value: v}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
