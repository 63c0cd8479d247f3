using Stig.Interop;
using Stig.Interop.Cuda;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Imaging;
using Stig.Model.Training;

namespace Stig.Cli;

/// <summary>The command line asks for something that cannot be; the message says what and what to do.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>What the user is told of an exception: one line and an exit code. The one place that maps them.</summary>
/// <param name="Line">What, where, remedy.</param>
/// <param name="Code">One of <see cref="ExitCode"/>.</param>
public sealed record Failure(string Line, int Code)
{
    /// <summary>The failure that an exception stands for.</summary>
    public static Failure Of(Exception error) => error switch
    {
        UsageException => From(error, ExitCode.Usage),
        ImageDataException or ImageFormatException => From(error, ExitCode.Data),
        CheckpointException { IsWriteFailure: true } => From(error, ExitCode.Output),
        CheckpointException => From(error, ExitCode.Model),
        DeviceOutOfMemoryException => new(
            $"{OneLine(error)} Use a smaller --batch, or free what other processes hold (nvidia-smi shows them).", ExitCode.Device),
        DeviceLostException => new(
            $"{OneLine(error)} What is finished is kept. Run again; if the device stays away, see nvidia-smi, or use --device cpu.", ExitCode.Device),
        DeviceException or NativeLibraryMissingException or CudaException => From(error, ExitCode.Device),
        NativeCoreException { Status: CoreStatus.OutOfMemory } or OutOfMemoryException =>
            new($"The computer has not enough memory: {OneLine(error)} Use a smaller --batch, --size or --width.", ExitCode.Device),
        TrainingDivergedException => From(error, ExitCode.Diverged),
        IOException or UnauthorizedAccessException => From(error, ExitCode.Output),
        OperationCanceledException => new("Interrupted.", ExitCode.Interrupted),
        _ => new(
            $"Internal error, a defect of this program: {error.GetType().Name}: {OneLine(error)} Run again with --trace and report it.",
            ExitCode.Internal),
    };

    private static Failure From(Exception error, int code) => new(OneLine(error), code);

    private static string OneLine(Exception error) => error.Message.ReplaceLineEndings(" ");
}
