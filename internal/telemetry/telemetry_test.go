package telemetry_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dbrollback/dbrollback/internal/telemetry"
)

func TestFormat(t *testing.T) {
	odd := "a \"b\"\\c\nd \xff"
	text := telemetry.Format([]telemetry.Metric{
		{Name: "x_rows", Help: "Rows.", Labels: [][2]string{{"change", "captured"}}, Value: 3e6},
		{Name: "y", Help: "A \\ and\na line.", Labels: [][2]string{{"database", odd}, {"k", ""}}, Value: 0.25},
		{Name: "x_rows", Help: "Rows.", Labels: [][2]string{{"change", "back"}}, Value: 0},
		{Name: "z", Help: "z", Value: -1},
	})
	if !bytes.HasSuffix(text, []byte("\n# EOF\n")) {
		t.Errorf("%s", text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(families) != 3 || len(families["x_rows"].Metric) != 2 || families["x_rows"].Metric[0].Gauge.GetValue() != 3e6 || families["z"].Metric[0].Gauge.GetValue() != -1 {
		t.Errorf("%v", families)
	}
	y := families["y"].Metric[0]
	if got := y.Label[0].GetValue(); got != strings.ToValidUTF8(odd, "\uFFFD") || y.Gauge.GetValue() != 0.25 || families["y"].GetHelp() != "A \\ and\na line." {
		t.Errorf("%q %v", got, families["y"])
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestNobodyAsked(t *testing.T) {
	for _, e := range []func(string) string{
		env(), env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_SDK_DISABLED", "true"), env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_TRACES_EXPORTER", "none"),
	} {
		trace, err := telemetry.NewTrace(e, "p", "1")
		if trace != nil || err != nil {
			t.Errorf("%v, %v", trace, err)
		}
		// What is not asked for costs nothing and does nothing.
		s := trace.Start("x", nil, time.Now())
		s.Set("a", 1)
		s.End(time.Now(), true)
		if err := trace.Send(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestSpans(t *testing.T) {
	var got tracepb.TracesData
	var request *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		if err != nil {
			t.Error(err)
		}
		request = r
	}))
	defer server.Close()
	trace, err := telemetry.NewTrace(env("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL+"/base/", "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,x=1",
		"OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,deployment=blue%20one", "TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), "dbrollback", "v1")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	run := trace.Start("run", nil, at)
	migration := trace.Start("migration", nil, at)
	capture := trace.Start("capture", migration, at)
	capture.Set("rows", int64(7))
	capture.End(at.Add(time.Second), true)
	run.End(at.Add(2*time.Second), true)
	if err := trace.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if request.URL.Path != "/base/v1/traces" || request.Header.Get("Authorization") != "Bearer s3cret" || request.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%v %v", request.URL, request.Header)
	}
	resource := map[string]string{}
	for _, a := range got.ResourceSpans[0].Resource.Attributes {
		resource[a.Key] = a.Value.GetStringValue()
	}
	if resource["service.name"] != "shop" || resource["deployment"] != "blue one" || resource["service.version"] != "v1" {
		t.Error(resource)
	}
	spans := got.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 3 || string(spans[0].ParentSpanId) != "\xb7\xad\x6b\x71\x69\x20\x33\x31" || !bytes.Equal(spans[1].ParentSpanId, spans[0].SpanId) || !bytes.Equal(spans[2].ParentSpanId, spans[1].SpanId) {
		t.Fatalf("%v", spans)
	}
	if spans[2].EndTimeUnixNano-spans[2].StartTimeUnixNano != 1e9 || spans[2].Attributes[0].Value.GetIntValue() != 7 || string(spans[2].TraceId[:2]) != "\x0a\xf7" {
		t.Errorf("%v", spans[2])
	}
	// What was cut off did not go well.
	if spans[1].Status.Code != tracepb.Status_STATUS_CODE_ERROR || spans[1].EndTimeUnixNano == 0 || spans[0].Status.Code != tracepb.Status_STATUS_CODE_OK {
		t.Errorf("%v", spans[1])
	}
}

// A bad endpoint is named without what may be secret in it.
func TestBadEndpoints(t *testing.T) {
	for _, e := range []func(string) string{
		env("OTEL_EXPORTER_OTLP_ENDPOINT", "user:s3cret@host"), env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
		env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
	} {
		if trace, err := telemetry.NewTrace(e, "p", "1"); trace != nil || err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, %v", trace, err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for i, want := range []string{"the endpoint answers with status 418", "connection refused"} {
		if i == 1 {
			server.Close()
		}
		trace, err := telemetry.NewTrace(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", strings.Replace(server.URL, "://", "://u:s3cret@", 1)), "p", "1")
		if err != nil {
			t.Fatal(err)
		}
		trace.Start("run", nil, time.Now())
		if err := trace.Send(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
