package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go test -count=1 -run=^TestReference$ . -rewrite

// reference gives the part of docs/cli.md that follows from the commands.
func reference(root *cobra.Command) string {
	var b strings.Builder
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Runnable() && cmd.RunE != nil && !cmd.Hidden && !cmd.HasAvailableSubCommands() {
			fmt.Fprintf(&b, "### %s\n\n%s.\n\n    %s\n\n", cmd.CommandPath(), cmd.Short, strings.TrimSuffix(cmd.UseLine(), " [flags]"))
			table(&b, cmd)
		}
		for _, c := range cmd.Commands() {
			if c.Name() == "completion" { // cobra's own
				continue
			}
			walk(c)
		}
	}
	walk(root)
	return b.String()
}

// table writes the flags of a command that not every command has.
func table(b *strings.Builder, cmd *cobra.Command) {
	var rows []string
	cmd.InheritedFlags() // merges
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || len(f.Annotations[sharedMark]) > 0 {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		variable := "`" + variableOf(cmd, f) + "`"
		if !settable(f) {
			variable = ""
		}
		value := f.DefValue
		if value == "[]" || value == "" {
			value = " "
		} else {
			value = " `" + value + "` "
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |%s| %s |\n", name, variable, value, strings.ReplaceAll(f.Usage, "|", `\|`)))
	})
	if len(rows) > 0 {
		b.WriteString("| flag | variable | default | |\n| --- | --- | --- | --- |\n" + strings.Join(rows, "") + "\n")
	}
}

// What docs/cli.md says of the commands and their flags, and of exit codes and variables, is so.
func TestReference(t *testing.T) {
	const file, begin, end = "../../docs/cli.md", "<!-- commands -->\n\n", "<!-- end -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no place for the commands", file)
	}
	want := head + begin + reference(newRoot(newApp())) + end + tail
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is not what it should be (make generate)", file)
	}
	for _, topic := range helpTopics() {
		if topic.name == "exit-codes" && !strings.Contains(string(text), topic.text) {
			t.Errorf("%s does not have what \"weft help %s\" says", file, topic.name)
		}
	}
}
