using System.Diagnostics;
using System.Globalization;
using Stig.Interop;
using Stig.Model;
using Stig.Model.Execution;
using Stig.Model.Randomness;

namespace Stig.Cli.Commands.Bench;

/// <summary>On what something was measured.</summary>
/// <param name="Program">Version of this program.</param>
/// <param name="Device">"cpu" or "cuda:N".</param>
/// <param name="Processor">Model of the processor.</param>
/// <param name="Threads">Threads that computed.</param>
/// <param name="Core">Instruction-set level of the native core.</param>
/// <param name="Dnnl">Version of oneDNN and the instruction set it generates code for.</param>
internal sealed record MachineReport(string Program, string Device, string Processor, int Threads, string Core, string Dnnl)
{
    public static MachineReport Of(string device)
    {
        NativeCoreInfo core = NativeCore.Info;
        return new MachineReport(ProgramVersion.Current, device, ProcessorInfo.Name ?? "unknown", NativeCore.Threads, core.IsaLevel,
            $"{core.DnnlVersion} ({core.DnnlIsa})");
    }

    public override string ToString() => $"{Processor}, {Threads} threads, core {Core}, oneDNN {Dnnl}, device {Device}";
}

/// <summary>Times of some runs, in seconds.</summary>
/// <param name="Median">The middle one.</param>
/// <param name="Least">The shortest: what the machine can do when nothing disturbs it.</param>
/// <param name="Runs">How many.</param>
internal sealed record TimeReport(double Median, double Least, int Runs)
{
    /// <summary>Times an action. The first run is not counted: it packs weights and touches memory.</summary>
    public static TimeReport Of(int runs, Action run)
    {
        run();
        double[] seconds = new double[runs];
        for (int i = 0; i < runs; i++)
        {
            long start = Stopwatch.GetTimestamp();
            run();
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Array.Sort(seconds);
        return new TimeReport(seconds[runs / 2], seconds[0], runs);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Median:F4} s (least {Least:F4} s, {Runs} runs)");
}

/// <summary>Memory, in bytes.</summary>
/// <param name="Arena">Feature maps and everything else that the memory plan places.</param>
/// <param name="Scratch">Work area of the greediest operation.</param>
/// <param name="Packed">Weights in the form that convolutions want.</param>
/// <param name="Weights">Weights and optimizer state as they are.</param>
/// <param name="Peak">Most memory that this process has had in use so far (host memory; 0 where the system does not say).</param>
internal sealed record MemoryReport(long Arena, long Scratch, long Packed, long Weights, long Peak)
{
    public static MemoryReport Of(Model.Execution.Program program, TensorStore? store) => new(
        program.Memory.Arena, program.Memory.Scratch, program.Memory.PackedWeights, store?.HeldBytes ?? 0, PeakOfProcess());

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Peak / 1e6:F0} MB at most in this process: arena {Arena / 1e6:F0}, scratch {Scratch / 1e6:F0}, packed weights {Packed / 1e6:F0}, "
        + $"weights {Weights / 1e6:F0}, the rest the program itself");

    // VmHWM of the kernel, in KiB: what counts against a container's limit.
    private static long PeakOfProcess()
    {
        const string status = "/proc/self/status";
        string? line = File.Exists(status) ? File.ReadLines(status).FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal)) : null;
        return line is null ? 0 : 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}

/// <summary>Inputs that are the same in every run.</summary>
internal static class Noise
{
    /// <summary>Values in [0, 1).</summary>
    public static float[] Uniform(long count, int stream = 1)
    {
        var random = new CounterRandom((ulong)stream, "noise");
        return [.. Enumerable.Range(0, checked((int)count)).Select(i => (float)random.Uniform(i))];
    }
}
