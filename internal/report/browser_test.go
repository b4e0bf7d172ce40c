package report_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium of this machine. One that is missing is a failure: what a person sees is looked at, or it is not known.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := os.Getenv("DBROLLBACK_TEST_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); program == "" && err == nil {
			program = found
		}
	}
	if program == "" {
		t.Fatal("there is no Chromium: scripts/install-test-servers.sh chromium brings it, or name one in DBROLLBACK_TEST_CHROMIUM")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // it shows a page of ours alone; where the tests run as root there is no other way
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", program, err)
	}
	return ctx
}

// witness notes what a page asks for and complains of.
type witness struct {
	mu                   sync.Mutex
	requests, complaints []string
	readers              sync.WaitGroup
}

func watch(t *testing.T, tab context.Context) *witness {
	t.Helper()
	w := &witness{}
	follow(w, tab, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) { w.requests = append(w.requests, e.Request.URL) })
	complain := func(what, text string) { w.complaints = append(w.complaints, what+": "+text) }
	follow(w, tab, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) { complain("exception", e.ExceptionDetails.Text) })
	follow(w, tab, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) { complain("console", string(e.Type)) })
	follow(w, tab, log.EntryAdded, func(e log.EventEntryAdded) { complain("log", e.Entry.Text) })
	follow(w, tab, page.JavascriptDialogOpening, func(e page.EventJavascriptDialogOpening) { complain("dialog", e.Message) })
	return w
}

func follow[E any](w *witness, tab context.Context, what cdp.Event[E], note func(E)) {
	seen := chromedp.Events(tab, what)
	w.readers.Go(func() {
		for e, err := range seen {
			if err != nil {
				return // the tab is closed
			}
			w.mu.Lock()
			note(e)
			w.mu.Unlock()
		}
	})
}

