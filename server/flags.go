// Package server holds the manners that every program shares: flags, log, TLS listener, /-/healthy, /-/ready, /-/reload,
// SIGHUP and an orderly end.
package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
	slgk "github.com/tjhop/slog-gokit"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// DefaultConfigFile is read when no other is named and it exists.
const DefaultConfigFile = "/etc/checkpoint/checkpoint.yml"

// Flags are the flags of every program that serves.
type Flags struct {
	ConfigFile    string
	ConfigCheck   bool
	Web           *web.FlagConfig
	TelemetryPath string

	configFileSet bool
	logLevel      string
	logFormat     string
}

// AddFlags adds the common flags to app; address is the default of --web.listen-address.
func AddFlags(app *kingpin.Application, address string) *Flags {
	var f Flags
	app.HelpFlag.Short('h')
	app.Version(version.Print(app.Name))
	app.Flag("config.file", "Path of checkpoint.yml; without it, and without a file at the default path, the defaults are used.").
		Default(DefaultConfigFile).IsSetByUser(&f.configFileSet).StringVar(&f.ConfigFile)
	app.Flag("config.check", "Read the configuration, say whether it is right, and exit.").BoolVar(&f.ConfigCheck)
	app.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").StringVar(&f.TelemetryPath)
	app.Flag("log.level", "Least severe level to log: debug, info, warn, error.").Default("info").EnumVar(&f.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Format of log lines: logfmt, json.").Default("logfmt").EnumVar(&f.logFormat, "logfmt", "json")
	f.Web = kingpinflag.AddFlags(app, address)
	return &f
}

// A build that did not come from the Makefile, which sets all of it, has a version nevertheless. The variable is common's, and read by
// everybody, so it is set before anybody runs.
func init() {
	if version.Version != "" {
		return
	}
	version.Version = "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version.Version = info.Main.Version
	}
}

// Load reads the configuration file, or returns the defaults when there is none and none was asked for.
func (f *Flags) Load() (*config.Config, error) {
	c, err := config.Load(f.ConfigFile)
	if err != nil && !f.configFileSet {
		if _, statErr := os.Stat(f.ConfigFile); errors.Is(statErr, fs.ErrNotExist) {
			return config.Default(), nil
		}
	}
	return c, err
}

// Logger writes lines of the chosen level and format to w.
func (f *Flags) Logger(w io.Writer) log.Logger {
	return log.With(f.baseLogger(w), "ts", log.DefaultTimestampUTC, "caller", log.DefaultCaller)
}

func (f *Flags) baseLogger(w io.Writer) log.Logger {
	format := log.NewLogfmtLogger
	if f.logFormat == "json" {
		format = log.NewJSONLogger
	}
	return level.NewFilter(format(log.NewSyncWriter(w)), level.Allow(level.ParseDefault(f.logLevel, level.InfoValue())))
}

// Slog is a logger for libraries that insist on log/slog; it ends in the same lines.
func (f *Flags) Slog(w io.Writer) *slog.Logger {
	var lvl slog.Level
	_ = lvl.UnmarshalText([]byte(f.logLevel)) // the flag allows only what slog knows
	return slog.New(slgk.NewGoKitHandler(renameTime{f.baseLogger(w)}, lvl))
}

// renameTime gives lines that come through slog the same key for their time as all the others have.
type renameTime struct{ next log.Logger }

func (r renameTime) Log(keyvals ...any) error {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if t, ok := keyvals[i+1].(time.Time); ok && keyvals[i] == "time" {
			keyvals[i], keyvals[i+1] = "ts", t.UTC().Format(time.RFC3339Nano)
		}
	}
	return r.next.Log(keyvals...)
}

// ErrChecked ends a program that was only asked to check its configuration.
var ErrChecked = errors.New("configuration checked")

// Check answers --config.check: it returns ErrChecked when it was given.
func (f *Flags) Check(c *config.Config, w io.Writer) error {
	if !f.ConfigCheck {
		return nil
	}
	file := c.File()
	if file == "" {
		file = "no file, the defaults"
	}
	fmt.Fprintf(w, "%s: ok: network %s, %d providers, %d nodes, mode %s\n",
		file, c.Network.Name, len(c.Providers), len(c.Nodes), c.Remediation.Mode)
	return ErrChecked
}
