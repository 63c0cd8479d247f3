using System.CommandLine;
using Stig.Model.Execution;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Cli.Commands.Bench;

/// <summary><c>stig bench step</c>: a training step with all losses, gradients and updates.</summary>
internal static class StepBench
{
    private const int DefaultRuns = 3;

    public static Command Create(Terminal terminal)
    {
        Option<Preset> preset = CommonOptions.Choice<Preset>("--preset", "Whose step: default, or official as the reference implementation's.");
        var command = new StigCommand("step", "A training step on one pair of images: all losses, gradients and updates.",
            "stig bench step", "stig bench step --preset official")
        {
            preset,
        };
        return new BenchOptions(DevicePurpose.Training, DefaultRuns).On(command, terminal, (parsed, settings) => With(
            settings, parsed.GetValue(preset), session =>
            {
                TimeReport time = TimeReport.Of(settings.Runs, session.Run);
                return new BenchReport($"training step of preset {parsed.GetValue(preset).ToString().ToLowerInvariant()}",
                    MachineReport.Of(settings.Device), settings, time, MemoryReport.Of(session.Program, session.Store));
            }));
    }

    /// <summary>Calls a function with a started training.</summary>
    public static T With<T>(BenchSettings settings, Preset preset, Func<Step, T> use)
    {
        if (preset == Preset.Filter)
        {
            throw new UsageException("--preset filter has no network and no steps; choose default or official.");
        }

        TrainingOptions options = TrainingOptions.For(preset) with { Width = settings.Width, Size = settings.Size };
        long values = 3L * settings.Size * settings.Size;
        using Executor executor = Device.Open(settings.Device, DevicePurpose.Training, settings.Winograd, settings.Precision);
        using TrainingSession session = TrainingSession.Start(options, executor, new Dictionary<string, float[]>());
        using TensorStore store = session.Store;
        return use(new Step(session, Noise.Uniform(values, stream: 1), Noise.Uniform(values, stream: 2)));
    }

    /// <summary>A training session with its images.</summary>
    public sealed class Step(TrainingSession session, float[] real, float[] fake)
    {
        public Model.Execution.Program Program => session.Program;

        public TensorStore Store => session.Store;

        /// <summary>One step; a loss is fetched, so that a device has computed it when the time is taken.</summary>
        public void Run()
        {
            session.Run(real, fake);
            session.Loss(session.LossNames[^1]);
        }
    }
}
