using System.CommandLine;
using System.Globalization;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Model.Translation;

namespace Stig.Cli.Commands.Bench;

/// <summary>
/// <c>stig bench ops</c>: the time of every operation of the generator's forward pass, or of a training step, against its floor: the
/// longer of its arithmetic at the best rate that a convolution of the program reaches and its bytes at the rate of a large copy.
/// </summary>
internal static class OpsBench
{
    private const int DefaultRuns = 5;

    public static Command Create(Terminal terminal)
    {
        Option<bool> step = new("--step") { Description = "Of a training step of the official preset instead of the forward pass." };
        Option<int> top = CommonOptions.Positive(new Option<int>("--top")
        {
            Description = "Operations to show.",
            HelpName = "N",
            DefaultValueFactory = _ => 20,
        });
        var command = new StigCommand("ops", "Every operation's time against its floor: arithmetic, or bytes moved.",
            "stig bench ops", "stig bench ops --step", "stig bench ops --device cuda:0 --precision bf16 --json ops.json")
        {
            step, top,
        };
        return new BenchOptions(DevicePurpose.Refinement, DefaultRuns).On(command, terminal, (parsed, settings) =>
        {
            OperationsReport operations = parsed.GetValue(step)
                ? StepBench.With(settings, Preset.Official, session => Run(settings, session.Program, session.Run))
                : GeneratorBench.With(settings, (_, program) => Run(settings, program, program.Run));
            Show(terminal, operations, parsed.GetValue(top));
            string measured = parsed.GetValue(step) ? "operations of a training step of preset official" : "operations of the generator's forward pass";
            return new BenchReport(measured, MachineReport.Of(settings.Device), settings, operations.Time, operations.Memory) { Operations = operations.Operations };
        });
    }

    private static OperationsReport Run(BenchSettings settings, Model.Execution.Program program, Action run)
    {
        run();
        var seconds = new Dictionary<Node, double>();
        double[] totals = new double[settings.Runs];
        for (int i = 0; i < settings.Runs; i++)
        {
            // The least time of each operation: what it takes when nothing disturbs it.
            program.Profile((node, time) =>
            {
                totals[i] += time.TotalSeconds;
                seconds[node] = Math.Min(seconds.GetValueOrDefault(node, double.PositiveInfinity), time.TotalSeconds);
            });
        }

        Array.Sort(totals);
        double copyRate = CopyRate(settings);
        double arithmeticRate = seconds.Where(entry => entry.Key.Operation is Conv2d or Conv2dBackwardData or Conv2dBackwardWeights)
            .Select(entry => Products(entry.Key) / entry.Value).DefaultIfEmpty().Max();
        double total = seconds.Values.Sum();
        OperationReport[] operations =
        [
            .. seconds.OrderByDescending(entry => entry.Value).Select(entry =>
            {
                double bytes = entry.Key.Inputs.Concat(entry.Key.Outputs).Where(value => program.Plan[value] is not null).Sum(program.ByteCount);
                double arithmetic = arithmeticRate > 0 ? Products(entry.Key) / arithmeticRate : 0;
                double floor = Math.Max(arithmetic, bytes / copyRate);
                return new OperationReport(entry.Key.Name, entry.Key.Operation.Name, entry.Value, entry.Value / total, floor,
                    arithmetic > bytes / copyRate ? "arithmetic" : "bytes", entry.Value / floor);
            }),
        ];
        return new OperationsReport(operations, copyRate, arithmeticRate, new TimeReport(totals[settings.Runs / 2], totals[0], settings.Runs), program);
    }

    // Multiplications and additions of a convolution done directly; Winograd's rate is counted the same way.
    private static double Products(Node node)
    {
        (Shape maps, Shape weights) = node.Operation switch
        {
            Conv2d => (node.Outputs[0].Shape, node.Inputs[1].Shape),
            Conv2dBackwardData => (node.Inputs[0].Shape, node.Inputs[1].Shape),
            Conv2dBackwardWeights backward => (node.Inputs[1].Shape, backward.WeightsShape),
            _ => (default, default),
        };
        return weights.Rank == 0 ? 0 : 2.0 * maps.N * maps.H * maps.W * weights.Count;
    }

    // Bytes read and written in a second by an operation that does next to nothing else, on more than the caches hold.
    private static double CopyRate(BenchSettings settings)
    {
        const int side = 4096;
        using Executor executor = Device.Open(settings.Device, DevicePurpose.Refinement, settings.Winograd);
        using TensorStore store = executor.CreateStore();
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 1, side, side));
        graph.Output("y", graph.Affine(x, 2));
        using Model.Execution.Program program = executor.Compile(graph, store);
        program.Write<float>(x, new float[x.Shape.Count]);
        double least = double.PositiveInfinity;
        program.Run();
        for (int i = 0; i < settings.Runs; i++)
        {
            program.Profile((_, time) => least = Math.Min(least, time.TotalSeconds));
        }

        return 2 * x.Type.ByteCount / least;
    }

    private static void Show(Terminal terminal, OperationsReport report, int top)
    {
        terminal.Line(string.Create(CultureInfo.InvariantCulture,
            $"copy {report.CopyRate / 1e9:F1} GB/s, best convolution {report.ArithmeticRate / 1e9:F0} GFLOP/s (counted as direct)"));
        terminal.Line("     time   share    floor  ratio  bound by    operation");
        foreach (OperationReport o in report.Operations.Take(top))
        {
            terminal.Line(string.Create(CultureInfo.InvariantCulture,
                $"{o.Seconds * 1e3,6:F2} ms  {o.Share,5:P1}  {o.Floor * 1e3,6:F2}  {o.Ratio,5:F1}  {o.Bound,-10}  {o.Name}"));
        }

        terminal.Line();
        terminal.Line("   time   share    floor  ratio  all of a kind");
        foreach (IGrouping<string, OperationReport> kind in report.Operations.GroupBy(o => o.Operation).OrderByDescending(k => k.Sum(o => o.Seconds)))
        {
            double seconds = kind.Sum(o => o.Seconds);
            double floor = kind.Sum(o => o.Floor);
            terminal.Line(string.Create(CultureInfo.InvariantCulture,
                $"{seconds * 1e3,6:F1} ms {kind.Sum(o => o.Share),5:P1}  {floor * 1e3,6:F1}  {seconds / floor,5:F1}  {kind.Count()} x {kind.Key}"));
        }

        terminal.Line();
    }

    private sealed record OperationsReport(
        IReadOnlyList<OperationReport> Operations, double CopyRate, double ArithmeticRate, TimeReport Time, Model.Execution.Program Program)
    {
        public MemoryReport Memory { get; } = MemoryReport.Of(Program, null);
    }
}

/// <summary>What an operation of a program takes.</summary>
/// <param name="Name">Where it stands in the network.</param>
/// <param name="Operation">Its kind.</param>
/// <param name="Seconds">Its least time.</param>
/// <param name="Share">Of all operations' time.</param>
/// <param name="Floor">Seconds below which it cannot come.</param>
/// <param name="Bound">What sets the floor: "arithmetic" or "bytes".</param>
/// <param name="Ratio">Time over floor.</param>
internal sealed record OperationReport(string Name, string Operation, double Seconds, double Share, double Floor, string Bound, double Ratio);
