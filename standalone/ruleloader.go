package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// ruleLoader reads rule files from a file system, so that the shipped ones
// need not be written to disk first. It is a rules.GroupLoader.
type ruleLoader struct {
	fsys   fs.FS
	parser parser.Parser
	logger *slog.Logger
}

func newRuleLoader(fsys fs.FS, logger *slog.Logger) ruleLoader {
	return ruleLoader{fsys: fsys, parser: parser.NewParser(parser.Options{}), logger: logger}
}

// check returns the names of the rule files, or what is wrong with each.
func (l ruleLoader) check() ([]string, error) {
	files, err := fs.Glob(l.fsys, "*.yml")
	if err != nil {
		return nil, fmt.Errorf("list rule files: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("no rule files")
	}
	var all error
	for _, file := range files {
		_, errs := l.Load(file, false, model.UTF8Validation)
		for _, err := range errs {
			all = errors.Join(all, fmt.Errorf("rule file %s: %w", file, err))
		}
	}
	return files, all
}

// Load parses one rule file.
func (l ruleLoader) Load(file string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	text, err := fs.ReadFile(l.fsys, file)
	if err != nil {
		return nil, []error{err}
	}
	return rulefmt.Parse(text, ignoreUnknown, scheme, l.parser, l.logger)
}

// Parse parses one expression.
func (l ruleLoader) Parse(query string) (parser.Expr, error) {
	return l.parser.ParseExpr(query)
}
