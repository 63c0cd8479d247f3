using System.CommandLine;

namespace Stig.Cli.Commands.Bench;

/// <summary><c>stig bench</c>: how fast this machine is; one subcommand a measurement.</summary>
internal static class BenchCommand
{
    public static Command Create(Terminal terminal) =>
        new StigCommand("bench", "Measure speed and memory on this machine; weights and images are random.", "stig bench pipeline")
        {
            PipelineBench.Create(terminal),
        };
}
