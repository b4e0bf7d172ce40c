//go:build unix

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// result is what one case measured.
type result struct {
	Case   string    `json:"case"`
	Engine string    `json:"engine"`
	Than   string    `json:"than"`
	Unit   string    `json:"unit"`
	Ours   float64   `json:"ours"` // medians
	Peer   float64   `json:"peer"`
	Ratio  float64   `json:"ratio"`
	Goal   float64   `json:"goal,omitempty"`
	Rows   int       `json:"rows"`
	Rounds int       `json:"rounds"`
	At     time.Time `json:"at"`
	Load   string    `json:"load"` // of the machine when it was done
}

func (r result) String() string {
	return fmt.Sprintf("%s, %s: %.3f %s against %.3f of %s: %.2f", r.Case, r.Engine, r.Ours, r.Unit, r.Peer, r.Than, r.Ratio)
}

// met says whether a goal is met.
func (r result) met() string {
	switch {
	case r.Goal == 0:
		return ""
	case r.Ratio <= r.Goal:
		return "yes"
	}
	return "**no**"
}

// results is the file of results.
type results struct {
	Version int      `json:"version"`
	Machine string   `json:"machine"`
	Command string   `json:"command"`
	Results []result `json:"results"`
}

func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(info), "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s", runtime.NumCPU(), model, runtime.GOOS)
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

func read(t *testing.T, file string) results {
	t.Helper()
	var all results
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all
	}
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// record puts a result in the place of an earlier one of the same case, so that cases can be measured one at a time.
func record(t *testing.T, out string, r result) {
	t.Helper()
	file := filepath.Join(out, "benchmarks.json")
	all := read(t, file)
	all.Version, all.Machine, all.Command = 1, machine(), "make bench"
	r.Load = load()
	same := func(o result) bool { return o.Case == r.Case && o.Engine == r.Engine }
	all.Results = append(slices.DeleteFunc(all.Results, same), r)
	place := func(r result) int {
		return slices.IndexFunc(slices.Concat(cases, measured), func(c compared) bool { return c.name == r.Case && string(c.engine) == r.Engine })
	}
	all.Results = slices.DeleteFunc(all.Results, func(o result) bool { return place(o) < 0 })
	slices.SortFunc(all.Results, func(a, b result) int { return place(a) - place(b) })
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// publish writes the page and the plot.
func publish(t *testing.T, out string) {
	t.Helper()
	all := read(t, filepath.Join(out, "benchmarks.json"))
	for name, text := range map[string]string{"benchmarks.md": page(all), "benchmarks.svg": plot(all.Results)} {
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func page(all results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `%s` on %s. Each case ran in turn with its peer, on fresh tables; the numbers are medians, and what counts is their ratio.\n"+
		"The large table has five columns, about 200 bytes a row and two secondary indexes. Load is that of the machine at the end of the case: above the number of processors the ratio is rough.\n\n"+
		"![ratios](benchmarks.svg)\n\n", all.Command, all.Machine)
	b.WriteString("| case | engine | rows | rounds | ours | against | theirs | ratio | goal | met | load |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range all.Results {
		goal := ""
		if r.Goal > 0 {
			goal = fmt.Sprintf("≤ %.2f", r.Goal)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %.3f %s | %s | %.3f %s | %.2f | %s | %s | %s |\n", r.Case, r.Engine, r.Rows, r.Rounds, r.Ours, r.Unit, r.Than, r.Peer, r.Unit, r.Ratio, goal, r.met(), r.Load)
	}
	b.WriteString("\nTo repeat one case: `make bench CASE='DROP_COLUMN.*/postgres' ROWS=2000000`. The numbers are in [benchmarks.json](benchmarks.json); what those consist of that miss their goals, in [costs.md](costs.md).\n")
	return b.String()
}

// plot draws the ratios as bars, on a logarithmic scale; a line in each shows the goal.
func plot(all []result) string {
	const left, width, high = 380, 420, 20
	at := func(ratio float64) float64 { // 0.01 to 100
		return left + width*(math.Log10(min(max(ratio, 0.01), 100))+2)/4
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", left+width+60, high*len(all)+40)
	for _, x := range []float64{0.01, 0.1, 1, 10, 100} {
		fmt.Fprintf(&b, `<line x1="%[1]g" x2="%[1]g" y1="20" y2="%[2]d" stroke="#ccc"/><text x="%[1]g" y="14" text-anchor="middle" fill="#666">%[3]g ×</text>`+"\n", at(x), high*len(all)+30, x)
	}
	for i, r := range all {
		y, colour := 25+high*i, "#888"
		switch r.met() {
		case "yes":
			colour = "#2a7"
		case "**no**":
			colour = "#c62"
		}
		from, to := at(1), at(r.Ratio)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s, %s</text><rect x="%g" y="%d" width="%.1f" height="12" fill="%s"/><text x="%.1f" y="%d" fill="#333"> %.2f</text>`,
			left-8, y+10, r.Case, r.Engine, min(from, to), y, max(from, to)-min(from, to)+1, colour, max(from, to)+6, y+10, r.Ratio)
		if r.Goal > 0 {
			fmt.Fprintf(&b, `<line x1="%[1]g" x2="%[1]g" y1="%[2]d" y2="%[3]d" stroke="black" stroke-width="2"/>`, at(r.Goal), y-2, y+14)
		}
		b.WriteByte('\n')
	}
	b.WriteString("</svg>\n")
	return b.String()
}
