/**
 * Shell completion, generated from the command tree itself, so that it never lags behind it. Each script walks the words
 * typed so far down the tree, then offers what can stand there. Nothing is asked of a server.
 */
import type { Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Place {
  /** `/apps/create`; the program itself is the empty path. */
  readonly path: string;
  readonly commands: readonly { name: string; description: string }[];
  readonly options: readonly {
    flags: readonly string[];
    description: string;
    /** What may follow; null where the option takes no value. */
    value: 'files' | 'anything' | readonly string[] | null;
  }[];
  /** What its argument may be. */
  readonly choices: readonly string[];
}

/** Made from the commands themselves, so that it knows each option that there is. */
export function completionScript(program: Command, shell: Shell): string {
  const places = walk(program, '');
  switch (shell) {
    case 'bash':
      return bash(places);
    case 'zsh':
      return zsh(places);
    case 'fish':
      return fish(places);
  }
}

function walk(command: Command, path: string): Place[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const place: Place = {
    path,
    commands: commands.map((one) => ({
      name: one.name(),
      description: sentence(one.summary() || one.description()),
    })),
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((one) => typeof one === 'string'),
      description: sentence(option.description),
      value: valueOf(option),
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  const below = commands.filter((one) => command.commands.includes(one));
  return [place, ...below.flatMap((one) => walk(one, `${path}/${one.name()}`))];
}

function valueOf(option: Option): 'files' | 'anything' | readonly string[] | null {
  if (!option.required && !option.optional) return null;
  if (option.argChoices) return option.argChoices;
  return /<(file|dir|path)/.test(option.flags) ? 'files' : 'anything';
}

/** The first sentence, without its period. */
function sentence(text: string): string {
  return (text.split(/[.;:] |\.$|\n/)[0] ?? '').trim();
}

/** A word in single quotes, for any of the three shells. */
function quote(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}

function commandPaths(places: readonly Place[]): string {
  return places
    .map((place) => place.path)
    .filter((path) => path !== '')
    .join('|');
}

/** Shell `case` branches for the value of an option, by place and flag. */
function valueBranches(
  places: readonly Place[],
  offer: (value: Place['options'][number]['value']) => string,
): string {
  return places
    .flatMap((place) =>
      place.options
        .filter((option) => option.value !== null)
        .map((option) => {
          const patterns = option.flags.map((flag) => quote(`${place.path} ${flag}`)).join('|');
          return `    ${patterns}) ${offer(option.value)}; return ;;`;
        }),
    )
    .join('\n');
}

function bash(places: readonly Place[]): string {
  const branch = (place: Place) => {
    const options = place.options.flatMap((option) => option.flags);
    const words = [...place.commands.map((command) => command.name), ...place.choices];
    return `    ${quote(place.path)}) words=${quote(words.join(' '))} options=${quote(options.join(' '))} ;;`;
  };
  const values = valueBranches(places, (value) => {
    if (value === 'files') return 'COMPREPLY=($(compgen -f -- "$cur"))';
    if (value === 'anything' || value === null) return 'COMPREPLY=()';
    return `COMPREPLY=($(compgen -W ${quote(value.join(' '))} -- "$cur"))`;
  });
  return `# Completion of mayfly in bash: source <(mayfly completion bash)
_mayfly() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path='' words='' options='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path/\${COMP_WORDS[i]}" in
      ${commandPaths(places)}) path=$path/\${COMP_WORDS[i]} ;;
    esac
  done
  case "$path $prev" in
${values}
  esac
  case "$path" in
${places.map(branch).join('\n')}
  esac
  # Options are offered where nothing else can stand, and to those who begin to type one.
  if [[ $cur == -* || -z $words ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _mayfly mayfly
`;
}

function zsh(places: readonly Place[]): string {
  const described = (name: string, description: string) =>
    quote(`${name.replaceAll(':', '\\:')}${description === '' ? '' : `:${description}`}`);
  const offer = (place: Place) => {
    const words = [
      ...place.commands.map((command) => described(command.name, command.description)),
      ...place.choices.map((one) => described(one, '')),
    ];
    const options = place.options.flatMap((option) =>
      option.flags.map((flag) => described(flag, option.description)),
    );
    return `    ${quote(place.path)}) words_here=(${words.join(' ')}); options_here=(${options.join(' ')}) ;;`;
  };
  const values = valueBranches(places, (value) => {
    if (value === 'files') return '_files';
    if (value === 'anything' || value === null) return '_message value';
    return `compadd -- ${value.map(quote).join(' ')}`;
  });
  return `#compdef mayfly
# Completion of mayfly in zsh: source <(mayfly completion zsh)
_mayfly() {
  local place='' i
  local -a words_here options_here
  for ((i = 2; i < CURRENT; i++)); do
    case "$place/\${words[i]}" in
      ${commandPaths(places)}) place=$place/\${words[i]} ;;
    esac
  done
  case "$place \${words[CURRENT - 1]}" in
${values}
  esac
  case "$place" in
${places.map(offer).join('\n')}
  esac
  local ret=1
  if (( \${#words_here} )); then _describe -t commands command words_here && ret=0; fi
  if [[ $PREFIX = -* || \${#words_here} -eq 0 ]]; then _describe -t options option options_here && ret=0; fi
  return ret
}
if [[ $funcstack[1] = _mayfly ]]; then _mayfly "$@"; else compdef _mayfly mayfly; fi
`;
}

function fish(places: readonly Place[]): string {
  const lines = places.flatMap((place) => {
    const here = `complete -c mayfly -n ${quote(`__mayfly_at "${place.path}"`)}`;
    return [
      ...place.commands.map(({ name, description }) => `${here} -a ${quote(name)} -d ${quote(description)}`),
      ...place.choices.map((one) => `${here} -a ${quote(one)}`),
      ...place.options.map(({ flags, description, value }) => {
        const names = flags.map((flag) =>
          flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
        );
        const takes = Array.isArray(value)
          ? ` -x -a ${quote(value.join(' '))}`
          : ({ files: ' -r -F', anything: ' -x' }[value as string] ?? '');
        return `${here} ${names.join(' ')} -d ${quote(description)}${takes}`;
      }),
    ];
  });
  return `# Completion of mayfly in fish: mayfly completion fish | source
function __mayfly_at
  set -l place ''
  set -l typed (commandline -opc)
  for word in $typed[2..-1]
    switch "$place/$word"
      case ${commandPaths(places).split('|').map(quote).join(' ')}
        set place "$place/$word"
    end
  end
  test "$place" = "$argv[1]"
end
complete -c mayfly -f
${lines.join('\n')}
`;
}
