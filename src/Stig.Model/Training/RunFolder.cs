using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Stig.Model.Checkpoints;
using Stig.Model.Imaging;

namespace Stig.Model.Training;

/// <summary>
/// The folder of a training run: <c>options.json</c>, <c>log.jsonl</c> (a line a step: every loss, the learning rate), <c>sheets/</c>,
/// <c>last.safetensors</c>, <c>best.safetensors</c>. One run at a time holds it (<c>run.lock</c>, <c>run.holder</c>).
/// </summary>
internal sealed class RunFolder : IDisposable
{
    // Built on the generated context, because options of their own would look types up by reflection.
    private static readonly JsonSerializerOptions IndentedJson = new(ModelJson.Default.Options) { WriteIndented = true };

    // Names of unfinished files: those of a checkpoint's writer and of AtomicFile.
    private static readonly string[] Temporary =
    [
        "last.safetensors.tmp", "best.safetensors.tmp", ".options.json.*.tmp", ".log.jsonl.*.tmp", ".run.holder.*.tmp",
        Path.Combine("sheets", ".step-*.tmp"),
    ];

    private readonly FolderLock held;
    private FileStream? log;

    private RunFolder(string path, FolderLock held)
    {
        Folder = path;
        this.held = held;
    }

    public string Folder { get; }

    public string LastCheckpoint => Path.Combine(Folder, "last.safetensors");

    public string BestCheckpoint => Path.Combine(Folder, "best.safetensors");

    private string LogPath => Path.Combine(Folder, "log.jsonl");

    /// <summary>Makes or opens a run folder and holds it.</summary>
    /// <exception cref="IOException">It cannot be written, another run holds it, or it has a run already that is not to be
    /// resumed.</exception>
    public static RunFolder Open(string folder, bool resume)
    {
        string what = $"The run folder {folder}";
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "sheets"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{what} cannot be written ({e.Message}). Choose another folder or free this one.", e);
        }

        var run = new RunFolder(folder, FolderLock.Take(Path.Combine(folder, "run.lock"), what));
        try
        {
            run.Sweep();
        }
        catch
        {
            run.Dispose();
            throw;
        }

        bool hasRun = File.Exists(run.LastCheckpoint);
        if (hasRun != resume)
        {
            run.Dispose();
            throw new IOException(hasRun
                ? $"{folder} holds a run already. Continue it with --resume, or choose another folder."
                : $"{folder} has no last.safetensors to resume from. Start without --resume, or name the folder of a run.");
        }

        return run;
    }

    public string SheetPath(long step) => Path.Combine(Folder, "sheets", $"step-{step:D6}.png");

    /// <summary>Writes the run's options.</summary>
    public void WriteOptions(TrainingRunOptions run, TrainingOptions training, RunSetup setup)
    {
        var json = new JsonObject
        {
            ["program_version"] = ProgramVersion.Current,
            ["real"] = Path.GetFullPath(run.RealFolder),
            ["fake"] = Path.GetFullPath(run.FakeFolder),
            ["setup"] = JsonSerializer.SerializeToNode(setup, ModelJson.Default.RunSetup),
            ["training"] = JsonSerializer.SerializeToNode(training, ModelJson.Default.TrainingOptions),
        };
        AtomicFile.Write(Path.Combine(Folder, "options.json"),
            Encoding.UTF8.GetBytes(json.ToJsonString(IndentedJson) + "\n"));
    }

    /// <summary>Starts the log; lines of steps beyond the one resumed from are dropped, and so is a line cut short.</summary>
    public void OpenLog(long completedSteps)
    {
        if (completedSteps > 0 && File.Exists(LogPath))
        {
            AtomicFile.Write(LogPath, Encoding.UTF8.GetBytes(string.Concat(
                File.ReadLines(LogPath).Where(line => IsUpTo(line, completedSteps)).Select(line => line + "\n"))));
        }

        log = new FileStream(
            LogPath, completedSteps > 0 ? FileMode.Append : FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
    }

    /// <summary>Adds a line to the log, in one write.</summary>
    /// <exception cref="IOException">There is no room for it.</exception>
    public void Log(TrainingProgress progress)
    {
        var line = new JsonObject { ["step"] = progress.Step, ["learning_rate"] = progress.LearningRate };
        foreach ((string name, float loss) in progress.Losses)
        {
            line[name] = float.IsFinite(loss)
                ? JsonValue.Create(loss)
                : JsonValue.Create(loss.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        if (progress.SpectralDistance is double distance)
        {
            line["spectral_distance"] = distance;
        }

        try
        {
            log!.Write(Encoding.UTF8.GetBytes(line.ToJsonString() + "\n"));
        }
        catch (Exception error) when (error is IOException or ArgumentOutOfRangeException)
        {
            // An argument out of range is what .NET makes of a file beyond what a limit on files allows.
            throw new IOException($"{LogPath} cannot be written: {error.Message.TrimEnd('.')}. Make room on the disk and continue with --resume.", error);
        }
    }

    public void Dispose()
    {
        try
        {
            log?.Dispose();
        }
        finally
        {
            held.Dispose();
        }
    }

    // What an earlier run left when it was killed while it wrote a file goes; nobody else writes here now.
    private void Sweep()
    {
        foreach (string left in Temporary.SelectMany(pattern => Directory.GetFiles(Folder, pattern)))
        {
            File.Delete(left);
        }
    }

    private static bool IsUpTo(string line, long step)
    {
        try
        {
            return JsonNode.Parse(line)?["step"]?.GetValue<long>() <= step;
        }
        catch (JsonException)
        {
            // The last line of a run that was killed while it wrote.
            return false;
        }
    }
}
