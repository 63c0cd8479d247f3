using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Refinement;

/// <summary>What is done about outputs that exist.</summary>
public enum ExistingOutputs
{
    /// <summary>An output is left as it is where the manifest says that it was made from the same input with the same model and options, and
    /// it has the size recorded; every other one is made again.</summary>
    Resume,

    /// <summary>An output that exists is left as it is, whatever it holds.</summary>
    Skip,

    /// <summary>Every output is made again.</summary>
    Overwrite,

    /// <summary>An input whose output exists fails.</summary>
    Fail,
}

/// <summary>Options of a <see cref="RefineJob"/>.</summary>
public sealed record RefineJobOptions
{
    /// <summary>Where refined images go, each under its own relative name; made if need be.</summary>
    public required string OutputFolder { get; init; }

    /// <summary>What is done about outputs that exist.</summary>
    public ExistingOutputs Existing { get; init; } = ExistingOutputs.Resume;

    /// <summary>
    /// Whether file and folder are synced before an output's line enters the manifest, so that what the manifest says survives a loss of power.
    /// </summary>
    public bool Durable { get; init; }

    /// <summary>The part of the inputs to refine.</summary>
    public Shard Shard { get; init; } = Shard.Whole;

    /// <summary>The run ends once more inputs than this have failed; null: it goes on to the end.</summary>
    public long? MaxFailures { get; init; }

    /// <summary>Told in one line, by any thread, what does not keep the run from its work: damage in a manifest, for example.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Whether inputs are tar files of images instead of images.</summary>
    public bool Tar { get; init; }

    /// <summary>Codec, threads, bounds.</summary>
    public RefinePipelineOptions Pipeline { get; init; } = new();
}

/// <summary>How far a job is, and in the end what it came to.</summary>
/// <param name="Done">Inputs that are done with: images, or tar files where those are the inputs.</param>
/// <param name="Refined">Images refined; those of tar files that are not done count until the run ends.</param>
/// <param name="Skipped">Inputs whose output was there.</param>
/// <param name="Failed">Images without output, and tar files that failed as a whole.</param>
/// <param name="FellBack">Outputs computed again in float32, because the first result was not finite.</param>
/// <param name="Pixels">Pixels refined.</param>
/// <param name="Causes">How many failed of each cause.</param>
/// <param name="Load">How busy the parts of the pipeline were.</param>
public sealed record RefineJobProgress(
    long Done, long Refined, long Skipped, long Failed, long FellBack, long Pixels, IReadOnlyDictionary<RefineCause, long> Causes, PipelineLoad Load)
{
    /// <summary>Images that are missing in tar files that were there already, because they failed when these were made.</summary>
    public long FailedBefore { get; init; }
}

/// <summary>
/// Refines a stream of image files into a folder, so that any interruption costs at most the images at hand: outputs appear whole, each
/// with its line in the manifest, and the next run goes on from there. The same outputs come out for any batch, number of threads and
/// devices of one kind, number of shards, and pattern of interruptions.
/// </summary>
public sealed class RefineJob : IDisposable
{
    private readonly RefineJobOptions options;
    private readonly RefinePipeline pipeline;
    private readonly OutputFolder output;
    private readonly OutputPlan plan;
    private readonly ManifestWriter manifest;
    private readonly Lock gate = new();
    private readonly Dictionary<RefineCause, long> causes = [];
    private long done;
    private long refined;
    private long skipped;
    private long failed;
    private long fellBack;
    private long pixels;
    private long failedBefore;

    private RefineJob(IReadOnlyList<IImageRefiner> devices, RefineJobOptions options, OutputFolder output)
    {
        (this.options, this.output) = (options, output);
        pipeline = new RefinePipeline(devices, options.Pipeline);
        plan = new OutputPlan(options, devices[0]);
        try
        {
            manifest = new ManifestWriter(output.ManifestPath);
        }
        catch
        {
            plan.Dispose();
            throw;
        }
    }

