// Package checkpoint captures and restores the parts of a deployment that are no database: configuration files, the revision of
// the code, feature flags; and runs the command that deploys.
//
// It promises that nothing outside the paths that were named is ever read or written, that no symbolic link is followed, and that a
// file is at every instant the old one or the new one, whole. Everything is planned first: a plan is data, and to plan again after
// it was carried out is the proof, because nothing is left to do then.
package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"
)

// The components of a deployment.
const (
	Database      = "database"
	Configuration = "configuration"
	Code          = "application_code"
	Flags         = "feature_flags"
)

// RefusedError says why something is not done. Nothing was changed by then.
type RefusedError struct {
	Message, Hint string
	Details       []string
	cause         error
}

func (e *RefusedError) Error() string { return e.Message }

// Unwrap gives fs.ErrNotExist where the reason is that something is not there.
func (e *RefusedError) Unwrap() error { return e.cause }

func refuse(hint, format string, args ...any) error {
	return &RefusedError{Message: fmt.Sprintf(format, args...), Hint: hint}
}

func absent(hint, format string, args ...any) error {
	return &RefusedError{Message: fmt.Sprintf(format, args...), Hint: hint, cause: fs.ErrNotExist}
}

// Manifest is all that a checkpoint knows. It stands in the catalog of the database and beside the copies of the files.
type Manifest struct {
	Version     int       `json:"version"`
	ID          string    `json:"id"`
	TakenAt     time.Time `json:"taken_at"` // UTC
	TakenBy     string    `json:"taken_by"`
	Machine     string    `json:"machine"` // whose files they are
	Environment string    `json:"environment,omitempty"`
	Label       string    `json:"label,omitempty"`
	Release     string    `json:"release,omitempty"`
	Target      Target    `json:"target"`
	Before      string    `json:"before,omitempty"` // the checkpoint whose restore this one goes ahead of

	Database      *DatabasePart      `json:"database,omitempty"`
	Configuration *ConfigurationPart `json:"configuration,omitempty"`
	Code          *CodePart          `json:"application_code,omitempty"`
	Flags         *FlagsPart         `json:"feature_flags,omitempty"`
}

// Target says which database a checkpoint is of.
type Target struct {
	Engine   string `json:"engine"`
	Host     string `json:"host,omitempty"`
	Database string `json:"database"`
}

// DatabasePart is the database at the moment of the checkpoint.
type DatabasePart struct {
	Migration int64    `json:"migration"`          // the version
	Snapshot  string   `json:"snapshot,omitempty"` // of the tables; "" when none of them was there
	Tables    []string `json:"tables"`
}

// ConfigurationPart is the files.
type ConfigurationPart struct {
	Location string  `json:"location"` // folder of the copies, absolute
	Paths    []Named `json:"paths"`
	Entries  []Entry `json:"entries"`
}

// CodePart is the revision of the code. Without a repository only the version is known.
type CodePart struct {
	Commit  string `json:"commit,omitempty"`
	Branch  string `json:"branch,omitempty"`
	Version string `json:"version"` // the release's name, else what git describe says
}

// FlagsPart is the flags as they stood in their file; none when a command switches them.
type FlagsPart struct {
	File   string `json:"file,omitempty"`
	Values []Flag `json:"values"`
}

// Flag is a flag and what stands for it in its file, letter by letter.
type Flag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Components lists what the manifest has, in the order of a restore.
func (m *Manifest) Components() []string {
	var out []string
	for _, c := range []struct {
		name string
		has  bool
	}{{Flags, m.Flags != nil}, {Code, m.Code != nil}, {Configuration, m.Configuration != nil}, {Database, m.Database != nil}} {
		if c.has {
			out = append(out, c.name)
		}
	}
	return out
}

// Encode gives the bytes that are stored, and their hash.
func (m *Manifest) Encode() (text []byte, hash string, err error) {
	text, err = json.MarshalIndent(m, "", " ")
	return text, HashOf(text), err
}

// Decode reads a stored manifest, whose hash must be the one that was recorded.
func Decode(text []byte, hash string) (*Manifest, error) {
	if HashOf(text) != hash {
		return nil, refuse("somebody wrote into it; dbrollback log --verify shows whether the log was changed, too", "the manifest of the checkpoint is not the one that was recorded")
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	if m.Version != 1 {
		return nil, refuse("use the dbrollback that made it, or a newer one", "the checkpoint has version %d, not 1", m.Version)
	}
	return m, nil
}

// HashOf is SHA-256, in hexadecimal digits.
func HashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
