using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Stig.Cli.Commands;
using Stig.Cli.Commands.Bench;

namespace Stig.Cli;

/// <summary>The <c>stig</c> program: parses the command line, runs a command, turns what goes wrong into one line and an exit
/// code.</summary>
public static class StigProgram
{
    /// <summary>Environment variable that, set to 1, asks for stack traces of errors, as --trace does.</summary>
    public const string TraceVariable = "STIG_TRACE";

    private static readonly Option<bool> Trace = new("--trace")
    {
        Description = "On an error, show where in the program it arose.",
        Recursive = true,
    };

    /// <summary>Runs the program.</summary>
    /// <param name="arguments">The command line, without the program's name.</param>
    /// <param name="terminal">Where to write.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static int Run(IReadOnlyList<string> arguments, Terminal terminal)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(terminal);
        ParseResult parsed = Root(terminal).Parse(arguments);
        if (Mistake(parsed) is string mistake)
        {
            string command = string.Join(' ', CommandPath(parsed.CommandResult));
            terminal.Error($"{mistake} See `{command} --help`.");
            return ExitCode.Usage;
        }

        try
        {
            int code = parsed.Invoke(new InvocationConfiguration
            {
                Output = terminal.Output,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            });
            return terminal.OutputProblem is string problem ? Untold(terminal, problem, code) : code;
        }
        catch (Exception error)
        {
            Failure failure = Failure.Of(error);
            terminal.Error(failure.Line);
            if (parsed.GetValue(Trace) || Environment.GetEnvironmentVariable(TraceVariable) == "1")
            {
                terminal.Error(error.ToString());
            }

            return failure.Code;
        }
    }

    // What is wrong with the command line; null where nothing is. The parser takes an option that it does not know for an argument, where there
    // may be any, and lets empty values pass.
    private static string? Mistake(ParseResult parsed)
    {
        if (parsed.Action is ParseErrorAction)
        {
            return parsed.Errors[0].Message;
        }

        if (parsed.Action != parsed.CommandResult.Command.Action)
        {
            return null;
        }

        SymbolResult[] given = [.. parsed.CommandResult.Children];
        string? empty = given.Where(result => result.Tokens.Any(token => token.Value.Length == 0) && !MayBeEmpty(result))
            .Select(NameOf).FirstOrDefault();
        if (empty is not null)
        {
            return $"{empty} is empty. Give a value.";
        }

        int literal = parsed.Tokens.SkipWhile(token => token.Type != TokenType.DoubleDash).Count(token => token.Type == TokenType.Argument);
        string? unknown = given.OfType<ArgumentResult>().SelectMany(result => result.Tokens).SkipLast(literal)
            .Select(token => token.Value).FirstOrDefault(value => value.Length > 1 && value[0] == '-');
        return unknown is null ? null : $"There is no option {unknown.Split('=')[0]}; a file of that name is ./{unknown}.";
    }

    private static bool MayBeEmpty(SymbolResult result) =>
        result is OptionResult { Option: { HasDefaultValue: true } option } && option.GetDefaultValue() is "";

    private static string NameOf(SymbolResult result) => result switch
    {
        OptionResult option => option.Option.Name,
        ArgumentResult argument => argument.Argument.Name,
        _ => "",
    };

    // The work itself has gone on to its end.
    private static int Untold(Terminal terminal, string problem, int code)
    {
        terminal.Error(string.Join(' ', $"Standard output cannot be written: {problem}. Redirect it elsewhere.", terminal.Done).TrimEnd());
        return code is ExitCode.Success or ExitCode.NothingToDo ? ExitCode.Output : code;
    }

    private static RootCommand Root(Terminal terminal)
    {
        var root = new RootCommand("STIG makes generated images look real to a spectrum analyser: it learns how the spectra of real images "
            + "differ from those of generated ones, and refines images accordingly. Shapes and colours stay.")
        {
            DemoCommand.Create(terminal),
            TrainCommand.Create(terminal),
            RefineCommand.Create(terminal),
            MergeCommand.Create(terminal),
            InfoCommand.Create(terminal),
            DoctorCommand.Create(terminal),
            SelfTestCommand.Create(terminal),
            BenchCommand.Create(terminal),
            Trace,
        };
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        var showHelp = new HelpWithExamples((HelpAction)help.Action!);
        help.Action = showHelp;
        root.SetAction(parsed =>
        {
            showHelp.Invoke(parsed);
            return ExitCode.Usage;
        });
        return root;
    }

    private static IEnumerable<string> CommandPath(CommandResult command)
    {
        IEnumerable<string> outer = command.Parent is CommandResult parent ? CommandPath(parent) : [];
        return outer.Append(command.Command is RootCommand ? "stig" : command.Command.Name);
    }

    // Below the generated help: how to start, examples, exit codes.
    private sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int code = inner.Invoke(parseResult);
            TextWriter output = parseResult.InvocationConfiguration.Output;
            if (parseResult.CommandResult.Command is StigCommand command)
            {
                WriteBlock(output, "Examples:", command.Examples);
                return code;
            }

            WriteBlock(output, "Quick start:",
            [
                "stig doctor                                          # is everything there?",
                "stig demo                                            # try it on made-up images",
                "stig train --real photos --fake generated --out run  # learn from two folders",
                "stig refine --model run/best.safetensors --out refined generated",
            ]);
            WriteBlock(output, "Exit codes:", ExitCode.All.Select(entry => $"{entry.Code,3}  {entry.Meaning}"));
            return code;
        }

        private static void WriteBlock(TextWriter output, string title, IEnumerable<string> lines)
        {
            output.WriteLine(title);
            foreach (string line in lines)
            {
                output.WriteLine($"  {line}");
            }

            output.WriteLine();
        }
    }
}

/// <summary>A command whose help ends with examples.</summary>
internal sealed class StigCommand(string name, string description, params string[] examples) : Command(name, description)
{
    public IReadOnlyList<string> Examples { get; } = examples;
}
