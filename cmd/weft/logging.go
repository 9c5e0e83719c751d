package main

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// logFlag adds --log-level to a daemon's command.
func logFlag(cmd *cobra.Command, level *string) {
	cmd.Flags().StringVar(level, "log-level", "info", "least level of the log on standard error: debug, info, warn, error")
}

// newLogger makes a daemon's log: lines for people on a terminal, JSON elsewhere.
func (a *app) newLogger(level string) (zerolog.Logger, error) {
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
		return zerolog.Nop(), badInput("%s: %q is not one of debug, info, warn, error", a.where("log-level"), level)
	}
	out := a.errOut
	if isTerminal(out) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly, NoColor: !a.colours(out)}
	}
	return zerolog.New(out).Level(least).With().Timestamp().Logger(), nil
}