    /// <summary>How far the job is. May be asked from any thread.</summary>
    public RefineJobProgress Progress
    {
        get
        {
            lock (gate)
            {
                return new RefineJobProgress(
                    done, refined, skipped, failed, fellBack, pixels, new Dictionary<RefineCause, long>(causes), pipeline.Load)
                {
                    FailedBefore = failedBefore,
                };
            }
        }
    }

    /// <summary>Whether the run ended because more inputs failed than allowed.</summary>
    public bool FailedTooOften { get; private set; }

    /// <summary>The manifest that the job adds to.</summary>
    public string ManifestPath => output.ManifestPath;

    /// <summary>Makes or opens the output folder, holds it until the job is disposed, and reads its manifests.</summary>
    /// <param name="devices">A refiner a device, all of the same model and options. They stay the caller's.</param>
    /// <param name="options">Where to and how.</param>
    /// <exception cref="IOException">The folder cannot be written, or another run holds it; the message names owner and remedy.</exception>
    public static RefineJob Open(IReadOnlyList<IImageRefiner> devices, RefineJobOptions options)
    {
        ArgumentNullException.ThrowIfNull(devices);
        ArgumentNullException.ThrowIfNull(options);
        OutputFolder output = OutputFolder.Open(options.OutputFolder, options.Shard, options.Durable, options.Warn);
        try
        {
            return new RefineJob(devices, options, output);
        }
        catch
        {
            output.Dispose();
            throw;
        }
    }

    /// <summary>What a job would do: reads names, manifests and sizes, no image, and writes nothing.</summary>
    /// <param name="device">The model.</param>
    /// <param name="options">Where to and how.</param>
    /// <param name="inputs">The inputs; those of other shards are passed over.</param>
    /// <param name="cancellation">Ends the look.</param>
    /// <returns>Each input, with its problem, and what would become of it; an input that would be refined may turn out to be no image.</returns>
    public static async IAsyncEnumerable<(InputFile Input, RefineStatus Status)> PreviewAsync(
        IImageRefiner device, RefineJobOptions options, IAsyncEnumerable<InputFile> inputs,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(inputs);
        using var plan = new OutputPlan(options, device);
        await foreach (InputFile input in inputs.WithCancellation(cancellation).ConfigureAwait(false))
        {
            if (options.Shard.Holds(input.Name))
            {
                Decision decision = plan.Decide(input);
                yield return (input with { Problem = decision.Problem }, decision.Status);
            }
        }
    }

