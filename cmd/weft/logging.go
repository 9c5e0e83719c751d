package main

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlag adds --log-level to a daemon's command.
func logFlag(cmd *cobra.Command, level *string) {
	cmd.Flags().StringVar(level, "log-level", "info", "least level of the log on standard error: debug, info, warn, error")
}

// newLogger makes a daemon's log: lines for people on a terminal, JSON elsewhere.
func newLogger(out io.Writer, level string) (zerolog.Logger, error) {
	var least zerolog.Level
	switch level {
	case "debug":
		least = zerolog.DebugLevel
	case "info":
		least = zerolog.InfoLevel
	case "warn":
		least = zerolog.WarnLevel
	case "error":
		least = zerolog.ErrorLevel
	default:
		return zerolog.Nop(), badInput("--log-level: %q is not one of debug, info, warn, error", level)
	}
	if isTerminal(out) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(least).With().Timestamp().Logger(), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
