// Package telemetry tells machines what a run did: as metrics in the OpenMetrics text format, for a file, and as OpenTelemetry spans, sent by
// OTLP over HTTP. Both are for who asks for them: without an endpoint in the environment nothing ever leaves this machine. Neither holds a
// row, a statement, the text of an error or a password.
//
// Spans are written with the protocol's own messages and no SDK: what a run has to say is a handful of spans at its end, and the SDK's
// exporter would bring gRPC along.
package telemetry

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Metric is one value, a gauge.
type Metric struct {
	Name, Help string
	Labels     [][2]string
	Value      float64
}

// Format writes metrics in the OpenMetrics text format, which readers of the Prometheus text format take, too. Metrics of one name stand
// together.
func Format(metrics []Metric) []byte {
	sorted := append([]Metric{}, metrics...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	var b strings.Builder
	for i, m := range sorted {
		if i == 0 || sorted[i-1].Name != m.Name {
			fmt.Fprintf(&b, "# TYPE %s gauge\n# HELP %s %s\n", m.Name, m.Name, escape(m.Help, false))
		}
		b.WriteString(m.Name)
		for j, l := range m.Labels {
			b.WriteString([]string{"{", ","}[min(j, 1)])
			fmt.Fprintf(&b, `%s="%s"`, l[0], escape(l[1], true))
		}
		if len(m.Labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		b.WriteString(number(m.Value))
		b.WriteByte('\n')
	}
	b.WriteString("# EOF\n")
	return []byte(b.String())
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// escape writes a label's value or a help text: names of databases come from outside.
func escape(s string, quotes bool) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
	if quotes {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}
