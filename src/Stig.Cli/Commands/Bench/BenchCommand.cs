using System.CommandLine;

namespace Stig.Cli.Commands.Bench;

/// <summary><c>stig bench</c>: how fast this machine is, and how good its results; one subcommand a measurement.</summary>
internal static class BenchCommand
{
    public static Command Create(Terminal terminal) =>
        new StigCommand("bench", "Measure speed, memory and quality on this machine.",
            "stig bench generator", "stig bench step --json step.json", "stig bench ops --device cuda:0 --precision bf16",
            "stig bench quality --real photos --fake generated --out quality")
        {
            GeneratorBench.Create(terminal),
            StepBench.Create(terminal),
            OpsBench.Create(terminal),
            PipelineBench.Create(terminal),
            QualityBench.Create(terminal),
        };
}