// show opens an address as a screen of some size would.
func show(tab context.Context, address string, width, height int64, media, scheme string) error {
	if err := chromedp.Do(tab); err != nil {
		return err
	}
	_, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	if err == nil {
		_, err = chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err != nil {
		return err
	}
	return chromedp.Do(tab, chromedp.Navigate(address))
}

// look gathers what can be measured of a page as it is shown.
const look = `(() => {
  const shown = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const number = s => [...document.querySelectorAll(s)].filter(shown).length;
  const lum = c => { const f = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const parse = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  let smallest = 99, faint = [], wide = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(e) || ["SCRIPT", "STYLE", "title"].includes(e.tagName) || e.closest("thead")) continue;
    const style = getComputedStyle(e);
    smallest = Math.min(smallest, parseFloat(style.fontSize));
    const ink = lum(parse(e.tagName === "text" ? style.fill : style.color)), paper = lum(behind(e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) faint.push(e.tagName + "." + e.className + " " + ratio.toFixed(2));
    const r = e.getBoundingClientRect();
    if (r.right > innerWidth + 1 || r.left < -1) wide.push(e.tagName + ": " + walker.currentNode.data.trim().slice(0, 40));
  }
  return {
    width: innerWidth, scroll: document.documentElement.scrollWidth, smallest, faint, wide,
    events: number(".event"), marks: number(".mark"), bars: number(".bar rect"), steps: number(".step"), captures: number("#captures tbody tr"), lost: number(".lost li"),
    first: [...document.querySelectorAll("main > section")].map(s => s.id).join(" "),
    undo: document.getElementById("undo").getBoundingClientRect().top, filter: number("#filter button"), text: document.body.innerText,
  };
})()`

type seen struct {
	Width, Scroll, Smallest, Undo                      float64
	Faint, Wide                                        []string
	Events, Marks, Bars, Steps, Captures, Lost, Filter int
	First, Text                                        string
}

// The page in a real browser, on a telephone and a desk, light and dark, and printed: all is there, can be read, and nothing is asked for.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(render(t, sample())), 0o600); err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: file}).String()
	ctx := browser(t)
	for _, c := range []struct {
		name   string
		width  int64
		height int64
		scheme string
		media  string
	}{
		{"telephone", 375, 812, "light", "screen"}, {"telephone-dark", 375, 812, "dark", "screen"},
		{"narrow", 320, 640, "light", "screen"}, {"desk", 1200, 900, "light", "screen"}, {"desk-dark", 1200, 900, "dark", "screen"}, {"print", 720, 1000, "light", "print"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, end := chromedp.NewContext(ctx)
			defer end()
			if err := chromedp.Do(tab); err != nil {
				t.Fatal(err)
			}
			w := watch(t, tab)
			if err := show(tab, address, c.width, c.height, c.media, c.scheme); err != nil {
				t.Fatal(err)
			}
			s := evaluate[seen](t, tab, look)
			picture, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			var after, other int
			if c.media == "screen" {
				const number = `[...document.querySelectorAll(".event")].filter(e => e.offsetHeight > 0).length`
				evaluate[chromedp.Void](t, tab, `document.querySelector('#filter button[data-kind="rollback"]').click()`)
				after = evaluate[int](t, tab, number)
				// A bar leads to its event, which the filter hides.
				evaluate[chromedp.Void](t, tab, `location.hash = document.querySelector(".event.k-restore").id`)
				if err := chromedp.Do(tab, chromedp.WaitVisible(chromedp.CSS(".event.k-restore"))); err != nil {
					t.Fatal(err)
				}
				other = evaluate[int](t, tab, number)
			}
			if dir := os.Getenv("DBROLLBACK_TEST_SCREENSHOTS"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, c.name+".png"), picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			end()
			w.readers.Wait()
			if len(w.complaints) > 0 {
				t.Errorf("the browser complains: %s", strings.Join(w.complaints, "\n"))
			}
			if fmt.Sprint(w.requests) != fmt.Sprint([]string{address}) {
				t.Errorf("the page asks for %v", w.requests)
			}
			if s.Scroll > s.Width || len(s.Wide) > 0 || s.Width != float64(c.width) {
				t.Errorf("%v px of %v: %v", s.Scroll, s.Width, s.Wide)
			}
			if s.Smallest < 12 || len(s.Faint) > 0 {
				t.Errorf("hard to read: %v px, %v", s.Smallest, s.Faint)
			}
			// Entries of 9 runs and the 2 releases; marks of these and of the captures of 3 runs; 9 parts of rows and 8 durations.
			if got, want := []int{s.Events, s.Marks, s.Steps, s.Captures, s.Lost}, []int{11, 15, 4, 6, 2}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("events, marks, steps, captures, losses: %v, want %v", got, want)
			}
			if want := 17; s.Bars != want {
				t.Errorf("%d parts of bars, want %d", s.Bars, want)
			}
			if !strings.HasPrefix(s.First, "verdict undo lost ") {
				t.Errorf("sections: %s", s.First)
			}
			if !strings.Contains(s.Text, hostile) || !strings.Contains(s.Text, "Until 2026-11-27 08:00:00Z, 20 hours left") {
				t.Error(s.Text)
			}
			switch c.media {
			case "print":
				if s.Filter != 0 {
					t.Error("buttons are printed")
				}
			default:
				if s.Filter != 8 || after != 1 || other != 11 {
					t.Errorf("filter: %d buttons, %d events, then %d", s.Filter, after, other)
				}
			}
		})
	}
}

func evaluate[T any](t *testing.T, tab context.Context, script string) T {
	t.Helper()
	out, err := chromedp.Run(tab, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

// What the test above demands of the page, a bad page does not give: a witness that sees nothing would prove nothing.
func TestBadPageIsSeen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.html")
	bad := `<!doctype html><meta name="viewport" content="width=device-width"><body><section id="undo"></section><p style="width: 900px; color: #eee">wide and faint</p>
<img src="http://127.0.0.1:1/away.png"><script>throw new Error("broken")</script></body>`
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	tab, end := chromedp.NewContext(browser(t))
	defer end()
	if err := chromedp.Do(tab); err != nil {
		t.Fatal(err)
	}
	w := watch(t, tab)
	if err := show(tab, (&url.URL{Scheme: "file", Path: file}).String(), 375, 812, "screen", "light"); err != nil {
		t.Fatal(err)
	}
	s := evaluate[seen](t, tab, look)
	end()
	w.readers.Wait()
	if len(w.requests) != 2 || len(w.complaints) == 0 || s.Scroll <= 375 || len(s.Faint) != 1 {
		t.Errorf("requests %v, complaints %v, %v of %v px, faint %v", w.requests, w.complaints, s.Scroll, s.Width, s.Faint)
	}
}
