package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
)

// build makes a strategy of its values.
func (r *rollbackConfig) build(name string, v strategyValues) error {
	switch name {
	case checkpoint.Database:
		return r.buildDatabase(v)
	case checkpoint.Configuration:
		return r.buildConfiguration(v)
	case checkpoint.Code:
		return r.buildCode(v)
	}
	return r.buildFlags(v)
}

// beside makes a path of the file absolute.
func (r *rollbackConfig) beside(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.base, path)
}

func (r *rollbackConfig) buildDatabase(v strategyValues) error {
	d := &databaseStrategy{full: v.one("type", "") == "full", merge: v.one("restoration_method", "") == "merge", catalog: v.one("snapshot_table", "")}
	switch {
	case d.full && v.has("tables"):
		return &keyError{"tables", "type full is every table: tables cannot go with it"}
	case !d.full && !v.has("tables"):
		return &keyError{"type", "type selective wants tables"}
	}
	var err error
	if d.tables, err = parseNames("tables", v.text["tables"]); err != nil {
		return &keyError{"tables", strings.TrimPrefix(err.Error(), "--")}
	}
	r.database = d
	return nil
}

func (r *rollbackConfig) buildConfiguration(v strategyValues) error {
	c := &configurationStrategy{overlay: v.one("type", "") == "overlay", git: v.one("restoration_method", "") == "git_checkout", ref: v.one("ref", ""), location: r.beside(v.one("backup_location", ""))}
	if c.ref != "" && !c.git {
		return &keyError{"ref", "ref is for restoration_method: git_checkout"}
	}
	except := ""
	if r.flags != nil && r.flags.file != nil {
		except = r.flags.file.Abs()
	}
	var err error
	if c.tree, err = checkpoint.NewTree(r.base, v.text["paths"], except); err != nil {
		return err
	}
	for _, p := range c.tree.Paths {
		abs := c.tree.Abs(p)
		if rel, err := filepath.Rel(abs, c.location); err == nil && (rel == "." || filepath.IsLocal(rel)) {
			return &keyError{"backup_location", fmt.Sprintf("backup_location lies in %s, which is copied there", p)}
		}
		if except == abs {
			return &keyError{"paths", fmt.Sprintf("%s is the file of feature_flags, which looks after it", p)}
		}
	}
	r.configuration = c
	return nil
}

func (r *rollbackConfig) buildCode(v strategyValues) error {
	c := &codeStrategy{redeploy: v.one("restoration_method", "") == "redeploy", repository: r.beside(v.one("repository", "."))}
	if v.has("require_approval") {
		c.approval, _ = parseYes(v.one("require_approval", "")) // it was checked
	}
	switch {
	case c.redeploy && !v.has("deploy"):
		return &keyError{"restoration_method", "restoration_method redeploy wants deploy, the command that deploys a version: ./deploy.sh {{.Version}}"}
	case !c.redeploy && v.has("deploy"):
		return &keyError{"deploy", "deploy is for restoration_method: redeploy"}
	case c.redeploy:
		var err error
		if c.deploy, err = checkpoint.ParseCommand(v.one("deploy", "")); err != nil {
			return &keyError{"deploy", err.Error()}
		}
	}
	r.code = c
	return nil
}

func (r *rollbackConfig) buildFlags(v strategyValues) error {
	f := &flagStrategy{names: v.text["flags"], reason: v.one("reason", ""), ticket: v.one("ticket", "")}
	command := v.one("restoration_method", "file") == "command"
	var err error
	switch {
	case command && (!v.has("command") || v.has("file")):
		return &keyError{"restoration_method", "restoration_method command wants command, and no file"}
	case !command && (!v.has("file") || v.has("command")):
		return &keyError{"restoration_method", "restoration_method file wants file, and no command"}
	case command:
		if f.command, err = checkpoint.ParseCommand(v.one("command", "")); err != nil {
			return &keyError{"command", err.Error()}
		}
	default:
		if f.file, err = checkpoint.OpenFlags(r.base, v.one("file", "")); err != nil {
			return err
		}
	}
	r.flags = f
	return nil
}
