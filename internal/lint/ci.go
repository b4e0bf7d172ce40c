package lint

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// writeGitHub writes workflow commands, which the runner turns into annotations of a pull request.
func writeGitHub(w io.Writer, r *Report) error {
	var b strings.Builder
	for _, f := range r.Findings {
		text := f.Message
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		fmt.Fprintf(&b, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", f.Severity, commandValue(f.File), f.Line, f.Column, commandValue(f.Code), commandText(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var textEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

var valueEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")

func commandText(s string) string { return textEscapes.Replace(s) }

func commandValue(s string) string { return valueEscapes.Replace(s) }

// The elements and attributes that Jenkins' junit-10.xsd knows.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Classname string        `xml:"classname,attr"`
		Failure   *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes one failing case a finding, and a passing one for each file without any.
func writeJUnit(w io.Writer, r *Report) error {
	suite := junitSuite{Name: "dbrollback " + cmp.Or(r.Command, "lint")}
	dirty := map[string]bool{}
	for _, f := range r.Findings {
		dirty[f.File] = true
		suite.Cases = append(suite.Cases, junitCase{Name: fmt.Sprintf("%s line %d", f.Code, f.Line), Classname: f.File,
			Failure: &junitFailure{Message: plainXML(f.Message), Type: string(f.Severity), Text: plainXML(fmt.Sprintf("%s:%d:%d %s", f.File, f.Line, f.Column, f.Fix))}})
	}
	suite.Failures = len(suite.Cases)
	for _, file := range r.Files {
		if !dirty[file] {
			suite.Cases = append(suite.Cases, junitCase{Name: "no findings", Classname: file})
		}
	}
	suite.Tests = len(suite.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// plainXML leaves out the characters that XML 1.0 has no way to write.
func plainXML(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
