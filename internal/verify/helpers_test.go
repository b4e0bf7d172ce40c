package verify_test

import "regexp"

// replaceWord puts another name in the place of a word.
func replaceWord(s, word, by string) string {
	return regexp.MustCompile(`\b`+word+`\b`).ReplaceAllString(s, by)
}
