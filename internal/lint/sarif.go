package lint

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

// The part of SARIF 2.1.0 that code scanning reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string      `json:"id"`
		ShortDescription sarifText   `json:"shortDescription"`
		FullDescription  sarifText   `json:"fullDescription"`
		Help             sarifText   `json:"help"`
		HelpURI          string      `json:"helpUri"`
		Default          sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

const homepage = "https://github.com/dbrollback/dbrollback"

func writeSARIF(w io.Writer, r *Report, version string) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{},
		Tool: sarifTool{sarifDriver{Name: "dbrollback", Version: version, InformationURI: homepage, Rules: []sarifRule{}}}}
	index := map[string]int{}
	rules, page := r.Rules, r.Page
	if rules == nil {
		rules, page = Rules, "rules.md"
	}
	for i, rule := range rules {
		index[rule.Code] = i
		uri := homepage + "/blob/main/docs/" + page + "#" + strings.ToLower(rule.Code)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: rule.Code, ShortDescription: sarifText{rule.Title},
			FullDescription: sarifText{rule.Title + rule.applies() + "."}, Help: sarifText{"What it means, and what to do: " + uri},
			HelpURI: uri, Default: sarifConfig{string(rule.Severity)}})
	}
	for _, f := range r.Findings {
		text := f.Message
		if f.Fix != "" {
			text += "\n\nfix: " + f.Fix
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Code, RuleIndex: index[f.Code], Level: string(f.Severity), Message: sarifText{text},
			Locations: []sarifLocation{{sarifPhysical{sarifArtifact{fileURI(f.File)}, sarifRegion{f.Line, f.Column}}}},
			// Lines move when a file is edited above them: a finding is the same by what it says.
			Fingerprints: map[string]string{"dbrollback/v1": f.Code + ":" + filepath.Base(f.File) + ":" + f.Message},
		})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// fileURI is a path as a URI reference, relative as the path is.
func fileURI(path string) string {
	u := &url.URL{Path: filepath.ToSlash(path)}
	if !filepath.IsAbs(path) {
		return u.String() // with ./ where what is before a colon would be a scheme
	}
	u.Scheme = "file"
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path // C:/…
	}
	return u.String()
}
