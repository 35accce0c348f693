package commands

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"
)

// completion prints the shell completion of the subcommands and their flags, made from the same definitions as the help.
func (p *program) completion() *cli.Command {
	return p.command("completion", "bash|zsh|fish", "print the completion for a shell", 0, nil,
		func(c *cli.Context, _ *config, _ *slog.Logger) error {
			print := map[string]func(io.Writer, []*cli.Command) error{
				"bash": printBashCompletion, "zsh": printZshCompletion, "fish": printFishCompletion,
			}[c.Args().First()]
			if print == nil || c.NArg() != 1 {
				return fmt.Errorf("completion takes bash, zsh or fish, not %q", strings.Join(c.Args().Slice(), " "))
			}
			return print(p.out, c.App.Commands)
		})
}

// completed are the flags of a subcommand, as they are typed.
func completed(c *cli.Command) (flags []string) {
	for _, s := range settingsOf(c) {
		flags = append(flags, "-"+s.name)
	}
	return append(flags, "-help")
}

// choices are the values that a setting takes; nil: there are too many to list.
func (s *setting) choices() (values []string) {
	for _, value := range strings.Split(strings.ReplaceAll(s.takes, " or ", ", "), ", ") {
		if strings.ContainsAny(value, " :/") {
			return nil
		}
		values = append(values, value)
	}
	if len(values) < 2 {
		return nil
	}
	return values
}

// valueCases are the cases of a shell that complete what follows a flag: a value to choose, or no word of ours.
func valueCases(commands []*cli.Command) string {
	var cases strings.Builder
	var free []string
	seen := map[string]bool{}
	for _, c := range commands {
		for _, s := range settingsOf(c) {
			typed := "-" + s.name + " | --" + s.name
			if values := s.choices(); s.bare || seen[s.name] {
				continue
			} else if values == nil {
				free = append(free, typed)
			} else {
				fmt.Fprintf(&cases, "    %s) words='%s' ;;\n", typed, strings.Join(values, " "))
			}
			seen[s.name] = true
		}
	}
	fmt.Fprintf(&cases, "    %s) words='' ;;\n", strings.Join(free, " | "))
	return cases.String()
}

func printBashCompletion(w io.Writer, commands []*cli.Command) error {
	var names []string
	var words strings.Builder
	for _, c := range commands {
		names = append(names, c.Name)
		fmt.Fprintf(&words, "      %s) words='%s' ;;\n", c.Name, strings.Join(completed(c), " "))
	}
	_, err := fmt.Fprintf(w, `# bash completion for resec
_resec() {
  local words='%[1]s help -help' word=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -gt 1 ]; then
    case ${COMP_WORDS[1]} in
%[2]s      help) words='%[1]s' ;;
      *) words='' ;;
    esac
  fi
  [ "$COMP_CWORD" != 2 ] || [ "${COMP_WORDS[1]}" != completion ] || words='bash zsh fish -help'
  case ${COMP_WORDS[COMP_CWORD - 1]} in
%[3]s  esac
  if [[ $word == --* ]]; then
    words=${words// -/ --}
    words=${words/#-/--}
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _resec resec
`, strings.Join(names, " "), &words, valueCases(commands))
	return err
}

// quoted is a text in single quotes, as every shell takes it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// described is a word and what it means, as zsh's _describe takes them: a colon is between them.
func described(word, meaning string) string {
	return quoted(word + ":" + strings.ReplaceAll(meaning, ":", `\:`))
}

func printZshCompletion(w io.Writer, commands []*cli.Command) error {
	var names, cases strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&names, "      %s\n", described(c.Name, c.Usage))
		fmt.Fprintf(&cases, "    %s) items=(\n", c.Name)
		for _, s := range settingsOf(c) {
			fmt.Fprintf(&cases, "      %s\n", described("-"+s.name, s.usage))
		}
		fmt.Fprintf(&cases, "      %s) ;;\n", described("-help", "show help"))
	}
	_, err := fmt.Fprintf(w, `#compdef resec
_resec() {
  local -a items
  if (( CURRENT == 2 )); then
    items=(
%s    )
    _describe command items
    return
  fi
  case $words[2] in
%s  esac
  _describe flag items || _files
}
compdef _resec resec
`, &names, &cases)
	return err
}

func printFishCompletion(w io.Writer, commands []*cli.Command) error {
	var out strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&out, "complete -c resec -n __fish_use_subcommand -f -a %s -d %s\n", c.Name, quoted(c.Usage))
		for _, s := range settingsOf(c) {
			takes := " -r"
			if s.bare {
				takes = ""
			}
			fmt.Fprintf(&out, "complete -c resec -n '__fish_seen_subcommand_from %s'%s -o %s -d %s\n", c.Name, takes, s.name,
				quoted(s.usage))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