    /// <summary>Refines inputs.</summary>
    /// <param name="inputs">The inputs, for example of an <see cref="InputListing"/>; those of other shards are passed over.</param>
    /// <param name="drain">Asks to end: no other image is begun, those that have reached a device are finished and written.</param>
    /// <returns>The manifest's line of each input as it is written; for an output that was there already, one that says so and is not
    /// written.</returns>
    /// <exception cref="IOException">An output or the manifest cannot be written.</exception>
    /// <exception cref="Interop.Cuda.DeviceLostException">A device went away; what had been computed was written first.</exception>
    public async IAsyncEnumerable<ManifestEntry> RunAsync(
        IAsyncEnumerable<InputFile> inputs, [EnumeratorCancellation] CancellationToken drain = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(drain);
        using var shards = new TarShards(output, options.Pipeline.Codec);
        using var withdrawal = new Withdrawal(this, shards);
        IAsyncEnumerable<RefineItem> items = PlanAsync(inputs, shards, ending.Token);
        long synced = Environment.TickCount64;
        await foreach (RefineOutcome outcome in pipeline.RunAsync(items, ending.Token).ConfigureAwait(false))
        {
            ManifestEntry own = Describe(outcome);
            IReadOnlyList<ManifestEntry> lines = [own], withdrawn = [];
            if (outcome.Item.Tag is not TarSlot slot)
            {
                CountInput(own);
            }
            else
            {
                // Images count one by one as they are done; a tar file is one input, and a failure only when it fails as a whole.
                if (slot.Member is { IsImage: true })
                {
                    Count(own, 1);
                }

                bool wasOpen = !slot.Shard.IsClosed;
                lines = shards.Finish(slot, outcome, own, out withdrawn);
                Withdraw(withdrawn);
                if (wasOpen && slot.Shard.IsClosed)
                {
                    CountInput(slot.Shard.Problem is null ? null : lines[^1]);
                }
            }

            foreach (ManifestEntry entry in lines)
            {
                // That an output was there is no news of it: its line stays the last.
                if (entry.Status != RefineStatus.Skipped && entry.Cause != RefineCause.Exists)
                {
                    Write(entry);
                }
                else if (outcome.Item.Tag is InputState { Known: ManifestEntry known, Modified: DateTime modified })
                {
                    // So that the next run knows it by its new time, without reading it.
                    Write(known with { InputModified = modified, Time = own.Time });
                }

                yield return entry;
            }

            if (options.Durable && Environment.TickCount64 - synced > 1000)
            {
                manifest.Sync();
                synced = Environment.TickCount64;
            }

            if (options.MaxFailures is long most && failed > most && !FailedTooOften)
            {
                FailedTooOften = true;
                await ending.CancelAsync().ConfigureAwait(false);
            }
        }

        if (options.Durable)
        {
            manifest.Sync();
        }

        if (!File.Exists(output.ManifestPath))
        {
            throw output.Failure(Path.GetFileName(output.ManifestPath), new FileNotFoundException("it is gone"));
        }
    }

    /// <summary>Gives the folder up.</summary>
    public void Dispose()
    {
        manifest.Dispose();
        plan.Dispose();
        output.Dispose();
    }

    private void Write(ManifestEntry entry)
    {
        try
        {
            manifest.Add(entry);
        }
        catch (Exception error) when (OutputFolder.IsOfTheDisk(error))
        {
            throw output.Failure(Path.GetFileName(output.ManifestPath), error);
        }
    }

    // Refined images of tar files that did not come to be.
    private void Withdraw(IReadOnlyList<ManifestEntry> lines)
    {
        foreach (ManifestEntry line in lines)
        {
            Count(line, -1);
        }
    }

    // An input is done with. It counts as its line says; null: its images have counted.
    private void CountInput(ManifestEntry? entry)
    {
        lock (gate)
        {
            done++;
            if (entry is not null)
            {
                Count(entry, 1);
            }
        }
    }

    private void Count(ManifestEntry entry, int by)
    {
        lock (gate)
        {
            switch (entry.Status)
            {
                case RefineStatus.Refined:
                    refined += by;
                    pixels += by * (long)(entry.Width ?? 0) * (entry.Height ?? 0);
                    fellBack += entry.Fallback is null ? 0 : by;
                    break;
                case RefineStatus.Skipped:
                    skipped += by;
                    failedBefore += by * (entry.Failures ?? 0);
                    break;
                default:
                    failed += by;
                    RefineCause cause = entry.Cause ?? RefineCause.Unreadable;
                    causes[cause] = causes.GetValueOrDefault(cause) + by;
                    break;
            }
        }
    }

