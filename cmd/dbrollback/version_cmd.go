package main

import (
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by a release's build; a build from source says what the module system knows.
var version = ""

// versionDocument is the JSON of `version`.
type versionDocument struct {
	Version  int    `json:"version"`
	Release  string `json:"release"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "which dbrollback this is",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			d := build()
			return p.out.result(d, func(w *page) {
				w.line("dbrollback %s (%s, %s, %s)", d.Release, orElse(shorten(d.Commit, 12), "no commit"), d.Go, d.Platform)
			})
		},
	}
}

func build() versionDocument {
	d := versionDocument{Version: 1, Release: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if d.Release == "" {
			d.Release = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				d.Commit = s.Value
			}
		}
	}
	d.Release = orElse(d.Release, "(devel)")
	return d
}
