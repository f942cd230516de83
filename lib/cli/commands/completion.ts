import type { Command } from 'commander';
import { usageError } from '../failure.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

const HOW: Record<(typeof SHELLS)[number], string> = {
  bash: 'source <(fns completion bash)      # in ~/.bashrc',
  zsh: 'source <(fns completion zsh)       # in ~/.zshrc, after compinit',
  fish: 'fns completion fish | source       # in ~/.config/fish/config.fish',
};

export function completionCommand(program: Command): void {
  program
    .command('completion <shell>')
    .description(`print a completion script for ${SHELLS.join(', ')}`)
    .addHelpText(
      'after',
      `\n${Object.values(HOW)
        .map((line) => `  ${line}`)
        .join('\n')}`,
    )
    .action((shell: string) => {
      const make = { bash, zsh, fish }[shell];
      if (!make) throw usageError(`There is no completion for '${shell}'.`, `There is one for ${SHELLS.join(', ')}.`);
      process.stdout.write(make(wordsOf(program)));
    });
}

/** What may follow `fns`, and each of its commands: commands and long options, with what they are for. */
export type Words = { after: string; words: { word: string; what: string }[] }[];

export function wordsOf(command: Command, after: string[] = []): Words {
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  const options = command.options.flatMap(({ long, description }) => (long ? [{ word: long, what: description }] : []));
  const own = { after: after.join(' '), words: [...visible.map((each) => ({ word: each.name(), what: each.description() })), ...options] };
  return [own, ...visible.flatMap((each) => wordsOf(each, [...after, each.name()]))];
}

const plain = (text: string): string => text.replace(/['"`$\\:[\]]/g, '').slice(0, 60);

function bash(all: Words): string {
  const cases = all.map(({ after, words }) => `    '${after}') words='${words.map(({ word }) => word).join(' ')}' ;;`).join('\n');
  return `_fns() {
  local path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) path="$path\${path:+ }$word" ;; esac
  done
  # Arguments are no commands: the longest path that is known counts.
  while :; do
    case $path in
${cases}
    esac
    [ -n "$words" ] && break
    case $path in *' '*) path=\${path% *} ;; *) break ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _fns fns
`;
}

/** `words` and `CURRENT` are the shell's own; `path` would be its search path. */
function zsh(all: Words): string {
  const cases = all
    .map(({ after, words }) => `    '${after}') choices=(${words.map(({ word, what }) => `'${word}:${plain(what)}'`).join(' ')}) ;;`)
    .join('\n');
  return `#compdef fns
_fns() {
  local command='' word
  local -a choices
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] || command="$command\${command:+ }$word"
  done
  while true; do
    case $command in
${cases}
    esac
    (( \${#choices} )) && break
    [[ $command == *' '* ]] || break
    command=\${command% *}
  done
  _describe 'fns' choices || _files
}
compdef _fns fns
`;
}

function fish(all: Words): string {
  const lines = all.flatMap(({ after, words }) => {
    const seen =
      after === ''
        ? '__fish_use_subcommand'
        : after
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    return words.map(
      ({ word, what }) =>
        `complete -c fns -n '${seen}' ${word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`} -d '${plain(what)}'`,
    );
  });
  return `${lines.join('\n')}\n`;
}