    private ManifestEntry Describe(RefineOutcome outcome)
    {
        bool computed = outcome.Plan is not null;
        return new ManifestEntry
        {
            Input = outcome.Item.Name,
            Member = outcome.Item.Tag is TarSlot { Member.IsImage: true } ? true : null,
            Output = outcome.Item.OutputName,
            Status = outcome.Status,
            Cause = outcome.Cause,
            Error = outcome.Error,
            InputBytes = outcome.InputHash is null ? null : outcome.InputBytes,
            InputModified = outcome.Item.Tag is InputState { Modified: DateTime modified } ? modified : null,
            InputHash = outcome.InputHash,
            OutputBytes = outcome.OutputHash is null ? null : outcome.OutputBytes,
            OutputHash = outcome.OutputHash,
            Width = outcome.Width > 0 ? outcome.Width : null,
            Height = outcome.Height > 0 ? outcome.Height : null,
            Model = plan.Model,
            Options = plan.Description,
            Plan = outcome.Plan,
            Fallback = outcome.FellBack ? "f32" : null,
            Failures = outcome.Item.Tag is InputState { Known.Failures: int failures } ? failures : null,
            Notes = outcome.Notes.Count > 0 ? [.. outcome.Notes.Select(note => note.Text)] : null,
            NoteKinds = [.. outcome.Notes.Select(note => note.Kind)],
            DecodeMs = outcome.Width > 0 ? Milliseconds(outcome.Seconds.Decode) : null,
            DeviceMs = computed ? Milliseconds(outcome.Seconds.Device) : null,
            EncodeMs = computed ? Milliseconds(outcome.Seconds.Encode) : null,
            Time = DateTime.UtcNow,
        };
    }

    private static double Milliseconds(double seconds) => Math.Round(1000 * seconds, 2);

    private async IAsyncEnumerable<RefineItem> PlanAsync(
        IAsyncEnumerable<InputFile> inputs, TarShards shards, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (InputFile input in inputs.WithCancellation(cancellation).ConfigureAwait(false))
        {
            if (!options.Shard.Holds(input.Name))
            {
                continue;
            }

            Decision decision = plan.Decide(input);
            var item = new RefineItem(input.Name, input.OutputName)
            {
                Place = input.Path,
                Status = decision.Status,
                Cause = decision.Problem?.Cause,
                Error = decision.Problem?.Message,
                Tag = new InputState { Known = decision.Known },
            };
            if (decision.Status != RefineStatus.Refined)
            {
                yield return item;
            }
            else if (!options.Tar)
            {
                yield return Complete(item, input, decision.Known);
            }
            else if (decision.Known is ManifestEntry known && TimeIfUnchanged(input.Path, known) is DateTime modified)
            {
                yield return item with { Status = RefineStatus.Skipped, Tag = new InputState { Known = known, Modified = modified } };
            }
            else
            {
                await foreach (RefineItem member in shards.MembersAsync(input, cancellation).ConfigureAwait(false))
                {
                    yield return member;
                }
            }
        }
    }

    // The time of a tar file whose content is that of a line, though its time is another; null where it is to be refined, which also names
    // what may be wrong with it.
    private static DateTime? TimeIfUnchanged(string path, ManifestEntry known)
    {
        try
        {
            using SafeFileHandle file = File.OpenHandle(path);
            DateTime modified = File.GetLastWriteTimeUtc(file);
            using var content = new FileRange(file, 0, RandomAccess.GetLength(file), path);
            return ContentHash.Of(content) == known.InputHash ? modified : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or RefineItemException)
        {
            return null;
        }
    }

    private RefineItem Complete(RefineItem item, InputFile input, ManifestEntry? known)
    {
        var time = new InputState { Known = known };
        return item with
        {
            Tag = time,
            Read = () =>
            {
                (ReadOnlyMemory<byte> content, DateTime modified) = InputReader.Read(input.Path, options.Pipeline.Codec.MaxPixels);
                time.Modified = modified;
                return known is not null && ContentHash.Of(content.Span) == known.InputHash ? default(ReadOnlyMemory<byte>?) : content;
            },
            Write = encoded => output.Write(input, encoded.Span),
        };
    }

    // However a run ends, images of tar files that are not done do not count: the next one does them again.
    private sealed class Withdrawal(RefineJob job, TarShards shards) : IDisposable
    {
        public void Dispose() => job.Withdraw(shards.Withdraw());
    }

    // What is known of an input: when it had last been changed is known only when it is read.
    private sealed class InputState
    {
        /// <summary>The line that tells how the output was made, of content that may still be the input's.</summary>
        public ManifestEntry? Known { get; init; }

        public DateTime? Modified { get; set; }
    }
}
